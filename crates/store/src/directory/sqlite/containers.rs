//! Containers, and how many of them there may be.

use cardata_domain::container::{Container, ContainerId, State};
use cardata_domain::{ClientId, Gcid};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{from_json, instant, instant_if_any, micros, parsed, to_json};
use super::{Failure, begin};
use crate::directory::ContainerLimit;

/// Adds a container; false when there are as many as `limit` allows.
pub(super) async fn add(
    writer: &SqlitePool,
    container: &Container,
    limit: ContainerLimit,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    if !has_room(&mut transaction, container, limit).await? {
        return Ok(false);
    }
    let deleted_at = match container.state {
        State::Active => None,
        State::Deleted { at } => Some(micros(at)),
    };
    sqlx::query(
        "INSERT INTO containers (id, gcid, client_id, name, purpose, descriptors, created_at, deleted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(container.id.as_str())
    .bind(container.gcid.to_string())
    .bind(container.client_id.to_string())
    .bind(&container.name)
    .bind(&container.purpose)
    .bind(to_json(&container.descriptors)?)
    .bind(micros(container.created_at))
    .bind(deleted_at)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

async fn has_room(
    transaction: &mut SqliteConnection,
    container: &Container,
    limit: ContainerLimit,
) -> Result<bool, Failure> {
    let (count, max) = match limit {
        ContainerLimit::ActivePerClient(max) => {
            let query = sqlx::query_scalar(
                "SELECT COUNT(*) FROM containers WHERE gcid = $1 AND client_id = $2 AND deleted_at IS NULL",
            );
            (query.bind(container.gcid.to_string()).bind(container.client_id.to_string()), max)
        }
        ContainerLimit::PerCustomer { max, deleted_count_since } => {
            let query = sqlx::query_scalar(
                "SELECT COUNT(*) FROM containers WHERE gcid = $1 AND (deleted_at IS NULL OR deleted_at > $2)",
            );
            (query.bind(container.gcid.to_string()).bind(micros(deleted_count_since)), max)
        }
    };
    let count: i64 = count.fetch_one(transaction).await?;
    Ok(count < i64::from(max))
}

pub(super) async fn by_id(
    readers: &SqlitePool,
    id: ContainerId,
) -> Result<Option<Container>, Failure> {
    let row = sqlx::query("SELECT * FROM containers WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(container).transpose()
}

pub(super) async fn active(
    readers: &SqlitePool,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<Vec<Container>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM containers WHERE gcid = $1 AND client_id = $2 AND deleted_at IS NULL ORDER BY created_at, id",
    )
    .bind(gcid.to_string())
    .bind(client_id.to_string())
    .fetch_all(readers)
    .await?;
    rows.iter().map(container).collect()
}

pub(super) async fn delete(
    writer: &SqlitePool,
    id: ContainerId,
    now: Timestamp,
) -> Result<bool, Failure> {
    let done =
        sqlx::query("UPDATE containers SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL")
            .bind(micros(now))
            .bind(id.as_str())
            .execute(writer)
            .await?;
    Ok(done.rows_affected() > 0)
}

fn container(row: &SqliteRow) -> Result<Container, Failure> {
    Ok(Container {
        id: parsed(row, "id", "container id")?,
        gcid: parsed(row, "gcid", "GCID")?,
        client_id: parsed(row, "client_id", "client id")?,
        name: row.try_get("name")?,
        purpose: row.try_get("purpose")?,
        descriptors: from_json(row, "descriptors", "list of descriptors")?,
        created_at: instant(row, "created_at")?,
        state: instant_if_any(row, "deleted_at")?.map_or(State::Active, |at| State::Deleted { at }),
    })
}
