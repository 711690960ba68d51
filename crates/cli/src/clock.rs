//! The one place that reads the wall clock.

use cardata_server::Clock;
use jiff::Timestamp;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everybody else gets the time from here")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
