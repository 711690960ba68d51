//! Clients, and customers' consents to them.

use cardata_domain::client::{Client, Services};
use cardata_domain::consent::{Consent, ConsentId};
use cardata_domain::{ClientId, Gcid};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{instant, instant_if_any, micros, parsed};
use super::{Failure, begin};

pub(super) async fn put(writer: &SqlitePool, client: &Client) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO clients (id, owner, name, api, stream, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name, api = excluded.api,
             stream = excluded.stream, created_at = excluded.created_at",
    )
    .bind(client.id.to_string())
    .bind(client.owner.map(|owner| owner.to_string()))
    .bind(&client.name)
    .bind(client.services.api)
    .bind(client.services.stream)
    .bind(micros(client.created_at))
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn by_id(readers: &SqlitePool, id: ClientId) -> Result<Option<Client>, Failure> {
    let row = sqlx::query("SELECT * FROM clients WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(client).transpose()
}

pub(super) async fn of(readers: &SqlitePool, owner: Gcid) -> Result<Vec<Client>, Failure> {
    let rows = sqlx::query("SELECT * FROM clients WHERE owner = $1 ORDER BY created_at, id")
        .bind(owner.to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(client).collect()
}

pub(super) async fn consent(
    readers: &SqlitePool,
    id: ConsentId,
) -> Result<Option<Consent>, Failure> {
    let row = sqlx::query("SELECT * FROM consents WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(readers)
        .await?;
    let consent = |row: &SqliteRow| {
        Ok(Consent {
            id: parsed(row, "id", "consent id")?,
            gcid: parsed(row, "gcid", "GCID")?,
            client_id: parsed(row, "client_id", "client id")?,
            scopes: parsed(row, "scopes", "list of scopes")?,
            granted_at: instant(row, "granted_at")?,
            revoked_at: instant_if_any(row, "revoked_at")?,
        })
    };
    row.as_ref().map(consent).transpose()
}

/// Adds a consent inside of a transaction.
pub(super) async fn add_consent(
    transaction: &mut SqliteConnection,
    consent: &Consent,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO consents (id, gcid, client_id, scopes, granted_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(consent.id.to_string())
    .bind(consent.gcid.to_string())
    .bind(consent.client_id.to_string())
    .bind(consent.scopes.to_string())
    .bind(micros(consent.granted_at))
    .bind(consent.revoked_at.map(micros))
    .execute(transaction)
    .await?;
    Ok(())
}

pub(super) async fn revoke_consent(
    writer: &SqlitePool,
    id: ConsentId,
    now: Timestamp,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    let done =
        sqlx::query("UPDATE consents SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(micros(now))
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
    sqlx::query("DELETE FROM refresh_tokens WHERE consent_id = $1")
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM access_tokens WHERE consent_id = $1")
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}

fn client(row: &SqliteRow) -> Result<Client, Failure> {
    let owner: Option<&str> = row.try_get("owner")?;
    Ok(Client {
        id: parsed(row, "id", "client id")?,
        owner: owner.map(|_| parsed(row, "owner", "GCID")).transpose()?,
        name: row.try_get("name")?,
        services: Services { api: row.try_get("api")?, stream: row.try_get("stream")? },
        created_at: instant(row, "created_at")?,
    })
}
