//! How many events are taken in a second, acknowledged and durable: over MQTT from vehicles with certificates, over HTTPS
//! from a source, by the journal alone, and by any other broker.
//!
//! All of them take the same events, in turns, from as many senders with as much unacknowledged at a time (a closed loop).
//! The journal alone shows what the disk and the log cost: it runs in this process, in a folder beside the server's, and
//! is handed events that were read before.

mod https;
mod journal;
mod vehicles;

use std::sync::Arc;
use std::time::Duration;

use cardata_client::operator::AdminError;
use cardata_client::ready_file::ReadyFile;
use cardata_client::{http::Http, operator::Admin};
use cardata_store::journal::JournalError;
use hdrhistogram::Histogram;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::https::Source;
use self::journal::Bare;
use crate::connection::ConnectError;
use crate::enrolment::{self, EnrolmentError, Vehicle};
use crate::latency::message;
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::rest::RestBenchError;
use crate::target::{Target, TargetError};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Senders, each with a connection.
    pub vehicles: u64,
    /// Events that a sender may have unacknowledged over MQTT, and that are appended at a time to the bare journal.
    pub window: u16,
    /// Events of a request over HTTPS.
    pub lines: u16,
    /// Rounds of each.
    pub rounds: u32,
    /// How long each round is.
    pub duration: Duration,
    /// The time of day at the start.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// The other broker, if there was one.
    pub broker: Option<String>,
    /// Senders.
    pub vehicles: u64,
    /// Events of a sender that were unacknowledged at a time over MQTT.
    pub window: u16,
    /// Events of a request.
    pub lines: u16,
    /// Bytes of an event.
    pub event_bytes: usize,
    /// Seconds of each round.
    pub seconds: f64,
    /// The rounds in their order.
    pub rounds: Vec<Round>,
    /// Medians of the rounds.
    pub ratios: Ratios,
}

/// One round of each, one after the other.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    /// Over MQTT.
    pub mqtt: Speed,
    /// Over HTTPS.
    pub https: Speed,
    /// The journal alone.
    pub journal: Speed,
    /// The other broker.
    pub broker: Option<Speed>,
}

/// How fast events were taken.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Speed {
    /// Events that were acknowledged.
    pub events: u64,
    /// Events a second.
    pub events_per_second: f64,
    /// Half of the acknowledgements took so many microseconds or fewer.
    pub p50_us: u64,
    /// 99 % did.
    pub p99_us: u64,
}

/// Events a second as a share of somebody else's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ratios {
    /// MQTT here, by the journal alone.
    pub mqtt_to_journal: f64,
    /// HTTPS here, by the journal alone.
    pub https_to_journal: f64,
    /// MQTT here, by the other broker.
    pub mqtt_to_broker: Option<f64>,
    /// HTTPS here, by the other broker.
    pub https_to_broker: Option<f64>,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum IngestBenchError {
    /// A vehicle could not be enrolled.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// A source could not be added.
    #[error("the operator's API did not let the source in")]
    Admin(#[from] AdminError),
    /// The listener can't be reached.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A sender's connection failed.
    #[error("a sender was not connected any more")]
    Connection(#[from] ConnectError),
    /// A request failed.
    #[error(transparent)]
    Https(#[from] RestBenchError),
    /// Events were refused, or taken for such as came before.
    #[error("the server did not take all events of a request: {0}")]
    NotTaken(String),
    /// The bare journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The bare journal has no folder.
    #[error("no folder can be made for the bare journal beside {}", .beside.display())]
    Folder {
        /// Beside what.
        beside: std::path::PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The round was too short.
    #[error("nothing was acknowledged in a round")]
    Nothing,
}

impl Remedy for IngestBenchError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.remedy(),
            Self::Https(error) => error.remedy(),
            Self::Enrolment(error) => error.remedy(),
            Self::Nothing => Some("the same with more --seconds".to_owned()),
            _ => None,
        }
    }
}

/// Measures. The vehicles and their certificates, which are good for a day, stay; the source goes.
///
/// # Errors
/// [`IngestBenchError`].
pub async fn run(
    ready: &ReadyFile,
    broker: Option<&Target>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, IngestBenchError> {
    let admin = Admin::new(
        Http::without_tls().map_err(RestBenchError::from)?,
        &ready.admin_url,
        ready.admin_token.clone(),
    );
    let vehicles = enrolment::enrol(ready, &admin, plan.vehicles, progress).await?;
    let source = Source::add(ready, &admin, plan.now).await?;
    let measured = measure(ready, &vehicles, &source, broker, plan, progress).await;
    // Whether or not that went well; its key is of no use to anybody else.
    let removed = source.remove(&admin).await;
    let report = measured?;
    removed?;
    Ok(report)
}

async fn measure(
    ready: &ReadyFile,
    vehicles: &[Vehicle],
    source: &Source,
    broker: Option<&Target>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, IngestBenchError> {
    let bare = Bare::open(&ready.ca_file, vehicles, plan.now).await?;
    let mut rounds = Vec::new();
    let kinds = if broker.is_some() { 4 } else { 3 };
    progress.begin("measuring", u64::from(plan.rounds) * kinds);
    for round in 0..plan.rounds {
        // Each sender goes on where no other has been: an event that came before is not kept twice.
        let course = |kind: u64| Course {
            began: plan.now,
            number: (u64::from(round) * kinds + kind) * NUMBERS_PER_ROUND,
        };
        let mqtt = vehicles::publish(vehicles, None, plan, course(0)).await?;
        progress.advance(1);
        let https = source.post(vehicles, plan, course(1)).await?;
        progress.advance(1);
        let journal = bare.append(plan).await?;
        progress.advance(1);
        let broker = match broker {
            None => None,
            Some(broker) => {
                let taken = vehicles::publish(vehicles, Some(broker), plan, course(3)).await?;
                progress.advance(1);
                Some(taken)
            }
        };
        rounds.push(Round { mqtt, https, journal, broker });
    }
    bare.close().await?;
    let by_journal = |speed: fn(&Round) -> Speed| {
        median(rounds.iter().map(|round| share(speed(round), round.journal)))
    };
    let by_broker = |speed: fn(&Round) -> Speed| {
        let shares: Option<Vec<_>> =
            rounds.iter().map(|round| Some(share(speed(round), round.broker?))).collect();
        shares.map(|shares| median(shares.into_iter()))
    };
    let ratios = Ratios {
        mqtt_to_journal: by_journal(|round| round.mqtt),
        https_to_journal: by_journal(|round| round.https),
        mqtt_to_broker: by_broker(|round| round.mqtt),
        https_to_broker: by_broker(|round| round.https),
    };
    Ok(Report {
        target: ready.http_url.clone(),
        broker: broker.map(|broker| broker.text.to_string()),
        vehicles: plan.vehicles,
        window: plan.window,
        lines: plan.lines,
        event_bytes: vehicles
            .first()
            .map_or(0, |first| course_event(&first.vin, plan.now, 1000).len()),
        seconds: plan.duration.as_secs_f64(),
        rounds,
        ratios,
    })
}

/// Numbers of one sender's events in a round; far more than it sends.
const NUMBERS_PER_ROUND: u64 = 10_000_000;

/// A sender's events: their numbers grow, and each is a microsecond later than the one before.
#[derive(Debug, Clone, Copy)]
struct Course {
    began: Timestamp,
    number: u64,
}

impl Course {
    fn next(&mut self, vin: &str) -> String {
        self.number += 1;
        course_event(vin, self.began, self.number)
    }
}

fn course_event(vin: &str, began: Timestamp, number: u64) -> String {
    let later = SignedDuration::from_micros(i64::try_from(number).unwrap_or(i64::MAX));
    message::event(vin, number, began.checked_add(later).unwrap_or(began), message::USUAL)
}

/// What one sender has to tell.
struct Sent {
    events: u64,
    took: Histogram<u64>,
}

impl Sent {
    fn new() -> Self {
        let took = Histogram::new_with_bounds(1, 120_000_000, 3)
            .expect("constant bounds that are in order");
        Self { events: 0, took }
    }

    /// So many events were acknowledged that were sent at the same time.
    fn acknowledged(&mut self, events: u64, sent_at: Instant) {
        self.events += events;
        let micros = u64::try_from(sent_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took.saturating_record_n(micros, events);
    }
}

/// Lets all senders send until the round is over, and adds up.
async fn all(
    mut senders: JoinSet<Result<Sent, IngestBenchError>>,
    began: Instant,
) -> Result<Speed, IngestBenchError> {
    let mut sum = Sent::new();
    while let Some(done) = senders.join_next().await {
        match done {
            Ok(sent) => {
                let sent = sent?;
                sum.events += sent.events;
                // Both have the same bounds.
                let _ = sum.took.add(sent.took);
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    if sum.events == 0 {
        return Err(IngestBenchError::Nothing);
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let events_per_second = sum.events as f64 / began.elapsed().as_secs_f64();
    Ok(Speed {
        events: sum.events,
        events_per_second,
        p50_us: sum.took.value_at_quantile(0.5),
        p99_us: sum.took.value_at_quantile(0.99),
    })
}

fn share(one: Speed, other: Speed) -> f64 {
    one.events_per_second / other.events_per_second
}

/// The upper one of two.
fn median(shares: impl Iterator<Item = f64>) -> f64 {
    let mut shares: Vec<_> = shares.collect();
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_events_of_a_vehicle_are_the_same() {
        let mut course = Course { began: Timestamp::UNIX_EPOCH, number: 0 };
        let events: std::collections::HashSet<_> =
            (0..100).map(|_| course.next("WBY00000000000001")).collect();
        assert_eq!(events.len(), 100);
    }

    #[test]
    fn the_median_is_that_of_the_rounds() {
        assert!((median([1.0, 9.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!(median(std::iter::empty()).abs() < 1e-9);
    }

    #[tokio::test]
    async fn the_bare_journal_keeps_what_it_is_handed() {
        let folder = tempfile::tempdir().unwrap();
        let vehicle = Vehicle { vin: "WBY00000000000001".to_owned(), target: None };
        let now = Timestamp::UNIX_EPOCH;
        let bare = Bare::open(&folder.path().join("ca.pem"), &[vehicle], now).await.unwrap();
        let duration = Duration::from_millis(20);
        let plan = Plan { vehicles: 1, window: 8, lines: 1, rounds: 1, duration, now };
        let speed = bare.append(plan).await.unwrap();
        assert!(speed.events >= 8 && speed.events.is_multiple_of(8), "{speed:?}");
        bare.close().await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }
}
