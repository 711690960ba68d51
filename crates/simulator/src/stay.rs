//! Parking: the driver leaves the vehicle, it is silent, and the driver comes back.

use rand::RngExt;

use crate::car::{Car, Chance};
use crate::report::Scope;

/// Below this a driver takes the time to refuel.
const REFUEL_BELOW_PERCENT: f64 = 25.0;

/// The vehicle stands, from the stop until the driver comes back.
#[derive(Debug)]
pub(crate) struct Stay {
    seconds: u32,
    length_seconds: u32,
    boot: bool,
    passenger: bool,
}

impl Stay {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self {
            seconds: 0,
            length_seconds: chance.random_range(150..=210),
            boot: chance.random_bool(0.5),
            passenger: chance.random_bool(0.3),
        }
    }

    /// One second. The stay is over when the driver is back beside the vehicle.
    pub(crate) fn step(&mut self, car: &mut Car) -> (Scope, bool) {
        self.seconds += 1;
        car.warm();
        let body = &mut car.body;
        match self.seconds {
            2 => {
                body.ignition_on = false;
                body.locked = false;
            }
            6 => {
                body.driver_door_open = true;
                body.passenger_door_open = self.passenger;
            }
            10 => {
                body.occupied = false;
                body.boot_open = self.boot;
            }
            16 => {
                body.driver_door_open = false;
                body.passenger_door_open = false;
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
            _ => return (Scope::Nothing, self.seconds >= self.length_seconds),
        }
        (Scope::All, false)
    }
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
    pub(crate) fn step(&mut self, car: &mut Car) -> (Scope, bool) {
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
            15 => return (Scope::All, true),
            _ => return (Scope::Nothing, false),
        }
        (Scope::All, false)
    }
}
