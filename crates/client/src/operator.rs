//! What an operator may do with the token in the data folder: approve logins, put events in, and keep the accounts.

mod admin;

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::Secret;
use crate::http::{Answer, Http, TransportError};
use crate::ready_file::ReadyFile;
use crate::rest::encoded;

pub use self::admin::{Admin, AdminError, Method};

/// The operator's side of a server.
#[derive(Debug, Clone)]
pub struct Operator {
    http: Http,
    http_url: String,
    admin_url: String,
    token: Secret,
}

/// Why a login was not approved.
#[derive(Debug, Error)]
pub enum ApproveError {
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused. HTTP 409: the login was decided before, or the client belongs to another customer.
    #[error("the server did not approve the login (HTTP {status}){}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said about it.
        reason: String,
    },
}

/// Why the metrics tell nothing.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that has no metrics.
    #[error("the server's answer (HTTP {0}) is not one with metrics")]
    Unexpected(u16),
}

/// What became of events that were sent together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Ingested {
    /// How many are in the journal, durably.
    pub accepted: u64,
    /// How many of them were there already, and were not kept again.
    #[serde(default)]
    pub repeated: u64,
    /// Events that were refused whole; of very many, the first ones.
    #[serde(default)]
    pub refused: Vec<RefusedLine>,
    /// Entries that were left out of accepted events; of very many, the first ones.
    #[serde(default)]
    pub entries_refused: Vec<RefusedEntry>,
}

/// An event that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RefusedLine {
    /// Which of the events, counted from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// An entry that was refused while the rest of its event was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RefusedEntry {
    /// Which of the events, counted from 1.
    pub line: usize,
    /// The entry's name.
    pub descriptor: String,
    /// Why.
    pub reason: String,
}

/// Why it is unknown, or certain, that events were not taken.
#[derive(Debug, Error)]
pub enum IngestError {
    /// No answer came, so the events may have been taken or not: send them again.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server can't take events now (HTTP 5xx, 408 or 429): send them again.
    #[error("the server takes no events at the moment (HTTP {status})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The token is not, or no longer, the operator's: read the ready file again.
    #[error("the server does not accept the operator's token of the ready file (HTTP {0})")]
    Unauthorized(u16),
    /// Another answer than ingest gives; repeating won't help.
    #[error("the server's answer (HTTP {0}) is not one of ingest")]
    Unexpected(u16),
}

impl Operator {
    /// The operator of the server that wrote `ready`.
    pub fn new(http: Http, ready: &ReadyFile) -> Self {
        Self {
            http,
            http_url: ready.http_url.clone(),
            admin_url: ready.admin_url.clone(),
            token: ready.admin_token.clone(),
        }
    }

    /// Approves the login that shows `user_code`, as the customer with `email` would in the browser.
    ///
    /// # Errors
    /// [`ApproveError::Refused`] when the code is not open or the customer unknown.
    pub async fn approve(&self, user_code: &Secret, email: &str) -> Result<(), ApproveError> {
        let code = encoded(user_code.expose());
        let url = format!("{}/admin/v1/device-codes/{code}/approve", self.admin_url);
        let request = self.http.post(&url).bearer_auth(self.token.expose());
        let answer = Answer::to(request.json(&json!({ "email": email }))).await?;
        if answer.is_success() {
            return Ok(());
        }
        let Failure { reason } = answer.json().unwrap_or_default();
        Err(ApproveError::Refused { status: answer.status, reason })
    }

    /// The counter `name`, which has no labels; zero when nothing was counted yet.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub async fn counter(&self, name: &str) -> Result<u64, MetricsError> {
        let answer = Answer::to(self.http.get(&format!("{}/metrics", self.admin_url))).await?;
        let text = answer.text().filter(|_| answer.is_success());
        let text = text.ok_or(MetricsError::Unexpected(answer.status))?;
        counter_in(text, name).ok_or(MetricsError::Unexpected(answer.status))
    }

    /// Puts in events that are JSON objects in the stream's own form, one a line; when this returns, the accepted ones
    /// are durable.
    ///
    /// # Errors
    /// [`IngestError`] when none was certainly taken.
    pub async fn ingest(&self, lines: Vec<u8>) -> Result<Ingested, IngestError> {
        let url = format!("{}/ingest/v1/events", self.http_url);
        let request = self.http.post(&url).bearer_auth(self.token.expose());
        let request = request.header("content-type", "application/x-ndjson").body(lines);
        let answer = Answer::to(request).await?;
        let (status, retry_after) = (answer.status, answer.retry_after);
        match status {
            401 | 403 => Err(IngestError::Unauthorized(status)),
            408 | 429 | 500.. => Err(IngestError::Unavailable { status, retry_after }),
            // 400 with this body says that every event was refused, which is an answer, too.
            _ => answer.json().ok_or(IngestError::Unexpected(status)),
        }
    }
}

/// The value of `name` in Prometheus' text form; zero when it is not there.
fn counter_in(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(Some(0), |value| value.trim().parse().ok())
}

/// An error body of the operator's API.
#[derive(Debug, Default, Deserialize)]
struct Failure {
    #[serde(default, rename = "error")]
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "# TYPE a_total counter\na_total 5\na_total_more 6\nlabelled_total{x=\"y\"} 7\n";
        assert_eq!(counter_in(text, "a_total"), Some(5));
        assert_eq!(counter_in(text, "a"), Some(0));
        assert_eq!(counter_in(text, "b_total"), Some(0));
        assert_eq!(counter_in("a_total many", "a_total"), None);
    }
}
