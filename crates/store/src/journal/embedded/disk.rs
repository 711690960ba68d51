//! Reads and writes the embedded journal's files; knows the engine, and nothing of who waits for what.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;

use cardata_domain::{Catalogue, Recorded, Sequence, Vin};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use jiff::Timestamp;

use super::super::latest::LatestValues;
use super::super::{JournalError, Retention, text};
use super::record::{self, Checkpoint, LogEntry};

/// The open files.
pub(super) struct Disk {
    database: Database,
    keyspace: Keyspace,
    catalogue: Arc<Catalogue>,
}

/// Events that one call of [`Disk::drop_oldest`] drops at most, so that appends don't wait long for it.
pub(super) const DROPPED_AT_ONCE_MAX: usize = 1024;

/// Memory of the part of the tree that is not in table files yet; also what is replayed after a crash, at most.
const MEMTABLE_BYTES: u64 = 16 << 20;
const LOG_FILES_BYTES_MAX: u64 = 64 << 20;

impl Disk {
    pub(super) fn open(
        folder: &Path,
        catalogue: Arc<Catalogue>,
        cache_bytes: u64,
    ) -> Result<Self, JournalError> {
        // The engine asserts some of what it reads of its log.
        let opened = catch_unwind(|| {
            Database::builder(folder)
                .cache_size(cache_bytes)
                // One of the two is kept for flushing, so that a long compaction doesn't stop the writer.
                .worker_threads(2)
                .max_journaling_size(LOG_FILES_BYTES_MAX)
                .manual_journal_persist(true)
                .open()
        });
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(fjall::Error::Locked)) => return Err(store(InUse)),
            Ok(Err(error)) => return Err(store(error)),
            Err(_) => return Err(store(Unreadable)),
        };
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = database.keyspace("journal", options).map_err(store)?;
        Ok(Self { database, keyspace, catalogue })
    }

    /// The checkpoint, or that of an empty journal.
    pub(super) fn checkpoint(&self) -> Result<Checkpoint, JournalError> {
        match self.keyspace.get(record::CHECKPOINT_KEY).map_err(store)? {
            None => Ok(Checkpoint::default()),
            Some(bytes) => Checkpoint::from_bytes(&bytes)
                .ok_or_else(|| damaged(Sequence(0), "its checkpoint has an unknown format")),
        }
    }

    /// The newest event of each vehicle, as of the checkpoint.
    pub(super) fn heads(&self) -> Result<HashMap<Vin, Sequence>, JournalError> {
        self.keyspace
            .prefix(record::HEAD_PREFIX)
            .map(|guard| {
                let (key, value) = guard.into_inner().map_err(store)?;
                record::vin_of_head(&key)
                    .zip(record::sequence_of_key(&value))
                    .ok_or_else(|| damaged(Sequence(0), "a vehicle's newest number is unreadable"))
            })
            .collect()
    }

    /// The newest event of the log after `floor`, having looked that no number is missing among its newest `bytes`.
    ///
    /// The engine drops what it can't read of its files from the last minutes; tables have checksums of their own.
    pub(super) fn newest(&self, floor: Sequence, bytes: u64) -> Result<Sequence, JournalError> {
        let mut newest = None;
        let mut expected = None;
        let mut seen_bytes = 0;
        for guard in self.log(floor).rev() {
            let (sequence, entry) = log_entry(guard)?;
            newest.get_or_insert(sequence);
            if expected.is_some_and(|expected| sequence != expected) {
                let missing = Sequence(sequence.0 + 1);
                return Err(damaged(missing, "it is missing between others"));
            }
            expected = Some(Sequence(sequence.0 - 1));
            seen_bytes += entry.size_bytes;
            if seen_bytes > bytes {
                return Ok(newest.unwrap_or(floor));
            }
        }
        match expected {
            Some(expected) if expected != floor => {
                Err(damaged(Sequence(floor.0 + 1), "it is missing before others"))
            }
            _ => Ok(newest.unwrap_or(floor)),
        }
    }

    /// All events after `after`, in the order of the log, with the bytes of their texts.
    pub(super) fn events_after(
        &self,
        after: Sequence,
    ) -> Result<Vec<(Arc<Recorded>, u64)>, JournalError> {
        self.log(after)
            .map(|guard| {
                let (sequence, entry) = log_entry(guard)?;
                let key = record::event_key(entry.vin, sequence);
                let value = self
                    .keyspace
                    .get(key)
                    .map_err(store)?
                    .ok_or_else(|| damaged(sequence, "it stands in the log only"))?;
                Ok((self.recorded(entry.vin, sequence, &value)?, entry.size_bytes))
            })
            .collect()
    }

    /// The events of `vin` after `after` and up to `last`, in order, at most `limit`.
    pub(super) fn read(
        &self,
        vin: Vin,
        after: Sequence,
        last: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, JournalError> {
        let first = record::event_key(vin, Sequence(after.0 + 1));
        self.keyspace
            .range(first..=record::event_key(vin, last))
            .take(limit)
            .map(|guard| {
                let (key, value) = guard.into_inner().map_err(store)?;
                let sequence = record::sequence_of_key(&key)
                    .ok_or_else(|| damaged(after, "the key after it is too short"))?;
                self.recorded(vin, sequence, &value)
            })
            .collect()
    }

    /// The latest values of `vin`, as of the checkpoint.
    pub(super) fn latest(&self, vin: Vin) -> Result<LatestValues, JournalError> {
        let mut values = LatestValues::default();
        for guard in self.keyspace.prefix(record::latest_prefix(vin)) {
            let (_, value) = guard.into_inner().map_err(store)?;
            let (sequence, text) = record::split_sequence(&value)
                .ok_or_else(|| damaged(Sequence(0), "a latest value is too short"))?;
            let entry = text::read_entry(&self.catalogue, text)
                .map_err(|error| damaged(sequence, &error.to_string()))?;
            values.offer(sequence, &entry);
        }
        Ok(values)
    }

    /// Writes and syncs events with the time of their appending, and returns the bytes of their texts.
    pub(super) fn write<'a>(
        &self,
        events: impl IntoIterator<Item = (&'a Recorded, Timestamp)>,
    ) -> Result<u64, JournalError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut written_bytes = 0;
        let mut text = String::new();
        for (recorded, appended_at) in events {
            let (vin, sequence) = (recorded.event.vin(), recorded.sequence);
            text.clear();
            text::write(&recorded.event, &mut text);
            let size_bytes = text.len() as u64;
            written_bytes += size_bytes;
            let value = record::with_sequence(recorded.previous, &[&text]);
            batch.insert(&self.keyspace, record::event_key(vin, sequence), value);
            let entry = LogEntry { vin, appended_at, size_bytes };
            batch.insert(&self.keyspace, record::log_key(sequence), entry.to_bytes());
        }
        batch.commit().map_err(store)?;
        Ok(written_bytes)
    }

    /// Works `events` into heads and latest values and notes `checkpoint`.
    ///
    /// Not synced: the log keeps its order, so a crash leaves this or the checkpoint before it.
    pub(super) fn write_checkpoint(
        &self,
        events: &[Arc<Recorded>],
        checkpoint: Checkpoint,
    ) -> Result<(), JournalError> {
        let mut by_vehicle: HashMap<Vin, Vec<&Recorded>> = HashMap::new();
        for recorded in events {
            by_vehicle.entry(recorded.event.vin()).or_default().push(recorded);
        }
        let mut batch = self.database.batch();
        for (vin, events) in by_vehicle {
            let mut values = self.latest(vin)?;
            let mut changed = Vec::new();
            let mut head = Sequence(0);
            for recorded in events {
                head = head.max(recorded.sequence);
                for entry in recorded.event.entries() {
                    if values.offer(recorded.sequence, entry) {
                        changed.push(entry.descriptor());
                    }
                }
            }
            changed.sort_unstable();
            changed.dedup();
            for (sequence, entry) in changed.iter().filter_map(|signal| values.get(*signal)) {
                let name = &self.catalogue.descriptor(entry.descriptor()).name;
                let value = record::with_sequence(*sequence, &["{", entry.fragment(), "}"]);
                batch.insert(&self.keyspace, record::latest_key(vin, name), value);
            }
            batch.insert(&self.keyspace, record::head_key(vin), head.0.to_be_bytes());
        }
        batch.insert(&self.keyspace, record::CHECKPOINT_KEY, checkpoint.to_bytes());
        batch.commit().map_err(store)
    }

    /// Drops some of the oldest events that `retention` does not keep, none of them after the checkpoint, where
    /// `bytes_after` come after it. Gives the new checkpoint and how many went.
    pub(super) fn drop_oldest(
        &self,
        checkpoint: Checkpoint,
        bytes_after: u64,
        retention: Retention,
        now: Timestamp,
    ) -> Result<(Checkpoint, usize), JournalError> {
        let mut left = checkpoint;
        let mut dropped = 0;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for guard in self.log(checkpoint.floor).take(DROPPED_AT_ONCE_MAX) {
            let (sequence, entry) = log_entry(guard)?;
            let expired = now.duration_since(entry.appended_at) > retention.age_max;
            let too_much = left.kept_bytes + bytes_after > retention.size_bytes_max;
            if sequence > checkpoint.sequence || !(expired || too_much) {
                break;
            }
            batch.remove(&self.keyspace, record::event_key(entry.vin, sequence));
            batch.remove(&self.keyspace, record::log_key(sequence));
            left.floor = sequence;
            left.kept_bytes = left.kept_bytes.saturating_sub(entry.size_bytes);
            dropped += 1;
        }
        if dropped > 0 {
            batch.insert(&self.keyspace, record::CHECKPOINT_KEY, left.to_bytes());
            batch.commit().map_err(store)?;
        }
        Ok((left, dropped))
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.database.persist(PersistMode::SyncAll).map_err(store)
    }

    fn log(&self, after: Sequence) -> fjall::Iter {
        self.keyspace
            .range(record::log_key(Sequence(after.0 + 1))..=record::log_key(Sequence(u64::MAX)))
    }

    fn recorded(
        &self,
        vin: Vin,
        sequence: Sequence,
        value: &[u8],
    ) -> Result<Arc<Recorded>, JournalError> {
        let (previous, text) =
            record::split_sequence(value).ok_or_else(|| damaged(sequence, "it is too short"))?;
        let event = text::read(&self.catalogue, vin, text)
            .map_err(|error| damaged(sequence, &error.to_string()))?;
        Ok(Arc::new(Recorded::new(sequence, previous, event)))
    }
}

/// Another process has the files open.
#[derive(Debug, thiserror::Error)]
#[error("another process has the journal open; stop it first")]
struct InUse;

/// The log holds what nobody wrote.
#[derive(Debug, thiserror::Error)]
#[error("the journal's log is damaged; restore its folder from a backup")]
struct Unreadable;

fn log_entry(guard: Guard) -> Result<(Sequence, LogEntry), JournalError> {
    let (key, value) = guard.into_inner().map_err(store)?;
    let sequence = record::sequence_of_key(&key)
        .ok_or_else(|| damaged(Sequence(0), "a key of the log is too short"))?;
    let entry = LogEntry::from_bytes(&value)
        .ok_or_else(|| damaged(sequence, "its entry in the log is unreadable"))?;
    Ok((sequence, entry))
}

pub(super) fn store(error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Store(Arc::new(error))
}

pub(super) fn damaged(at: Sequence, reason: &str) -> JournalError {
    JournalError::Damaged { at, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use cardata_domain::{Entry, Event, Value};

    use super::*;

    #[test]
    fn a_number_that_is_missing_between_others_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Arc::new(Catalogue::shipped());
        let disk = Disk::open(folder.path(), catalogue.clone(), 1 << 20).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let write = |sequence| {
            let signal = catalogue.intern("vehicle.isMoving").unwrap();
            let entry = Entry::new(&catalogue, signal, now, Value::Boolean(true), None);
            let event = Event::new("WBY00000000000001".parse().unwrap(), now, vec![entry]);
            let recorded = Recorded::new(Sequence(sequence), Sequence(0), event.unwrap());
            disk.write([(&recorded, now)]).unwrap();
        };
        let damaged_at = |floor, bytes| match disk.newest(Sequence(floor), bytes) {
            Err(JournalError::Damaged { at, .. }) => at,
            other => panic!("{other:?}"),
        };
        assert_eq!(disk.newest(Sequence(0), 1000).unwrap(), Sequence(0));
        for sequence in [3, 4, 5] {
            write(sequence);
        }
        assert_eq!(disk.newest(Sequence(2), 1000).unwrap(), Sequence(5));
        assert_eq!(damaged_at(1, 1000), Sequence(2));
        write(7);
        write(8);
        assert_eq!(damaged_at(2, 1000), Sequence(6));
        // Only as far back as was asked.
        assert_eq!(disk.newest(Sequence(2), 50).unwrap(), Sequence(8));
    }
}
