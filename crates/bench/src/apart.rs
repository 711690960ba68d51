//! Threads of their own for clients that are not measured.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own; what runs there ends when this is dropped.
pub(crate) struct Apart {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Apart {
    /// With as many threads as there are processors.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("apart")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to start something.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Lets the system prefer other threads to this one. Where it can't, the measurement is none the worse than without.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Waiting for its end is not allowed where others run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
