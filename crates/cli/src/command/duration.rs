//! Lengths of time on the command line.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads `90s`, `10m`, `1h 30m` or a number of seconds; above nothing, and at most a year.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and a unit, such as 90s, 10m or 1h30m, above 0".to_owned();
    let duration = if let Ok(seconds) = text.parse::<u32>() {
        Duration::from_secs(seconds.into())
    } else {
        let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(signed).map_err(|_| wrong())?
    };
    let possible = Duration::from_millis(1)..=YEAR;
    if possible.contains(&duration) { Ok(duration) } else { Err(wrong()) }
}

const YEAR: Duration = Duration::from_hours(366 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, seconds) in
            [("90s", 90), ("90", 90), ("10m", 600), ("1h 30m", 5400), ("1h30m", 5400)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "0", "0s", "-5s", "soon", "1 fortnight", "400000000"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
