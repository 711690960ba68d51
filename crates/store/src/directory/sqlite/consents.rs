//! Customers' consents to clients.

use cardata_domain::consent::{Consent, ConsentId, EndReason, State};
use cardata_domain::token::Scope;
use cardata_domain::vehicle::MappingType;
use cardata_domain::{ClientId, Gcid};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{instant, instant_if_any, micros, parsed, vin};
use super::{Failure, begin};
use crate::directory::FleetVehicle;

/// Adds a consent inside of a transaction.
pub(super) async fn add(
    transaction: &mut SqliteConnection,
    consent: &Consent,
) -> Result<(), Failure> {
    let (ended_at, end_reason) = match consent.state {
        State::Active => (None, None),
        State::Ended { at, why } => (Some(micros(at)), Some(why.as_str())),
    };
    sqlx::query(
        "INSERT INTO consents (id, gcid, client_id, scopes, purpose, granted_at, expires_at, ended_at, end_reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(consent.id.to_string())
    .bind(consent.gcid.to_string())
    .bind(consent.client_id.to_string())
    .bind(consent.scopes.to_string())
    .bind(&consent.purpose)
    .bind(micros(consent.granted_at))
    .bind(consent.expires_at.map(micros))
    .bind(ended_at)
    .bind(end_reason)
    .execute(transaction)
    .await?;
    Ok(())
}

pub(super) async fn by_id(readers: &SqlitePool, id: ConsentId) -> Result<Option<Consent>, Failure> {
    let row = sqlx::query("SELECT * FROM consents WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(consent).transpose()
}

pub(super) async fn of(readers: &SqlitePool, gcid: Gcid) -> Result<Vec<Consent>, Failure> {
    let rows = sqlx::query("SELECT * FROM consents WHERE gcid = $1 ORDER BY granted_at, id")
        .bind(gcid.to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(consent).collect()
}

pub(super) async fn to(readers: &SqlitePool, client_id: ClientId) -> Result<Vec<Consent>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM consents WHERE client_id = $1 AND ended_at IS NULL ORDER BY granted_at, id",
    )
    .bind(client_id.to_string())
    .fetch_all(readers)
    .await?;
    rows.iter().map(consent).collect()
}

pub(super) async fn fleet(
    readers: &SqlitePool,
    client_id: ClientId,
    now: Timestamp,
) -> Result<Vec<FleetVehicle>, Failure> {
    // Scopes are words between single spaces. Of consents with and without an end, those without last longest. One that
    // was given after all earlier ones had ended begins anew, and of those the last one counts.
    let rows = sqlx::query(
        "WITH streaming AS (
             SELECT * FROM consents WHERE client_id = $1 AND ' ' || scopes || ' ' LIKE '% ' || $3 || ' %'
         ), following AS (
             SELECT gcid, granted_at,
                    max(coalesce(min(coalesce(ended_at, expires_at), coalesce(expires_at, ended_at)), $5)) OVER (
                        PARTITION BY gcid ORDER BY granted_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    ) AS earlier_until
             FROM streaming
         ), unbroken AS (
             SELECT gcid, max(granted_at) AS unbroken_since FROM following
             WHERE earlier_until IS NULL OR earlier_until < granted_at GROUP BY gcid
         )
         SELECT vin, gcid, unbroken_since, CASE WHEN count(*) = count(expires_at) THEN max(expires_at) END AS until
         FROM streaming JOIN mappings USING (gcid) JOIN unbroken USING (gcid)
         WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > $2) AND mapping_type = $4
         GROUP BY vin, gcid ORDER BY vin, min(since), gcid",
    )
    .bind(client_id.to_string())
    .bind(micros(now))
    .bind(Scope::StreamingRead.as_str())
    .bind(MappingType::Primary.as_str())
    .bind(i64::MAX)
    .fetch_all(readers)
    .await?;
    let vehicle = |row: &SqliteRow| {
        Ok(FleetVehicle {
            vin: vin(row)?,
            gcid: parsed(row, "gcid", "GCID")?,
            since: instant(row, "unbroken_since")?,
            until: instant_if_any(row, "until")?,
        })
    };
    let mut vehicles: Vec<_> = rows.iter().map(vehicle).collect::<Result<_, Failure>>()?;
    vehicles.dedup_by_key(|vehicle| vehicle.vin);
    Ok(vehicles)
}

pub(super) async fn expired(readers: &SqlitePool, now: Timestamp) -> Result<Vec<Consent>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM consents WHERE ended_at IS NULL AND expires_at IS NOT NULL AND expires_at <= $1
         ORDER BY expires_at",
    )
    .bind(micros(now))
    .fetch_all(readers)
    .await?;
    rows.iter().map(consent).collect()
}

pub(super) async fn end(
    writer: &SqlitePool,
    id: ConsentId,
    at: Timestamp,
    why: EndReason,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    let done = sqlx::query(
        "UPDATE consents SET ended_at = $1, end_reason = $2 WHERE id = $3 AND ended_at IS NULL",
    )
    .bind(micros(at))
    .bind(why.as_str())
    .bind(id.to_string())
    .execute(&mut *transaction)
    .await?;
    for query in [
        "DELETE FROM refresh_tokens WHERE consent_id = $1",
        "DELETE FROM access_tokens WHERE consent_id = $1",
    ] {
        sqlx::query(query).bind(id.to_string()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}

fn consent(row: &SqliteRow) -> Result<Consent, Failure> {
    let state = match instant_if_any(row, "ended_at")? {
        None => State::Active,
        Some(at) => State::Ended { at, why: parsed(row, "end_reason", "reason of an end")? },
    };
    Ok(Consent {
        id: parsed(row, "id", "consent id")?,
        gcid: parsed(row, "gcid", "GCID")?,
        client_id: parsed(row, "client_id", "client id")?,
        scopes: parsed(row, "scopes", "list of scopes")?,
        purpose: row.try_get("purpose")?,
        granted_at: instant(row, "granted_at")?,
        expires_at: instant_if_any(row, "expires_at")?,
        state,
    })
}
