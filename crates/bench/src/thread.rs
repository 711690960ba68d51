//! The one thread on which a generator lives, so that it can be bound to a processor and its time be counted.

use std::io;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::cpu;
use crate::remedy::Remedy;

/// The generator's thread can't be started.
#[derive(Debug, Error)]
#[error("the generator's thread can't be started{}", .cpu.map(|cpu| format!(" on processor {cpu}")).unwrap_or_default())]
pub struct ThreadError {
    /// The processor that it was to be bound to.
    cpu: Option<usize>,
    /// What the system says.
    #[source]
    source: io::Error,
}

impl Remedy for ThreadError {
    fn remedy(&self) -> Option<String> {
        self.cpu.map(|_| "--cpu with a processor that this machine has, from 0".to_owned())
    }
}

/// Does `work` on a thread of its own, bound to processor `cpu` if there is one.
///
/// # Errors
/// [`ThreadError`] when the system does not allow it.
pub(crate) async fn run<T, W>(
    cpu: Option<usize>,
    work: impl FnOnce() -> W + Send + 'static,
) -> Result<T, ThreadError>
where
    T: Send + 'static,
    W: Future<Output = T>,
{
    let failed = |source| ThreadError { cpu, source };
    let (done, result) = oneshot::channel();
    let begin = move || {
        cpu.map_or(Ok(()), cpu::bind)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, work()))
    };
    let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(move || {
        // Nobody waits any more when this can't be told.
        let _ = done.send(begin());
    });
    let thread = thread.map_err(failed)?;
    match result.await {
        Ok(result) => result.map_err(failed),
        Err(_) => match thread.join() {
            Err(panicked) => std::panic::resume_unwind(panicked),
            Ok(()) => Err(failed(io::ErrorKind::Other.into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_its_own() {
        let name = run(None, async || std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name.unwrap().as_deref(), Some("generator"));
        let error = run(Some(usize::MAX), async || ()).await.unwrap_err();
        assert!(error.to_string().contains("on processor"), "{error}");
    }
}
