//! Where connections catch up with what they have missed: on threads of their own, so that live events wait for the
//! work of none of them, however many sessions come back at once. Charging is searched there as well.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Threads for connections that catch up.
pub struct CatchUp {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl CatchUp {
    /// Starts threads, as many as there are processors.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("catch-up")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// On the threads where this is called, whose clock tests can stop.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        Self { handle: Handle::current(), runtime: None }
    }

    /// Begins `work` there.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(work)
    }
}

/// Lets the system prefer other threads to this one, where both have something to do. Only Linux knows that of a thread.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "the priority of a thread can't be lowered");
    }
}

/// A tenth of the processors' time while others want all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

impl Drop for CatchUp {
    fn drop(&mut self) {
        // Waiting for its end is not allowed where others run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_threads_give_way_to_others() {
        let catch_up = CatchUp::start().unwrap();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let (here, there) = (priority(), catch_up.spawn(async move { priority() }).await.unwrap());
        assert!(cfg!(not(target_os = "linux")) || there > here, "{there} here: {here}");
    }
}
