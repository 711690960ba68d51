//! Requests with an idempotency key: whoever sends one again gets the same answer, and nothing is kept twice.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use cardata_store::directory::{DirectoryError, IngestAnswer, TokenHash};
use jiff::{SignedDuration, Timestamp};

use super::body::RequestError;
use super::{answer, failure, tell, unavailable};
use crate::{Platform, secret};

/// The header that names a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters that a key may have.
const KEY_LENGTH_MAX: usize = 255;
/// How long an answer is given again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A request that has a name, while it is answered: there is no second one of it.
pub(super) struct Named {
    platform: Arc<Platform>,
    sender: TokenHash,
    key: String,
    body_hash: TokenHash,
}

/// The request's name, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, RequestError> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_LENGTH_MAX || values.next().is_some() {
        return Err(RequestError::BadKey);
    }
    Ok(Some(text.to_owned()))
}

impl Named {
    /// Begins to answer the request, unless it was answered before, is being answered, or another one has its name.
    pub(super) async fn begin(
        platform: &Arc<Platform>,
        sender: &TokenHash,
        key: String,
        body: &Bytes,
        now: Timestamp,
    ) -> Result<Self, Response> {
        let body_hash = TokenHash(secret::hex(&secret::sha256(body)));
        if !platform.ingest.underway().insert((sender.clone(), key.clone())) {
            tell("in_progress");
            let description = "a request with this `Idempotency-Key` is being answered; try again";
            let code = "request_in_progress";
            return Err(failure(StatusCode::CONFLICT, None, code, description));
        }
        let named = Self { platform: platform.clone(), sender: sender.clone(), key, body_hash };
        let kept = platform.directory.ingest_answer(sender, &named.key).await;
        let kept = kept.map_err(|error| unavailable(&error))?;
        match kept.filter(|kept| now.duration_since(kept.kept_at) < KEPT) {
            None => Ok(named),
            Some(kept) if kept.body_hash == named.body_hash => {
                tell("replayed");
                let status =
                    StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut again = answer(status, kept.answer);
                again.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                Err(again)
            }
            Some(_) => {
                tell("other_body");
                let description =
                    "another body was sent with this `Idempotency-Key`; use a new one";
                let code = "idempotency_key_reused";
                Err(failure(StatusCode::UNPROCESSABLE_ENTITY, None, code, description))
            }
        }
    }

    /// Keeps the answer for whoever sends the request again.
    pub(super) async fn keep(
        self,
        status: StatusCode,
        answer: &str,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let kept = IngestAnswer {
            sender: self.sender.clone(),
            key: self.key.clone(),
            body_hash: self.body_hash.clone(),
            status: status.as_u16(),
            answer: answer.to_owned(),
            kept_at: now,
        };
        let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.platform.directory.put_ingest_answer(&kept, before).await
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.platform.ingest.underway().remove(&(self.sender.clone(), self.key.clone()));
    }
}
