//! A simulated i3 on recorded drives.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_simulator::comparison::{Drive, DriveError, Taken};

use super::plot;
use crate::output::{self, Advice};

/// A drive in colder air is compared with others of its kind.
pub(super) const COLD_CELSIUS: f64 = 10.0;

/// A drive's name, and what both cars took.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) celsius: f64,
    pub(super) recorded: Taken,
    pub(super) simulated: Taken,
}

/// Compares the drives in `paths` and prints a line for each; draws them into `picture`.
pub(super) fn run(paths: &[PathBuf], picture: Option<&Path>) -> anyhow::Result<()> {
    let mut pairs = Vec::new();
    let mut skipped = Vec::new();
    for file in files(paths)? {
        let text = std::fs::read(&file)
            .with_context(|| format!("the recording {} can't be read", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        match Drive::parse(&text) {
            Ok(drive) => pairs.push(Pair {
                name: output::harmless(&name),
                celsius: drive.ambient_celsius(),
                recorded: drive.recorded(),
                simulated: drive.simulated(),
            }),
            Err(error) => skipped.push((file, error)),
        }
    }
    for (file, error) in &skipped {
        output::note(&format!("left out {}: {}", file.display(), reason(error)));
    }
    if pairs.is_empty() {
        let what = "there is no drive to compare with";
        let remedy = "name recordings of a BMW i3 in CSV, one row a second, with the columns speed_kmh, elevation_m, \
                      batt_v, batt_a, batt_temp_c, soc_displayed_pct, ambient_c and cabin_c";
        return Err(Advice::new(what).remedy(remedy).into());
    }
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    tell(&pairs);
    if let Some(file) = picture {
        std::fs::write(file, plot::svg(&pairs))
            .with_context(|| format!("the plot {} can't be written", file.display()))?;
    }
    Ok(())
}

fn reason(error: &DriveError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error} ({})", output::harmless(&source.to_string())),
        None => error.to_string(),
    }
}

/// The files, and those in the folders whose names end in `.csv`.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let context = || format!("the folder {} can't be read", path.display());
            for entry in std::fs::read_dir(path).with_context(context)? {
                let file = entry.with_context(context)?.path();
                if file.extension().is_some_and(|extension| extension == "csv") {
                    files.push(file);
                }
            }
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    Ok(files)
}

fn tell(pairs: &[Pair]) {
    let widest =
        pairs.iter().map(|pair| pair.name.chars().count()).max().unwrap_or_default().max(9);
    output::data(&format!(
        "{:widest$}  {:>5}  {:>5}  {:>19}  {:>19}",
        "", "", "", "kWh for 100 km", "% for 100 km"
    ));
    output::data(&format!(
        "{:widest$}  {:>5}  {:>5}  {:>8}  {:>9}  {:>8}  {:>9}",
        "drive", "km", "°C", "recorded", "simulated", "recorded", "simulated"
    ));
    for Pair { name, celsius, recorded, simulated } in pairs {
        output::data(&format!(
            "{name:widest$}  {:>5.1}  {celsius:>5.1}  {:>8.1}  {:>9.1}  {:>8.0}  {:>9.0}",
            recorded.km,
            recorded.kwh_per_100_km,
            simulated.kwh_per_100_km,
            recorded.percent_per_100_km,
            simulated.percent_per_100_km
        ));
    }
    let (cold, warm): (Vec<_>, Vec<_>) = pairs.iter().partition(|pair| pair.celsius < COLD_CELSIUS);
    output::data("");
    for (pairs, when) in [(pairs.iter().collect(), "all"), (warm, "warm"), (cold, "cold")] {
        spread(&pairs, when, "kWh for 100 km", |taken| taken.kwh_per_100_km);
        spread(&pairs, when, "% for 100 km", |taken| taken.percent_per_100_km);
    }
}

/// How far the figures of `pairs` lie apart, and how many of the simulated ones lie between the recorded ones.
fn spread(pairs: &[&Pair], when: &str, what: &str, figure: fn(&Taken) -> f64) {
    let ends = |figures: &[f64]| {
        let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
        (least, figures.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let recorded: Vec<_> = pairs.iter().map(|pair| figure(&pair.recorded)).collect();
    let simulated: Vec<_> = pairs.iter().map(|pair| figure(&pair.simulated)).collect();
    if pairs.is_empty() {
        return;
    }
    let (least, most) = ends(&recorded);
    let within = simulated.iter().filter(|figure| (least..=most).contains(*figure)).count();
    let (simulated_least, simulated_most) = ends(&simulated);
    output::data(&format!(
        "{when}, {what}: recorded {least:.1} to {most:.1}, simulated {simulated_least:.1} to {simulated_most:.1}; \
         {within} of {} within the spread",
        pairs.len()
    ));
}
