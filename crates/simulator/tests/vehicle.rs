//! What a reader of a simulated vehicle's events may rely on.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy knows only their functions as such"
)]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use cardata_domain::catalogue::Category;
use cardata_domain::vehicle::Drivetrain;
use cardata_domain::{Catalogue, Event, Value};
use cardata_simulator::{Equipment, Vehicle};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const HEADER: &str = "vehicle.drivetrain.batteryManagement.header";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const RANGE: &str = "vehicle.drivetrain.electricEngine.remainingElectricRange";
const STATUS: &str = "vehicle.drivetrain.electricEngine.charging.status";
const POWER: &str = "vehicle.powertrain.electric.battery.charging.power";
const DISPLAYED: &str = "vehicle.powertrain.electric.battery.stateOfCharge.displayed";
const TARGET: &str = "vehicle.powertrain.electric.battery.stateOfCharge.target";
const REMAINING: &str = "vehicle.drivetrain.electricEngine.charging.timeRemaining";
const MOVING: &str = "vehicle.isMoving";

const DRIVETRAINS: [Drivetrain; 4] =
    [Drivetrain::Bev, Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice];

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::shipped()));

static EQUIPMENT: LazyLock<Equipment> = LazyLock::new(|| Equipment::new(CATALOGUE.clone()));

fn start() -> Timestamp {
    "2026-08-01T08:00:00.250Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn vehicle(drivetrain: Drivetrain, seed: u64) -> Vehicle {
    let vin = "WBY00000000000001".parse().unwrap();
    Vehicle::new(vin, drivetrain, seed, start(), &EQUIPMENT)
}

/// The events up to `until`, advanced `every` seconds.
fn run(vehicle: &mut Vehicle, every: i64, until: i64) -> Vec<Event> {
    (0..=until / every).flat_map(|step| vehicle.advance(after(step * every))).collect()
}

fn one_day(drivetrain: Drivetrain, seed: u64) -> Vec<Event> {
    let mut vehicle = vehicle(drivetrain, seed);
    let mut events = vec![vehicle.hello()];
    events.extend(run(&mut vehicle, 600, 86_400));
    events
}

/// Each signal's values in the order in which they were sent.
fn values(events: &[Event]) -> HashMap<Arc<str>, Vec<(Timestamp, Value)>> {
    let mut values: HashMap<_, Vec<_>> = HashMap::new();
    for entry in events.iter().flat_map(Event::entries) {
        let name = CATALOGUE.descriptor(entry.descriptor()).name.clone();
        values.entry(name).or_default().push((entry.at(), entry.value().clone()));
    }
    values
}

/// The values of one signal in the order in which they were sent.
fn texts(events: &[Event], name: &str) -> Vec<String> {
    let id = CATALOGUE.find(name).unwrap();
    events
        .iter()
        .flat_map(Event::entries)
        .filter(|entry| entry.descriptor() == id)
        .map(|entry| entry.value().as_plain().to_owned())
        .collect()
}

fn numbers(events: &[Event], name: &str) -> Vec<f64> {
    texts(events, name).iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_same_seed_gives_the_same_events_whatever_the_steps() {
    for drivetrain in DRIVETRAINS {
        let by_second = run(&mut vehicle(drivetrain, 7), 1, 7200);
        let by_minute = run(&mut vehicle(drivetrain, 7), 60, 7200);
        let by_hour = run(&mut vehicle(drivetrain, 7), 3600, 7200);
        assert_eq!(by_second, by_minute);
        assert_eq!(by_second, by_hour);
        assert_ne!(by_second, run(&mut vehicle(drivetrain, 8), 60, 7200));
    }
}

#[test]
fn time_that_stands_or_runs_backwards_gives_nothing() {
    let mut vehicle = vehicle(Drivetrain::Bev, 1);
    assert!(vehicle.advance(start()).is_empty());
    assert!(!vehicle.advance(after(60)).is_empty());
    assert!(vehicle.advance(after(60)).is_empty());
    assert!(vehicle.advance(after(10)).is_empty());
    assert!(vehicle.advance(Timestamp::MIN).is_empty());
    assert!(!vehicle.advance(after(120)).is_empty());
}

#[test]
fn of_a_long_gap_the_last_hour_is_driven_and_the_vehicle_stood_still_before() {
    let mut paused = vehicle(Drivetrain::Bev, 3);
    let mut other = vehicle(Drivetrain::Bev, 3);
    paused.advance(after(300));
    other.advance(after(300));
    let late = paused.advance(after(500_300));
    let in_time = other.advance(after(300 + 3600));
    assert!(late[0].at() > after(500_300 - 3600));
    assert_eq!(late.len(), in_time.len());
    let readings = |events: &[Event]| numbers(events, ODOMETER);
    assert_eq!(readings(&late), readings(&in_time));
    assert!(!paused.advance(Timestamp::MAX).is_empty());
}

#[test]
fn a_newcomer_sees_the_car_move_within_seconds_and_each_phase_within_the_hour() {
    for seed in 0..20 {
        let events = run(&mut vehicle(Drivetrain::Bev, seed), 60, 3600);
        let values = values(&events);
        assert!(values[MOVING][0].0 <= after(5));
        assert_eq!(values[MOVING][0].1, Value::Boolean(true));
        let statuses = texts(&events, STATUS);
        for status in ["INITIALIZATION", "CHARGINGACTIVE", "CHARGINGENDED", "NOCHARGING"] {
            assert!(statuses.iter().any(|seen| seen == status), "no {status} with seed {seed}");
        }
        let locks = texts(&events, "vehicle.cabin.door.status");
        for lock in ["LOCKED", "UNLOCKED", "SECURED"] {
            assert!(locks.iter().any(|seen| seen == lock), "no {lock} with seed {seed}");
        }
        assert!(events.iter().any(|event| event.entries().len() > 3));
    }
}

#[test]
fn a_driving_car_reports_every_five_seconds_at_least_and_a_parked_one_is_silent() {
    let mut vehicle = vehicle(Drivetrain::Bev, 5);
    let mut events = vec![vehicle.hello()];
    events.extend(run(&mut vehicle, 60, 7200));
    let moving = CATALOGUE.find(MOVING).unwrap();
    let mut is_moving = false;
    let mut longest_silence = 0;
    for pair in events.windows(2) {
        if let Some(entry) = pair[0].entries().iter().find(|entry| entry.descriptor() == moving) {
            is_moving = *entry.value() == Value::Boolean(true);
        }
        let seconds = pair[1].at().duration_since(pair[0].at()).as_secs();
        assert!(seconds >= 1);
        assert!(!is_moving || seconds <= 5, "{seconds} s of silence at {}", pair[0].at());
        longest_silence = longest_silence.max(seconds);
    }
    assert!(longest_silence > 100);
}

#[test]
fn each_category_but_the_contract_itself_moves_within_a_day() {
    let values = values(&one_day(Drivetrain::Bev, 11));
    let mut changed = BTreeSet::new();
    let mut reported = BTreeSet::new();
    for (name, values) in &values {
        let category = CATALOGUE.descriptor(CATALOGUE.find(name).unwrap()).category;
        reported.insert(category);
        if values.iter().any(|(_, value)| *value != values[0].1) {
            changed.insert(category);
        }
    }
    for category in [
        Category::VehicleStatus,
        Category::BevPhevData,
        Category::UsageBased,
        Category::MetaData,
        Category::TyreData,
        Category::Events,
    ] {
        assert!(changed.contains(&category), "nothing of {} changed", category.as_str());
    }
    assert!(reported.contains(&Category::BasicData));
}

#[test]
fn hello_has_every_signal_that_the_vehicle_ever_sends() {
    for drivetrain in DRIVETRAINS {
        let events = one_day(drivetrain, 2);
        let ids = |events: &[Event]| {
            events
                .iter()
                .flat_map(Event::entries)
                .map(cardata_domain::Entry::descriptor)
                .collect::<HashSet<_>>()
        };
        assert_eq!(ids(&events[..1]), ids(&events));
        let values = values(&events);
        for name in [
            "vehicle.cabin.infotainment.navigation.currentLocation.latitude",
            "vehicle.cabin.infotainment.navigation.currentLocation.longitude",
            "vehicle.cabin.infotainment.navigation.currentLocation.altitude",
            "vehicle.cabin.infotainment.navigation.currentLocation.heading",
            "vehicle.chassis.axle.row1.wheel.left.tire.pressure",
            ODOMETER,
            MOVING,
        ] {
            assert!(values.contains_key(name), "{drivetrain} has no {name}");
        }
        let electric = matches!(drivetrain, Drivetrain::Bev | Drivetrain::Phev);
        for name in [HEADER, STATUS, POWER, RANGE] {
            assert_eq!(values.contains_key(name), electric, "{drivetrain} and {name}");
        }
        assert_eq!(
            values.contains_key("vehicle.drivetrain.fuelSystem.remainingFuel"),
            drivetrain != Drivetrain::Bev
        );
    }
}

#[test]
fn values_have_the_types_and_units_of_the_stream() {
    // Their values on the stream are known not to be those that the catalogue lists.
    let own_values = [
        STATUS,
        "vehicle.cabin.door.status",
        "vehicle.drivetrain.electricEngine.charging.method",
        "vehicle.vehicle.preConditioning.activity",
    ];
    for event in DRIVETRAINS.iter().flat_map(|drivetrain| one_day(*drivetrain, 4)) {
        for entry in event.entries() {
            let listed = CATALOGUE.descriptor(entry.descriptor());
            let name = &*listed.name;
            assert_eq!(entry.at().subsec_nanosecond(), 0);
            assert!(entry.at() <= event.at());
            match entry.value() {
                Value::Boolean(_) => {
                    assert_eq!(listed.datatype.as_deref(), Some("boolean"), "{name}");
                }
                Value::Text(text) => {
                    assert!(entry.unit().is_none(), "{name}");
                    assert!(!text.is_empty(), "{name}");
                    if !listed.values.is_empty() && !own_values.contains(&name) {
                        let known = listed.values.iter().any(|value| **value == **text);
                        assert!(known, "{name} is {text}");
                    }
                }
                Value::Number(digits) => {
                    let number: f64 = digits.parse().unwrap();
                    assert!(!digits.starts_with('-'), "{name} is {digits}");
                    let whole = ["int", "uint"].iter().any(|kind| {
                        listed
                            .datatype
                            .as_deref()
                            .is_some_and(|datatype| datatype.starts_with(kind))
                    });
                    assert!(!whole || !digits.contains('.'), "{name} is {digits}");
                    // These two ranges are not typical: 80 W, and 200 minutes at a household socket.
                    if let Some((low, high)) = &listed.range
                        && ![POWER, REMAINING].contains(&name)
                    {
                        let range = low.parse().unwrap()..=high.parse().unwrap();
                        assert!(range.contains(&number), "{name} is {digits}");
                    }
                    let unit = match listed.unit.as_deref() {
                        _ if name == TARGET => None,
                        Some("%") => Some("percent"),
                        Some("°") => Some("degrees"),
                        Some("°C") => Some("celsius"),
                        other => other.or(entry.unit()),
                    };
                    assert_eq!(entry.unit(), unit, "{name}");
                }
            }
        }
    }
    let hello = vehicle(Drivetrain::Bev, 4).hello();
    let fragment = |name: &str| {
        let id = CATALOGUE.find(name).unwrap();
        hello.entries().iter().find(|entry| entry.descriptor() == id).unwrap().fragment().to_owned()
    };
    assert!(fragment(HEADER).ends_with(r#","unit":"percent"}"#));
    assert!(fragment(ODOMETER).ends_with(r#","unit":"km"}"#));
    assert!(fragment(HEADER).contains(r#""timestamp":"2026-08-01T08:00:00Z""#));
}

#[test]
fn charge_falls_while_driving_and_rises_to_the_target_with_full_power_up_to_80_percent() {
    let watched = [STATUS, DISPLAYED, TARGET, POWER].map(|name| CATALOGUE.find(name).unwrap());
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut tapered = false;
    for seed in [1, 2, 3] {
        let mut latest = [const { String::new() }; 4];
        for event in one_day(Drivetrain::Bev, seed) {
            let before = latest.clone();
            for entry in event.entries() {
                if let Some(index) = watched.iter().position(|id| *id == entry.descriptor()) {
                    entry.value().as_plain().clone_into(&mut latest[index]);
                }
            }
            let [status, percent, target, power] = &latest;
            let [status_before, percent_before, ..] = &before;
            if percent_before.is_empty() {
                continue;
            }
            let (percent, percent_before) = (number(percent), number(percent_before));
            if status_before == "CHARGINGACTIVE" {
                assert!(percent >= percent_before && percent <= number(target) + 0.1);
            } else {
                // Recuperation gives a little back.
                assert!(percent <= percent_before + 0.4, "at {}", event.at());
            }
            if status == "CHARGINGACTIVE" {
                let full = [3_680.0, 11_040.0, 120_000.0].contains(&number(power));
                assert!(full || percent > 79.9, "{power} W at {percent} %");
                tapered |= !full;
            }
        }
    }
    assert!(tapered, "no taper");
}

#[test]
fn a_combustion_car_is_refuelled_before_it_is_empty() {
    for drivetrain in [Drivetrain::Ice, Drivetrain::Mhev, Drivetrain::Phev] {
        let mut vehicle = vehicle(drivetrain, 6);
        for hour in 1..=72 {
            vehicle.advance(after(hour * 3600));
        }
        let left = vehicle.hello();
        assert!(numbers(&[left], "vehicle.drivetrain.fuelSystem.remainingFuel")[0] > 5.0);
        assert!(vehicle.energy().fuelled_kwh > 100.0, "{drivetrain} was never refuelled");
    }
}

#[test]
fn an_odometer_can_be_carried_over_but_never_back() {
    let carried =
        |km| numbers(&[vehicle(Drivetrain::Bev, 1).with_odometer_km(km).hello()], ODOMETER)[0];
    assert!((carried(123_456.7) - 123_456.7).abs() < 0.01);
    assert!(carried(0.0) > 1000.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn energy_is_neither_made_nor_lost_the_odometer_never_falls_and_the_charge_stays_in_range(
        seed: u64,
        drivetrain in prop::sample::select(&DRIVETRAINS[..]),
    ) {
        let mut vehicle = vehicle(drivetrain, seed);
        let before = vehicle.energy();
        let events = run(&mut vehicle, 600, 86_400);
        let after = vehicle.energy();
        let came = after.charged_kwh + after.fuelled_kwh;
        let went = after.stored_kwh - before.stored_kwh
            + after.motion_kwh
            + after.resistance_kwh
            + after.auxiliary_kwh
            + after.lost_kwh;
        prop_assert!((came - went).abs() < 0.001, "{came} kWh came and {went} went");
        prop_assert!(after.resistance_kwh > 1.0 && after.lost_kwh > 1.0);

        let odometer = numbers(&events, ODOMETER);
        prop_assert!(odometer.is_sorted());
        prop_assert!(odometer[odometer.len() - 1] - odometer[0] > 300.0);
        if matches!(drivetrain, Drivetrain::Bev | Drivetrain::Phev) {
            let floor = if drivetrain == Drivetrain::Bev { 30.0 } else { 5.0 };
            for percent in numbers(&events, HEADER) {
                prop_assert!((floor..=100.0).contains(&percent));
            }
            let (charges, ranges) = (numbers(&events, HEADER), numbers(&events, RANGE));
            let first = ranges[0] / charges[0];
            let last = ranges[ranges.len() - 1] / charges[charges.len() - 1];
            prop_assert!((0.5..2.0).contains(&(first / last)), "the range left the charge");
        }
    }

    #[test]
    fn events_rise_in_time_and_none_is_empty_or_from_the_future(
        seed: u64,
        steps in prop::collection::vec(0_i64..4000, 1..20),
    ) {
        let mut vehicle = vehicle(Drivetrain::Phev, seed);
        let mut last = start();
        let mut now = 0;
        for step in steps {
            now += step;
            for event in vehicle.advance(after(now)) {
                prop_assert!(event.at() > last && event.at() <= after(now));
                prop_assert!(!event.entries().is_empty());
                last = event.at();
            }
        }
    }
}
