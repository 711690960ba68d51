//! The thread on which all clients live: it connects them, sends events, and counts what arrives.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::client::TlsStream;

use super::tally::Tally;
use super::{Cast, DeliveryError, Door, Load, Plan, Round, Shape, reader};
use crate::connection::{Client, ConnectError, Socket};
use crate::cpu::CpuTime;
use crate::crew;
use crate::latency::message;
use crate::packet;
use crate::process::Process;
use crate::progress::Progress;

/// Connections that are opened at a time.
const AT_ONCE: u64 = 16;
/// A round before those that count, so that whatever is made once is there.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long the last messages may take. What is not there then is lost.
const ARRIVED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// The timer wakes so late at the most when nothing is wrong.
const TIMER_GRAIN: Duration = Duration::from_millis(3);

type Measured = Result<(Vec<Round>, usize), DeliveryError>;

/// Connects everybody, and measures round by round.
pub(super) async fn measure(
    cast: Cast,
    process: Option<Process>,
    plan: Plan,
    progress: Arc<dyn Progress>,
) -> Measured {
    let (process, progress) = (process.as_ref(), &progress);
    let vehicles = cast.vehicles.len();
    let readers_each = match plan.shape {
        Shape::FanOut => u32::try_from(plan.readers).unwrap_or(u32::MAX),
        Shape::Pairs => 1,
    };
    let tally = Rc::new(Tally::new(vehicles, readers_each));
    let readers = connect_readers(&cast, plan, progress).await?;
    let mut reading = JoinSet::new();
    let mut expected = Vec::new();
    for (number, client) in readers {
        let vehicle = of_reader(number, vehicles);
        let next = Rc::new(Cell::new(0));
        expected.push((vehicle, next.clone()));
        reading.spawn_local(reader::read(client, tally.clone(), vehicle, next));
    }
    let values = cast.values;
    let doors = cast.vehicles;
    let mut fleet = Fleet::connect(doors, &tally, plan, values, progress).await?;

    progress.begin("measuring", plan.rounds.into());
    let mut rounds = Vec::new();
    for number in 0..=plan.rounds {
        let is_warm_up = number == 0;
        let duration = if is_warm_up { WARM_UP } else { plan.duration };
        let own = CpuTime::of_thread();
        let server = process.map(CpuTime::of_process).transpose()?;
        let began = Instant::now();
        let events = tokio::select! {
            sent = fleet.send(plan.load, duration) => sent?,
            ended = reading.join_next() => return Err(ended_early(ended)),
        };
        let (messages, seconds) = (tally.messages(), began.elapsed().as_secs_f64());
        let own = own.elapsed();
        let server_each = match (server, process) {
            (Some(server), Some(process)) => {
                let spent = CpuTime::of_process(process)?.since(server);
                #[expect(clippy::cast_precision_loss, reason = "figures for people")]
                Some(spent.as_secs_f64() * 1e6 / messages.max(1) as f64)
            }
            _ => None,
        };
        tokio::select! {
            () = settle(&tally) => {}
            ended = reading.join_next() => return Err(ended_early(ended)),
        }
        // A message that comes later than that is no part of the next round.
        let next = tally.give_up();
        for (vehicle, expects) in &expected {
            expects.set(next[*vehicle]);
        }
        let counted = tally.take();
        if is_warm_up {
            continue;
        }
        if messages == 0 {
            return Err(DeliveryError::Nothing);
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let messages_per_second = messages as f64 / seconds;
        rounds.push(Round {
            events,
            messages: counted.messages,
            seconds,
            messages_per_second,
            p50_us: counted.latencies.value_at_quantile(0.5),
            p99_us: counted.latencies.value_at_quantile(0.99),
            max_us: counted.latencies.max(),
            lost: counted.lost,
            duplicates: counted.duplicates,
            server_cpu_us_each: server_each,
            generator_cpu_share: own.as_secs_f64() / seconds,
        });
        progress.advance(1);
    }
    Ok((rounds, fleet.payload_bytes))
}

/// Waits until all has arrived, or long enough.
async fn settle(tally: &Tally) {
    let give_up_at = Instant::now() + ARRIVED_WITHIN;
    while tally.outstanding() > 0 && Instant::now() < give_up_at {
        sleep(LOOK_INTERVAL).await;
    }
}

fn ended_early(
    ended: Option<Result<Result<(), ConnectError>, tokio::task::JoinError>>,
) -> DeliveryError {
    match ended {
        Some(Ok(Err(error))) => DeliveryError::Reader(error),
        Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        Some(Ok(Ok(()))) | None => DeliveryError::Nothing,
    }
}

/// Which vehicle the reader with this number reads.
fn of_reader(number: u64, vehicles: usize) -> usize {
    usize::try_from(number).unwrap_or_default() % vehicles
}

async fn connect_readers(
    cast: &Cast,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<(u64, Client)>, DeliveryError> {
    progress.begin("connecting readers", plan.readers);
    let accounts: Arc<[_]> = cast.accounts.clone().into();
    let vins: Arc<[String]> = cast.vehicles.iter().map(|door| door.vin.clone()).collect();
    let work = move |number: u64| {
        let account = accounts[of_reader(number, accounts.len())].clone();
        let filter = format!("{}/{}", account.customer, vins[of_reader(number, vins.len())]);
        async move {
            let socket = Socket { number, narrow: false };
            let client_id = format!("bench-reader-{number}");
            let mut client = Client::connect(&account, socket, &client_id, true).await?;
            client.subscribe(&filter, plan.qos).await?;
            Ok((number, client))
        }
    };
    crew::each(0..plan.readers, AT_ONCE, progress, work).await.map_err(DeliveryError::Reader)
}

/// The vehicles that send.
struct Fleet {
    tally: Rc<Tally>,
    vehicles: Vec<Vehicle>,
    /// Whose turn is next.
    next: usize,
    qos: u8,
    values: usize,
    payload_bytes: usize,
    /// The time of day when the tally began.
    began: Timestamp,
}

struct Vehicle {
    vin: String,
    topic: String,
    writer: WriteHalf<TlsStream<TcpStream>>,
    output: BytesMut,
    packet_id: u16,
}

impl Fleet {
    async fn connect(
        doors: Vec<Door>,
        tally: &Rc<Tally>,
        plan: Plan,
        values: usize,
        progress: &Arc<dyn Progress>,
    ) -> Result<Self, DeliveryError> {
        progress.begin("connecting vehicles", doors.len() as u64);
        let first = plan.readers;
        let work = move |(number, door): (u64, Door)| async move {
            let socket = Socket { number: first + number, narrow: false };
            let client_id = format!("bench-vehicle-{}", door.vin);
            let client = Client::connect(&door.target, socket, &client_id, true).await?;
            Ok((number, door, client))
        };
        let doors: Vec<_> = (0..).zip(doors).collect();
        let mut connected =
            crew::each(doors, AT_ONCE, progress, work).await.map_err(DeliveryError::Vehicle)?;
        connected.sort_by_key(|(number, ..)| *number);
        let vehicles = connected.into_iter().map(|(_, door, client)| {
            let (stream, _) = client.into_parts();
            let (reader, writer) = tokio::io::split(stream);
            tokio::task::spawn_local(drain(reader));
            let Door { vin, topic, .. } = door;
            Vehicle { vin, topic, writer, output: BytesMut::new(), packet_id: 0 }
        });
        Ok(Self {
            tally: tally.clone(),
            vehicles: vehicles.collect(),
            next: 0,
            qos: plan.qos,
            values,
            payload_bytes: 0,
            began: plan.now,
        })
    }

    /// Sends for so long, and gives how many events that were.
    async fn send(&mut self, load: Load, duration: Duration) -> Result<u64, DeliveryError> {
        let over = Instant::now() + duration;
        let sent = match load {
            Load::Window(window) => self.send_windows(window, over).await,
            Load::Rate(rate) => self.send_paced(rate, duration).await,
        };
        sent.map_err(|error| DeliveryError::Vehicle(ConnectError::Ended(error)))
    }

    async fn send_windows(&mut self, window: u32, over: Instant) -> io::Result<u64> {
        let mut events = 0;
        let tally = self.tally.clone();
        loop {
            let room = tokio::select! {
                biased;
                room = tally.room(window) => room,
                () = sleep_until(over) => return Ok(events),
            };
            let now = Instant::now();
            if now >= over {
                return Ok(events);
            }
            self.send_now(room, now).await?;
            events += u64::from(room);
            // What arrived meanwhile is to be seen, too.
            tokio::task::yield_now().await;
        }
    }

    async fn send_paced(&mut self, rate: u32, duration: Duration) -> io::Result<u64> {
        let (began, mut events) = (Instant::now(), 0_u64);
        let due_at = |event: u64| began + Duration::from_secs_f64(events_seconds(event, rate));
        let over = began + duration;
        loop {
            let due = due_at(events);
            if due >= over {
                return Ok(events);
            }
            sleep_until(due).await;
            // All that are due by now: a timer has a grain, and what it makes late counts from when it was due.
            let now = Instant::now();
            while due_at(events) <= now && due_at(events) < over {
                let due = due_at(events);
                let late = now.saturating_duration_since(due);
                self.send_now(1, if late > TIMER_GRAIN { due } else { Instant::now() }).await?;
                events += 1;
            }
        }
    }

    /// Lets the next vehicles send so many events, whose latencies count from `from`.
    async fn send_now(&mut self, events: u32, from: Instant) -> io::Result<()> {
        let mut sending = Vec::new();
        for _ in 0..events {
            let index = self.next;
            self.next = (index + 1) % self.vehicles.len();
            if self.vehicles[index].output.is_empty() {
                sending.push(index);
            }
            let number = self.tally.send(index, from);
            let elapsed = SignedDuration::try_from(self.tally.elapsed()).unwrap_or_default();
            let at = self.began.saturating_add(elapsed).unwrap_or(self.began);
            let vehicle = &mut self.vehicles[index];
            let event = message::event(&vehicle.vin, number, at, self.values);
            self.payload_bytes = event.len();
            let packet_id = (self.qos > 0).then(|| {
                vehicle.packet_id = vehicle.packet_id.checked_add(1).unwrap_or(1);
                vehicle.packet_id
            });
            let packet = packet::publish(&vehicle.topic, packet_id, event.as_bytes());
            vehicle.output.extend_from_slice(&packet);
        }
        for index in sending {
            let Vehicle { writer, output, .. } = &mut self.vehicles[index];
            writer.write_all(output).await?;
            writer.flush().await?;
            output.clear();
        }
        Ok(())
    }
}

/// Reads acknowledgements, which tell nothing that the readers' messages don't.
async fn drain(mut reader: ReadHalf<TlsStream<TcpStream>>) {
    let mut input = [0; 512];
    while matches!(reader.read(&mut input).await, Ok(1..)) {}
}

#[expect(clippy::cast_precision_loss, reason = "far fewer events than 2^52")]
fn events_seconds(event: u64, rate: u32) -> f64 {
    event as f64 / f64::from(rate.max(1))
}
