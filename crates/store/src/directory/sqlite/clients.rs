//! OAuth clients.

use cardata_domain::client::{self, Client, Kind, Services};
use cardata_domain::{ClientId, Gcid};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::Failure;
use super::row::{instant, instant_if_any, micros, parsed};

pub(super) async fn put(writer: &SqlitePool, client: &Client) -> Result<(), Failure> {
    let (kind, owner) = match client.kind {
        Kind::Personal(owner) => ("PERSONAL", Some(owner.to_string())),
        Kind::ThirdParty => ("THIRD_PARTY", None),
        Kind::ResourceServer => ("RESOURCE_SERVER", None),
    };
    let deleted_at = match client.state {
        client::State::Active => None,
        client::State::Deleted { at } => Some(micros(at)),
    };
    sqlx::query(
        "INSERT INTO clients (id, kind, owner, name, purpose, api, stream, secret_hash, created_at, deleted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, owner = excluded.owner, name = excluded.name,
             purpose = excluded.purpose, api = excluded.api, stream = excluded.stream,
             secret_hash = excluded.secret_hash, created_at = excluded.created_at,
             deleted_at = coalesce(deleted_at, excluded.deleted_at)",
    )
    .bind(client.id.to_string())
    .bind(kind)
    .bind(owner)
    .bind(&client.name)
    .bind(&client.purpose)
    .bind(client.services.api)
    .bind(client.services.stream)
    .bind(&client.secret_hash)
    .bind(micros(client.created_at))
    .bind(deleted_at)
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

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<Client>, Failure> {
    let rows =
        sqlx::query("SELECT * FROM clients ORDER BY created_at, id").fetch_all(readers).await?;
    rows.iter().map(client).collect()
}

pub(super) async fn after(
    readers: &SqlitePool,
    after: Option<ClientId>,
    limit: u32,
) -> Result<Vec<Client>, Failure> {
    let rows = sqlx::query("SELECT * FROM clients WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(client).collect()
}

fn client(row: &SqliteRow) -> Result<Client, Failure> {
    let kind = match row.try_get("kind")? {
        "PERSONAL" => Kind::Personal(parsed(row, "owner", "GCID")?),
        "THIRD_PARTY" => Kind::ThirdParty,
        "RESOURCE_SERVER" => Kind::ResourceServer,
        other => return Err(Failure::damaged("kind of client", other)),
    };
    let deleted_at = instant_if_any(row, "deleted_at")?;
    Ok(Client {
        id: parsed(row, "id", "client id")?,
        kind,
        name: row.try_get("name")?,
        purpose: row.try_get("purpose")?,
        services: Services { api: row.try_get("api")?, stream: row.try_get("stream")? },
        secret_hash: row.try_get("secret_hash")?,
        created_at: instant(row, "created_at")?,
        state: deleted_at.map_or(client::State::Active, |at| client::State::Deleted { at }),
    })
}
