//! Lets the simulated vehicles live in the sandbox's time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardata_domain::{Entry, Event};
use cardata_server::Platform;
use cardata_simulator::{Equipment, Vehicle};
use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use super::Fleet;
use super::demo::Demo;

/// How often vehicles are asked what they have to report. At high speeds a tick covers more simulated time.
const TICK: Duration = Duration::from_millis(500);

/// A factor above 0 and up to 10,000.
pub(super) fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed <= 10_000.0 => Ok(speed),
        _ => Err("a speed is a number above 0 and at most 10000, such as 1 or 60".to_owned()),
    }
}

/// Simulated time that one call of `advance` covers at the most; what is beyond would be left out.
const STEP_MAX: SignedDuration = SignedDuration::from_mins(30);

/// Starts the vehicles of `demo` that are simulated where the last run left them: with their odometers, and not before what
/// they reported last.
pub(super) async fn start(
    platform: &Arc<Platform>,
    demo: &Demo,
    fleet: &Fleet,
    speed: f64,
    first_seed: u64,
) -> anyhow::Result<()> {
    let began = platform.clock.now();
    let mut simulation =
        Simulation { began, started: began, simulated: began, speed, vehicles: Vec::new() };
    let odometer = platform.catalogue.find(ODOMETER);
    let mut odometers = Vec::new();
    for vehicle in &demo.simulated {
        let latest =
            platform.journal.latest(vehicle.vin).await.context("the events can't be read")?;
        let newest = latest.iter().map(Entry::at).max().unwrap_or(began);
        simulation.started = simulation.started.max(newest);
        let driven = latest.iter().find(|entry| Some(entry.descriptor()) == odometer);
        odometers
            .push((vehicle, driven.and_then(|entry| entry.value().as_plain().parse::<f64>().ok())));
    }
    simulation.simulated = simulation.started;
    let equipment = Equipment::new(platform.catalogue.clone());
    let started = simulation.started;
    for (number, (vehicle, odometer_km)) in odometers.into_iter().enumerate() {
        let own_seed = first_seed.wrapping_add(number as u64);
        let new = match fleet {
            Fleet::Demo(_) => {
                Vehicle::new(vehicle.vin, vehicle.drivetrain, own_seed, started, &equipment)
            }
            Fleet::Scenario(scenario) => Vehicle::owned(
                vehicle.vin,
                &scenario.cars[number],
                scenario.time_zone.clone(),
                own_seed.wrapping_add(scenario.seed),
                started,
                &equipment,
            ),
        };
        simulation.vehicles.push(odometer_km.into_iter().fold(new, Vehicle::with_odometer_km));
    }
    if !simulation.vehicles.is_empty() {
        platform.tasks.spawn("simulation", simulation.run(platform.clone()));
    }
    Ok(())
}

/// Simulated time that is made up for after a pause, at the most.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);

const ODOMETER: &str = "vehicle.vehicle.travelledDistance";

struct Simulation {
    /// When it began by the clock, and in simulated time.
    began: Timestamp,
    started: Timestamp,
    /// How far it got in simulated time.
    simulated: Timestamp,
    speed: f64,
    vehicles: Vec<Vehicle>,
}

impl Simulation {
    async fn run(mut self, platform: Arc<Platform>) {
        let mut stopping = platform.tasks.stopping();
        let mut events: Vec<_> = self.vehicles.iter_mut().map(Vehicle::hello).collect();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stopping.wait() => return,
                _ = ticks.tick() => {}
            }
            let now = platform.clock.now();
            let mut until = simulated_time(self.began, now, self.started, self.speed);
            let late = until.duration_since(self.simulated) - LATE_MAX;
            if late > SignedDuration::ZERO {
                // The machine slept, or can't keep up: that time did not happen.
                self.started -= late;
                until -= late;
            }
            while !stopping.is_due() {
                self.simulated = until.min(self.simulated.checked_add(STEP_MAX).unwrap_or(until));
                events.extend(
                    self.vehicles.iter_mut().flat_map(|vehicle| vehicle.advance(self.simulated)),
                );
                if !events.is_empty() && !keep(&platform, std::mem::take(&mut events), now).await {
                    return;
                }
                if self.simulated >= until {
                    break;
                }
            }
        }
    }
}

/// Whether the journal took the events.
async fn keep(platform: &Platform, events: Vec<Event>, now: Timestamp) -> bool {
    let count = events.len() as u64;
    match platform.journal.append(events, now).await {
        Ok(_) => {
            metrics::counter!("cardata_ingest_events_total", "source" => "simulator", "outcome" => "accepted")
                .increment(count);
            true
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "simulated events could not be kept; the simulation ends"
            );
            false
        }
    }
}

fn simulated_time(began: Timestamp, now: Timestamp, started: Timestamp, speed: f64) -> Timestamp {
    let elapsed = now.duration_since(began).max(SignedDuration::ZERO);
    let simulated = SignedDuration::from_secs_f64(elapsed.as_secs_f64() * speed);
    started.checked_add(simulated).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_faster_by_the_factor_and_never_backwards() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(simulated_time(at(1000), at(1010), at(5000), 60.0), at(5600));
        assert_eq!(simulated_time(at(1000), at(990), at(5000), 60.0), at(5000));
    }

    #[test]
    fn a_speed_is_positive_and_bounded() {
        assert_eq!(parse_speed("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "fast", "10001"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }
}
