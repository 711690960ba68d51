//! One timer for all that a connection may have to wait for.

use std::future::pending;
use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Set anew only where it would go off too late: most deadlines move on long before they are reached, and each setting
/// costs more than going off once too early.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits until `due`, or until an earlier instant that was waited for before; for ever without any. Nothing is lost
    /// when this is dropped half-way.
    pub(super) async fn until(&mut self, due: Option<Instant>) {
        let Some(due) = due else { return pending().await };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < sleep.deadline() || sleep.is_elapsed() {
            sleep.as_mut().reset(due);
        }
        sleep.await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_earliest_instant_that_was_waited_for() {
        let began = Instant::now();
        let at = |seconds| Some(began + Duration::from_secs(seconds));
        let mut timer = Timer::default();
        for due in [30, 10, 20] {
            tokio::select! {
                biased;
                () = timer.until(at(due)) => panic!("it went off at once"),
                () = std::future::ready(()) => {}
            }
        }
        timer.until(at(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(10), "once too early");
        timer.until(at(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(20));
    }
}
