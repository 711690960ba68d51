//! A vehicle over time: which phase follows which, and the events that it sends.

use cardata_domain::vehicle::Drivetrain;
use cardata_domain::{Entry, Event, Vin};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng};

use crate::car::{Car, Chance, Energy};
use crate::charge::Session;
use crate::diary::{Charge, Diary};
use crate::model::Kind;
use crate::outbox::{Outbox, Ways};
use crate::owner::Owner;
use crate::report::{Activity, Cadence, Equipment, Happening, Reporter, Reports, Scope};
use crate::scenario;
use crate::signals::{LATITUDE, LONGITUDE};
use crate::stay::{Leaving, Stay};
use crate::trip::Trip;
use crate::weather::Weather;

/// The most that one call of [`Vehicle::advance`] computes, in seconds of the vehicle's life.
const SECONDS_MAX: i64 = 3600;

/// How often latitude and longitude are measured at the same time where they come apart.
const MEASURED_TOGETHER: f64 = 0.6;
/// How much later the longitude is measured otherwise, in seconds.
const LONGITUDE_LATER: std::ops::RangeInclusive<u32> = 1..=40;

/// A simulated vehicle.
///
/// One of [`Vehicle::new`] drives about ten minutes, parks about three, charges about twenty if it has a plug, and begins
/// again; it drives from its first second on. One of [`Vehicle::owned`] lives as its owner does.
///
/// The seed and the start decide everything: two vehicles with both the same send the same, whatever the steps in
/// which they are advanced.
pub struct Vehicle {
    /// How far time has come, and how far the state; in between nothing happened.
    now: Timestamp,
    clock: Timestamp,
    chance: Chance,
    car: Car,
    weather: Weather,
    phase: Phase,
    owner: Option<Box<Owner>>,
    cadence: Cadence,
    reporter: Reporter,
    outbox: Outbox,
    /// Seconds until the longitude is measured.
    longitude_in: Option<u32>,
    diary: Diary,
}

/// What a vehicle is doing.
pub(crate) enum Phase {
    Driving(Trip),
    Parked(Stay),
    Charging(Session),
    Leaving(Leaving),
}

impl Phase {
    /// How many seconds it takes until something happens; at least one.
    fn quiet(&self) -> u32 {
        match self {
            Self::Driving(_) | Self::Leaving(_) => 1,
            Self::Parked(stay) => stay.quiet(),
            Self::Charging(session) => session.quiet(),
        }
    }

    fn activity(&self) -> Activity {
        match self {
            Self::Driving(_) => Activity::Driving,
            Self::Charging(_) => Activity::Charging,
            Self::Parked(_) | Self::Leaving(_) => Activity::Standing,
        }
    }
}

impl Vehicle {
    /// A vehicle that drives off at `start`, which is taken to the millisecond.
    ///
    /// `equipment` decides which signals it has: those that are listed for `drivetrain`.
    pub fn new(
        vin: Vin,
        drivetrain: Drivetrain,
        seed: u64,
        start: Timestamp,
        equipment: &Equipment,
    ) -> Self {
        let mut chance = Chance::seed_from_u64(seed);
        let clock = whole_millisecond(start);
        let mut car = Car::new(Kind::usual(drivetrain).model(), clock, &mut chance);
        let phase = Phase::Driving(Trip::new(&mut car, &mut chance));
        Self {
            now: clock,
            clock,
            chance,
            car,
            weather: Weather::Still,
            phase,
            owner: None,
            cadence: Cadence::new(Reports::Regular, false, false),
            reporter: Reporter::new(equipment, drivetrain),
            outbox: Outbox::new(vin, Ways::default()),
            longitude_in: None,
            diary: Diary::default(),
        }
    }

    /// A vehicle that stands at its owner's home at `start`, which is taken to the millisecond.
    pub fn owned(
        vin: Vin,
        car: &scenario::Car,
        zone: TimeZone,
        seed: u64,
        start: Timestamp,
        equipment: &Equipment,
    ) -> Self {
        let mut new = Self::new(vin, car.drivetrain(), seed, start, equipment);
        let chance = &mut new.chance;
        new.weather = match car.celsius {
            Some(mean) => Weather::Seasons { mean_celsius: mean.get(), yearly_celsius: 0.0 },
            None => Weather::TEMPERATE,
        };
        new.car = Car::new(car.model.model(), new.clock, chance);
        let mut owner = Owner::new(car, zone);
        new.car.park(owner.timer(), car.tyre_leak_percent_per_week.get() / 100.0);
        new.phase = owner.first(new.clock, chance);
        new.owner = Some(Box::new(owner));
        let reports = car.reports.unwrap_or(car.model.reports());
        new.cadence = Cadence::new(reports, car.silent_parked, car.few_while_charging);
        new.outbox.ways = Ways {
            late: car.late.get(),
            repeated: car.repeated.get(),
            apart: car.position_apart,
            bursts: reports == Reports::Bursts,
        };
        new.feel_the_weather();
        new
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
    /// Events carry the simulated time at which they are sent, their entries that of their second, in whole seconds. A
    /// `now` that is less than a second after the last one, or before it, gives nothing.
    ///
    /// Work is bounded: one call computes at most one hour. Of a longer gap it computes the last hour; for the time
    /// before that the vehicle stood still, in the middle of what it did, silent and using nothing, as if the world had
    /// paused. Call at least once each simulated hour to have no such pause.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Event> {
        let seconds = now.duration_since(self.now).as_secs();
        if seconds <= 0 {
            return Vec::new();
        }
        let pause = SignedDuration::from_secs((seconds - SECONDS_MAX).max(0));
        // The phases of a second are those of the start, whatever the times of the calls.
        self.now += SignedDuration::from_secs(seconds);
        self.clock += pause;
        loop {
            let quiet = self.phase.quiet();
            let Ok(next) = self.clock.checked_add(SignedDuration::from_secs(quiet.into())) else {
                break;
            };
            if next > self.now {
                break;
            }
            self.step(quiet, next);
        }
        self.outbox.take(self.now)
    }

    /// A report of all the vehicle's signals, as of its present time, so that each has a value.
    ///
    /// # Panics
    /// Never: every catalogue lists signals for every drivetrain.
    pub fn hello(&mut self) -> Event {
        let entries = self.reporter.everything(&self.car, whole_second(self.now));
        self.outbox
            .event(entries, self.now)
            .expect("the catalogue lists signals for every drivetrain")
    }

    /// Where the vehicle's energy came from and went.
    pub fn energy(&self) -> Energy {
        self.car.energy()
    }

    /// What the odometer shows.
    pub fn odometer_km(&self) -> f64 {
        self.car.odometer_m / 1000.0
    }

    /// From 0 to 100, where there is a battery to charge.
    pub fn charge_percent(&self) -> Option<f64> {
        self.car.electric.as_ref().map(|electric| electric.battery.charge_percent())
    }

    /// The charges that it ended since the last call, oldest first, as they were and not as it told them; at most the last
    /// thousand.
    pub fn take_charges(&mut self) -> Vec<Charge> {
        self.diary.take()
    }

    /// So many seconds until `next`, of which nothing happens in all but the last.
    fn step(&mut self, seconds: u32, next: Timestamp) {
        self.clock = next;
        let (car, chance) = (&mut self.car, &mut self.chance);
        let (happening, is_over) = match &mut self.phase {
            Phase::Driving(trip) => trip.step(car, chance),
            Phase::Parked(stay) => {
                car.pass(f64::from(seconds));
                stay.step(car, seconds)
            }
            Phase::Charging(session) => {
                car.pass(f64::from(seconds));
                session.step(car, seconds)
            }
            Phase::Leaving(leaving) => leaving.step(car),
        };
        self.diary.note(car, next);
        let activity = self.phase.activity();
        // What ends is no second like the others, but a stay's end is told by what follows.
        let happening =
            if is_over && activity == Activity::Charging { Happening::Change } else { happening };
        if is_over {
            self.begin_next();
        }
        let scope = self.cadence.scope(activity, happening, is_over, &self.car, &mut self.chance);
        if scope > Scope::Nothing {
            let entries = self.reporter.changed(&self.car, whole_second(next), scope);
            self.send(entries, activity);
        }
        self.measure_longitude(is_over);
    }

    fn begin_next(&mut self) {
        let (car, chance) = (&mut self.car, &mut self.chance);
        if let Phase::Driving(_) = self.phase {
            car.end_trip(self.clock);
        }
        self.phase = match (&mut self.owner, &self.phase) {
            (Some(owner), phase) => owner.after(phase, car, self.clock, chance),
            (None, Phase::Driving(_)) => Phase::Parked(Stay::short(chance)),
            (None, Phase::Parked(_)) if car.electric.is_some() => {
                Phase::Charging(Session::short(car, chance))
            }
            (None, Phase::Parked(_) | Phase::Charging(_)) => Phase::Leaving(Leaving::new(chance)),
            (None, Phase::Leaving(_)) => Phase::Driving(Trip::new(car, chance)),
        };
        self.feel_the_weather();
    }

    fn feel_the_weather(&mut self) {
        if let Some(celsius) = self.weather.celsius(self.clock) {
            self.car.ambient_celsius = celsius;
        }
    }

    /// Sends `entries`, with latitude and longitude apart where that is this vehicle's way.
    fn send(&mut self, mut entries: Vec<Entry>, activity: Activity) {
        let is_apart = self.outbox.ways.apart
            && [LATITUDE, LONGITUDE].iter().all(|name| entries.iter().any(|e| e.name() == *name));
        if is_apart {
            let longitude: Vec<_> = entries.extract_if(.., |e| e.name() == LONGITUDE).collect();
            if activity == Activity::Driving && !self.chance.random_bool(MEASURED_TOGETHER) {
                self.longitude_in = Some(self.chance.random_range(LONGITUDE_LATER));
            } else {
                self.outbox.put(longitude, self.clock, &mut self.chance);
            }
        }
        self.outbox.put(entries, self.clock, &mut self.chance);
    }

    fn measure_longitude(&mut self, is_over: bool) {
        let Some(seconds) = &mut self.longitude_in else { return };
        *seconds = seconds.saturating_sub(1);
        if *seconds == 0 || is_over {
            self.longitude_in = None;
            let entry = self.reporter.one(&self.car, LONGITUDE, whole_second(self.clock));
            self.outbox.put(entry, self.clock, &mut self.chance);
        }
    }
}

/// Timestamps to the millisecond are timestamps, so that the fallback is never taken.
fn whole_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Timestamps to the second are timestamps, so that the fallback is never taken.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
