//! The JSON in a request's body (wire §4.1).

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::BODY_LENGTH_MAX;
use super::error::ApiError;

/// A body that was read. What `Content-Type` calls it counts for nothing but the charset: programs send JSON under other
/// names, or none.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(ApiError::bad_request("send the body as it is, without Content-Encoding"));
        }
        if let Some(other) = other_charset(request.headers()) {
            let note = format!("the body is UTF-8; the charset `{other}` is not known here");
            return Err(ApiError::bad_request(note));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                ApiError::bad_request(format!("the body may have at most {BODY_LENGTH_MAX} bytes"))
            }
            _ => ApiError::bad_request(rejection.body_text()),
        })?;
        let read = serde_json::from_slice(&body);
        read.map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body can't be read: {error}")))
    }
}

/// The charset that the body is said to be in, unless that is UTF-8 or a part of it.
fn other_charset(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let charset = said.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })?;
    let is_known =
        ["utf-8", "utf8", "us-ascii"].iter().any(|one| charset.eq_ignore_ascii_case(one));
    (!is_known).then(|| charset.to_owned())
}
