//! `POST /admin/v1/device-codes/{user_code}/approve` and `/deny`: a log-in is decided without a browser.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use cardata_domain::device_grant::{DecisionError, DeviceGrant};
use cardata_store::directory::DirectoryError;
use serde::Deserialize;
use thiserror::Error;

use super::refusal;
use crate::gcdm::device::{self, DecideError};
use crate::platform::Platform;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/device-codes/{user_code}/approve", post(approve))
        .route("/device-codes/{user_code}/deny", post(deny))
}

#[derive(Deserialize)]
struct Approval {
    email: String,
}

#[derive(Debug, Error)]
enum Refusal {
    #[error("the body is not JSON with `email`: {0}")]
    Body(#[from] serde_json::Error),
    #[error("there is no customer with this e-mail address")]
    UnknownCustomer,
    #[error("there is no such code")]
    UnknownCode,
    #[error(transparent)]
    Decide(#[from] DecideError),
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, remedy) = match &self {
            Self::Body(_) => (StatusCode::BAD_REQUEST, r#"send {"email":"…"}"#),
            Self::UnknownCustomer => {
                (StatusCode::BAD_REQUEST, "name the customer who approves by the log-in's e-mail")
            }
            Self::UnknownCode => (
                StatusCode::NOT_FOUND,
                "compare it with the device; capital and small letters differ",
            ),
            Self::Decide(
                DecideError::Deleted
                | DecideError::Decision(DecisionError::Expired | DecisionError::AlreadyDecided),
            ) => (StatusCode::CONFLICT, "start a new log-in at the device"),
            Self::Decide(DecideError::Foreign) => {
                (StatusCode::CONFLICT, "approve as the customer who owns the client")
            }
            Self::Decide(DecideError::Directory(_)) | Self::Directory(_) => {
                tracing::error!(
                    error = &self as &dyn std::error::Error,
                    "a decision was not taken"
                );
                (StatusCode::INTERNAL_SERVER_ERROR, "look at the server's log, then try again")
            }
        };
        refusal(status, &self.to_string(), remedy)
    }
}

async fn approve(
    State(platform): State<Arc<Platform>>,
    Path(user_code): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let approval: Approval = serde_json::from_slice(&body)?;
    let grant = grant(&platform, &user_code).await?;
    let customer = platform.directory.customer_by_email(&approval.email).await?;
    let customer = customer.ok_or(Refusal::UnknownCustomer)?;
    device::approve(&platform, &grant, customer.gcid, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn deny(
    State(platform): State<Arc<Platform>>,
    Path(user_code): Path<String>,
) -> Result<StatusCode, Refusal> {
    let grant = grant(&platform, &user_code).await?;
    device::deny(&platform, &grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grant(platform: &Platform, user_code: &str) -> Result<DeviceGrant, Refusal> {
    let grant = platform.directory.device_grant_by_user_code(user_code).await?;
    grant.ok_or(Refusal::UnknownCode)
}
