//! Events from outside the process: what must hold before one may reach the journal.

pub mod certificates;
pub(crate) mod http;
pub mod mqtt;
pub(crate) mod room;
pub(crate) mod seen;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use cardata_contract::stream::{self, EVENT_LENGTH_MAX, EventError};
use cardata_domain::{Event, Vin};
use cardata_store::directory::{DirectoryError, TokenHash};
use cardata_store::journal::JournalError;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use self::room::Room;
use self::seen::Seen;
use crate::Platform;

/// How far ahead of the server's clock a vehicle's may be. A time far ahead would stay the latest one for good, and hide
/// every later value.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What all senders share.
pub struct Ingest {
    seen: Seen,
    room: Room,
    /// The requests with an idempotency key that are being answered, by sender.
    underway: Mutex<HashSet<(TokenHash, String)>>,
}

impl Ingest {
    /// Takes events from `now` on.
    pub fn new(now: Timestamp) -> Self {
        Self { seen: Seen::new(now), room: Room::default(), underway: Mutex::default() }
    }

    fn underway(&self) -> MutexGuard<'_, HashSet<(TokenHash, String)>> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of events that may be kept; all of them are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Kept {
    new: usize,
    /// They came before.
    repeated: usize,
}

/// Puts `events` into the journal but for those that are there already, and returns when they are on disk. When this is
/// not polled to its end, they may be kept twice.
async fn keep(
    platform: &Platform,
    events: Vec<Event>,
    now: Timestamp,
) -> Result<Kept, JournalError> {
    let seen = &platform.ingest.seen;
    seen.recall(&*platform.journal, events.iter().map(Event::vin), now).await?;
    let mut claim = seen.claim(events, now);
    let (new, repeated) = (std::mem::take(&mut claim.new), claim.repeated);
    let elsewhere = std::mem::take(&mut claim.elsewhere);
    let kept = Kept { new: new.len(), repeated: repeated + elsewhere.len() };
    if !new.is_empty() {
        platform.journal.append(new, now).await?;
    }
    // Only now may others be waited for: they may wait for these.
    claim.kept();
    for digest in elsewhere {
        if !seen.outcome(digest).await {
            return Err(JournalError::Closed);
        }
    }
    Ok(kept)
}

/// Counts events by what became of them.
fn count(source: &'static str, outcome: &'static str, events: usize) {
    metrics::counter!("cardata_ingest_events_total", "source" => source, "outcome" => outcome)
        .increment(events as u64);
}

/// Counts entries that had to be left out of events.
fn count_entries(source: &'static str, entries: usize) {
    metrics::counter!("cardata_ingest_entries_refused_total", "source" => source)
        .increment(entries as u64);
}

/// The routes of ingest over HTTPS.
pub fn routes() -> Router<Arc<Platform>> {
    http::routes()
}

/// Checks the events of one sender at one instant, and remembers which vehicles it met.
struct Intake<'a> {
    platform: &'a Platform,
    /// The vehicles for which the sender may speak; `None` is any.
    own: Option<&'a [Vin]>,
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
    #[error("`vin`: the sender may not report for this vehicle")]
    ForeignVehicle,
    /// Not the event's fault.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl<'a> Intake<'a> {
    fn new(platform: &'a Platform, own: Option<&'a [Vin]>, now: Timestamp) -> Self {
        let latest_allowed = now.checked_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
        Self { platform, own, latest_allowed, known: HashMap::new() }
    }

    /// Reads an event in the stream's own form, and checks what the form can't.
    async fn admit(&mut self, json: &[u8]) -> Result<Admitted, Refusal> {
        if json.len() > EVENT_LENGTH_MAX {
            return Err(Refusal::TooLong(json.len()));
        }
        let parsed = stream::parse(json, &self.platform.catalogue)?;
        let (vin, at) = (parsed.event.vin(), parsed.event.at());
        if self.own.is_some_and(|own| !own.contains(&vin)) {
            return Err(Refusal::ForeignVehicle);
        }
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
