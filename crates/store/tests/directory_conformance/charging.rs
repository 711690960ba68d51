//! Rules for charging sessions and the search for them.

use std::sync::Arc;

use cardata_domain::charging::{Session, Signals};
use cardata_domain::event::Sequence;
use cardata_domain::vehicle::{Drivetrain, MappingType, Vehicle};
use cardata_domain::{Catalogue, Entry, Event, Value};
use cardata_store::Directory;
use cardata_store::directory::{CHARGING_SESSIONS_MAX, ChargingProgress};
use jiff::Timestamp;

use super::samples::*;

/// The begins of what is kept.
async fn kept(directory: &impl Directory, number: u32) -> Vec<i64> {
    let all = directory
        .charging_sessions(vin(number), Timestamp::UNIX_EPOCH, Timestamp::MAX, 10_000)
        .await
        .unwrap();
    let begin = |session: &Session| session.started_at.as_second() - 1_790_000_000;
    all.iter().map(begin).collect()
}

pub(crate) async fn the_search_goes_on_where_it_was_left(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let new = directory.charging_progress(vin(1)).await.unwrap();
    assert_eq!(new, ChargingProgress::default());

    let catalogue = Catalogue::shipped();
    let name = "vehicle.drivetrain.electricEngine.charging.status";
    let status = catalogue.find(name).unwrap();
    let entry = Entry::new(&catalogue, status, second(0), Value::text("CHARGINGACTIVE"), None);
    let event = Event::new(vin(1), second(0), vec![entry]).unwrap();
    let mut step = charging(1, 0, &[], &[]);
    step.progress.detector.observe(&event, &Signals::new(&catalogue));
    step.unsettled = step.progress.detector.unsettled();
    assert_eq!(step.unsettled.len(), 1);
    assert_eq!(directory.put_charging(std::slice::from_ref(&step)).await.unwrap(), 1);
    let read = directory.charging_progress(vin(1)).await.unwrap();
    assert_eq!(read, ChargingProgress { version: 1, ..step.progress });
    assert_eq!(directory.charging_progress(vin(2)).await.unwrap(), ChargingProgress::default());
    let found = directory.charging_sessions(vin(1), second(0), second(1), 10).await.unwrap();
    assert_eq!(found, step.unsettled);
}

pub(crate) async fn vehicles_with_a_plug_and_a_primary_are_searched(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let drivetrains = [Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice, Drivetrain::Bev];
    for (number, drivetrain) in (3..).zip(drivetrains) {
        directory.put_vehicle(&Vehicle { drivetrain, ..vehicle(number) }).await.unwrap();
        directory.put_mapping(&mapping(1, number)).await.unwrap();
    }
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    let mut other = mapping(1, 6);
    other.mapping_type = MappingType::Secondary;
    directory.put_mapping(&other).await.unwrap();
    assert_eq!(directory.put_charging(&[charging(3, 0, &[], &[])]).await.unwrap(), 1);
    let expected = [(vin(1), Sequence(0)), (vin(3), Sequence(7))];
    assert_eq!(directory.charging_cursors().await.unwrap(), expected);
}

pub(crate) async fn settled_sessions_stay_and_others_are_replaced(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let first = [charging(1, 0, &[10], &[20, 30]), charging(2, 0, &[15], &[])];
    assert_eq!(directory.put_charging(&first).await.unwrap(), 2);
    assert_eq!(kept(&*directory, 1).await, [30, 20, 10]);
    // 20 was known with its begin at first, then another one was.
    assert_eq!(directory.put_charging(&[charging(1, 1, &[21], &[30, 40])]).await.unwrap(), 1);
    assert_eq!(kept(&*directory, 1).await, [40, 30, 21, 10]);
    assert_eq!(directory.put_charging(&[charging(1, 2, &[30], &[])]).await.unwrap(), 1);
    assert_eq!(kept(&*directory, 1).await, [30, 21, 10]);
    assert_eq!(kept(&*directory, 2).await, [15]);
}

pub(crate) async fn sessions_are_given_by_their_begin_newest_first(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_charging(&[charging(1, 0, &[10, 20, 30], &[40])]).await.unwrap();
    let read = async |from, before, limit| {
        let found = directory.charging_sessions(vin(1), second(from), second(before), limit).await;
        found.unwrap()
    };
    assert_eq!(read(20, 40, 9).await, [charge(30), charge(20)]);
    assert_eq!(read(0, 99, 2).await, [charge(40), charge(30)]);
    assert_eq!(read(20, 20, 9).await, []);
    assert_eq!(read(40, 10, 9).await, []);
    let never = directory.charging_sessions(vin(1), Timestamp::MIN, Timestamp::MAX, 0).await;
    assert_eq!(never.unwrap(), []);
}

pub(crate) async fn a_search_from_an_older_version_writes_nothing(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    assert_eq!(directory.put_charging(&[charging(1, 1, &[10], &[])]).await.unwrap(), 0);
    assert_eq!(directory.put_charging(&[charging(1, 0, &[10], &[])]).await.unwrap(), 1);
    // The first one again, beside one of another vehicle that is right.
    let both = [charging(1, 0, &[20], &[]), charging(2, 0, &[30], &[])];
    assert_eq!(directory.put_charging(&both).await.unwrap(), 1);
    assert_eq!(kept(&*directory, 1).await, [10]);
    assert_eq!(kept(&*directory, 2).await, [30]);
    let unknown = directory.put_charging(&[charging(9, 0, &[10], &[])]).await.unwrap();
    assert_eq!(unknown, 0, "nobody knows the vehicle");
}

pub(crate) async fn what_was_forgotten_does_not_come_back(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    for number in [1, 2] {
        directory.put_charging(&[charging(number, 0, &[10], &[20])]).await.unwrap();
    }
    directory.forget_charging(vin(1)).await.unwrap();
    assert_eq!(kept(&*directory, 1).await, [0; 0]);
    assert_eq!(kept(&*directory, 2).await, [20, 10]);
    assert_eq!(directory.put_charging(&[charging(1, 1, &[10], &[20])]).await.unwrap(), 0);
    assert_eq!(kept(&*directory, 1).await, [0; 0]);
    let read = directory.charging_progress(vin(1)).await.unwrap();
    let expected = ChargingProgress { version: 2, cursor: Sequence(7), ..read.clone() };
    assert_eq!(read, expected, "what was searched is not searched again");
    assert_eq!(read.detector, ChargingProgress::default().detector);
    assert_eq!(directory.put_charging(&[charging(1, 2, &[50], &[])]).await.unwrap(), 1);
    assert_eq!(kept(&*directory, 1).await, [50]);

    // Also where nothing was kept yet, but somebody was about to.
    directory.put_vehicle(&vehicle(3)).await.unwrap();
    directory.forget_charging(vin(3)).await.unwrap();
    assert_eq!(directory.put_charging(&[charging(3, 0, &[10], &[])]).await.unwrap(), 0);
    directory.forget_charging(vin(9)).await.unwrap();
}

pub(crate) async fn the_newest_two_thousand_sessions_of_a_vehicle_stay(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let max = i64::from(CHARGING_SESSIONS_MAX);
    directory.put_charging(&[charging(2, 0, &[1], &[])]).await.unwrap();
    let all: Vec<i64> = (1..=max).map(|number| number * 10).collect();
    directory.put_charging(&[charging(1, 0, &all, &[])]).await.unwrap();
    assert_eq!(kept(&*directory, 1).await.len(), all.len());
    directory.put_charging(&[charging(1, 1, &[], &[5, max * 10 + 10])]).await.unwrap();
    let left = kept(&*directory, 1).await;
    assert_eq!((left.len(), left[0], left[left.len() - 1]), (all.len(), max * 10 + 10, 20));
    assert_eq!(kept(&*directory, 2).await, [1]);
}
