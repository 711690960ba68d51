//! What a request costs of its caller's quota, and what the answer says of it (wire §4.3).

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use cardata_contract::error_code::ErrorCode;
use cardata_domain::{ClientId, Gcid};

use super::error::ApiError;
use crate::Platform;
use crate::faults::{Kind, Whom};
use crate::quota::{Charge, DAY_SECONDS, Standing};

/// The names of draft-ietf-httpapi-ratelimit-headers-10.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where the request's caller writes down what it cost.
#[derive(Clone, Default)]
struct Meter(Arc<OnceLock<Result<Charge, Standing>>>);

/// Tells the caller what is left, and takes nothing for what the server could not answer.
pub(super) async fn meter<F: Future<Output = Response>>(
    platform: &Platform,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let meter = Meter::default();
    request.extensions_mut().insert(meter.clone());
    let mut response = answer(request).await;
    let standing = match meter.0.get() {
        None => return response,
        Some(Ok(charge)) if response.status().is_server_error() => platform.quota.give_back(charge),
        Some(Ok(charge)) => charge.standing,
        Some(Err(standing)) => *standing,
    };
    tell(response.headers_mut(), standing);
    if matches!(meter.0.get(), Some(Err(_))) {
        response.headers_mut().insert(RETRY_AFTER, standing.resets_in_seconds.into());
    }
    response
}

/// Takes a request from the caller's quota.
///
/// # Errors
/// CU-429 when it is used up.
pub(super) fn charge(
    parts: &Parts,
    platform: &Platform,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<(), ApiError> {
    let Some(meter) = parts.extensions.get::<Meter>() else { return Ok(()) };
    let now = platform.clock.now();
    let whom = Whom { path: Some(parts.uri.path()), ..Whom::client(client_id, Some(gcid)) };
    let charged = meter.0.get_or_init(|| {
        if platform.is_struck(whom, &Kind::QuotaUsedUp) {
            return Err(platform.quota.used_up(gcid, client_id, now));
        }
        platform.quota.charge(gcid, client_id, now)
    });
    let Err(standing) = charged else { return Ok(()) };
    let max = standing.max.unwrap_or_default();
    let note = format!(
        "the {max} requests of today are used up; the next day begins at midnight UTC, in {} seconds",
        standing.resets_in_seconds
    );
    Err(ApiError::new(ErrorCode::Quota, note))
}

fn tell(headers: &mut HeaderMap, Standing { used, max, resets_in_seconds }: Standing) {
    let Some(max) = max else { return };
    let left = max.saturating_sub(used);
    let told = [
        (LIMIT, format!("\"day\";r={left};t={resets_in_seconds}")),
        (POLICY, format!("\"day\";q={max};w={DAY_SECONDS}")),
    ];
    for (name, text) in told {
        headers.extend(HeaderValue::try_from(text).map(|value| (name, value)).ok());
    }
}
