//! A sheet of mappings: `gcid` or `email`, `vin` and `type`. It only adds: what would end somebody's link is refused.

use std::collections::{HashMap, HashSet};

use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{Gcid, Vin};

use super::sheet::{Row, Sheet};
use super::vehicles::vin;
use super::{Addition, Known, Outcome, Plan, Wrong};
use crate::admin::refusal::Refusal;
use crate::platform::Platform;

pub(super) async fn plan(
    platform: &Platform,
    sheet: &Sheet,
    plan: &mut Plan,
) -> Result<(), Refusal> {
    let mut seen = Seen::default();
    for row in sheet.rows() {
        match line(platform, &row, &mut seen).await? {
            Ok((mapping, outcome)) => {
                let key = format!("{} {}", mapping.gcid, mapping.vin.as_str());
                let addition =
                    (outcome != Outcome::Unchanged).then_some(Addition::Mapping(mapping));
                plan.settle(&row, &key, outcome, addition);
            }
            Err(wrong) => plan.refuse(wrong),
        }
    }
    Ok(())
}

/// What lines before this one have.
#[derive(Default)]
struct Seen {
    customers: Known,
    links: HashSet<(Gcid, Vin)>,
    primaries: HashMap<Vin, u64>,
}

async fn line(
    platform: &Platform,
    row: &Row<'_>,
    seen: &mut Seen,
) -> Result<Result<(Mapping, Outcome), Wrong>, Refusal> {
    let (vin, mapping_type) = match check(row) {
        Ok(checked) => checked,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let gcid = match seen.customers.customer(platform, row).await? {
        Ok(customer) => customer.gcid,
        Err(wrong) => return Ok(Err(wrong)),
    };
    if platform.directory.vehicle(vin).await?.is_none() {
        return Ok(Err(Wrong::new(row, "vin", "names no vehicle that is known here")));
    }
    if !seen.links.insert((gcid, vin)) {
        return Ok(Err(Wrong::new(
            row,
            "vin",
            "is linked to the customer in an earlier line, too",
        )));
    }
    let links = platform.directory.mappings_of_vehicle(vin).await?;
    let own = links.iter().find(|link| link.gcid == gcid);
    if let Some(own) = own.filter(|own| own.mapping_type == mapping_type) {
        return Ok(Ok((own.clone(), Outcome::Unchanged)));
    }
    if mapping_type == MappingType::Primary {
        let other = |link: &&Mapping| link.mapping_type == MappingType::Primary;
        if let Some(other) = links.iter().find(other) {
            let reason = format!("must be SECONDARY: the vehicle's PRIMARY is {}", other.gcid);
            return Ok(Err(Wrong::new(row, "type", reason)));
        }
        if let Some(earlier) = seen.primaries.insert(vin, row.line) {
            let reason = format!("must be SECONDARY: line {earlier} has the vehicle's PRIMARY");
            return Ok(Err(Wrong::new(row, "type", reason)));
        }
    } else if own.is_some() {
        let reason = "would end the customer's link as PRIMARY; an import ends nothing";
        return Ok(Err(Wrong::new(row, "type", reason)));
    }
    let outcome = if own.is_some() { Outcome::Changed } else { Outcome::Added };
    let mapping = Mapping { gcid, vin, mapping_type, since: platform.clock.now() };
    Ok(Ok((mapping, outcome)))
}

fn check(row: &Row<'_>) -> Result<(Vin, MappingType), Wrong> {
    let vin = vin(row)?;
    let text = row.cell("type").ok_or_else(|| Wrong::new(row, "type", "is empty"))?;
    let mapping_type =
        text.parse().map_err(|error: cardata_domain::vehicle::UnknownMappingType| {
            Wrong::new(row, "type", error.to_string())
        })?;
    Ok((vin, mapping_type))
}
