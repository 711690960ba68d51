//! The state of a vehicle, and the physics that moves it.

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::battery::{Battery, Tank};
use crate::model::{Model, Supply};
use crate::route::{Place, Route, STOP_COUNT};

/// The generator of all chance: small, seedable, the same on every platform.
pub(crate) type Chance = rand::rngs::Xoshiro256PlusPlus;

const GRAVITY: f64 = 9.81;
const AIR_KG_PER_M3: f64 = 1.2;
const ROLLING_RESISTANCE: f64 = 0.010;
/// Battery to wheel.
const MOTOR_EFFICIENCY: f64 = 0.88;
/// Wheel to battery.
const RECUPERATION_EFFICIENCY: f64 = 0.75;
const RECUPERATION_KW_MAX: f64 = 80.0;
/// Fuel to wheel.
const ENGINE_EFFICIENCY: f64 = 0.30;
/// Fuel that a running engine burns to keep itself turning.
const ENGINE_IDLE_KW: f64 = 6.0;
/// Fuel to the board's 12 V.
const ALTERNATOR_EFFICIENCY: f64 = 0.25;
/// Climate, lights and electronics while the ignition is on.
pub(crate) const AUXILIARY_KW: f64 = 1.2;
/// Where a plug-in hybrid starts its engine, and where it stops it again.
const ENGINE_FROM_PERCENT: f64 = 12.0;
const ENGINE_UNTIL_PERCENT: f64 = 15.0;

const JOULES_PER_KWH: f64 = 3.6e6;

/// Where a vehicle's energy came from and went, in kWh since it was made.
///
/// Between two readings, what came in (`charged`, `fuelled`) is what is stored more, is still in the motion, or left
/// as `resistance`, `auxiliary` and `lost`, to within a thousandth of a kWh over a day.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Energy {
    /// In the battery and, as fuel, in the tank.
    pub stored_kwh: f64,
    /// Taken from the grid.
    pub charged_kwh: f64,
    /// Filled into the tank.
    pub fuelled_kwh: f64,
    /// Spent on air drag and rolling resistance.
    pub resistance_kwh: f64,
    /// Kinetic and potential energy, against the start.
    pub motion_kwh: f64,
    /// Spent on climate, lights and electronics.
    pub auxiliary_kwh: f64,
    /// Turned to heat in motor, engine, charger and brakes.
    pub lost_kwh: f64,
}

/// All that a report can tell.
#[derive(Debug)]
pub(crate) struct Car {
    pub(crate) model: &'static Model,
    pub(crate) electric: Option<Electric>,
    pub(crate) tank: Option<Tank>,
    pub(crate) place: Place,
    /// The stop at which the vehicle stands, or the last one that it left.
    pub(crate) stop: usize,
    /// From 0 to the loop's length.
    pub(crate) along_m: f64,
    pub(crate) speed_mps: f64,
    pub(crate) odometer_m: f64,
    pub(crate) body: Body,
    pub(crate) ambient_celsius: f64,
    pub(crate) tyre_celsius: f64,
    /// The deviation of each tyre from the pressure asked for, as a factor: front left and right, rear left and right.
    pub(crate) tyre_factors: [f64; 4],
    pub(crate) coolant_celsius: f64,
    pub(crate) satellites: u8,
    engine_drives: bool,
    /// The running trip, or the last one.
    pub(crate) trip: Tally,
    pub(crate) history: History,
    energy: Energy,
}

/// A battery with its charging port.
#[derive(Debug)]
pub(crate) struct Electric {
    pub(crate) battery: Battery,
    pub(crate) port: Port,
}

/// The charging port and what is known of the charge.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) flap_open: bool,
    pub(crate) plugged: bool,
    pub(crate) plug_events: u32,
    pub(crate) state: Charge,
    pub(crate) supply: Supply,
    pub(crate) target_percent: f64,
    pub(crate) ended_because: &'static str,
}

/// The state of charging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Not plugged in.
    No,
    Initialization,
    Active,
    Paused,
    Ended,
}

/// What opens, closes, locks and shines.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a signal of its own, in any combination"
)]
pub(crate) struct Body {
    pub(crate) ignition_on: bool,
    pub(crate) occupied: bool,
    pub(crate) locked: bool,
    pub(crate) driver_door_open: bool,
    pub(crate) passenger_door_open: bool,
    pub(crate) boot_open: bool,
    pub(crate) driver_window: &'static str,
    pub(crate) passenger_window: &'static str,
}

/// Sums over one trip.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seconds: f64,
    pub(crate) metres: f64,
    pub(crate) electric_metres: f64,
    /// Out of the battery, less what was recuperated.
    pub(crate) battery_kwh: f64,
    pub(crate) recuperated_kwh: f64,
    pub(crate) hardest_braking_mps2: f64,
    pub(crate) hardest_acceleration_mps2: f64,
}

/// What a vehicle remembers of the trips that it ended.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) trip_ended_at: Timestamp,
    pub(crate) trip_end_odometer_m: f64,
    pub(crate) trip_end_charge_percent: f64,
    pub(crate) trip: Tally,
    pub(crate) weekly_km_short: f64,
    pub(crate) weekly_km_long: f64,
    pub(crate) kwh_per_100_km: f64,
    pub(crate) l_per_100_km: f64,
    pub(crate) teleservice_reported_at: Timestamp,
}

impl Car {
    /// A car that has just been got into, at a stop that chance decides, at `start`.
    pub(crate) fn new(model: &'static Model, start: Timestamp, chance: &mut Chance) -> Self {
        let stop = chance.random_range(0..STOP_COUNT);
        let along_m = Route::shared().stop_m(stop);
        let charge_percent = chance.random_range(48.0..60.0);
        let odometer_m = f64::from(chance.random_range(8_000_000..60_000_000));
        let ambient_celsius = chance.random_range(8.0..24.0);
        let before =
            |seconds: i64| start.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(start);
        let weekly_km = chance.random_range(180.0..260.0);
        let electric = model.battery.as_ref().map(|battery| Electric {
            battery: Battery::new(battery, charge_percent),
            port: Port {
                flap_open: false,
                plugged: false,
                plug_events: chance.random_range(200..2000),
                state: Charge::No,
                supply: Supply::Alternating { phases: 1 },
                target_percent: 80.0,
                ended_because: "CHARGING_GOAL_REACHED",
            },
        });
        let tank = model.tank_l.map(|capacity_l| Tank {
            capacity_l,
            left_l: capacity_l * chance.random_range(0.4..0.7),
        });
        Self {
            model,
            electric,
            tank,
            place: Route::shared().place(along_m),
            stop,
            along_m,
            speed_mps: 0.0,
            odometer_m,
            body: Body {
                ignition_on: true,
                occupied: true,
                locked: true,
                driver_door_open: false,
                passenger_door_open: false,
                boot_open: false,
                driver_window: "CLOSED",
                passenger_window: "CLOSED",
            },
            ambient_celsius,
            tyre_celsius: ambient_celsius,
            tyre_factors: [(); 4].map(|()| chance.random_range(0.97..1.02)),
            coolant_celsius: ambient_celsius,
            satellites: 11,
            engine_drives: model.battery.is_none(),
            trip: Tally::default(),
            history: History {
                trip_ended_at: before(5400),
                trip_end_odometer_m: odometer_m,
                trip_end_charge_percent: charge_percent,
                trip: Tally {
                    seconds: 1260.0,
                    metres: 18_400.0,
                    electric_metres: 18_400.0,
                    battery_kwh: 3.1,
                    recuperated_kwh: 0.7,
                    hardest_braking_mps2: 2.0,
                    hardest_acceleration_mps2: 2.0,
                },
                weekly_km_short: weekly_km,
                weekly_km_long: weekly_km * chance.random_range(0.9..1.1),
                kwh_per_100_km: 17.5,
                l_per_100_km: 6.8,
                teleservice_reported_at: before(chance.random_range(10_000..80_000)),
            },
            energy: Energy::default(),
        }
    }

    pub(crate) fn is_moving(&self) -> bool {
        self.speed_mps > 0.3
    }

    /// Whether a combustion engine runs.
    pub(crate) fn is_engine_on(&self) -> bool {
        self.body.ignition_on && self.engine_drives
    }

    /// Two thresholds, so that a hybrid's engine does not start and stop every second.
    fn choose_drive(&mut self) {
        self.engine_drives = match (&self.electric, &self.tank) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(electric), Some(_)) => {
                let percent = electric.battery.charge_percent();
                percent < ENGINE_FROM_PERCENT
                    || (self.engine_drives && percent < ENGINE_UNTIL_PERCENT)
            }
        };
    }

    /// Kilometres that a charge of `charge_percent` is good for.
    pub(crate) fn electric_range_km(&self, charge_percent: f64) -> Option<f64> {
        let electric = self.electric.as_ref()?;
        let kwh = electric.battery.model.usable_kwh * charge_percent / 100.0;
        Some(kwh / self.history.kwh_per_100_km * 100.0)
    }

    /// Kilometres that the tank is good for.
    pub(crate) fn fuel_range_km(&self) -> Option<f64> {
        Some(self.tank.as_ref()?.left_l / self.history.l_per_100_km * 100.0)
    }

    /// One second of driving or standing with the ignition on, at the end of which the speed is `speed_mps`.
    pub(crate) fn roll(&mut self, speed_mps: f64) {
        let (from, to) = (self.speed_mps, speed_mps);
        // The acceleration is even, so that distance and kinetic energy agree to the last digit.
        let mean_mps = f64::midpoint(from, to);
        let metres = mean_mps;
        let route = Route::shared();
        let altitude_before = self.place.altitude_m;
        if metres > 0.0 {
            self.along_m = (self.along_m + metres).rem_euclid(route.length_m());
            self.place = route.place(self.along_m);
        }
        self.speed_mps = to;
        self.odometer_m += metres;

        let model = self.model;
        let drag = AIR_KG_PER_M3 / 2.0 * model.drag_area_m2 * mean_mps * mean_mps;
        let resistance =
            (drag + ROLLING_RESISTANCE * model.mass_kg * GRAVITY) * metres / JOULES_PER_KWH;
        let motion = model.mass_kg
            * ((to * to - from * from) / 2.0 + GRAVITY * (self.place.altitude_m - altitude_before))
            / JOULES_PER_KWH;
        self.energy.resistance_kwh += resistance;
        self.energy.motion_kwh += motion;

        self.choose_drive();
        let electrically = !self.engine_drives;
        let wheel_kwh = resistance + motion;
        let battery_before = self.electric.as_ref().map_or(0.0, |e| e.battery.stored_kwh());
        if wheel_kwh < 0.0 {
            self.brake(-wheel_kwh);
        } else if electrically {
            self.draw(wheel_kwh / MOTOR_EFFICIENCY, wheel_kwh);
        } else {
            self.burn(wheel_kwh / ENGINE_EFFICIENCY, wheel_kwh);
        }
        let auxiliary_kwh = AUXILIARY_KW / 3600.0;
        self.energy.auxiliary_kwh += auxiliary_kwh;
        if electrically {
            self.draw(auxiliary_kwh, auxiliary_kwh);
        } else {
            self.burn(
                ENGINE_IDLE_KW / 3600.0 + auxiliary_kwh / ALTERNATOR_EFFICIENCY,
                auxiliary_kwh,
            );
        }
        let battery_after = self.electric.as_ref().map_or(0.0, |e| e.battery.stored_kwh());

        let trip = &mut self.trip;
        trip.seconds += 1.0;
        trip.metres += metres;
        trip.electric_metres += if electrically { metres } else { 0.0 };
        trip.battery_kwh += battery_before - battery_after;
        trip.hardest_acceleration_mps2 = trip.hardest_acceleration_mps2.max(to - from);
        trip.hardest_braking_mps2 = trip.hardest_braking_mps2.max(from - to);
        self.warm();
    }

    /// One second at the plug.
    pub(crate) fn charge(&mut self) {
        if let Some(electric) = &mut self.electric {
            let charged = electric.battery.charge(electric.port.supply);
            self.energy.charged_kwh += charged.grid_kwh;
            self.energy.lost_kwh += charged.lost_kwh;
        }
    }

    /// Fills the tank, if there is one.
    pub(crate) fn refuel(&mut self) {
        if let Some(tank) = &mut self.tank {
            self.energy.fuelled_kwh += (tank.capacity_l - tank.left_l) * Tank::KWH_PER_L;
            tank.left_l = tank.capacity_l;
        }
    }

    /// Ends the running trip `now`, at the stop after the one where it began.
    pub(crate) fn end_trip(&mut self, now: Timestamp) {
        self.stop = (self.stop + 1) % STOP_COUNT;
        let trip = std::mem::take(&mut self.trip);
        let km = trip.metres / 1000.0;
        let history = &mut self.history;
        history.weekly_km_short += (km * 18.0 - history.weekly_km_short) / 14.0;
        history.weekly_km_long += (km * 18.0 - history.weekly_km_long) / 200.0;
        if trip.electric_metres > 1000.0 {
            let kwh_per_100_km = trip.battery_kwh / trip.electric_metres * 100_000.0;
            // A trip downhill may even gain; the range must stay a positive number.
            history.kwh_per_100_km +=
                (kwh_per_100_km.clamp(10.0, 30.0) - history.kwh_per_100_km) / 10.0;
        }
        history.trip_ended_at = now;
        history.trip_end_odometer_m = self.odometer_m;
        history.trip_end_charge_percent =
            self.electric.as_ref().map_or(0.0, |electric| electric.battery.charge_percent());
        history.trip = trip;
        if now.duration_since(history.teleservice_reported_at) > SignedDuration::from_hours(6) {
            history.teleservice_reported_at = now;
        }
    }

    /// Where the energy came from and went.
    pub(crate) fn energy(&self) -> Energy {
        let battery_kwh = self.electric.as_ref().map_or(0.0, |e| e.battery.stored_kwh());
        let tank_kwh = self.tank.as_ref().map_or(0.0, |tank| tank.left_l * Tank::KWH_PER_L);
        Energy { stored_kwh: battery_kwh + tank_kwh, ..self.energy }
    }

    /// Takes `kwh` off the wheels, into the battery as far as there is one with room.
    fn brake(&mut self, kwh: f64) {
        let mut filled = 0.0;
        if let Some(electric) = &mut self.electric {
            let offered = kwh.min(RECUPERATION_KW_MAX / 3600.0) * RECUPERATION_EFFICIENCY;
            filled = electric.battery.fill(offered);
        }
        self.trip.recuperated_kwh += filled;
        self.energy.lost_kwh += kwh - filled;
    }

    /// Takes `kwh` out of the battery, `used` of which do what they are for.
    fn draw(&mut self, kwh: f64, used: f64) {
        if let Some(electric) = &mut self.electric {
            self.energy.lost_kwh += electric.battery.draw(kwh) - used;
        }
    }

    /// Burns `kwh` of fuel, `used` of which do what they are for.
    fn burn(&mut self, kwh: f64, used: f64) {
        if let Some(tank) = &mut self.tank {
            self.energy.lost_kwh += tank.burn(kwh) - used;
        }
    }

    /// One second of warming up or cooling down.
    pub(crate) fn warm(&mut self) {
        let approach = |celsius: &mut f64, end: f64, seconds: f64| {
            *celsius += (end - *celsius) / seconds;
        };
        let rolling = self.ambient_celsius + 0.7 * self.speed_mps;
        approach(&mut self.tyre_celsius, rolling, 500.0);
        if self.is_engine_on() {
            approach(&mut self.coolant_celsius, 90.0, 180.0);
        } else {
            approach(&mut self.coolant_celsius, self.ambient_celsius, 2400.0);
        }
    }
}
