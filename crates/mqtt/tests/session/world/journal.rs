//! A journal in which a test decides what is synced, what retention drops and when the process crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cardata_domain::{DescriptorId, Entry, Event, Recorded, Sequence, Vin};

/// Events of all vehicles, numbered from 1 without a gap.
#[derive(Default)]
pub(crate) struct FakeJournal {
    /// Every event since the beginning; a number is an index plus 1.
    events: Vec<Arc<Recorded>>,
    synced: Sequence,
    /// Everything up to this number is past its retention.
    dropped: Sequence,
}

impl FakeJournal {
    pub(crate) fn append(&mut self, event: Event) -> Arc<Recorded> {
        let sequence = Sequence(self.newest().0 + 1);
        let recorded = Arc::new(Recorded::new(sequence, self.head(event.vin()), event));
        self.events.push(recorded.clone());
        recorded
    }

    pub(crate) fn read(&self, vin: Vin, after: Sequence, limit: usize) -> Vec<Arc<Recorded>> {
        let after = after.max(self.dropped);
        let wanted = |event: &&Arc<Recorded>| event.event.vin() == vin && event.sequence > after;
        self.events.iter().filter(wanted).take(limit).cloned().collect()
    }

    /// The newest value of each signal by its time, of all events that there ever were.
    pub(crate) fn latest(&self, vin: Vin) -> Vec<Entry> {
        let mut latest: BTreeMap<DescriptorId, Entry> = BTreeMap::new();
        let of_vin = self.events.iter().filter(|event| event.event.vin() == vin);
        for entry in of_vin.flat_map(|event| event.event.entries()) {
            let known = latest.get(&entry.descriptor());
            if known.is_none_or(|known| known.at() <= entry.at()) {
                latest.insert(entry.descriptor(), entry.clone());
            }
        }
        latest.into_values().collect()
    }

    /// The number of the vehicle's newest event, dropped or not.
    pub(crate) fn head(&self, vin: Vin) -> Sequence {
        let newest = self.events.iter().rfind(|event| event.event.vin() == vin);
        newest.map_or(Sequence(0), |event| event.sequence)
    }

    pub(crate) fn newest(&self) -> Sequence {
        Sequence(self.events.len() as u64)
    }

    pub(crate) fn synced(&self) -> Sequence {
        self.synced
    }

    pub(crate) fn sync(&mut self) {
        self.synced = self.newest();
    }

    /// Drops what is synced up to `sequence` and gives all that is dropped.
    pub(crate) fn drop_up_to(&mut self, sequence: Sequence) -> &[Arc<Recorded>] {
        self.dropped = self.dropped.max(sequence.min(self.synced));
        &self.events[..usize::try_from(self.dropped.0).unwrap()]
    }

    /// Loses what was not synced and gives it back; its numbers will be given again.
    pub(crate) fn crash(&mut self) -> Vec<Arc<Recorded>> {
        self.events.split_off(usize::try_from(self.synced.0).unwrap())
    }
}
