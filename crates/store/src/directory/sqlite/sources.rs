//! Programs that report events, and what their requests were answered.

use cardata_domain::Vin;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::row::{from_json, instant, micros, to_json};
use super::{Failure, begin};
use crate::directory::{IngestAnswer, Source, TokenHash};

pub(super) async fn add(writer: &SqlitePool, source: &Source) -> Result<bool, Failure> {
    let vins: Option<Vec<&str>> =
        source.vins.as_ref().map(|vins| vins.iter().map(Vin::as_str).collect());
    let vins = vins.as_ref().map(to_json).transpose()?;
    let done = sqlx::query(
        "INSERT INTO sources (name, key_hash, vins, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(&source.name)
    .bind(&source.key_hash.0)
    .bind(vins)
    .bind(micros(source.created_at))
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<Source>, Failure> {
    let rows = sqlx::query("SELECT * FROM sources ORDER BY name").fetch_all(readers).await?;
    rows.iter().map(source).collect()
}

pub(super) async fn by_key(
    readers: &SqlitePool,
    key_hash: &TokenHash,
) -> Result<Option<Source>, Failure> {
    let row = sqlx::query("SELECT * FROM sources WHERE key_hash = $1")
        .bind(&key_hash.0)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(source).transpose()
}

pub(super) async fn remove(writer: &SqlitePool, name: &str) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query(
        "DELETE FROM ingest_answers WHERE sender IN (SELECT key_hash FROM sources WHERE name = $1)",
    )
    .bind(name)
    .execute(&mut *transaction)
    .await?;
    let done = sqlx::query("DELETE FROM sources WHERE name = $1")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn answer(
    readers: &SqlitePool,
    sender: &TokenHash,
    key: &str,
) -> Result<Option<IngestAnswer>, Failure> {
    let row = sqlx::query("SELECT * FROM ingest_answers WHERE sender = $1 AND key = $2")
        .bind(&sender.0)
        .bind(key)
        .fetch_optional(readers)
        .await?;
    let answer = |row: &SqliteRow| {
        let status: i64 = row.try_get("status")?;
        Ok(IngestAnswer {
            sender: TokenHash(row.try_get("sender")?),
            key: row.try_get("key")?,
            body_hash: TokenHash(row.try_get("body_hash")?),
            status: u16::try_from(status)
                .map_err(|_| Failure::damaged("HTTP status", &status.to_string()))?,
            answer: row.try_get("answer")?,
            kept_at: instant(row, "kept_at")?,
        })
    };
    row.as_ref().map(answer).transpose()
}

pub(super) async fn put_answer(
    writer: &SqlitePool,
    answer: &IngestAnswer,
    before: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query("DELETE FROM ingest_answers WHERE kept_at < $1")
        .bind(micros(before))
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO ingest_answers (sender, key, body_hash, status, answer, kept_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sender, key) DO UPDATE SET
         body_hash = excluded.body_hash, status = excluded.status, answer = excluded.answer, kept_at = excluded.kept_at",
    )
    .bind(&answer.sender.0)
    .bind(&answer.key)
    .bind(&answer.body_hash.0)
    .bind(answer.status)
    .bind(&answer.answer)
    .bind(micros(answer.kept_at))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

fn source(row: &SqliteRow) -> Result<Source, Failure> {
    let mut vins = None;
    if row.try_get::<Option<&str>, _>("vins")?.is_some() {
        let texts: Vec<String> = from_json(row, "vins", "list of VINs")?;
        let parsed = texts
            .iter()
            .map(|text| text.parse().map_err(|_| Failure::damaged_private("VIN", text)));
        vins = Some(parsed.collect::<Result<_, _>>()?);
    }
    Ok(Source {
        name: row.try_get("name")?,
        key_hash: TokenHash(row.try_get("key_hash")?),
        vins,
        created_at: instant(row, "created_at")?,
    })
}
