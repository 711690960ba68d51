//! Why there is no page, in words for the person; and the page that says so.

use askama::Template;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cardata_store::directory::DirectoryError;
use cardata_store::journal::JournalError;

use super::page;
use super::text::Text;
use super::visit::text_of;
use crate::endings::EndError;

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Unreadable,
    Stale,
    TooLarge,
    TooManyTries,
    /// It is not there, or another customer's: nobody can tell which.
    NotFound,
    Failed,
}

impl Problem {
    fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Stale => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn words(self, t: &'static Text) -> &'static str {
        match self {
            Self::Unreadable => t.trouble_unreadable,
            Self::Stale => t.trouble_stale,
            Self::TooLarge => t.trouble_too_large,
            Self::TooManyTries => t.trouble_too_many,
            Self::NotFound => t.trouble_not_found,
            Self::Failed => t.trouble_failed,
        }
    }
}

impl IntoResponse for Problem {
    /// Without words: [`show`] puts them in, since only it knows the language.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a page failed");
        Self::Failed
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a page failed");
        Self::Failed
    }
}

impl From<EndError> for Problem {
    fn from(error: EndError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "something was not ended");
        Self::Failed
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "an export failed");
        Self::Failed
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    t: &'static Text,
    words: &'static str,
}

/// Puts words into a [`Problem`], in the language of the request.
pub(super) async fn show(request: Request, next: Next) -> Response {
    let headers: HeaderMap = request.headers().clone();
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>().copied() else { return response };
    let t = text_of(&headers);
    let mut shown = page(problem.status(), &ProblemPage { t, words: problem.words(t) });
    if problem == Problem::TooManyTries {
        shown.headers_mut().insert(RETRY_AFTER, 60.into());
    }
    shown
}
