//! How exactly a client may know places (`/clients/{id}/places`), and the customer's zones (`/zones`).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::privacy::{Precision, Settings, Zone, ZoneError, ZoneId};
use cardata_domain::vehicle::MappingType;

use super::chart::{HEIGHT, Map, Recent, Track, WIDTH};
use super::clients::{of_customer, to_list};
use super::page;
use super::problem::Problem;
use super::text::{Text, fill};
use super::visit::{Frame, Sent, Visit};
use crate::endings::{self, EndError};
use crate::secret;

#[derive(Template)]
#[template(path = "places.html")]
struct PlacesPage {
    frame: Frame,
    title: String,
    id: String,
    precisions: [(Precision, &'static str); 3],
    settings: Settings,
    zones: usize,
}

#[derive(Template)]
#[template(path = "zones.html")]
struct ZonesPage {
    frame: Frame,
    notice: Option<&'static str>,
    trouble: Option<&'static str>,
    zones: Vec<Shown>,
    map: Option<Map>,
    tracks: Vec<Track>,
    draft: Draft,
}

impl ZonesPage {
    fn view_box() -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }
}

/// A zone, in degrees, and as a circle on the map.
struct Shown {
    id: String,
    name: String,
    latitude: String,
    longitude: String,
    radius_m: u32,
    circle: Option<(String, String, String)>,
}

/// What was typed, so that a mistake costs no more than itself.
#[derive(Default)]
struct Draft {
    name: String,
    latitude: String,
    longitude: String,
    radius: String,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let client = of_customer(&visit, &id).await?;
    let (directory, t) = (&visit.platform.directory, visit.text());
    let settings = directory.location_settings(visit.gcid(), client.id).await?;
    let template = PlacesPage {
        frame: visit.frame("clients"),
        title: fill(t.places_title, &[&client.name]),
        id: client.id.to_string(),
        precisions: Precision::ALL.map(|one| (one, precision_title(one, t))),
        settings,
        zones: directory.zones(visit.gcid()).await?.len(),
    };
    Ok(page(StatusCode::OK, &template))
}

/// A precision in words.
pub(super) fn precision_title(precision: Precision, t: &Text) -> &'static str {
    match precision {
        Precision::Exact => t.precision_exact,
        Precision::Kilometre => t.precision_kilometre,
        Precision::TenKilometres => t.precision_ten,
    }
}

pub(super) async fn submit(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let client = of_customer(&visit, &id).await?;
    let precision = fields.get("precision").parse().map_err(|_| Problem::Unreadable)?;
    let settings = Settings { precision, hides_zones: fields.has("hides_zones") };
    let (gcid, client_id) = (visit.gcid(), client.id);
    let record = Record::new(visit.now(), Actor::Customer, Act::PrivacyChanged)
        .of(gcid)
        .with_client(client_id)
        .with("precision", precision.as_str())
        .with("hides_zones", settings.hides_zones);
    endings::change_entitlement(&visit.platform, gcid, client_id, async move |platform| {
        let put = platform.directory.put_location_settings(gcid, client_id, settings).await;
        put.map_err(EndError::from)?;
        Ok::<_, EndError>(((), Some(record)))
    })
    .await?;
    Ok(to_list())
}

pub(super) async fn zones(visit: Visit) -> Result<Response, Problem> {
    zones_page(&visit, StatusCode::OK, None, Draft::default()).await
}

async fn zones_page(
    visit: &Visit,
    status: StatusCode,
    trouble: Option<&'static str>,
    draft: Draft,
) -> Result<Response, Problem> {
    let platform = &visit.platform;
    let zones = platform.directory.zones(visit.gcid()).await?;
    let mut recents = Vec::new();
    for mapping in platform.directory.mappings(visit.gcid()).await? {
        if mapping.mapping_type == MappingType::Primary {
            recents.push(Recent::read(&*platform.journal, mapping.vin).await?);
        }
    }
    let middles: Vec<_> = zones.iter().map(Zone::middle).collect();
    // One map for all: around the zones and the first vehicle that has been anywhere.
    let map = recents.iter().find_map(|recent| {
        recent.track()?;
        recent.map_with(&middles)
    });
    let map = map.or_else(|| Recent::default().map_with(&middles));
    let tracks = map.map(|map| recents.iter().filter_map(|recent| recent.track_on(&map)).collect());
    let shown = zones.iter().map(|zone| {
        let middle = zone.middle();
        let circle = map.map(|map| {
            let (x, y) = map.place(middle);
            let radius = map.length(f64::from(zone.radius_m));
            (format!("{x:.1}"), format!("{y:.1}"), format!("{radius:.1}"))
        });
        Shown {
            id: zone.id.to_string(),
            name: zone.name.clone(),
            latitude: format!("{:.5}", middle.latitude),
            longitude: format!("{:.5}", middle.longitude),
            radius_m: zone.radius_m,
            circle,
        }
    });
    let template = ZonesPage {
        frame: visit.frame("account"),
        notice: None,
        trouble,
        zones: shown.collect(),
        map,
        tracks: tracks.unwrap_or_default(),
        draft,
    };
    Ok(page(status, &template))
}

pub(super) async fn add_zone(sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let t = visit.text();
    let field = |name| fields.get(name).to_owned();
    let draft = Draft {
        name: field("name"),
        latitude: field("latitude"),
        longitude: field("longitude"),
        radius: field("radius"),
    };
    // A comma is what many people type.
    let number = |text: &str| text.trim().replace(',', ".").parse::<f64>().unwrap_or(f64::NAN);
    let radius_m = draft.radius.trim().parse().unwrap_or(0);
    let (latitude, longitude) = (number(&draft.latitude), number(&draft.longitude));
    let zone = Zone::new(ZoneId::new(secret::uuid()), &draft.name, latitude, longitude, radius_m);
    let trouble = match zone {
        Ok(zone) if visit.platform.directory.add_zone(visit.gcid(), &zone).await? => {
            note(&visit, Act::ZoneAdded, &zone.name).await?;
            return Ok(Redirect::to("/zones").into_response());
        }
        Ok(_) => t.zones_full,
        Err(ZoneError::Name) => t.bad_zone_name,
        Err(ZoneError::Latitude) => t.bad_latitude,
        Err(ZoneError::Longitude) => t.bad_longitude,
        Err(ZoneError::Radius) => t.bad_radius,
    };
    zones_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(trouble), draft).await
}

pub(super) async fn remove_zone(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, .. } = sent;
    let id: ZoneId = id.parse().map_err(|_| Problem::NotFound)?;
    let zones = visit.platform.directory.zones(visit.gcid()).await?;
    let zone = zones.into_iter().find(|zone| zone.id == id).ok_or(Problem::NotFound)?;
    visit.platform.directory.remove_zone(visit.gcid(), id).await?;
    note(&visit, Act::ZoneRemoved, &zone.name).await?;
    Ok(Redirect::to("/zones").into_response())
}

/// Lets open streams follow, and notes what was done.
async fn note(visit: &Visit, act: Act, name: &str) -> Result<(), Problem> {
    let (platform, gcid) = (visit.platform.clone(), visit.gcid());
    let record = Record::new(visit.now(), Actor::Customer, act).of(gcid).with("name", name);
    let work = async move {
        endings::follow_zones(&platform, gcid).await;
        platform.directory.append_to_ledger(&[record]).await
    };
    let done = visit.platform.tasks.see_through("zones", work).await;
    done.ok_or(Problem::Failed)?.map_err(Problem::from)
}
