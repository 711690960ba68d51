//! The search goes on where it was left, whatever interrupts it.

use cardata_domain::charging::Detector;
use cardata_domain::vehicle::MappingType::Primary;
use cardata_domain::vehicle::{Drivetrain, Mapping, Vehicle};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cardata_domain::{Entry, Event, Recorded, Value};
use cardata_store::Journal;
use cardata_store::journal::Retention;
use jiff::SignedDuration;

use super::*;
use crate::endings;
use crate::test_platform::{Person, START, World, vehicle};

const VIN: &str = "WBY00000000000001";
const STATUS: &str = "vehicle.drivetrain.electricEngine.charging.status";
const POWER: &str = "vehicle.powertrain.electric.battery.charging.power";

fn vin() -> Vin {
    VIN.parse().unwrap()
}

impl World {
    async fn with_charger() -> Self {
        let world = Self::new().await;
        world.own(vehicle(VIN)).await;
        world
    }

    async fn own(&self, vehicle: Vehicle) {
        let mapping = Mapping {
            gcid: Person::Anna.gcid(),
            vin: vehicle.vin,
            mapping_type: Primary,
            since: START,
        };
        self.platform.directory.put_vehicle(&vehicle).await.unwrap();
        self.platform.directory.put_mapping(&mapping).await.unwrap();
    }

    fn event(&self, vin: &str, second: i64, name: &str, value: Value) -> Event {
        let at = START + SignedDuration::from_secs(second);
        let catalogue = &self.platform.catalogue;
        let entry = Entry::new(catalogue, catalogue.find(name).unwrap(), at, value, None);
        Event::new(vin.parse().unwrap(), at, vec![entry]).unwrap()
    }

    async fn append(&self, event: Event) {
        self.platform.journal.append(vec![event], START).await.unwrap();
    }

    async fn status(&self, second: i64, word: &str) {
        self.append(self.event(VIN, second, STATUS, Value::text(word))).await;
    }

    async fn searched(&self) -> Vec<Session> {
        search(self.platform.clone()).await;
        self.kept(VIN).await
    }

    async fn kept(&self, vin: &str) -> Vec<Session> {
        let read = sessions(
            &self.platform,
            vin.parse().unwrap(),
            Timestamp::UNIX_EPOCH,
            Timestamp::MAX,
            10_000,
        );
        let mut sessions = read.await.unwrap();
        sessions.reverse();
        sessions
    }

    /// The next step as a search has it in hand before it writes.
    async fn step(&self) -> Option<ChargingUpdate> {
        let signals = Signals::new(&self.platform.catalogue);
        search_one(&self.platform, &signals, vin()).await.unwrap().map(|(update, _)| update)
    }
}

#[tokio::test]
async fn a_session_runs_and_ends_as_the_vehicle_tells() {
    let world = World::with_charger().await;
    assert_eq!(world.searched().await, []);
    world.status(0, "CHARGINGACTIVE").await;
    let running = world.searched().await;
    assert_eq!((running.len(), running[0].is_running), (1, true));
    world.status(600, "NOCHARGING").await;
    let ended = world.searched().await;
    assert_eq!((ended.len(), ended[0].is_running), (1, false));
    assert_eq!(ended[0].charged_for(), SignedDuration::from_secs(600));
    assert_eq!(world.searched().await, ended);
}

#[tokio::test]
async fn a_session_of_which_nothing_was_heard_for_half_a_day_runs_no_more() {
    let world = World::with_charger().await;
    world.status(0, "CHARGINGACTIVE").await;
    world.pass(12 * 3600);
    assert!(world.searched().await[0].is_running);
    world.pass(1);
    assert!(!world.searched().await[0].is_running);
}

/// A search may be ended between any two of its steps: before it wrote, and after. It may also run twice at a time.
#[tokio::test]
async fn a_search_that_is_interrupted_anywhere_loses_and_doubles_nothing() {
    let world = World::with_charger().await;
    let mut whole = Detector::default();
    let signals = Signals::new(&world.platform.catalogue);
    let mut found = Vec::new();
    for number in 0..800_i64 {
        let second = number * 60;
        // Sessions of twenty minutes with an hour between them, and a pause in each.
        let event = match number % 80 {
            0 | 15 => world.event(VIN, second, STATUS, Value::text("CHARGINGACTIVE")),
            10 => world.event(VIN, second, STATUS, Value::text("CHARGINGPAUSED")),
            20 => world.event(VIN, second, STATUS, Value::text("NOCHARGING")),
            _ => world.event(VIN, second, POWER, Value::integer(number % 7 * 1000)),
        };
        whole.observe(&event, &signals);
        found.extend(whole.take_settled());
        world.append(event).await;
        match number % 7 {
            // Ended before it wrote.
            1 => drop(world.step().await),
            // Two at a time: the second one finds that it was overtaken.
            3 => {
                let (one, other) = (world.step().await.unwrap(), world.step().await.unwrap());
                let directory = &world.platform.directory;
                assert_eq!(directory.put_charging(&[one]).await.unwrap(), 1);
                assert_eq!(directory.put_charging(&[other]).await.unwrap(), 0);
            }
            5 => drop(world.searched().await),
            _ => {}
        }
    }
    found.extend(whole.unsettled());
    let mut kept = world.searched().await;
    if let (Some(last), Some(kept)) = (found.last(), kept.last_mut()) {
        kept.is_running = last.is_running;
    }
    assert_eq!(found.len(), 10);
    assert_eq!(kept, found);
}

#[tokio::test]
async fn a_long_backlog_is_searched_at_once() {
    let world = World::with_charger().await;
    let mut events = Vec::new();
    for number in 0..2 * i64::try_from(EVENTS_MAX).unwrap() {
        events.push(world.event(VIN, number, POWER, Value::integer(number % 2)));
    }
    world.platform.journal.append(events, START).await.unwrap();
    assert_eq!(world.searched().await.len(), EVENTS_MAX);
}

#[tokio::test]
async fn a_journal_that_began_anew_is_searched_from_its_begin() {
    let world = World::with_charger().await;
    world.status(0, "CHARGINGACTIVE").await;
    world.status(600, "NOCHARGING").await;
    let found = world.searched().await;
    let mut step = ChargingUpdate {
        vin: vin(),
        progress: world.platform.directory.charging_progress(vin()).await.unwrap(),
        settled: Vec::new(),
        unsettled: found.clone(),
    };
    step.progress.cursor = Sequence(1000);
    assert_eq!(world.platform.directory.put_charging(&[step]).await.unwrap(), 1);
    assert_eq!(world.searched().await, found);
    world.status(900, "CHARGINGACTIVE").await;
    assert_eq!(world.searched().await.len(), 2);
}

#[tokio::test]
async fn only_vehicles_with_a_plug_and_a_primary_are_searched() {
    let world = World::with_charger().await;
    let combustion = "WBY00000000000002";
    let nobodys = "WBY00000000000003";
    world.own(Vehicle { drivetrain: Drivetrain::Ice, ..vehicle(combustion) }).await;
    world.platform.directory.put_vehicle(&vehicle(nobodys)).await.unwrap();
    for vin in [VIN, combustion, nobodys] {
        world.append(world.event(vin, 0, STATUS, Value::text("CHARGINGACTIVE"))).await;
    }
    assert_eq!(world.searched().await.len(), 1);
    for vin in [combustion, nobodys] {
        assert_eq!(world.kept(vin).await, []);
    }
}

/// A journal of which only the first events are on disk.
struct HalfSynced {
    journal: Arc<dyn Journal>,
    synced: AtomicU64,
}

#[async_trait]
impl Journal for HalfSynced {
    async fn append(&self, events: Vec<Event>, now: Timestamp) -> Result<Sequence, JournalError> {
        self.journal.append(events, now).await
    }

    async fn read(
        &self,
        vin: Vin,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, JournalError> {
        self.journal.read(vin, after, limit).await
    }

    fn head(&self, vin: Vin) -> Sequence {
        self.journal.head(vin)
    }

    fn synced(&self) -> Sequence {
        Sequence(self.synced.load(Ordering::Relaxed))
    }

    async fn before(&self, at: Timestamp) -> Result<Sequence, JournalError> {
        self.journal.before(at).await
    }

    async fn latest(&self, vin: Vin) -> Result<Arc<[Entry]>, JournalError> {
        self.journal.latest(vin).await
    }

    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<u64, JournalError> {
        self.journal.retain(retention, now).await
    }

    async fn forget(&self, vin: Vin) -> Result<u64, JournalError> {
        self.journal.forget(vin).await
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.journal.close().await
    }
}

#[tokio::test]
async fn an_event_that_a_crash_may_still_take_is_not_searched() {
    let mut half = None;
    let world = World::adjusted(crate::Profile::open(), |platform| {
        let journal = platform.journal.clone();
        let journal = Arc::new(HalfSynced { journal, synced: AtomicU64::new(0) });
        half = Some(journal.clone());
        platform.journal = journal;
    })
    .await;
    world.own(vehicle(VIN)).await;
    world.status(0, "CHARGINGACTIVE").await;
    world.status(600, "NOCHARGING").await;
    assert_eq!(world.searched().await, []);
    let half = half.unwrap();
    half.synced.store(1, Ordering::Relaxed);
    assert!(world.searched().await[0].is_running);
    let progress = world.platform.directory.charging_progress(vin()).await.unwrap();
    assert_eq!(progress.cursor, Sequence(1));
    half.synced.store(2, Ordering::Relaxed);
    assert!(!world.searched().await[0].is_running);
}

#[tokio::test]
async fn sessions_outlive_the_events_in_which_they_were_found() {
    let world = World::with_charger().await;
    world.status(0, "CHARGINGACTIVE").await;
    world.status(600, "NOCHARGING").await;
    let found = world.searched().await;
    let nothing = Retention { age_max: SignedDuration::ZERO, size_bytes_max: 0 };
    let later = START + SignedDuration::from_hours(1);
    assert_eq!(world.platform.journal.retain(nothing, later).await.unwrap(), 2);
    assert_eq!(world.searched().await, found);
}

#[tokio::test]
async fn with_the_end_of_the_mapping_all_sessions_go_and_none_comes_back() {
    use cardata_domain::ledger::Actor;
    let world = World::with_charger().await;
    world.status(0, "CHARGINGACTIVE").await;
    world.status(600, "NOCHARGING").await;
    assert_eq!(world.searched().await.len(), 1);
    world.status(900, "CHARGINGACTIVE").await;
    let in_hand = world.step().await.unwrap();
    let gcid = Person::Anna.gcid();
    let ended = endings::end_mapping(&world.platform, gcid, vin(), Actor::Customer).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(world.kept(VIN).await, []);
    // What the search had in hand comes too late.
    assert_eq!(world.platform.directory.put_charging(&[in_hand]).await.unwrap(), 0);
    assert_eq!(world.kept(VIN).await, []);
    // The next owner begins with nothing, not even with a charge that was under way.
    world.own(vehicle(VIN)).await;
    world.status(1800, "NOCHARGING").await;
    assert_eq!(world.searched().await, []);
    world.status(2000, "CHARGINGACTIVE").await;
    assert_eq!(world.searched().await.len(), 1);
}

#[tokio::test]
async fn with_the_customer_all_sessions_go() {
    use cardata_domain::ledger::Actor;
    let world = World::with_charger().await;
    world.status(0, "CHARGINGACTIVE").await;
    assert_eq!(world.searched().await.len(), 1);
    let gcid = Person::Anna.gcid();
    assert!(endings::delete_customer(&world.platform, gcid, Actor::Customer).await.unwrap());
    assert_eq!(world.kept(VIN).await, []);
    assert_eq!(world.searched().await, []);
}

#[test]
fn the_time_zones_are_known_ones() {
    for (code, zone) in TIME_ZONES {
        assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{code}");
    }
    assert_eq!(time_zone("AT"), "Europe/Vienna");
    for other in ["", "US", "at"] {
        assert_eq!(time_zone(other), "Etc/UTC");
    }
}
