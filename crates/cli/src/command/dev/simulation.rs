//! Lets the simulated vehicles live in the sandbox's time.

use std::sync::Arc;
use std::time::Duration;

use cardata_server::Platform;
use cardata_simulator::Vehicle;
use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

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

/// Starts the first `count` vehicles of `demo`.
pub(super) fn start(platform: &Arc<Platform>, demo: &Demo, count: u32, speed: f64, seed: u64) {
    let began = platform.clock.now();
    let vehicles =
        demo.vehicles().into_iter().take(count as usize).zip(seed..).map(|(vehicle, seed)| {
            Vehicle::new(vehicle.vin, vehicle.drivetrain, seed, began, platform.catalogue.clone())
        });
    let vehicles: Vec<_> = vehicles.collect();
    if !vehicles.is_empty() {
        platform.tasks.spawn("simulation", run(platform.clone(), vehicles, began, speed));
    }
}

async fn run(platform: Arc<Platform>, mut vehicles: Vec<Vehicle>, began: Timestamp, speed: f64) {
    let mut stopping = platform.tasks.stopping();
    let mut events: Vec<_> = vehicles.iter_mut().map(Vehicle::hello).collect();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stopping.wait() => return,
            _ = ticks.tick() => {}
        }
        let now = platform.clock.now();
        let simulated = simulated_time(began, now, speed);
        events.extend(vehicles.iter_mut().flat_map(|vehicle| vehicle.advance(simulated)));
        if events.is_empty() {
            continue;
        }
        metrics::counter!("cardata_ingest_events_total", "source" => "simulator", "outcome" => "accepted")
            .increment(events.len() as u64);
        if let Err(error) = platform.journal.append(std::mem::take(&mut events), now).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "simulated events could not be kept; the simulation ends"
            );
            return;
        }
    }
}

fn simulated_time(began: Timestamp, now: Timestamp, speed: f64) -> Timestamp {
    let elapsed = now.duration_since(began).max(SignedDuration::ZERO);
    began
        .checked_add(SignedDuration::from_secs_f64(elapsed.as_secs_f64() * speed))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_faster_by_the_factor_and_never_backwards() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(simulated_time(at(1000), at(1010), 60.0), at(1600));
        assert_eq!(simulated_time(at(1000), at(990), 60.0), at(1000));
    }

    #[test]
    fn a_speed_is_positive_and_bounded() {
        assert_eq!(parse_speed("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "fast", "10001"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }
}
