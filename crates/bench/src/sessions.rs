//! What an offline session costs: many persistent sessions are made and left alone.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

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
pub struct Plan<'a> {
    /// Sessions that are measured.
    pub sessions: u64,
    /// Connections at a time.
    pub at_once: u64,
    /// Begins the sessions' names, so that those of an earlier run are others.
    pub name: &'a str,
    /// After the measurement, wait for so long for the server to be started anew, and look again.
    pub restart: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Its process.
    pub process: Process,
    /// Sessions that were measured, and others that were made before, so that what a server makes once for all is no part
    /// of the figures.
    pub sessions: u64,
    /// See `sessions`.
    pub warm_up: u64,
    /// From the first session to the last.
    pub seconds: f64,
    /// Sessions that were made a second: TCP, TLS, CONNECT, SUBSCRIBE and DISCONNECT.
    pub sessions_per_second: f64,
    /// Before the first one.
    pub at_first: Memory,
    /// With the warm-up's sessions only.
    pub before: Memory,
    /// With all of them, and no connection.
    pub after: Memory,
    /// Resident memory for each session.
    pub rss_bytes_each: f64,
    /// The same without pages of files.
    pub anonymous_bytes_each: f64,
    /// How it looked after the server was started anew.
    pub restarted: Option<Restarted>,
}

/// The server after it was started anew.
#[derive(Debug, Clone, Serialize)]
pub struct Restarted {
    /// The new process.
    pub process: Process,
    /// Its memory once some sessions had been resumed, as many as the warm-up had.
    pub memory: Memory,
    /// What it has more than the first process had before the first session, for each session.
    pub rss_bytes_each: f64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum SessionsError {
    /// The system does not allow it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The server can't be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Some sessions were made, and then one was not.
    #[error("session number {number} failed")]
    Connect {
        /// From 1.
        number: u64,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A session was made and is no more.
    #[error("the server has forgotten session number {number}; it keeps fewer than were made")]
    Forgotten {
        /// From 1.
        number: u64,
    },
    /// The server was to be started anew, and was not.
    #[error("no other process served the port within {} s", .0.as_secs())]
    NotRestarted(Duration),
}

impl Remedy for SessionsError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.remedy(),
            Self::Process(error) => error.remedy(),
            Self::Connect { source, .. } => source.remedy(),
            Self::Forgotten { .. } => Some(
                "start `cardata dev` with --sessions-per-client above the number of all sessions, those of earlier runs \
                 included"
                    .to_owned(),
            ),
            Self::NotRestarted(_) => None,
        }
    }
}

/// Sessions of the warm-up: so many, or a tenth.
const WARM_UP_MAX: u64 = 1000;
/// Sessions of which is asked whether they are still there.
const SAMPLE_MAX: u64 = 100;
/// How often is looked whether the server was started anew.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Makes the sessions and looks at the server. The sessions stay.
///
/// # Errors
/// [`SessionsError`].
pub async fn run(
    target: &Target,
    process: Process,
    plan: Plan<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Report, SessionsError> {
    room::check(target, Some(&process), plan.at_once)?;
    let at_first = Memory::at_rest(&process).await?;
    let warm_up = (plan.sessions / 10).clamp(1, WARM_UP_MAX);
    let all = warm_up + plan.sessions;
    progress.begin("warming up", warm_up);
    make(target, 0..warm_up, plan, progress).await?;
    let before = Memory::at_rest(&process).await?;

    progress.begin("making sessions", plan.sessions);
    let began = Instant::now();
    make(target, warm_up..all, plan, progress).await?;
    let seconds = began.elapsed().as_secs_f64();
    progress.begin("waiting until the server is at rest", 0);
    let after = Memory::at_rest(&process).await?;
    resume_some(target, all, plan, progress).await?;

    let restarted = match plan.restart {
        None => None,
        Some(patience) => {
            progress.begin("waiting for the server to be started anew", 0);
            let process = other_process(target.port(), &process, patience).await?;
            resume_some(target, all, plan, progress).await?;
            let memory = Memory::at_rest(&process).await?;
            let rss_bytes_each = bytes_each(at_first.rss_kib, memory.rss_kib, all);
            Some(Restarted { process, memory, rss_bytes_each })
        }
    };

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let sessions_per_second = plan.sessions as f64 / seconds;
    Ok(Report {
        target: target.text.to_string(),
        process,
        sessions: plan.sessions,
        warm_up,
        seconds,
        sessions_per_second,
        at_first,
        before,
        after,
        rss_bytes_each: bytes_each(before.rss_kib, after.rss_kib, plan.sessions),
        anonymous_bytes_each: bytes_each(before.anonymous_kib, after.anonymous_kib, plan.sessions),
        restarted,
    })
}

/// Makes sessions with one subscription of QoS 1 each and leaves them.
async fn make(
    target: &Target,
    numbers: std::ops::Range<u64>,
    plan: Plan<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<(), SessionsError> {
    let (target, name): (_, Arc<str>) = (target.clone(), plan.name.into());
    let work = move |number: u64| {
        let (target, name) = (target.clone(), name.clone());
        async move {
            let made = async {
                let mut client = connect(&target, &name, number).await?;
                client.subscribe(&target.filter(), 1).await?;
                client.disconnect().await
            };
            made.await.map_err(|source| SessionsError::Connect { number: number + 1, source })
        }
    };
    crew::each(numbers, plan.at_once, progress, work).await.map(drop)
}

/// Connects to some of `count` sessions, which have to be there, and leaves them again.
async fn resume_some(
    target: &Target,
    count: u64,
    plan: Plan<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<(), SessionsError> {
    let sample = count.min(SAMPLE_MAX);
    progress.begin("resuming some of the sessions", sample);
    let (target, name): (_, Arc<str>) = (target.clone(), plan.name.into());
    let work = move |index: u64| {
        let (target, name) = (target.clone(), name.clone());
        let number = index * (count / sample);
        async move {
            let failed = |source| SessionsError::Connect { number: number + 1, source };
            let client = connect(&target, &name, number).await.map_err(failed)?;
            if !client.session_present {
                return Err(SessionsError::Forgotten { number: number + 1 });
            }
            client.disconnect().await.map_err(failed)
        }
    };
    crew::each(0..sample, plan.at_once, progress, work).await.map(drop)
}

async fn connect(target: &Target, name: &str, number: u64) -> Result<Client, ConnectError> {
    // Connections come one after the other, so one address has ports enough for them.
    let client_id = format!("bench-{name}-{number}");
    Client::connect(target, Socket::default(), &client_id, false).await
}

/// The process that serves `port` when `old` no longer does.
async fn other_process(
    port: u16,
    old: &Process,
    patience: Duration,
) -> Result<Process, SessionsError> {
    let give_up_at = Instant::now() + patience;
    loop {
        if let Ok(new) = Process::listening(port, None)
            && new.pid != old.pid
        {
            return Ok(new);
        }
        if Instant::now() >= give_up_at {
            return Err(SessionsError::NotRestarted(patience));
        }
        sleep(LOOK_INTERVAL).await;
    }
}
