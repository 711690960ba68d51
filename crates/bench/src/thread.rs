//! The one thread on which a generator lives, so that its time can be counted.

use std::io;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// The generator's thread can't be started.
#[derive(Debug, Error)]
#[error("the generator's thread can't be started")]
pub struct ThreadError(#[source] io::Error);

/// Does `work` on a thread of its own.
///
/// # Errors
/// [`ThreadError`] when the system does not allow it.
pub(crate) async fn run<T, W>(work: impl FnOnce() -> W + Send + 'static) -> Result<T, ThreadError>
where
    T: Send + 'static,
    W: Future<Output = T>,
{
    let (done, result) = oneshot::channel();
    let begin = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, work()))
    };
    let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(move || {
        // Nobody waits any more when this can't be told.
        let _ = done.send(begin());
    });
    let thread = thread.map_err(ThreadError)?;
    match result.await {
        Ok(result) => result.map_err(ThreadError),
        Err(_) => match thread.join() {
            Err(panicked) => std::panic::resume_unwind(panicked),
            Ok(()) => Err(ThreadError(io::ErrorKind::Other.into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_its_own() {
        let name = run(async || std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name.unwrap().as_deref(), Some("generator"));
    }
}
