//! Why a request of the operator is refused, and what to do about it.

use std::error::Error;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cardata_store::directory::{AddError, DirectoryError};
use cardata_store::journal::JournalError;
use serde_json::json;
use thiserror::Error;

use crate::endings::EndError;
use crate::gcdm::keys::KeysError;
use crate::ingest::certificates::CertificatesError;

/// Why a request is refused.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// The body is longer than allowed.
    #[error("the body is longer than {0} bytes, or ended too early")]
    Length(usize),
    /// The body is something else.
    #[error("the body is no JSON object: {0}")]
    Body(String),
    /// A member of the body, or of the query, is wrong.
    #[error("`{field}` {reason}")]
    Field {
        /// Its name.
        field: String,
        /// What is wrong, as the rest of a sentence.
        reason: String,
        /// What to do about it, where that is more than to send another value.
        remedy: Option<&'static str>,
    },
    /// The path names something that is not there.
    #[error("there is no {what}")]
    Unknown {
        /// What.
        what: &'static str,
        /// How to find what is there.
        remedy: &'static str,
    },
    /// What is there stands against it.
    #[error("{error}")]
    Conflict {
        /// What and why.
        error: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The directory failed.
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// Ending access failed half-way, or the server stops.
    #[error("access was not ended, or not all of it")]
    End(#[from] EndError),
    /// A signing key could not be made or kept.
    #[error("the signing keys are as before")]
    Keys(#[from] KeysError),
    /// A certificate could not be signed, or the list of revoked ones not be made.
    #[error("the vehicles' certificates are as before, or not all of it was done")]
    Certificates(#[source] CertificatesError),
    /// A password could not be hashed.
    #[error("the password was not hashed")]
    Hash(#[from] tokio::task::JoinError),
}

impl Refusal {
    /// The member `field` is wrong; `reason` is the rest of a sentence that begins with its name.
    pub(super) fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), reason: reason.into(), remedy: None }
    }

    /// The same with what to do about it.
    pub(super) fn or_else(self, remedy: &'static str) -> Self {
        match self {
            Self::Field { field, reason, .. } => {
                Self::Field { field, reason, remedy: Some(remedy) }
            }
            other => other,
        }
    }

    /// What is there stands against it.
    pub(super) fn conflict(error: impl Into<String>, remedy: &'static str) -> Self {
        Self::Conflict { error: error.into(), remedy }
    }

    /// The HTTP status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Length(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(_) | Self::Field { .. } => StatusCode::BAD_REQUEST,
            Self::Unknown { .. } => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::End(EndError::Stopping) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Directory(_)
            | Self::Journal(_)
            | Self::End(_)
            | Self::Keys(_)
            | Self::Certificates(_)
            | Self::Hash(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Length(_) => "send less at a time".to_owned(),
            Self::Body(_) => "send a JSON object; docs/reference/admin.md says which".to_owned(),
            Self::Field { remedy: Some(remedy), .. }
            | Self::Unknown { remedy, .. }
            | Self::Conflict { remedy, .. } => (*remedy).to_owned(),
            Self::Field { field, remedy: None, .. } => {
                format!("send another `{field}`; docs/reference/admin.md says what it may be")
            }
            Self::End(EndError::Stopping) => {
                "try again when the server runs again; what was done stays done".to_owned()
            }
            Self::Directory(_)
            | Self::Journal(_)
            | Self::End(_)
            | Self::Keys(_)
            | Self::Certificates(_)
            | Self::Hash(_) => "look at the server's log, then try again".to_owned(),
        }
    }
}

impl From<AddError> for Refusal {
    fn from(error: AddError) -> Self {
        match error {
            AddError::EmailTaken => Self::conflict(
                "`email` is another customer's",
                "give each customer an address of their own",
            ),
            AddError::SecondPrimary(_) => Self::conflict(
                "the vehicle has another PRIMARY",
                "end that link first, or send `\"hand_over\": true`",
            ),
            AddError::Directory(error) => Self::Directory(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = &self as &dyn Error, "an act of the operator was not done");
        }
        refusal(status, &self.to_string(), &self.remedy())
    }
}

/// An error's body: what was wrong, and what to do about it.
pub(super) fn refusal(status: StatusCode, error: &str, remedy: &str) -> Response {
    (status, Json(json!({"error": error, "remedy": remedy}))).into_response()
}
