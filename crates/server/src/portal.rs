//! The pages for customers: rendered here, in English and German, and usable without script.

mod account;
mod activity;
mod chart;
mod clients;
pub(crate) mod export;
mod faults;
mod hints;
mod language;
pub mod link;
mod log_in;
pub mod login;
mod places;
mod problem;
mod sharing;
mod stream;
mod text;
mod vehicles;
mod visit;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, REFERRER_POLICY,
    SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{from_fn, map_response_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::platform::Platform;
use language::Language;

pub use login::password_hash;

/// Bytes that a form may have. One with every listed descriptor ticked has about 40,000.
const FORM_LENGTH_MAX: usize = 128 * 1024;

/// What a page may do in a browser: show itself, load its style and script from here, send its forms here and ask here
/// for what is new. Nothing inline, and in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HARDENING: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "geolocation=(), camera=(), microphone=(), payment=(), usb=()",
    ),
];
/// Two years, where the pages are reached under a name of their own.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// The pages' paths.
pub fn routes(platform: Arc<Platform>) -> Router<Arc<Platform>> {
    Router::new()
        .route("/", get(async || Redirect::to("/vehicles")))
        .route("/login", get(log_in::show).post(log_in::submit))
        .route("/logout", post(log_in::log_out))
        .route("/language/{tag}", get(choose_language))
        .route("/vehicles", get(vehicles::list))
        .route("/vehicles/{vin}", get(vehicles::show))
        .route("/vehicles/{vin}/live", get(vehicles::fragment))
        .route("/clients", get(clients::list).post(clients::create))
        .route("/clients/{id}", post(clients::change))
        .route("/clients/{id}/delete", get(clients::ask_delete).post(clients::delete))
        .route("/clients/{id}/stream", get(stream::show).post(stream::submit))
        .route("/clients/{id}/places", get(places::show).post(places::submit))
        .route("/faults", get(faults::show).post(faults::add))
        .route("/faults/{id}/end", post(faults::end))
        .route("/zones", get(places::zones).post(places::add_zone))
        .route("/zones/{id}/remove", post(places::remove_zone))
        .route("/sharing", get(sharing::show))
        .route("/sharing/{client}/revoke", post(sharing::revoke))
        .route("/sharing/containers/{id}/revoke", post(sharing::revoke_container))
        .route("/activity", get(activity::show))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/export.zip", get(export::everything))
        .route("/account/consents.json", get(export::record))
        .route("/account/delete", get(account::ask_delete).post(account::delete))
        .route(link::PATH, get(link::show).post(link::submit))
        .route("/portal/style.css", get(style))
        .route("/portal/script.js", get(script))
        .fallback(async || problem::Problem::NotFound)
        .layer(DefaultBodyLimit::max(FORM_LENGTH_MAX))
        .layer(from_fn(problem::show))
        .layer(map_response_with_state(platform, harden))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LanguageQuery {
    next: String,
}

/// Remembers a language in this browser.
async fn choose_language(
    Path(tag): Path<String>,
    query: Result<Query<LanguageQuery>, QueryRejection>,
) -> Result<Response, problem::Problem> {
    let language = Language::parse(&tag).ok_or(problem::Problem::NotFound)?;
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    let mut response = Redirect::to(visit::local(&next)).into_response();
    let cookie = format!(
        "{}={}; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax",
        language::COOKIE_NAME,
        language.tag()
    );
    let cookie = HeaderValue::try_from(cookie).expect("a tag is allowed in headers");
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css")], include_str!("../templates/style.css")).into_response()
}

async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript")], include_str!("../templates/script.js")).into_response()
}

pub(crate) async fn harden(
    State(platform): State<Arc<Platform>>,
    mut response: Response,
) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HARDENING {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What has a tag may be kept by the browser that it was given to, and asked about each time.
    let caching = if headers.contains_key(ETAG) { "private, no-cache" } else { "no-store" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if !is_local(&platform.public_url) {
        headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

/// Whether the pages are reached as `localhost`, whose other ports are other people's business.
fn is_local(public_url: &str) -> bool {
    let host = public_url.trim_start_matches("https://");
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.starts_with(local))
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

/// `text` as a value in a query (RFC 3986 §2.1).
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        encoded
    })
}

#[cfg(test)]
mod tests;
