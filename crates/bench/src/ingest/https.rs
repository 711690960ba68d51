//! A source that posts JSON lines over HTTPS, on a connection for each vehicle.

use bytes::Bytes;
use cardata_client::http::trusted_roots;
use cardata_client::operator::{Admin, Method};
use cardata_client::ready_file::ReadyFile;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Course, IngestBenchError, Plan, Sent, Speed, all};
use crate::enrolment::Vehicle;
use crate::rest::RestBenchError;
use crate::rest::door::{Connection, Door};

const PATH: &str = "/ingest/v1/events";

/// A source with its key.
pub(super) struct Source {
    name: String,
    door: Door,
}

impl Source {
    pub(super) async fn add(
        ready: &ReadyFile,
        admin: &Admin,
        now: Timestamp,
    ) -> Result<Self, IngestBenchError> {
        let name = format!("cardata bench {}", now.as_millisecond());
        let body = json!({"name": name});
        let added = admin.call(Method::Post, &["sources"], &[], Some(&body)).await?;
        let key = added["key"].as_str().unwrap_or_default();
        let roots = trusted_roots(&ready.ca_file).map_err(RestBenchError::from)?;
        let door = Door::new(&ready.http_url, roots, key)?;
        Ok(Self { name, door })
    }

    pub(super) async fn remove(&self, admin: &Admin) -> Result<(), IngestBenchError> {
        admin.call(Method::Delete, &["sources", &self.name], &[], None).await?;
        Ok(())
    }

    /// Lets as many connections as there are vehicles post for a round, one request at a time each.
    pub(super) async fn post(
        &self,
        vehicles: &[Vehicle],
        plan: Plan,
        course: Course,
    ) -> Result<Speed, IngestBenchError> {
        let mut connections = Vec::new();
        for vehicle in vehicles {
            connections.push((self.door.connect().await?, vehicle.vin.clone()));
        }
        let began = Instant::now();
        let over = began + plan.duration;
        let mut senders = JoinSet::new();
        for (connection, vin) in connections {
            senders.spawn(send(connection, vin, plan.lines, course, over));
        }
        all(senders, began).await
    }
}

async fn send(
    mut connection: Connection,
    vin: String,
    lines: u16,
    mut course: Course,
    over: Instant,
) -> Result<Sent, IngestBenchError> {
    let mut sent = Sent::new();
    loop {
        let sent_at = Instant::now();
        if sent_at >= over {
            return Ok(sent);
        }
        let mut body = String::new();
        for _ in 0..lines {
            body.push_str(&course.next(&vin));
            body.push('\n');
        }
        let answer = connection.post(PATH, Bytes::from(body)).await?;
        let told: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if told["accepted"] != lines || told["repeated"] != 0 {
            return Err(IngestBenchError::NotTaken(told.to_string()));
        }
        sent.acknowledged(lines.into(), sent_at);
    }
}
