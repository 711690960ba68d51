//! Lets time pass for the cars of a scenario, as fast as one core can.

use std::sync::Arc;
use std::time::Duration;

use cardata_domain::Catalogue;
use cardata_domain::vehicle::Drivetrain;
use cardata_simulator::{Equipment, Vehicle};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::output::{self, Progress};

/// What to simulate, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, the name of a shipped scenario, or `demo` for the vehicles of a sandbox without one, which never rest
    scenario: String,
    /// How many days pass; a part of a day is fine
    #[arg(long, value_name = "DAYS", default_value_t = 7.0, value_parser = parse_days)]
    days: f64,
    /// So many of each car, with seeds of their own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    copies: u32,
    /// Simulated seconds between two looks at all cars; `cardata dev --speed 1` looks twice a second
    #[arg(long, value_name = "SECONDS", default_value_t = 1800.0, value_parser = parse_every)]
    every: f64,
}

fn parse_days(text: &str) -> Result<f64, String> {
    let days = text.parse().ok().filter(|days| (0.001..=3660.0).contains(days));
    days.ok_or_else(|| "a number of days from 0.001 to 3660".to_owned())
}

fn parse_every(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "a number of seconds from 0.1 to 3600".to_owned())
}

/// The cars of one name, and what became of them.
struct Row {
    name: String,
    vehicles: Vec<Vehicle>,
    events: u64,
    values: u64,
    began_km: f64,
    charges: usize,
    /// The least charge that any of them had at a look.
    least_percent: Option<f64>,
}

/// Lets the days pass and prints a line for each car of the scenario.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (start, mut rows) = rows(args)?;
    let length = SignedDuration::from_secs_f64(args.days * 86_400.0);
    let every = SignedDuration::from_secs_f64(args.every);
    let progress = Progress::of_steps();
    let days = length.as_hours().unsigned_abs() / 24;
    progress.begin("simulating days", days);
    let began = Instant::now();
    let mut passed = SignedDuration::ZERO;
    while passed < length {
        passed = (passed + every).min(length);
        let now = start.checked_add(passed)?;
        for row in &mut rows {
            row.advance(now);
        }
        progress.set(passed.as_hours().unsigned_abs() / 24);
    }
    let took = began.elapsed();
    drop(progress);
    tell(&rows, args, took);
    Ok(())
}

fn rows(args: &Args) -> anyhow::Result<(Timestamp, Vec<Row>)> {
    let equipment = Equipment::new(Arc::new(Catalogue::shipped()));
    let mut number = 0;
    let mut vin = || {
        number += 1;
        format!("WBYSANDB0X{number:07}").parse()
    };
    let mut rows = Vec::new();
    if args.scenario == "demo" {
        let start: Timestamp = "2026-01-05T00:00:00Z".parse()?;
        for drivetrain in [Drivetrain::Bev, Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice] {
            let mut vehicles = Vec::new();
            for seed in 0..u64::from(args.copies) {
                vehicles.push(Vehicle::new(vin()?, drivetrain, seed, start, &equipment));
            }
            rows.push(Row::new(drivetrain.to_string(), vehicles));
        }
        return Ok((start, rows));
    }
    let scenario = super::scenario(&args.scenario)?;
    let start = scenario.started()?;
    let mut seed = scenario.seed;
    for car in &scenario.cars {
        let mut vehicles = Vec::new();
        for _ in 0..args.copies {
            let zone = scenario.time_zone.clone();
            vehicles.push(Vehicle::owned(vin()?, car, zone, seed, start, &equipment));
            seed = seed.wrapping_add(1);
        }
        rows.push(Row::new(output::harmless(&car.name), vehicles));
    }
    Ok((start, rows))
}

impl Row {
    fn new(name: String, vehicles: Vec<Vehicle>) -> Self {
        let began_km = vehicles.iter().map(Vehicle::odometer_km).sum();
        let least_percent = vehicles.iter().filter_map(Vehicle::charge_percent).reduce(f64::min);
        Self { name, vehicles, events: 0, values: 0, began_km, charges: 0, least_percent }
    }

    fn advance(&mut self, now: Timestamp) {
        for vehicle in &mut self.vehicles {
            let events = vehicle.advance(now);
            self.events += events.len() as u64;
            self.values += events.iter().map(|event| event.entries().len() as u64).sum::<u64>();
            self.charges += vehicle.take_charges().len();
            if let (Some(least), Some(percent)) = (self.least_percent, vehicle.charge_percent()) {
                self.least_percent = Some(least.min(percent));
            }
        }
    }
}

fn tell(rows: &[Row], args: &Args, took: Duration) {
    let widest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default().max(3);
    output::data(&format!(
        "{:widest$}  {:>10}  {:>10}  {:>9}  {:>9}  {:>9}  {:>7}  {:>7}",
        "car", "messages", "values", "km", "grid kWh", "fuel kWh", "charges", "least %"
    ));
    for row in rows {
        let km = row.vehicles.iter().map(Vehicle::odometer_km).sum::<f64>() - row.began_km;
        let sum = |part: fn(&Vehicle) -> f64| row.vehicles.iter().map(part).sum::<f64>();
        let least = row.least_percent.map_or_else(|| "-".to_owned(), |least| format!("{least:.0}"));
        output::data(&format!(
            "{:widest$}  {:>10}  {:>10}  {:>9.0}  {:>9.1}  {:>9.1}  {:>7}  {:>7}",
            row.name,
            row.events,
            row.values,
            km,
            sum(|vehicle| vehicle.energy().charged_kwh),
            sum(|vehicle| vehicle.energy().fuelled_kwh),
            row.charges,
            least
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let vehicles = rows.iter().map(|row| row.vehicles.len()).sum::<usize>() as f64;
    let seconds = took.as_secs_f64().max(1e-6);
    output::data(&format!(
        "\n{} days of {vehicles} cars took {seconds:.1} s: one core keeps up with {:.0} of them at --speed 1",
        args.days,
        vehicles * args.days * 86_400.0 / seconds
    ));
}
