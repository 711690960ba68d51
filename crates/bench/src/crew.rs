//! Does one thing many times, so many at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::progress::Progress;

/// Does `work` for each of `items`, `at_once` at a time, and gives what came of it in any order.
///
/// # Errors
/// The first one; the rest is left undone.
pub(crate) async fn each<I, T, E, W>(
    items: impl IntoIterator<Item = I, IntoIter: Send + 'static>,
    at_once: u64,
    progress: &Arc<dyn Progress>,
    work: impl Fn(I) -> W + Clone + Send + Sync + 'static,
) -> Result<Vec<T>, E>
where
    I: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    W: Future<Output = Result<T, E>> + Send,
{
    let items = Arc::new(Mutex::new(items.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..at_once.max(1) {
        let (items, progress, work) = (items.clone(), progress.clone(), work.clone());
        let next = move || items.lock().unwrap_or_else(PoisonError::into_inner).next();
        workers.spawn(async move {
            let mut done = Vec::new();
            while let Some(item) = next() {
                done.push(work(item).await?);
                progress.advance(1);
            }
            Ok(done)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = workers.join_next().await {
        match done {
            Ok(done) => all.append(&mut done?),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<u64>);

    impl Progress for Told {
        fn begin(&self, _: &str, _: u64) {}

        fn advance(&self, parts: u64) {
            *self.0.lock().unwrap() += parts;
        }
    }

    #[tokio::test]
    async fn each_number_is_done_once() {
        let told = Arc::new(Told::default());
        let progress: Arc<dyn Progress> = told.clone();
        let work = async |number| {
            tokio::task::yield_now().await;
            Ok::<_, ()>(number)
        };
        let mut done = each(0..100, 7, &progress, work).await.unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        assert_eq!(*told.0.lock().unwrap(), 100);
        assert_eq!(each(0..0, 7, &progress, work).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn the_first_failure_ends_it() {
        let progress: Arc<dyn Progress> = Arc::new(Told::default());
        let work = async |number| {
            tokio::task::yield_now().await;
            if number == 50 { Err(number) } else { Ok(()) }
        };
        assert_eq!(each(0..1_000_000_000, 3, &progress, work).await, Err(50));
    }
}
