//! What customers choose for a client: what it is sent, and how exactly it may know places.

use cardata_domain::privacy::{RADIUS_M, Settings, ZONES_MAX, Zone, ZoneId};
use cardata_domain::{ClientId, Gcid};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::row::{from_json, micros, parsed, to_json};
use super::{Failure, begin};

pub(super) async fn stream_configuration(
    readers: &SqlitePool,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<Vec<String>, Failure> {
    let row = sqlx::query(
        "SELECT descriptors FROM stream_configurations WHERE gcid = $1 AND client_id = $2",
    )
    .bind(gcid.to_string())
    .bind(client_id.to_string())
    .fetch_optional(readers)
    .await?;
    let read = |row: &SqliteRow| from_json(row, "descriptors", "list of descriptors");
    row.as_ref().map_or_else(|| Ok(Vec::new()), read)
}

pub(super) async fn put_stream_configuration(
    writer: &SqlitePool,
    gcid: Gcid,
    client_id: ClientId,
    descriptors: &[String],
    now: Timestamp,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO stream_configurations (gcid, client_id, descriptors, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (gcid, client_id) DO UPDATE SET descriptors = excluded.descriptors,
             changed_at = excluded.changed_at",
    )
    .bind(gcid.to_string())
    .bind(client_id.to_string())
    .bind(to_json(&descriptors)?)
    .bind(micros(now))
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn location_settings(
    readers: &SqlitePool,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<Settings, Failure> {
    let row = sqlx::query("SELECT * FROM location_settings WHERE gcid = $1 AND client_id = $2")
        .bind(gcid.to_string())
        .bind(client_id.to_string())
        .fetch_optional(readers)
        .await?;
    let read = |row: &SqliteRow| {
        Ok(Settings {
            precision: parsed(row, "precision", "precision")?,
            hides_zones: row.try_get("hides_zones")?,
        })
    };
    row.as_ref().map_or_else(|| Ok(Settings::default()), read)
}

pub(super) async fn put_location_settings(
    writer: &SqlitePool,
    gcid: Gcid,
    client_id: ClientId,
    settings: Settings,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO location_settings (gcid, client_id, precision, hides_zones) VALUES ($1, $2, $3, $4)
         ON CONFLICT (gcid, client_id) DO UPDATE SET precision = excluded.precision,
             hides_zones = excluded.hides_zones",
    )
    .bind(gcid.to_string())
    .bind(client_id.to_string())
    .bind(settings.precision.as_str())
    .bind(settings.hides_zones)
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn zones(readers: &SqlitePool, gcid: Gcid) -> Result<Vec<Zone>, Failure> {
    let rows = sqlx::query("SELECT * FROM zones WHERE gcid = $1 ORDER BY name, id")
        .bind(gcid.to_string())
        .fetch_all(readers)
        .await?;
    let zone = |row: &SqliteRow| {
        let zone = Zone {
            id: parsed(row, "id", "zone id")?,
            name: row.try_get("name")?,
            latitude_e6: row.try_get("latitude_e6")?,
            longitude_e6: row.try_get("longitude_e6")?,
            radius_m: row.try_get("radius_m")?,
        };
        // It would hide another place than the customer meant.
        if !is_sound(&zone) {
            return Err(Failure::damaged("circle on earth", "something else"));
        }
        Ok(zone)
    };
    rows.iter().map(zone).collect()
}

fn is_sound(zone: &Zone) -> bool {
    zone.latitude_e6.unsigned_abs() <= 90_000_000
        && zone.longitude_e6.unsigned_abs() <= 180_000_000
        && RADIUS_M.contains(&zone.radius_m)
}

pub(super) async fn add_zone(
    writer: &SqlitePool,
    gcid: Gcid,
    zone: &Zone,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM zones WHERE gcid = $1")
        .bind(gcid.to_string())
        .fetch_one(&mut *transaction)
        .await?;
    if usize::try_from(count).is_ok_and(|count| count >= ZONES_MAX) {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO zones (id, gcid, name, latitude_e6, longitude_e6, radius_m) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(zone.id.to_string())
    .bind(gcid.to_string())
    .bind(&zone.name)
    .bind(zone.latitude_e6)
    .bind(zone.longitude_e6)
    .bind(zone.radius_m)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn remove_zone(
    writer: &SqlitePool,
    gcid: Gcid,
    id: ZoneId,
) -> Result<bool, Failure> {
    let done = sqlx::query("DELETE FROM zones WHERE gcid = $1 AND id = $2")
        .bind(gcid.to_string())
        .bind(id.to_string())
        .execute(writer)
        .await?;
    Ok(done.rows_affected() > 0)
}
