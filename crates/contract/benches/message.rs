//! How an event becomes a message: it is read as a vehicle reports it, its entries are chosen for a view, and the
//! message's bytes are made, once for all clients of the view.

use std::hint::black_box;

use bytes::Bytes;
use cardata_contract::stream::{encode, parse};
use cardata_domain::event::Payloads;
use cardata_domain::projection::{Packing, View, project};
use cardata_domain::{Catalogue, Event, Gcid, Recorded, Sequence};
use criterion::{BatchSize, Criterion, Throughput};

/// An event of five entries, in the stream's own form.
const EVENT: &[u8] = br#"{"vin":"WBY00000000000001","timestamp":"2026-07-27T12:37:58.123Z","data":{"vehicle.vehicle.travelledDistance":{"timestamp":"2026-07-27T12:37:58.123Z","value":48211,"unit":"km"},"vehicle.drivetrain.batteryManagement.header":{"timestamp":"2026-07-27T12:37:58.123Z","value":87,"unit":"percent"},"vehicle.cabin.infotainment.navigation.currentLocation.latitude":{"timestamp":"2026-07-27T12:37:58.123Z","value":48.177024,"unit":"degrees"},"vehicle.cabin.infotainment.navigation.currentLocation.longitude":{"timestamp":"2026-07-27T12:37:58.123Z","value":11.559107,"unit":"degrees"},"vehicle.drivetrain.electricEngine.charging.status":{"timestamp":"2026-07-27T12:37:58.123Z","value":"CHARGINGACTIVE"}}}"#;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    reading(&mut criterion);
    projection(&mut criterion);
    criterion.final_summary();
}

fn reading(criterion: &mut Criterion) {
    let catalogue = Catalogue::shipped();
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| parse(black_box(EVENT), &catalogue).expect("it is an event"));
    });
    group.finish();
}

fn projection(criterion: &mut Criterion) {
    let catalogue = Catalogue::shipped();
    let event = parse(EVENT, &catalogue).expect("it is an event").event;
    let gcid: Gcid = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().expect("it is a GCID");
    let view = View {
        entitled: event.entries().iter().map(cardata_domain::Entry::descriptor).collect(),
        ..View::nothing(gcid, Packing::Event)
    };
    let recorded = at_its_place(&event);
    let message_bytes: usize = payloads(&recorded, &view).iter().map(Bytes::len).sum();

    let mut group = criterion.benchmark_group("projection");
    group.throughput(Throughput::Elements(event.entries().len() as u64));
    group.bench_function("entries chosen", |bencher| {
        bencher.iter(|| project(black_box(&event), &view.entitled, None));
    });
    group.throughput(Throughput::Bytes(message_bytes as u64));
    group.bench_function("first client of a view", |bencher| {
        bencher.iter_batched_ref(
            || at_its_place(&event),
            |recorded| payloads(recorded, &view),
            BatchSize::SmallInput,
        );
    });
    // Its bytes are not touched, so there is no throughput in bytes.
    group.throughput(Throughput::Elements(1));
    group.bench_function("further client of the view", |bencher| {
        bencher.iter(|| payloads(black_box(&recorded), &view));
    });
    group.finish();
}

/// The event as the journal hands it over, of which nothing was encoded yet.
fn at_its_place(event: &Event) -> Recorded {
    Recorded::new(Sequence(1), Sequence(0), event.clone())
}

fn payloads(recorded: &Recorded, view: &View) -> Payloads {
    recorded.payloads(view, |event, entries| encode(event, entries, view.gcid))
}
