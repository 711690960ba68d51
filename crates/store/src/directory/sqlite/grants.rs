//! The device code flow, from the first request to the exchange for tokens.

use cardata_domain::consent::Consent;
use cardata_domain::device_grant::{DeviceGrant, State};
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteExecutor, SqlitePool};

use super::row::{instant, instant_if_any, micros, parsed};
use super::{Failure, begin, consents, tokens};
use crate::directory::{AccessToken, RefreshToken, TokenHash};

/// How long an expired grant is still found, so that a late poll hears `expired` rather than `unknown`.
const KEPT_EXPIRED: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn add(
    writer: &SqlitePool,
    grant: &DeviceGrant,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query("DELETE FROM device_grants WHERE expires_at < $1")
        .bind(micros(now.checked_sub(KEPT_EXPIRED).unwrap_or(Timestamp::MIN)))
        .execute(&mut *transaction)
        .await?;
    let (state, approved_by) = columns(grant.state);
    sqlx::query(
        "INSERT INTO device_grants (device_code_hash, user_code, client_id, scopes, code_challenge, expires_at,
             polled_at, lasts_seconds, state, approved_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&grant.device_code_hash)
    .bind(&grant.user_code)
    .bind(grant.client_id.to_string())
    .bind(grant.scopes.to_string())
    .bind(&grant.code_challenge)
    .bind(micros(grant.expires_at))
    .bind(grant.polled_at.map(micros))
    .bind(grant.lasts.map(|lasts| lasts.as_secs()))
    .bind(state)
    .bind(approved_by)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn by_device_code(
    readers: &SqlitePool,
    hash: &TokenHash,
) -> Result<Option<DeviceGrant>, Failure> {
    let row = sqlx::query("SELECT * FROM device_grants WHERE device_code_hash = $1")
        .bind(&hash.0)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(grant).transpose()
}

pub(super) async fn by_user_code(
    readers: &SqlitePool,
    user_code: &str,
) -> Result<Option<DeviceGrant>, Failure> {
    // All grants live equally long, so the newest is the one that expires last.
    let row = sqlx::query(
        "SELECT * FROM device_grants WHERE user_code = $1 ORDER BY expires_at DESC LIMIT 1",
    )
    .bind(user_code)
    .fetch_optional(readers)
    .await?;
    row.as_ref().map(grant).transpose()
}

pub(super) async fn note_poll(
    writer: &SqlitePool,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<(), Failure> {
    sqlx::query("UPDATE device_grants SET polled_at = $1 WHERE device_code_hash = $2")
        .bind(micros(now))
        .bind(&hash.0)
        .execute(writer)
        .await?;
    Ok(())
}

/// Moves a grant on from `from`, if that is where it stands.
pub(super) async fn advance(
    writer: impl SqliteExecutor<'_>,
    hash: &TokenHash,
    from: State,
    to: State,
    lasts: Option<SignedDuration>,
) -> Result<bool, Failure> {
    let (state, approved_by) = columns(to);
    let (state_before, approved_by_before) = columns(from);
    let done = sqlx::query(
        "UPDATE device_grants SET state = $1, approved_by = $2, lasts_seconds = $6
         WHERE device_code_hash = $3 AND state = $4 AND approved_by IS NOT DISTINCT FROM $5",
    )
    .bind(state)
    .bind(approved_by)
    .bind(&hash.0)
    .bind(state_before)
    .bind(approved_by_before)
    .bind(lasts.map(|lasts| lasts.as_secs()))
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn exchange(
    writer: &SqlitePool,
    hash: &TokenHash,
    approved: State,
    consent: &Consent,
    refresh: &RefreshToken,
    access: &AccessToken,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    if !advance(&mut *transaction, hash, approved, State::Exchanged, None).await? {
        return Ok(false);
    }
    consents::add(&mut transaction, consent).await?;
    tokens::add(&mut transaction, refresh, access).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The columns `state` and `approved_by` of a grant in `state`.
fn columns(state: State) -> (&'static str, Option<String>) {
    match state {
        State::Pending => ("PENDING", None),
        State::Approved(gcid) => ("APPROVED", Some(gcid.to_string())),
        State::Denied => ("DENIED", None),
        State::Exchanged => ("EXCHANGED", None),
    }
}

fn grant(row: &SqliteRow) -> Result<DeviceGrant, Failure> {
    Ok(DeviceGrant {
        device_code_hash: row.try_get("device_code_hash")?,
        user_code: row.try_get("user_code")?,
        client_id: parsed(row, "client_id", "client id")?,
        scopes: parsed(row, "scopes", "list of scopes")?,
        code_challenge: row.try_get("code_challenge")?,
        expires_at: instant(row, "expires_at")?,
        polled_at: instant_if_any(row, "polled_at")?,
        lasts: row.try_get::<Option<i64>, _>("lasts_seconds")?.map(SignedDuration::from_secs),
        state: match row.try_get("state")? {
            "PENDING" => State::Pending,
            "APPROVED" => State::Approved(parsed(row, "approved_by", "GCID")?),
            "DENIED" => State::Denied,
            "EXCHANGED" => State::Exchanged,
            other => return Err(Failure::damaged("state of a device grant", other)),
        },
    })
}
