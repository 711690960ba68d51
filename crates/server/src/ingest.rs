//! Events from outside the process: what must hold before one may reach the journal.

pub(crate) mod http;
pub mod mqtt;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use cardata_contract::stream::{self, EVENT_LENGTH_MAX, EventError};
use cardata_domain::{Event, Vin};
use cardata_store::directory::DirectoryError;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::Platform;

/// How far ahead of the server's clock a vehicle's may be. A time far ahead would stay the latest one for good, and hide
/// every later value.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The routes of ingest over HTTPS.
pub fn routes() -> Router<Arc<Platform>> {
    http::routes()
}

/// Checks the events of one sender at one instant, and remembers which vehicles it met.
struct Intake<'a> {
    platform: &'a Platform,
    latest_allowed: Timestamp,
    known: HashMap<Vin, bool>,
}

/// An event that may be appended.
#[derive(Debug)]
struct Admitted {
    event: Event,
    /// The entries that had to be left out, by descriptor, with the reason.
    refused: Vec<(String, String)>,
}

/// Why an event is refused.
#[derive(Debug, Error)]
enum Refusal {
    #[error("an event may have at most {EVENT_LENGTH_MAX} bytes, this one has {0}")]
    TooLong(usize),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("`{what}` is {at}, more than 24 hours ahead of the server's clock")]
    TooFarAhead { what: &'static str, at: Timestamp },
    #[error("`vin`: this service does not know the vehicle")]
    UnknownVehicle,
    /// Not the event's fault.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl<'a> Intake<'a> {
    fn new(platform: &'a Platform, now: Timestamp) -> Self {
        let latest_allowed = now.checked_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
        Self { platform, latest_allowed, known: HashMap::new() }
    }

    /// Reads an event in the stream's own form, and checks what the form can't.
    async fn admit(&mut self, json: &[u8]) -> Result<Admitted, Refusal> {
        if json.len() > EVENT_LENGTH_MAX {
            return Err(Refusal::TooLong(json.len()));
        }
        let parsed = stream::parse(json, &self.platform.catalogue)?;
        let (vin, at) = (parsed.event.vin(), parsed.event.at());
        if at > self.latest_allowed {
            return Err(Refusal::TooFarAhead { what: "timestamp", at });
        }
        if !self.knows(vin).await? {
            return Err(Refusal::UnknownVehicle);
        }
        let mut refused: Vec<_> =
            parsed.refused.into_iter().map(|(name, error)| (name, error.to_string())).collect();
        if parsed.event.entries().iter().all(|entry| entry.at() <= self.latest_allowed) {
            return Ok(Admitted { event: parsed.event, refused });
        }
        let mut kept = Vec::new();
        for entry in parsed.event.entries() {
            let at = entry.at();
            if at <= self.latest_allowed {
                kept.push(entry.clone());
            } else {
                let name = self.platform.catalogue.descriptor(entry.descriptor()).name.to_string();
                refused.push((name, Refusal::TooFarAhead { what: "timestamp", at }.to_string()));
            }
        }
        match Event::new(vin, at, kept) {
            Ok(event) => Ok(Admitted { event, refused }),
            Err(_) => Err(Refusal::TooFarAhead {
                what: "data.*.timestamp",
                at: parsed.event.entries()[0].at(),
            }),
        }
    }

    async fn knows(&mut self, vin: Vin) -> Result<bool, DirectoryError> {
        if let Some(known) = self.known.get(&vin) {
            return Ok(*known);
        }
        let known = self.platform.directory.vehicle(vin).await?.is_some();
        self.known.insert(vin, known);
        Ok(known)
    }
}
