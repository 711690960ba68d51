//! How warm the air is.

use std::f64::consts::TAU;

use jiff::Timestamp;

/// What decides the temperature of the air.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// It stays as it is.
    Still,
    /// It follows day and year around a mean, as in the middle of Europe.
    Seasons {
        /// Of the year, or of all days where `yearly` is zero.
        mean_celsius: f64,
        /// How much warmer than that July is.
        yearly_celsius: f64,
    },
}

const DAILY_CELSIUS: f64 = 4.0;
const DAY_SECONDS: f64 = 86_400.0;
/// Midwinter, in days of the year; the coldest hour, in hours of UTC.
const COLDEST_DAY: f64 = 20.0;
const COLDEST_HOUR: f64 = 3.0;

impl Weather {
    pub(crate) const TEMPERATE: Self = Self::Seasons { mean_celsius: 10.0, yearly_celsius: 10.0 };

    /// The temperature `now`, if it is not what it was.
    pub(crate) fn celsius(self, now: Timestamp) -> Option<f64> {
        let Self::Seasons { mean_celsius, yearly_celsius } = self else { return None };
        #[expect(clippy::cast_precision_loss, reason = "seconds of a few thousand years")]
        let days = now.as_second() as f64 / DAY_SECONDS;
        let year = (days - COLDEST_DAY) / 365.2425;
        let day = days - COLDEST_HOUR / 24.0;
        Some(mean_celsius - yearly_celsius * (TAU * year).cos() - DAILY_CELSIUS * (TAU * day).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn july_is_warmer_than_january_and_afternoon_than_night() {
        for (at, expected) in [
            ("2026-01-20T03:00:00Z", -4.0),
            ("2026-01-20T15:00:00Z", 4.0),
            ("2026-07-21T15:00:00Z", 24.0),
        ] {
            let celsius = Weather::TEMPERATE.celsius(at.parse().unwrap()).unwrap();
            assert!((celsius - expected).abs() <= 0.5, "{at}: {celsius}");
        }
    }
}
