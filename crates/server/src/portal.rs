//! The pages for customers. For now: the one on which a person lets a program in.

pub mod link;
pub mod login;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::platform::Platform;

pub use login::password_hash;

/// Bytes that a form may have.
const FORM_LENGTH_MAX: usize = 16 * 1024;

/// What a page may do in a browser: show itself, load its style from here and send its forms here. No script.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const HARDENING: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// The pages' paths.
pub fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/", get(async || Redirect::to(link::PATH)))
        .route(link::PATH, get(link::show).post(link::submit))
        .route("/oneid/style.css", get(style))
        .layer(DefaultBodyLimit::max(FORM_LENGTH_MAX))
        .layer(map_response(harden))
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css")], include_str!("../templates/style.css")).into_response()
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HARDENING {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page was not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
