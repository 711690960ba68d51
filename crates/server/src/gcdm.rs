//! GCDM: the log-in of programs. A program gets its codes in [`device`], a person approves in the portal, the program
//! fetches and refreshes its tokens in [`token`]; [`keys`] signs them and [`verify`] opens doors to them.

pub mod device;
mod id_token;
pub mod keys;
pub mod outside;
pub mod token;
pub mod verify;

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, PRAGMA};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cardata_contract::oauth::{
    ErrorBody, GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN, RequestError, TokenError,
};
use cardata_domain::device_grant::PollRefusal;
use cardata_domain::token::Scope;
use cardata_store::directory::DirectoryError;
use serde::Serialize;
use serde_json::{Value, json};

use crate::platform::Platform;

/// Bytes that a request may have; tokens and parameters of clients stay far below.
const BODY_LENGTH_MAX: usize = 16 * 1024;

/// The paths of the log-in and of its public description. Who started log-ins is remembered in memory, for each call of
/// this function apart.
pub fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/gcdm/oauth/device/code", post(device::start))
        .route("/gcdm/oauth/token", post(token::issue))
        .layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
        .layer(Extension(Arc::new(device::Starts::default())))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/jwks.json", get(jwks))
}

/// What the service offers (OIDC Discovery 1.0 §3, RFC 8414 §2, RFC 8628 §4).
async fn discovery(State(platform): State<Arc<Platform>>) -> Json<Value> {
    let url = &platform.public_url;
    Json(json!({
        "issuer": url,
        "device_authorization_endpoint": format!("{url}/gcdm/oauth/device/code"),
        "token_endpoint": format!("{url}/gcdm/oauth/token"),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "grant_types_supported": [GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN],
        "response_types_supported": ["device_code"],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": id_token::CLAIMS,
    }))
}

async fn jwks(State(platform): State<Arc<Platform>>) -> Response {
    Json(platform.keys.jwks()).into_response()
}

/// Why a program gets no tokens: a code for it and a sentence for its author.
struct Failure {
    error: TokenError,
    description: String,
}

impl Failure {
    fn new(error: TokenError, description: &(impl ToString + ?Sized)) -> Self {
        Self { error, description: description.to_string() }
    }
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
    metrics::counter!("cardata_oauth_requests_total", "endpoint" => endpoint, "outcome" => code)
        .increment(1);
    let mut response = match outcome {
        Ok(body) => Json(body).into_response(),
        Err(Failure { error, description }) => {
            let status = StatusCode::from_u16(error.status()).expect("the codes are statuses");
            let body = ErrorBody { error_description: description, error: error.code().to_owned() };
            (status, Json(body)).into_response()
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
