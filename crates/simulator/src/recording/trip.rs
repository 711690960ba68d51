//! What adds up while driving: kilometres and kilowatt hours.

use jiff::Timestamp;

/// A longer pause between two rows tells nothing of what happened in it, and adds nothing.
const PAUSE_SECONDS_MAX: f64 = 60.0;

/// A rate summed over time, by the trapezium between each two rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Integral {
    last: Option<(Timestamp, f64)>,
    total: f64,
    hours: f64,
}

impl Integral {
    /// The rate is `rate` an hour at `at`; gives what came to the total since the row before.
    pub(super) fn add(&mut self, at: Timestamp, rate: f64) -> f64 {
        let mut grown = 0.0;
        if let Some((before, rate_before)) = self.last {
            let seconds = at.duration_since(before).as_secs_f64();
            if seconds <= PAUSE_SECONDS_MAX {
                let hours = seconds / 3600.0;
                grown = rate_before.midpoint(rate) * hours;
                self.hours += hours;
                self.total += grown;
            }
        }
        self.last = Some((at, rate));
        grown
    }

    /// The sum so far.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// The mean rate so far: after one row, that row's.
    pub(super) fn mean(&self) -> Option<f64> {
        if self.hours > 0.0 {
            Some(self.total / self.hours)
        } else {
            self.last.map(|(_, rate)| rate)
        }
    }
}

/// The vehicle's odometer, which goes on from file to file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Odometer {
    km: f64,
    used: bool,
}

impl Odometer {
    pub(super) fn new(km: f64) -> Self {
        Self { km, used: false }
    }

    /// Drives `km` on and gives what it shows then.
    pub(super) fn drive(&mut self, km: f64) -> f64 {
        self.km += km;
        self.used = true;
        self.km
    }

    /// What has to be added to a recorded odometer that begins with `first`, so that this one does not jump back.
    pub(super) fn offset_for(&self, first: f64) -> f64 {
        if self.used { (self.km - first).max(0.0) } else { 0.0 }
    }

    /// It was read as `km`.
    pub(super) fn set(&mut self, km: f64) {
        self.km = km;
        self.used = true;
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_steady_rate_adds_up_and_a_rising_one_by_its_mean() {
        let mut distance = Integral::default();
        assert!(distance.add(after(0), 36.0).abs() < 1e-12);
        assert!((distance.add(after(10), 36.0) - 0.1).abs() < 1e-12);
        assert!((distance.add(after(20), 72.0) - 0.15).abs() < 1e-12);
        assert!((distance.total() - 0.25).abs() < 1e-12);
        assert!((distance.mean().unwrap() - 45.0).abs() < 1e-9);
    }

    #[test]
    fn a_long_pause_adds_nothing() {
        let mut distance = Integral::default();
        distance.add(after(0), 100.0);
        assert!(distance.add(after(3600), 100.0).abs() < 1e-12);
        assert!((distance.mean().unwrap() - 100.0).abs() < 1e-12);
    }

    #[test]
    fn a_recorded_odometer_is_lifted_only_when_it_would_jump_back() {
        let mut odometer = Odometer::new(0.0);
        assert!(odometer.offset_for(500.0).abs() < 1e-12);
        odometer.set(510.0);
        assert!((odometer.offset_for(500.0) - 10.0).abs() < 1e-12);
        assert!(odometer.offset_for(700.0).abs() < 1e-12);
        assert!((odometer.drive(2.5) - 512.5).abs() < 1e-12);
    }
}
