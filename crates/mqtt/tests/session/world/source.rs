//! What a session sees of the world, and what a message says in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use bytes::Bytes;
use cardata_domain::event::Payloads;
use cardata_domain::projection::{Packing, View};
use cardata_domain::{Catalogue, DescriptorId, Entry, Event, Gcid, Recorded, Sequence, Value, Vin};
use cardata_mqtt::packet::{Gap, Publish};
use cardata_mqtt::{Qos, Source};
use jiff::Timestamp;

use super::journal::FakeJournal;

/// What the test vehicles measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    Soc,
    Range,
    Odometer,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Soc, Self::Range, Self::Odometer];
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
static DESCRIPTORS: LazyLock<BTreeMap<DescriptorId, Signal>> = LazyLock::new(|| {
    let names = ["vehicle.soc", "vehicle.range", "vehicle.odometer"];
    names.map(|name| CATALOGUE.intern(name).unwrap()).into_iter().zip(Signal::ALL).collect()
});

pub(crate) fn gcid() -> Gcid {
    "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap()
}

/// Of a second customer, who has the test's vehicles from 5 on.
pub(crate) fn other_gcid() -> Gcid {
    "bb222292-d570-4d3d-8835-656ee00edcd7".parse().unwrap()
}

/// Whose `vin` is.
pub(crate) fn owner(vin: Vin) -> Gcid {
    if vin.as_str().as_bytes()[16] < b'5' { gcid() } else { other_gcid() }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The event `number`, which is also the value of each of its `signals`, measured at `second`.
pub(crate) fn event(vin: Vin, number: u64, signals: &[Signal], second: i64) -> Event {
    let entry = |signal: &Signal| {
        let (descriptor, _) = DESCRIPTORS.iter().find(|(_, named)| *named == signal).unwrap();
        let value = Value::integer(i64::try_from(number).unwrap());
        Entry::new(&CATALOGUE, *descriptor, at(second), value, None)
    };
    Event::new(vin, at(second), signals.iter().map(entry).collect()).unwrap()
}

/// The signals of an event and the number that it carries.
pub(crate) fn entries(event: &Event) -> Vec<(Signal, u64)> {
    event.entries().iter().map(named).collect()
}

fn named(entry: &Entry) -> (Signal, u64) {
    (DESCRIPTORS[&entry.descriptor()], entry.value().as_plain().parse().unwrap())
}

fn encode(_: &Event, entries: &[&Entry]) -> Bytes {
    let member = |entry: &&Entry| {
        let (signal, number) = named(entry);
        format!("{}={number}", signal as usize)
    };
    entries.iter().map(member).collect::<Vec<_>>().join(" ").into()
}

/// A PUBLISH as its reader understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) vin: Vin,
    /// Each signal with the number of the event that it came with.
    pub(crate) entries: Vec<(Signal, u64)>,
    pub(crate) qos: Qos,
    pub(crate) packet_id: Option<NonZeroU16>,
    pub(crate) duplicate: bool,
    pub(crate) snapshot: bool,
    pub(crate) retain: bool,
    pub(crate) gap: Option<Gap>,
}

impl Message {
    pub(crate) fn read(publish: &Publish) -> Self {
        let text = std::str::from_utf8(&publish.payload).unwrap();
        let entry = |member: &str| {
            let (signal, number) = member.split_once('=').unwrap();
            (Signal::ALL[signal.parse::<usize>().unwrap()], number.parse().unwrap())
        };
        assert_eq!(publish.customer, owner(publish.vin));
        Self {
            vin: publish.vin,
            entries: text.split(' ').map(entry).collect(),
            qos: publish.qos,
            packet_id: publish.packet_id,
            duplicate: publish.duplicate,
            snapshot: publish.snapshot,
            retain: publish.retain,
            gap: publish.gap,
        }
    }

    /// The event that it came from; the newest if it is merged.
    pub(crate) fn number(&self) -> u64 {
        self.entries.iter().map(|(_, number)| *number).max().unwrap()
    }
}

/// `3`, or `3 dup` where it may have been sent before; snapshots and gaps are named.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())?;
        let named = [
            (self.duplicate, "dup"),
            (self.snapshot, "snapshot"),
            (self.retain, "retained"),
            (self.gap.is_some(), "after a gap"),
        ];
        named.iter().filter(|(is_so, _)| *is_so).try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

/// Where live events wait for the connection.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) capacity: usize,
    pub(crate) attached: BTreeSet<Vin>,
    pub(crate) events: VecDeque<Arc<Recorded>>,
    /// An event found no room.
    pub(crate) missed: bool,
}

/// What the server has besides its sessions.
pub(crate) struct Surroundings {
    pub(crate) journal: FakeJournal,
    pub(crate) mailbox: Mailbox,
    pub(crate) entitled: BTreeSet<Signal>,
    pub(crate) packing: Packing,
    /// Events that were merged.
    pub(crate) merged: usize,
    /// Messages that were left out because they were too large.
    pub(crate) oversized: usize,
    /// Times of which events may be missing.
    pub(crate) gaps: usize,
}

impl Surroundings {
    pub(crate) fn append(&mut self, event: Event) -> Arc<Recorded> {
        let recorded = self.journal.append(event);
        if self.mailbox.attached.contains(&recorded.event.vin()) {
            if self.mailbox.events.len() < self.mailbox.capacity {
                self.mailbox.events.push_back(recorded.clone());
            } else {
                self.mailbox.missed = true;
            }
        }
        recorded
    }
}

/// A session's view of the [`Surroundings`].
pub(crate) struct FakeSource(pub(crate) Arc<Mutex<Surroundings>>);

impl FakeSource {
    fn lock(&self) -> MutexGuard<'_, Surroundings> {
        self.0.lock().unwrap()
    }

    fn view(&self) -> View {
        let surroundings = self.lock();
        let visible = DESCRIPTORS.iter().filter(|(_, named)| surroundings.entitled.contains(named));
        let entitled = visible.map(|(descriptor, _)| *descriptor).collect();
        View { gcid: gcid(), entitled, privacy: None, packing: surroundings.packing }
    }
}

impl Source for FakeSource {
    fn attach(&mut self, vin: Vin) -> Sequence {
        let mut surroundings = self.lock();
        assert!(surroundings.mailbox.attached.insert(vin), "{vin} is attached twice");
        surroundings.journal.head(vin)
    }

    fn detach(&mut self, vin: Vin) {
        assert!(self.lock().mailbox.attached.remove(&vin), "{vin} is detached twice");
    }

    fn payloads(&self, customer: Gcid, recorded: &Recorded) -> Payloads {
        assert_eq!(customer, owner(recorded.event.vin()));
        recorded.payloads(&self.view(), encode)
    }

    fn payloads_of_merged(&self, customer: Gcid, event: &Event) -> Payloads {
        assert_eq!(customer, owner(event.vin()));
        self.view().payloads(event, encode)
    }

    fn note_oversized(&mut self) {
        self.lock().oversized += 1;
    }

    fn note_merged(&mut self) {
        self.lock().merged += 1;
    }

    fn note_gap(&mut self) {
        self.lock().gaps += 1;
    }
}

impl Drop for FakeSource {
    fn drop(&mut self) {
        // A test that failed with the lock in its hand has said all there is to say.
        if let Ok(mut surroundings) = self.0.lock() {
            let capacity = surroundings.mailbox.capacity;
            surroundings.mailbox = Mailbox { capacity, ..Mailbox::default() };
        }
    }
}
