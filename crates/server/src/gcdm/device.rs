//! `POST /gcdm/oauth/device/code`: a program starts a log-in; and the decision that a person takes on it elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::oauth::{DeviceCodeRequest, DeviceCodeResponse, RequestError, TokenError};
use cardata_domain::Gcid;
use cardata_domain::client::{Client, Kind};
use cardata_domain::device_grant::{
    DecisionError, DeviceGrant, INTERVAL, LIFETIME, State as Stage,
};
use cardata_store::directory::{DirectoryError, TokenHash};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use thiserror::Error;

use super::callers::Callers;
use super::described::StartForm;
use super::{Failure, answer, authorization, form, hold_up, whom};
use crate::attempts::{Attempts, Peer};
use crate::faults;
use crate::platform::Platform;
use crate::secret;

/// Where a log-in is started.
pub(super) const PATH: &str = "/gcdm/oauth/device/code";

/// Log-ins that a peer may start in a minute. Each is a row that stays for an hour, and anybody who knows a client's id
/// may start one.
const STARTS_MAX: u32 = 600;

/// How many log-ins each peer started.
pub(super) struct Starts(Mutex<Attempts>);

impl Default for Starts {
    fn default() -> Self {
        Self(Mutex::new(Attempts::new(STARTS_MAX)))
    }
}

impl Starts {
    fn take(&self, peer: Peer, now: Timestamp) -> Result<(), Failure> {
        let why = "too many log-ins were started from this address; try again in a minute";
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts
            .take(peer, now)
            .then_some(())
            .ok_or_else(|| Failure::new(TokenError::SlowDown, why))
    }
}

#[utoipa::path(
    post, path = "/gcdm/oauth/device/code", tag = "Log-in", summary = "Start a log-in",
    request_body(content = StartForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = DeviceCodeResponse, description = "The codes")),
)]
pub(super) async fn start(
    State(platform): State<Arc<Platform>>,
    Extension(starts): Extension<Arc<Starts>>,
    Extension(callers): Extension<Arc<Callers>>,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match form(&headers, body) {
        Ok(body) => {
            let request = DeviceCodeRequest::parse(&body, authorization(&headers));
            begin(&platform, &starts, &callers, peer, request).await
        }
        Err(failure) => Err(failure),
    };
    answer("device_code", outcome)
}

async fn begin(
    platform: &Platform,
    starts: &Starts,
    callers: &Callers,
    peer: Peer,
    request: Result<DeviceCodeRequest, RequestError>,
) -> Result<DeviceCodeResponse, Failure> {
    let refused = |why: &str| Failure::new(TokenError::InvalidRequest, why);
    let request = request?;
    let unknown = || refused("the client id is unknown; copy it from the portal");
    let id = request.credentials.client_id.parse().map_err(|_| unknown())?;
    let client = platform.directory.client(id).await?.ok_or_else(unknown)?;
    hold_up(platform, whom(&client), PATH).await?;
    if platform.is_struck(whom(&client), &faults::Kind::ClientVanished) {
        return Err(unknown());
    }
    let now = platform.clock.now();
    // RFC 8628 §3.1: whoever has a secret shows it here, too, so that nobody starts a log-in in another's name.
    callers.judge(peer, &client, &request.credentials.proof, now)?;
    let scopes = client.grantable(request.scopes).ok_or_else(|| {
        refused("the client is not subscribed to the service of these scopes; subscribe it first")
    })?;

    let lost = platform.struck(whom(&client), |fault| match fault.kind {
        faults::Kind::LoseScope(scope) if scopes.contains(scope) => Some(scope),
        _ => None,
    });
    let scopes = scopes.iter().filter(|scope| Some(*scope) != lost).collect();

    starts.take(peer, now)?;
    let user_code = user_code();
    let device_code = device_code(&platform.public_url, &user_code, now);
    let state = match platform.auto_approve {
        Some(gcid) => Stage::Approved(match client.kind {
            Kind::Personal(owner) => owner,
            Kind::ThirdParty | Kind::ResourceServer => gcid,
        }),
        None => Stage::Pending,
    };
    let grant = DeviceGrant {
        device_code_hash: secret::hash(&device_code).0,
        user_code: user_code.clone(),
        client_id: client.id,
        scopes,
        code_challenge: request.code_challenge,
        expires_at: now + LIFETIME,
        polled_at: None,
        lasts: None,
        state,
    };
    platform.directory.add_device_grant(&grant, now).await?;
    tracing::info!(client.id = %client.id, "client {} starts a log-in", client.id);

    let verification_uri = format!("{}/oneid/link", platform.public_url);
    Ok(DeviceCodeResponse {
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        user_code,
        device_code,
        verification_uri,
        interval: seconds(INTERVAL),
        expires_in: seconds(LIFETIME),
    })
}

fn seconds(duration: SignedDuration) -> u32 {
    u32::try_from(duration.as_secs()).expect("the flow's times are minutes")
}

/// Without the letters and digits that look alike.
const USER_CODE_ALPHABET: &[u8; 54] = b"ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789";

/// Eight random characters, 46 bits: at ten guesses a minute none is found in the five minutes that it lives.
fn user_code() -> String {
    let mut code = String::with_capacity(8);
    while code.len() < 8 {
        for byte in secret::random::<16>() {
            // 216 is four times 54: above it, the first characters would be likelier than the others.
            if byte < 216 && code.len() < 8 {
                code.push(char::from(USER_CODE_ALPHABET[usize::from(byte % 54)]));
            }
        }
    }
    code
}

/// A secret in the shape of the JWT that clients get from the real service, since some log how it begins: the header
/// tells nothing. It is checked by its hash; 32 random bytes stand where a signature would.
fn device_code(issuer: &str, user_code: &str, now: Timestamp) -> String {
    let claims = json!({
        "aud": issuer,
        "iss": issuer,
        "nbf": now.as_second(),
        "iat": now.as_second(),
        "exp": (now + LIFETIME).as_second(),
        "jti": secret::uuid(),
        "user_code": user_code,
    });
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(secret::random::<32>()))
}

/// Why a decision on a log-in was not taken; the log-in stays as it was.
#[derive(Debug, Error)]
pub enum DecideError {
    /// Only its owner may let a personal client in, or turn it away.
    #[error("the client belongs to another customer, and only that customer can approve it")]
    Foreign,
    /// Nobody can let in what is gone.
    #[error("the client was deleted meanwhile")]
    Deleted,
    /// It came too late or twice.
    #[error(transparent)]
    Decision(#[from] DecisionError),
    /// The store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The client that asks in `grant`, if `gcid` may decide on it.
///
/// # Errors
/// [`DecideError::Foreign`] when it is another customer's personal client.
pub async fn client_for(
    platform: &Platform,
    grant: &DeviceGrant,
    gcid: Gcid,
) -> Result<Client, DecideError> {
    let client = platform.directory.client(grant.client_id).await?;
    let client = client.ok_or(DecideError::Decision(DecisionError::Expired))?;
    if !client.is_active() {
        return Err(DecideError::Deleted);
    }
    if client.is_open_to(gcid) { Ok(client) } else { Err(DecideError::Foreign) }
}

/// Lets the client of `grant` at the data of `gcid`, for as long as `lasts`, or until somebody ends it.
///
/// # Errors
/// [`DecideError`]; the grant is unchanged then.
pub async fn approve(
    platform: &Platform,
    grant: &DeviceGrant,
    gcid: Gcid,
    lasts: Option<SignedDuration>,
) -> Result<(), DecideError> {
    client_for(platform, grant, gcid).await?;
    decide(platform, grant, Some(gcid), lasts).await
}

/// Turns the client of `grant` away. Who may do that is for the caller to check.
///
/// # Errors
/// [`DecideError`]; the grant is unchanged then.
pub async fn deny(platform: &Platform, grant: &DeviceGrant) -> Result<(), DecideError> {
    decide(platform, grant, None, None).await
}

async fn decide(
    platform: &Platform,
    grant: &DeviceGrant,
    approved_for: Option<Gcid>,
    lasts: Option<SignedDuration>,
) -> Result<(), DecideError> {
    let decided = grant.decide(approved_for, platform.clock.now())?;
    let hash = TokenHash(grant.device_code_hash.clone());
    if !platform.directory.move_device_grant(&hash, grant.state, decided, lasts).await? {
        return Err(DecisionError::AlreadyDecided.into());
    }
    let word = if approved_for.is_some() { "approved" } else { "denied" };
    metrics::counter!("cardata_device_grants_decided_total", "decision" => word).increment(1);
    tracing::info!(client.id = %grant.client_id, "a log-in of client {} was {word}", grant.client_id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_has_eight_letters_and_digits_that_cannot_be_mistaken() {
        for _ in 0..1000 {
            let code = user_code();
            assert_eq!(code.len(), 8);
            assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{code}");
            assert!(!code.contains(['0', 'O', '1', 'l', 'I']), "{code}");
        }
    }

    #[test]
    fn a_device_code_looks_like_a_jwt_and_is_never_the_same() {
        let code = || device_code("https://localhost:8443", "qYjQrQip", Timestamp::UNIX_EPOCH);
        assert_eq!(code().split('.').count(), 3);
        assert!(code().starts_with("eyJ0eXAiOiJKV1Qi"));
        assert_ne!(code(), code());
    }
}
