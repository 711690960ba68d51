//! The wall clock, as an argument.

use jiff::Timestamp;

/// Tells the time of day. The binary's reads the system's clock; tests set theirs.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A clock that stands where it was set, for tests.
#[derive(Debug)]
pub struct FixedClock(std::sync::Mutex<Timestamp>);

impl FixedClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(std::sync::Mutex::new(now))
    }

    /// Sets it to `now`.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
