//! `/faults`: what goes wrong on purpose for a customer's own programs, in a sandbox.

use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::client::Client;
use cardata_domain::ledger::Actor;

use super::clients::of_customer;
use super::language::{Language, date_and_time};
use super::page;
use super::problem::Problem;
use super::text::fill;
use super::visit::{Fields, Frame, Sent, Visit};
use crate::faults::begin::{self, BeginError};
use crate::faults::kind::{ALL, Description, Manner, Narrowing};
use crate::faults::wish::{Said, Wish};
use crate::faults::{Fault, Faults, Kind, Narrowed, Strike};

/// Faults that a customer may have at a time, so that others have room for theirs.
const FAULTS_MAX: usize = 20;
/// Strikes that are shown.
const STRIKES_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "faults.html")]
struct FaultsPage {
    frame: Frame,
    trouble: Option<String>,
    /// What was typed into the form, where that can't be.
    typed: Option<Fields>,
    kinds: Vec<Offered>,
    clients: Vec<Client>,
    vins: Vec<String>,
    faults: Vec<Shown>,
    strikes: Vec<Struck>,
}

impl FaultsPage {
    fn typed(&self, name: &str) -> &str {
        self.typed.as_ref().map_or("", |fields| fields.get(name))
    }
}

/// A kind that can be chosen.
struct Offered {
    name: &'static str,
    what: &'static str,
    value: String,
    takes: String,
}

struct Shown {
    id: u64,
    name: &'static str,
    value: String,
    since: String,
    strikes: u32,
}

struct Struck {
    at: String,
    name: &'static str,
    whom: String,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    render(&visit, None).await
}

/// The page; with what was typed, and why that can't be.
async fn render(visit: &Visit, refused: Option<(Fields, String)>) -> Result<Response, Problem> {
    let faults = faults(visit)?;
    let directory = &visit.platform.directory;
    let mut clients = directory.clients_of(visit.gcid()).await?;
    clients.retain(Client::is_active);
    let mappings = directory.mappings(visit.gcid()).await?;
    let log = faults.log(0, usize::MAX, Duration::ZERO).await;
    let strikes = log.iter().rev().filter(|strike| strike.whom.gcid == Some(visit.gcid()));
    let status = match refused {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let (typed, trouble) = refused.unzip();
    let template = FaultsPage {
        frame: visit.frame("clients"),
        trouble,
        typed,
        kinds: offered().map(|kind| Offered::new(visit, kind)).collect(),
        clients,
        vins: mappings.iter().map(|mapping| mapping.vin.as_str().to_owned()).collect(),
        faults: own(visit, faults).map(|fault| Shown::new(&fault)).collect(),
        strikes: strikes.take(STRIKES_SHOWN).map(Struck::new).collect(),
    };
    Ok(page(status, &template))
}

/// The kinds that strike one customer alone.
fn offered() -> impl Iterator<Item = &'static Description> {
    ALL.iter().filter(|kind| kind.narrowings.contains(&Narrowing::Customer))
}

/// The faults that are for the customer alone.
fn own(visit: &Visit, faults: &Faults) -> impl Iterator<Item = Fault> + use<> {
    let gcid = visit.gcid();
    faults.list(visit.now()).into_iter().filter(move |fault| fault.narrowed.gcid == Some(gcid))
}

fn faults(visit: &Visit) -> Result<&Faults, Problem> {
    visit.platform.faults.as_ref().ok_or(Problem::NotFound)
}

impl Offered {
    fn new(visit: &Visit, kind: &Description) -> Self {
        let (t, german) = (visit.text(), visit.language == Language::German);
        let value = kind.parameter.map(|parameter| {
            let values = if german { parameter.values_de } else { parameter.values };
            let default = parameter.default.map(|default| fill(t.fault_default, &[default]));
            format!("{values}{}", default.unwrap_or_default())
        });
        let takes = match kind.manner {
            Manner::AtOnce => t.fault_at_once,
            Manner::Throughout => t.fault_throughout,
            Manner::Occasions | Manner::Lasting => t.fault_occasions,
        };
        let of_vehicle = kind.narrowings.contains(&Narrowing::Vin).then_some(t.fault_of_vehicle);
        Self {
            name: kind.name,
            what: if german { kind.what_de } else { kind.what },
            value: value.unwrap_or_default(),
            takes: format!("{takes}{}", of_vehicle.unwrap_or_default()),
        }
    }
}

impl Shown {
    fn new(fault: &Fault) -> Self {
        Self {
            id: fault.id,
            name: fault.kind.name(),
            value: fault.kind.told().unwrap_or_default(),
            since: date_and_time(fault.begun_at),
            strikes: fault.strikes,
        }
    }
}

impl Struck {
    fn new(strike: &Strike) -> Self {
        let Narrowed { mqtt_client_id, vin, path, .. } = &strike.whom;
        let vin = vin.map(|vin| vin.as_str().to_owned());
        let parts = [mqtt_client_id.clone(), vin, path.clone()];
        Self {
            at: date_and_time(strike.at),
            name: strike.kind,
            whom: parts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        }
    }
}

/// Begins a fault for the customer alone.
pub(super) async fn add(sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let t = visit.text();
    let is_full = own(&visit, faults(&visit)?).count() >= FAULTS_MAX;
    let trouble = match read(&visit, &fields).await? {
        _ if is_full => t.faults_full.to_owned(),
        Err(member) => fill(t.fault_refused, &[member]),
        Ok(wish) => match begin::begin(&visit.platform, wish, Actor::Customer).await {
            Ok(_) => return Ok(Redirect::to("/faults").into_response()),
            Err(BeginError::TooMany(_)) => t.faults_full.to_owned(),
            Err(error) => return Err(failed(&error)),
        },
    };
    metrics::counter!("cardata_faults_refused_total").increment(1);
    render(&visit, Some((fields, trouble))).await
}

/// What is wished for; else the field that is wrong.
async fn read(visit: &Visit, fields: &Fields) -> Result<Result<Wish, &'static str>, Problem> {
    let told = |name: &str| Some(fields.get(name).trim()).filter(|text| !text.is_empty());
    let is_offered = |name: &str| offered().any(|kind| kind.name == name);
    let name = told("kind").filter(|name| is_offered(name));
    let Some(name) = name else { return Ok(Err("kind")) };
    let Ok(kind) = Kind::parse(name, |_| told("value").map(str::to_owned)) else {
        return Ok(Err("value"));
    };
    let client_id = match told("client") {
        Some(id) => Some(of_customer(visit, id).await?.id),
        None => None,
    };
    let vin = match told("vin") {
        Some(vin) => {
            let mappings = visit.platform.directory.mappings(visit.gcid()).await?;
            let known = mappings.iter().find(|mapping| mapping.vin.as_str() == vin);
            Some(known.ok_or(Problem::NotFound)?.vin)
        }
        None => None,
    };
    let mqtt_client_id = told("mqtt_client_id").map(str::to_owned);
    let gcid = Some(visit.gcid());
    let narrowed = Narrowed { gcid, client_id, mqtt_client_id, vin, path: None };
    let said = said(fields);
    Ok(said.and_then(|said| Wish::new(kind, narrowed, said).map_err(|error| error.member)))
}

/// How long or how often; else the field that is wrong.
fn said(fields: &Fields) -> Result<Said, &'static str> {
    Ok(Said {
        times: number(fields, "times")?,
        lasts: number(fields, "for_seconds")?.map(Duration::from_secs),
        probability: number(fields, "probability")?,
        seed: number(fields, "seed")?,
    })
}

/// The number in a field, if there is something in it.
fn number<T: std::str::FromStr>(
    fields: &Fields,
    name: &'static str,
) -> Result<Option<T>, &'static str> {
    match fields.get(name).trim() {
        "" => Ok(None),
        // A comma is what Germans type.
        text => text.replace(',', ".").parse().map(Some).map_err(|_| name),
    }
}

/// Ends a fault that is for the customer alone.
pub(super) async fn end(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, .. } = sent;
    let faults = faults(&visit)?;
    let id: u64 = id.parse().map_err(|_| Problem::NotFound)?;
    if !own(&visit, faults).any(|fault| fault.id == id) {
        return Err(Problem::NotFound);
    }
    let ended = begin::end(&visit.platform, id, Actor::Customer).await;
    ended.map_err(|error| failed(&error))?;
    Ok(Redirect::to("/faults").into_response())
}

fn failed(error: &BeginError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a fault was not begun or not ended");
    Problem::Failed
}
