//! What becomes a session, from the events of cars that report much, little, late, twice or wrong.

use proptest::prelude::*;

use super::*;
use crate::catalogue::Catalogue;
use crate::event::{Entry, Event};
use crate::privacy::{LATITUDE, LONGITUDE};
use crate::value::Value;

const STATUS: &str = "vehicle.drivetrain.electricEngine.charging.status";
const HV_STATUS: &str = "vehicle.drivetrain.electricEngine.charging.hvStatus";
const PLUG: &str = "vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged";
const POWER: &str = "vehicle.powertrain.electric.battery.charging.power";
const SOC: &str = "vehicle.powertrain.electric.battery.stateOfCharge.displayed";
const HEADER: &str = "vehicle.drivetrain.batteryManagement.header";
const COUNTER: &str =
    "vehicle.drivetrain.electricEngine.charging.consumptionOverLifeTime.overall.gridEnergy";
const SIZE: &str = "vehicle.drivetrain.batteryManagement.maxEnergy";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const CABIN: &str = "vehicle.vehicle.preConditioning.activity";

/// 2026-08-01T00:00:00Z.
const MIDNIGHT: i64 = 1_785_542_400;
const HOUR: i64 = 3_600;

/// A report: its second after midnight, and names with values.
type Report<'a> = (i64, &'a [(&'a str, &'a str)]);

struct World {
    catalogue: Catalogue,
    signals: Signals,
}

impl World {
    fn new() -> Self {
        let catalogue = Catalogue::shipped();
        Self { signals: Signals::new(&catalogue), catalogue }
    }

    fn event(&self, second: i64, values: &[(&str, &str)]) -> Event {
        let at = Timestamp::from_second(MIDNIGHT + second).unwrap();
        let entry = |(name, text): &(&str, &str)| {
            let value = match *text {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                number if number.parse::<f64>().is_ok() => Value::Number(number.into()),
                word => Value::text(word),
            };
            Entry::new(&self.catalogue, self.catalogue.find(name).unwrap(), at, value, None)
        };
        let entries = values.iter().map(entry).collect();
        Event::new("WBY00000000000001".parse().unwrap(), at, entries).unwrap()
    }

    fn events(&self, reports: &[Report<'_>]) -> Vec<Event> {
        reports.iter().map(|(second, values)| self.event(*second, values)).collect()
    }

    fn detector(&self, events: &[Event]) -> Detector {
        let mut detector = Detector::default();
        for event in events {
            detector.observe(event, &self.signals);
        }
        detector
    }

    fn sessions(&self, events: &[Event]) -> Vec<Session> {
        all(&mut self.detector(events))
    }
}

fn all(detector: &mut Detector) -> Vec<Session> {
    let mut sessions = detector.take_settled();
    sessions.extend(detector.unsettled());
    sessions
}

fn sessions(reports: &[Report<'_>]) -> Vec<Session> {
    let world = World::new();
    world.sessions(&world.events(reports))
}

fn only(reports: &[Report<'_>]) -> Session {
    let mut found = sessions(reports);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Begin and end in seconds after midnight.
fn times(session: &Session) -> (i64, i64) {
    (session.started_at.as_second() - MIDNIGHT, session.ended_at.as_second() - MIDNIGHT)
}

#[track_caller]
fn assert_kwh(session: &Session, expected: f64, source: EnergySource) {
    let kwh = session.energy_kwh();
    assert!((kwh - expected).abs() < 0.001, "{kwh} kWh instead of {expected}");
    assert_eq!(session.source, source);
}

/// An hour at 11 kW with all that a car may tell.
const WHOLE: [Report<'_>; 5] = [
    (
        0,
        &[
            (ODOMETER, "22345.4"),
            (LATITUDE, "48.1"),
            (LONGITUDE, "15.6"),
            (SOC, "44"),
            (SIZE, "80"),
        ],
    ),
    (60, &[(PLUG, "true"), (STATUS, "INITIALIZATION")]),
    (100, &[(STATUS, "CHARGINGACTIVE"), (POWER, "11000"), (COUNTER, "2000")]),
    (100 + HOUR, &[(STATUS, "CHARGINGENDED"), (POWER, "0"), (SOC, "56.4"), (COUNTER, "2011")]),
    (5000, &[(PLUG, "false"), (STATUS, "NOCHARGING"), (SOC, "56.3")]),
];

#[test]
fn a_session_is_from_the_first_to_the_last_current() {
    let session = only(&WHOLE);
    assert_eq!(times(&session), (100, 100 + HOUR));
    assert_eq!(session.charged_for(), SignedDuration::from_secs(HOUR));
    assert_kwh(&session, 11.0, EnergySource::Power);
    assert_eq!((session.start_permille, session.end_permille), (Some(440), Some(564)));
    assert_eq!(session.mileage_m, Some(22_345_400));
    assert_eq!(session.position(), Some(Position { latitude: 48.1, longitude: 15.6 }));
    assert!(!session.is_running && !session.is_preconditioned);
    assert!((session.blocks[0].average_kw() - 11.0).abs() < 1e-9);
}

#[test]
fn a_session_that_runs_is_known_until_the_last_report() {
    let session = only(&WHOLE[..3]);
    assert_eq!((times(&session), session.is_running), ((100, 100), true));
    assert!(session.blocks[0].average_kw().abs() < f64::EPSILON, "no time, no power");
    let mut longer = WHOLE[..3].to_vec();
    longer.push((1900, &[(SOC, "50")]));
    let session = only(&longer);
    assert_eq!((times(&session), session.is_running), ((100, 1900), true));
    assert_kwh(&session, 5.5, EnergySource::Power);
    longer.push((2000, &[(STATUS, "CHARGINGPAUSED")]));
    let session = only(&longer);
    assert_eq!((times(&session), session.is_running), ((100, 2000), true), "it will go on");
    longer.push((2100, &[(STATUS, "CHARGINGENDED")]));
    assert!(!only(&longer).is_running, "even while the cable is in");
}

#[test]
fn a_pause_splits_a_session_into_blocks() {
    let session = only(&[
        (0, &[(PLUG, "true"), (STATUS, "CHARGINGACTIVE"), (POWER, "3600")]),
        (1000, &[(STATUS, "CHARGINGPAUSED"), (POWER, "0")]),
        (2000, &[(STATUS, "CHARGINGACTIVE"), (POWER, "7200")]),
        (2500, &[(STATUS, "CHARGINGENDED"), (POWER, "0")]),
        // The timer begins again in the night, with the same cable.
        (3000, &[(STATUS, "CHARGINGACTIVE"), (POWER, "3600")]),
        (4000, &[(PLUG, "false")]),
    ]);
    let blocks: Vec<_> = session
        .blocks
        .iter()
        .map(|block| (block.duration().as_secs(), block.energy_joules))
        .collect();
    assert_eq!(blocks, [(1000, 3_600_000), (500, 3_600_000), (1000, 3_600_000)]);
    assert_eq!(session.charged_for().as_secs(), 2500);
    assert_eq!(times(&session), (0, 4000));
    assert_kwh(&session, 3.0, EnergySource::Power);
}

#[test]
fn a_power_that_falls_is_counted_as_a_straight_line_and_one_that_stays_as_a_level() {
    let session = only(&[
        (0, &[(PLUG, "true"), (STATUS, "CHARGINGACTIVE"), (POWER, "10000")]),
        // Sent only when it changes: the state of charge shows that it was looked at.
        (1800, &[(SOC, "50")]),
        (3600, &[(POWER, "6000")]),
        (4500, &[(STATUS, "CHARGINGENDED"), (POWER, "0")]),
    ]);
    assert_kwh(&session, 5.0 + 4.0 + 1.5, EnergySource::Power);
}

#[test]
fn a_power_that_is_told_late_counts_from_the_begin() {
    let session = only(&[
        (0, &[(PLUG, "true"), (STATUS, "CHARGINGACTIVE"), (POWER, "0")]),
        (360, &[(POWER, "10000")]),
        (720, &[(STATUS, "CHARGINGENDED")]),
    ]);
    assert_kwh(&session, 2.0, EnergySource::Power);
}

#[test]
fn a_session_over_midnight_is_one() {
    let shifted = WHOLE.map(|(second, values)| (second - 1800, values));
    let session = only(&shifted);
    assert_eq!(times(&session), (-1700, 1900));
}

#[test]
fn without_power_the_counter_tells_and_without_that_the_state_of_charge() {
    let without = |left_out: &[&str]| {
        let kept: Vec<(i64, Vec<_>)> = WHOLE
            .iter()
            .map(|(at, values)| {
                let values = values.iter().filter(|(name, _)| !left_out.contains(name));
                (*at, values.copied().collect())
            })
            .collect();
        let reports: Vec<Report<'_>> =
            kept.iter().map(|(at, values)| (*at, values.as_slice())).collect();
        only(&reports)
    };
    assert_kwh(&without(&[POWER]), 11.0, EnergySource::Counter);
    assert_kwh(&without(&[POWER, COUNTER]), 0.124 * 80.0, EnergySource::StateOfCharge);
    let nothing = without(&[POWER, COUNTER, SIZE]);
    assert_kwh(&nothing, 0.0, EnergySource::Unknown);
    assert_eq!(times(&nothing), (100, 100 + HOUR));
}

#[test]
fn without_a_status_the_power_tells_and_without_that_what_grows_at_the_plug() {
    let by_power =
        only(&[(0, &[(POWER, "3600")]), (1000, &[(POWER, "0")]), (2000, &[(POWER, "0")])]);
    assert_eq!(times(&by_power), (0, 1000));
    assert_kwh(&by_power, 1.0, EnergySource::Power);

    let by_charge = only(&[
        (-600, &[(HEADER, "50"), (SIZE, "80")]),
        (0, &[(PLUG, "true")]),
        (1000, &[(HEADER, "51")]),
        (2000, &[(HEADER, "52")]),
        (9000, &[(HEADER, "51")]),
        (9900, &[(PLUG, "false")]),
    ]);
    assert_eq!(times(&by_charge), (0, 2000));
    assert_eq!((by_charge.start_permille, by_charge.end_permille), (Some(500), Some(520)));
    assert_kwh(&by_charge, 1.6, EnergySource::StateOfCharge);
    assert_eq!(by_charge.blocks.len(), 1);

    let by_counter = only(&[
        (0, &[(PLUG, "true"), (COUNTER, "2000")]),
        (1000, &[(COUNTER, "2002")]),
        (1100, &[(PLUG, "false")]),
    ]);
    assert_kwh(&by_counter, 2.0, EnergySource::Counter);

    // Downhill without a plug is no charge.
    assert!(sessions(&[(0, &[(HEADER, "50")]), (60, &[(HEADER, "51")])]).is_empty());
}

#[test]
fn a_cable_without_current_is_no_session_and_current_without_energy_is_one_of_none() {
    assert!(
        sessions(&[
            (0, &[(PLUG, "true"), (STATUS, "INITIALIZATION")]),
            (600, &[(STATUS, "CHARGINGERROR")]),
            (700, &[(PLUG, "false")]),
        ])
        .is_empty()
    );
    let session = only(&[
        (0, &[(PLUG, "true"), (STATUS, "CHARGINGACTIVE")]),
        (30, &[(STATUS, "CHARGINGENDED")]),
        (700, &[(PLUG, "false")]),
    ]);
    assert_eq!(times(&session), (0, 30));
    assert_kwh(&session, 0.0, EnergySource::Unknown);
}

#[test]
fn a_car_that_drives_away_has_ended_its_charge_when_it_was_last_heard_of() {
    let session = only(&[
        (0, &[(ODOMETER, "100"), (STATUS, "CHARGINGACTIVE"), (POWER, "3600")]),
        (1000, &[(SOC, "50")]),
        (9000, &[(ODOMETER, "112"), (SOC, "48")]),
        (9100, &[(SOC, "47")]),
    ]);
    assert_eq!((times(&session), session.is_running), ((0, 1000), false));
}

#[test]
fn over_a_long_silence_power_is_not_believed() {
    let session = only(&[
        (
            0,
            &[
                (PLUG, "true"),
                (STATUS, "CHARGINGACTIVE"),
                (POWER, "11000"),
                (SOC, "20"),
                (SIZE, "80"),
            ],
        ),
        // Five hours in a garage without reception.
        (5 * HOUR, &[(STATUS, "CHARGINGENDED"), (POWER, "0"), (SOC, "80")]),
        (6 * HOUR, &[(PLUG, "false")]),
    ]);
    assert_eq!(times(&session), (0, 5 * HOUR));
    assert_kwh(&session, 48.0, EnergySource::StateOfCharge);
}

#[test]
fn after_a_silence_of_more_than_half_a_day_another_charge_is_reported() {
    let begins: Report<'_> = (0, &[(STATUS, "CHARGINGACTIVE"), (POWER, "3600")]);
    let heard: Report<'_> = (1000, &[(SOC, "50")]);
    let night = [begins, heard, (1000 + 12 * HOUR, &[(STATUS, "CHARGINGACTIVE")])];
    assert_eq!(times(&only(&night)), (0, 1000 + 12 * HOUR));
    let found = sessions(&[begins, heard, (1001 + 12 * HOUR, &[(STATUS, "CHARGINGACTIVE")])]);
    let seen: Vec<_> = found.iter().map(times).collect();
    assert_eq!(seen, [(0, 1000), (1001 + 12 * HOUR, 1001 + 12 * HOUR)]);
    assert_kwh(&found[0], 1.0, EnergySource::Power);
    assert!(!found[0].is_running && found[1].is_running);
}

#[test]
fn two_nights_at_one_cable_are_two_charges() {
    let night = |hour: i64| -> [Report<'_>; 2] {
        [
            (hour * HOUR, &[(STATUS, "CHARGINGACTIVE"), (POWER, "3600")]),
            ((hour + 2) * HOUR, &[(STATUS, "CHARGINGENDED"), (POWER, "0")]),
        ]
    };
    let plugged: Report<'_> = (0, &[(PLUG, "true")]);
    let [one, two] = night(1);
    let [three, four] = night(3 + 12);
    assert_eq!(only(&[plugged, one, two, three, four]).blocks.len(), 2);
    let [three, four] = night(4 + 12);
    let found = sessions(&[plugged, one, two, three, four]);
    assert_eq!(found.iter().map(times).collect::<Vec<_>>(), [(3600, 10_800), (57_600, 64_800)]);
}

#[test]
fn a_car_that_has_less_after_a_silence_was_not_charged_until_then() {
    let begins: Report<'_> = (0, &[(STATUS, "CHARGINGACTIVE"), (SOC, "50")]);
    let less: Report<'_> = (2 * HOUR, &[(SOC, "48.9"), (STATUS, "CHARGINGACTIVE")]);
    assert_eq!(sessions(&[begins, less]).len(), 2);
    let about_the_same: Report<'_> = (2 * HOUR, &[(SOC, "49"), (STATUS, "CHARGINGACTIVE")]);
    assert_eq!(sessions(&[begins, about_the_same]).len(), 1);
    let soon: Report<'_> = (HOUR, &[(SOC, "48.9"), (STATUS, "CHARGINGACTIVE")]);
    assert_eq!(sessions(&[begins, soon]).len(), 1);
}

#[test]
fn a_place_that_was_left_is_not_the_place_of_a_charge() {
    let placed: Report<'_> = (0, &[(ODOMETER, "100"), (LATITUDE, "48.1"), (LONGITUDE, "15.6")]);
    let charged: Report<'_> = (900, &[(STATUS, "CHARGINGACTIVE"), (PLUG, "true")]);
    assert!(only(&[placed, charged]).position().is_some());
    let drove: Report<'_> = (600, &[(ODOMETER, "110")]);
    assert_eq!(only(&[placed, drove, charged]).position(), None);
    let found: Report<'_> = (960, &[(LATITUDE, "48.2"), (LONGITUDE, "15.7")]);
    let session = only(&[placed, drove, charged, found]);
    assert_eq!(session.position(), Some(Position { latitude: 48.2, longitude: 15.7 }));
}

#[test]
fn a_car_that_parks_under_a_roof_within_a_minute_is_where_it_was_seen_last() {
    let on_the_way: Report<'_> =
        (240, &[(ODOMETER, "100"), (LATITUDE, "48.1"), (LONGITUDE, "15.6")]);
    let seen: Report<'_> = (305, &[(ODOMETER, "101"), (LATITUDE, "48.11"), (LONGITUDE, "15.6")]);
    let parked: Report<'_> = (330, &[(ODOMETER, "101.1")]);
    let charged: Report<'_> = (900, &[(STATUS, "CHARGINGACTIVE"), (PLUG, "true")]);
    let seen_at = Some(Position { latitude: 48.11, longitude: 15.6 });
    assert_eq!(only(&[on_the_way, seen, parked, charged]).position(), seen_at);
    // A minute later it may be anywhere.
    let drove_on: Report<'_> = (370, &[(ODOMETER, "102")]);
    assert_eq!(only(&[on_the_way, seen, parked, drove_on, charged]).position(), None);
}

#[test]
fn a_cabin_that_is_heated_meanwhile_is_preconditioned() {
    let heated: Report<'_> = (500, &[(CABIN, "HEATING")]);
    let mut reports = WHOLE.to_vec();
    reports.insert(3, heated);
    assert!(only(&reports).is_preconditioned);
    let later: Report<'_> = (4900, &[(CABIN, "heating")]);
    let mut reports = WHOLE.to_vec();
    reports.insert(4, later);
    assert!(!only(&reports).is_preconditioned);
}

#[test]
fn a_plug_that_is_told_wrong_does_not_hide_a_charge() {
    let session = only(&[
        (0, &[(PLUG, "false")]),
        (60, &[(STATUS, "CHARGINGACTIVE"), (POWER, "3600")]),
        (1060, &[(STATUS, "NOCHARGING"), (POWER, "0")]),
    ]);
    assert_kwh(&session, 1.0, EnergySource::Power);
    assert!(!session.is_running);
}

#[test]
fn what_stays_after_a_charge_belongs_to_no_other() {
    let found = sessions(&[
        (0, &[(PLUG, "true"), (STATUS, "CHARGINGACTIVE"), (POWER, "120000")]),
        // Neither the status nor the power is told to end.
        (100, &[(PLUG, "false")]),
        (200, &[(PLUG, "true")]),
        (300, &[(STATUS, "CHARGINGACTIVE")]),
        (400, &[(POWER, "3600")]),
        (1300, &[(PLUG, "false")]),
    ]);
    let seen: Vec<_> = found.iter().map(times).collect();
    assert_eq!(seen, [(0, 100), (300, 1300)]);
    assert_kwh(&found[1], 1.0, EnergySource::Power);
}

#[test]
fn an_entry_from_the_future_makes_no_other_late() {
    let world = World::new();
    let mut events = world.events(&WHOLE);
    events.insert(1, world.event(20 * HOUR, &[(SOC, "90")]));
    let session = world.sessions(&events).remove(0);
    assert_eq!(times(&session), (100, 100 + HOUR));
}

#[test]
fn what_no_entry_can_change_any_more_is_given_once() {
    let world = World::new();
    let mut detector = world.detector(&world.events(&WHOLE));
    assert_eq!(detector.take_settled(), []);
    assert_eq!(detector.unsettled().len(), 1);
    for second in 0..=i64::try_from(WAITING_MAX).unwrap() {
        let driving = world.event(6000 + second, &[(SOC, "50")]);
        assert_eq!(detector.observe(&driving, &world.signals), 0);
    }
    assert_eq!(detector.take_settled().len(), 1);
    assert_eq!(all(&mut detector), []);
    // Whoever comes now comes too late, and is counted.
    let late = world.event(100, &[(STATUS, "CHARGINGACTIVE"), ("vehicle.isMoving", "true")]);
    assert_eq!(detector.observe(&late, &world.signals), 1);
    assert_eq!(all(&mut detector), []);
}

/// Whatever a vehicle may report, with times that repeat and run back.
fn chaos(
    length: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<(i64, &'static str, &'static str)>> {
    const VALUES: [(&str, &str); 24] = [
        (STATUS, "CHARGINGACTIVE"),
        (STATUS, "CHARGINGACTIVE"),
        (STATUS, "CHARGINGPAUSED"),
        (STATUS, "CHARGINGENDED"),
        (STATUS, "NOCHARGING"),
        (HV_STATUS, "CHARGING"),
        (HV_STATUS, "FINISHED_FULLY_CHARGED"),
        (PLUG, "true"),
        (PLUG, "true"),
        (PLUG, "false"),
        (POWER, "0"),
        (POWER, "11000"),
        (POWER, "-500"),
        (SOC, "20"),
        (SOC, "21.5"),
        (HEADER, "22"),
        (COUNTER, "2000"),
        (COUNTER, "2003.5"),
        (ODOMETER, "100"),
        (ODOMETER, "101"),
        (LATITUDE, "48.1"),
        (LONGITUDE, "11.6"),
        (CABIN, "heating"),
        (SIZE, "80"),
    ];
    // Two hours, and two more after a long silence.
    let second = (0..7200_i64, prop::bool::weighted(0.3))
        .prop_map(|(second, is_late)| if is_late { second + 15 * HOUR } else { second });
    let report = (second, 0..VALUES.len())
        .prop_map(|(second, index)| (second, VALUES[index].0, VALUES[index].1));
    prop::collection::vec(report, length)
}

fn as_events(world: &World, reports: &[(i64, &str, &str)]) -> Vec<Event> {
    reports.iter().map(|(second, name, value)| world.event(*second, &[(*name, *value)])).collect()
}

proptest! {
    #[test]
    fn sessions_do_not_overlap_and_their_blocks_add_up(reports in chaos(0..400)) {
        let world = World::new();
        let found = world.sessions(&as_events(&world, &reports));
        for pair in found.windows(2) {
            prop_assert!(pair[0].ended_at <= pair[1].started_at);
            prop_assert!(pair[0].started_at < pair[1].started_at || pair[0].started_at == pair[0].ended_at);
            prop_assert!(!pair[0].is_running, "only the last one may run");
        }
        for session in &found {
            let blocks = &session.blocks;
            prop_assert_eq!(blocks[0].started_at, session.started_at);
            prop_assert_eq!(blocks[blocks.len() - 1].ended_at, session.ended_at);
            for pair in blocks.windows(2) {
                prop_assert!(pair[0].ended_at <= pair[1].started_at);
            }
            let pauses: SignedDuration =
                blocks.windows(2).map(|pair| pair[1].started_at.duration_since(pair[0].ended_at)).sum();
            let whole = session.ended_at.duration_since(session.started_at);
            prop_assert_eq!(session.charged_for() + pauses, whole);
            // 11 kW is the most that the power tells; counter and state of charge tell 3.5 and 1.6 kWh at the most.
            let most = (whole.as_secs_f64() / 3600.0 * 11.0).max(3.5) + 1e-6;
            prop_assert!((0.0..=most).contains(&session.energy_kwh()), "{}", session.energy_kwh());
        }
    }

    #[test]
    fn a_detector_that_is_stored_between_any_two_events_finds_the_same(
        reports in chaos(0..600),
        often in 1..40_usize,
    ) {
        let world = World::new();
        let events = as_events(&world, &reports);
        let whole = world.sessions(&events);
        let mut detector = Detector::default();
        let mut settled = Vec::new();
        for part in events.chunks(often) {
            let stored = serde_json::to_string(&detector).unwrap();
            detector = serde_json::from_str(&stored).unwrap();
            for event in part {
                detector.observe(event, &world.signals);
            }
            settled.extend(detector.take_settled());
            detector.unsettled();
        }
        settled.extend(detector.unsettled());
        prop_assert_eq!(settled, whole);
    }

    #[test]
    fn events_that_come_again_change_nothing(
        reports in chaos(1..500),
        again in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..60),
    ) {
        let world = World::new();
        let events = as_events(&world, &reports);
        let mut repeated = events.clone();
        for (which, from_end) in again {
            let place = repeated.len() - from_end.index(repeated.len());
            let event = repeated[which.index(place)].clone();
            repeated.insert(place, event);
        }
        prop_assert_eq!(world.detector(&repeated), world.detector(&events));
    }

    #[test]
    fn as_long_as_they_wait_events_may_come_in_any_order(
        (reports, shuffled) in chaos(0..WAITING_MAX).prop_flat_map(|reports| {
            (Just(reports.clone()), Just(reports).prop_shuffle())
        })
    ) {
        let world = World::new();
        let (one, other) = (as_events(&world, &reports), as_events(&world, &shuffled));
        prop_assert_eq!(world.sessions(&one), world.sessions(&other));
    }
}
