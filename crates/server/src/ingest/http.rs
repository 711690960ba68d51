//! `POST /ingest/v1/events`: one event, or one on each line.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{OpenApi, ToSchema};

use super::{Intake, Refusal};
use crate::api::auth::bearer;
use crate::{Platform, secret};

/// Bytes that a request may have.
const BODY_LENGTH_MAX: usize = 8 << 20;
/// How many refusals of each kind an answer lists; all are counted.
const LISTED_MAX: usize = 1000;
/// Characters of a listed descriptor or reason, which repeat what was sent.
const TEXT_LENGTH_MAX: usize = 300;
/// Bytes after which others on this thread get their turn; reading a full body takes a tenth of a second or so.
const YIELD_AFTER_BYTES: usize = 64 << 10;
/// Seconds after which a sender may try again when the server was at fault.
const RETRY_AFTER_SECONDS: &str = "5";

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/ingest/v1/events", post(events))
        .layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
}

/// An event as it is reported, only described here.
#[derive(ToSchema)]
#[expect(dead_code, reason = "events are read by the parser that the stream has, too")]
struct ReportedEvent {
    /// The vehicle's number.
    #[schema(pattern = "^[A-HJ-NPR-Z0-9]{17}$")]
    vin: String,
    /// When the vehicle sent it.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The values by descriptor.
    data: BTreeMap<String, ReportedValue>,
}

/// A descriptor's value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
struct ReportedValue {
    /// A number, a text or a boolean.
    value: serde_json::Value,
    /// When it was so.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Its unit, if it has one.
    unit: Option<String>,
}

/// Ingest as OpenAPI describes it.
#[derive(OpenApi)]
#[openapi(paths(events))]
pub(crate) struct Described;

/// What became of the events.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = IngestAnswer)]
struct Answer {
    /// How many are in the journal, durably.
    accepted: usize,
    /// The lines that were refused whole, the first thousand of them.
    refused: Vec<RefusedLine>,
    /// How many lines were refused whole.
    refused_total: usize,
    /// The entries that were left out of accepted events, the first thousand of them.
    entries_refused: Vec<RefusedEntry>,
    /// How many entries were left out.
    entries_refused_total: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedLine {
    /// Counted from 1; blank lines count.
    line: usize,
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedEntry {
    line: usize,
    descriptor: String,
    reason: String,
}

impl Answer {
    fn refuse(&mut self, line: usize, reason: String) {
        self.refused_total += 1;
        if self.refused.len() < LISTED_MAX {
            self.refused.push(RefusedLine { line, reason: shortened(reason) });
        }
    }

    fn refuse_entry(&mut self, line: usize, descriptor: String, reason: String) {
        self.entries_refused_total += 1;
        if self.entries_refused.len() < LISTED_MAX {
            let (descriptor, reason) = (shortened(descriptor), shortened(reason));
            self.entries_refused.push(RefusedEntry { line, descriptor, reason });
        }
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_LENGTH_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Appends what is good and says what is not. The answer comes after the good events are on disk.
#[utoipa::path(
    post, path = "/ingest/v1/events", tag = "Ingest", summary = "Report events",
    request_body(
        content((ReportedEvent = "application/json"), (String = "application/x-ndjson")),
        description = "An event, or one on each line; other content types are read as well"
    ),
    responses(
        (status = 200, body = Answer, description = "What became of them; at least one was accepted"),
        (status = 400, body = Answer, description = "None was accepted"),
        (status = 401, body = Failure, description = "No, or not the operator's token"),
        (status = 413, body = Failure, description = "Too large"),
        (status = 503, body = Failure, description = "Nothing was kept; try again")
    ),
    security(("operator" = [])),
)]
async fn events(
    State(platform): State<Arc<Platform>>,
    _sender: Sender,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let now = platform.clock.now();
    let mut intake = Intake::new(&platform, now);
    let mut answer = Answer::default();
    let mut good = Vec::new();
    let mut unyielded = 0;
    for (line, json) in split(&body) {
        match intake.admit(json).await {
            Ok(admitted) => {
                good.push(admitted.event);
                for (descriptor, reason) in admitted.refused {
                    answer.refuse_entry(line, descriptor, reason);
                }
            }
            Err(Refusal::Directory(error)) => return unavailable(&error),
            Err(refusal) => answer.refuse(line, refusal.to_string()),
        }
        unyielded += json.len();
        if unyielded > YIELD_AFTER_BYTES {
            unyielded = 0;
            tokio::task::yield_now().await;
        }
    }
    answer.accepted = good.len();
    count("refused", answer.refused_total);
    if good.is_empty() {
        if answer.refused_total == 0 {
            answer.refuse(1, "there is no event in the body".to_owned());
        }
        return (StatusCode::BAD_REQUEST, Json(answer)).into_response();
    }
    match platform.journal.append(good, now).await {
        Ok(_) => {
            count("accepted", answer.accepted);
            (StatusCode::OK, Json(answer)).into_response()
        }
        Err(error) => {
            count("failed", answer.accepted);
            unavailable(&error)
        }
    }
}

fn count(outcome: &'static str, events: usize) {
    metrics::counter!("cardata_ingest_events_total", "source" => "https", "outcome" => outcome)
        .increment(events as u64);
}

/// The events' texts with their line numbers. A body that is one JSON value is one event, however many lines it has.
fn split(body: &[u8]) -> Vec<(usize, &[u8])> {
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        return vec![(1, body)];
    }
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty()).collect()
}

/// Proof that the sender may add events: it has the operator's token.
struct Sender;

impl FromRequestParts<Arc<Platform>> for Sender {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, Response> {
        let genuine = |token| secret::equal(token, &platform.admin_token);
        if bearer(&parts.headers).is_some_and(genuine) {
            return Ok(Self);
        }
        let description = "send the operator's token: `Authorization: Bearer <token>`";
        Err(failure(
            StatusCode::UNAUTHORIZED,
            (WWW_AUTHENTICATE, "Bearer"),
            "invalid_token",
            description,
        ))
    }
}

/// Why nothing at all became of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestFailure)]
struct Failure {
    error: &'static str,
    error_description: String,
}

fn failure(
    status: StatusCode,
    header: (HeaderName, &'static str),
    error: &'static str,
    description: &str,
) -> Response {
    let body = Failure { error, error_description: description.to_owned() };
    (status, [header], Json(body)).into_response()
}

fn unreadable(rejection: &BytesRejection) -> Response {
    let (error, error_description) = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", format!("a request may have at most {BODY_LENGTH_MAX} bytes"))
        }
        _ => ("body_unreadable", rejection.body_text()),
    };
    (rejection.status(), Json(Failure { error, error_description })).into_response()
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "events could not be kept; the sender was told to try again");
    failure(
        StatusCode::SERVICE_UNAVAILABLE,
        (RETRY_AFTER, RETRY_AFTER_SECONDS),
        "temporarily_unavailable",
        "nothing of the request is acknowledged; send all of it again",
    )
}

#[cfg(test)]
mod tests;
