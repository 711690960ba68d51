//! How many REST requests there were on a day.

use jiff::civil::Date;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::row::parsed;
use super::{Failure, begin};
use crate::directory::DailyRequests;

pub(super) async fn put(
    writer: &SqlitePool,
    day: Date,
    counted: &[DailyRequests],
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    for one in counted {
        sqlx::query(
            "INSERT INTO requests (gcid, client_id, day, requests) SELECT $1, $2, $3, $4
             WHERE EXISTS (SELECT 1 FROM customers WHERE gcid = $1) AND EXISTS (SELECT 1 FROM clients WHERE id = $2)
             ON CONFLICT (gcid, client_id) DO UPDATE SET day = excluded.day, requests = excluded.requests",
        )
        .bind(one.gcid.to_string())
        .bind(one.client_id.to_string())
        .bind(day.to_string())
        .bind(one.requests)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn of(readers: &SqlitePool, day: Date) -> Result<Vec<DailyRequests>, Failure> {
    let rows = sqlx::query("SELECT * FROM requests WHERE day = $1 ORDER BY gcid, client_id")
        .bind(day.to_string())
        .fetch_all(readers)
        .await?;
    let one = |row: &SqliteRow| {
        let requests: i64 = row.try_get("requests")?;
        Ok(DailyRequests {
            gcid: parsed(row, "gcid", "GCID")?,
            client_id: parsed(row, "client_id", "client id")?,
            requests: u32::try_from(requests)
                .map_err(|_| Failure::damaged("number of requests", &requests.to_string()))?,
        })
    };
    rows.iter().map(one).collect()
}
