//! `POST /admin/v1/import`: customers, vehicles or mappings from a sheet of comma-separated values.
//!
//! The whole sheet is checked first, and nothing is added while a line is wrong. What is there already is left as it is,
//! so the same sheet can be sent again.

mod customers;
mod mappings;
mod sheet;
mod vehicles;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cardata_domain::Gcid;
use cardata_domain::customer::Customer;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::{Mapping, Vehicle};
use cardata_store::directory::{Additions, DirectoryError};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;

use self::sheet::{Row, Sheet};
use super::fields::Fields;
use super::passwords::Password;
use super::refusal::Refusal;
use crate::platform::Platform;

/// Bytes that a sheet may have.
const SHEET_LENGTH_MAX: usize = 8 << 20;
/// Bytes that a request may have: in JSON, line ends and quotation marks take two.
const BODY_LENGTH_MAX: usize = 2 * SHEET_LENGTH_MAX + (64 << 10);
/// Wrong lines, and outcomes, that an answer lists; all are counted.
const LISTED_MAX: usize = 1000;
/// What is added in one transaction, so that others who write wait for a moment only.
const STEP: usize = 200;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/import", post(import)).layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
}

/// What a sheet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Customers,
    Vehicles,
    Mappings,
}

impl std::str::FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "customers" => Ok(Self::Customers),
            "vehicles" => Ok(Self::Vehicles),
            "mappings" => Ok(Self::Mappings),
            _ => Err("known are customers, vehicles and mappings"),
        }
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Added,
    Changed,
    Unchanged,
}

/// A line that is wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    /// Counted from 1, the header included.
    line: u64,
    /// The column, where one is to blame.
    column: Option<String>,
    /// What is wrong, in words.
    reason: String,
}

impl Wrong {
    fn new(row: &Row<'_>, column: &str, reason: impl Into<String>) -> Self {
        Self { line: row.line, column: Some(column.to_owned()), reason: reason.into() }
    }
}

/// What a line asks for.
enum Addition {
    Customer { gcid: Gcid, email: String, password: Password },
    Vehicle { vehicle: Box<Vehicle>, outcome: Outcome },
    Mapping(Mapping),
}

/// What a sheet comes to.
#[derive(Default)]
struct Plan {
    additions: Vec<Addition>,
    report: Report,
}

/// What is told about it.
#[derive(Default, Serialize)]
struct Report {
    lines: usize,
    added: usize,
    changed: usize,
    unchanged: usize,
    wrong: usize,
    /// Of each line, the first thousand.
    outcomes: Vec<Told>,
    /// The first thousand.
    errors: Vec<Wrong>,
}

#[derive(Serialize)]
struct Told {
    line: u64,
    key: String,
    outcome: Outcome,
}

/// A password that was made up.
#[derive(Serialize)]
struct NewPassword {
    email: String,
    gcid: String,
    password: String,
}

impl Plan {
    fn settle(&mut self, row: &Row<'_>, key: &str, outcome: Outcome, addition: Option<Addition>) {
        let report = &mut self.report;
        report.lines += 1;
        match outcome {
            Outcome::Added => report.added += 1,
            Outcome::Changed => report.changed += 1,
            Outcome::Unchanged => report.unchanged += 1,
        }
        if report.outcomes.len() < LISTED_MAX {
            report.outcomes.push(Told { line: row.line, key: key.to_owned(), outcome });
        }
        self.additions.extend(addition);
    }

    fn refuse(&mut self, wrong: Wrong) {
        self.report.lines += 1;
        self.report.wrong += 1;
        if self.report.errors.len() < LISTED_MAX {
            self.report.errors.push(wrong);
        }
    }
}

/// Customers that a sheet names, each looked up once.
#[derive(Default)]
struct Known(HashMap<String, Option<Customer>>);

impl Known {
    /// The customer whom the row names, by `gcid` or `email`.
    async fn customer(
        &mut self,
        platform: &Platform,
        row: &Row<'_>,
    ) -> Result<Result<Customer, Wrong>, DirectoryError> {
        let (column, name) = match (row.cell("gcid"), row.cell("email")) {
            (Some(_), Some(_)) => {
                return Ok(Err(Wrong::new(row, "email", "stands beside `gcid`; fill in one")));
            }
            (Some(gcid), None) => ("gcid", gcid),
            (None, Some(email)) => ("email", email),
            (None, None) => {
                return Ok(Err(Wrong::new(row, "email", "is empty, and so is `gcid`")));
            }
        };
        if !self.0.contains_key(name) {
            let directory = &platform.directory;
            let found = match (column, name.parse::<Gcid>()) {
                ("gcid", Ok(gcid)) => directory.customer(gcid).await?,
                ("gcid", Err(error)) => {
                    return Ok(Err(Wrong::new(row, column, format!("can't be used: {error}"))));
                }
                _ => directory.customer_by_email(name).await?,
            };
            self.0.insert(name.to_owned(), found);
        }
        let found = self.0.get(name).cloned().flatten();
        Ok(found.ok_or_else(|| Wrong::new(row, column, "names no customer")))
    }
}

async fn import(
    State(platform): State<Arc<Platform>>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|_| Refusal::Length(BODY_LENGTH_MAX))?;
    let mut fields = Fields::parse(&body)?;
    drop(body);
    let kind: Kind = fields.required_parsed("kind")?;
    let csv = fields.required("csv")?;
    let dry_run = fields.flag("dry_run")?.ok_or_else(|| {
        fields.wrong("dry_run", "is missing").or_else("try it first: `\"dry_run\": true`")
    })?;
    fields.end()?;
    if csv.len() > SHEET_LENGTH_MAX {
        return Err(Refusal::Length(SHEET_LENGTH_MAX));
    }
    let Plan { additions, report } = plan(&platform, kind, &csv).await?;
    if dry_run {
        return Ok(told(StatusCode::OK, &report, dry_run, &[], None));
    }
    if report.wrong > 0 {
        let error = format!("{} lines of `csv` are wrong, so nothing was added", report.wrong);
        let remedy = "correct the lines in `errors`, then send the whole again".to_owned();
        let why = Some((error, remedy));
        return Ok(told(StatusCode::UNPROCESSABLE_ENTITY, &report, dry_run, &[], why));
    }
    let mut passwords = Vec::new();
    match carry_out(&platform, additions, &mut passwords).await {
        Ok(()) => Ok(told(StatusCode::OK, &report, dry_run, &passwords, None)),
        Err(refusal) => {
            // What was added stays, so its passwords must be told.
            tracing::error!(
                error = &refusal as &dyn std::error::Error,
                "an import stopped half-way"
            );
            let error = format!("the import stopped half-way: {refusal}");
            let remedy =
                "send the same again, which adds the rest; keep the passwords of this answer";
            let why = Some((error, remedy.to_owned()));
            Ok(told(refusal.status(), &report, dry_run, &passwords, why))
        }
    }
}

async fn plan(platform: &Platform, kind: Kind, csv: &str) -> Result<Plan, Refusal> {
    let (required, optional): (&[&str], Vec<&str>) = match kind {
        Kind::Customers => (&["email"], vec!["password", "gcid"]),
        Kind::Vehicles => (&["vin", "drivetrain"], super::vehicles::BUILD.to_vec()),
        Kind::Mappings => (&["vin", "type"], vec!["email", "gcid"]),
    };
    let sheet =
        Sheet::read(csv, required, &optional).map_err(|reason| Refusal::field("csv", reason))?;
    let mut plan = Plan::default();
    for (line, reason) in &sheet.unreadable {
        plan.refuse(Wrong { line: *line, column: None, reason: reason.clone() });
    }
    let planned = match kind {
        Kind::Customers => customers::plan(platform, &sheet, &mut plan).await,
        Kind::Vehicles => vehicles::plan(platform, &sheet, &mut plan).await,
        Kind::Mappings => mappings::plan(platform, &sheet, &mut plan).await,
    };
    planned?;
    plan.report.errors.sort_by_key(|wrong| wrong.line);
    Ok(plan)
}

async fn carry_out(
    platform: &Platform,
    additions: Vec<Addition>,
    passwords: &mut Vec<NewPassword>,
) -> Result<(), Refusal> {
    let mut rest = additions.into_iter();
    loop {
        let step: Vec<_> = rest.by_ref().take(STEP).collect();
        if step.is_empty() {
            return Ok(());
        }
        let mut told = Vec::new();
        let (mut batch, mut mappings) = (Additions::default(), Vec::new());
        let now = platform.clock.now();
        let mut hashing = Vec::new();
        for addition in step {
            match addition {
                Addition::Customer { gcid, email, password } => {
                    hashing.push(async move { (gcid, email, password.hash().await, password) });
                }
                Addition::Vehicle { vehicle, outcome } => {
                    let act = match outcome {
                        Outcome::Added => Act::VehicleAdded,
                        Outcome::Changed | Outcome::Unchanged => Act::VehicleChanged,
                    };
                    let record = Record::new(now, Actor::Operator, act);
                    batch.records.push(record.with("vin", vehicle.vin.as_str()));
                    batch.vehicles.push(*vehicle);
                }
                Addition::Mapping(mapping) => mappings.push(mapping),
            }
        }
        let mut hashed = stream::iter(hashing).buffered(hashers());
        while let Some((gcid, email, hash, password)) = hashed.next().await {
            if let Some(text) = password.to_tell() {
                let (email, gcid, password) = (email.clone(), gcid.to_string(), text.to_owned());
                told.push(NewPassword { email, gcid, password });
            }
            let record = Record::new(now, Actor::Operator, Act::CustomerAdded).of(gcid);
            batch.records.push(record);
            let customer = Customer { gcid, email, password_hash: hash?, created_at: now };
            batch.customers.push(customer);
        }
        if !batch.records.is_empty() {
            platform.directory.add(&batch).await?;
        }
        super::mappings::begin(platform, &mappings).await?;
        passwords.append(&mut told);
    }
}

/// Passwords that are hashed at a time: half of the processors, so that streams and log-ins have the other half.
fn hashers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).max(1)
}

fn told(
    status: StatusCode,
    report: &Report,
    dry_run: bool,
    passwords: &[NewPassword],
    why: Option<(String, String)>,
) -> Response {
    let mut answer = json!(report);
    answer["dry_run"] = dry_run.into();
    answer["passwords"] = json!(passwords);
    if let Some((error, remedy)) = why {
        answer["error"] = error.into();
        answer["remedy"] = remedy.into();
    }
    (status, Json(answer)).into_response()
}
