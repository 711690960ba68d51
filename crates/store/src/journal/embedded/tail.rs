//! The newest events in memory: those that are not on disk yet, and some more for readers that lag a little.

use std::collections::VecDeque;
use std::sync::Arc;

use cardata_domain::{Recorded, Sequence};

/// The newest events without a gap, oldest first.
#[derive(Default)]
pub(super) struct Tail {
    events: VecDeque<Arc<Recorded>>,
}

/// What the tail knows of a vehicle's events after some number.
pub(super) struct Recent {
    /// Those in the tail, in order.
    pub(super) events: Vec<Arc<Recorded>>,
    /// The newest event that is not in the tail, if there is one after that number.
    pub(super) older: Option<Sequence>,
}

impl Tail {
    pub(super) fn push(&mut self, event: Arc<Recorded>) {
        debug_assert!(
            self.events.back().is_none_or(|back| back.sequence.0 + 1 == event.sequence.0)
        );
        self.events.push_back(event);
    }

    /// The events after `after` of the vehicle whose newest event is `head`.
    ///
    /// Follows the vehicle's chain back from its head, so it costs no more than the vehicle has events here.
    pub(super) fn of_vehicle(&self, head: Sequence, after: Sequence) -> Recent {
        let mut events = Vec::new();
        let mut next = head;
        while next > after {
            let Some(event) = self.get(next) else { break };
            next = event.previous;
            events.push(event.clone());
        }
        events.reverse();
        Recent { events, older: (next > after).then_some(next) }
    }

    /// All events after `after` and up to `last`, in order.
    pub(super) fn between(&self, after: Sequence, last: Sequence) -> Vec<Arc<Recorded>> {
        let first = self.events.partition_point(|event| event.sequence <= after);
        let end = self.events.partition_point(|event| event.sequence <= last);
        self.events.range(first..end.max(first)).cloned().collect()
    }

    /// Lets go of events up to `last`, but keeps the newest `keep`.
    pub(super) fn trim(&mut self, last: Sequence, keep: usize) {
        while self.events.len() > keep
            && self.events.front().is_some_and(|event| event.sequence <= last)
        {
            self.events.pop_front();
        }
    }

    fn get(&self, sequence: Sequence) -> Option<&Arc<Recorded>> {
        let first = self.events.front()?.sequence.0;
        let place = sequence.0.checked_sub(first)?;
        self.events.get(usize::try_from(place).ok()?)
    }
}
