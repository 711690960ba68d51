//! The REST API below `/customers` (wire §4): its routes, and what answers where there is none; and what clients may know
//! about themselves, below `/v2`.

pub(crate) mod auth;
mod body;
mod charging_history;
mod charging_settings;
mod consents;
mod containers;
mod error;
mod form;
mod image;
mod metered;
mod page_token;
mod telematic_data;
mod tyres;
mod unanswered;
mod v2;
mod vehicles;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::routing::{MethodRouter, any, get};
use cardata_contract::error_code::{ErrorBody, ErrorCode};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use utoipa::OpenApi;

use crate::Platform;
use error::ApiError;

/// Bytes that a request's body may have. A container of every listed descriptor has about 20,000.
const BODY_LENGTH_MAX: usize = 256 * 1024;

/// Bytes from which an answer is compressed: what fits into one packet anyway is not.
const COMPRESSED_LENGTH_MIN: u64 = 1024;

/// The routes, each with and without a slash at its end, since the documentation has both; a request may take as long as
/// `patience` says.
pub fn routes(platform: &Arc<Platform>, patience: Duration) -> Router<Arc<Platform>> {
    let mut router = Router::new();
    for (path, name, methods) in resources() {
        let methods = served(platform, name, methods.fallback(wrong_method), patience);
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    for path in ["/customers", "/customers/", "/customers/{*rest}"] {
        router = router.route(path, counted("unknown", any(unknown)));
    }
    router.layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
}

/// A path, what metrics call it, and what answers there.
type Resource = (&'static str, &'static str, MethodRouter<Arc<Platform>>);

fn resources() -> Vec<Resource> {
    vec![
        ("/customers/vehicles/mappings", "mappings", get(vehicles::mappings)),
        ("/customers/vehicles/{vin}/basicData", "basic_data", get(vehicles::basic_data)),
        ("/customers/vehicles/{vin}/image", "image", get(image::read)),
        ("/customers/vehicles/{vin}/telematicData", "telematic_data", telematic_data::route()),
        (
            "/customers/vehicles/{vin}/smartMaintenanceTyreDiagnosis",
            "tyre_diagnosis",
            get(tyres::read),
        ),
        ("/customers/containers", "containers", get(containers::list).post(containers::create)),
        (
            "/customers/containers/{id}",
            "container",
            get(containers::details).delete(containers::delete),
        ),
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
        ("/v2/consents", "consents", get(consents::list)),
        ("/v2/events", "events", get(v2::events::read)),
        ("/v2/latest", "latest", get(v2::latest::read)),
        ("/v2/vehicles/{vin}/history", "history", get(v2::history::read)),
        ("/v2/vehicles/{vin}/trips", "trips", get(v2::trips::read)),
    ]
}

/// Every path.
#[cfg(test)]
pub(crate) fn paths() -> Vec<&'static str> {
    resources().into_iter().map(|(path, _, _)| path).collect()
}

/// The REST API as OpenAPI describes it; what is common to all paths is added where it is shown.
#[derive(OpenApi)]
#[openapi(
    paths(
        vehicles::mappings,
        vehicles::basic_data,
        image::read,
        telematic_data::read,
        tyres::read,
        containers::list,
        containers::create,
        containers::details,
        containers::delete,
        consents::list,
        charging_history::read,
        charging_settings::read,
        v2::events::read,
        v2::history::read,
        v2::latest::read,
        v2::trips::read
    ),
    components(schemas(ErrorBody))
)]
pub(crate) struct Described;

// Clients try paths that never existed and go on to the next one only after a 403 (wire §4.1).
async fn unknown() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "there is nothing at this path")
}

// The `Allow` header, which axum adds, says what would have been right.
async fn wrong_method(method: Method) -> ApiError {
    ApiError::new(ErrorCode::Method, format!("this path does not take {method}"))
}

/// What every resource has around it.
fn served(
    platform: &Arc<Platform>,
    route: &'static str,
    methods: MethodRouter<Arc<Platform>>,
    patience: Duration,
) -> MethodRouter<Arc<Platform>> {
    // One layer instead of two, since each is cloned for each request.
    let answered = move |State(platform): State<Arc<Platform>>, request: Request, next: Next| async move {
        let answer = |request| unanswered::answer(next.run(request), patience);
        metered::meter(&platform, request, answer).await
    };
    counted(route, methods.layer(middleware::from_fn_with_state(platform.clone(), answered)))
}

fn counted(
    route: &'static str,
    methods: MethodRouter<Arc<Platform>>,
) -> MethodRouter<Arc<Platform>> {
    let methods: MethodRouter<_> = methods.layer(middleware::from_fn(form::shape));
    let methods: MethodRouter<_> = methods.layer(compression());
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

/// Compresses what is worth it. Pictures are compressed already, and streams must not wait for more to compress.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(COMPRESSED_LENGTH_MIN)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::SSE);
    CompressionLayer::new().compress_when(worth_it)
}

#[cfg(test)]
mod tests;
