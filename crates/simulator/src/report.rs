//! What a vehicle sends of its state, and when: only what has changed since it was sent last.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use cardata_domain::catalogue::Descriptor;
use cardata_domain::vehicle::Drivetrain;
use cardata_domain::{Catalogue, DescriptorId, Entry, Value};
use jiff::Timestamp;
use rand::RngExt;
use serde::Deserialize;

use crate::car::{Car, Chance};
use crate::signals::{SIGNALS, Signal, stream_unit};

/// When a vehicle reports of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reports {
    /// Every few seconds while it drives or charges, and whenever something happens.
    Regular,
    /// After two minutes or three kilometres, and whenever something happens.
    Distance,
    /// At the end of a trip; of a charge its begin and its end.
    TripEnd,
    /// Every ten seconds, but held back and sent all within a second, every one to three minutes.
    Bursts,
}

/// What a second of a vehicle's life brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    /// It stands as it stood.
    Nothing,
    /// It went on with what it does.
    Time,
    /// Something began or ended.
    Change,
}

/// What a vehicle is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Driving,
    Charging,
    Standing,
}

/// How much of its state a vehicle looks at for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// There is no report.
    Nothing,
    /// What changes while it moves.
    Moving,
    /// That, and what changes within minutes.
    Slow,
    /// Everything, since something happened.
    All,
}

/// Decides when there is a report.
#[derive(Debug)]
pub(crate) struct Cadence {
    reports: Reports,
    is_silent_parked: bool,
    is_terse_charging: bool,
    /// Seconds until the next report, and until the next one of what changes slowly.
    due_in: u32,
    slow_in: u32,
    reported_at_m: f64,
}

/// How often what changes slowly is reported on the way.
const SLOW_SECONDS: u32 = 30;
const DISTANCE_SECONDS: u32 = 120;
const DISTANCE_M: f64 = 3000.0;
const BURST_READING_SECONDS: u32 = 10;
/// How often a vehicle that tells little while it charges tells something.
const TERSE_SECONDS: u32 = 1800;

impl Cadence {
    pub(crate) fn new(reports: Reports, is_silent_parked: bool, is_terse_charging: bool) -> Self {
        Self {
            reports,
            is_silent_parked,
            is_terse_charging,
            due_in: 0,
            slow_in: 0,
            reported_at_m: 0.0,
        }
    }

    /// How much is reported after a second that brought `happening`; `is_over` when it ended the `activity`.
    pub(crate) fn scope(
        &mut self,
        activity: Activity,
        happening: Happening,
        is_over: bool,
        car: &Car,
        chance: &mut Chance,
    ) -> Scope {
        match happening {
            Happening::Nothing => return Scope::Nothing,
            Happening::Change if self.tells_changes(activity, is_over) => {
                self.begin(activity, car, chance);
                self.slow_in = SLOW_SECONDS;
                return Scope::All;
            }
            Happening::Change | Happening::Time => {}
        }
        self.due_in = self.due_in.saturating_sub(1);
        self.slow_in = self.slow_in.saturating_sub(1);
        let has_gone_far = self.reports == Reports::Distance
            && activity == Activity::Driving
            && car.odometer_m - self.reported_at_m >= DISTANCE_M;
        let is_due = self.due_in == 0 || has_gone_far;
        let is_silent = activity == Activity::Standing || self.reports == Reports::TripEnd;
        if !is_due || is_silent {
            return Scope::Nothing;
        }
        self.begin(activity, car, chance);
        if activity == Activity::Driving && self.slow_in > 0 {
            return Scope::Moving;
        }
        self.slow_in = SLOW_SECONDS;
        Scope::Slow
    }

    fn tells_changes(&self, activity: Activity, is_over: bool) -> bool {
        match activity {
            Activity::Standing => !self.is_silent_parked && self.reports != Reports::TripEnd,
            Activity::Driving => self.reports != Reports::TripEnd || is_over,
            Activity::Charging => true,
        }
    }

    /// Begins to wait for the next report.
    fn begin(&mut self, activity: Activity, car: &Car, chance: &mut Chance) {
        self.reported_at_m = car.odometer_m;
        self.due_in = match (self.reports, activity) {
            (_, Activity::Charging) if self.is_terse_charging => TERSE_SECONDS,
            (Reports::Bursts, Activity::Driving) => BURST_READING_SECONDS,
            (Reports::Regular | Reports::TripEnd, Activity::Driving) => chance.random_range(1..=5),
            (Reports::Distance, _) => DISTANCE_SECONDS,
            _ => chance.random_range(15..=30),
        };
    }
}

/// The signals that vehicles of each drivetrain send, shared by all of them.
#[derive(Clone)]
pub struct Equipment {
    catalogue: Arc<Catalogue>,
    by_drivetrain: [Arc<[Sent]>; 4],
}

struct Sent {
    signal: &'static Signal,
    id: DescriptorId,
    unit: Option<Box<str>>,
}

const DRIVETRAINS: [Drivetrain; 4] =
    [Drivetrain::Bev, Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice];

impl Equipment {
    /// The signals that `catalogue` lists.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let by_drivetrain = DRIVETRAINS.map(|drivetrain| {
            let sent = SIGNALS.iter().filter_map(|signal| {
                let id = catalogue.find(signal.name)?;
                let descriptor = catalogue.descriptor(id);
                let unit = stream_unit(&descriptor).map(Into::into);
                is_sent_by(&descriptor, drivetrain).then_some(Sent { signal, id, unit })
            });
            sent.collect()
        });
        Self { catalogue, by_drivetrain }
    }

    fn of(&self, drivetrain: Drivetrain) -> Arc<[Sent]> {
        let index = DRIVETRAINS.iter().position(|listed| *listed == drivetrain);
        self.by_drivetrain[index.unwrap_or_default()].clone()
    }
}

/// Remembers what was sent.
pub(crate) struct Reporter {
    catalogue: Arc<Catalogue>,
    signals: Arc<[Sent]>,
    /// A hash of the last value of each signal, which takes a tenth of the memory that the values take; 0 before the
    /// first.
    sent: Box<[u64]>,
}

impl Reporter {
    /// For the signals of `drivetrain`.
    pub(crate) fn new(equipment: &Equipment, drivetrain: Drivetrain) -> Self {
        let signals = equipment.of(drivetrain);
        let sent = signals.iter().map(|_| 0).collect();
        Self { catalogue: equipment.catalogue.clone(), signals, sent }
    }

    /// What changed within `scope`, as of `at`.
    pub(crate) fn changed(&mut self, car: &Car, at: Timestamp, scope: Scope) -> Vec<Entry> {
        self.entries(car, at, scope, false)
    }

    /// Everything, as of `at`.
    pub(crate) fn everything(&mut self, car: &Car, at: Timestamp) -> Vec<Entry> {
        self.entries(car, at, Scope::All, true)
    }

    /// The signal called `name`, as of `at`.
    pub(crate) fn one(&mut self, car: &Car, name: &str, at: Timestamp) -> Vec<Entry> {
        let signals = self.signals.iter().filter(|signal| signal.signal.name == name);
        let entry = signals.filter_map(|signal| {
            let value = (signal.signal.read)(car)?;
            Some(Entry::new(&self.catalogue, signal.id, at, value, signal.unit.as_deref()))
        });
        entry.collect()
    }

    fn entries(&mut self, car: &Car, at: Timestamp, scope: Scope, all: bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (signal, sent) in self.signals.iter().zip(&mut self.sent) {
            if signal.signal.scope > scope {
                continue;
            }
            let Some(value) = (signal.signal.read)(car) else { continue };
            let hash = hash(&value);
            if all || *sent != hash {
                *sent = hash;
                let unit = signal.unit.as_deref();
                entries.push(Entry::new(&self.catalogue, signal.id, at, value, unit));
            }
        }
        entries
    }
}

/// Never 0.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Whether the catalogue gives `descriptor` to `drivetrain`; one without a drivetrain is for all.
///
/// Many rows were written before mild hybrids had a name of their own, so these also send what a combustion engine
/// alone sends.
fn is_sent_by(descriptor: &Descriptor, drivetrain: Drivetrain) -> bool {
    let named = |name: &str| descriptor.drivetrains.iter().any(|listed| **listed == *name);
    descriptor.drivetrains.is_empty()
        || named(drivetrain.as_str())
        || (drivetrain == Drivetrain::Mhev && named(Drivetrain::Ice.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_signal_is_listed_and_named_once_and_all_but_one_can_be_streamed() {
        // What is due for service is for REST alone.
        let services = "vehicle.status.conditionBasedServices";
        let catalogue = Catalogue::shipped();
        let mut names = HashSet::new();
        for signal in SIGNALS {
            let id = catalogue.find(signal.name).unwrap_or_else(|| panic!("{}", signal.name));
            let is_streamable = catalogue.descriptor(id).streamable;
            assert_eq!(is_streamable, signal.name != services, "{}", signal.name);
            assert!(names.insert(signal.name), "{} twice", signal.name);
        }
    }
}
