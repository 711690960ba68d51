//! The charging sessions that are found in the events of a simulated month are those that the vehicle made.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cardata_domain::Catalogue;
use cardata_domain::charging::{Detector, EnergySource, Session, Signals};
use cardata_domain::vehicle::Drivetrain;
use cardata_simulator::{Charge, Equipment, Vehicle};
use jiff::{SignedDuration, Timestamp};

const START: Timestamp = Timestamp::constant(1_785_542_400, 0);
const MONTH: i64 = 30;
/// The longest pause between two reports of a car that charges.
const SAMPLE: SignedDuration = SignedDuration::from_secs(30);

/// What was found in the events of so many days, and what the vehicle did.
fn days(days: i64, drivetrain: Drivetrain, seed: u64) -> (Vec<Session>, Vec<Charge>) {
    let catalogue = Arc::new(Catalogue::shipped());
    let signals = Signals::new(&catalogue);
    let vin = "WBY00000000000001".parse().unwrap();
    let mut vehicle = Vehicle::new(vin, drivetrain, seed, START, &Equipment::new(catalogue));
    let mut detector = Detector::default();
    let (mut found, mut made) = (Vec::new(), Vec::new());
    detector.observe(&vehicle.hello(), &signals);
    for hour in 1..=days * 24 {
        for event in vehicle.advance(START + SignedDuration::from_hours(hour)) {
            assert_eq!(detector.observe(&event, &signals), 0, "nothing is late");
        }
        found.extend(detector.take_settled());
        made.extend(vehicle.take_charges());
    }
    found.extend(detector.unsettled());
    // One may run when the month ends; the vehicle tells only those that are over.
    let ended = |session: &Session| session.started_at <= made.last().unwrap().blocks[0].0;
    found.retain(|session| made.is_empty() || ended(session));
    (found, made)
}

fn assert_same(session: &Session, charge: &Charge) {
    assert_eq!(session.blocks.len(), charge.blocks.len(), "{session:?} {charge:?}");
    for (block, (start, end)) in session.blocks.iter().zip(&charge.blocks) {
        let off = [block.started_at.duration_since(*start), block.ended_at.duration_since(*end)];
        assert!(off.into_iter().all(|off| off.abs() <= SAMPLE), "{session:?} {charge:?}");
    }
    assert!(!session.is_running);
    assert_eq!(session.source, EnergySource::Power);
    let off_kwh = (session.energy_kwh() - charge.energy_kwh).abs();
    assert!(off_kwh <= charge.energy_kwh * 0.01, "{session:?} {charge:?}");
    let percent = |permille: Option<u16>| f64::from(permille.unwrap()) / 10.0;
    assert!((percent(session.start_permille) - charge.start_percent).abs() < 0.2);
    assert!((percent(session.end_permille) - charge.end_percent).abs() < 0.2);
    let position = session.position().unwrap();
    assert!((position.latitude - charge.position.0).abs() < 1e-6);
    assert!((position.longitude - charge.position.1).abs() < 1e-6);
    let off_km =
        charge.mileage_km * 1000.0 - f64::from(u32::try_from(session.mileage_m.unwrap()).unwrap());
    assert!(off_km.abs() < 100.0, "the odometer is told to 100 m");
}

fn the_sessions_of_a_month_are_those_that_were_made(drivetrain: Drivetrain) {
    let (found, made) = days(MONTH, drivetrain, 7);
    assert!(made.len() > 1000, "{}", made.len());
    assert!(made.iter().any(|charge| charge.blocks.len() == 2), "some are interrupted");
    assert_eq!(found.len(), made.len());
    for (session, charge) in found.iter().zip(&made) {
        assert_same(session, charge);
    }
}

#[test]
fn a_battery_electric_car_charged_as_often_and_as_much_as_was_found() {
    the_sessions_of_a_month_are_those_that_were_made(Drivetrain::Bev);
}

#[test]
fn a_plug_in_hybrid_charged_as_often_and_as_much_as_was_found() {
    the_sessions_of_a_month_are_those_that_were_made(Drivetrain::Phev);
}

#[test]
fn a_combustion_engine_is_not_charged() {
    for drivetrain in [Drivetrain::Ice, Drivetrain::Mhev] {
        assert_eq!(days(5, drivetrain, 7), (Vec::new(), Vec::new()));
    }
}
