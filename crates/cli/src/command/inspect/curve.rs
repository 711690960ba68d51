//! How a number went over time, in a line of eighths.

use jiff::Timestamp;

/// Stretches of time that are told apart: more than a terminal has columns for.
const STRETCHES: i64 = 256;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The mean of each stretch of time. Stretches begin short and double when they no longer reach, so that any recording
/// takes the same little memory.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    begin: Timestamp,
    stretch_us: i64,
    /// The sum and the number of the values in each.
    sums: Vec<(f64, u32)>,
}

impl Curve {
    pub(super) fn new(begin: Timestamp) -> Self {
        Self { begin, stretch_us: 1000, sums: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Timestamp, number: f64) {
        let since_us = at.as_microsecond().saturating_sub(self.begin.as_microsecond()).max(0);
        let mut index = since_us / self.stretch_us;
        while index >= STRETCHES {
            let pairs = self.sums.chunks(2);
            self.sums = pairs
                .map(|pair| {
                    pair.iter()
                        .fold((0.0, 0), |(sum, count), (more, times)| (sum + more, count + times))
                })
                .collect();
            self.stretch_us = self.stretch_us.saturating_mul(2);
            index = since_us / self.stretch_us;
        }
        let index = usize::try_from(index).expect("a stretch has a small number, and none below 0");
        if self.sums.len() <= index {
            self.sums.resize(index + 1, (0.0, 0));
        }
        let (sum, count) = &mut self.sums[index];
        *sum += number;
        *count = count.saturating_add(1);
    }

    /// The curve from its begin to `end`, in as many columns, blank before the first value. A value holds until the next.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "columns and eighths are small, and times need no more than a column's precision"
    )]
    pub(super) fn draw(&self, end: Timestamp, columns: usize) -> String {
        let length_us = end.as_microsecond().saturating_sub(self.begin.as_microsecond()).max(1);
        let mut means = vec![(0.0, 0_u32); columns];
        for (index, (sum, count)) in self.sums.iter().enumerate() {
            let middle_us = (index as f64 + 0.5) * self.stretch_us as f64;
            let column = (middle_us / length_us as f64 * columns as f64) as usize;
            let mean = &mut means[column.min(columns - 1)];
            *mean = (mean.0 + sum, mean.1 + count);
        }
        let means: Vec<_> = means
            .into_iter()
            .map(|(sum, count)| (count > 0).then(|| sum / f64::from(count)))
            .collect();
        let known = means.iter().flatten();
        let (min, max) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), mean| {
            (min.min(*mean), max.max(*mean))
        });
        let bar = |mean: f64| {
            if max > min {
                // As shares of the range, each of which may be too wide for a number of its own.
                let share = (mean / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0);
                BARS[((share * 8.0) as usize).min(7)]
            } else {
                BARS[3]
            }
        };
        let mut value = None;
        let hold = |mean: Option<f64>| {
            value = mean.or(value);
            value.map_or(' ', bar)
        };
        if self.sums.is_empty() { String::new() } else { means.into_iter().map(hold).collect() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn drawn(values: &[(i64, f64)], end: i64, columns: usize) -> String {
        let mut curve = Curve::new(after(0));
        for (second, number) in values {
            curve.add(after(*second), *number);
        }
        curve.draw(after(end), columns)
    }

    #[test]
    fn a_curve_rises_and_falls_with_its_numbers() {
        let values: Vec<_> =
            (0..8).map(|step| (i64::from(2 * step + 1), f64::from(step))).collect();
        assert_eq!(drawn(&values, 16, 8), "▁▂▃▄▅▆▇█");
        let back: Vec<_> = (0..80_000).map(|second| (second.into(), f64::from(-second))).collect();
        assert_eq!(drawn(&back, 80_000, 8), "█▇▆▅▄▃▂▁");
    }

    #[test]
    fn a_value_holds_until_the_next_and_a_level_is_level() {
        assert_eq!(drawn(&[(1, 5.0), (3, 5.0)], 4, 4), " ▄▄▄");
        assert_eq!(drawn(&[(0, 1.0), (3, 5.0)], 4, 4), "▁▁▁█");
        assert_eq!(drawn(&[], 4, 4), "");
        assert_eq!(drawn(&[(0, 1.0)], 0, 4), "   ▄");
    }

    proptest! {
        #[test]
        fn any_numbers_at_any_times_are_drawn(
            values in prop::collection::vec((-1_000_000_000_i64..9_000_000_000, any::<f64>()), 0..50),
            columns in 1_usize..100,
        ) {
            let values: Vec<_> = values.into_iter().filter(|(_, number)| number.is_finite()).collect();
            prop_assert!(drawn(&values, 9_000_000_000, columns).chars().count() <= columns);
        }
    }
}
