//! Background work that is named, counted and drained at shutdown.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Starts tasks and ends them together. [`Tasks::stopping`] tells them to finish.
pub struct Tasks {
    running: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
}

/// Resolves when the tasks should finish.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Whether it is time to finish.
    pub fn is_due(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is time to finish.
    pub async fn wait(&mut self) {
        // An error means that `Tasks` itself is gone: finish, too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self { running: Mutex::default(), stop: watch::Sender::new(false) }
    }
}

impl Tasks {
    /// Starts `work`; `name` labels it in the metric `cardata_tasks_started_total`.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        metrics::counter!("cardata_tasks_started_total", "task" => name).increment(1);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Reap what has ended, so that the set stays as small as the number of live tasks.
        while let Some(ended) = running.try_join_next() {
            report(ended);
        }
        running.spawn(work);
    }

    /// Does `work` to its end, also when the caller goes away meanwhile: what was begun for a person who closed the
    /// browser must not stop half-way. `None` when the server stopped before.
    pub async fn see_through<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, outcome) = tokio::sync::oneshot::channel();
        self.spawn(name, async move {
            // Nobody listens any more when the caller went away.
            let _ = done.send(work.await);
        });
        outcome.await.ok()
    }

    /// A signal for a task that should finish what it is at when the server stops.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    /// Tells all tasks to finish, waits at most `patience`, then ends the rest.
    pub async fn drain(&self, patience: Duration) {
        self.stop.send_replace(true);
        let mut running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let finished = tokio::time::timeout(patience, async {
            while let Some(ended) = running.join_next().await {
                report(ended);
            }
        });
        if finished.await.is_err() {
            tracing::warn!(tasks = running.len(), "tasks did not finish in time and were ended");
            running.shutdown().await;
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        metrics::counter!("cardata_task_panics_total").increment(1);
        tracing::error!(%error, "a task panicked; the others go on");
    }
}
