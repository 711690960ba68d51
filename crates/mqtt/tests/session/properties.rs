//! Whatever happens in whatever order, the promises of delivery hold.
//!
//! The [`World`] checks each step; when all is over, everything that was due must have arrived.

use std::num::NonZeroU16;
use std::time::Duration;

use cardata_domain::Vin;
use cardata_domain::projection::Packing;
use cardata_mqtt::{CloseReason, Reader, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::FileFailurePersistence;

use crate::world::{Kind, Lookup, Signal, Terms, World, all, car, gcid, only};

const CARS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Append(usize, Vec<Signal>),
    Burst(usize, usize),
    Sync,
    Flush,
    Retain(u64),
    Entitle(Vec<Signal>),
    Subscribe(Option<usize>, u8),
    Unsubscribe(Option<usize>),
    Receive(usize),
    Ack(usize),
    AckAll,
    Refuse(usize),
    TakeEvents(usize),
    TakeMissed,
    FinishRead(Lookup),
    Congest(bool),
    Connect(Kind, Terms),
    /// With which of the vehicles from then on; MQTT 5 only.
    Reauthenticate(Vec<usize>),
    ChangeVehicles(Vec<usize>),
    Disconnect,
    Cut,
    Crash,
    Restart,
    /// Seconds, in which the keep-alive time or the token may end.
    Pass(u64),
    Settle,
}

fn signals() -> impl Strategy<Value = Vec<Signal>> {
    subsequence(Signal::ALL.to_vec(), 1..=Signal::ALL.len())
}

fn step() -> impl Strategy<Value = Step> {
    let filter = || prop_oneof![1 => Just(None), 1 => (1..=CARS).prop_map(Some)];
    prop_oneof![
        20 => (1..=CARS, signals()).prop_map(|(car, signals)| Step::Append(car, signals)),
        3 => (1..=CARS, 2..8_usize).prop_map(|(car, count)| Step::Burst(car, count)),
        5 => Just(Step::Sync),
        4 => Just(Step::Flush),
        1 => (0..10_u64).prop_map(Step::Retain),
        3 => subsequence(Signal::ALL.to_vec(), 0..=Signal::ALL.len()).prop_map(Step::Entitle),
        5 => (filter(), 0..=2_u8).prop_map(|(car, qos)| Step::Subscribe(car, qos)),
        2 => filter().prop_map(Step::Unsubscribe),
        10 => (1..6_usize).prop_map(Step::Receive),
        12 => (0..6_usize).prop_map(Step::Ack),
        3 => Just(Step::AckAll),
        1 => (0..6_usize).prop_map(Step::Refuse),
        12 => (1..6_usize).prop_map(Step::TakeEvents),
        4 => Just(Step::TakeMissed),
        10 => prop_oneof![Just(Lookup::AtFirst), Just(Lookup::AtLast)].prop_map(Step::FinishRead),
        4 => any::<bool>().prop_map(Step::Congest),
        6 => terms().prop_map(|terms| Step::Connect(Kind::Persistent, terms)),
        1 => terms().prop_map(|terms| Step::Connect(Kind::Clean, terms)),
        2 => cars().prop_map(Step::Reauthenticate),
        1 => cars().prop_map(Step::ChangeVehicles),
        2 => Just(Step::Disconnect),
        3 => Just(Step::Cut),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        2 => prop_oneof![1..40_u64, 4000..=4000_u64].prop_map(Step::Pass),
        2 => Just(Step::Settle),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let newer = (1..=3_u16, 0..=2_u16).prop_map(|(receive_max, topic_alias_max)| Terms {
        version: Version::V5,
        receive_max: NonZeroU16::new(receive_max).unwrap(),
        topic_alias_max,
    });
    prop_oneof![Just(Terms::PLAIN), newer]
}

/// The customer's vehicles, mostly all.
fn cars() -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<_> = (1..=CARS).collect();
    prop_oneof![2 => Just(all.clone()), 1 => subsequence(all, 0..=CARS)]
}

/// A fleet's vehicles are of two customers.
fn named(world: &World, number: usize) -> Vin {
    car(if world.reader == Reader::Fleet { number + 2 } else { number })
}

fn filter(world: &World, car_number: Option<usize>) -> String {
    match (car_number, world.reader) {
        (Some(number), _) => only(named(world, number)),
        (None, Reader::Customer(_)) => all(),
        (None, Reader::Fleet) => "+/+".to_owned(),
    }
}

fn take(world: &mut World, step: Step) {
    let connected = world.is_connected();
    match step {
        Step::Append(number, signals) => {
            world.append(named(world, number), &signals);
        }
        Step::Burst(number, count) => (0..count).for_each(|_| {
            world.append(named(world, number), &[Signal::Soc]);
        }),
        Step::Sync => world.sync(),
        Step::Flush => world.flush(),
        Step::Retain(keep) => world.drop_up_to(world.newest().saturating_sub(keep)),
        Step::Entitle(signals) => world.entitle(&signals),
        Step::Connect(kind, terms) => {
            world.terms = terms;
            world.connect(kind);
        }
        Step::ChangeVehicles(cars) => {
            let vehicles: Vec<_> = cars.into_iter().map(|number| named(world, number)).collect();
            world.change_vehicles(&vehicles);
        }
        Step::Crash => world.crash(),
        Step::Restart => {
            world.close(CloseReason::ServerStopping);
            world.sync();
            world.flush();
            world.crash();
        }
        _ if !connected => {}
        Step::Reauthenticate(cars) => {
            if world.terms.version == Version::V5 {
                let lifetime = world.token_lifetime;
                let vehicles = cars.into_iter().map(|number| named(world, number)).collect();
                world.reauthenticate(vehicles, lifetime);
            }
        }
        Step::Subscribe(number, qos) => {
            world.subscribe([(filter(world, number), qos)]);
        }
        Step::Unsubscribe(number) => world.unsubscribe([filter(world, number)]),
        Step::Receive(count) => world.receive(count),
        Step::Ack(index) if index < world.unacked().len() => world.ack(index),
        Step::Refuse(index) if index < world.unacked().len() => world.refuse_message(index),
        Step::Ack(_) | Step::Refuse(_) => {}
        Step::AckAll => world.ack_all(),
        Step::TakeEvents(count) => {
            world.take_events(count);
        }
        Step::TakeMissed => {
            world.take_missed();
        }
        Step::FinishRead(lookup) => {
            world.finish_read(lookup);
        }
        Step::Congest(congested) => world.congest(congested),
        Step::Disconnect => world.close(CloseReason::Disconnected),
        Step::Cut => world.cut(),
        Step::Pass(seconds) => world.pass(Duration::from_secs(seconds)),
        Step::Settle => world.settle(),
    }
    world.done();
}

proptest! {
    #![proptest_config(ProptestConfig {
        // 5120, unless PROPTEST_CASES says otherwise.
        cases: 20 * ProptestConfig::default().cases,
        max_shrink_iters: 200_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_due_arrives_in_order_and_nothing_else(
        packing in prop_oneof![2 => Just(Packing::Event), 1 => Just(Packing::Entry)],
        inflight_max in 1..6_usize,
        mailbox in 1..6_usize,
        reader in prop_oneof![Just(Reader::Customer(gcid())), Just(Reader::Fleet)],
        snapshots: bool,
        terms in terms(),
        steps in vec(step(), 1..120),
    ) {
        let mut world = World::with(packing, inflight_max, mailbox);
        world.snapshots = snapshots;
        world.terms = terms;
        world.reader = reader;
        world.vehicles = (1..=CARS).map(|number| named(&world, number)).collect();
        world.connect(Kind::Persistent);
        for step in steps {
            take(&mut world, step);
        }
        if !world.is_connected() {
            world.connect(Kind::Persistent);
        }
        world.congest(false);
        world.settle_all();
    }
}
