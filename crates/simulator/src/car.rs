//! The state of a vehicle, and the physics that moves it.

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::battery::{Battery, Tank};
use crate::model::{Model, Supply};
use crate::route::{Place, Route, RouteName};

/// The generator of all chance: small, seedable, the same on every platform.
pub(crate) type Chance = rand::rngs::Xoshiro256PlusPlus;

const GRAVITY: f64 = 9.81;
/// At 20 °C and at the sea; colder air is denser, and higher air thinner, by e for each [`AIR_M`].
const AIR_KG_PER_M3: f64 = 1.2;
const AIR_M: f64 = 8400.0;
const KELVIN: f64 = 273.15;
/// Rolling resistance is told for tyres of this temperature; each degree less adds [`TYRE_STIFFENING`].
const TYRE_CELSIUS: f64 = 30.0;
const TYRE_STIFFENING: f64 = 0.011;
/// The part of the energy that each degree below [`CELLS_CELSIUS`] costs a battery in its own resistance.
const CELLS_STIFFENING: f64 = 0.004;
const CELLS_CELSIUS: f64 = 20.0;
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
/// Lights and electronics while the ignition is on.
const ELECTRONICS_KW: f64 = 0.5;
/// Everything that listens while the vehicle is parked, out of the 12 V battery.
const STANDBY_KW: f64 = 0.0012;
/// Where a plug-in hybrid starts its engine, and where it stops it again.
const ENGINE_FROM_PERCENT: f64 = 12.0;
const ENGINE_UNTIL_PERCENT: f64 = 15.0;

/// The most that a mild hybrid's motor gives or takes.
const MILD_KW: f64 = 9.0;
const MILD_EFFICIENCY: f64 = 0.9;

/// What people set the climate control to.
const CABIN_CELSIUS: f64 = 21.5;
/// Heat that the cabin loses for each degree that it is warmer than the air.
const CABIN_KW_PER_CELSIUS: f64 = 0.1;
/// Heat that warms cabin and seats by a degree.
const CABIN_KWH_PER_CELSIUS: f64 = 0.028;
/// Heat that the sun adds.
const SUN_KW: f64 = 0.3;
const HEATER_KW: f64 = 5.5;
const COOLER_KW: f64 = 4.0;
/// Heat that the air conditioning moves for each kW of its own.
const COOLER_PERFORMANCE: f64 = 2.5;
/// What warms a cold battery before it is needed.
const BATTERY_HEATER_KW: f64 = 3.0;
/// A battery colder than this is warmed, and one with less charge than this is not asked to warm anything.
const BATTERY_HEATED_CELSIUS: f64 = 15.0;
const CONDITIONING_FROM_PERCENT: f64 = 20.0;

const LOW_VOLTAGE_KWH: f64 = 0.9;
const LOW_VOLTAGE_CHARGE_KW: f64 = 0.3;
const LOW_VOLTAGE_EFFICIENCY: f64 = 0.9;
/// Below this part of its charge the 12 V battery is charged out of the high-voltage one, where there is one.
const LOW_VOLTAGE_TOPPED_PART: f64 = 0.6;

/// A vehicle is due for service each time it has gone so far.
const SERVICE_M: f64 = 30_000_000.0;
/// A tyre that has lost this part is blown up.
const TYRE_FLAT_FACTOR: f64 = 0.75;

const JOULES_PER_KWH: f64 = 3.6e6;

/// Where a vehicle's energy came from and went, in kWh since it was made.
///
/// Between two readings, what came in (`charged`, `fuelled`) is what is stored more, is still in the motion, or left
/// as `resistance`, `auxiliary` and `lost`, to within a thousandth of a kWh over a day.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Energy {
    /// In the batteries, that of 12 V and that of a mild hybrid among them, and, as fuel, in the tank.
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
    mild: Option<Mild>,
    low_voltage_kwh: f64,
    pub(crate) route: &'static Route,
    pub(crate) place: Place,
    /// The last place that satellites told it; in a garage it knows no newer one.
    pub(crate) fix: Place,
    /// The stop at which the vehicle stands, or the last one that it left.
    pub(crate) stop: usize,
    /// From 0 to the route's length.
    pub(crate) along_m: f64,
    pub(crate) speed_mps: f64,
    pub(crate) odometer_m: f64,
    pub(crate) body: Body,
    pub(crate) climate: Climate,
    pub(crate) ambient_celsius: f64,
    pub(crate) tyre_celsius: f64,
    /// The deviation of each tyre from the pressure asked for, as a factor: front left and right, rear left and right.
    pub(crate) tyre_factors: [f64; 4],
    /// What each of them loses in a second, as a factor.
    pub(crate) tyre_leaks: [f64; 4],
    pub(crate) coolant_celsius: f64,
    pub(crate) satellites: u8,
    engine_drives: bool,
    /// The running trip, or the last one.
    pub(crate) trip: Tally,
    pub(crate) history: History,
    energy: Energy,
}

/// The 48 V battery of a mild hybrid.
#[derive(Debug)]
struct Mild {
    capacity_kwh: f64,
    stored_kwh: f64,
}

/// The cabin, and what makes it warm or cool.
#[derive(Debug)]
pub(crate) struct Climate {
    pub(crate) cabin_celsius: f64,
    /// When it is to be comfortable on weekdays: hour and minute.
    pub(crate) timer: Option<(u8, u8)>,
    /// Seconds for which the parked vehicle will go on with it; 0 while it does not.
    pub(crate) conditioning_seconds: u32,
    /// What lights, electronics and climate take.
    pub(crate) auxiliary_kw: f64,
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
    pub(crate) rear_doors_open: bool,
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
    pub(crate) comfort_kwh: f64,
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
        let route = Route::demo();
        let stop = chance.random_range(0..route.stop_count());
        let along_m = route.stop_m(stop);
        let place = route.place(along_m);
        let charge_percent = chance.random_range(48.0..60.0);
        let odometer_m = f64::from(chance.random_range(8_000_000..60_000_000));
        let ambient_celsius: f64 = chance.random_range(8.0..24.0);
        let before =
            |seconds: i64| start.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(start);
        let weekly_km = chance.random_range(180.0..260.0);
        let electric = model.battery.as_ref().map(|battery| Electric {
            // It has been used today.
            battery: Battery::new(battery, charge_percent, ambient_celsius.max(20.0)),
            port: Port {
                flap_open: false,
                plugged: false,
                plug_events: chance.random_range(200..2000),
                state: Charge::No,
                supply: Supply::Alternating { phases: 1, ampere: 16.0 },
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
            mild: model.mild_kwh.map(|capacity_kwh| Mild { capacity_kwh, stored_kwh: 0.0 }),
            low_voltage_kwh: LOW_VOLTAGE_KWH,
            route,
            place,
            fix: place,
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
                rear_doors_open: false,
                boot_open: false,
                driver_window: "CLOSED",
                passenger_window: "CLOSED",
            },
            climate: Climate {
                cabin_celsius: CABIN_CELSIUS,
                timer: None,
                conditioning_seconds: 0,
                auxiliary_kw: ELECTRONICS_KW,
            },
            ambient_celsius,
            tyre_celsius: ambient_celsius,
            tyre_factors: [(); 4].map(|()| chance.random_range(0.97..1.02)),
            tyre_leaks: [0.0; 4],
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
                    comfort_kwh: 0.4,
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

    /// Parks a new car at its owner's home, with a climate timer, and a front left tyre that loses a part of its air each
    /// week.
    pub(crate) fn park(&mut self, timer: Option<(u8, u8)>, weekly_leak: f64) {
        self.take_route(Route::named(RouteName::Town));
        self.body.ignition_on = false;
        self.body.occupied = false;
        self.climate.timer = timer;
        self.climate.auxiliary_kw = 0.0;
        // A tyre is blown up long before it has lost everything.
        self.tyre_leaks[0] = -(1.0 - weekly_leak.min(0.99)).ln() / WEEK_SECONDS;
    }

    /// Lets it begin with so much charge, and with a battery, a cabin and air of these temperatures.
    pub(crate) fn set_out(
        &mut self,
        charge_percent: f64,
        [battery_celsius, cabin_celsius, ambient_celsius]: [f64; 3],
    ) {
        self.ambient_celsius = ambient_celsius;
        self.tyre_celsius = ambient_celsius;
        if let Some(electric) = &mut self.electric {
            electric.battery =
                Battery::new(electric.battery.model, charge_percent, battery_celsius);
        }
        self.climate.cabin_celsius = cabin_celsius;
    }

    /// What is in the battery; 0 where there is none.
    pub(crate) fn battery_kwh(&self) -> f64 {
        self.electric.as_ref().map_or(0.0, |electric| electric.battery.stored_kwh())
    }

    /// The state of charge, from 0 to 100; 0 where there is no battery.
    pub(crate) fn charge_percent(&self) -> f64 {
        self.electric.as_ref().map_or(0.0, |electric| electric.battery.charge_percent())
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

    /// Metres until the next service.
    pub(crate) fn service_left_m(&self) -> f64 {
        SERVICE_M - self.odometer_m % SERVICE_M
    }

    /// Volts of the 12 V battery: its own by its charge, or that of what charges it.
    pub(crate) fn low_voltage_volt(&self) -> f64 {
        let charging = self.electric.as_ref().is_some_and(|e| e.port.state == Charge::Active);
        if self.body.ignition_on || charging {
            14.3
        } else {
            11.6 + 1.1 * self.low_voltage_kwh / LOW_VOLTAGE_KWH
        }
    }

    /// Puts the car at stop 0 of `route`, where it has to be already if it is to be where it was.
    pub(crate) fn take_route(&mut self, route: &'static Route) {
        self.route = route;
        self.stop = 0;
        self.along_m = route.stop_m(0);
        self.place = route.place(self.along_m);
        self.look_for_satellites();
    }

    /// One second of driving along the route or standing with the ignition on, at the end of which the speed is
    /// `speed_mps`.
    pub(crate) fn roll(&mut self, speed_mps: f64) {
        let altitude_before = self.place.altitude_m;
        let metres = f64::midpoint(self.speed_mps, speed_mps);
        if metres > 0.0 {
            self.along_m = (self.along_m + metres).rem_euclid(self.route.length_m());
            self.place = self.route.place(self.along_m);
            self.look_for_satellites();
        }
        self.move_on(speed_mps, self.place.altitude_m - altitude_before);
    }

    /// One second of driving or standing with the ignition on, during which it climbs `rise_m`, and at the end of which
    /// the speed is `speed_mps`.
    pub(crate) fn move_on(&mut self, speed_mps: f64, rise_m: f64) {
        let (from, to) = (self.speed_mps, speed_mps);
        // The acceleration is even, so that distance and kinetic energy agree to the last digit.
        let mean_mps = f64::midpoint(from, to);
        let metres = mean_mps;
        self.speed_mps = to;
        self.odometer_m += metres;

        let model = self.model;
        let air = AIR_KG_PER_M3 * (KELVIN + 20.0) / (KELVIN + self.ambient_celsius)
            * (-self.place.altitude_m / AIR_M).exp();
        let drag = air / 2.0 * model.drag_area_m2 * mean_mps * mean_mps;
        let stiffness = 1.0 + TYRE_STIFFENING * (TYRE_CELSIUS - self.tyre_celsius);
        let rolling = stiffness * model.rolling_resistance * model.mass_kg * GRAVITY;
        let resistance = (drag + rolling) * metres / JOULES_PER_KWH;
        let motion =
            model.mass_kg * ((to * to - from * from) / 2.0 + GRAVITY * rise_m) / JOULES_PER_KWH;
        self.energy.resistance_kwh += resistance;
        self.energy.motion_kwh += motion;

        self.choose_drive();
        let electrically = !self.engine_drives;
        let wheel_kwh = resistance + motion;
        let battery_before = self.battery_kwh();
        if wheel_kwh < 0.0 {
            self.brake(-wheel_kwh);
        } else if electrically {
            self.draw(wheel_kwh / self.motor_efficiency(), wheel_kwh);
        } else {
            let boost_kwh = self.boost(wheel_kwh);
            self.burn((wheel_kwh - boost_kwh) / ENGINE_EFFICIENCY, wheel_kwh - boost_kwh);
        }
        let climate_kw = self.condition_cabin(electrically);
        self.climate.auxiliary_kw = ELECTRONICS_KW + climate_kw;
        let auxiliary_kwh = self.climate.auxiliary_kw / 3600.0;
        self.energy.auxiliary_kwh += auxiliary_kwh;
        self.trip.comfort_kwh += climate_kw / 3600.0;
        if electrically {
            self.draw(auxiliary_kwh, auxiliary_kwh);
        } else {
            self.burn(
                ENGINE_IDLE_KW / 3600.0 + auxiliary_kwh / ALTERNATOR_EFFICIENCY,
                auxiliary_kwh,
            );
        }
        self.charge_low_voltage(LOW_VOLTAGE_CHARGE_KW / 3600.0);
        let battery_after = self.battery_kwh();

        let trip = &mut self.trip;
        trip.seconds += 1.0;
        trip.metres += metres;
        trip.electric_metres += if electrically { metres } else { 0.0 };
        trip.battery_kwh += battery_before - battery_after;
        trip.hardest_acceleration_mps2 = trip.hardest_acceleration_mps2.max(to - from);
        trip.hardest_braking_mps2 = trip.hardest_braking_mps2.max(from - to);
        self.warm();
    }

    /// One second of making the parked vehicle comfortable, out of the grid where it hangs on it.
    pub(crate) fn precondition(&mut self) {
        let Some(electric) = &mut self.electric else { return };
        let is_on_grid = electric.port.plugged && electric.port.state != Charge::Active;
        let battery = &mut electric.battery;
        if !is_on_grid && battery.charge_percent() < CONDITIONING_FROM_PERCENT {
            self.climate.conditioning_seconds = 0;
            return;
        }
        let mut kwh = 0.0;
        if battery.celsius < BATTERY_HEATED_CELSIUS {
            kwh += BATTERY_HEATER_KW / 3600.0;
            battery.warm(kwh);
        }
        kwh += self.condition_cabin(true) / 3600.0;
        self.climate.auxiliary_kw = kwh * 3600.0;
        self.energy.auxiliary_kwh += kwh;
        if is_on_grid {
            let efficiency = Supply::Alternating { phases: 1, ampere: 16.0 }.efficiency();
            self.energy.charged_kwh += kwh / efficiency;
            self.energy.lost_kwh += kwh / efficiency - kwh;
        } else {
            self.draw(kwh, kwh);
        }
    }

    /// One second of climate control; gives the kW that it takes. A running engine's heat is for free.
    fn condition_cabin(&mut self, electrically: bool) -> f64 {
        let cabin = self.climate.cabin_celsius;
        let lost_kw = CABIN_KW_PER_CELSIUS * (cabin - self.ambient_celsius) - SUN_KW;
        // Within two minutes, as far as the heater can.
        let wanted_kw = lost_kw + CABIN_KWH_PER_CELSIUS * (CABIN_CELSIUS - cabin) * 30.0;
        let heat_kw = wanted_kw.clamp(-COOLER_KW, HEATER_KW);
        self.climate.cabin_celsius += (heat_kw - lost_kw) / 3600.0 / CABIN_KWH_PER_CELSIUS;
        if heat_kw < 0.0 {
            -heat_kw / COOLER_PERFORMANCE
        } else if electrically {
            heat_kw
        } else {
            0.0
        }
    }

    /// Charges the 12 V battery by `kwh` at the most.
    fn charge_low_voltage(&mut self, kwh: f64) {
        let kwh = kwh.min(LOW_VOLTAGE_KWH - self.low_voltage_kwh);
        if kwh > 0.0 {
            self.low_voltage_kwh += kwh;
            if self.is_engine_on() {
                self.burn(kwh / ALTERNATOR_EFFICIENCY, kwh);
            } else {
                self.draw(kwh / LOW_VOLTAGE_EFFICIENCY, kwh);
            }
        }
    }

    fn look_for_satellites(&mut self) {
        if self.route.is_covered(self.along_m) {
            self.satellites = 0;
        } else {
            self.fix = self.place;
            self.satellites = self.satellites.max(8);
        }
    }

    /// So many seconds of standing with everything off.
    pub(crate) fn pass(&mut self, seconds: f64) {
        let approach = |celsius: &mut f64, end: f64, pace: f64| {
            *celsius = end + (*celsius - end) * (-seconds / pace).exp();
        };
        approach(&mut self.tyre_celsius, self.ambient_celsius, TYRE_SECONDS);
        approach(&mut self.coolant_celsius, self.ambient_celsius, ENGINE_COOLING_SECONDS);
        if self.climate.conditioning_seconds == 0 {
            approach(&mut self.climate.cabin_celsius, self.ambient_celsius, CABIN_COOLING_SECONDS);
        }
        if let Some(electric) = &mut self.electric {
            electric.battery.cool(self.ambient_celsius, seconds);
        }
        for (factor, leak) in self.tyre_factors.iter_mut().zip(self.tyre_leaks) {
            if leak > 0.0 {
                *factor *= (-leak * seconds).exp();
            }
        }
        let standby_kwh = (STANDBY_KW * seconds / 3600.0).min(self.low_voltage_kwh);
        self.low_voltage_kwh -= standby_kwh;
        self.energy.auxiliary_kwh += standby_kwh;
        if self.electric.is_some()
            && self.low_voltage_kwh < LOW_VOLTAGE_KWH * LOW_VOLTAGE_TOPPED_PART
        {
            self.charge_low_voltage(LOW_VOLTAGE_KWH);
        }
    }

    /// Blows up the tyres that are flat.
    pub(crate) fn inflate_tyres(&mut self) {
        for factor in &mut self.tyre_factors {
            if *factor < TYRE_FLAT_FACTOR {
                *factor = 1.0;
            }
        }
    }

    /// One second at the plug.
    pub(crate) fn charge(&mut self) {
        // First, so that the high-voltage battery gets full.
        self.charge_low_voltage(LOW_VOLTAGE_CHARGE_KW / 3600.0);
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
        self.stop = (self.stop + 1) % self.route.stop_count();
        let trip = std::mem::take(&mut self.trip);
        let km = trip.metres / 1000.0;
        let charge_percent = self.charge_percent();
        let history = &mut self.history;
        history.trip_end_charge_percent = charge_percent;
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
        history.trip = trip;
        if now.duration_since(history.teleservice_reported_at) > SignedDuration::from_hours(6) {
            history.teleservice_reported_at = now;
        }
    }

    /// Where the energy came from and went.
    pub(crate) fn energy(&self) -> Energy {
        let tank_kwh = self.tank.as_ref().map_or(0.0, |tank| tank.left_l * Tank::KWH_PER_L);
        let mild_kwh = self.mild.as_ref().map_or(0.0, |mild| mild.stored_kwh);
        let stored_kwh = self.battery_kwh() + tank_kwh + mild_kwh + self.low_voltage_kwh;
        Energy { stored_kwh, ..self.energy }
    }

    /// Takes `kwh` off the wheels, into a battery as far as there is one with room.
    fn brake(&mut self, kwh: f64) {
        let mut filled = 0.0;
        if let Some(electric) = &mut self.electric {
            let offered = kwh.min(RECUPERATION_KW_MAX / 3600.0) * RECUPERATION_EFFICIENCY;
            filled = electric.battery.fill(offered);
        } else if let Some(mild) = &mut self.mild {
            let offered = kwh.min(MILD_KW / 3600.0) * RECUPERATION_EFFICIENCY;
            filled = offered.min(mild.capacity_kwh - mild.stored_kwh);
            mild.stored_kwh += filled;
        }
        self.trip.recuperated_kwh += filled;
        self.energy.lost_kwh += kwh - filled;
    }

    fn motor_efficiency(&self) -> f64 {
        let celsius = self.electric.as_ref().map_or(CELLS_CELSIUS, |e| e.battery.celsius);
        MOTOR_EFFICIENCY * (1.0 - CELLS_STIFFENING * (CELLS_CELSIUS - celsius).clamp(0.0, 50.0))
    }

    /// What a mild hybrid's motor adds at the wheels where `kwh` are asked for.
    fn boost(&mut self, kwh: f64) -> f64 {
        let Some(mild) = &mut self.mild else { return 0.0 };
        let given = kwh.min(MILD_KW / 3600.0).min(mild.stored_kwh * MILD_EFFICIENCY);
        mild.stored_kwh -= given / MILD_EFFICIENCY;
        self.energy.lost_kwh += given / MILD_EFFICIENCY - given;
        given
    }

    /// Takes `kwh` out of the battery, `used` of which do what they are for.
    fn draw(&mut self, kwh: f64, used: f64) {
        if let Some(electric) = &mut self.electric {
            let lost = electric.battery.draw(kwh) - used;
            electric.battery.lose(lost.max(0.0));
            self.energy.lost_kwh += lost;
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
        approach(&mut self.tyre_celsius, rolling, TYRE_SECONDS);
        if self.is_engine_on() {
            approach(&mut self.coolant_celsius, 90.0, 180.0);
        } else {
            approach(&mut self.coolant_celsius, self.ambient_celsius, ENGINE_COOLING_SECONDS);
        }
        for (factor, leak) in self.tyre_factors.iter_mut().zip(self.tyre_leaks) {
            *factor -= *factor * leak;
        }
    }
}

const WEEK_SECONDS: f64 = 7.0 * 86_400.0;
const TYRE_SECONDS: f64 = 500.0;
const ENGINE_COOLING_SECONDS: f64 = 2400.0;
const CABIN_COOLING_SECONDS: f64 = 1500.0;
