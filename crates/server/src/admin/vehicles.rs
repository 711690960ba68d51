//! `/admin/v1/vehicles`: which vehicles this service knows. Where they are and what they sent is not the operator's to
//! see here.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cardata_domain::Vin;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::{BRANDS, Build, CHARGING_MODES, Drivetrain, STEERING, Vehicle};
use cardata_store::directory::Additions;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields::{Fields, QueryFields, next, page};
use super::mappings;
use super::refusal::Refusal;
use crate::platform::Platform;

/// The members of a vehicle's build, as they stand in JSON and as columns.
pub(super) const BUILD: [&str; 20] = [
    "brand",
    "model_name",
    "model_key",
    "series",
    "series_devt",
    "body_type",
    "number_of_doors",
    "colour_code",
    "colour_description",
    "country_code",
    "constructed_at",
    "battery_ah",
    "has_navi",
    "has_sun_roof",
    "head_unit",
    "steering",
    "engine",
    "charging_modes",
    "equipment_codes",
    "sim_status",
];
/// Characters that a text about a vehicle may have.
const TEXT_LENGTH_MAX: usize = 100;
/// The codes of a well-equipped vehicle are some fifty.
const EQUIPMENT_LENGTH_MAX: usize = 1000;
/// Doors that a vehicle may have.
const DOORS_MAX: u8 = 9;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/vehicles", get(list).post(add)).route("/vehicles/{vin}", get(show))
}

/// The vehicle of a path.
pub(super) async fn find(platform: &Platform, vin: &str) -> Result<Vehicle, Refusal> {
    let vin: Vin = vin
        .parse()
        .map_err(|error| Refusal::field("vin", format!("in the path is none: {error}")))?;
    platform.directory.vehicle(vin).await?.ok_or(Refusal::Unknown {
        what: "vehicle with this VIN",
        remedy: "see which there are: GET /admin/v1/vehicles",
    })
}

async fn list(
    State(platform): State<Arc<Platform>>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let (after, limit) = query.page("after")?;
    query.0.end()?;
    let vehicles = platform.directory.vehicles_after(after, limit).await?;
    let next = next(&vehicles, limit, |vehicle| vehicle.vin.as_str().to_owned());
    Ok(Json(page("vehicles", vehicles.iter().map(describe).collect(), next)))
}

async fn add(
    State(platform): State<Arc<Platform>>,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let vin: Vin = fields.required_parsed("vin")?;
    let drivetrain: Drivetrain = fields.required_parsed("drivetrain")?;
    let mut build = Build::unknown(drivetrain);
    for name in BUILD {
        if let Some(text) = fields.plain(name)? {
            set(&mut build, name, &text).map_err(|reason| Refusal::field(name, reason))?;
        }
    }
    fields.end()?;
    if platform.directory.vehicle(vin).await?.is_some() {
        return Err(Refusal::conflict(
            "there is a vehicle with this `vin`",
            "to change what is known of it, import it: POST /admin/v1/import",
        ));
    }
    let vehicle = Vehicle { vin, drivetrain, build };
    let answer = describe(&vehicle);
    let additions = Additions {
        records: vec![
            Record::new(platform.clock.now(), Actor::Operator, Act::VehicleAdded)
                .with("vin", vin.as_str()),
        ],
        vehicles: vec![vehicle],
        ..Additions::default()
    };
    platform.directory.add(&additions).await?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn show(
    State(platform): State<Arc<Platform>>,
    Path(vin): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let vehicle = find(&platform, &vin).await?;
    let links = platform.directory.mappings_of_vehicle(vehicle.vin).await?;
    let mut answer = describe(&vehicle);
    answer["mappings"] = links.iter().map(mappings::of_vehicle).collect();
    Ok(Json(answer))
}

/// Sets the member `name` of `build` to what `text` says; else the rest of a sentence that begins with the name.
pub(super) fn set(build: &mut Build, name: &str, text: &str) -> Result<(), String> {
    let text = text.trim();
    let length_max = if name == "equipment_codes" { EQUIPMENT_LENGTH_MAX } else { TEXT_LENGTH_MAX };
    if text.chars().count() > length_max || text.chars().any(char::is_control) {
        return Err(format!("has more than {length_max} characters, or control characters"));
    }
    let place = match name {
        "brand" if BRANDS.contains(&text) => &mut build.brand,
        "brand" => return Err(format!("must be one of {}", BRANDS.join(", "))),
        "model_name" => &mut build.model_name,
        "model_key" => &mut build.model_key,
        "series" => &mut build.series,
        "series_devt" => &mut build.series_devt,
        "body_type" => &mut build.body_type,
        "colour_code" => &mut build.colour_code,
        "colour_description" => &mut build.colour_description,
        "country_code" => {
            let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
            if !is_code {
                return Err("must be two capital letters, such as DE (ISO 3166-1)".to_owned());
            }
            &mut build.country_code
        }
        "steering" if STEERING.contains(&text) => &mut build.steering,
        "steering" => return Err(format!("must be one of {}", STEERING.join(", "))),
        "charging_modes" if CHARGING_MODES.contains(&text) => &mut build.charging_modes,
        "charging_modes" => return Err(format!("must be one of {}", CHARGING_MODES.join(", "))),
        "head_unit" => &mut build.head_unit,
        "engine" => &mut build.engine,
        "equipment_codes" => &mut build.equipment_codes,
        "sim_status" => &mut build.sim_status,
        "has_navi" | "has_sun_roof" => {
            let flag = text.parse().map_err(|_| "must be true or false".to_owned())?;
            let place =
                if name == "has_navi" { &mut build.has_navi } else { &mut build.has_sun_roof };
            *place = Some(flag);
            return Ok(());
        }
        "number_of_doors" => {
            let doors = text.parse().ok().filter(|doors| (1..=DOORS_MAX).contains(doors));
            build.number_of_doors = doors.ok_or_else(|| format!("must be 1 to {DOORS_MAX}"))?;
            return Ok(());
        }
        "constructed_at" => {
            build.constructed_at = day_or_instant(text).ok_or_else(|| {
                "must be a day such as 2025-10-01, or an instant such as 2025-10-01T00:00:00Z"
                    .to_owned()
            })?;
            return Ok(());
        }
        "battery_ah" => {
            let ah = text.parse().ok().filter(|ah: &f64| ah.is_finite() && *ah > 0.0);
            ah.ok_or_else(|| "must be ampere-hours such as 210.6".to_owned())?;
            build.battery_ah = Some(text.to_owned());
            return Ok(());
        }
        _ => return Err("is no member of a vehicle's build".to_owned()),
    };
    text.clone_into(place);
    Ok(())
}

fn day_or_instant(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}

/// A vehicle as JSON, without what is not known of it.
fn describe(vehicle: &Vehicle) -> Value {
    let build = json!(vehicle.build);
    let mut answer = Map::new();
    answer.insert("vin".to_owned(), vehicle.vin.as_str().into());
    answer.insert("drivetrain".to_owned(), vehicle.drivetrain.as_str().into());
    let is_unknown = |name: &str, value: &Value| match name {
        "constructed_at" => vehicle.build.constructed_at == Timestamp::UNIX_EPOCH,
        _ => value.is_null() || *value == json!("") || *value == json!(0),
    };
    for name in BUILD {
        let value = &build[name];
        if !is_unknown(name, value) {
            answer.insert(name.to_owned(), value.clone());
        }
    }
    answer.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_of_a_build_is_checked() {
        let mut build = Build::unknown(Drivetrain::Bev);
        for (name, right, wrong) in [
            ("brand", "MINI", "Opel"),
            ("model_name", "i5 xDrive40", "a\nb"),
            ("number_of_doors", "4", "0"),
            ("country_code", "AT", "at"),
            ("constructed_at", "2025-10-01", "October"),
            ("constructed_at", "2025-10-01T00:00:00Z", "2025-13-01"),
            ("battery_ah", "210.6", "-1"),
            ("has_navi", "true", "yes"),
            ("has_sun_roof", "false", ""),
            ("steering", "RL", "left"),
            ("charging_modes", "AC DC", "DC AC"),
            ("equipment_codes", "01CE,0205", "a\nb"),
        ] {
            assert_eq!(set(&mut build, name, right), Ok(()), "{name}");
            assert!(set(&mut build, name, wrong).is_err(), "{name} {wrong}");
        }
        assert_eq!(build.constructed_at, "2025-10-01T00:00:00Z".parse().unwrap());
        assert!(set(&mut build, "wheels", "4").is_err());
    }

    #[test]
    fn a_members_list_is_that_of_the_domain() {
        let build = json!(Build::unknown(Drivetrain::Ice));
        let mut names: Vec<_> = build.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = BUILD.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
