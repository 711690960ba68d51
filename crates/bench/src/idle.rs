//! What an idle connection costs: many clients connect, subscribe, and say nothing more.

use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;

use crate::connection::{Client, ConnectError, Socket};
use crate::crew;
use crate::memory::{Memory, bytes_each};
use crate::process::{Process, ProcessError};
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::room::{self, RoomError};
use crate::target::Target;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections that are measured.
    pub connections: u64,
    /// Handshakes at a time.
    pub at_once: u64,
    /// The quality of service of each subscription.
    pub qos: u8,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Its process.
    pub process: Process,
    /// Connections that were measured, and others that were open before, so that what a server makes once for all is no
    /// part of the figures.
    pub connections: u64,
    /// See `connections`.
    pub warm_up: u64,
    /// From the first connection to the last.
    pub seconds: f64,
    /// Connections a second: TCP, TLS, CONNECT and SUBSCRIBE, each answered.
    pub connects_per_second: f64,
    /// With the warm-up's connections only.
    pub before: Memory,
    /// With all of them.
    pub after: Memory,
    /// Resident memory for each connection.
    pub rss_bytes_each: f64,
    /// The same without pages of files.
    pub anonymous_bytes_each: f64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum IdleError {
    /// The system does not allow it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The server can't be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Some connections were opened, and then one was not.
    #[error("connection number {number} failed")]
    Connect {
        /// From 1.
        number: u64,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A connection was there and is no more.
    #[error("{lost} of {connections} connections did not stay open")]
    NotIdle {
        /// Connections that ended.
        lost: usize,
        /// Connections that were opened.
        connections: usize,
        /// Why one of them did.
        #[source]
        source: ConnectError,
    },
}

impl Remedy for IdleError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.remedy(),
            Self::Process(error) => error.remedy(),
            Self::Connect { source, .. } => source.remedy(),
            Self::NotIdle { connections, .. } => {
                let more = connections + 1000;
                Some(format!("start `cardata dev` with --connections-per-client {more}"))
            }
        }
    }
}

/// Connections of the warm-up: so many, or a tenth.
const WARM_UP_MAX: u64 = 100;

/// Opens the connections, looks at the server, and closes them again.
///
/// # Errors
/// [`IdleError`].
pub async fn run(
    target: &Target,
    process: Process,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, IdleError> {
    let warm_up = (plan.connections / 10).clamp(1, WARM_UP_MAX);
    room::check(target, Some(&process), warm_up + plan.connections)?;
    progress.begin("warming up", warm_up);
    let mut clients = open(target, 0, warm_up, plan, progress).await?;
    let before = Memory::at_rest(&process).await?;

    progress.begin("connecting", plan.connections);
    let began = Instant::now();
    clients.append(&mut open(target, warm_up, plan.connections, plan, progress).await?);
    let seconds = began.elapsed().as_secs_f64();
    progress.begin("waiting until the server is at rest", 0);
    let after = Memory::at_rest(&process).await?;
    close(clients, plan.at_once, progress).await?;

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let connects_per_second = plan.connections as f64 / seconds;
    Ok(Report {
        target: target.text.to_string(),
        process,
        connections: plan.connections,
        warm_up,
        seconds,
        connects_per_second,
        before,
        after,
        rss_bytes_each: bytes_each(before.rss_kib, after.rss_kib, plan.connections),
        anonymous_bytes_each: bytes_each(
            before.anonymous_kib,
            after.anonymous_kib,
            plan.connections,
        ),
    })
}

async fn open(
    target: &Target,
    first: u64,
    count: u64,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Client>, IdleError> {
    let target = target.clone();
    let work = move |number: u64| {
        let target = target.clone();
        async move {
            let socket = Socket { number, narrow: false };
            let opened = async {
                let client_id = format!("bench-idle-{number}");
                let mut client = Client::connect(&target, socket, &client_id, true).await?;
                client.subscribe(&target.filter(), plan.qos).await?;
                Ok(client)
            };
            opened.await.map_err(|source| IdleError::Connect { number: number + 1, source })
        }
    };
    crew::each(first..first + count, plan.at_once, progress, work).await
}

/// Closes the connections, each of which has to be there still: what ended costs nothing.
async fn close(
    clients: Vec<Client>,
    at_once: u64,
    progress: &Arc<dyn Progress>,
) -> Result<(), IdleError> {
    let connections = clients.len();
    progress.begin("asking whether all are still there", connections as u64);
    // A failure is an outcome here: it must not keep the others from being asked.
    let work = async |mut client: Client| {
        let ended = client.ping().await.err();
        if ended.is_none() {
            // What happens after the measurement is no part of it.
            let _ = client.disconnect().await;
        }
        Ok::<_, IdleError>(ended)
    };
    let outcomes = crew::each(clients, at_once, progress, work).await?;
    let mut ended: Vec<_> = outcomes.into_iter().flatten().collect();
    let lost = ended.len();
    match ended.pop() {
        None => Ok(()),
        Some(source) => Err(IdleError::NotIdle { lost, connections, source }),
    }
}
