//! The rule of latest values: the newer value stays, by the entries' own times.

use std::collections::HashMap;

use cardata_domain::{DescriptorId, Entry, Event, Sequence};

/// The newest known value of each signal of one vehicle.
#[derive(Debug, Default)]
pub(super) struct LatestValues {
    by_descriptor: HashMap<DescriptorId, (Sequence, Entry)>,
}

impl LatestValues {
    /// Takes `entry` of the event `sequence`, unless a newer one is known: of two with the same time the one appended
    /// later is newer. Says whether it was taken, so the order of calls does not matter.
    pub(super) fn offer(&mut self, sequence: Sequence, entry: &Entry) -> bool {
        let known = self.by_descriptor.get(&entry.descriptor());
        let newer = known.is_none_or(|(at, known)| (entry.at(), sequence) > (known.at(), *at));
        if newer {
            self.by_descriptor.insert(entry.descriptor(), (sequence, entry.clone()));
        }
        newer
    }

    /// Offers all entries of `event`.
    pub(super) fn offer_all(&mut self, sequence: Sequence, event: &Event) {
        for entry in event.entries() {
            self.offer(sequence, entry);
        }
    }

    /// The value of `descriptor` and the event that it came with.
    pub(super) fn get(&self, descriptor: DescriptorId) -> Option<&(Sequence, Entry)> {
        self.by_descriptor.get(&descriptor)
    }

    /// All values, in the order of the catalogue.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<_> =
            self.by_descriptor.values().map(|(_, entry)| entry.clone()).collect();
        entries.sort_unstable_by_key(Entry::descriptor);
        entries
    }
}
