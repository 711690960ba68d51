//! `POST /gcdm/oauth/introspect` (RFC 7662): a resource server of the operator asks whether a token is good.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use cardata_contract::oauth::{AboutToken, ActiveToken, Introspection, TokenError};
use cardata_domain::client::Kind;
use cardata_domain::token::Claims;
use cardata_store::directory::DirectoryError;
use jiff::Timestamp;

use super::callers::Callers;
use super::described::{AboutTokenForm, Introspected};
use super::verify::{self, VerifyError};
use super::{Failure, answer, authorization, form};
use crate::attempts::Peer;
use crate::platform::Platform;
use crate::secret;

#[utoipa::path(
    post, path = "/gcdm/oauth/introspect", tag = "Log-in", summary = "Ask about a token",
    request_body(content = AboutTokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspected, description = "Whether it is good")),
)]
pub(super) async fn introspect(
    State(platform): State<Arc<Platform>>,
    Extension(callers): Extension<Arc<Callers>>,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match form(&headers, body) {
        Ok(body) => tell(&platform, &callers, peer, &body, authorization(&headers)).await,
        Err(failure) => Err(failure),
    };
    answer("introspect", outcome)
}

async fn tell(
    platform: &Platform,
    callers: &Callers,
    peer: Peer,
    body: &[u8],
    authorization: Option<&str>,
) -> Result<Introspection, Failure> {
    let request = AboutToken::parse(body, authorization)?;
    let asker = callers.authenticate(platform, peer, &request.credentials).await?;
    // Without a secret anybody could ask in its name.
    if asker.kind != Kind::ResourceServer || asker.secret_hash.is_none() {
        let why = "only a resource server with a secret may ask about tokens";
        return Err(Failure::new(TokenError::UnauthorizedClient, why));
    }
    let active = active(platform, &request.token).await?;
    Ok(active.map_or(Introspection::INACTIVE, Introspection::from))
}

/// What `token` says, when it is good now. A refresh token is for nobody but this service, and so never is.
async fn active(platform: &Platform, token: &str) -> Result<Option<ActiveToken>, DirectoryError> {
    if verify::is_jwt(token) {
        let Some(read) = platform.keys.open_id_token(token, &platform.public_url) else {
            return Ok(None);
        };
        let claims = known(verify::id_token(platform, token).await)?;
        return Ok(claims.filter(|claims| is_in_time(platform, claims.expires_at)).map(|claims| {
            let aud = claims.client_id.to_string();
            consented(platform, &claims, "id_token", read.iat, aud)
        }));
    }
    let hash = secret::hash(token);
    if let Some(stored) = platform.directory.access_token(&hash).await? {
        let claims = known(verify::access_token(platform, token).await)?;
        return Ok(claims.filter(|claims| is_in_time(platform, claims.expires_at)).map(|claims| {
            let (iat, aud) = (stored.issued_at.as_second(), platform.public_url.clone());
            consented(platform, &claims, "Bearer", iat, aud)
        }));
    }
    let Some(stored) = platform.directory.client_token(&hash).await? else { return Ok(None) };
    let claims = known(verify::client_token(platform, token).await)?;
    Ok(claims.filter(|claims| is_in_time(platform, claims.expires_at)).map(|claims| ActiveToken {
        scope: claims.scopes.to_string(),
        client_id: claims.client_id.to_string(),
        token_type: "Bearer".to_owned(),
        exp: claims.expires_at.as_second(),
        iat: stored.issued_at.as_second(),
        sub: claims.client_id.to_string(),
        aud: platform.public_url.clone(),
        iss: platform.public_url.clone(),
    }))
}

fn is_in_time(platform: &Platform, expires_at: Timestamp) -> bool {
    platform.clock.now() < expires_at
}

/// The claims, unless the token is not good; why not is nobody's business.
fn known<T>(verified: Result<T, VerifyError>) -> Result<Option<T>, DirectoryError> {
    match verified {
        Ok(claims) => Ok(Some(claims)),
        Err(VerifyError::Directory(error)) => Err(error),
        Err(VerifyError::Invalid | VerifyError::Revoked | VerifyError::NoConsent) => Ok(None),
    }
}

fn consented(
    platform: &Platform,
    claims: &Claims,
    token_type: &str,
    iat: i64,
    aud: String,
) -> ActiveToken {
    ActiveToken {
        scope: claims.scopes.to_string(),
        client_id: claims.client_id.to_string(),
        token_type: token_type.to_owned(),
        exp: claims.expires_at.as_second(),
        iat,
        sub: claims.gcid.to_string(),
        aud,
        iss: platform.public_url.clone(),
    }
}
