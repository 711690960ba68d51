//! What is around a session: a journal with retention, live events, and what the client is entitled to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cardata_domain::event::Payloads;
use cardata_domain::projection::{Packing, View};
use cardata_domain::{Catalogue, DescriptorId, Entry, Event, Gcid, Recorded, Sequence, Value, Vin};
use cardata_mqtt::{Reader, Source, Vehicles};
use jiff::Timestamp;

/// Descriptors that vehicles report; a set of them is a mask.
pub(super) const SIGNALS: usize = 3;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
static DESCRIPTORS: LazyLock<BTreeMap<DescriptorId, usize>> = LazyLock::new(|| {
    let names = ["vehicle.soc", "vehicle.range", "vehicle.odometer"];
    let ids = names.map(|name| CATALOGUE.intern(name).expect("a descriptor"));
    ids.into_iter().zip(0..SIGNALS).collect()
});

pub(super) fn gcid() -> Gcid {
    "aa111192-d570-4d3d-8835-656ee00edcd7".parse().expect("a GCID")
}

/// Somebody else, who lets a fleet in, too.
pub(super) fn other_gcid() -> Gcid {
    "bb111192-d570-4d3d-8835-656ee00edcd7".parse().expect("a GCID")
}

/// The last of the four is another customer's.
pub(super) fn vin(index: usize) -> Vin {
    format!("WBY0000000000000{index}").parse().expect("a VIN")
}

pub(super) struct World {
    /// All events; a number is an index plus 1.
    events: Vec<Arc<Recorded>>,
    /// So many are past their retention.
    dropped: usize,
    pub(super) entitled: u8,
    pub(super) packing: Packing,
    /// A client that reads for many customers, or one customer's.
    pub(super) reader: Reader,
    /// The vehicles that a session may ask for.
    pub(super) own: BTreeSet<Vin>,
    /// The last event before a fleet may read a vehicle; nothing of before may leave.
    pub(super) seen_after: BTreeMap<Vin, Sequence>,
    attached: BTreeSet<Vin>,
    /// Live events on their way.
    pub(super) arrivals: VecDeque<Arc<Recorded>>,
}

impl World {
    pub(super) fn new(packing: Packing, reader: Reader) -> Self {
        Self {
            events: Vec::new(),
            dropped: 0,
            entitled: 0b111,
            packing,
            reader,
            own: BTreeSet::new(),
            seen_after: BTreeMap::new(),
            attached: BTreeSet::new(),
            arrivals: VecDeque::new(),
        }
    }

    /// Whose a vehicle is.
    pub(super) fn owner(&self, of: Vin) -> Gcid {
        match self.reader {
            Reader::Fleet if of == vin(2) => other_gcid(),
            _ => gcid(),
        }
    }

    /// The vehicles of `mask` may be read now. Which of those are not that could be before.
    pub(super) fn change_own(&mut self, mask: u8) -> Vec<Vin> {
        let own: BTreeSet<_> = (0..3).filter(|index| mask & (1 << index) > 0).map(vin).collect();
        let gained: Vec<_> = own.difference(&self.own).copied().collect();
        for vin in gained {
            self.seen_after.insert(vin, self.head(vin));
        }
        let before = std::mem::replace(&mut self.own, own);
        before.difference(&self.own).copied().collect()
    }

    pub(super) fn vehicles(&self) -> Vehicles {
        Vehicles::new(self.own.iter().map(|vin| (*vin, self.owner(*vin))).collect())
    }

    pub(super) fn append(&mut self, vin: Vin, signals: u8) {
        let number = self.events.len() + 1;
        let at = Timestamp::from_second(i64::try_from(number).expect("small")).expect("in range");
        let reported = DESCRIPTORS.iter().filter(|(_, signal)| signals & (1 << **signal) > 0);
        let entries = reported.map(|(descriptor, _)| {
            let value = Value::integer(i64::try_from(number).expect("small"));
            Entry::new(&CATALOGUE, *descriptor, at, value, None)
        });
        let event = Event::new(vin, at, entries.collect()).expect("at least one signal");
        let sequence = Sequence(number as u64);
        let recorded = Arc::new(Recorded::new(sequence, self.head(vin), event));
        self.events.push(recorded.clone());
        if self.attached.contains(&vin) {
            self.arrivals.push_back(recorded);
        }
    }

    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    pub(super) fn head(&self, vin: Vin) -> Sequence {
        let newest = self.events.iter().rfind(|recorded| recorded.event.vin() == vin);
        newest.map_or(Sequence(0), |recorded| recorded.sequence)
    }

    pub(super) fn read(&self, vin: Vin, after: Sequence, limit: usize) -> Vec<Arc<Recorded>> {
        let kept = self.events.iter().skip(self.dropped);
        let wanted = kept.filter(|one| one.event.vin() == vin && one.sequence > after);
        wanted.take(limit).cloned().collect()
    }

    /// The newest value of each signal of `vin`; retention drops none.
    pub(super) fn latest(&self, vin: Vin) -> Vec<Entry> {
        let of_vin = self.events.iter().filter(|recorded| recorded.event.vin() == vin);
        let mut latest = BTreeMap::new();
        for entry in of_vin.flat_map(|recorded| recorded.event.entries()) {
            latest.insert(entry.descriptor(), entry.clone());
        }
        latest.into_values().collect()
    }

    /// Retention drops all but the newest `kept` events.
    pub(super) fn retain(&mut self, kept: usize) {
        self.dropped = self.dropped.max(self.events.len().saturating_sub(kept));
    }
}

/// A session's view of the world.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, gcid: Gcid) -> View {
        let world = self.lock();
        let visible = DESCRIPTORS.iter().filter(|(_, signal)| world.entitled & (1 << **signal) > 0);
        View {
            gcid,
            entitled: visible.map(|(descriptor, _)| *descriptor).collect(),
            privacy: None,
            packing: world.packing,
        }
    }
}

/// One byte for each entry: its signal. What is checked of a payload is that none of them is hidden.
fn encode(_: &Event, entries: &[&Entry]) -> Bytes {
    let signals = entries.iter().map(|entry| DESCRIPTORS[&entry.descriptor()]);
    let values = entries.iter().flat_map(|entry| entry.value().as_plain().bytes());
    let signals = signals.map(|signal| b'a' + u8::try_from(signal).expect("small"));
    signals.chain(values).collect::<Vec<_>>().into()
}

/// The signals in a payload, as a mask.
pub(super) fn signals(payload: &[u8]) -> u8 {
    let letters = payload.iter().filter(|byte| byte.is_ascii_lowercase());
    letters.fold(0, |mask, letter| mask | 1 << (letter - b'a'))
}

/// The number of the event in a payload of one, which each of its values repeats.
pub(super) fn number(payload: &[u8]) -> Sequence {
    let (letters, digits): (Vec<u8>, Vec<u8>) =
        payload.iter().partition(|byte| byte.is_ascii_lowercase());
    let length = digits.len() / letters.len().max(1);
    let text = std::str::from_utf8(&digits[..length]).expect("digits");
    Sequence(text.parse().expect("a number"))
}

/// What a session is given; it counts nothing.
pub(super) struct FuzzSource(pub(super) Shared);

impl Source for FuzzSource {
    fn attach(&mut self, vin: Vin) -> Sequence {
        let mut world = self.0.lock();
        assert!(world.own.contains(&vin), "{} is another customer's", vin.as_str());
        assert!(world.attached.insert(vin), "{} is attached twice", vin.as_str());
        world.head(vin)
    }

    fn detach(&mut self, vin: Vin) {
        assert!(self.0.lock().attached.remove(&vin), "{} is detached twice", vin.as_str());
    }

    fn payloads(&self, customer: Gcid, recorded: &Recorded) -> Payloads {
        recorded.payloads(&self.0.view(customer), encode)
    }

    fn payloads_of_merged(&self, customer: Gcid, event: &Event) -> Payloads {
        self.0.view(customer).payloads(event, encode)
    }

    fn note_oversized(&mut self) {}

    fn note_merged(&mut self) {}

    fn note_gap(&mut self) {}
}

impl Drop for FuzzSource {
    fn drop(&mut self) {
        let mut world = self.0.lock();
        world.attached.clear();
        world.arrivals.clear();
    }
}
