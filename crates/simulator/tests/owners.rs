//! What holds of cars with owners, and of each way of reporting.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy knows only their functions as such"
)]

use std::sync::{Arc, LazyLock};

use cardata_domain::charging::{Detector, Signals};
use cardata_domain::{Catalogue, Entry, Event};
use cardata_simulator::{Equipment, Scenario, Vehicle, scenario};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const MOVING: &str = "vehicle.isMoving";
const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
const LONGITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";
const STATUS: &str = "vehicle.drivetrain.electricEngine.charging.status";
const HEADER: &str = "vehicle.drivetrain.batteryManagement.header";
const LOCK: &str = "vehicle.cabin.door.status";

const OWNERS: [&str; 5] = ["commuter", "courier", "family", "long-trip", "seldom"];

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::shipped()));
static EQUIPMENT: LazyLock<Equipment> = LazyLock::new(|| Equipment::new(CATALOGUE.clone()));

/// A shipped scenario with other lines in its car.
fn scenario(name: &str, lines: &str) -> Scenario {
    let text = Scenario::shipped_text(name).unwrap();
    let keys: Vec<_> = lines.lines().filter_map(|line| line.split_once(" =")).collect();
    let is_replaced =
        |line: &&str| keys.iter().all(|(key, _)| !line.starts_with(&format!("{key} =")));
    let kept: Vec<_> = text.lines().filter(is_replaced).collect();
    Scenario::parse(&kept.join("\n").replacen("[[car]]", &format!("[[car]]\n{lines}"), 1)).unwrap()
}

struct Life {
    vehicle: Vehicle,
    start: Timestamp,
}

impl Life {
    fn of(scenario: &Scenario, seed: u64) -> Self {
        let start = scenario.started().unwrap();
        let car: &scenario::Car = &scenario.cars[0];
        let vin = "WBY00000000000001".parse().unwrap();
        let zone = scenario.time_zone.clone();
        Self { vehicle: Vehicle::owned(vin, car, zone, seed, start, &EQUIPMENT), start }
    }

    /// The events of the days from the start to `days`, looked at every `minutes`.
    fn days(&mut self, days: i64, minutes: i64) -> Vec<Event> {
        let looks = 1..=days * 24 * 60 / minutes;
        let at = |look| self.start + SignedDuration::from_mins(look * minutes);
        looks.flat_map(|look| self.vehicle.advance(at(look))).collect()
    }
}

fn week(name: &str, lines: &str) -> Vec<Event> {
    Life::of(&scenario(name, lines), 3).days(7, 60)
}

fn entries<'a>(events: &'a [Event], name: &str) -> Vec<(Timestamp, &'a Entry)> {
    let id = CATALOGUE.find(name).unwrap();
    let all =
        events.iter().flat_map(|event| event.entries().iter().map(|entry| (event.at(), entry)));
    all.filter(|(_, entry)| entry.descriptor() == id).collect()
}

fn numbers(events: &[Event], name: &str) -> Vec<f64> {
    entries(events, name)
        .iter()
        .map(|(_, entry)| entry.value().as_plain().parse().unwrap())
        .collect()
}

/// Seconds between messages that follow on each other while it drives.
fn gaps(events: &[Event]) -> Vec<i64> {
    let mut is_moving = false;
    let mut gaps = Vec::new();
    for pair in events.windows(2) {
        let told = pair[0].entries().iter().find(|entry| entry.name() == MOVING);
        is_moving = told.map_or(is_moving, |entry| entry.value().as_plain() == "true");
        if is_moving {
            gaps.push(pair[1].at().duration_since(pair[0].at()).as_secs());
        }
    }
    gaps
}

#[test]
fn the_same_seed_gives_the_same_week_whatever_the_steps() {
    for name in OWNERS {
        let life = |seed, minutes| {
            Life::of(&scenario(name, "late = 0.1\nrepeated = 0.1"), seed).days(3, minutes)
        };
        assert!(life(5, 60) == life(5, 8), "{name}");
        assert!(name == "seldom" || life(5, 60) != life(6, 60), "{name}");
    }
}

#[test]
fn an_owner_leaves_when_the_scenario_says_and_comes_home() {
    let events = week("commuter", "");
    let zone = Scenario::parse(&Scenario::shipped_text("commuter").unwrap()).unwrap().time_zone;
    let departures: Vec<_> = entries(&events, LOCK)
        .into_iter()
        .filter(|(_, entry)| entry.value().as_plain() == "UNLOCKED")
        .map(|(at, _)| zone.to_datetime(at))
        .filter(|at| at.hour() == 7 && at.minute() <= 33)
        .collect();
    assert!((3..=5).contains(&departures.len()), "{departures:?}");
    let km = numbers(&events, ODOMETER);
    assert!(km.is_sorted() && (150.0..320.0).contains(&(km[km.len() - 1] - km[0])));
    let last = numbers(&events, LATITUDE);
    // A garage hides the last metres.
    assert!((last[last.len() - 1] - 48.2924).abs() < 0.01, "{last:?}");
}

#[test]
fn the_charges_of_owners_are_found_in_what_their_cars_tell() {
    let signals = Signals::new(&CATALOGUE);
    for name in ["commuter", "courier", "family"] {
        let mut life =
            Life::of(&scenario(name, "reports = \"regular\"\nlate = 0\nrepeated = 0"), 2);
        let mut detector = Detector::default();
        detector.observe(&life.vehicle.hello(), &signals);
        for event in life.days(10, 60) {
            detector.observe(&event, &signals);
        }
        let mut found = detector.take_settled();
        found.extend(detector.unsettled());
        found.retain(|session| !session.is_running);
        let made = life.vehicle.take_charges();
        assert!(
            !made.is_empty() && found.len().abs_diff(made.len()) <= 1,
            "{name}: {} {}",
            found.len(),
            made.len()
        );
        for (session, charge) in found.iter().zip(&made) {
            let off = (session.energy_kwh() - charge.energy_kwh).abs();
            assert!(off < charge.energy_kwh * 0.03 + 0.05, "{name}: {session:?} {charge:?}");
        }
    }
}

#[test]
fn a_car_in_a_garage_has_no_fix_and_tells_the_last_place() {
    let fixes = week("commuter", "");
    let fixes = entries(&fixes, "vehicle.cabin.infotainment.navigation.currentLocation.fixStatus");
    for fix in ["NO_FIX", "GPS_FIX_2D", "GPS_FIX_3D"] {
        assert!(fixes.iter().any(|(_, entry)| entry.value().as_plain() == fix), "no {fix}");
    }
}

#[test]
fn a_timer_makes_the_car_warm_before_it_leaves() {
    let events = week("commuter", "celsius = -5");
    let activity = entries(&events, "vehicle.vehicle.preConditioning.activity");
    let heated = activity.iter().filter(|(_, entry)| entry.value().as_plain() == "HEATING").count();
    assert!((3..=7).contains(&heated), "{heated}");
    let timer = numbers(&events, "vehicle.cabin.climate.timers.weekdaysTimer1.minute");
    assert!((timer[0] - 20.0).abs() < 1e-9);
}

#[test]
fn two_phases_charge_with_two_phases() {
    let events = week("courier", "model = \"i4\"\ncharge_below_percent = 100");
    let phases = entries(&events, "vehicle.drivetrain.electricEngine.charging.phaseNumber");
    assert!(phases.iter().any(|(_, entry)| entry.value().as_plain() == "2-PHASES"));
    let watts = numbers(&events, "vehicle.powertrain.electric.battery.charging.power");
    assert!(watts.contains(&7360.0));
}

#[test]
fn a_tyre_that_leaks_falls_and_is_blown_up_again() {
    let leak = "tyre_leak_percent_per_week = 8";
    let events = Life::of(&scenario("commuter", leak), 1).days(45, 60);
    let left = numbers(&events, "vehicle.chassis.axle.row1.wheel.left.tire.pressure");
    let right = numbers(&events, "vehicle.chassis.axle.row1.wheel.right.tire.pressure");
    let least = left.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 0.85 * left[0] && right.iter().all(|kpa| *kpa > 0.9 * right[0]));
    assert!(left.windows(2).any(|pair| pair[1] > pair[0] * 1.2), "nobody blew it up");
}

#[test]
fn a_cold_battery_charges_slowly_and_a_cold_car_takes_more() {
    let taken = |celsius: &str| {
        let mut life = Life::of(&scenario("commuter", celsius), 4);
        life.days(14, 60);
        life.vehicle.energy().charged_kwh / life.vehicle.energy().resistance_kwh
    };
    assert!(taken("celsius = -15") > 1.2 * taken("celsius = 20"));
}

#[test]
fn regular_is_every_few_seconds() {
    let gaps = gaps(&week("courier", "reports = \"regular\""));
    assert!(gaps.len() > 1000 && gaps.iter().all(|gap| *gap <= 5));
}

#[test]
fn distance_is_after_two_minutes_or_three_kilometres() {
    let events = Life::of(&scenario("long-trip", "reports = \"distance\""), 3).days(21, 60);
    let gaps = gaps(&events);
    assert!(gaps.len() > 20 && gaps.iter().all(|gap| *gap <= 120), "{gaps:?}");
    // Three kilometres at 130 km/h are 83 seconds.
    assert!(gaps.iter().filter(|gap| (80..95).contains(*gap)).count() > 10, "{gaps:?}");
}

#[test]
fn trip_end_is_one_message_for_a_trip() {
    let events = week("commuter", "reports = \"trip-end\"\nposition_apart = false");
    let trips = entries(&events, "vehicle.trip.segment.end.time").len();
    assert!((8..=15).contains(&trips), "{trips}");
    assert_eq!(entries(&events, ODOMETER).len(), trips);
    assert!(entries(&events, MOVING).iter().all(|(_, entry)| entry.value().as_plain() == "false"));
}

#[test]
fn bursts_come_within_a_second_and_with_a_pause_between() {
    let events = week("courier", "reports = \"bursts\"");
    let mut bursts = vec![vec![&events[0]]];
    for pair in events.windows(2) {
        if pair[1].at().duration_since(pair[0].at()) >= SignedDuration::from_secs(5) {
            bursts.push(Vec::new());
        }
        bursts.last_mut().unwrap().push(&pair[1]);
    }
    for burst in &bursts {
        let took = burst[burst.len() - 1].at().duration_since(burst[0].at());
        assert!(took < SignedDuration::from_secs(1), "{took}");
    }
    assert!(bursts.iter().filter(|burst| burst.len() >= 10).count() > 10);
    // What is in it is as old as it is.
    let oldest = |event: &&Event| event.at().duration_since(event.entries()[0].at());
    assert!(bursts.iter().flatten().map(oldest).max().unwrap() > SignedDuration::from_secs(60));
}

#[test]
fn latitude_and_longitude_come_apart_and_often_from_different_times() {
    let events = week("commuter", "position_apart = true\nreports = \"regular\"");
    let has = |event: &Event, name: &str| event.entries().iter().any(|entry| entry.name() == name);
    assert!(!events.iter().any(|event| has(event, LATITUDE) && has(event, LONGITUDE)));
    let times =
        |name| entries(&events, name).iter().map(|(_, entry)| entry.at()).collect::<Vec<_>>();
    let (latitudes, longitudes) = (times(LATITUDE), times(LONGITUDE));
    let together = latitudes.iter().filter(|at| longitudes.binary_search(at).is_ok()).count();
    assert!(
        together * 10 > latitudes.len() * 4 && together * 10 < latitudes.len() * 9,
        "{together} of {}",
        latitudes.len()
    );
}

#[test]
fn late_messages_are_late_and_their_values_are_as_old() {
    let events = week("courier", "late = 0.2");
    let is_late =
        |event: &&Event| event.at().duration_since(event.entries()[0].at()).as_secs() >= 30;
    let late = events.iter().filter(is_late).count();
    assert!(
        (events.len() * 15..events.len() * 25).contains(&(late * 100)),
        "{late} of {}",
        events.len()
    );
    assert!(
        events.windows(2).all(|pair| pair[0].at() <= pair[1].at()),
        "sent in the order of time"
    );
}

#[test]
fn repeated_messages_say_the_same_again_within_21_seconds() {
    let events = week("courier", "repeated = 0.2");
    let is_again = |event: &&Event| {
        events.iter().any(|other| {
            let later = event.at().duration_since(other.at()).as_secs();
            (3..=21).contains(&later) && other.entries() == event.entries()
        })
    };
    let some: Vec<_> = events.iter().take(600).collect();
    let again = some.iter().filter(|event| is_again(event)).count();
    assert!((60..200).contains(&again), "{again}");
}

#[test]
fn a_silent_car_tells_nothing_from_its_last_trip_to_the_next() {
    let events = week("commuter", "silent_parked = true\nreports = \"regular\"");
    let is_unlocked = |(_, entry): &(Timestamp, &Entry)| entry.value().as_plain() == "UNLOCKED";
    assert!(!entries(&events, LOCK).iter().any(is_unlocked));
    let talkative = week("commuter", "reports = \"regular\"");
    assert!(entries(&talkative, LOCK).iter().any(is_unlocked));
}

#[test]
fn few_values_come_while_it_charges() {
    let charging = |lines: &str| {
        let events = week("courier", lines);
        let mut is_charging = false;
        let mut count = 0;
        for event in &events {
            count += usize::from(
                is_charging && event.entries().iter().any(|entry| entry.name() == HEADER),
            );
            if let Some(entry) = event.entries().iter().find(|entry| entry.name() == STATUS) {
                is_charging = entry.value().as_plain() == "CHARGINGACTIVE";
            }
        }
        count
    };
    let (few, many) = (charging("few_while_charging = true"), charging(""));
    assert!(few > 0 && few * 4 < many, "{few} of {many}");
}

#[test]
fn the_guides_example_can_be_used_and_the_guide_has_every_key() {
    let guide = include_str!("../../../docs/guides/scenarios.md");
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let car = &Scenario::parse(example).unwrap_or_else(|error| panic!("{error}")).cars[0];
    assert_eq!((car.name.as_str(), car.outings.len()), ("nurse", 2));
    for wrong in ["x = 1\n", "[[car]]\nx = 1\n", "[[car]]\n[[car.outing]]\nx = 1\n"] {
        let told = Scenario::parse(wrong).unwrap_err().to_string();
        let keys: Vec<_> = told.split('`').skip(3).step_by(2).collect();
        assert!(keys.len() >= 4, "{told}");
        for key in keys {
            let is_told = [format!("`{key}`"), format!("[[{key}]]"), format!("[[car.{key}]]")];
            assert!(is_told.iter().any(|form| guide.contains(form)), "the guide lacks {key}");
        }
    }
    for name in Scenario::shipped_names() {
        assert!(guide.contains(&format!("| `{name}` |")), "the guide lacks {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn energy_is_neither_made_nor_lost_and_no_battery_runs_empty(
        seed: u64,
        name in prop::sample::select(&OWNERS[..]),
        model in prop::sample::select(&["i3", "i4", "i5", "330e", "520i", "320i"][..]),
        celsius in -15_i32..35,
    ) {
        // An i3 does not get over the mountains in the deepest winter.
        prop_assume!(!(model == "i3" && name == "long-trip" && celsius < 0));
        let lines = format!("model = \"{model}\"\ncelsius = {celsius}");
        let mut life = Life::of(&scenario(name, &lines), seed);
        let before = life.vehicle.energy();
        let mut odometer_km = life.vehicle.odometer_km();
        for hour in 1..=14 * 24 {
            life.vehicle.advance(life.start + SignedDuration::from_hours(hour));
            prop_assert!(life.vehicle.odometer_km() >= odometer_km);
            odometer_km = life.vehicle.odometer_km();
            if let Some(percent) = life.vehicle.charge_percent() {
                prop_assert!((1.0..=100.0 + 1e-9).contains(&percent), "{percent} % at hour {hour}");
            }
        }
        let after = life.vehicle.energy();
        let came = after.charged_kwh + after.fuelled_kwh;
        let went = after.stored_kwh - before.stored_kwh
            + after.motion_kwh
            + after.resistance_kwh
            + after.auxiliary_kwh
            + after.lost_kwh;
        prop_assert!((came - went).abs() < 1e-6 * (1.0 + came + before.stored_kwh), "{came} kWh came and {went} went");
        prop_assert!(after.lost_kwh >= 0.0);
    }
}
