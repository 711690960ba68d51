//! Processor time, and processors.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use crate::Remedy;
use crate::process::{Process, ProcessError, read};

/// Processor time that was spent so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    /// Of the calling thread.
    pub(crate) fn of_thread() -> Self {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(spent.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(spent.tv_nsec).unwrap_or_default()))
    }

    /// Of all threads that `process` has now.
    ///
    /// # Errors
    /// [`ProcessError`] when it is gone.
    pub(crate) fn of_process(process: &Process) -> Result<Self, ProcessError> {
        // Asked of the process itself, so that one that is gone is told.
        read(process.pid, "stat")?;
        let threads = fs::read_dir(format!("/proc/{}/task", process.pid)).into_iter().flatten();
        let nanos = threads.flatten().filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Ok(Self(Duration::from_nanos(nanos.sum())))
    }

    /// What the calling thread has spent since this was asked in it.
    pub(crate) fn elapsed(self) -> Duration {
        Self::of_thread().since(self)
    }

    /// What was spent since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The generator can't be bound to a processor.
#[derive(Debug, Error)]
#[error("the generator can't be bound to processor {cpu}")]
pub struct BindError {
    cpu: usize,
    /// What the system says.
    #[source]
    source: io::Error,
}

impl Remedy for BindError {
    fn remedy(&self) -> Option<String> {
        Some("--cpu with a processor that this machine has, from 0".to_owned())
    }
}

/// Binds this process to one processor, counted from 0: all threads that it has, and those that they will start.
///
/// # Errors
/// [`BindError`], as when there is no such processor.
pub fn bind(cpu: usize) -> Result<(), BindError> {
    let bound = || {
        if cpu >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut only = CpuSet::new();
        only.set(cpu);
        for thread in fs::read_dir("/proc/self/task")? {
            let name = thread?.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            match sched_setaffinity(id, &only) {
                // It has ended meanwhile.
                Err(Errno::SRCH) => {}
                bound => bound?,
            }
        }
        Ok(())
    };
    bound().map_err(|source| BindError { cpu, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_of_its_thread_and_its_process() {
        let own = Process { pid: std::process::id(), name: String::new() };
        let (thread, process) = (CpuTime::of_thread(), CpuTime::of_process(&own).unwrap());
        let mut sum = 0_u64;
        while thread.elapsed() < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(CpuTime::of_process(&own).unwrap().since(process) >= Duration::from_millis(10));
    }

    #[test]
    fn a_processor_that_is_not_there_is_refused() {
        for cpu in [CpuSet::MAX_CPU - 1, CpuSet::MAX_CPU, usize::MAX] {
            let error = bind(cpu).unwrap_err();
            assert!(error.to_string().contains(&cpu.to_string()), "{error}");
        }
    }
}
