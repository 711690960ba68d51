//! When a row is due.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How many times faster than recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    /// As fast as the server takes the rows.
    Max,
    /// Above 0.
    Factor(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(0.0) => Ok(Self::Max),
            Ok(factor) if factor > 0.0 && factor.is_finite() => Ok(Self::Factor(factor)),
            _ => Err("a speed is a number above 0, such as 1 or 60, or `max`".to_owned()),
        }
    }
}

/// Maps the recording's time to that of the replay.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    /// When the first row happened, and when it was due.
    first: Option<(Timestamp, Instant)>,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, first: None }
    }

    /// When the row that happens `at` is due, unless that is `now` or past.
    ///
    /// The first row is due at once, and each other one by its distance from it, so that a slow answer delays no later
    /// row.
    pub(super) fn due(&mut self, at: Timestamp, now: Instant) -> Option<Instant> {
        let Speed::Factor(factor) = self.speed else { return None };
        let (first_at, first_due) = *self.first.get_or_insert((at, now));
        let seconds = at.duration_since(first_at).as_secs_f64() / factor;
        // A pause beyond what the clock can count is waited for in parts.
        let pause =
            Duration::try_from_secs_f64(seconds.clamp(0.0, YEAR_SECONDS)).unwrap_or_default();
        let due = first_due + pause;
        (due > now).then_some(due)
    }

    /// The replay stood still for so long: all later rows are due later.
    pub(super) fn delay(&mut self, by: Duration) {
        if let Some((_, due)) = &mut self.first {
            *due += by;
        }
    }
}

const YEAR_SECONDS: f64 = 365.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn rows_are_due_by_their_distance_from_the_first_one() {
        let (begin, now) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut pace = Pace::new("60".parse().unwrap());
        assert_eq!(pace.due(begin, now), None);
        let minute = begin + SignedDuration::from_secs(60);
        assert_eq!(pace.due(minute, now), Some(now + Duration::from_secs(1)));
        // Late by half a minute: this one is sent at once, and the one after it is not later than it would have been.
        let late = now + Duration::from_secs(30);
        assert_eq!(pace.due(minute, late), None);
        let hour = begin + SignedDuration::from_hours(1);
        assert_eq!(pace.due(hour, late), Some(now + Duration::from_mins(1)));
        // A row that is earlier than the one before is sent right after it.
        assert_eq!(pace.due(begin, late), None);
    }

    #[test]
    fn a_standstill_is_not_caught_up() {
        let (begin, now) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut pace = Pace::new(Speed::Factor(1.0));
        pace.due(begin, now);
        pace.delay(Duration::from_secs(7));
        let next = begin + SignedDuration::from_secs(1);
        assert_eq!(pace.due(next, now), Some(now + Duration::from_secs(8)));
    }

    #[test]
    fn without_a_pace_every_row_is_due() {
        for text in ["max", "0", "0.0"] {
            let mut pace = Pace::new(text.parse().unwrap());
            let now = Instant::now();
            assert_eq!(pace.due(Timestamp::UNIX_EPOCH, now), None);
            assert_eq!(pace.due(Timestamp::MAX, now), None);
        }
    }

    #[test]
    fn a_pause_of_centuries_is_no_overflow() {
        let mut pace = Pace::new(Speed::Factor(1e-300));
        let now = Instant::now();
        pace.due(Timestamp::MIN, now);
        assert!(pace.due(Timestamp::MAX, now).is_some());
    }

    #[test]
    fn a_speed_is_positive() {
        for wrong in ["-1", "NaN", "inf", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
