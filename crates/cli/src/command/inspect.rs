//! `cardata inspect`: what is in a recording, of any form that can be played.

mod contents;
mod curve;
mod view;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_domain::{Entry, Vin};
use serde::Serialize;

use self::contents::{Contents, Heard, listen};
use super::recordings::{LINE_LENGTH_MAX, recognise};
use crate::output::{self, Advice};

/// Show what is in a recording
///
/// Vehicles, times, and for each descriptor how often it came, its first and last value, its range, and how it went over
/// time. Reads all forms that `cardata replay` plays. A damaged or cut-off file is read as far as it goes; what is lost is
/// told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata inspect recording.cardata\n  \
    cardata inspect recording.cardata --descriptor vehicle.vehicle.travelledDistance\n  \
    cardata inspect drive.csv --json")]
pub(crate) struct Args {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the values of this descriptor instead, one a line: time, VIN, value and unit
    #[arg(long, value_name = "NAME")]
    descriptor: Option<String>,
    /// Print JSON: one object, or with --descriptor one a line
    #[arg(long)]
    json: bool,
}

/// Columns where standard output is no terminal.
const WIDTH: usize = 100;
/// Narrower or wider than this, lines are not made.
const WIDTH_MIN: usize = 40;
const WIDTH_MAX: usize = 160;

/// Prints it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let recordings = recognise(std::slice::from_ref(&args.file), LINE_LENGTH_MAX)?;
    let recording = recordings.first().context("no file was named")?;
    if let Some(name) = &args.descriptor {
        let mut found = false;
        listen(recording, |heard| {
            for entry in heard.event.entries().iter().filter(|entry| entry.name() == name) {
                found = true;
                output::data(&value_line(&heard, entry, args.json));
            }
        })?;
        return if found { Ok(()) } else { Err(missing(name, &args.file)) };
    }
    let contents = Contents::of(recording)?;
    if args.json {
        output::data(&serde_json::to_string_pretty(&contents)?);
    } else {
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.into());
        for line in view::lines(&contents, width.clamp(WIDTH_MIN, WIDTH_MAX)) {
            output::data(&line);
        }
    }
    Ok(())
}

fn missing(name: &str, file: &Path) -> anyhow::Error {
    let remedy = format!("cardata inspect {}, which lists the descriptors", file.display());
    Advice::new(format!("there is no value of {name}")).remedy(remedy).into()
}

fn value_line(heard: &Heard<'_>, entry: &Entry, json: bool) -> String {
    let vin = heard.vin.as_ref().map(Vin::as_str);
    let value = entry.value().to_json();
    if json {
        let line = ValueLine { vin, timestamp: entry.at().to_string(), unit: entry.unit() };
        let line = serde_json::to_string(&line).expect("texts are JSON");
        // The value in its own digits.
        return format!("{},\"value\":{value}}}", line.trim_end_matches('}'));
    }
    let unit = entry.unit().unwrap_or("");
    let line = format!("{}\t{}\t{value}\t{unit}", entry.at(), vin.unwrap_or("-"));
    line.trim_end().to_owned()
}

#[derive(Serialize)]
struct ValueLine<'a> {
    vin: Option<&'a str>,
    timestamp: String,
    unit: Option<&'a str>,
}
