use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request, StatusCode};
use cardata_domain::catalogue::Catalogue;
use cardata_domain::vehicle::MappingType::{Primary, Secondary};
use cardata_domain::{Entry, Event, Value, Vin};
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

use super::*;
use crate::test_platform::World;

const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const MAPPINGS: &str = "/customers/vehicles/mappings";
const CONTAINERS: &str = "/customers/containers";
const OWN: &str = "WBY00000000000001";
const SHARED: &str = "WBY00000000000002";
const FOREIGN: &str = "WBY00000000000003";
const UNKNOWN: &str = "WBY00000000000009";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Json,
}

impl Answer {
    /// Status and id of a refusal, after a look at its form.
    fn refusal(&self) -> (u16, &str) {
        let members: BTreeSet<_> =
            self.body.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["exveErrorId", "exveErrorMsg", "exveErrorRef", "exveNote"];
        assert_eq!(members, BTreeSet::from(expected), "{}", self.body);
        assert!(
            self.body
                .as_object()
                .unwrap()
                .values()
                .all(|text| text.as_str().is_some_and(|text| !text.is_empty()))
        );
        (self.status.as_u16(), self.body["exveErrorId"].as_str().unwrap())
    }

    /// The same without what differs between two equal refusals.
    fn without_reference(mut self) -> (StatusCode, Json) {
        self.body["exveErrorRef"] = Json::Null;
        (self.status, self.body)
    }
}
