//! What every journal must do. A new implementation joins with one line at the end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod journal;

use std::any::Any;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use cardata_domain::{Recorded, Sequence, Value};
use cardata_store::Journal;
use cardata_store::journal::embedded::Limits;
use cardata_store::journal::{EmbeddedJournal, JournalError, LiveFeed, MemoryJournal, Retention};
use jiff::SignedDuration;

use self::journal::{Dice, Model, SIGNALS, Samples, at, sequences, vin};

/// An empty journal with all that a rule needs.
struct Setup {
    journal: Arc<dyn Journal>,
    feed: Arc<Remembered>,
    samples: Samples,
    /// What must live as long as the journal, such as its folder.
    _keep: Box<dyn Any>,
}

/// A live feed that keeps everything it gets.
#[derive(Default)]
struct Remembered(Mutex<Vec<Arc<Recorded>>>);

impl Remembered {
    fn events(&self) -> Vec<Arc<Recorded>> {
        self.0.lock().unwrap().clone()
    }
}

impl LiveFeed for Remembered {
    fn publish(&self, event: &Arc<Recorded>) {
        self.0.lock().unwrap().push(event.clone());
    }
}

const EVERYTHING: Retention = Retention { age_max: SignedDuration::MAX, size_bytes_max: u64::MAX };

fn no_older_than(seconds: i64) -> Retention {
    Retention { age_max: SignedDuration::from_secs(seconds), ..EVERYTHING }
}

async fn numbers_are_dense_and_name_the_vehicles_event_before(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    assert_eq!(journal.head(vin(1)), Sequence(0));
    assert_eq!(journal.synced(), Sequence(0));
    assert_eq!(journal.append(samples.events(vin(1), 2), at(0)).await.unwrap(), Sequence(2));
    assert_eq!(journal.append(samples.events(vin(2), 1), at(0)).await.unwrap(), Sequence(3));
    let mixed = [samples.events(vin(1), 1), samples.events(vin(2), 1)].concat();
    assert_eq!(journal.append(mixed, at(0)).await.unwrap(), Sequence(5));
    assert_eq!((journal.head(vin(1)), journal.head(vin(2))), (Sequence(4), Sequence(5)));

    let chain = async |number| {
        let events = journal.read(vin(number), Sequence(0), 10).await.unwrap();
        events.iter().map(|event| (event.previous.0, event.sequence.0)).collect::<Vec<_>>()
    };
    assert_eq!(chain(1).await, [(0, 1), (1, 2), (2, 4)]);
    assert_eq!(chain(2).await, [(0, 3), (3, 5)]);
}

async fn an_empty_batch_returns_the_newest_number(setup: Setup) {
    let Setup { journal, samples, feed, .. } = setup;
    assert_eq!(journal.append(Vec::new(), at(0)).await.unwrap(), Sequence(0));
    journal.append(samples.events(vin(1), 3), at(0)).await.unwrap();
    assert_eq!(journal.append(Vec::new(), at(0)).await.unwrap(), Sequence(3));
    assert_eq!(feed.events().len(), 3);
}

async fn a_read_gives_one_vehicles_events_after_a_number_up_to_a_limit(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    for _ in 0..5 {
        let both = [samples.events(vin(1), 1), samples.events(vin(2), 1)].concat();
        journal.append(both, at(0)).await.unwrap();
    }
    let read = async |after, limit| {
        sequences(&journal.read(vin(2), Sequence(after), limit).await.unwrap())
    };
    assert_eq!(read(0, 10).await, [2, 4, 6, 8, 10]);
    assert_eq!(read(0, 2).await, [2, 4]);
    assert_eq!(read(4, 2).await, [6, 8]);
    assert_eq!(read(5, 9).await, [6, 8, 10]);
    assert_eq!(read(10, 9).await, [0; 0]);
    assert_eq!(read(u64::MAX, 9).await, [0; 0]);
    assert_eq!(read(0, 0).await, [0; 0]);
    assert!(journal.read(vin(3), Sequence(0), 9).await.unwrap().is_empty());
}

async fn what_append_answered_is_synced(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    for _ in 0..10 {
        let last = journal.append(samples.events(vin(1), 3), at(0)).await.unwrap();
        assert!(journal.synced() >= last);
    }
}

async fn a_reader_of_a_time_begins_with_the_first_event_that_was_appended_then(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    assert_eq!(journal.before(at(0)).await.unwrap(), Sequence(0));
    for second in 1..=20 {
        // Of two vehicles, two events a second.
        let events = [samples.events(vin(1), 1), samples.events(vin(2), 1)].concat();
        journal.append(events, at(second)).await.unwrap();
    }
    let before = async |second| journal.before(at(second)).await.unwrap();
    assert_eq!((before(0).await, before(1).await), (Sequence(0), Sequence(0)));
    for second in 2..=21 {
        assert_eq!(before(second).await, Sequence(second.cast_unsigned() * 2 - 2), "{second}");
    }
    assert_eq!(before(1000).await, Sequence(40));
    // What was forgotten, or dropped, has no time.
    journal.forget(vin(1)).await.unwrap();
    for second in 1..=20 {
        let read = journal.read(vin(2), before(second).await, 99).await.unwrap();
        assert_eq!(read[0].sequence.0, second.cast_unsigned() * 2, "{second}");
    }
    assert!(journal.read(vin(2), before(21).await, 99).await.unwrap().is_empty());
    journal.retain(no_older_than(5), at(20)).await.unwrap();
    for (second, first) in [(0, 30), (15, 30), (16, 32)] {
        let read = journal.read(vin(2), before(second).await, 99).await.unwrap();
        assert_eq!(read[0].sequence, Sequence(first), "{second}");
    }
}

async fn an_event_is_live_and_readable_before_it_is_synced(setup: Setup) {
    let Setup { journal, samples, feed, .. } = setup;
    journal.append(samples.events(vin(1), 1), at(0)).await.unwrap();
    let mut append = pin!(journal.append(samples.events(vin(1), 2), at(0)));
    let answered = poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
    assert_eq!(sequences(&feed.events()), [1, 2, 3]);
    assert_eq!(journal.head(vin(1)), Sequence(3));
    let read = journal.read(vin(1), Sequence(1), 9).await.unwrap();
    assert_eq!(sequences(&read), [2, 3]);
    assert_eq!(journal.latest(vin(1)).await.unwrap()[0].value(), &Value::integer(2));
    if answered.is_pending() {
        append.await.unwrap();
    }
}

async fn the_live_feed_gets_each_event_once_in_order_from_many_at_once(setup: Setup) {
    let Setup { journal, samples, feed, .. } = setup;
    let samples = Arc::new(samples);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (journal, samples) = (journal.clone(), samples.clone());
        tasks.spawn(async move {
            for count in 0..20 {
                let last = journal.append(samples.events(vin(number), 1 + count % 3), at(0)).await;
                assert!(journal.synced() >= last.unwrap());
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let live = feed.events();
    assert_eq!(sequences(&live), (1..=live.len() as u64).collect::<Vec<_>>());
    for number in 0..16 {
        let of_vehicle: Vec<_> =
            live.iter().filter(|recorded| recorded.event.vin() == vin(number)).cloned().collect();
        let read = journal.read(vin(number), Sequence(0), 1000).await.unwrap();
        assert_eq!(sequences(&read), sequences(&of_vehicle));
    }
}

async fn a_newer_value_is_never_replaced_by_an_older_one(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    let [charge, moving, unlisted] = SIGNALS;
    assert!(journal.latest(vin(1)).await.unwrap().is_empty());
    for (signal, second, number) in [
        (charge, 10, 1),
        (charge, 5, 2),
        (moving, 1, 3),
        (unlisted, 7, 4),
        (moving, 2, 5),
        (unlisted, 7, 6),
    ] {
        let event = samples.event(vin(1), signal, second, number);
        journal.append(vec![event], at(0)).await.unwrap();
    }
    // An older value that comes in the same batch as a newer one, and after it.
    let older = [30, 20].map(|second| samples.event(vin(2), charge, second, second));
    journal.append(older.to_vec(), at(0)).await.unwrap();

    let latest = async |number, signal| {
        let signal = samples.catalogue.find(signal).unwrap();
        let entries = journal.latest(vin(number)).await.unwrap();
        let entry = entries.iter().find(|entry| entry.descriptor() == signal).unwrap();
        (entry.at(), entry.value().clone())
    };
    assert_eq!(latest(1, charge).await, (at(10), Value::integer(1)));
    assert_eq!(latest(1, moving).await, (at(2), Value::integer(5)));
    assert_eq!(latest(1, unlisted).await, (at(7), Value::integer(6)));
    assert_eq!(latest(2, charge).await, (at(30), Value::integer(30)));
    assert_eq!(journal.latest(vin(1)).await.unwrap().len(), 3);
}

async fn retention_by_age_drops_what_was_appended_too_long_ago(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    for second in [0, 10, 20] {
        let both = [samples.events(vin(1), 1), samples.events(vin(2), 1)].concat();
        journal.append(both, at(second)).await.unwrap();
    }
    assert_eq!(journal.retain(EVERYTHING, at(100)).await.unwrap(), 0);
    assert_eq!(journal.retain(no_older_than(20), at(20)).await.unwrap(), 0);
    assert_eq!(journal.retain(no_older_than(20), at(31)).await.unwrap(), 4);
    assert_eq!(journal.retain(no_older_than(20), at(31)).await.unwrap(), 0);
    let read = journal.read(vin(1), Sequence(0), 9).await.unwrap();
    assert_eq!(sequences(&read), [5]);
    assert_eq!(read[0].previous, Sequence(3));
}

async fn retention_by_size_drops_no_more_than_it_must(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    // Ten events with texts of equal length.
    let events = (0..10).map(|_| samples.event(vin(1), SIGNALS[0], 1, 1)).collect();
    journal.append(events, at(0)).await.unwrap();
    let size_bytes = r#"{"timestamp":"2026-07-27T00:00:01Z","data":{}}"#.len()
        + samples.event(vin(1), SIGNALS[0], 1, 1).entries()[0].fragment().len();
    let no_more_than = |bytes: usize| Retention { size_bytes_max: bytes as u64, ..EVERYTHING };
    assert_eq!(journal.retain(no_more_than(10 * size_bytes), at(0)).await.unwrap(), 0);
    assert_eq!(journal.retain(no_more_than(10 * size_bytes - 1), at(0)).await.unwrap(), 1);
    assert_eq!(journal.retain(no_more_than(4 * size_bytes), at(0)).await.unwrap(), 5);
    let read = journal.read(vin(1), Sequence(0), 99).await.unwrap();
    assert_eq!(sequences(&read), [7, 8, 9, 10]);
}

async fn numbers_and_latest_values_outlive_the_events(setup: Setup) {
    let Setup { journal, samples, feed, .. } = setup;
    journal.append(samples.events(vin(1), 5), at(0)).await.unwrap();
    assert_eq!(journal.retain(no_older_than(1), at(100)).await.unwrap(), 5);
    assert!(journal.read(vin(1), Sequence(0), 9).await.unwrap().is_empty());
    assert_eq!(journal.head(vin(1)), Sequence(5));
    assert_eq!(journal.synced(), Sequence(5));
    assert_eq!(journal.latest(vin(1)).await.unwrap()[0].value(), &Value::integer(5));

    assert_eq!(journal.append(samples.events(vin(1), 1), at(100)).await.unwrap(), Sequence(6));
    let live = feed.events();
    assert_eq!(live.last().unwrap().previous, Sequence(5));
    let read = journal.read(vin(1), Sequence(0), 9).await.unwrap();
    assert_eq!(sequences(&read), [6]);
    // The value of second 1 came later, the one of second 5 is newer.
    assert_eq!(journal.latest(vin(1)).await.unwrap()[0].value(), &Value::integer(5));
}

async fn forgetting_takes_one_vehicles_events_and_values_and_leaves_its_number(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    for _ in 0..4 {
        let both = [samples.events(vin(1), 2), samples.events(vin(2), 1)].concat();
        journal.append(both, at(0)).await.unwrap();
    }
    let others = journal.latest(vin(2)).await.unwrap();
    assert_eq!(journal.forget(vin(1)).await.unwrap(), 8);
    assert!(journal.read(vin(1), Sequence(0), 99).await.unwrap().is_empty());
    assert!(journal.latest(vin(1)).await.unwrap().is_empty());
    assert_eq!((journal.head(vin(1)), journal.synced()), (Sequence(11), Sequence(12)));
    let read = journal.read(vin(2), Sequence(0), 99).await.unwrap();
    assert_eq!(sequences(&read), [3, 6, 9, 12]);
    assert_eq!(journal.latest(vin(2)).await.unwrap(), others);
    assert_eq!(journal.forget(vin(1)).await.unwrap(), 0);
    assert_eq!(journal.forget(vin(3)).await.unwrap(), 0);
    assert_eq!(journal.head(vin(3)), Sequence(0));

    // A reader that is behind sees that something is missing.
    assert_eq!(journal.append(samples.events(vin(1), 1), at(0)).await.unwrap(), Sequence(13));
    let read = journal.read(vin(1), Sequence(4), 99).await.unwrap();
    assert_eq!(sequences(&read), [13]);
    assert_eq!(read[0].previous, Sequence(11));
    assert_eq!(journal.latest(vin(1)).await.unwrap()[0].value(), &Value::integer(1));
    assert_eq!(journal.forget(vin(1)).await.unwrap(), 1);
    assert!(journal.latest(vin(1)).await.unwrap().is_empty());
}

async fn values_are_forgotten_also_when_retention_dropped_their_events(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    journal.append(samples.events(vin(1), 5), at(0)).await.unwrap();
    assert_eq!(journal.retain(no_older_than(1), at(100)).await.unwrap(), 5);
    assert_eq!(journal.forget(vin(1)).await.unwrap(), 0);
    assert!(journal.latest(vin(1)).await.unwrap().is_empty());
    assert_eq!(journal.head(vin(1)), Sequence(5));
}

/// All that came before the call goes, synced or not; all that came after it stays, also a value that is older than a
/// forgotten one.
async fn forgetting_parts_what_came_before_the_call_from_what_came_after(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    let first = samples.event(vin(1), SIGNALS[0], 100, 100);
    journal.append(vec![first], at(0)).await.unwrap();
    let mut before = tokio::task::JoinSet::new();
    before.spawn({
        let (journal, events) = (journal.clone(), samples.events(vin(1), 20));
        async move { journal.append(events, at(0)).await }
    });
    while journal.head(vin(1)) < Sequence(21) {
        tokio::task::yield_now().await;
    }
    let mut forget = pin!(journal.forget(vin(1)));
    let forgotten = poll_fn(|context| Poll::Ready(forget.as_mut().poll(context))).await;
    // At once, whatever is still to be done for it.
    assert!(journal.read(vin(1), Sequence(0), 99).await.unwrap().is_empty());
    assert!(journal.latest(vin(1)).await.unwrap().is_empty());
    let after = [samples.events(vin(2), 1), samples.events(vin(1), 7)].concat();
    assert_eq!(journal.append(after, at(0)).await.unwrap(), Sequence(29));

    let forgotten = match forgotten {
        Poll::Ready(forgotten) => forgotten,
        Poll::Pending => forget.await,
    };
    assert_eq!(forgotten.unwrap(), 21);
    assert_eq!(before.join_next().await.unwrap().unwrap().unwrap(), Sequence(21));
    let read = journal.read(vin(1), Sequence(0), 99).await.unwrap();
    assert_eq!(sequences(&read), [23, 24, 25, 26, 27, 28, 29]);
    assert_eq!(read[0].previous, Sequence(21));
    assert_eq!(journal.latest(vin(1)).await.unwrap()[0].value(), &Value::integer(7));
}

async fn retention_does_not_count_what_was_forgotten(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    // Events of three vehicles by turns, with texts of equal length.
    let event = |number| samples.event(vin(number), SIGNALS[0], 1, 1);
    let events = (0..30).map(|place| event(place % 3)).collect();
    journal.append(events, at(0)).await.unwrap();
    let size_bytes = r#"{"timestamp":"2026-07-27T00:00:01Z","data":{}}"#.len()
        + event(1).entries()[0].fragment().len();
    let no_more_than =
        |events: usize| Retention { size_bytes_max: (events * size_bytes) as u64, ..EVERYTHING };
    assert_eq!(journal.forget(vin(0)).await.unwrap(), 10);
    assert_eq!(journal.retain(no_more_than(20), at(0)).await.unwrap(), 0);
    assert_eq!(journal.retain(no_more_than(15), at(0)).await.unwrap(), 5);
    let read = async |number| sequences(&journal.read(vin(number), Sequence(0), 99).await.unwrap());
    assert_eq!(read(1).await, [11, 14, 17, 20, 23, 26, 29]);
    assert_eq!(read(2).await, [9, 12, 15, 18, 21, 24, 27, 30]);
    assert_eq!(journal.forget(vin(1)).await.unwrap(), 7);
    journal.append(vec![event(0), event(1)], at(50)).await.unwrap();
    assert_eq!(journal.retain(no_more_than(10), at(0)).await.unwrap(), 0);
    assert_eq!(journal.retain(no_older_than(20), at(60)).await.unwrap(), 8);
    assert_eq!((read(0).await, read(1).await, read(2).await), (vec![31], vec![32], vec![]));
    assert_eq!(journal.retain(no_more_than(1), at(60)).await.unwrap(), 1);
}

async fn a_closed_journal_takes_no_more_events(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    let mut append = pin!(journal.append(samples.events(vin(1), 3), at(0)));
    let answered = poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
    journal.close().await.unwrap();
    assert_eq!(journal.synced(), Sequence(3));
    let answered = match answered {
        Poll::Ready(answered) => answered,
        Poll::Pending => append.await,
    };
    assert_eq!(answered.unwrap(), Sequence(3));
    let refused = journal.append(samples.events(vin(1), 1), at(0)).await;
    assert!(matches!(refused, Err(JournalError::Closed)), "{refused:?}");
    let refused = journal.forget(vin(1)).await;
    assert!(matches!(refused, Err(JournalError::Closed)), "{refused:?}");
    journal.close().await.unwrap();
}

async fn a_long_random_history_reads_like_the_list_of_its_events(setup: Setup) {
    let Setup { journal, samples, .. } = setup;
    let mut model = Model::default();
    let mut dice = Dice::new(4711);
    for second in 0_i64..400 {
        let events: Vec<_> = (0..=dice.below(4))
            .map(|_| {
                let vehicle = vin(u32::try_from(dice.below(4)).unwrap());
                let signal = SIGNALS[usize::try_from(dice.below(3)).unwrap()];
                let value_at = second - i64::try_from(dice.below(20)).unwrap();
                samples.event(vehicle, signal, value_at, i64::try_from(dice.below(1000)).unwrap())
            })
            .collect();
        let last = model.append(&events, second);
        assert_eq!(journal.append(events, at(second)).await.unwrap(), last);
        if dice.below(20) == 0 {
            let dropped = journal.retain(no_older_than(50), at(second)).await.unwrap();
            assert_eq!(dropped, model.retain_since(second - 50));
        }
        if dice.below(15) == 0 {
            let vehicle = vin(u32::try_from(dice.below(5)).unwrap());
            assert_eq!(journal.forget(vehicle).await.unwrap(), model.forget(vehicle));
        }
        let vehicle = vin(u32::try_from(dice.below(5)).unwrap());
        let after = Sequence(last.0.saturating_sub(dice.below(100)));
        let limit = usize::try_from(dice.below(30)).unwrap();
        let read = journal.read(vehicle, after, limit).await.unwrap();
        model.check_read(vehicle, after, limit, &read);
        model.check_latest(vehicle, &journal.latest(vehicle).await.unwrap());
        assert_eq!(journal.head(vehicle), model.head(vehicle));
    }
}

fn memory() -> Setup {
    let feed = Arc::new(Remembered::default());
    let journal = Arc::new(MemoryJournal::new(feed.clone()));
    Setup { journal, feed, samples: Samples::new(), _keep: Box::new(()) }
}

fn embedded() -> Setup {
    embedded_within(Limits::default())
}

/// With limits so low that every read meets the disk and every few events a checkpoint.
fn embedded_in_little_memory() -> Setup {
    embedded_within(Limits {
        waiting_bytes_max: 1000,
        recent_events: 2,
        checkpoint_events: 5,
        checkpoint_step_events: 1,
        cache_bytes: 1 << 20,
        latest_values: 4,
    })
}

fn embedded_within(limits: Limits) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let feed = Arc::new(Remembered::default());
    let samples = Samples::new();
    let journal =
        EmbeddedJournal::open(folder.path(), samples.catalogue.clone(), feed.clone(), limits);
    Setup { journal: Arc::new(journal.unwrap()), feed, samples, _keep: Box::new(folder) }
}

/// Runs every rule over the journals that a function makes.
macro_rules! conforms {
    ($($make:ident)*) => {
        $(conforms! { $make:
            a_closed_journal_takes_no_more_events
            a_long_random_history_reads_like_the_list_of_its_events
            a_newer_value_is_never_replaced_by_an_older_one
            a_read_gives_one_vehicles_events_after_a_number_up_to_a_limit
            a_reader_of_a_time_begins_with_the_first_event_that_was_appended_then
            an_empty_batch_returns_the_newest_number
            an_event_is_live_and_readable_before_it_is_synced
            forgetting_parts_what_came_before_the_call_from_what_came_after
            forgetting_takes_one_vehicles_events_and_values_and_leaves_its_number
            numbers_and_latest_values_outlive_the_events
            numbers_are_dense_and_name_the_vehicles_event_before
            retention_by_age_drops_what_was_appended_too_long_ago
            retention_by_size_drops_no_more_than_it_must
            retention_does_not_count_what_was_forgotten
            the_live_feed_gets_each_event_once_in_order_from_many_at_once
            values_are_forgotten_also_when_retention_dropped_their_events
            what_append_answered_is_synced
        })*
    };
    ($make:ident: $($rule:ident)*) => {
        mod $make {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                super::$rule(super::$make()).await;
            })*
        }
    };
}

conforms! { memory embedded embedded_in_little_memory }
