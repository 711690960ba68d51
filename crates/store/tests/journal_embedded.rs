//! What only the journal in a folder must do: keep its promises across crashes, and notice damage.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod journal;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use cardata_domain::{Catalogue, Recorded, Sequence, Value};
use cardata_store::Journal;
use cardata_store::journal::embedded::Limits;
use cardata_store::journal::{EmbeddedJournal, JournalError, LiveFeed, Retention};
use jiff::SignedDuration;

use self::journal::{Dice, Model, SIGNALS, Samples, at, sequences, vin};

/// Little memory, so that the tests cross checkpoints.
const LITTLE: Limits = Limits {
    waiting_bytes_max: 10_000,
    recent_events: 10,
    checkpoint_events: 50,
    checkpoint_step_events: 1,
    cache_bytes: 1 << 20,
    latest_values: 100,
};

/// A live feed that nobody listens to.
struct Nobody;

impl LiveFeed for Nobody {
    fn publish(&self, _: &Arc<Recorded>) {}
}

fn open(folder: &Path, catalogue: &Arc<Catalogue>) -> Result<EmbeddedJournal, JournalError> {
    EmbeddedJournal::open(folder, catalogue.clone(), Arc::new(Nobody), LITTLE)
}

#[tokio::test]
async fn a_history_goes_on_where_it_stood_when_the_folder_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = Samples::new();
    let mut model = Model::default();
    let mut dice = Dice::new(1);
    let mut second = 0;
    for round in 0..8 {
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        for _ in 0..=dice.below(70) {
            second += 1;
            let vehicle = vin(u32::try_from(dice.below(3)).unwrap());
            let signal = SIGNALS[usize::try_from(dice.below(3)).unwrap()];
            let events = vec![samples.event(vehicle, signal, second % 37, second)];
            let last = model.append(&events, second);
            assert_eq!(journal.append(events, at(second)).await.unwrap(), last);
        }
        if round % 3 == 2 {
            let retention =
                Retention { age_max: SignedDuration::from_secs(40), size_bytes_max: u64::MAX };
            let dropped = journal.retain(retention, at(second)).await.unwrap();
            assert_eq!(dropped, model.retain_since(second - 40));
        }
        if round % 3 == 1 {
            let vehicle = vin(u32::try_from(dice.below(3)).unwrap());
            assert_eq!(journal.forget(vehicle).await.unwrap(), model.forget(vehicle));
        }
        if round % 2 == 0 {
            journal.close().await.unwrap();
        }
        drop(journal);
        if round == 4 {
            // A new process has a new catalogue, in which unlisted descriptors may have other numbers.
            samples = Samples::new();
            let journal = open(folder.path(), &samples.catalogue).unwrap();
            let signals = [SIGNALS[2], SIGNALS[0], SIGNALS[1]];
            assert!(signals.iter().all(|name| samples.catalogue.intern(name).is_ok()));
            drop(journal);
        }
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        for vehicle in (0..4).map(vin) {
            let read = journal.read(vehicle, Sequence(0), 1000).await.unwrap();
            model.check_read(vehicle, Sequence(0), 1000, &read);
            model.check_latest(vehicle, &journal.latest(vehicle).await.unwrap());
            assert_eq!(journal.head(vehicle), model.head(vehicle));
        }
    }
}

#[tokio::test]
async fn the_size_that_retention_counts_is_right_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let samples = Samples::new();
    let event = || samples.event(vin(1), SIGNALS[0], 1, 1);
    let size_bytes = (r#"{"timestamp":"2026-07-27T00:00:01Z","data":{}}"#.len()
        + event().entries()[0].fragment().len()) as u64;
    let keep = |events: u64| Retention {
        age_max: SignedDuration::MAX,
        size_bytes_max: events * size_bytes,
    };
    for (appended, kept, dropped) in [(120, 100, 20), (30, 90, 40), (7, 97, 0), (2, 0, 99)] {
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        journal.append((0..appended).map(|_| event()).collect(), at(0)).await.unwrap();
        drop(journal);
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        assert_eq!(journal.retain(keep(kept), at(0)).await.unwrap(), dropped);
    }
    let journal = open(folder.path(), &samples.catalogue).unwrap();
    assert_eq!(journal.head(vin(1)), Sequence(159));
    assert_eq!(journal.append(vec![event()], at(0)).await.unwrap(), Sequence(160));
}

/// A copy of `folder` while a journal has it open: what would be left if the process were killed now.
fn as_if_killed(folder: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            let to = to.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                copy(&file.path(), &to);
            } else {
                fs::copy(file.path(), to).unwrap();
            }
        }
    }
    let left = tempfile::tempdir().unwrap();
    copy(folder, left.path());
    left
}

#[tokio::test]
async fn what_was_forgotten_does_not_come_back_after_a_kill() {
    let samples = Samples::new();
    let mut model = Model::default();
    let mut dice = Dice::new(3);
    let mut folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        // Often before the first checkpoint, after which little would have to be read again.
        for part in 0..2 {
            for _ in 0..=dice.below(30) {
                let vehicle = vin(u32::try_from(dice.below(3)).unwrap());
                let signal = SIGNALS[usize::try_from(dice.below(3)).unwrap()];
                let second = i64::try_from(dice.below(100)).unwrap();
                let events = vec![samples.event(vehicle, signal, second, round)];
                let last = model.append(&events, round);
                assert_eq!(journal.append(events, at(round)).await.unwrap(), last);
            }
            if part == 0 || round % 2 == 0 {
                let vehicle = vin(u32::try_from(dice.below(3)).unwrap());
                assert_eq!(journal.forget(vehicle).await.unwrap(), model.forget(vehicle));
            }
        }
        let left = as_if_killed(folder.path());
        drop(journal);
        folder = left;
        let journal = open(folder.path(), &samples.catalogue).unwrap();
        for vehicle in (0..4).map(vin) {
            let read = journal.read(vehicle, Sequence(0), 2000).await.unwrap();
            model.check_read(vehicle, Sequence(0), 2000, &read);
            model.check_latest(vehicle, &journal.latest(vehicle).await.unwrap());
            assert_eq!(journal.head(vehicle), model.head(vehicle));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_while_appends_go_on_leaves_what_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let samples = Arc::new(Samples::new());
    let journal = Arc::new(open(folder.path(), &samples.catalogue).unwrap());
    let mut appending = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (journal, samples) = (journal.clone(), samples.clone());
        appending.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..200 {
                let event = samples.event(vin(task % 2), SIGNALS[0], 1, 1);
                numbers.push((task % 2, journal.append(vec![event], at(0)).await.unwrap().0));
            }
            numbers
        });
    }
    let mut forgotten = 0;
    let mut gone_until = Sequence(0);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let before = journal.head(vin(1));
        let (first, second) = tokio::join!(journal.forget(vin(1)), journal.forget(vin(1)));
        forgotten += first.unwrap() + second.unwrap();
        gone_until = before;
        let read = journal.read(vin(1), Sequence(0), usize::MAX).await.unwrap();
        assert!(read.iter().all(|recorded| recorded.sequence > before));
    }
    let mut numbers: Vec<_> = appending.join_all().await.into_iter().flatten().collect();
    numbers.sort_unstable_by_key(|(_, number)| *number);
    assert!(numbers.iter().map(|(_, number)| *number).eq(1..=1200));
    let appended = |vehicle| {
        let of_vehicle = numbers.iter().filter(move |(of, _)| *of == vehicle);
        of_vehicle.map(|(_, number)| *number).collect::<Vec<_>>()
    };

    let mut journal = Arc::into_inner(journal).unwrap();
    for _ in 0..2 {
        let read = journal.read(vin(0), Sequence(0), usize::MAX).await.unwrap();
        assert_eq!(sequences(&read), appended(0));
        let read = sequences(&journal.read(vin(1), Sequence(0), usize::MAX).await.unwrap());
        assert_eq!(read.len() as u64, 600 - forgotten);
        assert!(appended(1).ends_with(&read));
        assert!(read.first().is_none_or(|first| *first > gone_until.0));
        drop(journal);
        journal = open(folder.path(), &samples.catalogue).unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_is_open_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Samples::new().catalogue;
    let first = open(folder.path(), &catalogue).unwrap();
    let JournalError::Store(cause) = open(folder.path(), &catalogue).err().unwrap() else {
        panic!("not refused by the store")
    };
    assert!(cause.to_string().contains("another process"), "{cause}");
    drop(first);
    open(folder.path(), &catalogue).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_waits_while_too_much_is_waiting_to_be_synced() {
    /// Sees at each event how many are not synced.
    #[derive(Default)]
    struct Waiting {
        journal: OnceLock<Weak<EmbeddedJournal>>,
        most: std::sync::atomic::AtomicU64,
    }
    impl LiveFeed for Waiting {
        fn publish(&self, event: &Arc<Recorded>) {
            let journal = self.journal.get().unwrap().upgrade().unwrap();
            let waiting = event.sequence.0 - journal.synced().0;
            self.most.fetch_max(waiting, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = Arc::new(Samples::new());
    let feed = Arc::new(Waiting::default());
    let journal =
        EmbeddedJournal::open(folder.path(), samples.catalogue.clone(), feed.clone(), LITTLE);
    let journal = Arc::new(journal.unwrap());
    feed.journal.set(Arc::downgrade(&journal)).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..500 {
        let (journal, events) = (journal.clone(), samples.events(vin(number), 3));
        tasks.spawn(async move { journal.append(events, at(0)).await.unwrap() });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // No event is shorter than this.
    let most = feed.most.load(std::sync::atomic::Ordering::Relaxed);
    assert!(most <= u64::from(LITTLE.waiting_bytes_max) / 150, "{most} were waiting");

    // One batch that is larger than all that may wait is still taken.
    journal.append(samples.events(vin(1), 200), at(0)).await.unwrap();
    assert_eq!(journal.synced(), Sequence(1700));
}

const APPENDING: &str = "the_child_appends_until_it_is_killed";
const FORGETTING: &str = "the_child_forgets_until_it_is_killed";
const ANSWERS: &str = "answers";

/// Starts this test binary again to run the test `child` in `folder`, kills it `delay` after it was told of `answers`
/// more answers, and returns the last number that it was told.
async fn kill_after(child: &str, folder: &Path, answers: u64, delay: Duration) -> u64 {
    let path = folder.join(ANSWERS);
    let answered = || {
        let text = fs::read(&path).unwrap_or_default();
        // A number that a kill cut in half has no line's end.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let last = text[..whole].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        std::str::from_utf8(last).unwrap().parse().unwrap_or(0)
    };
    let before: u64 = answered();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child, "--ignored", "--quiet"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while answered() < before + answers {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(delay).await;
    child.kill().unwrap();
    child.wait().unwrap();
    answered()
}

/// Event `number` of the child: each says its own number.
fn childs_event(samples: &Samples, number: u64) -> cardata_domain::Event {
    let vehicle = vin(u32::try_from(number % 5).unwrap());
    let number = i64::try_from(number).unwrap();
    samples.event(vehicle, SIGNALS[0], number, number)
}

#[tokio::test]
#[ignore = "started by other tests, which kill it"]
async fn the_child_appends_until_it_is_killed() {
    let Ok(mut answers) = OpenOptions::new().append(true).open(ANSWERS) else { return };
    let samples = Samples::new();
    let journal = open(Path::new("journal"), &samples.catalogue).unwrap();
    loop {
        let first = journal.synced().0 + 1;
        let batch = (first..first + 1 + first % 7).map(|number| childs_event(&samples, number));
        let last = journal.append(batch.collect(), at(0)).await.unwrap();
        writeln!(answers, "{}", last.0).unwrap();
    }
}

/// A folder in which a child was killed after it was told of at least `count` events; also that number.
async fn folder_after_kill(count: u64) -> (tempfile::TempDir, u64) {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join(ANSWERS)).unwrap();
    let answered = kill_after(APPENDING, folder.path(), count, Duration::ZERO).await;
    (folder, answered)
}

/// All events of the child up to the newest are there, and nothing else.
async fn check_childs_events(journal: &EmbeddedJournal, samples: &Samples) {
    let newest = journal.synced().0;
    for residue in 0..5 {
        let vehicle = vin(u32::try_from(residue).unwrap());
        let read = journal.read(vehicle, Sequence(0), usize::MAX).await.unwrap();
        let expected: Vec<_> = (1..=newest).filter(|number| number % 5 == residue).collect();
        assert_eq!(sequences(&read), expected);
        for recorded in &read {
            assert_eq!(recorded.event, childs_event(samples, recorded.sequence.0));
            assert_eq!(recorded.previous.0, recorded.sequence.0.saturating_sub(5));
        }
        let Some(last) = expected.last() else { continue };
        assert_eq!(journal.head(vehicle), Sequence(*last));
        let latest = journal.latest(vehicle).await.unwrap();
        assert_eq!(latest[0].value(), &Value::integer(i64::try_from(*last).unwrap()));
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join(ANSWERS)).unwrap();
    let samples = Samples::new();
    for round in 0..10 {
        let answers = 40 + 31 * round;
        let answered = kill_after(APPENDING, folder.path(), answers, Duration::ZERO).await;
        let journal = open(&folder.path().join("journal"), &samples.catalogue).unwrap();
        assert!(journal.synced().0 >= answered, "{answered} answered, {:?} kept", journal.synced());
        check_childs_events(&journal, &samples).await;
    }
}

/// How many events the child appends before it forgets them: so many that it takes a while.
const TO_FORGET: u64 = 6000;

#[tokio::test]
#[ignore = "started by other tests, which kill it"]
async fn the_child_forgets_until_it_is_killed() {
    let Ok(mut answers) = OpenOptions::new().append(true).open(ANSWERS) else { return };
    let samples = Samples::new();
    let journal = open(Path::new("journal"), &samples.catalogue).unwrap();
    let event = |number| samples.event(vin(number), SIGNALS[0], 1, 1);
    let events = (0..TO_FORGET).map(|_| event(1)).chain([event(2)]);
    journal.append(events.collect(), at(0)).await.unwrap();
    writeln!(answers, "1").unwrap();
    assert_eq!(journal.forget(vin(1)).await.unwrap(), TO_FORGET);
    writeln!(answers, "2").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_kill_while_a_vehicle_is_forgotten_leaves_all_of_its_events_or_none() {
    let samples = Samples::new();
    let size_bytes = (r#"{"timestamp":"2026-07-27T00:00:01Z","data":{}}"#.len()
        + samples.event(vin(1), SIGNALS[0], 1, 1).entries()[0].fragment().len())
        as u64;
    for round in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join(ANSWERS)).unwrap();
        let delay = Duration::from_millis(round * 7);
        let answered = kill_after(FORGETTING, folder.path(), 1, delay).await;
        let journal = open(&folder.path().join("journal"), &samples.catalogue).unwrap();
        let left = journal.read(vin(1), Sequence(0), usize::MAX).await.unwrap().len() as u64;
        assert!(left == 0 || left == TO_FORGET && answered < 2, "{left} left after {answered}");
        assert_eq!(journal.latest(vin(1)).await.unwrap().is_empty(), left == 0);
        assert_eq!(journal.head(vin(1)), Sequence(TO_FORGET));
        assert_eq!(journal.read(vin(2), Sequence(0), 9).await.unwrap().len(), 1);

        // What is left on disk of events that nobody reads goes by itself, and retention counts none of it afterwards.
        assert_eq!(journal.forget(vin(1)).await.unwrap(), left);
        let keep = |size_bytes_max| Retention { age_max: SignedDuration::MAX, size_bytes_max };
        assert_eq!(journal.retain(keep(size_bytes), at(0)).await.unwrap(), 0);
        assert_eq!(journal.retain(keep(size_bytes - 1), at(0)).await.unwrap(), 1);
    }
}

/// The engine's log file and where its written part ends.
fn log_file(folder: &Path) -> (PathBuf, u64) {
    let files = fs::read_dir(folder.join("journal/log")).unwrap().map(|file| file.unwrap().path());
    let mut logs: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).collect();
    assert_eq!(logs.len(), 1);
    let log = logs.remove(0);
    let mut bytes = Vec::new();
    File::open(&log).unwrap().read_to_end(&mut bytes).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (log, end as u64)
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_torn_write_of_which_nobody_was_told_is_cut_off() {
    let (folder, answered) = folder_after_kill(100).await;
    let (log, _) = log_file(folder.path());
    let samples = Samples::new();
    // Opening cuts off what the kill itself tore; then a write is torn by hand: the first half of an older one.
    drop(open(&folder.path().join("journal"), &samples.catalogue).unwrap());
    let (_, end) = log_file(folder.path());
    let mut torn = vec![0; 300];
    File::open(&log).unwrap().read_exact(&mut torn).unwrap();
    overwrite(&log, end, &torn);

    let journal = open(&folder.path().join("journal"), &samples.catalogue).unwrap();
    assert!(journal.synced().0 >= answered);
    check_childs_events(&journal, &samples).await;
    let next = journal.synced().0 + 1;
    let event = childs_event(&samples, next);
    assert_eq!(journal.append(vec![event], at(0)).await.unwrap(), Sequence(next));
    drop(journal);
    let journal = open(&folder.path().join("journal"), &samples.catalogue).unwrap();
    check_childs_events(&journal, &samples).await;
}

#[tokio::test]
async fn a_log_that_lost_answered_events_at_its_end_is_refused() {
    let (folder, answered) = folder_after_kill(200).await;
    let (log, end) = log_file(folder.path());
    OpenOptions::new().write(true).open(&log).unwrap().set_len(end - 20_000).unwrap();
    let samples = Samples::new();
    // The engine repairs what it finds, so the second look must see the loss, too.
    for _ in 0..2 {
        let error = open(&folder.path().join("journal"), &samples.catalogue).err().unwrap();
        let JournalError::Damaged { at, .. } = &error else { panic!("{error:?}") };
        assert!(at.0 <= answered, "{error}");
    }
}

#[tokio::test]
async fn damage_in_the_middle_of_the_log_is_never_skipped() {
    let (folder, _) = folder_after_kill(300).await;
    let (log, end) = log_file(folder.path());
    let whole = fs::read(&log).unwrap();
    let mark = fs::read(folder.path().join("journal/synced")).unwrap();
    let samples = Samples::new();
    let mut dice = Dice::new(7);
    let value = b"\"value\":";
    for round in 0..15 {
        fs::write(&log, &whole).unwrap();
        fs::write(folder.path().join("journal/synced"), &mark).unwrap();
        let mut place = usize::try_from(end / 8 + dice.below(end / 2)).unwrap();
        let damage = match round % 3 {
            0 => vec![0; 4096],
            1 => vec![0x5a; 4096],
            // One digit of one value.
            _ => {
                let next = whole[place..].windows(value.len()).position(|text| text == value);
                place += next.unwrap() + value.len();
                vec![whole[place] ^ 1]
            }
        };
        overwrite(&log, place as u64, &damage);
        let opened = open(&folder.path().join("journal"), &samples.catalogue);
        assert!(opened.is_err(), "{} damaged bytes at {place} were not noticed", damage.len());
    }
    fs::write(&log, &whole).unwrap();
    let journal = open(&folder.path().join("journal"), &samples.catalogue).unwrap();
    check_childs_events(&journal, &samples).await;
}
