//! A sheet of customers: `email`, and, where they are given, `password` and `gcid`.

use std::collections::HashSet;

use cardata_domain::Gcid;
use cardata_domain::customer;

use super::sheet::{Row, Sheet};
use super::{Addition, Outcome, Plan, Wrong};
use crate::admin::passwords::{self, Password};
use crate::admin::refusal::Refusal;
use crate::platform::Platform;
use crate::secret;

pub(super) async fn plan(
    platform: &Platform,
    sheet: &Sheet,
    plan: &mut Plan,
) -> Result<(), Refusal> {
    let mut seen = Seen::default();
    for row in sheet.rows() {
        match line(platform, &row, &mut seen).await? {
            Ok((email, None)) => plan.settle(&row, &email, Outcome::Unchanged, None),
            Ok((email, addition)) => plan.settle(&row, &email, Outcome::Added, addition),
            Err(wrong) => plan.refuse(wrong),
        }
    }
    Ok(())
}

/// What lines before this one have.
#[derive(Default)]
struct Seen {
    emails: HashSet<String>,
    gcids: HashSet<Gcid>,
}

async fn line(
    platform: &Platform,
    row: &Row<'_>,
    seen: &mut Seen,
) -> Result<Result<(String, Option<Addition>), Wrong>, Refusal> {
    let checked = check(row, seen);
    let (email, gcid, password) = match checked {
        Ok(checked) => checked,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let known = platform.directory.customer_by_email(&email).await?;
    if let Some(known) = known {
        return Ok(match gcid {
            Some(gcid) if gcid != known.gcid => {
                let reason = "is another one than that of the customer with this `email`";
                Err(Wrong::new(row, "gcid", reason))
            }
            // A password that was changed since must not come back.
            _ => Ok((email, None)),
        });
    }
    let gcid = match gcid {
        None => Gcid::new(secret::uuid()),
        Some(gcid) if platform.directory.customer(gcid).await?.is_some() => {
            return Ok(Err(Wrong::new(row, "gcid", "is that of a customer with another `email`")));
        }
        Some(gcid) => gcid,
    };
    Ok(Ok((email.clone(), Some(Addition::Customer { gcid, email, password }))))
}

fn check(row: &Row<'_>, seen: &mut Seen) -> Result<(String, Option<Gcid>, Password), Wrong> {
    let email = row.cell("email").ok_or_else(|| Wrong::new(row, "email", "is empty"))?;
    let email =
        customer::email(email).map_err(|error| Wrong::new(row, "email", error.to_string()))?;
    let gcid = row.cell("gcid").map(str::parse::<Gcid>).transpose();
    let gcid = gcid.map_err(|error| Wrong::new(row, "gcid", error.to_string()))?;
    let given = row.cell("password");
    if let Some(Err(reason)) = given.map(passwords::check) {
        return Err(Wrong::new(row, "password", reason));
    }
    if !seen.emails.insert(email.to_lowercase()) {
        return Err(Wrong::new(row, "email", "stands in an earlier line, too"));
    }
    if gcid.is_some_and(|gcid| !seen.gcids.insert(gcid)) {
        return Err(Wrong::new(row, "gcid", "stands in an earlier line, too"));
    }
    Ok((email, gcid, Password::of_sheet(given)))
}
