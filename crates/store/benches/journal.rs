//! The embedded journal, with the limits and the syncs that the server has, in a folder on the disk that `target` is on.
//!
//! One caller waits for one answer at a time; how several share a sync is measured by `cardata bench ingest`. Files that
//! were just written are read from the system's page cache.

use std::path::Path;
use std::sync::Arc;

use cardata_contract::stream::parse;
use cardata_domain::{Catalogue, Event, Recorded, Sequence, Vin};
use cardata_store::Journal as _;
use cardata_store::journal::LiveFeed;
use cardata_store::journal::embedded::{EmbeddedJournal, Limits};
use criterion::{BatchSize, Criterion, Throughput};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Vehicles that report in turns.
const VEHICLES: usize = 20;
/// Events of each of them.
const EVENTS_EACH: usize = 1_000;
/// Events after those: more than the journal holds in memory.
const EVENTS_AFTER: usize = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("threads can be started");
    appending(&mut criterion, &runtime);
    reading(&mut criterion, &runtime);
    criterion.final_summary();
}

fn appending(criterion: &mut Criterion, runtime: &Runtime) {
    let folder = folder();
    let journal = open(folder.path(), Limits::default(), runtime);
    let journal = &journal;
    let append = async |events| {
        let appended = journal.append(events, Timestamp::UNIX_EPOCH).await;
        appended.expect("the journal takes events")
    };
    let event = event(0);
    let mut group = criterion.benchmark_group("journal append");
    for count in [1, 32] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("events at a time: {count}"), |bencher| {
            bencher.to_async(runtime).iter_batched(
                || vec![event.clone(); count],
                append,
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion, runtime: &Runtime) {
    let folder = folder();
    let journal = open(folder.path(), Limits::default(), runtime);
    let vehicles: Vec<_> = (0..VEHICLES).map(event).collect();
    let after = event(VEHICLES);
    let in_turns = std::iter::repeat_n(&vehicles, EVENTS_EACH).flatten();
    let all: Vec<_> = in_turns.chain(std::iter::repeat_n(&after, EVENTS_AFTER)).cloned().collect();
    for batch in all.chunks(1_000) {
        let appending = journal.append(batch.to_vec(), Timestamp::UNIX_EPOCH);
        runtime.block_on(appending).expect("the journal takes events");
    }
    let (on_disk, in_memory) = (vehicles[0].vin(), after.vin());
    let before_newest = Sequence(journal.head(in_memory).0 - EVENTS_EACH as u64);

    let mut group = criterion.benchmark_group("journal read");
    group.throughput(Throughput::Elements(EVENTS_EACH as u64));
    for (name, vin, after) in [
        ("1,000 events of a vehicle, from disk", on_disk, Sequence(0)),
        ("1,000 events of a vehicle, from memory", in_memory, before_newest),
    ] {
        let read = runtime.block_on(journal.read(vin, after, EVENTS_EACH));
        assert_eq!(read.expect("the journal can be read").len(), EVENTS_EACH);
        group.bench_function(name, |bencher| {
            bencher.to_async(runtime).iter(|| journal.read(vin, after, EVENTS_EACH));
        });
    }

    group.throughput(Throughput::Elements(vehicles[0].entries().len() as u64));
    group.bench_function("latest values of a vehicle, from memory", |bencher| {
        bencher.to_async(runtime).iter(|| journal.latest(on_disk));
    });
    drop(journal);
    let journal = open(folder.path(), Limits { latest_values: 0, ..Limits::default() }, runtime);
    group.bench_function("latest values of a vehicle, from disk", |bencher| {
        bencher.to_async(runtime).iter(|| journal.latest(on_disk));
    });
    group.finish();
}

/// A folder that goes away.
fn folder() -> TempDir {
    // Where temporary files are by default there may be no disk, and a sync would cost nothing.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made")
}

fn open(folder: &Path, limits: Limits, runtime: &Runtime) -> EmbeddedJournal {
    let _entered = runtime.enter();
    let catalogue = Arc::new(Catalogue::shipped());
    EmbeddedJournal::open(folder, catalogue, Arc::new(Nobody), limits).expect("the journal opens")
}

/// Nobody reads what is appended.
struct Nobody;

impl LiveFeed for Nobody {
    fn publish(&self, _: &Arc<Recorded>) {}
}

/// An event of five entries of the vehicle `number`.
fn event(number: usize) -> Event {
    let vin: Vin = format!("WBY{number:014}").parse().expect("it is a VIN");
    let at = "2026-07-27T12:37:58.123Z";
    let entry = |(name, value): (&str, &str)| format!(r#""{name}":{{"timestamp":"{at}",{value}}}"#);
    let entries = [
        ("vehicle.vehicle.travelledDistance", r#""value":48211,"unit":"km""#),
        ("vehicle.drivetrain.batteryManagement.header", r#""value":87,"unit":"percent""#),
        (
            "vehicle.cabin.infotainment.navigation.currentLocation.latitude",
            r#""value":48.177024,"unit":"degrees""#,
        ),
        (
            "vehicle.cabin.infotainment.navigation.currentLocation.longitude",
            r#""value":11.559107,"unit":"degrees""#,
        ),
        ("vehicle.drivetrain.electricEngine.charging.status", r#""value":"CHARGINGACTIVE""#),
    ];
    let data = entries.map(entry).join(",");
    let json = format!(r#"{{"vin":"{}","timestamp":"{at}","data":{{{data}}}}}"#, vin.as_str());
    parse(json.as_bytes(), &Catalogue::shipped()).expect("it is an event").event
}
