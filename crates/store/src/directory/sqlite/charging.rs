//! Charging sessions, and how far the search for them got.

use cardata_domain::Vin;
use cardata_domain::charging::Session;
use cardata_domain::event::Sequence;
use cardata_domain::vehicle::{Drivetrain, MappingType};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool, SqliteTransaction};

use super::row::{from_json, micros, to_json, vin};
use super::sessions::number_of;
use super::{Failure, begin};
use crate::directory::{CHARGING_SESSIONS_MAX, ChargingProgress, ChargingUpdate};

pub(super) async fn cursors(readers: &SqlitePool) -> Result<Vec<(Vin, Sequence)>, Failure> {
    let rows = sqlx::query(
        "SELECT vehicles.vin, COALESCE(sequence, 0) AS sequence
         FROM vehicles LEFT JOIN charging_progress ON charging_progress.vin = vehicles.vin
         WHERE drivetrain IN ($1, $2)
             AND EXISTS (SELECT 1 FROM mappings WHERE mappings.vin = vehicles.vin AND mapping_type = $3)
         ORDER BY vehicles.vin",
    )
    .bind(Drivetrain::Bev.as_str())
    .bind(Drivetrain::Phev.as_str())
    .bind(MappingType::Primary.as_str())
    .fetch_all(readers)
    .await?;
    rows.iter().map(|row| Ok((vin(row)?, sequence(row)?))).collect()
}

pub(super) async fn progress(readers: &SqlitePool, vin: Vin) -> Result<ChargingProgress, Failure> {
    let row = sqlx::query("SELECT * FROM charging_progress WHERE vin = $1")
        .bind(vin.as_str())
        .fetch_optional(readers)
        .await?;
    let read = |row: &SqliteRow| {
        Ok(ChargingProgress {
            version: row.try_get("version")?,
            cursor: sequence(row)?,
            // One that another version of this program wrote begins anew: the search must not stop for good.
            detector: from_json(row, "detector", "detector").unwrap_or_default(),
        })
    };
    row.as_ref().map_or_else(|| Ok(ChargingProgress::default()), read)
}

pub(super) async fn put(writer: &SqlitePool, updates: &[ChargingUpdate]) -> Result<usize, Failure> {
    let mut transaction = begin(writer).await?;
    let mut done = 0;
    for update in updates {
        if advance(&mut transaction, update).await? {
            put_sessions(&mut transaction, update).await?;
            done += 1;
        }
    }
    transaction.commit().await?;
    Ok(done)
}

/// Moves the search on, unless it is not where the update found it.
async fn advance(
    transaction: &mut SqliteTransaction<'static>,
    update: &ChargingUpdate,
) -> Result<bool, Failure> {
    let ChargingProgress { version, cursor, detector } = &update.progress;
    let query = if *version == 0 {
        sqlx::query(
            "INSERT INTO charging_progress (vin, version, sequence, detector)
             SELECT vin, $2 + 1, $3, $4 FROM vehicles WHERE vin = $1
             ON CONFLICT DO NOTHING",
        )
    } else {
        sqlx::query(
            "UPDATE charging_progress SET version = $2 + 1, sequence = $3, detector = $4
             WHERE vin = $1 AND version = $2",
        )
    };
    let done = query
        .bind(update.vin.as_str())
        .bind(*version)
        .bind(number_of(*cursor))
        .bind(to_json(detector)?)
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn put_sessions(
    transaction: &mut SqliteTransaction<'static>,
    update: &ChargingUpdate,
) -> Result<(), Failure> {
    sqlx::query("DELETE FROM charging_sessions WHERE vin = $1 AND is_settled = 0")
        .bind(update.vin.as_str())
        .execute(&mut **transaction)
        .await?;
    let settled = update.settled.iter().map(|session| (session, true));
    let unsettled = update.unsettled.iter().map(|session| (session, false));
    for (session, is_settled) in settled.chain(unsettled) {
        sqlx::query(
            "INSERT INTO charging_sessions (vin, started_at, is_settled, session) VALUES ($1, $2, $3, $4)
             ON CONFLICT (vin, started_at) DO UPDATE SET is_settled = excluded.is_settled,
                 session = excluded.session",
        )
        .bind(update.vin.as_str())
        .bind(micros(session.started_at))
        .bind(is_settled)
        .bind(to_json(session)?)
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query(
        "DELETE FROM charging_sessions WHERE vin = $1 AND started_at <
             (SELECT started_at FROM charging_sessions WHERE vin = $1
              ORDER BY started_at DESC LIMIT 1 OFFSET $2)",
    )
    .bind(update.vin.as_str())
    .bind(CHARGING_SESSIONS_MAX - 1)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn sessions(
    readers: &SqlitePool,
    vin: Vin,
    from: Timestamp,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, Failure> {
    let rows = sqlx::query(
        "SELECT session FROM charging_sessions WHERE vin = $1 AND started_at >= $2 AND started_at < $3
         ORDER BY started_at DESC LIMIT $4",
    )
    .bind(vin.as_str())
    .bind(micros(from))
    .bind(micros(before))
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(|row| from_json(row, "session", "charging session")).collect()
}

pub(super) async fn forget(writer: &SqlitePool, vin: Vin) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query("DELETE FROM charging_sessions WHERE vin = $1")
        .bind(vin.as_str())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO charging_progress (vin, version, sequence, detector)
         SELECT vin, 1, 0, '' FROM vehicles WHERE vin = $1
         ON CONFLICT (vin) DO UPDATE SET version = version + 1, detector = ''",
    )
    .bind(vin.as_str())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

fn sequence(row: &SqliteRow) -> Result<Sequence, Failure> {
    let number: i64 = row.try_get("sequence")?;
    let damaged = |_| Failure::damaged("sequence number", &number.to_string());
    u64::try_from(number).map(Sequence).map_err(damaged)
}
