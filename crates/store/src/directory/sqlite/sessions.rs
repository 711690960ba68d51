//! Persistent MQTT sessions and their cursors.

use cardata_domain::Vin;
use cardata_domain::event::Sequence;
use cardata_domain::session::{SessionKey, StoredSession};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, SqlitePool};

use super::row::{from_json, micros, parsed, to_json, vin};
use super::{Failure, begin};

const REMOVE: &str =
    "DELETE FROM sessions WHERE gcid = $1 AND client_id = $2 AND mqtt_client_id = $3";

pub(super) async fn by_key(
    readers: &SqlitePool,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Option<StoredSession>, Failure> {
    // One query, so that subscriptions and cursors are of the same moment.
    let rows = sqlx::query(
        "SELECT subscriptions, expiry_seconds, vin, sequence
         FROM sessions LEFT JOIN cursors ON session = number
         WHERE gcid = $1 AND client_id = $2 AND mqtt_client_id = $3
           AND (expires_at IS NULL OR expires_at > $4) ORDER BY vin",
    )
    .bind(key.gcid.to_string())
    .bind(key.client_id.to_string())
    .bind(&key.mqtt_client_id)
    .bind(micros(now))
    .fetch_all(readers)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let without_cursors = first.try_get::<Option<&str>, _>("vin")?.is_none();
    Ok(Some(StoredSession {
        subscriptions: from_json(first, "subscriptions", "list of subscriptions")?,
        expiry_seconds: expiry_seconds(first)?,
        cursors: if without_cursors {
            Vec::new()
        } else {
            rows.iter().map(cursor).collect::<Result<_, _>>()?
        },
    }))
}

pub(super) async fn put(
    writer: &SqlitePool,
    key: &SessionKey,
    session: &StoredSession,
    sessions_max: u32,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    // Anew, with the highest number: numbers tell which sessions were put last. Its cursors go with the old row.
    sqlx::query(REMOVE)
        .bind(key.gcid.to_string())
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .execute(&mut *transaction)
        .await?;
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO sessions (gcid, client_id, mqtt_client_id, subscriptions, expiry_seconds)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING number",
    )
    .bind(key.gcid.to_string())
    .bind(key.client_id.to_string())
    .bind(&key.mqtt_client_id)
    .bind(to_json(&session.subscriptions)?)
    .bind(session.expiry_seconds.map(i64::from))
    .fetch_one(&mut *transaction)
    .await?;
    put_cursors(&mut transaction, number, &session.cursors).await?;
    remove_surplus(&mut transaction, key, sessions_max).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends the sessions of a customer and client that were put first, where there are more than `sessions_max`. Their
/// number is kept up to date by the tables themselves: counting them here would cost more the more there are.
async fn remove_surplus(
    transaction: &mut SqliteConnection,
    key: &SessionKey,
    sessions_max: u32,
) -> Result<(), Failure> {
    let sessions: i64 = sqlx::query_scalar(
        "SELECT sessions FROM session_counts WHERE gcid = $1 AND client_id = $2",
    )
    .bind(key.gcid.to_string())
    .bind(key.client_id.to_string())
    .fetch_one(&mut *transaction)
    .await?;
    let surplus = sessions - i64::from(sessions_max);
    if surplus > 0 {
        sqlx::query(
            "DELETE FROM sessions WHERE number IN
                 (SELECT number FROM sessions WHERE gcid = $1 AND client_id = $2 ORDER BY number LIMIT $3)",
        )
        .bind(key.gcid.to_string())
        .bind(key.client_id.to_string())
        .bind(surplus)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

pub(super) async fn move_cursors(
    writer: &SqlitePool,
    moves: &[(SessionKey, Vec<(Vin, Sequence)>)],
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    for (key, cursors) in moves {
        let number: Option<i64> = sqlx::query_scalar(
            "SELECT number FROM sessions WHERE gcid = $1 AND client_id = $2 AND mqtt_client_id = $3",
        )
        .bind(key.gcid.to_string())
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(number) = number {
            put_cursors(&mut transaction, number, cursors).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// When a session ends that is laid to rest at `$1`; nothing, and so never, where no time is said.
const EXPIRES_AT: &str = "expires_at = $1 + expiry_seconds * 1000000";

pub(super) async fn rest(
    writer: &SqlitePool,
    key: &SessionKey,
    now: Timestamp,
) -> Result<(), Failure> {
    let query = format!(
        "UPDATE sessions SET {EXPIRES_AT} WHERE gcid = $2 AND client_id = $3 AND mqtt_client_id = $4"
    );
    sqlx::query(AssertSqlSafe(query))
        .bind(micros(now))
        .bind(key.gcid.to_string())
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn rest_all(writer: &SqlitePool, now: Timestamp) -> Result<(), Failure> {
    let query = format!("UPDATE sessions SET {EXPIRES_AT} WHERE expires_at IS NULL");
    sqlx::query(AssertSqlSafe(query)).bind(micros(now)).execute(writer).await?;
    Ok(())
}

pub(super) async fn remove_expired(
    writer: &SqlitePool,
    now: Timestamp,
) -> Result<Vec<SessionKey>, Failure> {
    let rows = sqlx::query(
        "DELETE FROM sessions WHERE expires_at <= $1 RETURNING gcid, client_id, mqtt_client_id",
    )
    .bind(micros(now))
    .fetch_all(writer)
    .await?;
    let key = |row: &SqliteRow| {
        Ok(SessionKey {
            gcid: parsed(row, "gcid", "GCID")?,
            client_id: parsed(row, "client_id", "client id")?,
            mqtt_client_id: row.try_get("mqtt_client_id")?,
        })
    };
    rows.iter().map(key).collect()
}

pub(super) async fn remove(writer: &SqlitePool, key: &SessionKey) -> Result<bool, Failure> {
    // Its cursors go with it.
    let done = sqlx::query(REMOVE)
        .bind(key.gcid.to_string())
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .execute(writer)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn put_cursors(
    transaction: &mut SqliteConnection,
    session: i64,
    cursors: &[(Vin, Sequence)],
) -> Result<(), Failure> {
    for (vin, sequence) in cursors {
        sqlx::query(
            "INSERT INTO cursors (session, vin, sequence) VALUES ($1, $2, $3)
             ON CONFLICT (session, vin) DO UPDATE SET sequence = excluded.sequence",
        )
        .bind(session)
        .bind(vin.as_str())
        // A billion events a second reach the end of this after 292 years.
        .bind(i64::try_from(sequence.0).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

fn expiry_seconds(row: &SqliteRow) -> Result<Option<u32>, Failure> {
    let seconds: Option<i64> = row.try_get("expiry_seconds")?;
    let damaged = |seconds: i64| Failure::damaged("number of seconds", &seconds.to_string());
    seconds.map(|seconds| u32::try_from(seconds).map_err(|_| damaged(seconds))).transpose()
}

fn cursor(row: &SqliteRow) -> Result<(Vin, Sequence), Failure> {
    let sequence: i64 = row.try_get("sequence")?;
    let sequence = u64::try_from(sequence)
        .map_err(|_| Failure::damaged("sequence number", &sequence.to_string()))?;
    Ok((vin(row)?, Sequence(sequence)))
}
