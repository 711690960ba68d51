//! GCDM: the log-in of programs. A program gets its codes in [`device`], a person approves in the portal, the program
//! fetches and refreshes its tokens in [`token`], and gives them back in `revocation`; [`keys`] signs them and
//! [`verify`] opens doors to them, also to those of an [`outside`] identity provider. `callers` knows who calls.

mod callers;
pub(crate) mod described;
pub mod device;
mod discovery;
mod id_token;
mod introspection;
pub mod keys;
pub mod outside;
mod own_token;
mod revocation;
pub mod token;
pub mod verify;

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, PRAGMA, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cardata_contract::oauth::{ErrorBody, RequestError, TokenError};
use cardata_domain::client::{Client, Kind};
use cardata_domain::device_grant::PollRefusal;
use cardata_store::directory::DirectoryError;
use serde::Serialize;
use serde_json::json;

use crate::faults::{Whom, requests};
use crate::platform::Platform;

/// Bytes that a request may have; tokens and parameters of clients stay far below.
const BODY_LENGTH_MAX: usize = 16 * 1024;

/// Characters of a description; what it repeats of the request may be long.
const DESCRIPTION_LENGTH_MAX: usize = 500;

/// The paths of the log-in and of its public description. Who called is remembered in memory, for each call of this
/// function apart.
pub fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route(device::PATH, post(device::start))
        .route(token::PATH, post(token::issue))
        .route("/gcdm/oauth/revoke", post(revocation::revoke))
        .route("/gcdm/oauth/introspect", post(introspection::introspect))
        .layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
        .layer(Extension(Arc::new(device::Starts::default())))
        .layer(Extension(Arc::new(callers::Callers::default())))
        .route("/.well-known/openid-configuration", get(discovery::description))
        .route("/.well-known/oauth-authorization-server", get(discovery::description))
        .route("/.well-known/jwks.json", get(discovery::jwks))
}

/// Why a program gets no tokens: a code for it and a sentence for its author.
struct Failure {
    error: TokenError,
    description: String,
    /// What is answered in the place of the two, where a fault on purpose wants that.
    instead: Option<Box<(StatusCode, serde_json::Value)>>,
}

impl Failure {
    fn new(error: TokenError, description: &(impl ToString + ?Sized)) -> Self {
        let mut description = description.to_string();
        if let Some((end, _)) = description.char_indices().nth(DESCRIPTION_LENGTH_MAX) {
            description.truncate(end);
            description.push('…');
        }
        Self { error, description, instead: None }
    }
}

/// Lets a request at `path` wait or fail where a fault on purpose wants that.
async fn hold_up(platform: &Platform, whom: Whom<'_>, path: &'static str) -> Result<(), Failure> {
    let status = requests::hold_up(platform, Whom { path: Some(path), ..whom }).await;
    let why = "a fault on purpose, of the sandbox";
    match status {
        None => Ok(()),
        Some(403) => Err(Failure::new(TokenError::AccessDenied, why)),
        Some(503) => {
            let body = json!({"error": "temporarily_unavailable", "error_description": why});
            let instead = Some(Box::new((StatusCode::SERVICE_UNAVAILABLE, body)));
            Err(Failure { instead, ..Failure::new(TokenError::ServerError, why) })
        }
        Some(_) => Err(Failure::new(TokenError::ServerError, why)),
    }
}

/// Whom a fault on purpose would strike: the client, at its owner's data where it has one.
fn whom(client: &Client) -> Whom<'static> {
    let owner = match client.kind {
        Kind::Personal(owner) => Some(owner),
        Kind::ThirdParty | Kind::ResourceServer => None,
    };
    Whom::client(client.id, owner)
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::new(TokenError::from(&error), &error)
    }
}

impl From<PollRefusal> for Failure {
    fn from(refusal: PollRefusal) -> Self {
        Self::new(refusal.into(), &refusal)
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a log-in failed on our side");
        Self::new(TokenError::ServerError, "the server could not do this now; try again later")
    }
}

/// How a client proves who it is, if it does so in the header. One that can't be read proves nothing, and is refused as
/// such.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or("Basic ?"))
}

/// The body of a request if it says that it is a form.
fn form(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Failure> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(RequestError::Malformed.into());
    }
    body.map_err(|error| Failure::new(TokenError::InvalidRequest, &error.body_text()))
}

/// The answer on the wire, counted. Neither tokens nor refusals may be cached (RFC 6749 §5.1).
fn answer<T: Serialize>(endpoint: &'static str, outcome: Result<T, Failure>) -> Response {
    let code = outcome.as_ref().map_or_else(|failure| failure.error.code(), |_| "ok");
    let error = outcome.as_ref().err().map(|failure| failure.error);
    metrics::counter!("cardata_oauth_requests_total", "endpoint" => endpoint, "outcome" => code)
        .increment(1);
    let mut response = match outcome {
        Ok(body) => Json(body).into_response(),
        Err(Failure { instead: Some(instead), .. }) => {
            let (status, body) = *instead;
            (status, Json(body)).into_response()
        }
        Err(Failure { error, description, .. }) => {
            let status = StatusCode::from_u16(error.status()).expect("the codes are statuses");
            let body = ErrorBody { error_description: description, error: error.code().to_owned() };
            (status, Json(body)).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    match error {
        // RFC 6749 §5.2
        Some(TokenError::InvalidClient) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"gcdm\""));
        }
        Some(TokenError::TooManyRequests) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests;
