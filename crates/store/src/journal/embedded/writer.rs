//! The thread that writes: one sync for all batches that are waiting; checkpoints, retention and forgetting in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cardata_domain::{Recorded, Sequence, Vin};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::{JournalError, Retention};
use super::disk::{Disk, Part, store};
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

/// What the thread owns.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<Disk>,
    pub(super) mark: Mark,
    pub(super) limits: Limits,
    pub(super) checkpoint: Checkpoint,
    /// Events on disk after the checkpoint, and the bytes of their texts.
    pub(super) events_after: usize,
    pub(super) bytes_after: u64,
}

impl Writer {
    /// Runs until the journal is closed or a write fails.
    pub(super) fn run(mut self) {
        let _end = EndOnDrop(self.shared.clone());
        let mut underway: Option<Underway> = None;
        loop {
            let (batches, next_job, stop) = self.shared.wait_for_work(underway.is_some());
            let idle = batches.is_empty();
            let worked = if idle { Ok(()) } else { self.commit(batches) };
            let worked = worked.and_then(|()| match next_job {
                // Only events that heads, latest values and the checkpoint count may go. All that were given their
                // numbers before the job came are on disk by now.
                Some(_) => self.write_checkpoint(),
                None => Ok(()),
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

    /// Writes, syncs and answers all `batches`.
    fn commit(&mut self, batches: Vec<Batch>) -> Result<(), JournalError> {
        let events = batches.iter().flat_map(|batch| {
            batch.events.iter().map(|recorded| (recorded.as_ref(), batch.appended_at))
        });
        let last = batches.iter().filter_map(|batch| batch.events.last()).next_back();
        let last = last.map_or(self.checkpoint.sequence, |recorded| recorded.sequence);
        let written = self.disk.write(events);
        let written = written.and_then(|bytes| {
            self.mark.set(last).map_err(store)?;
            Ok(bytes)
        });
        let outcome = match written {
            Ok(bytes) => {
                self.bytes_after += bytes;
                self.events_after += batches.iter().map(|batch| batch.events.len()).sum::<usize>();
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
        if self.events_after >= self.limits.checkpoint_events {
            self.write_checkpoint()?;
        }
        self.shared.trim(self.checkpoint.sequence, self.limits.recent_events);
        Ok(())
    }

    /// Does a part of the job, and says whether it was the last.
    fn work_some(&mut self, underway: &mut Underway) -> Result<bool, JournalError> {
        let task = underway.job.task;
        let Part { checkpoint, events, reached, is_last } = match task {
            Task::Retain { retention, now } => {
                self.disk.drop_oldest(self.checkpoint, self.bytes_after, retention, now)?
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

    fn write_checkpoint(&mut self) -> Result<(), JournalError> {
        let synced = Sequence(self.shared.synced.load(Ordering::Acquire));
        let (places, forgotten) = {
            let mut state = self.shared.state();
            let forgotten = state.forget_synced(synced);
            (state.tail.between(self.checkpoint.sequence, synced), forgotten)
        };
        if places.is_empty() && forgotten.is_empty() {
            return Ok(());
        }
        let checkpoint = Checkpoint {
            sequence: synced,
            kept_bytes: self.checkpoint.kept_bytes + self.bytes_after,
            ..self.checkpoint
        };
        self.disk.write_checkpoint(&places, &forgotten, checkpoint)?;
        self.checkpoint = checkpoint;
        (self.events_after, self.bytes_after) = (0, 0);
        self.shared.state().checkpoint = synced;
        Ok(())
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
