//! Reads and writes the embedded journal's files; knows the engine, and nothing of who waits for what.

use std::collections::HashMap;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use cardata_domain::{Catalogue, Recorded, Sequence, Vin};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use jiff::Timestamp;

use super::super::latest::{Known, LatestValues};
use super::super::{JournalError, Retention, text};
use super::record::{self, Checkpoint, LogEntry};

/// The open files.
pub(super) struct Disk {
    database: Database,
    keyspace: Keyspace,
    catalogue: Arc<Catalogue>,
}

/// Where a vehicle stands as of a checkpoint that is being made.
pub(super) struct Standing {
    pub(super) vin: Vin,
    /// Its newest event.
    head: Sequence,
    /// The checkpoint before: values that came until then are on disk.
    after: Sequence,
    pub(super) known: Arc<Known>,
}

impl Standing {
    /// Where `vin` stands at `head` after `events`, which are those since the checkpoint `after`, in order.
    ///
    /// Its latest values before them are `known`, or else on the disk, where those up to `forgotten` don't count. What is
    /// known may count some of these events already, but none that comes after `head`.
    pub(super) fn new(
        disk: &Disk,
        vin: Vin,
        (head, events): (Sequence, &[Arc<Recorded>]),
        after: Sequence,
        known: Option<Arc<Known>>,
        forgotten: Sequence,
    ) -> Result<Self, JournalError> {
        let known = match known {
            Some(known) if known.until == head => known,
            Some(known) => {
                let is_new = |event: &&Arc<Recorded>| event.sequence > known.until;
                Arc::new(known.after(events.iter().filter(is_new), head))
            }
            None => Arc::new(disk.latest(vin, forgotten)?.known_after(events, head)),
        };
        Ok(Self { vin, head, after, known })
    }
}

/// What stands on disk when a checkpoint is complete.
pub(super) struct CheckpointEnd {
    pub(super) checkpoint: Checkpoint,
    /// What is being forgotten, up to a number of each vehicle and none after the checkpoint: no standing counts it, and
    /// the rest of it follows.
    pub(super) forgotten: HashMap<Vin, Sequence>,
}

/// What one call of [`Disk::drop_oldest`] or [`Disk::forget_some`] did.
pub(super) struct Part {
    /// The checkpoint from now on.
    pub(super) checkpoint: Checkpoint,
    /// How many events went.
    pub(super) events: usize,
    /// The newest number that it dealt with.
    pub(super) reached: Sequence,
    /// Whether there is nothing left to do.
    pub(super) is_last: bool,
}

/// Numbers that one part deals with at most, so that appends don't wait long for it.
const NUMBERS_AT_ONCE_MAX: usize = 1024;

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
        let open = || {
            Database::builder(folder)
                .cache_size(cache_bytes)
                // One of the two is kept for flushing, so that a long compaction doesn't stop the writer.
                .worker_threads(2)
                .max_journaling_size(LOG_FILES_BYTES_MAX)
                .manual_journal_persist(true)
                .open()
        };
        // The engine's own threads have the priority of the one that starts them: live events must not wait while it
        // sorts its files.
        let open = || {
            give_way();
            catch_unwind(open)
        };
        let opened = std::thread::scope(|scope| scope.spawn(open).join());
        let database = match opened.unwrap_or_else(|panic| resume_unwind(panic)) {
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
        self.by_vehicle(record::HEAD_PREFIX, "a vehicle's newest number is unreadable")
    }

    /// Up to where each vehicle's events are being forgotten, when that was begun and not ended.
    pub(super) fn forgetting(&self) -> Result<HashMap<Vin, Sequence>, JournalError> {
        self.by_vehicle(record::FORGETTING_PREFIX, "what is to be forgotten is unreadable")
    }

    fn by_vehicle(
        &self,
        prefix: &[u8],
        unreadable: &str,
    ) -> Result<HashMap<Vin, Sequence>, JournalError> {
        self.keyspace
            .prefix(prefix)
            .map(|guard| {
                let (key, value) = guard.into_inner().map_err(store)?;
                record::vin_of_key(prefix, &key)
                    .zip(record::last_sequence(&value))
                    .ok_or_else(|| damaged(Sequence(0), unreadable))
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
            if let LogEntry::Kept { size_bytes, .. } = entry {
                seen_bytes += size_bytes;
            }
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
                let LogEntry::Kept { vin, size_bytes, .. } = entry else {
                    // Nothing is forgotten that heads and checkpoint don't count yet.
                    return Err(damaged(sequence, "it was forgotten, and the checkpoint is older"));
                };
                let key = record::event_key(vin, sequence);
                let value = self
                    .keyspace
                    .get(key)
                    .map_err(store)?
                    .ok_or_else(|| damaged(sequence, "it stands in the log only"))?;
                Ok((self.recorded(vin, sequence, &value)?, size_bytes))
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
                let sequence = record::last_sequence(&key)
                    .ok_or_else(|| damaged(after, "the key after it is too short"))?;
                self.recorded(vin, sequence, &value)
            })
            .collect()
    }

    /// The newest number after `floor` and up to `newest` of an event that was appended before `at`, or `floor`.
    pub(super) fn before(
        &self,
        at: Timestamp,
        floor: Sequence,
        newest: Sequence,
    ) -> Result<Sequence, JournalError> {
        let (mut before, mut last) = (floor.0, newest.0.max(floor.0));
        while before < last {
            let middle = before + (last - before).div_ceil(2);
            match self.first_kept(Sequence(middle), Sequence(last))? {
                Some((sequence, appended_at)) if appended_at < at => before = sequence.0,
                // Or all of these were forgotten, and nobody reads them.
                _ => last = middle - 1,
            }
        }
        Ok(Sequence(before))
    }

    /// The first event from `first` to `last` that was not forgotten, and when it was appended.
    fn first_kept(
        &self,
        first: Sequence,
        last: Sequence,
    ) -> Result<Option<(Sequence, Timestamp)>, JournalError> {
        for guard in self.keyspace.range(record::log_key(first)..=record::log_key(last)) {
            let (sequence, entry) = log_entry(guard)?;
            if let LogEntry::Kept { appended_at, .. } = entry {
                return Ok(Some((sequence, appended_at)));
            }
        }
        Ok(None)
    }

    /// The latest values of `vin`, as of the checkpoint, of those that came after `after`.
    pub(super) fn latest(&self, vin: Vin, after: Sequence) -> Result<LatestValues, JournalError> {
        let mut values = LatestValues::default();
        for guard in self.keyspace.prefix(record::latest_prefix(vin)) {
            let (_, value) = guard.into_inner().map_err(store)?;
            let (sequence, text) = record::split_sequence(&value)
                .ok_or_else(|| damaged(Sequence(0), "a latest value is too short"))?;
            if sequence <= after {
                continue;
            }
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
            let entry = LogEntry::Kept { vin, appended_at, size_bytes };
            batch.insert(&self.keyspace, record::log_key(sequence), entry.to_bytes());
        }
        batch.commit().map_err(store)?;
        Ok(written_bytes)
    }

    /// Writes where vehicles stand, and with the last of them the checkpoint as of which they do.
    ///
    /// Not synced: the log keeps its order, so a crash leaves this or what was before it. Vehicles may come in several
    /// calls: what is written twice after a crash is the same both times.
    pub(super) fn write_standings(
        &self,
        standings: &[Standing],
        end: Option<&CheckpointEnd>,
    ) -> Result<(), JournalError> {
        let mut batch = self.database.batch();
        for Standing { vin, head, after, known } in standings {
            for (sequence, entry) in known.since(*after) {
                let value = record::with_sequence(sequence, &["{", entry.fragment(), "}"]);
                batch.insert(&self.keyspace, record::latest_key(*vin, entry.name()), value);
            }
            batch.insert(&self.keyspace, record::head_key(*vin), head.0.to_be_bytes());
        }
        if let Some(CheckpointEnd { checkpoint, forgotten }) = end {
            for (vin, until) in forgotten {
                batch.insert(&self.keyspace, record::forgetting_key(*vin), until.0.to_be_bytes());
            }
            batch.insert(&self.keyspace, record::CHECKPOINT_KEY, checkpoint.to_bytes());
        }
        batch.commit().map_err(store)
    }

    /// Drops some of the oldest events that `retention` does not keep, none of them after the checkpoint, where
    /// `bytes_after` come after it. Numbers of forgotten events go as soon as they are the oldest.
    pub(super) fn drop_oldest(
        &self,
        checkpoint: Checkpoint,
        bytes_after: u64,
        retention: Retention,
        now: Timestamp,
    ) -> Result<Part, JournalError> {
        let mut left = checkpoint;
        let (mut numbers, mut events) = (0, 0);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for guard in self.log(checkpoint.floor).take(NUMBERS_AT_ONCE_MAX) {
            let (sequence, entry) = log_entry(guard)?;
            if sequence > checkpoint.sequence {
                break;
            }
            if let LogEntry::Kept { vin, appended_at, size_bytes } = entry {
                let expired = now.duration_since(appended_at) > retention.age_max;
                let too_much = left.kept_bytes + bytes_after > retention.size_bytes_max;
                if !(expired || too_much) {
                    break;
                }
                batch.remove(&self.keyspace, record::event_key(vin, sequence));
                left.kept_bytes = left.kept_bytes.saturating_sub(size_bytes);
                events += 1;
            }
            batch.remove(&self.keyspace, record::log_key(sequence));
            left.floor = sequence;
            numbers += 1;
        }
        if numbers > 0 {
            batch.insert(&self.keyspace, record::CHECKPOINT_KEY, left.to_bytes());
            batch.commit().map_err(store)?;
        }
        let is_last = numbers < NUMBERS_AT_ONCE_MAX;
        Ok(Part { checkpoint: left, events, reached: left.floor, is_last })
    }

    /// Forgets some of the events of `vin` after `after` and up to `until`, which is not after the checkpoint; with the
    /// last of them also its latest values up to there. Their numbers stay in the log, so that none is missing.
    pub(super) fn forget_some(
        &self,
        checkpoint: Checkpoint,
        vin: Vin,
        after: Sequence,
        until: Sequence,
    ) -> Result<Part, JournalError> {
        let mut left = checkpoint;
        let mut reached = after.max(checkpoint.floor);
        let mut events = 0;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        if reached < until {
            let first = record::event_key(vin, Sequence(reached.0 + 1));
            let range = self.keyspace.range(first..=record::event_key(vin, until));
            for guard in range.take(NUMBERS_AT_ONCE_MAX) {
                let (key, value) = guard.into_inner().map_err(store)?;
                let sequence = record::last_sequence(&key)
                    .ok_or_else(|| damaged(reached, "the key after it is too short"))?;
                let (_, text) = record::split_sequence(&value)
                    .ok_or_else(|| damaged(sequence, "it is too short"))?;
                batch.remove(&self.keyspace, key);
                let entry = LogEntry::Forgotten.to_bytes();
                batch.insert(&self.keyspace, record::log_key(sequence), entry);
                left.kept_bytes = left.kept_bytes.saturating_sub(text.len() as u64);
                reached = sequence;
                events += 1;
            }
        }
        let is_last = events < NUMBERS_AT_ONCE_MAX;
        if is_last {
            for guard in self.keyspace.prefix(record::latest_prefix(vin)) {
                let (key, value) = guard.into_inner().map_err(store)?;
                let (sequence, _) = record::split_sequence(&value)
                    .ok_or_else(|| damaged(Sequence(0), "a latest value is too short"))?;
                if sequence <= until {
                    batch.remove(&self.keyspace, key);
                }
            }
            // A later call may have noted more than is done here.
            let key = record::forgetting_key(vin);
            let noted = self.keyspace.get(&key).map_err(store)?;
            if noted.is_some_and(|noted| record::last_sequence(&noted) <= Some(until)) {
                batch.remove(&self.keyspace, key);
            }
        }
        batch.insert(&self.keyspace, record::CHECKPOINT_KEY, left.to_bytes());
        batch.commit().map_err(store)?;
        Ok(Part { checkpoint: left, events, reached, is_last })
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

/// Lets the system prefer other threads to this one and those that it starts. Only Linux knows that of a thread, and where
/// it can't be done, the journal is none the worse.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
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
    let sequence = record::last_sequence(&key)
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

    use super::super::super::{Journal as _, LiveFeed};
    use super::super::{EmbeddedJournal, Limits};
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn open(folder: &Path) -> Disk {
        Disk::open(&folder.join("log"), Arc::new(Catalogue::shipped()), 1 << 20).unwrap()
    }

    fn event(disk: &Disk, vin: Vin, sequence: u64) -> Arc<Recorded> {
        event_at(disk, vin, sequence, NOW)
    }

    fn event_at(disk: &Disk, vin: Vin, sequence: u64, at: Timestamp) -> Arc<Recorded> {
        let signal = disk.catalogue.intern("vehicle.isMoving").unwrap();
        let entry = Entry::new(&disk.catalogue, signal, at, Value::Boolean(true), None);
        let event = Event::new(vin, at, vec![entry]).unwrap();
        Arc::new(Recorded::new(Sequence(sequence), Sequence(sequence - 1), event))
    }

    fn vin(number: u32) -> Vin {
        format!("WBY{number:014}").parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_engines_threads_give_way_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let _disk = open(folder.path());
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let stats = threads
            .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
        let workers: Vec<_> = stats.filter(|stat| stat.contains("(fjall")).collect();
        assert!(workers.len() >= 2, "{workers:?}");
        // The 19th field; the name in parentheses is the second.
        let niceness = |stat: &String| {
            let (_, rest) = stat.rsplit_once(") ").unwrap();
            rest.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        assert!(workers.iter().all(|worker| niceness(worker) >= 10), "{workers:?}");
    }

    fn damaged_at<T: std::fmt::Debug>(outcome: Result<T, JournalError>) -> Sequence {
        match outcome {
            Err(JournalError::Damaged { at, .. }) => at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_number_that_is_missing_between_others_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        let write = |sequence| {
            disk.write([(&*event(&disk, vin(1), sequence), NOW)]).unwrap();
        };
        let damaged_at = |floor, bytes| damaged_at(disk.newest(Sequence(floor), bytes));
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

    /// A disk with events 1 to `newest` of vehicle 1 and one more of vehicle 2, and a checkpoint from which on those of
    /// vehicle 1 are being forgotten.
    fn about_to_forget(folder: &Path, newest: u64) -> (Disk, Checkpoint) {
        let disk = open(folder);
        let mut events: Vec<_> = (1..=newest).map(|number| event(&disk, vin(1), number)).collect();
        events.push(event(&disk, vin(2), newest + 1));
        let written = disk.write(events.iter().map(|recorded| (&**recorded, NOW)));
        let checkpoint = Checkpoint {
            sequence: Sequence(newest + 1),
            kept_bytes: written.unwrap(),
            ..Checkpoint::default()
        };
        let of_second = events.split_off(events.len() - 1);
        write_checkpoint(&disk, &[&events, &of_second], 0, checkpoint);
        write_checkpoint(&disk, &[], newest, checkpoint);
        (disk, checkpoint)
    }

    /// Works events of some vehicles into a checkpoint, of vehicle 1 without those up to `forgotten`.
    fn write_checkpoint(
        disk: &Disk,
        vehicles: &[&[Arc<Recorded>]],
        forgotten: u64,
        checkpoint: Checkpoint,
    ) {
        let before = disk.checkpoint().unwrap().sequence;
        let forgotten = (forgotten > 0).then_some((vin(1), Sequence(forgotten)));
        let forgotten: HashMap<_, _> = forgotten.into_iter().collect();
        let standing = |events: &&[Arc<Recorded>]| {
            let newest = events.last().unwrap();
            let (vin, head) = (newest.event.vin(), newest.sequence);
            let forgotten = forgotten.get(&vin).copied().unwrap_or_default();
            Standing::new(disk, vin, (head, events), before, None, forgotten).unwrap()
        };
        let standings: Vec<_> = vehicles.iter().map(standing).collect();
        let end = CheckpointEnd { checkpoint, forgotten };
        disk.write_standings(&standings, Some(&end)).unwrap();
    }

    fn keys_with(disk: &Disk, vin: Vin) -> Vec<Vec<u8>> {
        let names = |bytes: &[u8]| bytes.windows(Vin::LENGTH).any(|part| part == vin.as_bytes());
        let pairs = disk.keyspace.iter().map(|guard| guard.into_inner().unwrap());
        pairs
            .filter(|(key, value)| names(key) || names(value))
            .map(|(key, _)| key.to_vec())
            .collect()
    }

    #[test]
    fn a_forgotten_vehicle_keeps_its_newest_number_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, checkpoint) = about_to_forget(folder.path(), 3);
        let part = disk.forget_some(checkpoint, vin(1), Sequence(0), Sequence(3)).unwrap();
        assert_eq!((part.events, part.is_last), (3, true));
        assert_eq!(part.checkpoint.kept_bytes, checkpoint.kept_bytes / 4);
        assert_eq!(keys_with(&disk, vin(1)), [record::head_key(vin(1))]);
        assert_eq!(disk.heads().unwrap()[&vin(1)], Sequence(3));
        assert_eq!(keys_with(&disk, vin(2)).len(), 4);
        // No number is missing, until retention takes them all.
        assert_eq!(disk.newest(Sequence(0), 1000).unwrap(), Sequence(4));
        let nothing = Retention { age_max: jiff::SignedDuration::MAX, size_bytes_max: 0 };
        let part = disk.drop_oldest(part.checkpoint, 0, nothing, NOW).unwrap();
        assert_eq!((part.events, part.checkpoint.floor.0, part.checkpoint.kept_bytes), (1, 4, 0));
        assert_eq!(disk.log(Sequence(0)).count(), 0);
    }

    #[test]
    fn a_value_that_comes_later_is_kept_though_a_forgotten_one_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = about_to_forget(folder.path(), 3);
        let earlier = NOW - jiff::SignedDuration::from_secs(1);
        let later = event_at(&disk, vin(1), 5, earlier);
        disk.write([(&*later, NOW)]).unwrap();
        let checkpoint = Checkpoint { sequence: Sequence(5), ..disk.checkpoint().unwrap() };
        write_checkpoint(&disk, &[&[later]], 3, checkpoint);
        disk.forget_some(checkpoint, vin(1), Sequence(0), Sequence(3)).unwrap();
        let latest = disk.latest(vin(1), Sequence(0)).unwrap().entries();
        assert_eq!(latest.iter().map(Entry::at).collect::<Vec<_>>(), [earlier]);
    }

    #[test]
    fn what_is_gone_without_a_note_that_it_was_forgotten_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, checkpoint) = about_to_forget(folder.path(), 3);
        disk.forget_some(checkpoint, vin(1), Sequence(0), Sequence(3)).unwrap();
        for sequence in 5..=7 {
            disk.write([(&*event(&disk, vin(1), sequence), NOW)]).unwrap();
        }
        assert_eq!(disk.events_after(checkpoint.sequence).unwrap().len(), 3);
        disk.keyspace.remove(record::event_key(vin(1), Sequence(6))).unwrap();
        assert_eq!(damaged_at(disk.events_after(checkpoint.sequence)), Sequence(6));
        // A checkpoint that does not count what was forgotten is not the one that was written.
        assert_eq!(damaged_at(disk.events_after(Sequence(2))), Sequence(3));
        disk.keyspace.remove(record::log_key(Sequence(2))).unwrap();
        assert_eq!(damaged_at(disk.newest(Sequence(0), 1000)), Sequence(2));
    }

    struct Nobody;

    impl LiveFeed for Nobody {
        fn publish(&self, _: &Arc<Recorded>) {}
    }

    #[tokio::test]
    async fn a_checkpoint_that_was_cut_short_is_made_anew_when_the_folder_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        let later = |number| NOW + jiff::SignedDuration::from_secs(number);
        // The newest value of each is that of its second event.
        let events = [(1, 1, 3), (2, 2, 3), (1, 3, 4), (2, 4, 4), (1, 5, 2), (2, 6, 2)];
        let events = events.map(|(of, number, at)| event_at(&disk, vin(of), number, later(at)));
        disk.write(events.iter().map(|recorded| (&**recorded, NOW))).unwrap();
        let of_first: Vec<_> = events.iter().cloned().step_by(2).collect();
        let newest = (Sequence(5), &*of_first);
        let standing = Standing::new(&disk, vin(1), newest, Sequence(0), None, Sequence(0));
        disk.write_standings(&[standing.unwrap()], None).unwrap();
        disk.sync().unwrap();
        drop(disk);

        let (catalogue, limits) = (Arc::new(Catalogue::shipped()), Limits::default());
        for _ in 0..2 {
            let feed = Arc::new(Nobody);
            let journal =
                EmbeddedJournal::open(folder.path(), catalogue.clone(), feed, limits).unwrap();
            for number in [1, 2] {
                let latest = journal.latest(vin(number)).await.unwrap();
                assert_eq!(latest.iter().map(Entry::at).collect::<Vec<_>>(), [later(4)]);
                assert_eq!(journal.head(vin(number)), Sequence(4 + u64::from(number)));
            }
        }
        assert_eq!(open(folder.path()).checkpoint().unwrap().sequence, Sequence(6));
    }

    #[tokio::test]
    async fn forgetting_that_was_cut_short_goes_on_when_the_folder_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, checkpoint) = about_to_forget(folder.path(), 2000);
        let part = disk.forget_some(checkpoint, vin(1), Sequence(0), Sequence(2000)).unwrap();
        assert_eq!((part.events, part.reached, part.is_last), (1024, Sequence(1024), false));
        drop(disk);

        let (catalogue, limits) = (Arc::new(Catalogue::shipped()), Limits::default());
        let journal = EmbeddedJournal::open(folder.path(), catalogue, Arc::new(Nobody), limits);
        let journal = journal.unwrap();
        assert!(journal.read(vin(1), Sequence(0), 9).await.unwrap().is_empty());
        assert!(journal.latest(vin(1)).await.unwrap().is_empty());
        assert_eq!(journal.head(vin(1)), Sequence(2000));
        // The next job comes after it.
        assert_eq!(journal.forget(vin(1)).await.unwrap(), 0);
        drop(journal);

        let disk = open(folder.path());
        assert_eq!(keys_with(&disk, vin(1)), [record::head_key(vin(1))]);
        assert_eq!(disk.checkpoint().unwrap().kept_bytes, checkpoint.kept_bytes / 2001);
    }
}
