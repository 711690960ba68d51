//! The rule of latest values: the newer value stays, by the entries' own times.

use std::collections::HashMap;
use std::sync::Arc;

use cardata_domain::{DescriptorId, Entry, Event, Recorded, Sequence, Vin};

/// The newest known value of each signal of one vehicle.
#[derive(Debug, Default)]
pub(super) struct LatestValues {
    by_descriptor: HashMap<DescriptorId, (Sequence, Entry)>,
}

impl LatestValues {
    /// Takes `entry` of the event `sequence`, unless a newer one is known: of two with the same time the one appended
    /// later is newer. So the order of calls does not matter.
    pub(super) fn offer(&mut self, sequence: Sequence, entry: &Entry) {
        let known = self.by_descriptor.get(&entry.descriptor());
        if known.is_none_or(|(at, known)| (entry.at(), sequence) > (known.at(), *at)) {
            self.by_descriptor.insert(entry.descriptor(), (sequence, entry.clone()));
        }
    }

    /// Offers all entries of `event`.
    pub(super) fn offer_all(&mut self, sequence: Sequence, event: &Event) {
        for entry in event.entries() {
            self.offer(sequence, entry);
        }
    }

    /// All values, in the order of the catalogue.
    pub(super) fn entries(&self) -> Arc<[Entry]> {
        let mut entries: Vec<_> = self.by_descriptor.values().map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| entry.descriptor());
        entries.into_iter().cloned().collect()
    }

    /// All values as they are after the vehicle's events `next`, of which the last is `until`.
    pub(super) fn known_after<'a>(
        mut self,
        next: impl IntoIterator<Item = &'a Arc<Recorded>>,
        until: Sequence,
    ) -> Known {
        for recorded in next {
            self.offer_all(recorded.sequence, &recorded.event);
        }
        let mut values: Vec<_> = self.by_descriptor.into_values().collect();
        values.sort_unstable_by_key(|(_, entry)| entry.descriptor());
        let (sequences, entries): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        Known { until, sequences, entries: entries.into() }
    }
}

/// The latest values of a vehicle as they were after one of its events.
#[derive(Debug)]
pub(super) struct Known {
    /// The event.
    pub(super) until: Sequence,
    /// With which event each value came.
    sequences: Vec<Sequence>,
    /// The values in the order of the catalogue.
    pub(super) entries: Arc<[Entry]>,
}

impl Known {
    fn size(&self) -> usize {
        1 + self.entries.len()
    }

    /// The same after the vehicle's events `next`, which are all of its events since, up to `until`.
    pub(super) fn after<'a>(
        &self,
        next: impl IntoIterator<Item = &'a Arc<Recorded>>,
        until: Sequence,
    ) -> Self {
        let known = self.sequences.iter().copied().zip(self.entries.iter().cloned());
        let by_descriptor = known.map(|(at, entry)| (entry.descriptor(), (at, entry))).collect();
        LatestValues { by_descriptor }.known_after(next, until)
    }

    /// The values that came with an event after `after`, and with which.
    pub(super) fn since(&self, after: Sequence) -> impl Iterator<Item = (Sequence, &Entry)> {
        let all = self.sequences.iter().copied().zip(&*self.entries);
        all.filter(move |(sequence, _)| *sequence > after)
    }
}

/// The latest values of vehicles that somebody asked for or that told something lately, so that neither the next one who
/// asks nor the next checkpoint waits for the disk.
#[derive(Debug, Default)]
pub(super) struct KnownVehicles {
    size_max: usize,
    size: usize,
    by_vehicle: HashMap<Vin, Arc<Known>>,
}

impl KnownVehicles {
    /// None yet, and never more than `size_max` values and vehicles.
    pub(super) fn new(size_max: usize) -> Self {
        Self { size_max, ..Self::default() }
    }

    /// What is known of `vin`.
    pub(super) fn get(&self, vin: Vin) -> Option<&Arc<Known>> {
        self.by_vehicle.get(&vin)
    }

    /// Keeps what is known of `vin`, unless something newer is. With too many values it begins anew.
    pub(super) fn put(&mut self, vin: Vin, known: Arc<Known>) {
        if self.get(vin).is_some_and(|other| other.until > known.until) {
            return;
        }
        self.forget(vin);
        if self.size + known.size() > self.size_max {
            self.by_vehicle.clear();
            self.size = 0;
        }
        if known.size() <= self.size_max {
            self.size += known.size();
            self.by_vehicle.insert(vin, known);
        }
    }

    /// Knows nothing of `vin` any more.
    pub(super) fn forget(&mut self, vin: Vin) {
        if let Some(known) = self.by_vehicle.remove(&vin) {
            self.size -= known.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use cardata_domain::{Catalogue, Value};
    use jiff::Timestamp;

    use super::*;

    fn known(until: u64, values: usize) -> Arc<Known> {
        let catalogue = Catalogue::shipped();
        let mut latest = LatestValues::default();
        for number in 0..values {
            let signal = catalogue.intern(&format!("vehicle.test{number}")).unwrap();
            let value = Value::integer(1);
            let entry = Entry::new(&catalogue, signal, Timestamp::UNIX_EPOCH, value, None);
            latest.offer(Sequence(until), &entry);
        }
        Arc::new(latest.known_after([], Sequence(until)))
    }

    fn vin(number: u32) -> Vin {
        format!("WBY{number:014}").parse().unwrap()
    }

    #[test]
    fn no_more_values_are_kept_than_allowed() {
        let mut vehicles = KnownVehicles::new(10);
        vehicles.put(vin(1), known(1, 4));
        vehicles.put(vin(2), known(2, 4));
        assert!(vehicles.get(vin(1)).is_some() && vehicles.get(vin(2)).is_some());
        vehicles.put(vin(2), known(3, 4));
        assert!(vehicles.get(vin(1)).is_some(), "the second one came in place of itself");
        vehicles.put(vin(3), known(4, 0));
        assert!(vehicles.get(vin(1)).is_none() && vehicles.get(vin(3)).is_some());
        vehicles.put(vin(4), known(5, 10));
        assert!(vehicles.get(vin(4)).is_none());
    }

    #[test]
    fn what_is_known_of_a_vehicle_never_gets_older() {
        let mut vehicles = KnownVehicles::new(10);
        vehicles.put(vin(1), known(2, 1));
        vehicles.put(vin(1), known(1, 3));
        assert_eq!(vehicles.get(vin(1)).unwrap().until, Sequence(2));
        vehicles.forget(vin(1));
        assert!(vehicles.get(vin(1)).is_none());
        assert_eq!(vehicles.size, 0);
    }
}
