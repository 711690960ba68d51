//! The journal in one folder, with nothing to install.
//!
//! Numbers are handed out under one lock, which also keeps the newest events in memory and calls the live feed. A
//! thread of its own writes what is waiting, so one sync serves all. Heads and latest values follow at checkpoints: the
//! log alone is written for each event, and what came after the checkpoint is worked in again when the folder is opened.
//!
//! Dropped and forgotten events leave the disk when the engine next rewrites the files that hold them, so the folder
//! takes up to three times what retention keeps. See `docs/adr/0002-the-embedded-journal-is-fjall.md` for the engine.

mod disk;
mod mark;
mod record;
mod tail;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use cardata_domain::{Catalogue, Entry, Event, Recorded, Sequence, Vin};
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use self::disk::{Disk, damaged, store};
use self::mark::Mark;
use self::tail::Tail;
use self::writer::{After, Batch, Job, Task, Writer};
use super::latest::KnownVehicles;
use super::{Journal, JournalError, LiveFeed, Retention, text};

/// A [`Journal`] in a folder of its own. Dropping it syncs what is waiting, like [`Journal::close`].
///
/// Its methods are called within a tokio runtime; reads that go to the disk run on its blocking threads.
pub struct EmbeddedJournal {
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    feed: Arc<dyn LiveFeed>,
    limits: Limits,
    /// Permits for reads that go to the disk.
    reads: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Reads that go to the disk at a time. Each has a thread; were there as many as connections that want to read, their
/// threads would take more memory than the connections.
const READS_AT_ONCE: usize = 8;

/// How much of everything the journal holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text of events that wait for a sync, at most; beyond that, `append` waits. A larger batch waits until
    /// nothing else does.
    pub waiting_bytes_max: u32,
    /// Newest events that stay in memory for readers, besides those since the last checkpoint.
    pub recent_events: usize,
    /// Events from one checkpoint to the next: they stay in memory and are read again when the folder is opened. While one
    /// is made, up to half as many more do.
    pub checkpoint_events: usize,
    /// Events that are worked into a checkpoint after each sync, at least: appends wait for that.
    pub checkpoint_step_events: usize,
    /// Bytes of table files that stay in memory.
    pub cache_bytes: u64,
    /// Latest values that stay in memory, of vehicles whose latest values were asked for or that told something lately.
    pub latest_values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_bytes_max: 16 << 20,
            recent_events: 4096,
            checkpoint_events: 8192,
            checkpoint_step_events: 16,
            cache_bytes: 16 << 20,
            latest_values: 100_000,
        }
    }
}

/// What callers and the writing thread share.
struct Shared {
    state: Mutex<State>,
    /// Woken when there is something to write or to stop for.
    work: Condvar,
    room: Arc<Semaphore>,
    synced: AtomicU64,
    /// Everything up to this number was dropped.
    floor: AtomicU64,
}

#[derive(Default)]
struct State {
    newest: Sequence,
    heads: HashMap<Vin, Sequence>,
    /// At least all events after the checkpoint.
    tail: Tail,
    checkpoint: Sequence,
    waiting: Vec<Batch>,
    jobs: Vec<Job>,
    /// Up to where vehicles' events are being forgotten: they may still be on disk, but nobody reads them.
    forgetting: Vec<(Vin, Sequence)>,
    /// Counts calls that forget, so that what was read before one of them is not kept after it.
    forgets: u64,
    /// Nothing of a vehicle that was forgotten since.
    known: KnownVehicles,
    accepting: bool,
    stop: bool,
    failure: Option<JournalError>,
}

impl EmbeddedJournal {
    /// Opens the journal in `folder`, or makes one; blocks while it reads what a crash left behind.
    ///
    /// A torn write at the end of the log, of which nobody was told, is cut off.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when an acknowledged event is missing: restore the folder from a backup, or move it
    /// away to begin anew. [`JournalError::Store`] when the folder can't be read or another process has it open.
    pub fn open(
        folder: &Path,
        catalogue: Arc<Catalogue>,
        feed: Arc<dyn LiveFeed>,
        limits: Limits,
    ) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder).map_err(store)?;
        let (mark, marked) = Mark::open(&folder.join("synced")).map_err(store)?;
        let log = folder.join("log");
        let log_bytes = log_bytes(&log).map_err(store)?;
        let disk = Arc::new(Disk::open(&log, catalogue, limits.cache_bytes)?);

        let checkpoint = disk.checkpoint()?;
        let newest = disk.newest(checkpoint.floor, log_bytes)?.max(checkpoint.sequence);
        if let Some(marked) = marked.filter(|marked| *marked > newest) {
            let reason = format!("it and all up to event {} were synced and are gone", marked.0);
            return Err(damaged(Sequence(newest.0 + 1), &reason));
        }

        let mut heads = disk.heads()?;
        let mut tail = Tail::default();
        let mut after = After::default();
        for (recorded, size_bytes) in disk.events_after(checkpoint.sequence)? {
            after.count(std::iter::once(&*recorded), size_bytes);
            heads.insert(recorded.event.vin(), recorded.sequence);
            tail.push(recorded);
        }
        // What the last process began to forget; nobody waits for it any more.
        let forgetting: Vec<_> = disk.forgetting()?.into_iter().collect();
        let task = |(vin, until): &(Vin, Sequence)| Task::Forget { vin: *vin, until: *until };
        let job = |task| Job { task, done: oneshot::channel().0 };
        let jobs = forgetting.iter().map(task).map(job).collect();

        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                newest,
                heads,
                tail,
                checkpoint: checkpoint.sequence,
                waiting: Vec::new(),
                jobs,
                forgetting,
                forgets: 0,
                known: KnownVehicles::new(limits.latest_values),
                accepting: true,
                stop: false,
                failure: None,
            }),
            work: Condvar::new(),
            room: Arc::new(Semaphore::new(limits.waiting_bytes_max as usize)),
            synced: AtomicU64::new(newest.0),
            floor: AtomicU64::new(checkpoint.floor.0),
        });
        let writer = Writer::new(shared.clone(), disk.clone(), mark, limits, checkpoint, after);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(store)?;
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        Ok(Self { shared, disk, feed, limits, reads, writer: Mutex::new(Some(writer)) })
    }

    /// Runs `read` where it may block.
    async fn on_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Disk) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permit = self.reads.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let disk = self.disk.clone();
        // The permit goes along: the read goes on also when nobody waits for it any more.
        let reading = move || {
            let _permit = permit;
            read(&disk)
        };
        match spawn_blocking(reading).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(JournalError::Closed),
            },
        }
    }
}

#[async_trait]
impl Journal for EmbeddedJournal {
    async fn append(&self, events: Vec<Event>, now: Timestamp) -> Result<Sequence, JournalError> {
        let size_bytes: u64 = events.iter().map(text::size_bytes).sum();
        let share =
            u32::try_from(size_bytes).unwrap_or(u32::MAX).min(self.limits.waiting_bytes_max);
        let room = self.shared.room.clone().acquire_many_owned(share).await;
        let room = room.map_err(|_| JournalError::Closed)?;
        let (done, synced) = oneshot::channel();
        let last = {
            let mut state = self.shared.state();
            if !state.accepting {
                return Err(JournalError::Closed);
            }
            if events.is_empty() {
                return Ok(state.newest);
            }
            let events: Vec<_> = events.into_iter().map(|event| state.record(event)).collect();
            let batch = Batch { events: events.clone(), appended_at: now, done, _room: room };
            state.waiting.push(batch);
            self.shared.work.notify_one();
            // Last, so that a feed that panics leaves no number unused.
            for recorded in &events {
                self.feed.publish(recorded);
            }
            state.newest
        };
        synced.await.unwrap_or(Err(JournalError::Closed))?;
        Ok(last)
    }

    async fn read(
        &self,
        vin: Vin,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, JournalError> {
        let after = after.max(Sequence(self.shared.floor.load(Ordering::Acquire)));
        let (recent, after) = {
            let state = self.shared.state();
            let after = after.max(state.forgotten(vin));
            (state.tail.of_vehicle(state.head(vin), after), after)
        };
        let mut events = match recent.older {
            Some(last) => self.on_disk(move |disk| disk.read(vin, after, last, limit)).await?,
            None => Vec::new(),
        };
        events.extend(recent.events.into_iter().take(limit - events.len()));
        Ok(events)
    }

    fn head(&self, vin: Vin) -> Sequence {
        self.shared.state().head(vin)
    }

    fn synced(&self) -> Sequence {
        Sequence(self.shared.synced.load(Ordering::Acquire))
    }

    async fn before(&self, at: Timestamp) -> Result<Sequence, JournalError> {
        // What is not on disk yet is newer than all that is.
        let floor = Sequence(self.shared.floor.load(Ordering::Acquire));
        let synced = self.synced();
        self.on_disk(move |disk| disk.before(at, floor, synced)).await
    }

    async fn latest(&self, vin: Vin) -> Result<Arc<[Entry]>, JournalError> {
        // Memory first: what a checkpoint moves to the disk meanwhile is seen twice instead of never.
        let (head, known, recent, forgotten, forgets) = {
            let state = self.shared.state();
            let (head, known) = (state.head(vin), state.known.get(vin));
            if let Some(known) = known.filter(|known| known.until == head) {
                return Ok(known.entries.clone());
            }
            let forgotten = state.forgotten(vin);
            let since_known = known.map(|known| state.tail.of_vehicle(head, known.until));
            let (known, recent) = match since_known {
                Some(recent) if recent.older.is_none() => (known.cloned(), recent),
                _ => (None, state.tail.of_vehicle(head, state.checkpoint.max(forgotten))),
            };
            (head, known, recent, forgotten, state.forgets)
        };
        let known = if let Some(known) = known {
            known.after(&recent.events, head)
        } else {
            let values = self.on_disk(move |disk| disk.latest(vin, forgotten)).await?;
            values.known_after(&recent.events, head)
        };
        let entries = known.entries.clone();
        let mut state = self.shared.state();
        if state.forgets == forgets {
            state.known.put(vin, Arc::new(known));
        }
        Ok(entries)
    }

    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<u64, JournalError> {
        let (done, dropped) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if !state.accepting {
                return Err(JournalError::Closed);
            }
            state.jobs.push(Job { task: Task::Retain { retention, now }, done });
            self.shared.work.notify_one();
        }
        dropped.await.unwrap_or(Err(JournalError::Closed))
    }

    async fn forget(&self, vin: Vin) -> Result<u64, JournalError> {
        let (done, forgotten) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if !state.accepting {
                return Err(JournalError::Closed);
            }
            let until = state.head(vin);
            if until == Sequence(0) {
                return Ok(0);
            }
            state.forgetting.push((vin, until));
            state.forgets += 1;
            state.known.forget(vin);
            state.jobs.push(Job { task: Task::Forget { vin, until }, done });
            self.shared.work.notify_one();
        }
        forgotten.await.unwrap_or(Err(JournalError::Closed))
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.shared.stop();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has said so, and the journal is closed either way.
            drop(self.on_disk(move |_| Ok(writer.join().is_ok())).await);
        }
        self.shared.state().failure.clone().map_or(Ok(()), Err)
    }
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        self.shared.stop();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Waiting here lets the folder be opened again as soon as this returns.
        drop(writer.map(JoinHandle::join));
    }
}

impl State {
    /// Gives `event` its number and remembers it.
    fn record(&mut self, event: Event) -> Arc<Recorded> {
        self.newest.0 += 1;
        let previous = self.heads.insert(event.vin(), self.newest).unwrap_or_default();
        let recorded = Arc::new(Recorded::new(self.newest, previous, event));
        self.tail.push(recorded.clone());
        recorded
    }

    fn head(&self, vin: Vin) -> Sequence {
        self.heads.get(&vin).copied().unwrap_or_default()
    }

    /// Up to where nobody reads the events of `vin` though they may still be on disk.
    fn forgotten(&self, vin: Vin) -> Sequence {
        let of_vehicle = self.forgetting.iter().filter(|(of, _)| *of == vin);
        of_vehicle.map(|(_, until)| *until).max().unwrap_or_default()
    }

    /// Takes out of the tail what is being forgotten and synced; gives up to where for each vehicle.
    ///
    /// What is not synced waits for the next time: a checkpoint must not know of numbers that come after it.
    fn forget_synced(&mut self, synced: Sequence) -> HashMap<Vin, Sequence> {
        let mut forgotten: HashMap<Vin, Sequence> = HashMap::new();
        for (vin, until) in self.forgetting.iter().filter(|(_, until)| *until <= synced) {
            self.tail.forget(*until);
            let latest = forgotten.entry(*vin).or_default();
            *latest = (*latest).max(*until);
        }
        forgotten
    }
}

impl Shared {
    /// The state; every change to it is complete before anything in its guard's life can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is waiting: batches, the next job unless one is `underway`, and whether to stop. Waits for the first of
    /// them, but not when a job is `underway`.
    fn wait_for_work(&self, underway: bool) -> (Vec<Batch>, Option<Job>, bool) {
        let idle = |state: &mut State| {
            !underway && state.waiting.is_empty() && state.jobs.is_empty() && !state.stop
        };
        let mut state =
            self.work.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let job = if underway || state.jobs.is_empty() { None } else { Some(state.jobs.remove(0)) };
        (std::mem::take(&mut state.waiting), job, state.stop)
    }

    /// Lets go of at most `count` recent events that are on disk and worked in up to `checkpoint`.
    fn trim(&self, checkpoint: Sequence, keep: usize, count: usize) {
        // A statement of its own, so that nobody waits while they are dropped.
        let gone = self.state().tail.trim(checkpoint, keep, count);
        drop(gone);
    }

    /// Nothing of `vin` up to `until` is on disk any more.
    fn forgotten(&self, vin: Vin, until: Sequence) {
        self.state().forgetting.retain(|(of, to)| *of != vin || *to > until);
    }

    /// Takes no more events, since a write failed.
    fn refuse(&self, error: JournalError) {
        let mut state = self.state();
        state.accepting = false;
        state.failure.get_or_insert(error);
    }

    /// Takes no more events and lets the writer end after those that wait.
    fn stop(&self) {
        let mut state = self.state();
        state.accepting = false;
        state.stop = true;
        self.work.notify_one();
    }
}

/// Bytes of the engine's write-ahead log, whose events may be missing after damage.
fn log_bytes(folder: &Path) -> std::io::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.path().extension().is_some_and(|extension| extension == "jnl") {
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use cardata_domain::Value;

    use super::*;

    #[test]
    fn a_checkpoint_forgets_nothing_that_comes_after_it() {
        let catalogue = Catalogue::shipped();
        let signal = catalogue.intern("vehicle.isMoving").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let vin: Vin = "WBY00000000000001".parse().unwrap();
        let mut state = State::default();
        for until in [2, 3, 5] {
            while state.newest < Sequence(until) {
                let entry = Entry::new(&catalogue, signal, at, Value::Boolean(true), None);
                state.record(Event::new(vin, at, vec![entry]).unwrap());
            }
            state.forgetting.push((vin, Sequence(until)));
        }
        assert_eq!(state.forget_synced(Sequence(1)), HashMap::new());
        assert_eq!(state.forget_synced(Sequence(4)), HashMap::from([(vin, Sequence(3))]));
        let kept = state.tail.of_vehicle(Sequence(5), Sequence(0)).events;
        let kept: Vec<_> = kept.iter().map(|event| event.sequence).collect();
        assert_eq!(kept, [Sequence(4), Sequence(5)]);
        assert_eq!(state.forgotten(vin), Sequence(5));
    }
}
