//! The operator's API, request by request: customers, vehicles, mappings, clients, consents, keys, the ledger, imports.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;
use thiserror::Error;

use crate::Secret;
use crate::http::{Answer, Http, TransportError, failed};
use crate::rest::encoded;

/// How long an answer may take: an import hashes each password, and a deletion waits for streams to close.
const PATIENCE: Duration = Duration::from_hours(4);

/// The API below `/admin/v1`. What each path is sent and answers stands in `docs/reference/admin.md`.
#[derive(Debug, Clone)]
pub struct Admin {
    http: Http,
    base_url: String,
    token: Secret,
}

/// How a path is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Adds.
    Post,
    /// Adds or changes.
    Put,
    /// Changes a part.
    Patch,
    /// Ends.
    Delete,
}

/// Why a request was of no use.
#[derive(Debug, Error)]
pub enum AdminError {
    /// No answer came. What was asked for may have been done.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused.
    #[error("{reason} (HTTP {status})")]
    Refused {
        /// The HTTP status: 401 for a wrong token, 404 for what is not there, 409 where something stands against it.
        status: u16,
        /// What was wrong.
        reason: String,
        /// What to do about it; may be empty.
        remedy: String,
        /// The whole answer.
        answer: Value,
    },
    /// Another answer than this API gives.
    #[error("the server's answer (HTTP {0}) is not one of the operator's API")]
    Unexpected(u16),
}

impl Admin {
    /// The API at `admin_url`, such as `http://127.0.0.1:9001`, opened by the operator's token.
    pub fn new(http: Http, admin_url: &str, token: Secret) -> Self {
        Self { http, base_url: admin_url.trim_end_matches('/').to_owned(), token }
    }

    /// Asks the path of `segments`, each of which may have any characters, and gives the answer.
    ///
    /// # Errors
    /// [`AdminError`]; nothing was changed when it is [`AdminError::Refused`] with a status below 500.
    pub async fn call(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, AdminError> {
        let mut request = self.request(method, segments, query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = Answer::to(request).await?;
        if answer.is_success() {
            answer.json().ok_or(AdminError::Unexpected(answer.status))
        } else {
            Err(refused(&answer))
        }
    }

    /// Every row of the list at a path, whose last segment is its name, page by page.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn list(&self, segments: &[&str]) -> Result<Vec<Value>, AdminError> {
        let name = *segments.last().unwrap_or(&"");
        let mut rows = Vec::new();
        let mut after = None::<String>;
        loop {
            let mut query = vec![("limit", "1000")];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.call(Method::Get, segments, &query, None).await?;
            match page[name].take() {
                Value::Array(mut more) => rows.append(&mut more),
                _ => return Err(AdminError::Unexpected(200)),
            }
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Hands an answer that may be of any length to `sink`, piece by piece.
    ///
    /// # Errors
    /// [`AdminError`]; `sink` may have got a part of it.
    pub async fn export(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), AdminError> {
        let request = self.request(Method::Get, segments, query);
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(refused(&Answer::of(response).await?));
        }
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            sink(&piece);
        }
        Ok(())
    }

    fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = format!("{}/admin/v1", self.base_url);
        for segment in segments {
            url.push('/');
            url.push_str(&encoded(segment));
        }
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            // Percent-encoding for a path segment leaves nothing that would end a query's value but these two.
            let value = encoded(value).replace('&', "%26").replace('+', "%2B");
            url.extend([name, "=", &value]);
        }
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        self.http.request(method, &url).bearer_auth(self.token.expose()).timeout(PATIENCE)
    }
}

fn refused(answer: &Answer) -> AdminError {
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let told = answer.json::<Value>().and_then(|value| {
        let (reason, remedy) = (text(&value, "error")?, text(&value, "remedy").unwrap_or_default());
        Some((reason, remedy, value))
    });
    match told {
        Some((reason, remedy, value)) => {
            AdminError::Refused { status: answer.status, reason, remedy, answer: value }
        }
        None => AdminError::Unexpected(answer.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_characters_stay_in_their_place() {
        let admin =
            Admin::new(Http::without_tls().unwrap(), "http://127.0.0.1:9001/", Secret::new("t"));
        let query = [("after", "a&b+c=d"), ("limit", "5")];
        let request = admin.request(Method::Delete, &["customers", "a/b@c?d#e"], &query);
        let request = request.build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://127.0.0.1:9001/admin/v1/customers/a%2Fb@c%3Fd%23e?after=a%26b%2Bc=d&limit=5"
        );
        assert_eq!(request.method(), "DELETE");
        assert!(request.headers()["authorization"].is_sensitive());
    }
}
