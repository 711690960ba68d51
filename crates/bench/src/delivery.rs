//! How many messages a server delivers in a second, and what each costs it: one vehicle's events to many readers
//! ([`Shape::FanOut`]), or each vehicle's to a reader of its own ([`Shape::Pairs`]).
//!
//! Vehicles send as soon as enough of what they sent has arrived everywhere (a closed loop, [`Load::Window`]), or at fixed
//! times, however late the events before are (an open loop, [`Load::Rate`]); then a latency counts from when its event
//! was due, so that a stall is not left out of the figures. All clients live on one thread, which can be bound to a
//! processor, so that it is known what is left to the server.

mod generator;
mod reader;
mod sandbox;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use cardata_client::login::{LoginError, StartError};
use cardata_client::operator::{AdminError, ApproveError};
use cardata_client::rest::RestError;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

pub use sandbox::{ENTITLEMENTS_MAX, Sandbox};

use crate::connection::ConnectError;
use crate::enrolment::EnrolmentError;
use crate::latency::message;
use crate::process::{Process, ProcessError};
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::room::{self, RoomError};
use crate::target::Target;
use crate::thread::{self, ThreadError};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Who reads whom.
    pub shape: Shape,
    /// Readers.
    pub readers: u64,
    /// Quality of service of events and subscriptions, 0 or 1.
    pub qos: u8,
    /// When the next event is sent.
    pub load: Load,
    /// Different selections of values among the readers; only a CarData service knows of more than one.
    pub entitlements: u64,
    /// Rounds.
    pub rounds: u32,
    /// How long each round is.
    pub duration: Duration,
    /// The time of day at the start; events carry it on.
    pub now: Timestamp,
}

/// Who reads whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All readers read one vehicle.
    FanOut,
    /// Each reader reads a vehicle of its own.
    Pairs,
}

/// When the next event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// As soon as fewer than so many events have not arrived everywhere.
    Window(u32),
    /// So many in a second, at fixed times.
    Rate(u32),
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Its process, where it is on this machine.
    pub process: Option<Process>,
    /// Vehicles that sent.
    pub vehicles: u64,
    /// Readers.
    pub readers: u64,
    /// Different selections of values among them.
    pub entitlements: u64,
    /// Quality of service.
    pub qos: u8,
    /// Events that had not arrived everywhere, at the most; nothing where events were sent at fixed times.
    pub window: Option<u32>,
    /// Events a second; nothing where events were sent as soon as others had arrived.
    pub rate: Option<u32>,
    /// Bytes of an event as it was sent.
    pub payload_bytes: usize,
    /// The rounds in their order.
    pub rounds: Vec<Round>,
    /// Messages that did not arrive, of all rounds.
    pub lost: u64,
    /// Whether the generator had no time left in some round, so that the server may do more.
    pub generator_was_the_limit: bool,
}

/// One round.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Events that were sent.
    pub events: u64,
    /// Messages that arrived.
    pub messages: u64,
    /// From the first event until the last message that counts.
    pub seconds: f64,
    /// Messages a second.
    pub messages_per_second: f64,
    /// Half of the messages took so many microseconds or fewer.
    pub p50_us: u64,
    /// 99 % did.
    pub p99_us: u64,
    /// All did.
    pub max_us: u64,
    /// Messages that did not arrive.
    pub lost: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Processor time of the server's process for each message, in microseconds; nothing where it is on another machine.
    pub server_cpu_us_each: Option<f64>,
    /// The part of its time in which the generator's thread ran.
    pub generator_cpu_share: f64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The system does not allow it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The server can't be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The generator can't be started.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// A reader is not connected.
    #[error("a reader failed")]
    Reader(#[source] ConnectError),
    /// A vehicle is not connected.
    #[error("a vehicle failed")]
    Vehicle(#[source] ConnectError),
    /// Vehicles could not be made.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The operator's API refused something else.
    #[error("the operator's API refused what the measurement needs")]
    Admin(#[from] AdminError),
    /// The readers are not entitled to the events.
    #[error("the containers for the measurement can't be made")]
    Container(#[from] RestError),
    /// One of many clients was not let in.
    #[error("one of many clients can't log in")]
    Start(#[from] StartError),
    /// The same.
    #[error("the log-in of one of many clients was not approved")]
    Approve(#[from] ApproveError),
    /// The same.
    #[error("one of many clients can't log in")]
    Login(#[from] LoginError),
    /// The stream can't be reached.
    #[error(transparent)]
    Target(#[from] crate::target::TargetError),
    /// Requests can't be sent.
    #[error("cannot set up HTTP")]
    Http(#[source] cardata_client::http::TrustError),
    /// Nothing arrived at all.
    #[error("no message arrived in a round")]
    Nothing,
}

impl Remedy for DeliveryError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.remedy(),
            Self::Process(error) => error.remedy(),
            Self::Reader(error) | Self::Vehicle(error) => error.remedy(),
            Self::Enrolment(error) => error.remedy(),
            Self::Container(RestError::Refused(refusal)) if refusal.id == "CU-124" => {
                Some("cardata container list, then delete one of them".to_owned())
            }
            Self::Nothing => Some("the same with more --seconds".to_owned()),
            _ => None,
        }
    }
}

/// A vehicle before it is connected.
struct Door {
    target: Target,
    vin: String,
    /// Where it publishes.
    topic: String,
}

/// Who takes part.
struct Cast {
    vehicles: Vec<Door>,
    /// The accounts that readers have, in turns.
    accounts: Vec<Target>,
    /// How many values an event has.
    values: usize,
}

/// Of its time; with less left, the generator is what is measured.
pub(crate) const GENERATOR_FULL: f64 = 0.9;

/// Measures `target`: the `sandbox` if it is one, and else any broker that takes everybody. What the sandbox needs for it
/// is made; the vehicles stay, so that they can be used again, and containers and clients go.
///
/// # Errors
/// [`DeliveryError`].
pub async fn run(
    target: &Target,
    process: Option<Process>,
    sandbox: Option<&Sandbox>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, DeliveryError> {
    let vehicles = if plan.shape == Shape::FanOut { 1 } else { plan.readers };
    room::check(target, process.as_ref(), plan.readers + vehicles)?;
    let measured = match sandbox {
        None => measure(plain(target, vehicles), process.as_ref(), plan, progress).await,
        Some(sandbox) => {
            let staged = sandbox.stage(target, vehicles, plan.entitlements, progress).await?;
            let (cast, stage) = staged;
            let measured = measure(cast, process.as_ref(), plan, progress).await;
            // Whether or not that went well; they are of no use to anybody else.
            let cleared = sandbox.clear(stage).await;
            if measured.is_ok() {
                cleared?;
            }
            measured
        }
    };
    let (rounds, payload_bytes) = measured?;
    let (window, rate) = match plan.load {
        Load::Window(window) => (Some(window), None),
        Load::Rate(rate) => (None, Some(rate)),
    };
    Ok(Report {
        target: target.text.to_string(),
        process,
        vehicles,
        readers: plan.readers,
        entitlements: plan.entitlements,
        qos: plan.qos,
        window,
        rate,
        payload_bytes,
        lost: rounds.iter().map(|round| round.lost).sum(),
        generator_was_the_limit: rounds
            .iter()
            .any(|round| round.generator_cpu_share >= GENERATOR_FULL),
        rounds,
    })
}

/// On a broker that takes everybody, vehicles have the readers' account and publish where these read.
fn plain(target: &Target, vehicles: u64) -> Cast {
    let door = |number| {
        let vin = format!("WBYBENCH1{number:08}");
        Door { target: target.clone(), topic: format!("{}/{vin}", target.customer), vin }
    };
    Cast {
        vehicles: (0..vehicles).map(door).collect(),
        accounts: vec![target.clone()],
        values: message::USUAL,
    }
}

async fn measure(
    cast: Cast,
    process: Option<&Process>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<(Vec<Round>, usize), DeliveryError> {
    let (process, progress) = (process.cloned(), progress.clone());
    thread::run(move || generator::measure(cast, process, plan, progress)).await?
}
