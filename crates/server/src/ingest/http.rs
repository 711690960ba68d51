//! `POST /ingest/v1/events`: one event, or one on each line.

mod body;
mod repeat;
mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{OpenApi, ToSchema};

use self::body::{Encoding, RequestError};
use self::repeat::Named;
use self::sender::Sender;
use super::{Intake, Refusal, count, count_entries, keep};
use crate::Platform;

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
    /// How many of them were there already: the same vehicle, time and data came before, and they were not added again.
    repeated: usize,
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
    params(
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where the body is compressed"),
        ("Idempotency-Key" = Option<String>, Header, description = "A name for the request, at most 255 characters: sent \
            again with the same body within a day, it gets the same answer, and nothing is added twice")
    ),
    request_body(
        content((ReportedEvent = "application/json"), (String = "application/x-ndjson")),
        description = "An event, or one on each line; other content types are read as well"
    ),
    responses(
        (status = 200, body = Answer, description = "What became of them; at least one was accepted"),
        (status = 400, body = Answer, description = "None was accepted"),
        (status = 401, body = Failure, description = "No key, or no source's"),
        (status = 409, body = Failure, description = "A request with this idempotency key is being answered"),
        (status = 413, body = Failure, description = "Too large, packed or unpacked"),
        (status = 415, body = Failure, description = "Compressed in another way than gzip and zstd"),
        (status = 422, body = Failure, description = "The body can't be read or unpacked, or the idempotency key can't be used, or came with another body"),
        (status = 503, body = Failure, description = "Nothing is acknowledged; try again")
    ),
    security(("source" = []), ("operator" = [])),
)]
async fn events(
    State(platform): State<Arc<Platform>>,
    sender: Sender,
    request: Request,
) -> Response {
    let (encoding, key) = match head(request.headers()) {
        Ok(head) => head,
        Err(error) => return refuse(&error),
    };
    // What is in memory until it is on disk.
    let size = size_max(encoding, request.headers());
    let Some(share) = platform.ingest.room.share_in_time(size).await else {
        tell("busy");
        return try_again("too much is waiting to be kept; send the request again");
    };
    let body = match read(encoding, request).await {
        Ok(body) => body,
        Err(error) => return refuse(&error),
    };
    let shared = platform.clone();
    // To its end, also when the sender hangs up: what was begun is answered when it is sent again.
    let work = async move {
        let answered = take(&shared, &sender, key, body).await;
        drop(share);
        answered
    };
    let done = platform.tasks.see_through("ingest", work).await;
    done.unwrap_or_else(|| {
        tell("failed");
        try_again("the server stops; nothing of the request is acknowledged, send all of it again")
    })
}

/// How the body is compressed, and the request's name.
fn head(headers: &HeaderMap) -> Result<(Encoding, Option<String>), RequestError> {
    Ok((Encoding::of(headers)?, repeat::key(headers)?))
}

/// The memory that a request may need, in bytes.
fn size_max(encoding: Encoding, headers: &HeaderMap) -> usize {
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match (encoding, told) {
        (Encoding::Identity, Some(length)) => BODY_LENGTH_MAX.min(length),
        _ => BODY_LENGTH_MAX,
    }
}

async fn read(encoding: Encoding, request: Request) -> Result<Bytes, RequestError> {
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| {
        let is_long = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        if is_long { RequestError::TooLarge } else { RequestError::Ended }
    })?;
    if encoding == Encoding::Identity {
        return Ok(body);
    }
    let unpacked = tokio::task::spawn_blocking(move || encoding.unpack(body)).await;
    unpacked.unwrap_or(Err(RequestError::Ended))
}

/// Keeps what is good of a body, unless the same request was answered before.
async fn take(
    platform: &Arc<Platform>,
    sender: &Sender,
    key: Option<String>,
    body: Bytes,
) -> Response {
    let now = platform.clock.now();
    let named = match key {
        None => None,
        Some(key) => match Named::begin(platform, &sender.hash, key, &body, now).await {
            Ok(named) => Some(named),
            Err(answered) => return answered,
        },
    };
    let told = match judge(platform, sender, &body, now).await {
        Ok(told) => told,
        Err(refused) => return refused,
    };
    let is_good = told.accepted > 0;
    let status = if is_good { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let text = serde_json::to_string(&told).unwrap_or_default();
    if let Some(named) = named
        && let Err(error) = named.keep(status, &text, now).await
    {
        return unavailable(&error);
    }
    tell(if is_good { "answered" } else { "nothing_good" });
    answer(status, text)
}

async fn judge(
    platform: &Platform,
    sender: &Sender,
    body: &[u8],
    now: Timestamp,
) -> Result<Answer, Response> {
    let mut intake = Intake::new(platform, sender.vins.as_deref(), now);
    let mut answer = Answer::default();
    let mut good = Vec::new();
    let mut unyielded = 0;
    for (line, json) in split(body) {
        match intake.admit(json).await {
            Ok(admitted) => {
                good.push(admitted.event);
                for (descriptor, reason) in admitted.refused {
                    answer.refuse_entry(line, descriptor, reason);
                }
            }
            Err(Refusal::Directory(error)) => return Err(unavailable(&error)),
            Err(refusal) => answer.refuse(line, refusal.to_string()),
        }
        unyielded += json.len();
        if unyielded > YIELD_AFTER_BYTES {
            unyielded = 0;
            tokio::task::yield_now().await;
        }
    }
    count("https", "refused", answer.refused_total);
    count_entries("https", answer.entries_refused_total);
    answer.accepted = good.len();
    match keep(platform, good, now).await {
        Ok(kept) => {
            answer.repeated = kept.repeated;
            count("https", "accepted", kept.new);
            count("https", "repeated", kept.repeated);
        }
        Err(error) => {
            count("https", "failed", answer.accepted);
            return Err(unavailable(&error));
        }
    }
    if answer.accepted + answer.refused_total == 0 {
        answer.refuse(1, "there is no event in the body".to_owned());
    }
    Ok(answer)
}

/// The events' texts with their line numbers. A body that is one JSON value is one event, however many lines it has.
fn split(body: &[u8]) -> Vec<(usize, &[u8])> {
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        return vec![(1, body)];
    }
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty()).collect()
}

/// Why nothing at all became of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestFailure)]
struct Failure {
    error: &'static str,
    error_description: String,
}

/// Counts a request by how it ended.
fn tell(outcome: &'static str) {
    metrics::counter!("cardata_ingest_requests_total", "outcome" => outcome).increment(1);
}

fn answer(status: StatusCode, json: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

fn failure(
    status: StatusCode,
    header: Option<(HeaderName, &'static str)>,
    error: &'static str,
    description: &str,
) -> Response {
    let body = Failure { error, error_description: description.to_owned() };
    let headers = header.map(|header| [header]);
    match headers {
        Some(headers) => (status, headers, Json(body)).into_response(),
        None => (status, Json(body)).into_response(),
    }
}

fn refuse(error: &RequestError) -> Response {
    let (status, code) = error.code();
    tell(code);
    // So that a sender may choose another one (RFC 9110 §12.5.3).
    let accepted = matches!(error, RequestError::UnknownEncoding);
    let header = accepted.then_some((ACCEPT_ENCODING, "gzip, zstd"));
    failure(status, header, code, &error.to_string())
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response {
    tell("failed");
    tracing::error!(error, "events could not be kept; the sender was told to try again");
    try_again("nothing of the request is acknowledged; send all of it again")
}

fn try_again(description: &str) -> Response {
    let header = Some((RETRY_AFTER, RETRY_AFTER_SECONDS));
    let code = "temporarily_unavailable";
    failure(StatusCode::SERVICE_UNAVAILABLE, header, code, description)
}

#[cfg(test)]
mod tests;
