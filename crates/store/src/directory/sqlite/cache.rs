//! What was read since the directory's last change, so that requests that ask for the same again need no query.
//!
//! The one connection that writes tells when it is lent and when it is back. Nothing is taken from here while it is lent,
//! and all is forgotten when it is back, so a read never gives what was before a write that had ended when it began. A
//! write whose caller went away is no exception: its connection is back only when the write has ended, too.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cardata_domain::consent::ConsentId;
use cardata_domain::container::ContainerId;
use cardata_domain::{ClientId, Gcid};
use sqlx::Connection as _;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::time::Instant;

use crate::directory::TokenHash;

use super::failure::Failure;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    AccessToken(TokenHash),
    Consent(ConsentId),
    Container(ContainerId),
    Mappings(Gcid),
    LocationSettings(Gcid, ClientId),
    Zones(Gcid),
    /// Whether any session is kept; those of fleets come under `None`.
    Sessions(Option<Gcid>, ClientId),
}

/// Answers that are kept; with more, it begins anew.
const ANSWERS_MAX: usize = 4096;
/// How long answers are kept, so that what another process writes, such as an operator's shell, is seen soon.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The answers.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

type Answer = Box<dyn Any + Send + Sync>;

#[derive(Default)]
struct State {
    /// Whether the writing connection is in the pool, where it has nothing more to do.
    at_rest: bool,
    /// Counts how often all was forgotten.
    generation: u64,
    /// When the oldest answer came.
    since: Option<Instant>,
    answers: HashMap<Key, Answer>,
}

impl Cache {
    /// The answer that is known for `key`, else that of `load`.
    pub(super) async fn read<T: Clone + Send + Sync + 'static>(
        &self,
        key: Key,
        load: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let generation = {
            let mut state = self.state();
            if state.since.is_some_and(|since| since.elapsed() >= AGE_MAX) {
                state.forget();
            }
            if state.at_rest
                && let Some(known) = state.answers.get(&key).and_then(|known| known.downcast_ref())
            {
                return Ok(T::clone(known));
            }
            state.generation
        };
        let answer = load.await?;
        let mut state = self.state();
        // Else it may be older than a write, or than the time from which the others count.
        if state.at_rest && state.generation == generation {
            if state.answers.len() >= ANSWERS_MAX {
                state.forget();
            }
            state.since.get_or_insert_with(Instant::now);
            state.answers.insert(key, Box::new(answer.clone()));
        }
        Ok(answer)
    }

    /// Lets the pool of the writing connection tell when it is lent and back.
    pub(super) fn watch(self: &Arc<Self>, writer: SqlitePoolOptions) -> SqlitePoolOptions {
        let (made, lent, back) = (self.clone(), self.clone(), self.clone());
        writer
            .after_connect(move |_, _| {
                made.state().at_rest = false;
                Box::pin(async { Ok(()) })
            })
            .before_acquire(move |_, _| {
                lent.state().at_rest = false;
                Box::pin(async { Ok(true) })
            })
            .after_release(move |connection, _| {
                let back = back.clone();
                Box::pin(async move {
                    // Its commands are done in their order, so what was begun has ended after this.
                    connection.ping().await?;
                    let mut state = back.state();
                    state.forget();
                    state.at_rest = true;
                    Ok(true)
                })
            })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        self.generation += 1;
        self.since = None;
        self.answers.clear();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rest() -> Cache {
        Cache(Mutex::new(State { at_rest: true, ..State::default() }))
    }

    fn key() -> Key {
        Key::AccessToken(TokenHash("a".to_owned()))
    }

    async fn read(cache: &Cache, stored: u32) -> u32 {
        cache.read(key(), async { Ok(stored) }).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_given_again_for_a_second() {
        let cache = at_rest();
        assert_eq!(read(&cache, 1).await, 1);
        assert_eq!(read(&cache, 2).await, 1);
        let since = Instant::now().checked_sub(AGE_MAX);
        cache.state().since = since;
        assert_eq!(read(&cache, 3).await, 3);
    }

    #[tokio::test]
    async fn nothing_is_kept_or_given_while_somebody_writes() {
        let cache = at_rest();
        assert_eq!(read(&cache, 1).await, 1);
        cache.state().at_rest = false;
        assert_eq!(read(&cache, 2).await, 2);
        cache.state().forget();
        cache.state().at_rest = true;
        assert_eq!(read(&cache, 3).await, 3);
    }

    #[tokio::test]
    async fn what_was_read_before_a_write_is_not_kept_after_it() {
        let cache = at_rest();
        let load = async {
            // Somebody writes meanwhile.
            cache.state().forget();
            Ok(1)
        };
        assert_eq!(cache.read(key(), load).await.unwrap(), 1);
        assert_eq!(read(&cache, 2).await, 2);
    }

    #[tokio::test]
    async fn there_are_no_more_answers_than_allowed() {
        let cache = at_rest();
        for number in 0..=ANSWERS_MAX {
            let key = Key::AccessToken(TokenHash(number.to_string()));
            cache.read(key, async { Ok(number) }).await.unwrap();
        }
        assert_eq!(cache.state().answers.len(), 1);
    }
}
