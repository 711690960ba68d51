//! `/admin/v1/mappings`: whose vehicle is whose. Open streams follow each change.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, put};
use axum::{Json, Router};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{Gcid, Vin};
use cardata_store::directory::Additions;
use serde_json::{Value, json};

use super::consents::describe_end;
use super::customers;
use super::fields::Fields;
use super::refusal::Refusal;
use crate::endings;
use crate::platform::Platform;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/mappings", put(link)).route("/mappings/{customer}/{vin}", delete(end))
}

/// What is wished for.
struct Wish {
    gcid: Gcid,
    vin: Vin,
    mapping_type: MappingType,
    hand_over: bool,
}

impl Wish {
    async fn read(platform: &Platform, mut fields: Fields) -> Result<Self, Refusal> {
        let customer = fields.customer(platform).await?;
        let vin: Vin = fields.required_parsed("vin")?;
        let mapping_type = fields.required_parsed("type")?;
        let hand_over = fields.flag("hand_over")?.unwrap_or(false);
        let customer = customer.ok_or_else(|| {
            fields.wrong("gcid", "and `email` are both missing; one must name the customer")
        })?;
        fields.end()?;
        if hand_over && mapping_type != MappingType::Primary {
            return Err(Refusal::field("hand_over", "goes with `\"type\": \"PRIMARY\"` only"));
        }
        if platform.directory.vehicle(vin).await?.is_none() {
            return Err(Refusal::field("vin", "names no vehicle that is known here")
                .or_else("add the vehicle first: POST /admin/v1/vehicles"));
        }
        Ok(Self { gcid: customer.gcid, vin, mapping_type, hand_over })
    }
}

async fn link(State(platform): State<Arc<Platform>>, fields: Fields) -> Result<Response, Refusal> {
    let wish = Wish::read(&platform, fields).await?;
    let Wish { gcid, vin, mapping_type, hand_over } = wish;
    let links = platform.directory.mappings_of_vehicle(vin).await?;
    let own = links.iter().find(|link| link.gcid == gcid);
    let is_primary = |link: &&Mapping| link.mapping_type == MappingType::Primary;
    let primary = links.iter().find(is_primary);
    let mut ended = Value::Null;
    match (own, primary) {
        (Some(own), _) if own.mapping_type == mapping_type => {
            let mut answer = of_customer(own);
            answer["gcid"] = gcid.to_string().into();
            answer["change"] = "unchanged".into();
            return Ok((StatusCode::OK, Json(answer)).into_response());
        }
        // Whoever is PRIMARY no longer leaves nothing behind for the next one.
        (Some(_), Some(primary)) if primary.gcid == gcid => {
            endings::end_mapping(&platform, gcid, vin, Actor::Operator).await?;
        }
        (_, Some(primary)) if mapping_type == MappingType::Primary => {
            if !hand_over {
                return Err(Refusal::conflict(
                    format!("the vehicle has another PRIMARY: customer {}", primary.gcid),
                    "end that link first, or send `\"hand_over\": true`",
                ));
            }
            let earlier = primary.gcid;
            let end = endings::end_mapping(&platform, earlier, vin, Actor::Operator).await?;
            if let Some(end) = end {
                ended = describe_end(&end);
                ended["gcid"] = earlier.to_string().into();
            }
        }
        _ => {}
    }
    let mapping = Mapping { gcid, vin, mapping_type, since: platform.clock.now() };
    begin(&platform, std::slice::from_ref(&mapping)).await?;
    let mut answer = of_customer(&mapping);
    answer["gcid"] = gcid.to_string().into();
    answer["change"] = if own.is_some() { "changed" } else { "added" }.into();
    if !ended.is_null() {
        answer["ended"] = ended;
    }
    let status = if own.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(answer)).into_response())
}

/// Adds links, or changes them to PRIMARY, and lets open streams follow. The vehicles must have no other PRIMARY.
pub(super) async fn begin(platform: &Platform, mappings: &[Mapping]) -> Result<(), Refusal> {
    for mapping in mappings {
        if mapping.mapping_type == MappingType::Primary {
            // What it sent while it was nobody's may be of the one before: of their last days with it.
            endings::forget(platform, mapping.vin).await?;
        }
    }
    let record = |mapping: &Mapping| {
        Record::new(mapping.since, Actor::Operator, Act::MappingChanged)
            .of(mapping.gcid)
            .with("vin", mapping.vin.as_str())
            .with("type", mapping.mapping_type.as_str())
    };
    let additions = Additions {
        mappings: mappings.to_vec(),
        records: mappings.iter().map(record).collect(),
        ..Additions::default()
    };
    platform.directory.add(&additions).await?;
    let mut gcids: Vec<_> = mappings.iter().map(|mapping| mapping.gcid).collect();
    gcids.sort_unstable();
    gcids.dedup();
    for gcid in gcids {
        endings::look_anew(platform, gcid).await;
    }
    Ok(())
}

async fn end(
    State(platform): State<Arc<Platform>>,
    Path((customer, vin)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let customer = customers::find(&platform, &customer).await?;
    let vin: Vin = vin
        .parse()
        .map_err(|error| Refusal::field("vin", format!("in the path is none: {error}")))?;
    let ended = endings::end_mapping(&platform, customer.gcid, vin, Actor::Operator).await?;
    let ended = ended.ok_or(Refusal::Unknown {
        what: "link of this customer to this vehicle",
        remedy: "see which there are: GET /admin/v1/customers/{customer}",
    })?;
    Ok(Json(describe_end(&ended)))
}

/// A link as one of its customer's.
pub(super) fn of_customer(mapping: &Mapping) -> Value {
    json!({
        "vin": mapping.vin.as_str(),
        "type": mapping.mapping_type.as_str(),
        "since": mapping.since.to_string(),
    })
}

/// A link as one of its vehicle's.
pub(super) fn of_vehicle(mapping: &Mapping) -> Value {
    json!({
        "gcid": mapping.gcid.to_string(),
        "type": mapping.mapping_type.as_str(),
        "since": mapping.since.to_string(),
    })
}
