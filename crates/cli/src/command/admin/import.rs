//! `cardata admin import`.

use std::path::PathBuf;

use anyhow::Context as _;
use cardata_client::operator::{AdminError, Method};
use serde_json::{Value, json};

use super::{Server, advise, once, print_json, table};
use crate::output::{self, Advice, harmless};

/// Add customers, vehicles or mappings from a sheet of comma-separated values
///
/// The sheet is checked whole first, and nothing is added while a line is wrong. What is there already is left as it is,
/// so the same sheet can be sent again. Passwords that were made up are printed as comma-separated values.
#[derive(Debug, clap::Args)]
#[command(after_help = "Columns, in any order, below a header with their names:\n  \
    customers  email, password (empty: made up), gcid (empty: a new one)\n  \
    vehicles   vin, drivetrain, and what is known: brand, model_name, model_key, series, series_devt,\n             \
    body_type, number_of_doors, colour_code, colour_description, country_code, constructed_at, battery_ah,\n             \
    has_navi, has_sun_roof, head_unit, steering, engine, charging_modes, equipment_codes, sim_status\n  \
    mappings   email or gcid, vin, type (PRIMARY or SECONDARY)\n\n\
    Examples:\n  \
    cardata admin import customers people.csv --dry-run\n  \
    cardata admin import customers people.csv > passwords.csv")]
pub(super) struct Args {
    /// What the sheet is about
    #[arg(value_enum, value_name = "WHAT")]
    kind: Kind,
    /// The sheet, at most 8 MiB and 100,000 lines
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    Customers,
    Vehicles,
    Mappings,
}

pub(super) async fn run(server: &Server, args: Args) -> anyhow::Result<()> {
    let Args { kind, file, dry_run } = args;
    let csv = std::fs::read_to_string(&file).with_context(|| {
        Advice::new(format!("cannot read {}", file.display()))
            .remedy("a file with comma-separated values in UTF-8")
            .usage()
    })?;
    let kind = match kind {
        Kind::Customers => "customers",
        Kind::Vehicles => "vehicles",
        Kind::Mappings => "mappings",
    };
    let body = json!({"kind": kind, "csv": csv, "dry_run": dry_run});
    let what = if dry_run { "cannot try the import" } else { "cannot import the sheet" };
    let (report, failure) =
        match server.admin.call(Method::Post, &["import"], &[], Some(&body)).await {
            Ok(report) => (report, None),
            // A report of what is wrong, or of what was done until it failed.
            Err(AdminError::Refused { status, reason, remedy, answer })
                if answer.get("errors").is_some() =>
            {
                let error = AdminError::Refused { status, reason, remedy, answer: Value::Null };
                (answer, Some(error))
            }
            Err(error) => return Err(advise(error, what)),
        };
    if server.json {
        print_json(&report);
    } else {
        for line in describe(&report, dry_run) {
            output::note(&line);
        }
        print_passwords(&report);
    }
    let wrong = report["wrong"].as_u64().unwrap_or_default();
    match failure {
        Some(error) => Err(advise(error, what)),
        None if wrong > 0 => {
            let what = format!("{wrong} lines of {} are wrong", file.display());
            Err(Advice::new(what).remedy("correct them, then try again").usage().into())
        }
        None => Ok(()),
    }
}

/// What a report says, in lines.
fn describe(report: &Value, dry_run: bool) -> Vec<String> {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let would = if dry_run { "would be " } else { "" };
    let mut lines = Vec::new();
    if number("wrong") == 0 {
        lines.push(format!(
            "{} lines: {would}{} added, {} changed, {} left as they are",
            number("lines"),
            number("added"),
            number("changed"),
            number("unchanged")
        ));
    }
    let errors = report["errors"].as_array().cloned().unwrap_or_default();
    if !errors.is_empty() {
        let columns = [("LINE", "/line"), ("COLUMN", "/column"), ("REASON", "/reason")];
        lines.extend(table::rows(&errors, &columns));
    }
    let more = number("wrong").saturating_sub(errors.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more lines are wrong"));
    }
    lines
}

/// Passwords that were made up, as comma-separated values.
fn print_passwords(report: &Value) {
    let passwords = report["passwords"].as_array().filter(|all| !all.is_empty());
    let Some(passwords) = passwords else { return };
    output::data("email,gcid,password");
    for one in passwords {
        let cell = |name: &str| harmless(one[name].as_str().unwrap_or_default());
        output::data(&format!("{},{},{}", quoted(&cell("email")), cell("gcid"), cell("password")));
    }
    once("list of passwords");
}

/// A cell that has a comma or a quotation mark in it is put in quotation marks.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_would_be_done_or_what_is_wrong() {
        let good =
            json!({"lines": 3, "added": 1, "changed": 0, "unchanged": 2, "wrong": 0, "errors": []});
        assert_eq!(
            describe(&good, true),
            ["3 lines: would be 1 added, 0 changed, 2 left as they are"]
        );
        let bad = json!({"lines": 3, "wrong": 2, "errors": [{"line": 4, "column": "vin", "reason": "is empty"}]});
        assert_eq!(
            describe(&bad, false),
            ["LINE  COLUMN  REASON", "4     vin     is empty", "and 1 more lines are wrong"]
        );
        assert_eq!((quoted("a"), quoted("a,\"b")), ("a".to_owned(), "\"a,\"\"b\"".to_owned()));
    }
}
