//! How many clients a server lets in within a second: TCP, a full TLS handshake, CONNECT and its CONNACK, one connection
//! after the other in so many lanes. Each ends with a DISCONNECT before the next one begins.

use std::sync::Arc;

use hdrhistogram::Histogram;
use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;

use crate::connection::{Client, ConnectError, Socket};
use crate::cpu::CpuTime;
use crate::crew;
use crate::delivery::GENERATOR_FULL;
use crate::process::{Process, ProcessError};
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::room::{self, RoomError};
use crate::target::Target;
use crate::thread;
use crate::timing::histogram;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections that are measured.
    pub connections: u64,
    /// Connections at a time.
    pub at_once: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Its process, where it is on this machine.
    pub process: Option<Process>,
    /// Connections.
    pub connections: u64,
    /// How many at a time.
    pub at_once: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Connections a second.
    pub connects_per_second: f64,
    /// Half of them took so many microseconds or fewer, from TCP to CONNACK.
    pub p50_us: u64,
    /// 99 % did.
    pub p99_us: u64,
    /// Processor time of the server's process for each, in microseconds; nothing where it is on another machine.
    pub server_cpu_us_each: Option<f64>,
    /// The part of its time in which the generator's thread ran.
    pub generator_cpu_share: f64,
    /// Whether the generator had no time left, so that the server may do more.
    pub generator_was_the_limit: bool,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum ConnectsError {
    /// The system does not allow it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The server can't be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The generator can't be started.
    #[error(transparent)]
    Thread(#[from] thread::ThreadError),
    /// A client was not let in.
    #[error("connection number {number} failed")]
    Connect {
        /// From 1.
        number: u64,
        /// Why.
        #[source]
        source: ConnectError,
    },
}

impl Remedy for ConnectsError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.remedy(),
            Self::Process(error) => error.remedy(),
            Self::Connect { source, .. } => source.remedy(),
            Self::Thread(_) => None,
        }
    }
}

/// Connections before those that count.
const WARM_UP: u64 = 50;

/// Measures.
///
/// # Errors
/// [`ConnectsError`].
pub async fn run(
    target: &Target,
    process: Option<Process>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, ConnectsError> {
    room::check(target, process.as_ref(), plan.at_once)?;
    let (target, progress) = (target.clone(), progress.clone());
    thread::run(move || measure(target, process, plan, progress)).await?
}

async fn measure(
    target: Target,
    process: Option<Process>,
    plan: Plan,
    progress: Arc<dyn Progress>,
) -> Result<Report, ConnectsError> {
    progress.begin("warming up", WARM_UP);
    lanes(&target, 0..WARM_UP, plan, &progress).await?;
    progress.begin("connecting", plan.connections);
    let own = CpuTime::of_thread();
    let server = process.as_ref().map(CpuTime::of_process).transpose()?;
    let began = Instant::now();
    let took = lanes(&target, WARM_UP..WARM_UP + plan.connections, plan, &progress).await?;
    let seconds = began.elapsed().as_secs_f64();
    let own = own.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let connections = plan.connections as f64;
    let server_cpu_us_each = match (server, &process) {
        (Some(server), Some(process)) => {
            let spent = CpuTime::of_process(process)?.since(server);
            Some(spent.as_secs_f64() * 1e6 / connections)
        }
        _ => None,
    };
    Ok(Report {
        target: target.text.to_string(),
        process,
        connections: plan.connections,
        at_once: plan.at_once,
        seconds,
        connects_per_second: connections / seconds,
        p50_us: took.value_at_quantile(0.5),
        p99_us: took.value_at_quantile(0.99),
        server_cpu_us_each,
        generator_cpu_share: own / seconds,
        generator_was_the_limit: own / seconds >= GENERATOR_FULL,
    })
}

/// Connects and leaves again, and gives how many microseconds each connection took.
async fn lanes(
    target: &Target,
    numbers: std::ops::Range<u64>,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Histogram<u64>, ConnectsError> {
    let target = target.clone();
    let work = move |number: u64| {
        let target = target.clone();
        async move {
            let began = Instant::now();
            let client_id = format!("bench-connect-{number}");
            let failed = |source| ConnectsError::Connect { number: number + 1, source };
            // Each port rests for a minute after its connection, so addresses take turns.
            let socket = Socket { number, narrow: false };
            let client = Client::connect(&target, socket, &client_id, true).await;
            let client = client.map_err(failed)?;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            client.disconnect().await.map_err(failed)?;
            Ok::<u64, ConnectsError>(took)
        }
    };
    let mut all = histogram();
    for took in crew::each(numbers, plan.at_once, progress, work).await? {
        all.saturating_record(took);
    }
    Ok(all)
}
