//! Persistent MQTT sessions and their cursors.

mod json;

use cardata_domain::event::Sequence;
use cardata_domain::session::{LeftBehind, SessionKey, StoredSession};
use cardata_domain::{ClientId, Gcid, Vin};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{micros, parsed, parsed_if_any, vin};
use super::{Failure, begin};

const IS_KEPT: &str = "SELECT EXISTS (SELECT 1 FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 AND mqtt_client_id = $3)";
const REMOVE: &str = "DELETE FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 AND mqtt_client_id = $3";

pub(super) async fn by_key(
    readers: &SqlitePool,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Option<StoredSession>, Failure> {
    // One query, so that subscriptions and cursors are of the same moment.
    let rows = sqlx::query(
        "SELECT subscriptions, expiry_seconds, exactly_once, left_behind, vin, sequence
         FROM sessions LEFT JOIN cursors ON session = number
         WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 AND mqtt_client_id = $3
           AND (expires_at IS NULL OR expires_at > $4) ORDER BY vin",
    )
    .bind(key.gcid.map(|gcid| gcid.to_string()))
    .bind(key.client_id.to_string())
    .bind(&key.mqtt_client_id)
    .bind(micros(now))
    .fetch_all(readers)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let without_cursors = first.try_get::<Option<&str>, _>("vin")?.is_none();
    Ok(Some(StoredSession {
        subscriptions: json::subscriptions(first)?,
        expiry_seconds: expiry_seconds(first)?,
        cursors: if without_cursors {
            Vec::new()
        } else {
            rows.iter().map(cursor).collect::<Result<_, _>>()?
        },
        exactly_once: first.try_get("exactly_once")?,
        left: json::left_behind(first)?,
    }))
}

pub(super) async fn put(
    writer: &SqlitePool,
    key: &SessionKey,
    session: &StoredSession,
    sessions_max: u32,
) -> Result<Vec<SessionKey>, Failure> {
    let mut transaction = begin(writer).await?;
    put_within(&mut transaction, key, session, None).await?;
    let ended = remove_surplus(&mut transaction, key, sessions_max).await?;
    transaction.commit().await?;
    Ok(ended)
}

/// Writes a session that is connected, or that is at rest since `rested_at`.
async fn put_within(
    transaction: &mut SqliteConnection,
    key: &SessionKey,
    session: &StoredSession,
    rested_at: Option<Timestamp>,
) -> Result<(), Failure> {
    // Anew, with the highest number: numbers tell which sessions were put last. Its cursors go with the old row.
    sqlx::query(REMOVE)
        .bind(key.gcid.map(|gcid| gcid.to_string()))
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .execute(&mut *transaction)
        .await?;
    let expires_at = rested_at.zip(session.expiry_seconds);
    let expires_at = expires_at.map(|(at, seconds)| micros(at) + i64::from(seconds) * 1_000_000);
    let left = session.left.as_ref().filter(|_| rested_at.is_some());
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO sessions (gcid, client_id, mqtt_client_id, subscriptions, expiry_seconds, expires_at,
                               exactly_once, left_behind, left_newest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING number",
    )
    .bind(key.gcid.map(|gcid| gcid.to_string()))
    .bind(key.client_id.to_string())
    .bind(&key.mqtt_client_id)
    .bind(json::of_subscriptions(&session.subscriptions)?)
    .bind(session.expiry_seconds.map(i64::from))
    .bind(expires_at)
    .bind(session.exactly_once)
    .bind(left.map(json::of_left_behind).transpose()?)
    .bind(left.map(LeftBehind::newest).map(number_of))
    .fetch_one(&mut *transaction)
    .await?;
    put_cursors(transaction, number, &session.cursors).await
}

/// Ends the sessions of a customer and client that were put first, where there are more than `sessions_max`, and gives
/// their names. Their number is kept up to date by the tables themselves: counting them here would cost more the more there are.
async fn remove_surplus(
    transaction: &mut SqliteConnection,
    key: &SessionKey,
    sessions_max: u32,
) -> Result<Vec<SessionKey>, Failure> {
    let sessions: i64 = sqlx::query_scalar(
        "SELECT sessions FROM session_counts WHERE gcid = coalesce($1, '') AND client_id = $2",
    )
    .bind(key.gcid.map(|gcid| gcid.to_string()))
    .bind(key.client_id.to_string())
    .fetch_one(&mut *transaction)
    .await?;
    let surplus = sessions - i64::from(sessions_max);
    if surplus <= 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "DELETE FROM sessions WHERE number IN
             (SELECT number FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 ORDER BY number LIMIT $3)
         RETURNING gcid, client_id, mqtt_client_id",
    )
    .bind(key.gcid.map(|gcid| gcid.to_string()))
    .bind(key.client_id.to_string())
    .bind(surplus)
    .fetch_all(&mut *transaction)
    .await?;
    rows.iter().map(key_of).collect()
}

pub(super) async fn move_cursors(
    writer: &SqlitePool,
    moves: &[(SessionKey, Vec<(Vin, Sequence)>)],
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    for (key, cursors) in moves {
        let number: Option<i64> = sqlx::query_scalar(
            "SELECT number FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 AND mqtt_client_id = $3",
        )
        .bind(key.gcid.map(|gcid| gcid.to_string()))
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

pub(super) async fn rest(
    writer: &SqlitePool,
    key: &SessionKey,
    session: &StoredSession,
    now: Timestamp,
    sessions_max: u32,
) -> Result<Vec<SessionKey>, Failure> {
    let mut transaction = begin(writer).await?;
    put_within(&mut transaction, key, session, Some(now)).await?;
    let ended = remove_surplus(&mut transaction, key, sessions_max).await?;
    transaction.commit().await?;
    Ok(ended)
}

pub(super) async fn recover(
    writer: &SqlitePool,
    newest: Sequence,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query(
        "UPDATE sessions SET expires_at = $1 + expiry_seconds * 1000000 WHERE expires_at IS NULL",
    )
    .bind(micros(now))
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "UPDATE sessions SET left_behind = NULL, left_newest = NULL WHERE left_newest > $1",
    )
    .bind(number_of(newest))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
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
    rows.iter().map(key_of).collect()
}

pub(super) async fn remove_of(
    writer: &SqlitePool,
    gcid: Option<Gcid>,
    client_id: ClientId,
) -> Result<Vec<SessionKey>, Failure> {
    let rows = sqlx::query(
        "DELETE FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2 RETURNING gcid, client_id, mqtt_client_id",
    )
    .bind(gcid.map(|gcid| gcid.to_string()))
    .bind(client_id.to_string())
    .fetch_all(writer)
    .await?;
    rows.iter().map(key_of).collect()
}

pub(super) async fn remove_cursors_of(
    writer: &SqlitePool,
    gcid: Gcid,
    vin: Vin,
) -> Result<(), Failure> {
    sqlx::query(
        "DELETE FROM cursors WHERE vin = $2 AND session IN (SELECT number FROM sessions WHERE gcid = $1)",
    )
    .bind(gcid.to_string())
    .bind(vin.as_str())
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn leave_out(
    writer: &SqlitePool,
    client_id: Option<ClientId>,
    vehicles: &[Vin],
) -> Result<(), Failure> {
    if vehicles.is_empty() {
        return Ok(());
    }
    let client_id = client_id.map(|id| id.to_string());
    let mut transaction = begin(writer).await?;
    let rows = sqlx::query(
        "SELECT number, left_behind FROM sessions WHERE gcid IS NULL AND client_id = coalesce($1, client_id)",
    )
    .bind(&client_id)
    .fetch_all(&mut *transaction)
    .await?;
    for row in rows {
        let number: i64 = row.try_get("number")?;
        for vin in vehicles {
            sqlx::query("DELETE FROM cursors WHERE session = $1 AND vin = $2")
                .bind(number)
                .bind(vin.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        let Some(mut left) = json::left_behind(&row)? else { continue };
        if left.give_up(vehicles) {
            sqlx::query("UPDATE sessions SET left_behind = $2, left_newest = $3 WHERE number = $1")
                .bind(number)
                .bind(json::of_left_behind(&left)?)
                .bind(number_of(left.newest()))
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

fn key_of(row: &SqliteRow) -> Result<SessionKey, Failure> {
    Ok(SessionKey {
        gcid: parsed_if_any(row, "gcid", "GCID")?,
        client_id: parsed(row, "client_id", "client id")?,
        mqtt_client_id: row.try_get("mqtt_client_id")?,
    })
}

/// Whether a client has a session at a customer, or of its fleet, also one whose time is over.
pub(super) async fn any_of(
    readers: &SqlitePool,
    gcid: Option<Gcid>,
    client_id: ClientId,
) -> Result<bool, Failure> {
    let any = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE gcid IS NOT DISTINCT FROM $1 AND client_id = $2)",
    );
    Ok(any
        .bind(gcid.map(|gcid| gcid.to_string()))
        .bind(client_id.to_string())
        .fetch_one(readers)
        .await?)
}

pub(super) async fn remove(
    readers: &SqlitePool,
    writer: &SqlitePool,
    key: &SessionKey,
) -> Result<bool, Failure> {
    let is_kept: bool = sqlx::query_scalar(IS_KEPT)
        .bind(key.gcid.map(|gcid| gcid.to_string()))
        .bind(key.client_id.to_string())
        .bind(&key.mqtt_client_id)
        .fetch_one(readers)
        .await?;
    if !is_kept {
        return Ok(false);
    }
    // Its cursors go with it.
    let done = sqlx::query(REMOVE)
        .bind(key.gcid.map(|gcid| gcid.to_string()))
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
             ON CONFLICT (session, vin) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
        )
        .bind(session)
        .bind(vin.as_str())
        .bind(number_of(*sequence))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// A billion events a second reach the end of this after 292 years.
pub(super) fn number_of(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
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
