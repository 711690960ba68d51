//! Refresh and access tokens, and the keys that sign id tokens.

use cardata_domain::ClientId;
use cardata_domain::refresh::State;
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{instant, instant_if_any, micros, parsed};
use super::{Failure, begin};
use crate::directory::{AccessToken, ClientToken, RefreshToken, SigningKey, TOKENS_MAX, TokenHash};

pub(super) async fn refresh(
    readers: &SqlitePool,
    hash: &TokenHash,
) -> Result<Option<RefreshToken>, Failure> {
    let row = sqlx::query("SELECT * FROM refresh_tokens WHERE hash = $1")
        .bind(&hash.0)
        .fetch_optional(readers)
        .await?;
    let token = |row: &SqliteRow| {
        Ok(RefreshToken {
            hash: TokenHash(row.try_get("hash")?),
            consent_id: parsed(row, "consent_id", "consent id")?,
            expires_at: instant(row, "expires_at")?,
            state: instant_if_any(row, "rotated_at")?
                .map_or(State::Fresh, |at| State::Rotated { at }),
        })
    };
    row.as_ref().map(token).transpose()
}

pub(super) async fn access(
    readers: &SqlitePool,
    hash: &TokenHash,
) -> Result<Option<AccessToken>, Failure> {
    let row = sqlx::query("SELECT * FROM access_tokens WHERE hash = $1")
        .bind(&hash.0)
        .fetch_optional(readers)
        .await?;
    let token = |row: &SqliteRow| {
        Ok(AccessToken {
            hash: TokenHash(row.try_get("hash")?),
            consent_id: parsed(row, "consent_id", "consent id")?,
            issued_at: instant(row, "issued_at")?,
            expires_at: instant(row, "expires_at")?,
        })
    };
    row.as_ref().map(token).transpose()
}

/// Adds a pair of tokens inside of a transaction.
pub(super) async fn add(
    transaction: &mut SqliteConnection,
    refresh: &RefreshToken,
    access: &AccessToken,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO refresh_tokens (hash, consent_id, expires_at, rotated_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(&refresh.hash.0)
    .bind(refresh.consent_id.to_string())
    .bind(micros(refresh.expires_at))
    .bind(rotated_at(refresh))
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO access_tokens (hash, consent_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(&access.hash.0)
    .bind(access.consent_id.to_string())
    .bind(micros(access.issued_at))
    .bind(micros(access.expires_at))
    .execute(transaction)
    .await?;
    Ok(())
}

fn rotated_at(refresh: &RefreshToken) -> Option<i64> {
    match refresh.state {
        State::Fresh => None,
        State::Rotated { at } => Some(micros(at)),
    }
}

pub(super) async fn revoke_access(writer: &SqlitePool, hash: &TokenHash) -> Result<bool, Failure> {
    let done = sqlx::query("DELETE FROM access_tokens WHERE hash = $1")
        .bind(&hash.0)
        .execute(writer)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn add_clients(
    writer: &SqlitePool,
    token: &ClientToken,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    let id = token.client_id.to_string();
    sqlx::query(
        "INSERT INTO client_tokens (hash, client_id, scopes, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&token.hash.0)
    .bind(&id)
    .bind(token.scopes.to_string())
    .bind(micros(token.issued_at))
    .bind(micros(token.expires_at))
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM client_tokens WHERE client_id = $1 AND expires_at < $2")
        .bind(&id)
        .bind(micros(now))
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "DELETE FROM client_tokens WHERE client_id = $1 AND hash NOT IN
             (SELECT hash FROM client_tokens WHERE client_id = $1 ORDER BY expires_at DESC LIMIT $2)",
    )
    .bind(&id)
    .bind(TOKENS_MAX)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn clients(
    readers: &SqlitePool,
    hash: &TokenHash,
) -> Result<Option<ClientToken>, Failure> {
    let row = sqlx::query("SELECT * FROM client_tokens WHERE hash = $1")
        .bind(&hash.0)
        .fetch_optional(readers)
        .await?;
    let token = |row: &SqliteRow| {
        Ok(ClientToken {
            hash: TokenHash(row.try_get("hash")?),
            client_id: parsed(row, "client_id", "client id")?,
            scopes: parsed(row, "scopes", "list of scopes")?,
            issued_at: instant(row, "issued_at")?,
            expires_at: instant(row, "expires_at")?,
        })
    };
    row.as_ref().map(token).transpose()
}

pub(super) async fn revoke_clients(writer: &SqlitePool, hash: &TokenHash) -> Result<bool, Failure> {
    let done = sqlx::query("DELETE FROM client_tokens WHERE hash = $1")
        .bind(&hash.0)
        .execute(writer)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn revoke_all_of_client(
    writer: &SqlitePool,
    client_id: ClientId,
) -> Result<u64, Failure> {
    let done = sqlx::query("DELETE FROM client_tokens WHERE client_id = $1")
        .bind(client_id.to_string())
        .execute(writer)
        .await?;
    Ok(done.rows_affected())
}

/// How long an access token is kept after it expired.
const EXPIRED_KEPT: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn rotate(
    writer: &SqlitePool,
    used: &RefreshToken,
    refresh: &RefreshToken,
    access: &AccessToken,
    now: Timestamp,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    let marked = sqlx::query(
        "UPDATE refresh_tokens SET rotated_at = COALESCE(rotated_at, $1)
         WHERE hash = $2 AND rotated_at IS NOT DISTINCT FROM $3",
    )
    .bind(micros(now))
    .bind(&used.hash.0)
    .bind(rotated_at(used))
    .execute(&mut *transaction)
    .await?;
    // A consent that was revoked since the caller looked took `used` with it; it must not get new tokens.
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    add(&mut transaction, refresh, access).await?;
    let long_expired = now.checked_sub(EXPIRED_KEPT).unwrap_or(Timestamp::MIN);
    for (query, before) in [
        ("DELETE FROM refresh_tokens WHERE expires_at < $1", now),
        ("DELETE FROM access_tokens WHERE expires_at < $1", long_expired),
    ] {
        sqlx::query(query).bind(micros(before)).execute(&mut *transaction).await?;
    }
    for query in [
        "DELETE FROM refresh_tokens WHERE consent_id = $1 AND hash NOT IN
             (SELECT hash FROM refresh_tokens WHERE consent_id = $1 ORDER BY expires_at DESC LIMIT $2)",
        "DELETE FROM access_tokens WHERE consent_id = $1 AND hash NOT IN
             (SELECT hash FROM access_tokens WHERE consent_id = $1 ORDER BY expires_at DESC LIMIT $2)",
    ] {
        sqlx::query(query)
            .bind(refresh.consent_id.to_string())
            .bind(TOKENS_MAX)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn add_signing_key(writer: &SqlitePool, key: &SigningKey) -> Result<(), Failure> {
    sqlx::query("INSERT INTO signing_keys (kid, private_pem, created_at) VALUES ($1, $2, $3)")
        .bind(&key.kid)
        .bind(&key.private_pem)
        .bind(micros(key.created_at))
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn remove_signing_key(writer: &SqlitePool, kid: &str) -> Result<bool, Failure> {
    let done =
        sqlx::query("DELETE FROM signing_keys WHERE kid = $1").bind(kid).execute(writer).await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn signing_keys(readers: &SqlitePool) -> Result<Vec<SigningKey>, Failure> {
    let rows = sqlx::query("SELECT * FROM signing_keys ORDER BY created_at DESC, kid")
        .fetch_all(readers)
        .await?;
    let key = |row: &SqliteRow| {
        Ok(SigningKey {
            kid: row.try_get("kid")?,
            private_pem: row.try_get("private_pem")?,
            created_at: instant(row, "created_at")?,
        })
    };
    rows.iter().map(key).collect()
}
