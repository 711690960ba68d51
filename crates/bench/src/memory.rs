//! How much memory a process has, as the system counts it.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::process::{Process, ProcessError, read};

/// A process's memory at one moment, in KiB. What the kernel has for its sockets is in none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident: in the machine's memory.
    pub rss_kib: u64,
    /// Of that, what belongs to no file: heap and stacks.
    pub anonymous_kib: u64,
    /// Resident, with pages that others share counted in part; nothing where the system does not tell.
    pub pss_kib: Option<u64>,
    /// Resident and shared with nobody; nothing where the system does not tell.
    pub private_kib: Option<u64>,
}

/// Between two looks at a process that comes to rest, and how many of them may follow one another.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const LOOKS_MAX: usize = 40;
/// A process is at rest when its memory changes less than this between two looks.
const REST_KIB: u64 = 64;

impl Memory {
    /// The memory of `process` now.
    ///
    /// # Errors
    /// [`ProcessError`] when it has ended, or belongs to somebody else.
    pub fn of(process: &Process) -> Result<Self, ProcessError> {
        let status = read(process.pid, "status")?;
        // A process that has ended but is not waited for has no memory.
        let rss_kib = kib(&status, "VmRSS").ok_or(ProcessError::Gone(process.pid))?;
        let anonymous_kib = kib(&status, "RssAnon").unwrap_or_default();
        let rollup = read(process.pid, "smaps_rollup").unwrap_or_default();
        let sum = |first, second| Some(kib(&rollup, first)? + kib(&rollup, second)?);
        Ok(Self {
            rss_kib,
            anonymous_kib,
            pss_kib: kib(&rollup, "Pss"),
            private_kib: sum("Private_Clean", "Private_Dirty"),
        })
    }

    /// The memory of `process` as soon as it no longer changes.
    ///
    /// # Errors
    /// [`ProcessError`] when it ends.
    pub async fn at_rest(process: &Process) -> Result<Self, ProcessError> {
        let mut before = Self::of(process)?;
        for _ in 0..LOOKS_MAX {
            sleep(LOOK_INTERVAL).await;
            let now = Self::of(process)?;
            if now.rss_kib.abs_diff(before.rss_kib) < REST_KIB {
                return Ok(now);
            }
            before = now;
        }
        Ok(before)
    }
}

/// The bytes that each of `count` things costs whose coming made `before` to `after`.
pub(crate) fn bytes_each(before: u64, after: u64, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (grown, count) = ((after as f64 - before as f64) * 1024.0, count as f64);
    grown / count
}

/// The line of `name` in a file of the form of `/proc/PID/status`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcardata\nVmPeak:\t 999999 kB\nVmRSS:\t   31232 kB\nRssAnon:\t   20480 kB\nThreads:\t7\n";

    #[test]
    fn lines_are_found_by_their_whole_name() {
        assert_eq!(kib(STATUS, "VmRSS"), Some(31_232));
        assert_eq!(kib(STATUS, "RssAnon"), Some(20_480));
        assert_eq!(kib(STATUS, "Threads"), None);
        assert_eq!(kib(STATUS, "Rss"), None);
        assert_eq!(kib("VmRSS: much kB", "VmRSS"), None);
    }

    #[test]
    fn what_each_costs_may_be_negative() {
        assert!((bytes_each(1000, 15_000, 1000) - 14_336.0).abs() < 0.001);
        assert!((bytes_each(1000, 900, 100) + 1024.0).abs() < 0.001);
    }

    #[test]
    fn memory_that_is_written_to_is_seen() {
        let own = Process { pid: std::process::id(), name: String::new() };
        let before = Memory::of(&own).unwrap();
        let much = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = Memory::of(&own).unwrap();
        drop(much);
        // Other tests run beside this one.
        assert!(after.anonymous_kib > before.anonymous_kib + (32 << 10), "{before:?} {after:?}");
        assert!(after.pss_kib.is_some() && after.private_kib.is_some());
        let gone = Process { pid: u32::MAX, name: String::new() };
        assert!(matches!(Memory::of(&gone), Err(ProcessError::Gone(_))));
    }
}
