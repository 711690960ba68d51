//! Sessions that were away while many events were sent, and come back all at once.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::LatencyError;
use super::reader::{Course, Tally, read};
use super::round::Readers;
use crate::apart::Apart;
use crate::connection::{Client, ConnectError, Socket};
use crate::crew;
use crate::progress::{Progress, Silent};
use crate::target::Target;

/// How sessions got what they had missed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Replay {
    /// Sessions that resumed.
    pub sessions: u64,
    /// Events that they had missed, all together.
    pub events: u64,
    /// From the first CONNECT until the last session had got all that it had missed.
    pub seconds: f64,
    /// Events of the replay a second.
    pub events_per_second: f64,
    /// Events that a session did not get, later ones included.
    pub lost: u64,
    /// Events that a session got again.
    pub duplicates: u64,
}

/// Connections that are opened at a time.
const AT_ONCE: usize = 16;
/// How long a replay may take. What is not there then is lost.
const REPLAYED_WITHIN: Duration = Duration::from_mins(5);

/// Persistent sessions of QoS 1 whose clients are away, and what each has got so far.
pub(super) struct Away {
    target: Target,
    tallies: Vec<Arc<Tally>>,
}

impl Away {
    /// Makes `count` sessions that expect what is sent from now on, and leaves them.
    pub(super) async fn leave(
        target: &Target,
        count: u64,
        course: &Course,
    ) -> Result<Self, LatencyError> {
        // Those of an earlier round, or of a run that was broken off, have another backlog.
        end_sessions(target, count).await?;
        let to = target.clone();
        let work = move |number| {
            let target = to.clone();
            async move {
                let mut client = connect(&target, number, false).await?;
                client.subscribe(&target.filter(), 1).await?;
                client.disconnect().await
            }
        };
        for_each_session(count, work).await?;
        let tallies = (0..count).map(|_| Arc::new(Tally::of_backlog(course))).collect();
        Ok(Self { target: target.clone(), tallies })
    }

    /// Lets all of them come back for the `backlog` events that each has missed, and waits until they have them; nothing
    /// if there are no sessions. They go on reading.
    pub(super) async fn replay(
        self,
        backlog: u64,
        course: &Arc<Course>,
    ) -> Result<Option<Replaying>, LatencyError> {
        let sessions = self.tallies.len() as u64;
        if sessions == 0 {
            return Ok(None);
        }
        // What they do all at once must not hold up the readers that are measured: elsewhere they are other machines.
        let apart = Apart::start().map_err(LatencyError::Threads)?;
        let (missed, began) = (course.sent(), Instant::now());
        let mut readers = Readers { tallies: self.tallies, reading: JoinSet::new() };
        let doors = Arc::new(Semaphore::new(AT_ONCE));
        for (tally, number) in readers.tallies.iter().zip(0_u64..) {
            let (target, course, tally) = (self.target.clone(), course.clone(), tally.clone());
            let doors = doors.clone();
            let reading = async move {
                let door = doors.acquire().await;
                let client = connect(&target, number, false).await;
                let client = client.map_err(LatencyError::Reader)?;
                drop(door);
                if !client.session_present {
                    return Err(LatencyError::Forgotten { number: number + 1 });
                }
                read(client, course, tally).await.map_err(LatencyError::Reader)
            };
            readers.reading.spawn_on(reading, apart.handle());
        }
        readers.wait_until(REPLAYED_WITHIN, |tally| tally.has_got(&missed)).await?;
        let (events, seconds) = (sessions * backlog, began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let events_per_second = events as f64 / seconds;
        let replay = Replay { sessions, events, seconds, events_per_second, ..Replay::default() };
        Ok(Some(Replaying { replay, readers, _apart: apart }))
    }
}

/// Sessions that have come back.
pub(super) struct Replaying {
    replay: Replay,
    readers: Readers,
    _apart: Apart,
}

impl Replaying {
    /// Waits until they have got what was sent since, too, and closes their connections.
    pub(super) async fn finish(mut self, course: &Course) -> Result<Replay, LatencyError> {
        let (lost, duplicates) = self.readers.wait(course).await?;
        Ok(Replay { lost, duplicates, ..self.replay })
    }
}

/// Ends the sessions, if they are there.
pub(super) async fn end_sessions(target: &Target, count: u64) -> Result<(), LatencyError> {
    let to = target.clone();
    let work = move |number| {
        let target = to.clone();
        async move { connect(&target, number, true).await?.disconnect().await }
    };
    for_each_session(count, work).await
}

async fn for_each_session<W>(
    count: u64,
    work: impl Fn(u64) -> W + Clone + Send + Sync + 'static,
) -> Result<(), LatencyError>
where
    W: Future<Output = Result<(), ConnectError>> + Send,
{
    let silent: Arc<dyn Progress> = Arc::new(Silent);
    crew::each(0..count, AT_ONCE as u64, &silent, work)
        .await
        .map(drop)
        .map_err(LatencyError::Reader)
}

async fn connect(target: &Target, number: u64, clean: bool) -> Result<Client, ConnectError> {
    let socket = Socket { number, narrow: false };
    Client::connect(target, socket, &format!("bench-away-{number}"), clean).await
}
