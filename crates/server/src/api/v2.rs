//! What the real service does not have, below `/v2` (wire §4.13): the latest values of all vehicles at once, what they
//! were, trips, and events as they come. The same tokens open it, and a client sees no more than on its stream.

pub(super) mod events;
pub(super) mod history;
pub(super) mod latest;
mod parameters;
mod scan;
pub(super) mod trips;
