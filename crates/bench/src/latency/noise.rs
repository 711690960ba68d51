//! Whether a difference is more than what repeated rounds differ by anyway.

use serde::Serialize;

use super::round::Round;

/// What others do to the latency of the measured readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The middle one of the p99 of the rounds without them.
    pub p99_without_us: u64,
    /// The same with them.
    pub p99_with_us: u64,
    /// How far the p99 of rounds without them lie apart.
    pub noise_us: u64,
    /// Whether the two middle ones lie no farther apart than that, or the rounds with others were faster.
    pub within_noise: bool,
}

/// Compares the rounds of both kinds; `None` when there are none of a kind.
pub(super) fn verdict(rounds: &[Round]) -> Option<Verdict> {
    let p99 = |disturbed: bool| {
        let of_kind = rounds.iter().filter(|round| round.is_disturbed() == disturbed);
        let mut p99: Vec<_> = of_kind.map(|round| round.latency.p99_us).collect();
        p99.sort_unstable();
        p99
    };
    let (without, with) = (p99(false), p99(true));
    let noise_us = without.last()? - without.first()?;
    let (p99_without_us, p99_with_us) = (middle(&without)?, middle(&with)?);
    let within_noise = p99_with_us <= p99_without_us + noise_us;
    Some(Verdict { p99_without_us, p99_with_us, noise_us, within_noise })
}

/// The median of sorted `values`; of two in the middle, their mean.
fn middle(values: &[u64]) -> Option<u64> {
    let (low, high) =
        (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(low.midpoint(*high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    fn rounds(without: &[u64], with: &[u64]) -> Vec<Round> {
        let round = |slow_readers| {
            move |p99_us: &u64| Round {
                slow_readers,
                latency: Latency { p99_us: *p99_us, ..Latency::default() },
                ..Round::default()
            }
        };
        without.iter().map(round(0)).chain(with.iter().map(round(5))).collect()
    }

    #[test]
    fn a_difference_counts_when_it_is_larger_than_that_of_repeated_rounds() {
        let verdict = |without: &[u64], with: &[u64]| verdict(&rounds(without, with)).unwrap();
        let close = verdict(&[900, 1000, 1200], &[1100, 1250, 5000]);
        assert_eq!((close.p99_without_us, close.p99_with_us, close.noise_us), (1000, 1250, 300));
        assert!(close.within_noise);
        assert!(!verdict(&[900, 1000, 1200], &[1300, 1301, 1302]).within_noise);
        assert!(verdict(&[900, 1000, 1200], &[100, 100, 100]).within_noise);
        assert_eq!(verdict(&[900, 1000], &[1]).p99_without_us, 950);
    }

    #[test]
    fn without_rounds_of_both_kinds_there_is_nothing_to_compare() {
        assert_eq!(verdict(&rounds(&[1, 2], &[])), None);
        assert_eq!(verdict(&rounds(&[], &[1])), None);
    }
}
