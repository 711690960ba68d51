//! Senders: one for each vehicle, at fixed times, however late the answers are.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until, timeout};

use super::reader::Course;
use super::{LatencyError, Source, message};
use crate::connection::{Client, ConnectError, Socket};
use crate::packet::{self, Packet};
use crate::target::Target;

/// A vehicle's connection.
pub(super) struct Sender {
    client: Client,
    course: Arc<Course>,
    vehicle: usize,
    topic: String,
    packet_id: u16,
    /// Events without acknowledgement.
    unacknowledged: u32,
    /// The time of day at the course's beginning.
    began: Timestamp,
}

/// Who sends, before anything is sent.
pub(super) struct Door {
    target: Target,
    pub(super) vin: String,
    topic: String,
}

/// The timer wakes so late at the most when nothing is wrong.
const TIMER_GRAIN: Duration = Duration::from_millis(3);
/// Events of one vehicle that may be unacknowledged while it sends as fast as it can.
const FLOOD_WINDOW: u32 = 32;
/// How long the last acknowledgements may take.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// The doors of all vehicles of `source`.
pub(super) async fn doors(target: &Target, source: &Source) -> Result<Vec<Door>, LatencyError> {
    let mut doors = Vec::new();
    match source {
        Source::Vehicles { ready, vins, .. } => {
            for (vin, number) in vins.iter().zip(1..) {
                let target = Target::vehicle(ready, vin, number).await?;
                let topic = format!("vehicles/{vin}/telemetry");
                doors.push(Door { target, vin: vin.clone(), topic });
            }
        }
        Source::Publishers(count) => {
            for number in 0..*count {
                let vin = format!("WBYBENCH0{number:08}");
                let topic = format!("{}/{vin}", target.customer);
                doors.push(Door { target: target.clone(), vin, topic });
            }
        }
    }
    if doors.is_empty() { Err(LatencyError::NoVehicle) } else { Ok(doors) }
}

impl Sender {
    pub(super) async fn connect(
        door: Door,
        course: &Arc<Course>,
        vehicle: usize,
        began: Timestamp,
    ) -> Result<Self, ConnectError> {
        let client_id = format!("bench-sender-{}", door.vin);
        let client = Client::connect(&door.target, Socket::default(), &client_id, true).await?;
        let (course, topic) = (course.clone(), door.topic);
        Ok(Self { client, course, vehicle, topic, packet_id: 0, unacknowledged: 0, began })
    }

    /// Sends `count` events as fast as they are acknowledged. They are not measured.
    pub(super) async fn flood(&mut self, count: u64) -> Result<(), ConnectError> {
        for _ in 0..count {
            while self.unacknowledged >= FLOOD_WINDOW {
                self.hear().await?;
            }
            self.send(None).await?;
        }
        self.settle().await
    }

    /// Sends `count` measured events, the first at `first` and then one each `interval`, and gives the longest time that
    /// one was late.
    pub(super) async fn pace(
        &mut self,
        first: Instant,
        interval: Duration,
        count: u64,
    ) -> Result<Duration, ConnectError> {
        let mut late_max = Duration::ZERO;
        let mut due = first;
        for _ in 0..count {
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(due) => break,
                    heard = self.client.next() => self.note(&heard?)?,
                }
            }
            let now = Instant::now();
            let late = now.saturating_duration_since(due);
            late_max = late_max.max(late);
            self.send(Some(if late > TIMER_GRAIN { due } else { now })).await?;
            due += interval;
        }
        self.settle().await?;
        Ok(late_max)
    }

    async fn send(&mut self, measured_from: Option<Instant>) -> Result<(), ConnectError> {
        let number = self.course.send(self.vehicle, measured_from);
        let elapsed = SignedDuration::try_from(self.course.elapsed()).unwrap_or_default();
        let at = self.began.saturating_add(elapsed).unwrap_or(self.began);
        let event =
            message::event(&self.course.vehicles[self.vehicle].vin, number, at, message::USUAL);
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        self.unacknowledged += 1;
        self.client
            .send(&packet::publish(&self.topic, Some(self.packet_id), event.as_bytes()))
            .await
    }

    async fn hear(&mut self) -> Result<(), ConnectError> {
        let heard = self.client.next().await?;
        self.note(&heard)
    }

    fn note(&mut self, heard: &Packet) -> Result<(), ConnectError> {
        if *heard != Packet::PubAck {
            return Err(ConnectError::OutOfTurn);
        }
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        Ok(())
    }

    /// Waits until all is acknowledged.
    async fn settle(&mut self) -> Result<(), ConnectError> {
        let all = async {
            while self.unacknowledged > 0 {
                self.hear().await?;
            }
            Ok(())
        };
        timeout(ACKNOWLEDGED_WITHIN, all).await.map_err(|_| ConnectError::Late)?
    }
}
