//! Who may report events over HTTPS: the operator, and the sources that the operator added.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::request::Parts;
use axum::response::Response;
use cardata_domain::Vin;
use cardata_store::directory::TokenHash;

use super::{failure, tell, unavailable};
use crate::api::auth::bearer;
use crate::{Platform, secret};

/// Proof that the sender may add events.
pub(super) struct Sender {
    /// The hash of what the sender showed.
    pub(super) hash: TokenHash,
    /// The vehicles for which it may speak; `None` is any.
    pub(super) vins: Option<Vec<Vin>>,
}

impl FromRequestParts<Arc<Platform>> for Sender {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, Response> {
        let Some(shown) = bearer(&parts.headers) else { return Err(stranger()) };
        let hash = secret::hash(shown);
        if secret::equal(shown, &platform.admin_token) {
            return Ok(Self { hash, vins: None });
        }
        // Looked up by its hash: how long that takes tells nothing of the keys.
        match platform.directory.source(&hash).await {
            Ok(Some(source)) => Ok(Self { hash, vins: source.vins }),
            Ok(None) => Err(stranger()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn stranger() -> Response {
    tell("unauthorized");
    let description = "send the key of a source: `Authorization: Bearer <key>`";
    let header = Some((WWW_AUTHENTICATE, "Bearer"));
    failure(StatusCode::UNAUTHORIZED, header, "invalid_token", description)
}
