//! The operator's door: `/admin/v1/*` on its own listener, opened by the bearer token in the data folder.

mod clients;
mod device_codes;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tower::ServiceExt as _;

use crate::api::auth::bearer;
use crate::platform::Platform;
use crate::secret;

/// Every path below `/admin/v1`, behind the operator's token, whether it exists or not.
pub fn routes() -> Router<Arc<Platform>> {
    Router::new().nest("/admin/v1", Router::new().fallback(guard))
}

/// What the operator can do; paths are below `/admin/v1`.
fn operations() -> Router<Arc<Platform>> {
    Router::new().merge(clients::routes()).merge(device_codes::routes()).fallback(async || {
        refusal(StatusCode::NOT_FOUND, "there is no such operation", "look at the path")
    })
}

async fn guard(State(platform): State<Arc<Platform>>, request: Request) -> Response {
    if !is_operator(&platform, request.headers()) {
        let mut response = refusal(
            StatusCode::UNAUTHORIZED,
            "the operator's token is missing or wrong",
            "send `Authorization: Bearer` with the token from the data folder",
        );
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    let Ok(response) = operations().with_state(platform).oneshot(request).await;
    response
}

fn is_operator(platform: &Platform, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|token| secret::equal(token, &platform.admin_token))
}

/// An error's body: what was wrong, and what to do about it.
fn refusal(status: StatusCode, error: &str, remedy: &str) -> Response {
    (status, Json(json!({"error": error, "remedy": remedy}))).into_response()
}

#[cfg(test)]
mod tests;
