//! Driving from one stop to the next: how fast, and where to halt.

use rand::RngExt;

use crate::car::{Car, Chance};
use crate::report::Happening;
use crate::route::BRAKING;

/// How likely a light is red.
const RED: f64 = 0.35;
/// The most that a driver asks of the motor, so that it is a calm drive.
const POWER_W: f64 = 60_000.0;
const ACCELERATION: f64 = 1.9;

/// A drive.
#[derive(Debug)]
pub(crate) struct Trip {
    /// From the start of the trip; the farthest first, which is the stop.
    halts: Vec<Halt>,
    driven_m: f64,
    waiting_seconds: u32,
    /// The part of the allowed speed that this driver, in this traffic, drives.
    pace: f64,
    seconds: u32,
}

#[derive(Debug)]
struct Halt {
    at_m: f64,
    seconds: u32,
}

impl Trip {
    /// A drive from where `car` stands to the stop after it.
    pub(crate) fn new(car: &mut Car, chance: &mut Chance) -> Self {
        let route = car.route;
        car.body.locked = true;
        let length_m = (route.stop_m(car.stop + 1) - car.along_m).rem_euclid(route.length_m());
        let mut halts = vec![Halt { at_m: length_m, seconds: 0 }];
        for at_m in route.lights_ahead(car.along_m, length_m).into_iter().rev() {
            if chance.random_bool(RED) {
                halts.push(Halt { at_m, seconds: chance.random_range(6..25) });
            }
        }
        Self {
            halts,
            driven_m: 0.0,
            waiting_seconds: 0,
            pace: chance.random_range(0.92..1.0),
            seconds: 0,
        }
    }

    /// One second. The trip is over when the car has come to its stop.
    pub(crate) fn step(&mut self, car: &mut Car, chance: &mut Chance) -> (Happening, bool) {
        self.seconds += 1;
        self.pace = (self.pace + chance.random_range(-0.004..0.004)).clamp(0.86, 1.0);
        if self.seconds.is_multiple_of(20) && car.satellites > 0 {
            car.satellites = (car.satellites + chance.random_range(0..=2)).clamp(9, 18) - 1;
        }
        let speed_before = car.speed_mps;
        let speed = if self.waiting_seconds > 0 {
            self.waiting_seconds -= 1;
            0.0
        } else {
            self.next_speed(car)
        };
        car.roll(speed);
        self.driven_m += f64::midpoint(speed_before, speed);
        let halt = &self.halts[self.halts.len() - 1];
        // The last second of braking may end a hand's breadth short or over.
        if speed <= 0.0 && self.waiting_seconds == 0 && halt.at_m - self.driven_m < 1.0 {
            if self.halts.len() == 1 {
                return (Happening::Change, true);
            }
            self.waiting_seconds = halt.seconds;
            self.halts.pop();
        }
        // The doors have locked themselves.
        (if self.seconds == 1 { Happening::Change } else { Happening::Time }, false)
    }

    /// The speed a second from now that keeps the limits and stops at the next halt.
    fn next_speed(&self, car: &Car) -> f64 {
        let now = car.speed_mps;
        let route = car.route;
        let allowed =
            self.pace * route.allowed_mps(car.along_m).min(route.allowed_mps(car.along_m + now));
        let pull = ACCELERATION.min(POWER_W / (car.model.mass_kg * now.max(1.0)));
        let left_m = self.halts[self.halts.len() - 1].at_m - self.driven_m;
        (now + pull).min(allowed.max(now - 2.0 * BRAKING)).min(braking_speed(now, left_m)).max(0.0)
    }
}

/// The speed a second from now from which even braking just ends after `left_m`.
fn braking_speed(now: f64, left_m: f64) -> f64 {
    // (now + next) / 2 + next² / (2 · BRAKING) = left
    let square = BRAKING * BRAKING - 4.0 * BRAKING * (now - 2.0 * left_m);
    if square <= 0.0 { 0.0 } else { (square.sqrt() - BRAKING) / 2.0 }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::model::Kind;

    #[test]
    fn a_trip_takes_about_ten_minutes_keeps_the_limits_and_ends_at_the_next_stop() {
        for seed in 0..40 {
            let mut chance = Chance::seed_from_u64(seed);
            let start = "2026-08-01T08:00:00Z".parse().unwrap();
            let mut car = Car::new(Kind::I5.model(), start, &mut chance);
            let end_m = car.route.stop_m(car.stop + 1);
            let mut trip = Trip::new(&mut car, &mut chance);
            let mut seconds = 0;
            loop {
                let before = car.speed_mps;
                let (_, over) = trip.step(&mut car, &mut chance);
                seconds += 1;
                assert!(car.speed_mps <= car.route.allowed_mps(car.along_m) + 0.5);
                assert!(
                    (-3.5..2.0).contains(&(car.speed_mps - before)),
                    "{}",
                    car.speed_mps - before
                );
                if over {
                    break;
                }
            }
            assert!((480..780).contains(&seconds), "{seconds} s");
            let off_m = (car.along_m - end_m).abs();
            assert!(off_m.min(car.route.length_m() - off_m) < 1.0, "{off_m} m off the stop");
        }
    }
}
