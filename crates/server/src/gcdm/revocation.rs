//! `POST /gcdm/oauth/revoke` (RFC 7009): a client gives back what it holds.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use cardata_contract::oauth::{AboutToken, TokenError};
use cardata_domain::client::Client;
use cardata_domain::consent::EndReason;
use cardata_domain::ledger::Actor;
use cardata_domain::token::Scope;
use serde_json::{Value, json};

use super::callers::Callers;
use super::described::AboutTokenForm;
use super::verify;
use super::{Failure, answer, authorization, form};
use crate::attempts::Peer;
use crate::endings;
use crate::platform::Platform;
use crate::secret;

/// What became of a wish to end a token. Clients are told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Consent,
    AccessToken,
    ClientToken,
    /// There is such a token, but it is another client's.
    Foreign,
    Unknown,
}

#[utoipa::path(
    post, path = "/gcdm/oauth/revoke", tag = "Log-in", summary = "Give a token back",
    request_body(content = AboutTokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Object, description = "Whatever became of it")),
)]
pub(super) async fn revoke(
    State(platform): State<Arc<Platform>>,
    Extension(callers): Extension<Arc<Callers>>,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match form(&headers, body) {
        Ok(body) => give_back(&platform, &callers, peer, &body, authorization(&headers)).await,
        Err(failure) => Err(failure),
    };
    answer("revoke", outcome)
}

/// The same answer for every token, so that nobody learns whether one is somebody else's.
async fn give_back(
    platform: &Arc<Platform>,
    callers: &Callers,
    peer: Peer,
    body: &[u8],
    authorization: Option<&str>,
) -> Result<Value, Failure> {
    let request = AboutToken::parse(body, authorization)?;
    let client = callers.authenticate(platform, peer, &request.credentials).await?;
    // All that can be revoked is base64url; what has dots is an id token, and stands for itself until its consent ends.
    if verify::is_jwt(&request.token) {
        let why =
            "an id token can't be revoked by itself; revoke the refresh token, which ends all";
        return Err(Failure::new(TokenError::UnsupportedTokenType, why));
    }
    let outcome = end(platform, &client, &request.token).await?;
    let word = match outcome {
        Outcome::Consent => "consent",
        Outcome::AccessToken => "access_token",
        Outcome::ClientToken => "client_token",
        Outcome::Foreign => "foreign",
        Outcome::Unknown => "unknown",
    };
    metrics::counter!("cardata_oauth_revocations_total", "outcome" => word).increment(1);
    tracing::info!(client.id = %client.id, "client {} revokes a token ({word})", client.id);
    Ok(json!({}))
}

async fn end(platform: &Arc<Platform>, client: &Client, token: &str) -> Result<Outcome, Failure> {
    let directory = &platform.directory;
    let hash = secret::hash(token);
    if let Some(token) = directory.refresh_token(&hash).await? {
        let Some(consent) = directory.consent(token.consent_id).await? else {
            return Ok(Outcome::Unknown);
        };
        if consent.client_id != client.id {
            return Ok(Outcome::Foreign);
        }
        if token.expires_at <= platform.clock.now() {
            return Ok(Outcome::Unknown);
        }
        let (why, actor) = (EndReason::Client, Actor::Client);
        endings::end_consents(platform, vec![consent], why, actor)
            .await
            .map_err(cardata_store::directory::DirectoryError::from)?;
        return Ok(Outcome::Consent);
    }
    if let Some(token) = directory.access_token(&hash).await? {
        let Some(consent) = directory.consent(token.consent_id).await? else {
            return Ok(Outcome::Unknown);
        };
        if consent.client_id != client.id {
            return Ok(Outcome::Foreign);
        }
        directory.revoke_access_token(&hash).await?;
        if consent.scopes.contains(Scope::StreamingRead) {
            platform.router.ask_for_tokens(consent.gcid, consent.client_id);
        }
        return Ok(Outcome::AccessToken);
    }
    match directory.client_token(&hash).await? {
        Some(token) if token.client_id == client.id => {
            directory.revoke_client_token(&hash).await?;
            // Nobody remembers which connection came with it.
            if token.scopes.contains(Scope::StreamingRead) {
                endings::close_fleet(platform, client.id).await;
            }
            Ok(Outcome::ClientToken)
        }
        Some(_) => Ok(Outcome::Foreign),
        None => Ok(Outcome::Unknown),
    }
}
