//! The newest events in memory: those that are not on disk yet, and some more for readers that lag a little.

use std::collections::VecDeque;
use std::sync::Arc;

use cardata_domain::{Recorded, Sequence};

/// The newest events without a gap, oldest first.
#[derive(Default)]
pub(super) struct Tail {
    places: VecDeque<Place>,
}

/// What is at one number.
pub(super) enum Place {
    Event(Arc<Recorded>),
    /// An event was here. Its vehicle still counts it.
    Forgotten(Sequence),
}

impl Place {
    fn sequence(&self) -> Sequence {
        match self {
            Self::Event(event) => event.sequence,
            Self::Forgotten(sequence) => *sequence,
        }
    }
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
            self.places.back().is_none_or(|back| back.sequence().0 + 1 == event.sequence.0)
        );
        self.places.push_back(Place::Event(event));
    }

    /// The events after `after` of the vehicle whose newest event is `head`.
    ///
    /// Follows the vehicle's chain back from its head, so it costs no more than the vehicle has events here.
    pub(super) fn of_vehicle(&self, head: Sequence, after: Sequence) -> Recent {
        let mut events = Vec::new();
        let mut next = head;
        while next > after {
            match self.place(next).and_then(|place| self.places.get(place)) {
                Some(Place::Event(event)) => {
                    next = event.previous;
                    events.push(event.clone());
                }
                // With all before it.
                Some(Place::Forgotten(..)) => next = after,
                None => break,
            }
        }
        events.reverse();
        Recent { events, older: (next > after).then_some(next) }
    }

    /// Forgets the event `head` and all of the same vehicle before it.
    pub(super) fn forget(&mut self, head: Sequence) {
        let mut next = head;
        while let Some(place) = self.place(next).and_then(|place| self.places.get_mut(place))
            && let Place::Event(event) = place
        {
            let previous = event.previous;
            *place = Place::Forgotten(next);
            next = previous;
        }
    }

    /// Gives away at most `count` events up to `last`, the oldest ones, but keeps the newest `keep`. Whoever gets them drops
    /// them, which takes longer than anybody should wait for what is left here.
    #[must_use]
    pub(super) fn trim(&mut self, last: Sequence, keep: usize, count: usize) -> Vec<Place> {
        let surplus = self.places.len().saturating_sub(keep).min(count);
        let old = self.places.partition_point(|place| place.sequence() <= last);
        self.places.drain(..surplus.min(old)).collect()
    }

    /// Where `sequence` is, or would be after the newest.
    fn place(&self, sequence: Sequence) -> Option<usize> {
        let first = self.places.front()?.sequence().0;
        usize::try_from(sequence.0.checked_sub(first)?).ok()
    }
}
