//! Whether a token is genuine, and what it says. Whether that opens a door is for `cardata_domain::token::check`.

use cardata_domain::consent::{Consent, ConsentId, State};
use cardata_domain::token::{Claims, ClientClaims, Scope};
use cardata_store::directory::DirectoryError;
use jiff::Timestamp;
use thiserror::Error;

use super::outside::OutsideProvider;
use crate::faults::kind::Tokens;
use crate::faults::tokens;
use crate::platform::Platform;
use crate::secret;

/// Why a token says nothing.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It was not issued here, or is not known any more.
    #[error("the token was not issued by this service")]
    Invalid,
    /// The consent that it rests on was ended.
    #[error("the consent that the token rests on was revoked")]
    Revoked,
    /// The token is genuine and from outside, and its customer has not let its client in here.
    #[error("the customer has not let the client of the token in")]
    NoConsent,
    /// The store failed, so nobody knows.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The claims of an id token that is genuine and rests on an active consent; also when it has expired.
///
/// # Errors
/// [`VerifyError`]; never for its expiry or scopes, which the caller checks.
pub async fn id_token(platform: &Platform, jwt: &str) -> Result<Claims, VerifyError> {
    let token = platform.keys.open_id_token(jwt, &platform.public_url);
    let token = token.ok_or(VerifyError::Invalid)?;
    let consent_id: ConsentId = token.sid.parse().map_err(|_| VerifyError::Invalid)?;
    let instant = |second: i64| {
        let second = second.checked_sub(token.skew).ok_or(VerifyError::Invalid)?;
        Timestamp::from_second(second).map_err(|_| VerifyError::Invalid)
    };
    let (issued_at, expires_at) = (instant(token.iat)?, instant(token.exp)?);
    let consent = active(platform, consent_id).await?;
    if token.gcid != consent.gcid.to_string() || token.aud != consent.client_id.to_string() {
        return Err(VerifyError::Invalid);
    }
    let early_end = tokens::early_end(platform, &consent, Tokens::Id, issued_at);
    Ok(claims(&consent, early_end.unwrap_or(expires_at)))
}

/// The claims of an access token that is known and rests on an active consent; also when it has expired.
///
/// # Errors
/// [`VerifyError`]; never for its expiry or scopes, which the caller checks. A token that expired long ago may have
/// been forgotten and is [`VerifyError::Invalid`] then.
pub async fn access_token(platform: &Platform, token: &str) -> Result<Claims, VerifyError> {
    let known = platform.directory.access_token(&secret::hash(token)).await?;
    let known = known.ok_or(VerifyError::Invalid)?;
    let consent = active(platform, known.consent_id).await?;
    let early_end = tokens::early_end(platform, &consent, Tokens::Access, known.issued_at);
    Ok(claims(&consent, early_end.unwrap_or(known.expires_at)))
}

/// The claims of a token with which a client acts for itself; also when it has expired.
///
/// # Errors
/// [`VerifyError`]; never for its expiry, which the caller checks.
pub async fn client_token(platform: &Platform, token: &str) -> Result<ClientClaims, VerifyError> {
    let known = platform.directory.client_token(&secret::hash(token)).await?;
    let known = known.ok_or(VerifyError::Invalid)?;
    let client = platform.directory.client(known.client_id).await?.ok_or(VerifyError::Invalid)?;
    // Asked anew each time: what the client has lost since counts no more.
    let scopes = client.own_scopes(Some(known.scopes)).map_err(|_| VerifyError::Invalid)?;
    Ok(ClientClaims { client_id: client.id, scopes, expires_at: known.expires_at })
}

/// The claims of what a client gave as the stream's password: an id token, an access token, or a token of the outside
/// provider.
///
/// # Errors
/// [`VerifyError`], as for each kind.
pub async fn stream_password(platform: &Platform, password: &str) -> Result<Claims, VerifyError> {
    match outside_of(platform, password) {
        Some(provider) => provider.claims(platform, password, Scope::StreamingRead).await,
        None if is_jwt(password) => id_token(platform, password).await,
        None => access_token(platform, password).await,
    }
}

/// The claims of what a client gave as the REST API's bearer token: an access token, or a token of the outside provider.
///
/// # Errors
/// [`VerifyError`], as for each kind.
pub async fn rest_bearer(platform: &Platform, token: &str) -> Result<Claims, VerifyError> {
    match outside_of(platform, token) {
        Some(provider) => provider.claims(platform, token, Scope::ApiRead).await,
        None => access_token(platform, token).await,
    }
}

/// A JWT has dots; base64url, of which our other tokens are made, has none.
pub(super) fn is_jwt(token: &str) -> bool {
    token.contains('.')
}

/// The outside provider, when the token says that it is from there. Whether that is true is the provider's to judge.
fn outside_of<'a>(platform: &'a Platform, token: &str) -> Option<&'a OutsideProvider> {
    platform.outside.as_ref().filter(|provider| is_jwt(token) && provider.is_named_in(token))
}

async fn active(platform: &Platform, id: ConsentId) -> Result<Consent, VerifyError> {
    let consent = platform.directory.consent(id).await?;
    // One whose time is over ends its tokens by their expiry, of which their users are told.
    consent.filter(|consent| consent.state == State::Active).ok_or(VerifyError::Revoked)
}

fn claims(consent: &Consent, expires_at: Timestamp) -> Claims {
    Claims {
        gcid: consent.gcid,
        client_id: consent.client_id,
        consent_id: consent.id,
        scopes: consent.scopes,
        expires_at: consent.cap(expires_at),
    }
}
