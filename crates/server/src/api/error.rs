//! Refusals of the REST API: a code, a note, and a reference that the log has, too.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::error_code::{ErrorBody, ErrorCode};
use cardata_domain::container::ContainerError;
use cardata_store::directory::{AddContainerError, DirectoryError};
use cardata_store::journal::JournalError;

use crate::endings::EndError;
use crate::secret;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct ApiError {
    code: ErrorCode,
    reference: String,
    note: String,
}

/// Characters of a note; what it repeats of the request may be long.
const NOTE_LENGTH_MAX: usize = 500;
const AT_FAULT: &str = "the server is at fault; its log has more under exveErrorRef";

impl ApiError {
    /// A refusal with `note`, which says what exactly was wrong.
    pub(super) fn new(code: ErrorCode, note: impl Into<String>) -> Self {
        let mut note = note.into();
        if let Some((end, _)) = note.char_indices().nth(NOTE_LENGTH_MAX) {
            note.truncate(end);
            note.push('…');
        }
        Self { code, reference: URL_SAFE_NO_PAD.encode(secret::random::<9>()), note }
    }

    /// A request that can't be read.
    pub(super) fn bad_request(note: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, note)
    }

    /// The server is at fault, and trying again won't help.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::at_fault(ErrorCode::Internal, error)
    }

    /// What should have answered panicked with `words`.
    pub(super) fn panicked(words: &str) -> Self {
        let refusal = Self::new(ErrorCode::Internal, AT_FAULT);
        let id = refusal.code.id();
        tracing::error!(error.id = id, error.ref = refusal.reference, "a request panicked: {words}");
        refusal
    }

    /// A parameter that is missing or out of its range.
    pub(super) fn parameter(note: impl Into<String>) -> Self {
        Self::new(ErrorCode::Parameter, note)
    }

    fn at_fault(code: ErrorCode, error: &(dyn std::error::Error + 'static)) -> Self {
        let refusal = Self::new(code, AT_FAULT);
        tracing::error!(error.id = code.id(), error.ref = refusal.reference, error, "a request failed");
        refusal
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let code = match &error {
            DirectoryError::Store { .. } => ErrorCode::Unavailable,
            DirectoryError::Damaged { .. } => ErrorCode::Internal,
        };
        Self::at_fault(code, &error)
    }
}

impl From<EndError> for ApiError {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Directory(error) => error.into(),
            EndError::Journal(error) => error.into(),
            EndError::Stopping => {
                let note = "the server stopped meanwhile; look what became of it, then try again";
                Self::new(ErrorCode::Unavailable, note)
            }
        }
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        let code = match &error {
            JournalError::Store(_) | JournalError::Closed => ErrorCode::Unavailable,
            JournalError::Damaged { .. } => ErrorCode::Internal,
        };
        Self::at_fault(code, &error)
    }
}

impl From<ContainerError> for ApiError {
    fn from(error: ContainerError) -> Self {
        let code = match &error {
            ContainerError::UnknownDescriptor(_) => ErrorCode::Descriptor,
            ContainerError::Name | ContainerError::Purpose | ContainerError::NoDescriptor => {
                ErrorCode::BadRequest
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<AddContainerError> for ApiError {
    fn from(error: AddContainerError) -> Self {
        match error {
            AddContainerError::LimitReached(max) => Self::new(
                ErrorCode::ContainerLimit,
                format!("there are {max} containers already; delete one that is no longer needed"),
            ),
            AddContainerError::Directory(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { code, reference, note } = self;
        let status = StatusCode::from_u16(code.status()).expect("the codes have valid statuses");
        let mut response = (status, Json(ErrorBody::new(code, reference, note))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 §3
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(code);
        response
    }
}
