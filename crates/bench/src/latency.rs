//! How long an event takes from its vehicle to its readers, with and without others that read slowly, or that come back
//! for what they have missed.
//!
//! Rounds without the others and rounds with them take turns, so that whatever else the machine does meets both. An
//! event is sent when its time has come, however late the ones before it are (an open loop); if the sender itself was held
//! up, its latency counts from the time when it should have been sent, so that a stall is not left out of the figures.

pub(crate) mod message;
mod noise;
mod reader;
mod replay;
mod round;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use cardata_client::operator::{MetricsError, Operator};
use cardata_client::ready_file::ReadyFile;
use cardata_client::rest::{Rest, RestError};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

pub use noise::Verdict;
pub use replay::Replay;
pub use round::{Latency, Round};

use crate::connection::ConnectError;
use crate::process::Process;
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::room::{self, RoomError};
use crate::target::{Target, TargetError};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Readers whose latency is measured.
    pub clients: u64,
    /// Who else is there in every second round.
    pub others: Others,
    /// Events a second, of all vehicles together.
    pub rate: u32,
    /// How long is measured in each round.
    pub duration: Duration,
    /// Rounds without others, and as many with them.
    pub rounds: u32,
    /// The quality of service of the measured readers' subscriptions.
    pub qos: u8,
    /// The time of day at the start; events carry it on.
    pub now: Timestamp,
}

/// Who else is there than the readers that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Nobody.
    Nobody,
    /// So many slow readers: they subscribe like the others and then stop reading, every other one with QoS 0 and QoS 1.
    Slow(u64),
    /// Persistent sessions of QoS 1 that come back while latency is measured.
    Resuming {
        /// How many.
        sessions: u64,
        /// Events that each of them has missed, at the least.
        backlog: u64,
    },
}

impl Others {
    fn is_there(self) -> bool {
        self.slow() + self.resuming() > 0
    }

    fn slow(self) -> u64 {
        if let Self::Slow(readers) = self { readers } else { 0 }
    }

    fn resuming(self) -> u64 {
        if let Self::Resuming { sessions, .. } = self { sessions } else { 0 }
    }

    fn backlog(self) -> u64 {
        if let Self::Resuming { backlog, .. } = self { backlog } else { 0 }
    }
}

/// Whose events, and how they get in.
pub enum Source {
    /// Vehicles of a CarData service publish over their own door, each with its certificate.
    Vehicles {
        /// Where the service is.
        ready: Box<ReadyFile>,
        /// The customer's vehicles, as many of them as have a certificate.
        vins: Vec<String>,
        /// The customer's REST API, for a container with what the events carry.
        rest: Rest,
        /// The operator, who knows how many events were merged.
        operator: Operator,
    },
    /// Publishers with an account like the readers', so many.
    Publishers(usize),
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Its process, where it is on this machine.
    pub process: Option<Process>,
    /// Readers whose latency was measured.
    pub clients: u64,
    /// Slow readers.
    pub slow: u64,
    /// Sessions that resumed.
    pub resuming: u64,
    /// Vehicles.
    pub vehicles: usize,
    /// Events a second.
    pub rate: u32,
    /// Seconds of each round that were measured.
    pub seconds: u64,
    /// Bytes of a message's payload.
    pub payload_bytes: usize,
    /// Quality of service of the measured readers.
    pub qos: u8,
    /// All rounds in their order.
    pub rounds: Vec<Round>,
    /// Whether the others make a difference; nothing without them.
    pub verdict: Option<Verdict>,
    /// Messages that readers of QoS 1 did not get, those who were slow or away included.
    pub lost: u64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum LatencyError {
    /// The system does not allow it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// A vehicle's door is not open.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A reader is not connected.
    #[error("a reader failed")]
    Reader(#[source] ConnectError),
    /// A sender is not connected.
    #[error("a sender of events failed")]
    Sender(#[source] ConnectError),
    /// A session is no more.
    #[error("the server has forgotten session number {number}; it keeps fewer than were made")]
    Forgotten {
        /// From 1.
        number: u64,
    },
    /// The system gives no more threads.
    #[error("threads for the sessions that come back can't be started")]
    Threads(#[source] std::io::Error),
    /// The readers are not entitled to the events.
    #[error("the container for the measurement can't be made")]
    Container(#[from] RestError),
    /// The server's metrics can't be read.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The customer has no vehicles that can send.
    #[error("the customer has no vehicle with a certificate")]
    NoVehicle,
}

impl Remedy for LatencyError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.remedy(),
            Self::Reader(error) | Self::Sender(error) => error.remedy(),
            Self::Forgotten { .. } => {
                Some("start `cardata dev` with a higher --sessions-per-client".to_owned())
            }
            Self::Container(RestError::Refused(refusal)) if refusal.id == "CU-124" => {
                Some("cardata container list, then delete one of them".to_owned())
            }
            _ => None,
        }
    }
}

/// Measures.
///
/// # Errors
/// [`LatencyError`].
pub async fn run(
    target: &Target,
    process: Option<Process>,
    source: &Source,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, LatencyError> {
    room::check(
        target,
        process.as_ref(),
        plan.clients + plan.others.slow() + plan.others.resuming(),
    )?;
    let container = entitle(source).await?;
    let measured = round::run_all(target, source, plan, progress).await;
    let measured = leave(source, container, measured).await?;
    let verdict = plan.others.is_there().then(|| noise::verdict(&measured.rounds));
    Ok(Report {
        target: target.text.to_string(),
        process,
        clients: plan.clients,
        slow: plan.others.slow(),
        resuming: plan.others.resuming(),
        vehicles: measured.vehicles,
        rate: plan.rate,
        seconds: plan.duration.as_secs(),
        payload_bytes: measured.payload_bytes,
        qos: plan.qos,
        lost: measured.rounds.iter().map(|round| round.lost + round.lost_by_others()).sum(),
        rounds: measured.rounds,
        verdict: verdict.flatten(),
    })
}

/// Removes the container, which is of no use to anybody else, whether or not the rounds went well.
async fn leave<T>(
    source: &Source,
    container: Option<String>,
    measured: Result<T, LatencyError>,
) -> Result<T, LatencyError> {
    if let (Source::Vehicles { rest, .. }, Some(container)) = (source, container) {
        let removed = rest.delete_container(&container).await;
        if measured.is_ok() {
            removed?;
        }
    }
    measured
}

/// How often, and how much of, what was missed is replayed.
#[derive(Debug, Clone, Copy)]
pub struct ReplayPlan {
    /// Sessions of QoS 1 that come back.
    pub sessions: u64,
    /// Events that each of them has missed, at the least.
    pub events: u64,
    /// Rounds.
    pub rounds: u32,
    /// The time of day at the start.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// What was measured.
    pub target: String,
    /// Sessions that came back.
    pub sessions: u64,
    /// Events that each had missed.
    pub events: u64,
    /// Bytes of an event.
    pub payload_bytes: usize,
    /// The rounds in their order.
    pub rounds: Vec<Replay>,
    /// The median of the rounds.
    pub events_per_second: f64,
    /// Events that a session did not get.
    pub lost: u64,
}

/// Lets sessions come back for what they have missed, and nobody else is there.
///
/// # Errors
/// [`LatencyError`].
pub async fn replay(
    target: &Target,
    source: &Source,
    plan: ReplayPlan,
    progress: &Arc<dyn Progress>,
) -> Result<ReplayReport, LatencyError> {
    room::check(target, None, plan.sessions)?;
    let container = entitle(source).await?;
    let measured = round::replay_all(target, source, plan, progress).await;
    leave(source, container, measured).await
}

/// Registers a container with what the events carry, and gives its id.
async fn entitle(source: &Source) -> Result<Option<String>, LatencyError> {
    let Source::Vehicles { rest, .. } = source else { return Ok(None) };
    let usual = message::DESCRIPTORS.iter().take(message::USUAL);
    let descriptors: Vec<_> = usual.map(|name| (*name).to_owned()).collect();
    let purpose = "measures how long events take; can be deleted";
    let container = rest.create_container("cardata bench", purpose, &descriptors).await?;
    Ok(Some(container.summary.container_id))
}
