//! The REST API below `/customers` (wire §4): its routes, and what answers where there is none; and what clients may know
//! about themselves, below `/v2`.

pub(crate) mod auth;
mod charging_history;
mod charging_settings;
mod consents;
mod containers;
mod error;
mod page_token;
mod telematic_data;
mod v2;
mod vehicles;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::routing::{MethodRouter, any, get};
use cardata_contract::error_code::ErrorCode;

use crate::Platform;
use error::ApiError;

/// Bytes that a request's body may have. A container of every listed descriptor has about 20,000.
const BODY_LENGTH_MAX: usize = 256 * 1024;

/// The routes, each with and without a slash at its end, since the documentation has both.
pub fn routes() -> Router<Arc<Platform>> {
    let resources = [
        ("/customers/vehicles/mappings", "mappings", get(vehicles::mappings)),
        ("/customers/vehicles/{vin}/basicData", "basic_data", get(vehicles::basic_data)),
        ("/customers/vehicles/{vin}/telematicData", "telematic_data", get(telematic_data::read)),
        (
            "/customers/vehicles/{vin}/chargingHistory",
            "charging_history",
            get(charging_history::read),
        ),
        (
            "/customers/vehicles/{vin}/locationBasedChargingSettings",
            "charging_settings",
            get(charging_settings::read),
        ),
        ("/customers/containers", "containers", get(containers::list).post(containers::create)),
        (
            "/customers/containers/{id}",
            "container",
            get(containers::details).delete(containers::delete),
        ),
        ("/v2/consents", "consents", get(consents::list)),
        ("/v2/latest", "latest", get(v2::latest::read)),
        ("/v2/vehicles/{vin}/history", "history", get(v2::history::read)),
        ("/v2/vehicles/{vin}/trips", "trips", get(v2::trips::read)),
    ];
    let mut router = Router::new();
    for (path, name, methods) in resources {
        let methods = counted(name, methods.fallback(wrong_method));
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    for path in ["/customers", "/customers/", "/customers/{*rest}"] {
        router = router.route(path, counted("unknown", any(unknown)));
    }
    router.layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
}

// Clients try paths that never existed and go on to the next one only after a 403 (wire §4.1).
async fn unknown() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "there is nothing at this path")
}

// The `Allow` header, which axum adds, says what would have been right.
async fn wrong_method(method: Method) -> ApiError {
    ApiError::new(ErrorCode::Method, format!("this path does not take {method}"))
}

fn counted(
    route: &'static str,
    methods: MethodRouter<Arc<Platform>>,
) -> MethodRouter<Arc<Platform>> {
    methods.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let response = next.run(request).await;
        let error = response.extensions().get().map_or("", |code: &ErrorCode| code.id());
        let status = response.status().as_str().to_owned();
        tracing::debug!(http.route = route, http.status = status, error.id = error, "answered");
        metrics::counter!(
            "cardata_rest_requests_total", "route" => route, "status" => status, "error" => error
        )
        .increment(1);
        response
    }))
}

#[cfg(test)]
mod tests;
