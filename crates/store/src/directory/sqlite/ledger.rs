//! What happened, and how much was sent.

use cardata_domain::Gcid;
use cardata_domain::ledger::Record;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::row::{from_json, instant, micros, parsed, to_json, vin};
use super::{Failure, begin};
use crate::directory::{Channel, Delivery, LedgerQuery};

pub(super) async fn append(writer: &SqlitePool, records: &[Record]) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    append_within(&mut transaction, records).await?;
    transaction.commit().await?;
    Ok(())
}

/// Adds lines inside of a transaction.
pub(super) async fn append_within(
    transaction: &mut SqliteConnection,
    records: &[Record],
) -> Result<(), Failure> {
    for record in records {
        sqlx::query(
            "INSERT INTO ledger (at, actor, gcid, client_id, act, on_consent, detail)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE $3 IS NULL OR EXISTS (SELECT 1 FROM customers WHERE gcid = $3)",
        )
        .bind(micros(record.at))
        .bind(record.actor.as_str())
        .bind(record.gcid.map(|gcid| gcid.to_string()))
        .bind(record.client_id.map(|id| id.to_string()))
        .bind(record.act.as_str())
        .bind(record.act.is_on_consent())
        .bind(to_json(&record.detail)?)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

const OF_ALL: &str =
    "SELECT * FROM ledger WHERE on_consent >= $1 AND number < $2 ORDER BY number DESC LIMIT $3";

// A query of its own: one that leaves the customer open would walk through everybody's lines.
const OF_ONE: &str = "SELECT * FROM ledger WHERE on_consent >= $1 AND number < $2 AND gcid = $4
     ORDER BY number DESC LIMIT $3";

pub(super) async fn read(
    readers: &SqlitePool,
    query: LedgerQuery,
) -> Result<Vec<(u64, Record)>, Failure> {
    let rows = sqlx::query(if query.gcid.is_some() { OF_ONE } else { OF_ALL })
        .bind(query.on_consent)
        .bind(query.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX)))
        .bind(query.limit);
    let rows = match query.gcid {
        Some(gcid) => rows.bind(gcid.to_string()),
        None => rows,
    };
    let rows = rows.fetch_all(readers).await?;
    rows.iter().map(record).collect()
}

const PRUNE: &str = "DELETE FROM ledger WHERE on_consent = 0 AND at < $1";

pub(super) async fn prune(writer: &SqlitePool, before: Timestamp) -> Result<u64, Failure> {
    let done = sqlx::query(PRUNE).bind(micros(before)).execute(writer).await?;
    Ok(done.rows_affected())
}

pub(super) async fn count(writer: &SqlitePool, deliveries: &[Delivery]) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    for delivery in deliveries {
        sqlx::query(
            "INSERT INTO deliveries (gcid, client_id, vin, channel, first_at, last_at, messages)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE EXISTS (SELECT 1 FROM customers WHERE gcid = $1) AND EXISTS (SELECT 1 FROM clients WHERE id = $2)
             ON CONFLICT (gcid, client_id, vin, channel) DO UPDATE SET
                 first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),
                 messages = messages + excluded.messages",
        )
        .bind(delivery.gcid.to_string())
        .bind(delivery.client_id.to_string())
        .bind(delivery.vin.as_str())
        .bind(word(delivery.channel))
        .bind(micros(delivery.first_at))
        .bind(micros(delivery.last_at))
        .bind(i64::try_from(delivery.messages).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn deliveries(readers: &SqlitePool, gcid: Gcid) -> Result<Vec<Delivery>, Failure> {
    let rows =
        sqlx::query("SELECT * FROM deliveries WHERE gcid = $1 ORDER BY client_id, vin, channel")
            .bind(gcid.to_string())
            .fetch_all(readers)
            .await?;
    let delivery = |row: &SqliteRow| {
        let messages: i64 = row.try_get("messages")?;
        Ok(Delivery {
            gcid: parsed(row, "gcid", "GCID")?,
            client_id: parsed(row, "client_id", "client id")?,
            vin: vin(row)?,
            channel: match row.try_get("channel")? {
                "STREAM" => Channel::Stream,
                "REST" => Channel::Rest,
                other => return Err(Failure::damaged("channel", other)),
            },
            first_at: instant(row, "first_at")?,
            last_at: instant(row, "last_at")?,
            messages: u64::try_from(messages)
                .map_err(|_| Failure::damaged("number of messages", &messages.to_string()))?,
        })
    };
    rows.iter().map(delivery).collect()
}

fn word(channel: Channel) -> &'static str {
    match channel {
        Channel::Stream => "STREAM",
        Channel::Rest => "REST",
    }
}

fn record(row: &SqliteRow) -> Result<(u64, Record), Failure> {
    let number: i64 = row.try_get("number")?;
    let number = u64::try_from(number)
        .map_err(|_| Failure::damaged("number of a line", &number.to_string()))?;
    let is_there = |column| Ok::<_, Failure>(row.try_get::<Option<&str>, _>(column)?.is_some());
    let record = Record {
        at: instant(row, "at")?,
        actor: parsed(row, "actor", "actor")?,
        gcid: if is_there("gcid")? { Some(parsed(row, "gcid", "GCID")?) } else { None },
        client_id: if is_there("client_id")? {
            Some(parsed(row, "client_id", "client id")?)
        } else {
            None
        },
        act: parsed(row, "act", "act")?,
        detail: from_json(row, "detail", "JSON object")?,
    };
    Ok((number, record))
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::super::SqliteDirectory;
    use super::*;

    #[tokio::test]
    async fn neither_one_customers_lines_nor_old_ones_are_looked_for_among_all() {
        let directory = SqliteDirectory::in_memory().await.unwrap();
        for (query, index) in [(OF_ONE, "ledger_customer"), (PRUNE, "ledger_at")] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                .fetch_all(&directory.readers)
                .await
                .unwrap();
            let steps: Vec<&str> = plan.iter().map(|step| step.get("detail")).collect();
            let [step] = steps[..] else { panic!("{steps:?}") };
            assert!(step.starts_with("SEARCH ledger USING ") && step.contains(index), "{step}");
        }
    }
}
