//! What was sent, what of it has arrived, and how long it took.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::timing::{histogram, nanos};

/// What vehicles and readers share. They live on one thread.
pub(super) struct Tally {
    began: Instant,
    vehicles: Vec<RefCell<Vehicle>>,
    /// Readers of each vehicle.
    readers_each: u32,
    /// Events that have not arrived everywhere.
    outstanding: Cell<u32>,
    /// Told when there is one fewer.
    arrived: Notify,
    messages: Cell<u64>,
    lost: Cell<u64>,
    duplicates: Cell<u64>,
    latencies: RefCell<Histogram<u64>>,
}

/// The events of a vehicle that have not arrived everywhere, and all before them.
#[derive(Default)]
struct Vehicle {
    /// The number of the first one that is left.
    first: u64,
    left: VecDeque<Event>,
}

struct Event {
    /// Nanoseconds after the beginning from which its latency counts.
    from: u64,
    /// Readers that have not got it.
    awaited_by: u32,
}

/// What a round counted.
pub(super) struct Counted {
    pub(super) messages: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) latencies: Histogram<u64>,
}

impl Tally {
    pub(super) fn new(vehicles: usize, readers_each: u32) -> Self {
        Self {
            began: Instant::now(),
            vehicles: std::iter::repeat_with(RefCell::default).take(vehicles).collect(),
            readers_each,
            outstanding: Cell::new(0),
            arrived: Notify::new(),
            messages: Cell::new(0),
            lost: Cell::new(0),
            duplicates: Cell::new(0),
            latencies: RefCell::new(histogram()),
        }
    }

    pub(super) fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// Notes that a vehicle sends its next event, and gives that its number. Its latency counts from `from`.
    pub(super) fn send(&self, vehicle: usize, from: Instant) -> u64 {
        let mut vehicle = self.vehicles[vehicle].borrow_mut();
        let from = nanos(from.saturating_duration_since(self.began));
        vehicle.left.push_back(Event { from, awaited_by: self.readers_each });
        self.outstanding.set(self.outstanding.get() + 1);
        vehicle.first + vehicle.left.len() as u64 - 1
    }

    /// Notes that event `number` of a vehicle arrived at `now` at a reader that expected `next`; gives what it expects
    /// then.
    pub(super) fn receive(&self, vehicle: usize, number: u64, next: u64, now: Instant) -> u64 {
        if number < next {
            self.duplicates.set(self.duplicates.get() + 1);
            return next;
        }
        self.messages.set(self.messages.get() + 1);
        self.lost.set(self.lost.get() + number - next);
        let now = nanos(now.saturating_duration_since(self.began));
        let mut vehicle = self.vehicles[vehicle].borrow_mut();
        // What was passed over won't come any more; nobody must wait for it.
        for passed in next..number {
            vehicle.note(passed);
        }
        if let Some(from) = vehicle.note(number) {
            let micros = now.saturating_sub(from) / 1000;
            self.latencies.borrow_mut().saturating_record(micros);
        }
        let done = vehicle.clear_done();
        if done > 0 {
            self.outstanding.set(self.outstanding.get() - done);
            self.arrived.notify_one();
        }
        number + 1
    }

    pub(super) fn outstanding(&self) -> u32 {
        self.outstanding.get()
    }

    /// Waits until fewer than `window` events are outstanding, and gives how many more may be sent.
    pub(super) async fn room(&self, window: u32) -> u32 {
        loop {
            let room = window.saturating_sub(self.outstanding.get());
            if room > 0 {
                return room;
            }
            self.arrived.notified().await;
        }
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// Waits for nothing more of what was sent so far, and gives the number of each vehicle's next event.
    pub(super) fn give_up(&self) -> Vec<u64> {
        let of_vehicle = |vehicle: &RefCell<Vehicle>| {
            let mut vehicle = vehicle.borrow_mut();
            let missing: u32 = vehicle.left.iter().map(|event| event.awaited_by).sum();
            self.lost.set(self.lost.get() + u64::from(missing));
            vehicle.first += vehicle.left.len() as u64;
            vehicle.left.clear();
            vehicle.first
        };
        let next = self.vehicles.iter().map(of_vehicle).collect();
        self.outstanding.set(0);
        next
    }

    /// What was counted since this was asked last.
    pub(super) fn take(&self) -> Counted {
        Counted {
            messages: self.messages.take(),
            lost: self.lost.take(),
            duplicates: self.duplicates.take(),
            latencies: self.latencies.replace(histogram()),
        }
    }
}

impl Vehicle {
    /// Notes that one more reader has event `number`, and gives from when its latency counts.
    fn note(&mut self, number: u64) -> Option<u64> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let event = self.left.get_mut(index)?;
        event.awaited_by = event.awaited_by.saturating_sub(1);
        Some(event.from)
    }

    /// Forgets the first ones that have arrived everywhere, and gives how many those are.
    fn clear_done(&mut self) -> u32 {
        let mut done = 0;
        while self.left.front().is_some_and(|event| event.awaited_by == 0) {
            self.left.pop_front();
            self.first += 1;
            done += 1;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_event_is_outstanding_until_its_last_reader_has_it() {
        let tally = Tally::new(1, 2);
        let at = |millis| tally.began + Duration::from_millis(millis);
        assert_eq!([tally.send(0, at(1)), tally.send(0, at(2))], [0, 1]);
        assert_eq!(tally.receive(0, 0, 0, at(4)), 1);
        assert_eq!(tally.outstanding(), 2);
        assert_eq!(tally.receive(0, 0, 0, at(6)), 1);
        assert_eq!(tally.outstanding(), 1);
        let counted = tally.take();
        assert_eq!((counted.messages, counted.lost, counted.duplicates), (2, 0, 0));
        assert!(counted.latencies.equivalent(counted.latencies.min(), 3000));
        assert!(counted.latencies.equivalent(counted.latencies.max(), 5000));
    }

    #[test]
    fn what_is_passed_over_or_never_comes_is_lost_and_nobody_waits_for_it() {
        let tally = Tally::new(2, 1);
        for _ in 0..4 {
            tally.send(1, tally.began);
        }
        assert_eq!(tally.receive(1, 2, 0, tally.began), 3);
        assert_eq!(tally.outstanding(), 1);
        assert_eq!(tally.receive(1, 1, 3, tally.began), 3);
        assert_eq!(tally.give_up(), [0, 4]);
        assert_eq!(tally.outstanding(), 0);
        let counted = tally.take();
        assert_eq!((counted.messages, counted.lost, counted.duplicates), (1, 3, 1));
        assert_eq!(tally.receive(1, 3, 4, tally.began), 4, "it came too late");
    }
}
