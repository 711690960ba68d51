//! The OAuth device code flow with PKCE (wire §1): start, poll until somebody decided, refresh.

mod polling;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::oauth::{ErrorBody, GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use self::polling::{Heard, Next, Polling};
use crate::Secret;
use crate::http::{Answer, Http, TransportError};

/// All that a client can ask for: login, REST and the stream.
pub const SCOPE: &str = "authenticate_user openid cardata:api:read cardata:streaming:read";

/// Logs customers in through one client.
#[derive(Debug, Clone)]
pub struct Login {
    http: Http,
    base_url: String,
    client_id: String,
}

/// A login that waits for the customer's decision.
#[derive(Debug)]
pub struct Started {
    /// What the customer types.
    pub user_code: Secret,
    /// Where.
    pub verification_uri: String,
    /// The same page with the code filled in, where the server gives it.
    pub verification_uri_complete: Option<Secret>,
    device_code: Secret,
    verifier: Secret,
    interval: Duration,
    expires_at: Instant,
}

/// What a login or a refresh gives. Serialized, for a file of its owner's, the tokens are in the open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// The customer's id, and the user name on the stream.
    pub gcid: String,
    /// For the REST API.
    pub access_token: Secret,
    /// The password on the stream.
    pub id_token: Secret,
    /// For the next refresh; each works once.
    pub refresh_token: Secret,
    /// How long access and id token are good for.
    pub expires_in: Duration,
    /// What was granted, separated by spaces.
    pub scope: String,
}

/// What the server said instead of giving tokens.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error} (HTTP {status}){}{description}", if .description.is_empty() { "" } else { ": " })]
pub struct OAuthError {
    /// The HTTP status.
    pub status: u16,
    /// Such as `invalid_client`.
    pub error: String,
    /// For people.
    pub description: String,
}

/// Why no login was started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The client is unknown, or may not ask for these scopes.
    #[error("the server refused to start a login")]
    Refused(#[source] OAuthError),
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that is none of this endpoint.
    #[error("the server's answer (HTTP {0}) is not one to a login")]
    Unreadable(u16),
}

/// Why a login gave no tokens.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The customer said no.
    #[error("the customer refused the login")]
    Denied,
    /// Nobody decided in time: start again.
    #[error("nobody approved the login in time")]
    Expired,
    /// The server refused the login itself: start again.
    #[error("the server refused the login")]
    Refused(#[source] OAuthError),
    /// Several polls in a row got no answer that could be read.
    #[error("the server gave no usable answer, {0} times in a row")]
    Trouble(u32, #[source] PollTrouble),
}

/// Why one poll told nothing.
#[derive(Debug, Error)]
pub enum PollTrouble {
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that is none of this endpoint, such as a gateway's.
    #[error("the server's answer (HTTP {0}) is not one to a login")]
    Unreadable(u16),
}

/// Why a refresh gave no tokens.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// The refresh token is used, revoked or too old: the customer has to log in again.
    #[error("the server refused the refresh token")]
    Refused(#[source] OAuthError),
    /// No answer came. The token may be used up or not: try again with the same one soon.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that is none of this endpoint: try again.
    #[error("the server's answer (HTTP {0}) is not one to a refresh")]
    Unreadable(u16),
}

impl Login {
    /// Logins through the client `client_id` at `base_url`, such as `https://localhost:8443`.
    pub fn new(http: Http, base_url: &str, client_id: &str) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        // The real service breaks on upper-case client ids, which people paste.
        Self { http, base_url, client_id: client_id.to_ascii_lowercase() }
    }

    /// Starts a login that asks for `scope`, usually [`SCOPE`].
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Panics
    /// When the system has no randomness to give; nothing safe can be done then.
    pub async fn start(&self, scope: &str) -> Result<Started, StartError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
        let verifier = URL_SAFE_NO_PAD.encode(random);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let form = [
            ("client_id", self.client_id.as_str()),
            ("response_type", "device_code"),
            ("scope", scope),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let answer = self.send("device/code", &form).await?;
        if let Some(refusal) = refusal(&answer) {
            return Err(StartError::Refused(refusal));
        }
        let codes: Codes = answer.json().ok_or(StartError::Unreadable(answer.status))?;
        let expires_in = Duration::from_secs(codes.expires_in.into());
        Ok(Started {
            user_code: codes.user_code,
            verification_uri: codes.verification_uri,
            verification_uri_complete: codes.verification_uri_complete,
            device_code: codes.device_code,
            verifier: Secret::new(verifier),
            interval: Duration::from_secs(codes.interval.into()),
            expires_at: Instant::now() + expires_in,
        })
    }

    /// Polls until the customer decided, at once and then as often as the server allows.
    ///
    /// # Errors
    /// [`LoginError`] when there will be no tokens.
    pub async fn finish(&self, started: &Started) -> Result<Tokens, LoginError> {
        let mut polling = Polling::new(started.interval, started.expires_at);
        loop {
            let heard = self.poll(started).await;
            match polling.next(heard, Instant::now())? {
                Next::Done(tokens) => return Ok(tokens),
                Next::Wait(pause) => sleep(pause).await,
            }
        }
    }

    async fn poll(&self, started: &Started) -> Heard {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("device_code", started.device_code.expose()),
            ("grant_type", GRANT_DEVICE_CODE),
            ("code_verifier", started.verifier.expose()),
        ];
        match self.send("token", &form).await {
            Ok(answer) => heard(&answer),
            Err(error) => Heard::Trouble(error.into()),
        }
    }

    /// Exchanges the refresh token of `tokens` for new ones; what the answer leaves out is kept.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, RefreshError> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("refresh_token", tokens.refresh_token.expose()),
            ("grant_type", GRANT_REFRESH_TOKEN),
        ];
        let answer = self.send("token", &form).await?;
        if let Some(refusal) = refusal(&answer) {
            return Err(RefreshError::Refused(refusal));
        }
        let unreadable = RefreshError::Unreadable(answer.status);
        let body: TokenBody = answer.json().ok_or(unreadable)?;
        Ok(body.after(tokens))
    }

    async fn send(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, TransportError> {
        let url = format!("{}/gcdm/oauth/{path}", self.base_url);
        Answer::to(self.http.post(&url).form(form)).await
    }
}

/// The answer's OAuth error, if it has one. A server fault without one is no decision.
fn refusal(answer: &Answer) -> Option<OAuthError> {
    if answer.is_success() {
        return None;
    }
    let ErrorBody { error, error_description: description } = answer.json()?;
    Some(OAuthError { status: answer.status, error, description })
}

fn heard(answer: &Answer) -> Heard {
    if let Some(refusal) = refusal(answer) {
        return Heard::Error(refusal);
    }
    let complete = answer.json::<TokenBody>().and_then(TokenBody::complete);
    match complete.filter(|_| answer.is_success()) {
        Some(tokens) => Heard::Tokens(tokens),
        None => Heard::Trouble(PollTrouble::Unreadable(answer.status)),
    }
}

/// The real service leaves out `verification_uri_complete` at times.
#[derive(Deserialize)]
struct Codes {
    user_code: Secret,
    device_code: Secret,
    verification_uri: String,
    verification_uri_complete: Option<Secret>,
    #[serde(default = "five_seconds")]
    interval: u32,
    expires_in: u32,
}

/// What RFC 8628 §3.2 lets a client assume.
fn five_seconds() -> u32 {
    5
}

/// The real service leaves out `gcid` and `id_token` after a refresh at times.
#[derive(Deserialize)]
struct TokenBody {
    gcid: Option<String>,
    access_token: Secret,
    id_token: Option<Secret>,
    refresh_token: Secret,
    expires_in: u64,
    #[serde(default)]
    scope: String,
}

impl TokenBody {
    fn complete(self) -> Option<Tokens> {
        Some(Tokens {
            gcid: self.gcid?,
            access_token: self.access_token,
            id_token: self.id_token?,
            refresh_token: self.refresh_token,
            expires_in: Duration::from_secs(self.expires_in),
            scope: self.scope,
        })
    }

    fn after(self, before: &Tokens) -> Tokens {
        Tokens {
            gcid: self.gcid.unwrap_or_else(|| before.gcid.clone()),
            access_token: self.access_token,
            id_token: self.id_token.unwrap_or_else(|| before.id_token.clone()),
            refresh_token: self.refresh_token,
            expires_in: Duration::from_secs(self.expires_in),
            scope: if self.scope.is_empty() { before.scope.clone() } else { self.scope },
        }
    }
}
