//! Readers: note when each event arrives, and which do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::message;
use crate::connection::{Client, ConnectError};
use crate::packet::{self, Packet, Publish};
use crate::timing::{histogram, nanos};

/// What senders and readers share.
pub(super) struct Course {
    began: Instant,
    pub(super) vehicles: Vec<Vehicle>,
    /// Microseconds from sending to receipt, of the round that goes on.
    latencies: Mutex<Histogram<u64>>,
}

/// A vehicle, and which events it has sent.
pub(super) struct Vehicle {
    pub(super) vin: String,
    /// How many.
    pub(super) sent: AtomicU64,
    /// For each event the nanoseconds after the beginning from which its latency counts; zero for one that is not
    /// measured.
    times: Vec<AtomicU64>,
}

/// How far one reader got with each vehicle, by index.
pub(super) struct Tally {
    next: Vec<AtomicU64>,
    /// Events that were passed over.
    pub(super) missing: AtomicU64,
    /// Events that came again.
    pub(super) duplicates: AtomicU64,
    /// Whether its latencies count.
    measured: bool,
}

impl Course {
    /// For the vehicles `vins`, each of which sends at most `events_max` events.
    pub(super) fn new(vins: &[String], events_max: usize) -> Self {
        let vehicle = |vin: &String| Vehicle {
            vin: vin.clone(),
            sent: AtomicU64::new(0),
            times: std::iter::repeat_with(AtomicU64::default).take(events_max).collect(),
        };
        let latencies = Mutex::new(histogram());
        Self { began: Instant::now(), vehicles: vins.iter().map(vehicle).collect(), latencies }
    }

    /// Notes that a vehicle sends its next event, and gives that its number. Its latency counts from `measured_from`.
    pub(super) fn send(&self, vehicle: usize, measured_from: Option<Instant>) -> u64 {
        let vehicle = &self.vehicles[vehicle];
        let number = vehicle.sent.load(Ordering::Relaxed);
        let nanos = measured_from.map_or(0, |at| nanos(at - self.began));
        let index = usize::try_from(number).expect("fewer events than memory");
        vehicle.times[index].store(nanos, Ordering::Release);
        // After its time, so that whoever knows of the event finds that.
        vehicle.sent.store(number + 1, Ordering::Release);
        number
    }

    /// How many events each vehicle has sent so far.
    pub(super) fn sent(&self) -> Vec<u64> {
        self.vehicles.iter().map(|vehicle| vehicle.sent.load(Ordering::Acquire)).collect()
    }

    pub(super) fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// The latencies since this was asked last.
    pub(super) fn take_latencies(&self) -> Histogram<u64> {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut latencies, histogram())
    }

    /// Takes a message that arrived at `now`.
    fn receive(&self, publish: &Publish, tally: &Tally, now: Instant) {
        let vin = publish.topic.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let known = |vehicle: &Vehicle| vehicle.vin.as_bytes() == vin;
        let Some(index) = self.vehicles.iter().position(known) else { return };
        let Some(number) = message::number(&publish.payload).filter(|_| !publish.retained) else {
            return;
        };
        if !tally.note(index, number) {
            return;
        }
        let times = &self.vehicles[index].times;
        let sent = usize::try_from(number).ok().and_then(|number| times.get(number));
        let sent = sent.map_or(0, |time| time.load(Ordering::Acquire));
        if sent > 0 && tally.measured {
            let micros = nanos(now - self.began).saturating_sub(sent) / 1000;
            let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.saturating_record(micros);
        }
    }
}

impl Tally {
    /// Of a reader that has read nothing yet, and expects what is sent from now on.
    pub(super) fn new(course: &Course) -> Self {
        Self {
            next: course.sent().into_iter().map(AtomicU64::new).collect(),
            missing: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            measured: true,
        }
    }

    /// The same of one that reads later, so that its latencies tell nothing.
    pub(super) fn of_backlog(course: &Course) -> Self {
        Self { measured: false, ..Self::new(course) }
    }

    /// Whether it has got all `sent` events of each vehicle, or later ones.
    pub(super) fn has_got(&self, sent: &[u64]) -> bool {
        self.next.iter().zip(sent).all(|(next, sent)| next.load(Ordering::Acquire) >= *sent)
    }

    /// Notes an event; whether it is a new one.
    fn note(&self, vehicle: usize, number: u64) -> bool {
        let next = &self.next[vehicle];
        let expected = next.load(Ordering::Relaxed);
        if number < expected {
            self.duplicates.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.missing.fetch_add(number - expected, Ordering::Relaxed);
        next.store(number + 1, Ordering::Release);
        true
    }

    /// Waits for nothing more of what was sent so far, and gives how many events that are.
    pub(super) fn give_up(&self, course: &Course) -> u64 {
        let outstanding = self.outstanding(course);
        for (next, vehicle) in self.next.iter().zip(&course.vehicles) {
            next.fetch_max(vehicle.sent.load(Ordering::Acquire), Ordering::AcqRel);
        }
        outstanding
    }

    /// Events that were sent and have not arrived.
    pub(super) fn outstanding(&self, course: &Course) -> u64 {
        let of_vehicle = |(next, vehicle): (&AtomicU64, &Vehicle)| {
            vehicle.sent.load(Ordering::Acquire).saturating_sub(next.load(Ordering::Acquire))
        };
        self.next.iter().zip(&course.vehicles).map(of_vehicle).sum()
    }
}

/// Reads and acknowledges until the connection ends.
///
/// # Errors
/// Always, with why it ended.
pub(super) async fn read(
    mut client: Client,
    course: Arc<Course>,
    tally: Arc<Tally>,
) -> Result<(), ConnectError> {
    let mut acks = BytesMut::new();
    loop {
        let mut packet = Some(client.next().await?);
        let now = Instant::now();
        while let Some(arrived) = packet {
            if let Packet::Publish(publish) = arrived {
                course.receive(&publish, &tally, now);
                if let Some(packet_id) = publish.packet_id {
                    packet::put_puback(packet_id, &mut acks);
                }
            }
            packet = client.take()?;
        }
        if !acks.is_empty() {
            client.send(&acks).await?;
            acks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;

    const VIN: &str = "WBY00000000000001";

    fn message(number: u64) -> Publish {
        Publish {
            topic: Bytes::from(format!("gcid/{VIN}")),
            payload: message::event(VIN, number, Timestamp::UNIX_EPOCH, message::USUAL).into(),
            packet_id: None,
            retained: false,
        }
    }

    #[test]
    fn latencies_count_from_the_time_that_was_noted() {
        let course = Course::new(&[VIN.to_owned()], 10);
        let tally = Tally::new(&course);
        let at = |millis| course.began + Duration::from_millis(millis);
        for measured in [None, Some(at(10)), Some(at(20))] {
            course.send(0, measured);
        }
        assert_eq!(tally.outstanding(&course), 3);
        for (number, arrived) in [(0, 500), (1, 13), (2, 27)] {
            course.receive(&message(number), &tally, at(arrived));
        }
        let latencies = course.take_latencies();
        assert_eq!(latencies.len(), 2);
        assert!(latencies.equivalent(latencies.min(), 3000), "{}", latencies.min());
        assert!(latencies.equivalent(latencies.max(), 7000), "{}", latencies.max());
        assert_eq!((tally.outstanding(&course), course.take_latencies().len()), (0, 0));
    }

    #[test]
    fn a_reader_that_reads_later_has_no_latencies_and_has_got_what_it_read() {
        let course = Course::new(&[VIN.to_owned()], 10);
        let tally = Tally::of_backlog(&course);
        course.send(0, Some(course.began + Duration::from_millis(1)));
        course.send(0, None);
        let backlog = course.sent();
        course.send(0, None);
        course.receive(&message(0), &tally, course.began + Duration::from_secs(1));
        assert!(!tally.has_got(&backlog));
        course.receive(&message(1), &tally, course.began + Duration::from_secs(1));
        assert!(tally.has_got(&backlog) && !tally.has_got(&course.sent()));
        assert_eq!(course.take_latencies().len(), 0);
    }

    #[test]
    fn what_is_passed_over_or_comes_again_is_counted() {
        let course = Course::new(&[VIN.to_owned()], 10);
        course.send(0, None);
        let tally = Tally::new(&course);
        for _ in 0..4 {
            course.send(0, None);
        }
        for number in [1, 3, 3, 2] {
            course.receive(&message(number), &tally, course.began);
        }
        let retained = Publish { retained: true, ..message(0) };
        course.receive(&retained, &tally, course.began);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((read(&tally.missing), read(&tally.duplicates)), (1, 2));
        assert_eq!((tally.outstanding(&course), tally.give_up(&course)), (1, 1));
        assert_eq!(tally.outstanding(&course), 0);
    }
}
