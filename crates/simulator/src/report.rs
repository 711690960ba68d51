//! What a vehicle sends of its state, and when: only what has changed since it was sent last.

use std::sync::Arc;

use cardata_domain::catalogue::Descriptor;
use cardata_domain::vehicle::Drivetrain;
use cardata_domain::{Catalogue, DescriptorId, Entry, Value};
use jiff::Timestamp;

use crate::car::Car;
use crate::signals::{SIGNALS, Signal, stream_unit};

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

/// Remembers what was sent.
pub(crate) struct Reporter {
    catalogue: Arc<Catalogue>,
    signals: Vec<Tracked>,
}

struct Tracked {
    signal: &'static Signal,
    id: DescriptorId,
    unit: Option<Box<str>>,
    sent: Option<Value>,
}

impl Reporter {
    /// For the signals that `catalogue` lists for `drivetrain`.
    pub(crate) fn new(catalogue: Arc<Catalogue>, drivetrain: Drivetrain) -> Self {
        let signals = SIGNALS
            .iter()
            .filter_map(|signal| {
                let id = catalogue.find(signal.name)?;
                let descriptor = catalogue.descriptor(id);
                let unit = stream_unit(&descriptor).map(Into::into);
                is_sent_by(&descriptor, drivetrain).then_some(Tracked {
                    signal,
                    id,
                    unit,
                    sent: None,
                })
            })
            .collect();
        Self { catalogue, signals }
    }

    /// What changed within `scope`, as of `at`.
    pub(crate) fn changed(&mut self, car: &Car, at: Timestamp, scope: Scope) -> Vec<Entry> {
        self.entries(car, at, |tracked, value| tracked.sent.as_ref() != Some(value), scope)
    }

    /// Everything, as of `at`.
    pub(crate) fn everything(&mut self, car: &Car, at: Timestamp) -> Vec<Entry> {
        self.entries(car, at, |_, _| true, Scope::All)
    }

    fn entries(
        &mut self,
        car: &Car,
        at: Timestamp,
        wanted: fn(&Tracked, &Value) -> bool,
        scope: Scope,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        for tracked in self.signals.iter_mut().filter(|tracked| tracked.signal.scope <= scope) {
            let Some(value) = (tracked.signal.read)(car) else { continue };
            if wanted(tracked, &value) {
                tracked.sent = Some(value.clone());
                let unit = tracked.unit.as_deref();
                entries.push(Entry::new(&self.catalogue, tracked.id, at, value, unit));
            }
        }
        entries
    }
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
