//! Parking: the driver leaves the vehicle, it is silent, and the driver comes back.

use rand::RngExt;

use crate::car::{Car, Chance};
use crate::report::Happening;

/// Below this a driver takes the time to refuel.
const REFUEL_BELOW_PERCENT: f64 = 25.0;

/// How long before the departure the vehicle begins to make itself comfortable.
pub(crate) const CONDITIONING_SECONDS: u32 = 900;

/// The seconds of a stay in which somebody does something.
const SCRIPT: [u32; 6] = [2, 6, 10, 16, 20, 90];

/// The vehicle stands, from the stop until the driver comes back.
#[derive(Debug)]
pub(crate) struct Stay {
    seconds: u32,
    length_seconds: u32,
    boot: bool,
    passenger: bool,
    rear: bool,
    /// The second from which it makes itself comfortable.
    conditioned_from: u32,
}

impl Stay {
    /// A stay of about three minutes.
    pub(crate) fn short(chance: &mut Chance) -> Self {
        Self {
            seconds: 0,
            length_seconds: chance.random_range(150..=210),
            boot: chance.random_bool(0.5),
            passenger: chance.random_bool(0.3),
            rear: false,
            conditioned_from: u32::MAX,
        }
    }

    /// A stay of `length_seconds`, or of two minutes if that is less.
    pub(crate) fn of(length_seconds: u32, family: bool, chance: &mut Chance) -> Self {
        Self {
            length_seconds: length_seconds.max(120),
            rear: family && chance.random_bool(0.6),
            ..Self::short(chance)
        }
    }

    /// One that begins when everybody has left the vehicle.
    pub(crate) fn asleep(length_seconds: u32, chance: &mut Chance) -> Self {
        Self { seconds: 100, length_seconds: length_seconds + 100, ..Self::short(chance) }
    }

    /// The same with a warm or cool cabin at its end.
    pub(crate) fn conditioned(mut self) -> Self {
        self.conditioned_from = self.length_seconds.saturating_sub(CONDITIONING_SECONDS).max(100);
        self
    }

    /// How many seconds it takes until something happens; at least one.
    pub(crate) fn quiet(&self) -> u32 {
        if self.seconds >= self.conditioned_from {
            return 1;
        }
        let scripted = SCRIPT.into_iter().find(|second| *second > self.seconds);
        let next = scripted.unwrap_or(u32::MAX).min(self.conditioned_from).min(self.length_seconds);
        next.saturating_sub(self.seconds).max(1)
    }

    /// So many seconds, of which nothing happens in all but the last. The stay is over when the driver is back beside the
    /// vehicle.
    pub(crate) fn step(&mut self, car: &mut Car, seconds: u32) -> (Happening, bool) {
        self.seconds += seconds;
        let is_over = self.seconds >= self.length_seconds;
        let body = &mut car.body;
        match self.seconds {
            2 => {
                body.ignition_on = false;
                body.locked = false;
            }
            6 => {
                body.driver_door_open = true;
                body.passenger_door_open = self.passenger;
                body.rear_doors_open = self.rear;
            }
            10 => {
                body.occupied = false;
                body.boot_open = self.boot;
            }
            16 => {
                body.driver_door_open = false;
                body.passenger_door_open = false;
                body.rear_doors_open = false;
                body.boot_open = false;
            }
            20 => {
                body.locked = true;
                body.driver_window = "CLOSED";
                body.passenger_window = "CLOSED";
            }
            90 if car.tank.as_ref().is_some_and(|tank| tank.percent() < REFUEL_BELOW_PERCENT) => {
                car.refuel();
            }
            second if second >= self.conditioned_from => {
                return (condition(car, self.length_seconds.saturating_sub(second)), is_over);
            }
            _ => return (Happening::Nothing, is_over),
        }
        (Happening::Change, is_over)
    }
}

/// One second of making the vehicle comfortable, `seconds_left` before the end.
pub(crate) fn condition(car: &mut Car, seconds_left: u32) -> Happening {
    let before = car.climate.conditioning_seconds;
    car.climate.conditioning_seconds = seconds_left;
    car.precondition();
    let after = car.climate.conditioning_seconds;
    if (before == 0) == (after == 0) { Happening::Nothing } else { Happening::Change }
}

/// The driver gets in and starts.
#[derive(Debug)]
pub(crate) struct Leaving {
    seconds: u32,
    window: bool,
    passenger: bool,
}

impl Leaving {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self { seconds: 0, window: chance.random_bool(0.5), passenger: chance.random_bool(0.3) }
    }

    /// One second. It is over when the vehicle is ready to drive.
    pub(crate) fn step(&mut self, car: &mut Car) -> (Happening, bool) {
        self.seconds += 1;
        car.warm();
        let body = &mut car.body;
        match self.seconds {
            1 => body.locked = false,
            4 => {
                body.driver_door_open = true;
                body.passenger_door_open = self.passenger;
            }
            9 => {
                body.driver_door_open = false;
                body.passenger_door_open = false;
                body.occupied = true;
            }
            12 => {
                body.ignition_on = true;
                if self.window {
                    body.driver_window = "INTERMEDIATE";
                    body.passenger_window = if self.passenger { "OPEN" } else { "CLOSED" };
                }
            }
            15 => return (Happening::Change, true),
            _ => return (Happening::Nothing, false),
        }
        (Happening::Change, false)
    }
}
