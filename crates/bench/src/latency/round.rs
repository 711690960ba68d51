//! Rounds with and without what disturbs the readers, in turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::reader::{Course, Tally, read};
use super::replay::{self, Away, Replay};
use super::sender::{self, Door, Sender};
use super::{LatencyError, Others, Plan, ReplayPlan, ReplayReport, Source, message};
use crate::connection::{Client, Socket};
use crate::crew;
use crate::progress::{Progress, Silent};
use crate::target::Target;

/// One round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Round {
    /// How many read slowly.
    pub slow_readers: u64,
    /// What came of the sessions that resumed, if any did.
    pub replay: Option<Replay>,
    /// Of the other readers.
    pub latency: Latency,
    /// Events that were measured, and others that were sent before, so that slow readers are stuck and sessions have a
    /// backlog.
    pub events: u64,
    /// See `events`.
    pub flood: u64,
    /// Messages that a measured reader did not get.
    pub lost: u64,
    /// Messages that a measured reader got again.
    pub duplicates: u64,
    /// Messages that a slow reader of QoS 1 did not get although it read on in the end.
    pub slow_lost: u64,
    /// Events that the server merged because slow readers of QoS 0 did not read them; nothing where it does not tell.
    pub merged_events: Option<u64>,
    /// How late the generator was at the most with sending an event.
    pub sender_late_us: u64,
}

impl Round {
    /// Whether others than the measured readers were there.
    pub(super) fn is_disturbed(&self) -> bool {
        self.slow_readers > 0 || self.replay.is_some()
    }

    /// Messages of QoS 1 that others than the measured readers did not get.
    pub(super) fn lost_by_others(&self) -> u64 {
        self.slow_lost + self.replay.as_ref().map_or(0, |replay| replay.lost)
    }
}

/// From sending to receipt.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Latency {
    /// Messages.
    pub messages: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// One in a hundred took longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What all rounds gave.
pub(super) struct Measured {
    pub(super) rounds: Vec<Round>,
    pub(super) vehicles: usize,
    pub(super) payload_bytes: usize,
}

/// Events that are sent at once before each round, at the least, of all vehicles together: with some 600 bytes each more than what fits
/// between a server and a client that does not read.
const FLOOD: u64 = 800;
/// How long the last messages may take. What is not there then is lost.
const ARRIVED_WITHIN: Duration = Duration::from_secs(30);
/// How often is looked whether all is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Connections that are opened at a time.
const AT_ONCE: u64 = 16;
/// Between the order to send and the first event.
const START: Duration = Duration::from_millis(50);

/// Readers with their tallies.
pub(super) struct Readers {
    pub(super) tallies: Vec<Arc<Tally>>,
    pub(super) reading: JoinSet<Result<(), LatencyError>>,
}

/// A reader that does not read.
struct Slow {
    client: Client,
    tally: Tally,
    qos: u8,
}

/// Runs all rounds.
pub(super) async fn run_all(
    target: &Target,
    source: &Source,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Measured, LatencyError> {
    let doors = sender::doors(target, source).await?;
    let rounds = u64::from(plan.rounds) * if plan.others.is_there() { 2 } else { 1 };
    let vehicles = doors.len() as u64;
    let flood = plan.others.backlog().max(FLOOD).div_ceil(vehicles);
    let events = (u64::from(plan.rate) * plan.duration.as_secs()).div_ceil(vehicles).max(1);
    let vins: Vec<_> = doors.iter().map(|door| door.vin.clone()).collect();
    let events_max = usize::try_from(rounds * (flood + events)).unwrap_or(usize::MAX);
    let course = Arc::new(Course::new(&vins, events_max));
    let mut senders = connect_senders(doors, &course, plan.now).await?;
    progress.begin("connecting readers", plan.clients);
    let clients =
        connect(target, plan.clients, "reader", move |_| (plan.qos, false), progress).await?;
    let mut readers = Readers::start(clients.into_iter().map(|(client, _)| client), &course);

    let mut measured = Vec::new();
    progress.begin("measuring", rounds);
    for number in 0..rounds {
        let others = if number % 2 == 1 { plan.others } else { Others::Nobody };
        let slow_readers = others.slow();
        let merged_before = merged(source).await?;
        let slow = stuck(target, slow_readers, &course).await?;
        let away = Away::leave(target, others.resuming(), &course).await?;
        send(&mut senders, Phase::Flood(flood)).await?;
        let before = readers.wait(&course).await?;
        course.take_latencies();
        let interval =
            Duration::from_secs(1) * u32::try_from(vehicles).unwrap_or(u32::MAX) / plan.rate.max(1);
        let (late, replay) = tokio::join!(
            send(&mut senders, Phase::Paced { interval, events }),
            away.replay(flood * vehicles, &course)
        );
        let (late, replay) = (late?, replay?);
        let measured_only = readers.wait(&course).await?;
        let (lost, duplicates) = (before.0 + measured_only.0, before.1 + measured_only.1);
        let latency = Latency::of(&course.take_latencies());
        let replay = match replay {
            Some(replay) => Some(replay.finish(&course).await?),
            None => None,
        };
        let slow_lost = catch_up(slow, &course).await?;
        let merged_events = match (merged_before, merged(source).await?) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before)),
            _ => None,
        };
        measured.push(Round {
            slow_readers,
            replay,
            latency,
            events: events * vehicles,
            flood: flood * vehicles,
            lost,
            duplicates,
            slow_lost,
            merged_events,
            sender_late_us: u64::try_from(late.as_micros()).unwrap_or(u64::MAX),
        });
        progress.advance(1);
    }
    replay::end_sessions(target, plan.others.resuming()).await?;
    let payload_bytes = message::event(&vins[0], events, plan.now, message::USUAL).len();
    Ok(Measured { rounds: measured, vehicles: vins.len(), payload_bytes })
}

/// Lets sessions be away while events are sent, and come back for them.
pub(super) async fn replay_all(
    target: &Target,
    source: &Source,
    plan: ReplayPlan,
    progress: &Arc<dyn Progress>,
) -> Result<ReplayReport, LatencyError> {
    let doors = sender::doors(target, source).await?;
    let vehicles = doors.len() as u64;
    let each = plan.events.div_ceil(vehicles);
    let vins: Vec<_> = doors.iter().map(|door| door.vin.clone()).collect();
    let events_max = usize::try_from(u64::from(plan.rounds) * each).unwrap_or(usize::MAX);
    let course = Arc::new(Course::new(&vins, events_max));
    let mut senders = connect_senders(doors, &course, plan.now).await?;
    progress.begin("measuring", plan.rounds.into());
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let away = Away::leave(target, plan.sessions, &course).await?;
        send(&mut senders, Phase::Flood(each)).await?;
        if let Some(replaying) = away.replay(each * vehicles, &course).await? {
            rounds.push(replaying.finish(&course).await?);
        }
        progress.advance(1);
    }
    replay::end_sessions(target, plan.sessions).await?;
    let mut speeds: Vec<_> = rounds.iter().map(|round| round.events_per_second).collect();
    speeds.sort_by(f64::total_cmp);
    Ok(ReplayReport {
        target: target.text.to_string(),
        sessions: plan.sessions,
        events: each * vehicles,
        payload_bytes: message::event(&vins[0], each, plan.now, message::USUAL).len(),
        events_per_second: speeds.get(speeds.len() / 2).copied().unwrap_or_default(),
        lost: rounds.iter().map(|round| round.lost).sum(),
        rounds,
    })
}

async fn connect_senders(
    doors: Vec<Door>,
    course: &Arc<Course>,
    began: Timestamp,
) -> Result<Vec<Sender>, LatencyError> {
    let mut senders = Vec::new();
    for (vehicle, door) in doors.into_iter().enumerate() {
        let sender = Sender::connect(door, course, vehicle, began).await;
        senders.push(sender.map_err(LatencyError::Sender)?);
    }
    Ok(senders)
}

/// Connects and subscribes; `how` gives the QoS of each and whether its socket is narrow.
async fn connect(
    target: &Target,
    count: u64,
    name: &'static str,
    how: impl Fn(u64) -> (u8, bool) + Clone + Send + Sync + 'static,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<(Client, u8)>, LatencyError> {
    let target = target.clone();
    let work = move |number: u64| {
        let (target, (qos, narrow)) = (target.clone(), how(number));
        async move {
            let client_id = format!("bench-{name}-{number}");
            let socket = Socket { number, narrow };
            let mut client = Client::connect(&target, socket, &client_id, true).await?;
            client.subscribe(&target.filter(), qos).await?;
            Ok((client, qos))
        }
    };
    crew::each(0..count, AT_ONCE, progress, work).await.map_err(LatencyError::Reader)
}

/// Readers that subscribe and then read nothing.
async fn stuck(target: &Target, count: u64, course: &Course) -> Result<Vec<Slow>, LatencyError> {
    let qos = |number| (u8::from(number % 2 == 1), true);
    let silent: Arc<dyn Progress> = Arc::new(Silent);
    let clients = connect(target, count, "slow", qos, &silent).await?;
    let slow =
        clients.into_iter().map(|(client, qos)| Slow { client, tally: Tally::new(course), qos });
    Ok(slow.collect())
}

/// Lets slow readers of QoS 1 read on, and gives how many messages they did not get in the end.
async fn catch_up(slow: Vec<Slow>, course: &Arc<Course>) -> Result<u64, LatencyError> {
    let lasting = slow.into_iter().filter(|slow| slow.qos == 1);
    let mut readers = Readers { tallies: Vec::new(), reading: JoinSet::new() };
    for Slow { client, tally, .. } in lasting {
        readers.add(client, tally, course);
    }
    let (lost, _) = readers.wait(course).await?;
    // Late by intent, they tell nothing about latency.
    course.take_latencies();
    Ok(lost)
}

enum Phase {
    Flood(u64),
    Paced { interval: Duration, events: u64 },
}

/// Lets all senders send, and gives how late one of them was at the most.
async fn send(senders: &mut Vec<Sender>, phase: Phase) -> Result<Duration, LatencyError> {
    let (count, start) = (senders.len(), Instant::now() + START);
    let mut sending = JoinSet::new();
    for (index, mut sender) in senders.drain(..).enumerate() {
        match phase {
            Phase::Flood(events) => sending.spawn(async move {
                sender.flood(events).await.map(|()| (index, sender, Duration::ZERO))
            }),
            Phase::Paced { interval, events } => {
                // Evenly between each other.
                let share = u32::try_from(index).unwrap_or_default();
                let first = start + interval * share / u32::try_from(count).unwrap_or(1);
                sending.spawn(async move {
                    sender.pace(first, interval, events).await.map(|late| (index, sender, late))
                })
            }
        };
    }
    let mut done = Vec::new();
    while let Some(sent) = sending.join_next().await {
        match sent {
            Ok(sent) => done.push(sent.map_err(LatencyError::Sender)?),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    done.sort_by_key(|(index, ..)| *index);
    let late = done.iter().map(|(.., late)| *late).max().unwrap_or_default();
    senders.extend(done.into_iter().map(|(_, sender, _)| sender));
    Ok(late)
}

/// How many events the server has merged so far; nothing where it does not tell.
async fn merged(source: &Source) -> Result<Option<u64>, LatencyError> {
    let Source::Vehicles { operator, .. } = source else { return Ok(None) };
    Ok(Some(operator.counter("cardata_mqtt_merged_events_total").await?))
}

impl Readers {
    fn start(clients: impl Iterator<Item = Client>, course: &Arc<Course>) -> Self {
        let mut readers = Self { tallies: Vec::new(), reading: JoinSet::new() };
        for client in clients {
            readers.add(client, Tally::new(course), course);
        }
        readers
    }

    fn add(&mut self, client: Client, tally: Tally, course: &Arc<Course>) {
        let tally = Arc::new(tally);
        self.tallies.push(tally.clone());
        let reading = read(client, course.clone(), tally);
        self.reading.spawn(async move { reading.await.map_err(LatencyError::Reader) });
    }

    /// Waits until all that was sent has arrived, and gives how many messages have not, and how many came again, since
    /// this was asked last.
    pub(super) async fn wait(&mut self, course: &Course) -> Result<(u64, u64), LatencyError> {
        self.wait_until(ARRIVED_WITHIN, |tally| tally.outstanding(course) == 0).await?;
        let mut taken = (0, 0);
        for tally in &self.tallies {
            taken.0 += tally.give_up(course) + tally.missing.swap(0, Ordering::Relaxed);
            taken.1 += tally.duplicates.swap(0, Ordering::Relaxed);
        }
        Ok(taken)
    }
}

impl Readers {
    /// Waits until `is_done` holds of each, or for as long as `patience`.
    pub(super) async fn wait_until(
        &mut self,
        patience: Duration,
        is_done: impl Fn(&Tally) -> bool,
    ) -> Result<(), LatencyError> {
        let give_up_at = Instant::now() + patience;
        loop {
            match self.reading.try_join_next() {
                Some(Ok(ended)) => ended?,
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                None => {}
            }
            if self.tallies.iter().all(|tally| is_done(tally)) || Instant::now() >= give_up_at {
                return Ok(());
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        Self {
            messages: latencies.len(),
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            max_us: latencies.max(),
        }
    }
}
