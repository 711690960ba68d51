//! `POST /gcdm/oauth/token`: tokens for an approved device code, and new tokens for a refresh token.
//! `own_token` has the third grant.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::oauth::{
    ClientTokenResponse, Grant, TokenError, TokenRequest, TokenResponse,
};
use cardata_domain::client::Client;
use cardata_domain::consent::{self, Consent, ConsentId, EndReason};
use cardata_domain::device_grant::{DeviceGrant, PollRefusal, State as Stage};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::refresh::{self, Refusal};
use cardata_domain::token::{REFRESH_LIFETIME, Scope};
use cardata_store::directory::{AccessToken, DirectoryError, RefreshToken, TokenHash};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::callers::Callers;
use super::described::{TokenForm, Tokens};
use super::id_token::IdToken;
use super::{Failure, answer, authorization, form, hold_up, own_token, whom};
use crate::attempts::Peer;
use crate::endings;
use crate::faults::{Kind, Whom, tokens as issuing};
use crate::platform::Platform;
use crate::secret;

/// Where tokens are issued.
pub(super) const PATH: &str = "/gcdm/oauth/token";

#[utoipa::path(
    post, path = "/gcdm/oauth/token",
    tag = "Log-in",
    summary = "Poll for tokens, refresh them, or get one for the client itself",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = Tokens, description = "The tokens"),
        (status = 403, body = cardata_contract::oauth::ErrorBody, description = "`authorization_pending` or `access_denied`")
    ),
)]
pub(super) async fn issue(
    State(platform): State<Arc<Platform>>,
    Extension(callers): Extension<Arc<Callers>>,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match form(&headers, body) {
        Ok(body) => exchange(&platform, &callers, peer, &body, authorization(&headers)).await,
        Err(failure) => Err(failure),
    };
    answer("token", outcome)
}

/// What a client gets.
#[derive(Serialize)]
#[serde(untagged)]
enum Issued {
    Consented(TokenResponse),
    Own(ClientTokenResponse),
}

async fn exchange(
    platform: &Arc<Platform>,
    callers: &Callers,
    peer: Peer,
    body: &[u8],
    authorization: Option<&str>,
) -> Result<Issued, Failure> {
    let request = TokenRequest::parse(body, authorization)?;
    let client = callers.authenticate(platform, peer, &request.credentials).await?;
    if platform.faults().is_some() {
        let whom = bearer(platform, &client, &request.grant).await?;
        hold_up(platform, whom, PATH).await?;
        let has_capitals = request.credentials.client_id.contains(|c: char| c.is_ascii_uppercase());
        if has_capitals && platform.is_struck(whom, &Kind::UpperCaseClientId) {
            return Err(PollRefusal::InvalidGrant.into());
        }
    }
    match request.grant {
        Grant::DeviceCode { device_code, code_verifier } => {
            let issued = by_device_code(platform, &client, &device_code, &code_verifier).await;
            issued.map(Issued::Consented)
        }
        Grant::Refresh { refresh_token } => {
            by_refresh(platform, &client, &refresh_token).await.map(Issued::Consented)
        }
        Grant::ClientCredentials { scopes } => {
            own_token::issue(platform, &client, scopes).await.map(Issued::Own)
        }
    }
}

/// Whom a fault on purpose would strike: the client, at the data of the customer whose consent the grant is or will be.
async fn bearer(
    platform: &Platform,
    client: &Client,
    grant: &Grant,
) -> Result<Whom<'static>, DirectoryError> {
    let directory = &platform.directory;
    let gcid = match grant {
        Grant::DeviceCode { device_code, .. } => {
            match directory.device_grant(&secret::hash(device_code)).await?.map(|one| one.state) {
                Some(Stage::Approved(gcid)) => Some(gcid),
                _ => None,
            }
        }
        Grant::Refresh { refresh_token } => {
            match directory.refresh_token(&secret::hash(refresh_token)).await? {
                Some(token) => directory.consent(token.consent_id).await?.map(|one| one.gcid),
                None => None,
            }
        }
        Grant::ClientCredentials { .. } => None,
    };
    let whom = whom(client);
    Ok(Whom { gcid: gcid.or(whom.gcid), ..whom })
}

async fn by_device_code(
    platform: &Arc<Platform>,
    client: &Client,
    device_code: &str,
    code_verifier: &str,
) -> Result<TokenResponse, Failure> {
    let now = platform.clock.now();
    let hash = secret::hash(device_code);
    let grant = platform.directory.device_grant(&hash).await?.ok_or(PollRefusal::InvalidGrant)?;
    let fits = secret::verifier_fits(code_verifier, &grant.code_challenge);
    let outcome = grant.poll(client.id, fits, now);
    if let Err(PollRefusal::Pending | PollRefusal::SlowDown) = outcome {
        platform.directory.note_poll(&hash, now).await?;
    }
    let gcid = outcome?;
    spoil(platform, Whom::client(client.id, Some(gcid)), &hash, &grant).await?;
    if client.grantable(grant.scopes) != Some(grant.scopes) {
        return Err(unsubscribed());
    }

    let consent = Consent {
        id: ConsentId::new(secret::uuid()),
        gcid,
        client_id: client.id,
        scopes: grant.scopes,
        purpose: purpose(client),
        granted_at: now,
        expires_at: grant.lasts.and_then(|lasts| now.checked_add(lasts).ok()),
        state: consent::State::Active,
    };
    let fresh = Fresh::draw(platform, &consent, now);
    endings::end_expired(platform, gcid, client.id).await.map_err(DirectoryError::from)?;
    let exchanged = platform
        .directory
        .exchange_device_grant(&hash, grant.state, &consent, &fresh.refresh, &fresh.access)
        .await?;
    if !exchanged {
        return Err(PollRefusal::InvalidGrant.into());
    }
    note_grant(platform, &consent).await?;
    if consent.scopes.contains(Scope::StreamingRead) {
        endings::fleets_look_anew(platform, &[client.id]).await;
    }
    tracing::info!(client.id = %client.id, consent.id = %consent.id, "client {} got its tokens", client.id);
    Ok(fresh.response)
}

/// Lets the log-in be lost right after it was approved, where a fault on purpose wants that.
async fn spoil(
    platform: &Platform,
    whom: Whom<'_>,
    hash: &TokenHash,
    grant: &DeviceGrant,
) -> Result<(), Failure> {
    let struck = platform.struck(whom, |fault| match fault.kind {
        Kind::KeyManagement => Some(Stage::Denied),
        Kind::InvalidGrant => Some(Stage::Exchanged),
        _ => None,
    });
    let Some(lost) = struck else { return Ok(()) };
    platform.directory.move_device_grant(hash, grant.state, lost, None).await?;
    if lost == Stage::Exchanged {
        return Err(PollRefusal::InvalidGrant.into());
    }
    // As the gateway of the real service words it (wire §1.5).
    let body = json!({"fault": {
        "faultstring": "Invalid Access Token",
        "detail": {"errorcode": "keymanagement.service.invalid_access_token"},
    }});
    let instead = Some(Box::new((StatusCode::INTERNAL_SERVER_ERROR, body)));
    Err(Failure { instead, ..Failure::new(TokenError::ServerError, "Invalid Access Token") })
}

/// What the customer was told that the client wants the data for.
fn purpose(client: &Client) -> String {
    match client.purpose.as_str() {
        "" => client.name.clone(),
        purpose => format!("{}: {purpose}", client.name),
    }
}

/// Notes in the ledger who may see what from now on.
async fn note_grant(platform: &Platform, consent: &Consent) -> Result<(), DirectoryError> {
    let containers = platform.directory.containers(consent.gcid, consent.client_id).await?;
    let containers: Vec<_> = containers.iter().map(|one| one.id.as_str().to_owned()).collect();
    let record = Record::new(consent.granted_at, Actor::Customer, Act::ConsentGranted)
        .of(consent.gcid)
        .with_client(consent.client_id)
        .with("consent_id", consent.id.to_string())
        .with("scopes", consent.scopes.to_string())
        .with("purpose", consent.purpose.clone())
        .with("containers", containers)
        .with("until", consent.expires_at.map(|until| until.to_string()));
    platform.directory.append_to_ledger(&[record]).await
}

/// How often a refresh looks again when another request with the same token was faster.
const REFRESH_ATTEMPTS: usize = 3;

async fn by_refresh(
    platform: &Arc<Platform>,
    client: &Client,
    refresh_token: &str,
) -> Result<TokenResponse, Failure> {
    let hash = secret::hash(refresh_token);
    for _ in 0..REFRESH_ATTEMPTS {
        let token = platform.directory.refresh_token(&hash).await?.ok_or_else(dead)?;
        if let Some(response) = rotate(platform, client, &token).await? {
            return Ok(response);
        }
    }
    Err(dead())
}

/// Exchanges `token` for new ones; `None` when it is no longer as it was read.
async fn rotate(
    platform: &Arc<Platform>,
    client: &Client,
    token: &RefreshToken,
) -> Result<Option<TokenResponse>, Failure> {
    let now = platform.clock.now();
    let consent = platform.directory.consent(token.consent_id).await?.ok_or_else(dead)?;
    if !consent.is_active(now) || consent.client_id != client.id {
        return Err(dead());
    }
    let refused = platform.struck(Whom::client(client.id, Some(consent.gcid)), |fault| {
        if let Kind::RefuseRefresh(error) = fault.kind { Some(error) } else { None }
    });
    if let Some(error) = refused {
        return Err(Failure { error, ..dead() });
    }
    match token.state.show(token.expires_at, platform.profile.refresh_grace, now) {
        Ok(_) => {}
        Err(Refusal::Expired) => return Err(dead()),
        Err(Refusal::Reused) => {
            end_reused(platform, consent).await?;
            return Err(dead());
        }
    }
    if client.grantable(consent.scopes) != Some(consent.scopes) {
        return Err(unsubscribed());
    }
    let fresh = Fresh::draw(platform, &consent, now);
    let rotated =
        platform.directory.rotate_refresh_token(token, &fresh.refresh, &fresh.access, now).await?;
    Ok(rotated.then_some(fresh.response))
}

/// Ends everything that one authorization began: of two who hold the same refresh token, one is a thief, and there is
/// no telling which (RFC 9700 §4.14.2).
async fn end_reused(platform: &Arc<Platform>, consent: Consent) -> Result<(), DirectoryError> {
    metrics::counter!("cardata_refresh_token_reuse_total").increment(1);
    tracing::warn!(
        client.id = %consent.client_id,
        consent.id = %consent.id,
        "client {} used a refresh token twice; its access ends, it must log in again",
        consent.client_id
    );
    endings::end_consents(platform, vec![consent], EndReason::TokenReuse, Actor::Service).await?;
    Ok(())
}

fn dead() -> Failure {
    let why = "the refresh token is unknown, used, expired or revoked; start a new log-in";
    Failure::new(TokenError::InvalidGrant, why)
}

fn unsubscribed() -> Failure {
    let why = "the client is no longer subscribed to what was consented to; subscribe it, then start a new log-in";
    Failure::new(TokenError::InvalidGrant, why)
}

/// A set of new tokens: as they are kept, and as they are sent.
struct Fresh {
    refresh: RefreshToken,
    access: AccessToken,
    response: TokenResponse,
}

impl Fresh {
    fn draw(platform: &Platform, consent: &Consent, now: Timestamp) -> Self {
        let (refresh_token, access_token) = (secret::token(), secret::token());
        let consent_id = consent.id;
        let issued_at = issuing::instant(platform, now);
        let skew = issuing::skew_seconds(platform, consent);
        let expires_at = consent.cap(now + platform.access_lifetime);
        let id_token = platform.keys.sign(&IdToken {
            iss: platform.public_url.clone(),
            sub: consent.gcid.to_string(),
            gcid: consent.gcid.to_string(),
            aud: consent.client_id.to_string(),
            azp: consent.client_id.to_string(),
            sid: consent.id.to_string(),
            jti: secret::uuid().to_string(),
            audit_tracking_id: secret::uuid().to_string(),
            token_name: "id_token".to_owned(),
            token_type: "JWTToken".to_owned(),
            realm: "/customer".to_owned(),
            at_hash: at_hash(&access_token),
            auth_time: consent.granted_at.as_second() + skew,
            iat: issued_at.as_second() + skew,
            exp: expires_at.as_second() + skew,
            skew,
            scope: consent.scopes.to_string(),
            dynamic_scopes: dynamic_scopes(consent),
        });
        Self {
            refresh: RefreshToken {
                hash: secret::hash(&refresh_token),
                consent_id,
                expires_at: consent.cap(now + REFRESH_LIFETIME),
                state: refresh::State::Fresh,
            },
            access: AccessToken {
                hash: secret::hash(&access_token),
                consent_id,
                issued_at,
                expires_at,
            },
            response: TokenResponse {
                gcid: consent.gcid.to_string(),
                token_type: "Bearer".to_owned(),
                expires_in: expires_at.duration_since(now).as_secs(),
                access_token,
                refresh_token,
                scope: consent.scopes.to_string(),
                id_token,
            },
        }
    }
}

/// Ties the id token to the access token beside it (OIDC Core 1.0 §3.1.3.6).
fn at_hash(access_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&secret::sha256(access_token.as_bytes())[..16])
}

/// What people who wonder about a silent stream are told to look for in their token.
fn dynamic_scopes(consent: &Consent) -> Vec<String> {
    let streams = consent.scopes.contains(Scope::StreamingRead);
    streams.then(|| format!("read:streaming/*/{}.*", consent.gcid)).into_iter().collect()
}
