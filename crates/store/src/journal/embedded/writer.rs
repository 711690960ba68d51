//! The thread that writes: one sync for all batches that are waiting; checkpoints, retention and forgetting in between.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cardata_domain::{Recorded, Sequence, Vin};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::latest::Known;
use super::super::{JournalError, Retention};
use super::disk::{CheckpointEnd, Disk, Part, Standing, store};
use super::mark::Mark;
use super::record::Checkpoint;
use super::{Limits, Shared, State};

/// One call of `append`: numbered, published, not on disk yet.
pub(super) struct Batch {
    pub(super) events: Vec<Arc<Recorded>>,
    pub(super) appended_at: Timestamp,
    pub(super) done: oneshot::Sender<Result<(), JournalError>>,
    /// Its share of what may wait; given back when the batch is dropped.
    pub(super) _room: OwnedSemaphorePermit,
}

/// One call of `retain` or `forget`.
pub(super) struct Job {
    pub(super) task: Task,
    /// Gets how many events went.
    pub(super) done: oneshot::Sender<Result<u64, JournalError>>,
}

#[derive(Clone, Copy)]
pub(super) enum Task {
    Retain { retention: Retention, now: Timestamp },
    Forget { vin: Vin, until: Sequence },
}

/// A job of which a part may be done.
struct Underway {
    job: Job,
    events: usize,
    reached: Sequence,
}

/// A checkpoint that is being made, vehicle after vehicle: appends must not wait until that is done for thousands. It goes on
/// with what is appended, and at the latest when the journal is closed.
struct Advance {
    /// The last event that it counts.
    until: Sequence,
    /// The bytes of the texts of all that it counts.
    bytes: u64,
    /// Those that it has not come to, with the newest event of each that it counts.
    vehicles: hash_map::IntoIter<Vin, Sequence>,
    forgotten: HashMap<Vin, Sequence>,
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<Disk>,
    pub(super) mark: Mark,
    pub(super) limits: Limits,
    pub(super) checkpoint: Checkpoint,
    after: After,
    advance: Option<Advance>,
}

/// The events on disk after the checkpoint, or after the one that is being made.
#[derive(Default)]
pub(super) struct After {
    events: usize,
    /// Of their texts.
    bytes: u64,
    /// The newest of each vehicle.
    heads: HashMap<Vin, Sequence>,
}

impl After {
    /// Counts `events` with `bytes` of text, which come after all others.
    pub(super) fn count<'a>(&mut self, events: impl Iterator<Item = &'a Recorded>, bytes: u64) {
        for recorded in events {
            self.events += 1;
            self.heads.insert(recorded.event.vin(), recorded.sequence);
        }
        self.bytes += bytes;
    }
}

/// Events that are worked into a checkpoint after each sync, for each that was synced: with two, it is complete before half
/// of what the next one takes has come.
const WORKED_IN_FOR_EACH: usize = 2;

/// Events that the memory lets go of after each sync, for each that was synced: dropping all that a checkpoint has worked in
/// at once would take as long as a hundred syncs.
const LET_GO_FOR_EACH: usize = 2;

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<Disk>,
        mark: Mark,
        limits: Limits,
        checkpoint: Checkpoint,
        after: After,
    ) -> Self {
        Self { shared, disk, mark, limits, checkpoint, after, advance: None }
    }

    /// Runs until the journal is closed or a write fails.
    pub(super) fn run(mut self) {
        let _end = EndOnDrop(self.shared.clone());
        let mut underway: Option<Underway> = None;
        loop {
            let (batches, next_job, stop) = self.shared.wait_for_work(underway.is_some());
            let idle = batches.is_empty();
            let committed = if idle { Ok(0) } else { self.commit(batches) };
            let worked = committed.and_then(|events| {
                if next_job.is_some() {
                    // Only events that heads, latest values and the checkpoint count may go. All that were given their
                    // numbers before the job came are on disk by now.
                    return self.write_checkpoint();
                }
                let few = self.limits.checkpoint_step_events;
                self.work_in(few.max(events * WORKED_IN_FOR_EACH))
            });
            if let Err(error) = worked {
                return self.shared.refuse(error);
            }
            if stop && idle {
                break;
            }
            // A part after each sync, so that neither waits long for the other.
            let next = next_job.map(|job| Underway { job, events: 0, reached: Sequence(0) });
            underway = match underway.or(next) {
                None => None,
                Some(mut underway) => match self.work_some(&mut underway) {
                    Ok(false) => Some(underway),
                    Ok(true) => {
                        drop(underway.job.done.send(Ok(underway.events as u64)));
                        None
                    }
                    Err(error) => {
                        drop(underway.job.done.send(Err(error.clone())));
                        return self.shared.refuse(error);
                    }
                },
            };
        }
        if let Err(error) = self.finish() {
            self.shared.refuse(error);
        }
    }

    /// Writes, syncs and answers all `batches`; how many events they have.
    fn commit(&mut self, batches: Vec<Batch>) -> Result<usize, JournalError> {
        let events = batches.iter().flat_map(|batch| {
            batch.events.iter().map(|recorded| (recorded.as_ref(), batch.appended_at))
        });
        let last = batches.iter().filter_map(|batch| batch.events.last()).next_back();
        let last = last.map_or(self.checkpoint.sequence, |recorded| recorded.sequence);
        let count = batches.iter().map(|batch| batch.events.len()).sum();
        let written = self.disk.write(events);
        let written = written.and_then(|bytes| {
            self.mark.set(last).map_err(store)?;
            Ok(bytes)
        });
        let outcome = match written {
            Ok(bytes) => {
                let events = batches.iter().flat_map(|batch| &batch.events);
                self.after.count(events.map(Arc::as_ref), bytes);
                self.shared.synced.store(last.0, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                // Before anybody hears of it, so that whoever does can't append any more.
                self.shared.refuse(error.clone());
                Err(error)
            }
        };
        for batch in batches {
            // Whoever no longer waits doesn't want to know.
            drop(batch.done.send(outcome.clone()));
        }
        outcome?;
        if self.after.events >= self.limits.checkpoint_events && self.advance.is_none() {
            self.begin_checkpoint();
        }
        let (keep, let_go) = (self.limits.recent_events, count * LET_GO_FOR_EACH);
        self.shared.trim(self.checkpoint.sequence, keep, let_go);
        Ok(count)
    }

    /// Does a part of the job, and says whether it was the last.
    fn work_some(&mut self, underway: &mut Underway) -> Result<bool, JournalError> {
        let task = underway.job.task;
        let Part { checkpoint, events, reached, is_last } = match task {
            Task::Retain { retention, now } => {
                let being_worked_in = self.advance.as_ref().map_or(0, |advance| advance.bytes);
                let bytes_after = self.after.bytes + being_worked_in;
                self.disk.drop_oldest(self.checkpoint, bytes_after, retention, now)?
            }
            Task::Forget { vin, until } => {
                self.disk.forget_some(self.checkpoint, vin, underway.reached, until)?
            }
        };
        self.checkpoint = checkpoint;
        self.shared.floor.store(checkpoint.floor.0, Ordering::Release);
        underway.events += events;
        underway.reached = reached;
        if let Task::Forget { vin, until } = task
            && is_last
        {
            self.shared.forgotten(vin, until);
        }
        Ok(is_last)
    }

    /// Makes a checkpoint of all that is synced.
    fn write_checkpoint(&mut self) -> Result<(), JournalError> {
        self.work_in(usize::MAX)?;
        self.begin_checkpoint();
        self.work_in(usize::MAX)
    }

    /// Begins a checkpoint of all that is synced, unless nothing came since the last one.
    fn begin_checkpoint(&mut self) {
        let until = Sequence(self.shared.synced.load(Ordering::Acquire));
        let forgotten = self.shared.state().forget_synced(until);
        if self.after.events == 0 && forgotten.is_empty() {
            return;
        }
        let After { bytes, heads, .. } = std::mem::take(&mut self.after);
        self.advance = Some(Advance { until, bytes, vehicles: heads.into_iter(), forgotten });
    }

    /// Goes on with the checkpoint that is being made, if one is, by `events_max` events or a few more.
    fn work_in(&mut self, events_max: usize) -> Result<(), JournalError> {
        let Some(mut advance) = self.advance.take() else { return Ok(()) };
        // What is forgotten must be on disk wholly or not at all.
        let in_parts = advance.forgotten.is_empty();
        let mut standings = Vec::new();
        let mut events_left = events_max;
        while (events_left > 0 || !in_parts)
            && let Some((vin, head)) = advance.vehicles.next()
        {
            let forgotten = advance.forgotten.get(&vin).copied().unwrap_or_default();
            let (standing, events) = self.standing(vin, head, forgotten)?;
            standings.push(standing);
            events_left = events_left.saturating_sub(events.max(1));
        }
        if advance.vehicles.len() > 0 {
            self.disk.write_standings(&standings, None)?;
            self.advance = Some(advance);
            return Ok(());
        }
        let checkpoint = Checkpoint {
            sequence: advance.until,
            kept_bytes: self.checkpoint.kept_bytes + advance.bytes,
            ..self.checkpoint
        };
        let end = CheckpointEnd { checkpoint, forgotten: advance.forgotten };
        self.disk.write_standings(&standings, Some(&end))?;
        self.checkpoint = checkpoint;
        self.shared.state().checkpoint = checkpoint.sequence;
        Ok(())
    }

    /// Where `vin` stands at its event `head`, without those up to `forgotten`, and how many came since the checkpoint. Its
    /// values are known from now on.
    fn standing(
        &self,
        vin: Vin,
        head: Sequence,
        forgotten: Sequence,
    ) -> Result<(Standing, usize), JournalError> {
        let after = self.checkpoint.sequence;
        let (events, known, forgets) = {
            let state = self.shared.state();
            let events = state.tail.of_vehicle(head, after).events;
            let before = events.first().map(|event| event.previous);
            // None of its events is missing between what is known and these.
            let fits = |known: &Known| {
                known.until <= head && before.is_some_and(|before| before <= known.until)
            };
            (events, state.known.get(vin).filter(|known| fits(known)).cloned(), state.forgets)
        };
        let news = (head, &*events);
        let standing = Standing::new(&self.disk, vin, news, after, known, forgotten)?;
        let mut state = self.shared.state();
        if state.forgets == forgets && state.forgotten(vin) == Sequence(0) {
            state.known.put(vin, standing.known.clone());
        }
        Ok((standing, events.len()))
    }

    fn finish(&mut self) -> Result<(), JournalError> {
        self.write_checkpoint()?;
        self.disk.sync()?;
        self.mark.sync().map_err(store)
    }
}

/// Lets nobody wait for a thread that is gone, also when it panicked.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.room.close();
        let mut state = self.0.state();
        state.accepting = false;
        // Their callers hear that the journal is closed.
        let State { waiting, jobs, .. } = &mut *state;
        let gone = (std::mem::take(waiting), std::mem::take(jobs));
        drop(state);
        drop(gone);
    }
}
