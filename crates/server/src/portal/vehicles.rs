//! `/vehicles`: which vehicles there are, and what each said last.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use cardata_domain::catalogue::Category;
use cardata_domain::vehicle::{Mapping, MappingType, Vehicle};
use cardata_domain::{Entry, Gcid, Vin};

use super::chart::{Battery, HEIGHT, Recent, STATE_OF_CHARGE, Track, WIDTH};
use super::language::{Language, date_and_time};
use super::problem::Problem;
use super::text::{Text, fill};
use super::visit::{Frame, Visit};
use super::{hints, page};
use crate::platform::Platform;

const MILEAGE: &str = "vehicle.vehicle.travelledDistance";
const RANGE: [&str; 2] = [
    "vehicle.drivetrain.electricEngine.remainingElectricRange",
    "vehicle.drivetrain.totalRemainingRange",
];

#[derive(Template)]
#[template(path = "vehicles.html")]
struct VehiclesPage {
    frame: Frame,
    hints: Vec<hints::Hint>,
    vehicles: Vec<Card>,
}

/// A vehicle in the list.
struct Card {
    vin: String,
    model: String,
    drivetrain: &'static str,
    is_primary: bool,
    last_contact: Option<String>,
    highlights: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "vehicle.html")]
struct VehiclePage {
    frame: Frame,
    card: Card,
    live: Option<Live>,
}

#[derive(Template)]
#[template(path = "live.html")]
struct LiveFragment {
    t: &'static Text,
    live: Live,
}

/// What moves on a vehicle's page.
struct Live {
    vin: String,
    battery: Option<(Battery, String)>,
    track: Option<Track>,
    groups: Vec<(&'static str, Vec<Row>)>,
}

struct Row {
    title: String,
    name: String,
    value: String,
    unit: String,
    age: String,
    at: String,
}

impl Live {
    /// For templates.
    fn view_box() -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }
}

pub(super) async fn list(visit: Visit) -> Result<Response, Problem> {
    let directory = &visit.platform.directory;
    let mut vehicles = Vec::new();
    for mapping in directory.mappings(visit.gcid()).await? {
        if let Some(vehicle) = directory.vehicle(mapping.vin).await? {
            vehicles.push(card(&visit, &mapping, &vehicle).await?);
        }
    }
    let hints = hints::steps(&visit).await?;
    Ok(page(StatusCode::OK, &VehiclesPage { frame: visit.frame("vehicles"), hints, vehicles }))
}

pub(super) async fn show(visit: Visit, Path(vin): Path<String>) -> Result<Response, Problem> {
    let (mapping, vehicle) = own(&visit.platform, visit.gcid(), &vin).await?;
    let card = card(&visit, &mapping, &vehicle).await?;
    let live = match mapping.mapping_type {
        MappingType::Primary => Some(live(&visit, vehicle.vin).await?),
        MappingType::Secondary => None,
    };
    Ok(page(StatusCode::OK, &VehiclePage { frame: visit.frame("vehicles"), card, live }))
}

/// The part of the page that moves; nothing where nothing happened since it was given last.
pub(super) async fn fragment(
    State(platform): State<Arc<Platform>>,
    visit: Visit,
    Path(vin): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (mapping, vehicle) = own(&platform, visit.gcid(), &vin).await?;
    if mapping.mapping_type != MappingType::Primary {
        return Err(Problem::NotFound);
    }
    // Ages grow also while nothing happens; a page that is a minute behind with them is right enough.
    let minute = visit.now().as_second() / 60;
    let head = platform.journal.head(vehicle.vin).0;
    let tag = format!("\"{head}-{minute}-{}\"", visit.language.tag());
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag.as_str()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let fragment = LiveFragment { t: visit.text(), live: live(&visit, vehicle.vin).await? };
    let mut response = page(StatusCode::OK, &fragment);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// A vehicle that is mapped to the customer.
async fn own(platform: &Platform, gcid: Gcid, vin: &str) -> Result<(Mapping, Vehicle), Problem> {
    let vin: Vin = vin.parse().map_err(|_| Problem::NotFound)?;
    let mappings = platform.directory.mappings(gcid).await?;
    let mapping = mappings.into_iter().find(|mapping| mapping.vin == vin);
    let mapping = mapping.ok_or(Problem::NotFound)?;
    let vehicle = platform.directory.vehicle(vin).await?.ok_or(Problem::NotFound)?;
    Ok((mapping, vehicle))
}

async fn card(visit: &Visit, mapping: &Mapping, vehicle: &Vehicle) -> Result<Card, Problem> {
    let t = visit.text();
    let is_primary = mapping.mapping_type == MappingType::Primary;
    // A further driver learns nothing of where and when the vehicle drives.
    let latest =
        if is_primary { visit.platform.journal.latest(vehicle.vin).await? } else { Arc::default() };
    let newest = latest.iter().map(Entry::at).max();
    let first = |names: &[&str]| {
        let entry = names.iter().find_map(|name| latest.iter().find(|entry| entry.name() == *name));
        entry.map(|entry| shown(entry, visit))
    };
    let highlights = [
        (t.state_of_charge, first(&STATE_OF_CHARGE)),
        (t.range, first(&RANGE)),
        (t.mileage, first(&[MILEAGE])),
    ];
    let highlights = highlights.into_iter().filter_map(|(title, value)| Some((title, value?)));
    Ok(Card {
        vin: vehicle.vin.as_str().to_owned(),
        model: format!("{} {}", vehicle.build.brand, vehicle.build.model_name),
        drivetrain: vehicle.drivetrain.as_str(),
        is_primary,
        last_contact: newest.map(|at| visit.language.ago(at, visit.now())),
        highlights: highlights.collect(),
    })
}

/// A value with its unit.
fn shown(entry: &Entry, visit: &Visit) -> String {
    let value = visit.language.value(entry.value());
    match unit(entry, &visit.platform).as_str() {
        "" => value,
        unit => format!("{value} {unit}"),
    }
}

fn unit(entry: &Entry, platform: &Platform) -> String {
    let listed = platform.catalogue.descriptor(entry.descriptor()).unit.clone();
    listed.map_or_else(|| entry.unit().unwrap_or_default().to_owned(), |unit| unit.to_string())
}

async fn live(visit: &Visit, vin: Vin) -> Result<Live, Problem> {
    let platform = &visit.platform;
    let t = visit.text();
    let recent = Recent::read(&*platform.journal, vin).await?;
    let battery = recent.battery().map(|battery| {
        let ends = [battery.from, battery.to].map(date_and_time);
        let alt = fill(t.battery_chart_alt, &[&ends[0], &ends[1]]);
        (battery, alt)
    });
    let latest = platform.journal.latest(vin).await?;
    let mut rows: Vec<(Category, Row)> = latest.iter().map(|entry| row(visit, entry)).collect();
    rows.sort_by(|(one, a), (other, b)| one.cmp(other).then_with(|| a.title.cmp(&b.title)));
    let mut groups: Vec<(&'static str, Vec<Row>)> = Vec::new();
    for (category, row) in rows {
        let title = category_title(category, t);
        match groups.last_mut() {
            Some((known, rows)) if *known == title => rows.push(row),
            _ => groups.push((title, vec![row])),
        }
    }
    Ok(Live { vin: vin.as_str().to_owned(), battery, track: recent.track(), groups })
}

fn row(visit: &Visit, entry: &Entry) -> (Category, Row) {
    let descriptor = visit.platform.catalogue.descriptor(entry.descriptor());
    let title = match visit.language {
        Language::English => &descriptor.title,
        Language::German => &descriptor.title_de,
    };
    let row = Row {
        title: title.to_string(),
        name: descriptor.name.to_string(),
        value: visit.language.value(entry.value()),
        unit: unit(entry, &visit.platform),
        age: visit.language.ago(entry.at(), visit.now()),
        at: entry.at().to_string(),
    };
    (descriptor.category, row)
}

/// A category in words.
pub(super) fn category_title(category: Category, t: &Text) -> &'static str {
    match category {
        Category::VehicleStatus => t.category_vehicle_status,
        Category::BevPhevData => t.category_bev_phev,
        Category::UsageBased => t.category_usage,
        Category::MetaData => t.category_meta,
        Category::TyreData => t.category_tyre,
        Category::BasicData => t.category_basic,
        Category::Events => t.category_events,
        Category::CdContract => t.category_contract,
        Category::Unlisted => t.category_unlisted,
    }
}
