//! A vehicle over time: which phase follows which, and the events that it sends.

use std::sync::Arc;

use cardata_domain::vehicle::{Build, Drivetrain};
use cardata_domain::{Catalogue, Entry, Event, Vin};
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;

use crate::car::{Car, Chance, Energy};
use crate::charge::Session;
use crate::diary::{Charge, Diary};
use crate::model::{demo_build, model};
use crate::report::{Reporter, Scope};
use crate::stay::{Leaving, Stay};
use crate::trip::Trip;

/// The most that one call of [`Vehicle::advance`] computes, in steps of a second.
const STEPS_MAX: i64 = 3600;

/// A simulated vehicle. It drives about ten minutes, parks about three, charges about twenty if it has a plug, and
/// begins again; it drives from its first second on.
///
/// The seed and the start decide everything: two vehicles with both the same send the same, whatever the steps in
/// which they are advanced.
pub struct Vehicle {
    vin: Vin,
    drivetrain: Drivetrain,
    seed: u64,
    clock: Timestamp,
    chance: Chance,
    car: Car,
    phase: Phase,
    reporter: Reporter,
    diary: Diary,
}

enum Phase {
    Driving(Trip),
    Parked(Stay),
    Charging(Session),
    Leaving(Leaving),
}

impl Vehicle {
    /// A vehicle that drives off at `start`, which is taken to the millisecond.
    ///
    /// `catalogue` decides which signals it has: those that are listed for `drivetrain`.
    ///
    /// # Panics
    /// Never: a timestamp to the millisecond is a timestamp.
    pub fn new(
        vin: Vin,
        drivetrain: Drivetrain,
        seed: u64,
        start: Timestamp,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        let mut chance = Chance::seed_from_u64(seed);
        let clock = Timestamp::from_millisecond(start.as_millisecond())
            .expect("a timestamp to the millisecond is a timestamp");
        let mut car = Car::new(model(drivetrain), clock, &mut chance);
        let phase = Phase::Driving(Trip::new(&mut car, &mut chance));
        let reporter = Reporter::new(catalogue, drivetrain);
        let diary = Diary::default();
        Self { vin, drivetrain, seed, clock, chance, car, phase, reporter, diary }
    }

    /// The same vehicle with `km` on its odometer, unless it has more: for one that continues an earlier run, so that
    /// readers never see the odometer fall.
    #[must_use]
    pub fn with_odometer_km(mut self, km: f64) -> Self {
        self.car.odometer_m = self.car.odometer_m.max(km * 1000.0);
        self.car.history.trip_end_odometer_m = self.car.odometer_m;
        self
    }

    /// Advances simulated time to `now` and returns the events that the vehicle sent in between, oldest first.
    ///
    /// Events carry the simulated time of their second, their entries that time in whole seconds. A `now` that is
    /// less than a second after the last one, or before it, gives nothing.
    ///
    /// Work is bounded: one call computes at most one hour. Of a longer gap it computes the last hour; for the time
    /// before that the vehicle stood still, in the middle of what it did, silent and using nothing, as if the world had
    /// paused. Call at least once each simulated hour to have no such pause.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Event> {
        let seconds = now.duration_since(self.clock).as_secs();
        let steps = seconds.clamp(0, STEPS_MAX);
        if seconds > steps && steps > 0 {
            self.clock += SignedDuration::from_secs(seconds - steps);
        }
        (0..steps).filter_map(|_| self.step()).collect()
    }

    /// A report of all the vehicle's signals, as of its present time, so that each has a value.
    ///
    /// # Panics
    /// Never: every catalogue lists signals for every drivetrain.
    pub fn hello(&mut self) -> Event {
        let entries = self.reporter.everything(&self.car, self.whole_second());
        self.event(entries).expect("the catalogue lists signals for every drivetrain")
    }

    /// What the vehicle was built as: [`demo_build`] by its seed.
    pub fn build(&self) -> Build {
        demo_build(self.drivetrain, self.seed)
    }

    /// Where the vehicle's energy came from and went.
    pub fn energy(&self) -> Energy {
        self.car.energy()
    }

    /// The charges that it ended since the last call, oldest first, as they were and not as it told them; at most the last
    /// thousand.
    pub fn take_charges(&mut self) -> Vec<Charge> {
        self.diary.take()
    }

    fn step(&mut self) -> Option<Event> {
        self.clock += SignedDuration::from_secs(1);
        let (car, chance) = (&mut self.car, &mut self.chance);
        let (scope, over) = match &mut self.phase {
            Phase::Driving(trip) => trip.step(car, chance),
            Phase::Parked(stay) => stay.step(car),
            Phase::Charging(session) => session.step(car, chance),
            Phase::Leaving(leaving) => leaving.step(car),
        };
        self.diary.note(car, self.clock);
        if over {
            self.phase = match self.phase {
                Phase::Driving(_) => {
                    car.end_trip(self.clock);
                    Phase::Parked(Stay::new(chance))
                }
                Phase::Parked(_) if car.electric.is_some() => {
                    Phase::Charging(Session::new(car, chance))
                }
                Phase::Parked(_) | Phase::Charging(_) => Phase::Leaving(Leaving::new(chance)),
                Phase::Leaving(_) => Phase::Driving(Trip::new(car, chance)),
            };
        }
        if scope == Scope::Nothing {
            return None;
        }
        let entries = self.reporter.changed(&self.car, self.whole_second(), scope);
        self.event(entries)
    }

    /// `None` when there is nothing to send.
    fn event(&self, entries: Vec<Entry>) -> Option<Event> {
        Event::new(self.vin, self.clock, entries).ok()
    }

    fn whole_second(&self) -> Timestamp {
        Timestamp::from_second(self.clock.as_second())
            .expect("a timestamp to the second is a timestamp")
    }
}
