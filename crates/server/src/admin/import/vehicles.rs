//! A sheet of vehicles: `vin`, `drivetrain`, and the members of their build that are known. An empty cell leaves what is
//! known as it is.

use std::collections::HashSet;

use cardata_domain::Vin;
use cardata_domain::vehicle::{Build, Drivetrain, Vehicle};

use super::sheet::{Row, Sheet};
use super::{Addition, Outcome, Plan, Wrong};
use crate::admin::refusal::Refusal;
use crate::admin::vehicles::{BUILD, set};
use crate::platform::Platform;

pub(super) async fn plan(
    platform: &Platform,
    sheet: &Sheet,
    plan: &mut Plan,
) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for row in sheet.rows() {
        let vin = match vin(&row) {
            Ok(vin) if seen.insert(vin) => vin,
            Ok(_) => {
                plan.refuse(Wrong::new(&row, "vin", "stands in an earlier line, too"));
                continue;
            }
            Err(wrong) => {
                plan.refuse(wrong);
                continue;
            }
        };
        let known = platform.directory.vehicle(vin).await?;
        let wanted = match wanted(&row, vin, known.as_ref()) {
            Ok(wanted) => wanted,
            Err(wrong) => {
                plan.refuse(wrong);
                continue;
            }
        };
        let outcome = match known {
            None => Outcome::Added,
            Some(known) if known == wanted => Outcome::Unchanged,
            Some(_) => Outcome::Changed,
        };
        let addition = (outcome != Outcome::Unchanged)
            .then_some(Addition::Vehicle { vehicle: Box::new(wanted), outcome });
        plan.settle(&row, vin.as_str(), outcome, addition);
    }
    Ok(())
}

/// The VIN of a row of vehicles or mappings.
pub(super) fn vin(row: &Row<'_>) -> Result<Vin, Wrong> {
    let text = row.cell("vin").ok_or_else(|| Wrong::new(row, "vin", "is empty"))?;
    text.parse::<Vin>().map_err(|error| Wrong::new(row, "vin", error.to_string()))
}

fn wanted(row: &Row<'_>, vin: Vin, known: Option<&Vehicle>) -> Result<Vehicle, Wrong> {
    let drivetrain = match (row.cell("drivetrain"), known) {
        (None, Some(known)) => known.drivetrain,
        (None, None) => return Err(Wrong::new(row, "drivetrain", "is empty")),
        (Some(text), _) => text
            .parse::<Drivetrain>()
            .map_err(|error| Wrong::new(row, "drivetrain", error.to_string()))?,
    };
    let mut build = known.map_or_else(|| Build::unknown(drivetrain), |known| known.build.clone());
    for name in BUILD {
        if let Some(text) = row.cell(name) {
            set(&mut build, name, text).map_err(|reason| Wrong::new(row, name, reason))?;
        }
    }
    Ok(Vehicle { vin, drivetrain, build })
}
