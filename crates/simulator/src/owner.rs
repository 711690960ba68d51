//! An owner's life with a car: when the car leaves home, how long it stays where, and when it is charged.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use rand::RngExt;

use crate::car::{Car, Chance};
use crate::charge::Session;
use crate::model::Supply;
use crate::route::{Charger, Route};
use crate::scenario;
use crate::stay::{Leaving, Stay};
use crate::trip::Trip;
use crate::vehicle::Phase;

/// The car is left and reached within these.
const LEFT_SECONDS: u32 = 120;
const LEAVING_SECONDS: i64 = 15;
/// How much more than usual a leg may take before the car is charged for it.
const MARGIN: f64 = 1.4;
/// What must be left at its end.
const RESERVE_PERCENT: f64 = 12.0;
/// A coffee.
const REST_SECONDS: std::ops::RangeInclusive<u32> = 700..=1500;
/// Who does not drive for so long looks at the calendar again.
const IDLE_SECONDS: u32 = 7 * 86_400;

/// An owner.
#[derive(Debug)]
pub(crate) struct Owner {
    outings: Vec<scenario::Outing>,
    zone: TimeZone,
    home_charger: Option<Charger>,
    charge_below_percent: f64,
    charge_to_percent: f64,
    is_conditioned: bool,
    is_family: bool,
    /// The outing that the car is on, or waits for; by its place in the list.
    outing: Option<usize>,
    /// A charge that follows the present stay.
    charge: Option<Plan>,
}

#[derive(Debug)]
struct Plan {
    supply: Supply,
    target_percent: f64,
    length_seconds: u32,
    is_conditioned: bool,
}

impl Owner {
    /// The owner of `car`, whose clock is in `zone`.
    pub(crate) fn new(car: &scenario::Car, zone: TimeZone) -> Self {
        Self {
            outings: car.outings.clone(),
            zone,
            home_charger: car.home_charger,
            charge_below_percent: car.charge_below_percent.get(),
            charge_to_percent: car.charge_to_percent.get(),
            is_conditioned: car.climate_timer,
            is_family: car.family,
            outing: None,
            charge: None,
        }
    }

    /// When the climate timer is set to: the first time that somebody leaves.
    pub(crate) fn timer(&self) -> Option<(u8, u8)> {
        let times = self.outings.iter().map(|outing| (outing.leaves.hour, outing.leaves.minute));
        times.min().filter(|_| self.is_conditioned)
    }

    /// How it begins: parked at home.
    pub(crate) fn first(&mut self, now: Timestamp, chance: &mut Chance) -> Phase {
        let seconds = self.seconds_until_departure(now, chance);
        Phase::Parked(Stay::asleep(seconds, chance))
    }

    /// What follows on `phase`, which ended `now`.
    pub(crate) fn after(
        &mut self,
        phase: &Phase,
        car: &mut Car,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Phase {
        match phase {
            Phase::Driving(_) if car.stop == 0 => self.come_home(car, now, chance),
            Phase::Driving(_) => self.halt(car, chance),
            Phase::Parked(_) => match self.charge.take() {
                Some(plan) => plan.begin(car),
                None => self.leave(car, now, chance),
            },
            Phase::Charging(_) => self.leave(car, now, chance),
            Phase::Leaving(_) => {
                if car.stop == 0
                    && let Some(outing) = self.outing
                {
                    car.take_route(Route::named(self.outings[outing].route));
                }
                Phase::Driving(Trip::new(car, chance))
            }
        }
    }

    /// The owner comes to the car, if there is somewhere to go.
    fn leave(&mut self, car: &mut Car, now: Timestamp, chance: &mut Chance) -> Phase {
        car.climate.conditioning_seconds = 0;
        if self.outing.is_none() {
            return self.first(now, chance);
        }
        Phase::Leaving(Leaving::new(chance))
    }

    fn come_home(&mut self, car: &mut Car, now: Timestamp, chance: &mut Chance) -> Phase {
        car.inflate_tyres();
        let seconds = self.seconds_until_departure(now, chance);
        let next = self.outing.map_or(car.route, |outing| Route::named(self.outings[outing].route));
        let is_conditioned = self.is_conditioned && self.outing.is_some();
        let percent = car.electric.as_ref().map_or(100.0, |e| e.battery.charge_percent());
        let needed = needed_percent(car, next, 0);
        let supply = self.supply_at_home(car);
        if let Some(supply) = supply
            && percent < self.charge_below_percent.max(needed)
        {
            self.charge = Some(Plan {
                supply,
                target_percent: self.charge_to_percent.max(needed),
                length_seconds: seconds.saturating_sub(LEFT_SECONDS),
                is_conditioned,
            });
            return Phase::Parked(Stay::of(LEFT_SECONDS, self.is_family, chance));
        }
        let stay = Stay::of(seconds, self.is_family, chance);
        Phase::Parked(if is_conditioned { stay.conditioned() } else { stay })
    }

    /// The car stands at a stop away from home.
    fn halt(&mut self, car: &Car, chance: &mut Chance) -> Phase {
        let stop = car.route.stop(car.stop);
        let usual = self.outing.map_or(10, |outing| self.outings[outing].stay_minutes);
        let seconds = if stop.rest {
            chance.random_range(REST_SECONDS)
        } else {
            let minutes = f64::from(usual) * chance.random_range(0.8..1.2);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "minutes of sixteen bits"
            )]
            let seconds = (minutes * 60.0) as u32;
            seconds
        };
        let Some(electric) = &car.electric else {
            return Phase::Parked(Stay::of(seconds, self.is_family, chance));
        };
        let percent = electric.battery.charge_percent();
        let needed = needed_percent(car, car.route, car.stop);
        let model = electric.battery.model;
        let rapid = model.dc_kw.filter(|_| stop.rapid).map(|kw| Supply::Direct { kw });
        let slow = stop.charger.map(|charger| model.alternating(charger));
        let target_percent = self.charge_to_percent.max(needed);
        let plan = match (rapid, slow) {
            (Some(supply), _) if percent < needed => {
                // One stays until it is enough.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a charge takes hours at the most"
                )]
                let takes = (electric.battery.minutes_until(target_percent, supply) * 60.0) as u32;
                Some((supply, seconds.max(takes + 180)))
            }
            (_, Some(supply)) if percent < self.charge_below_percent.max(needed) => {
                Some((supply, seconds))
            }
            _ => None,
        };
        match plan {
            Some((supply, seconds)) => {
                let length_seconds = seconds.saturating_sub(LEFT_SECONDS);
                self.charge =
                    Some(Plan { supply, target_percent, length_seconds, is_conditioned: false });
                Phase::Parked(Stay::of(LEFT_SECONDS, self.is_family, chance))
            }
            None => Phase::Parked(Stay::of(seconds, self.is_family, chance)),
        }
    }

    fn supply_at_home(&self, car: &Car) -> Option<Supply> {
        let model = car.electric.as_ref()?.battery.model;
        match self.home_charger {
            Some(charger) => Some(model.alternating(charger)),
            None => model.dc_kw.map(|kw| Supply::Direct { kw }),
        }
    }

    /// Seconds until the driver goes to the car for the next outing, which is noted; for a week without any, a week.
    fn seconds_until_departure(&mut self, now: Timestamp, chance: &mut Chance) -> u32 {
        let departure = self.next_departure(now, chance);
        self.outing = departure.map(|(_, outing)| outing);
        let Some((at, _)) = departure else { return IDLE_SECONDS };
        let seconds = at.duration_since(now).as_secs() - LEAVING_SECONDS;
        u32::try_from(seconds.max(i64::from(LEFT_SECONDS))).unwrap_or(IDLE_SECONDS)
    }

    fn next_departure(&self, now: Timestamp, chance: &mut Chance) -> Option<(Timestamp, usize)> {
        let earliest = now.checked_add(SignedDuration::from_mins(3)).ok()?;
        let today = self.zone.to_datetime(now).date();
        let mut departures = Vec::new();
        for ahead in 0..=7_i64 {
            let Ok(date) = today.checked_add(ahead.days()) else { continue };
            let weekday = date.weekday().to_monday_zero_offset();
            for (index, outing) in self.outings.iter().enumerate() {
                if !outing.days.iter().any(|day| day.number() == weekday) {
                    continue;
                }
                let Ok(time) = Time::new(
                    outing.leaves.hour.cast_signed(),
                    outing.leaves.minute.cast_signed(),
                    0,
                    0,
                ) else {
                    continue;
                };
                let spread = i64::from(outing.spread_minutes) * 60;
                let off = SignedDuration::from_secs(chance.random_range(-spread..=spread));
                let likely = chance.random_bool(outing.likelihood.0.get());
                if let Ok(usual) = self.zone.to_timestamp(date.to_datetime(time))
                    && let Ok(at) = usual.checked_add(off)
                    && likely
                    && at >= earliest
                {
                    departures.push((at, index));
                }
            }
        }
        departures.into_iter().min()
    }
}

impl Plan {
    fn begin(self, car: &mut Car) -> Phase {
        let session = Session::of(car, self.supply, self.target_percent, self.length_seconds);
        Phase::Charging(if self.is_conditioned { session.conditioned() } else { session })
    }
}

/// The charge with which an electric car gets from stop `number` to the next one where it can be charged quickly, or home;
/// 0 where an engine helps.
fn needed_percent(car: &Car, route: &Route, number: usize) -> f64 {
    let Some(electric) = car.electric.as_ref().filter(|_| car.tank.is_none()) else { return 0.0 };
    let count = route.stop_count();
    let mut metres = route.leg_m(number);
    let mut next = number + 1;
    while !next.is_multiple_of(count) && !route.stop(next).rapid {
        metres += route.leg_m(next);
        next += 1;
    }
    let kwh = metres / 1000.0 * car.history.kwh_per_100_km / 100.0 * MARGIN;
    (kwh / electric.battery.model.usable_kwh * 100.0 + RESERVE_PERCENT).min(100.0)
}
