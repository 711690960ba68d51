//! Who calls: the bearer token of a request, and whether it opens the REST API.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cardata_contract::error_code::ErrorCode;
use cardata_domain::token::{self, Claims, Refusal, Scope};
use cardata_domain::{ClientId, Gcid, Vin};

use super::error::ApiError;
use super::metered;
use crate::Platform;
use crate::faults::{Whom, requests};
use crate::gcdm::verify::{self, VerifyError};
use crate::tally::Read;

/// A client that acts for itself. Holding one is the proof that its token was good.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientCaller(pub(super) ClientId);

impl FromRequestParts<Arc<Platform>> for ClientCaller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            let note = "send `Authorization: Bearer` with a token of the grant client_credentials";
            ApiError::new(ErrorCode::Forbidden, note)
        })?;
        let claims = verify::client_token(platform, token).await.map_err(|error| match error {
            VerifyError::Directory(error) => error.into(),
            VerifyError::Invalid | VerifyError::Revoked | VerifyError::NoConsent => {
                let note =
                    "this is no token of a client; get one with the grant client_credentials";
                ApiError::new(ErrorCode::Authentication, note)
            }
        })?;
        if claims.expires_at <= platform.clock.now() {
            let refusal = Refusal::Expired(claims.expires_at);
            return Err(ApiError::new(ErrorCode::TokenExpired, refusal.to_string()));
        }
        Ok(Self(claims.client_id))
    }
}

/// Whose data is asked for, and by which client. Holding one is the proof that the token was good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// The customer.
    pub(super) gcid: Gcid,
    /// The client.
    pub(super) client_id: ClientId,
}

impl Caller {
    /// Notes that the client has read data of `vin` at `endpoint`.
    pub(super) fn note_read(self, platform: &Platform, vin: Vin, endpoint: &'static str) {
        let Self { gcid, client_id } = self;
        platform.tally.read(Read { gcid, client_id, vin, endpoint }, platform.clock.now());
    }
}

impl FromRequestParts<Arc<Platform>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, ApiError> {
        let claims = claims(parts, platform, Scope::ApiRead).await?;
        Ok(Self { gcid: claims.gcid, client_id: claims.client_id })
    }
}

/// The same for a stream of events, and until when. Holding one is the proof that the token was good.
#[derive(Debug, Clone)]
pub(super) struct Streamer(pub(super) Claims);

impl FromRequestParts<Arc<Platform>> for Streamer {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, ApiError> {
        claims(parts, platform, Scope::StreamingRead).await.map(Self)
    }
}

/// What the request's token says, which is good for `scope`; it counts towards the quota.
async fn claims(parts: &Parts, platform: &Arc<Platform>, scope: Scope) -> Result<Claims, ApiError> {
    let token = bearer(&parts.headers).ok_or_else(|| {
        ApiError::new(ErrorCode::Forbidden, "send `Authorization: Bearer <access token>`")
    })?;
    let refused = |note: &str| ApiError::new(ErrorCode::Authentication, note);
    let claims = verify::rest_bearer(platform, token).await.map_err(|error| match error {
        VerifyError::Invalid => refused(
            "this is no access token of this service, or its consent was revoked; authorize anew",
        ),
        VerifyError::NoConsent => {
            refused("the customer has not let this client in; that is done in the portal")
        }
        VerifyError::Revoked => refused("the customer revoked the consent; authorize anew"),
        VerifyError::Directory(error) => error.into(),
    })?;
    token::check(&claims, scope, platform.clock.now()).map_err(|refusal| {
        let code = match refusal {
            Refusal::Expired(_) => ErrorCode::TokenExpired,
            Refusal::MissingScope(_) => ErrorCode::TokenScope,
        };
        ApiError::new(code, refusal.to_string())
    })?;
    hold_up(parts, platform, &claims).await?;
    metered::charge(parts, platform, claims.gcid, claims.client_id)?;
    // The documentation asks for the header; several clients leave it out.
    if parts.headers.get_all("x-version").iter().any(|version| version != "v1") {
        return Err(ApiError::bad_request("the only x-version is v1"));
    }
    Ok(claims)
}

/// Lets a request wait or fail where a fault on purpose wants that.
async fn hold_up(parts: &Parts, platform: &Platform, claims: &Claims) -> Result<(), ApiError> {
    let whom = Whom::client(claims.client_id, Some(claims.gcid));
    let whom = Whom { path: Some(parts.uri.path()), ..whom };
    let Some(status) = requests::hold_up(platform, whom).await else { return Ok(()) };
    let code = match status {
        403 => ErrorCode::Refused,
        503 => ErrorCode::Unavailable,
        _ => ErrorCode::Internal,
    };
    Err(ApiError::new(code, "a fault on purpose, of the sandbox"))
}

/// The bearer token of a request (RFC 6750 §2.1), unless there is none that can be read.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc").as_deref(), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc", "", "Bearer ä"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
