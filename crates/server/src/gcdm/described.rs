//! The log-in of programs as OpenAPI describes it: what forms may have, which are read parameter by parameter, and what
//! answers may be.

#![expect(dead_code, reason = "the types are never made, only described")]

use cardata_contract::oauth::{ClientTokenResponse, TokenResponse};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{device, introspection, revocation, token};

/// The paths.
#[derive(OpenApi)]
#[openapi(paths(device::start, token::issue, revocation::revoke, introspection::introspect))]
pub(crate) struct Described;

/// What starts a log-in.
#[derive(ToSchema)]
pub(super) struct StartForm {
    /// A UUID.
    client_id: String,
    /// Words, separated by spaces.
    scope: String,
    /// The base64url of the verifier's SHA-256.
    code_challenge: String,
    /// `S256`.
    code_challenge_method: String,
    /// `device_code`, if it is there.
    response_type: Option<String>,
    /// Of clients that have one, unless it is in the header.
    client_secret: Option<String>,
}

/// What polls, refreshes, or gets a token for the client itself.
#[derive(ToSchema)]
pub(super) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:device_code`, `refresh_token` or `client_credentials`.
    grant_type: String,
    /// A UUID; may be in the header instead.
    client_id: Option<String>,
    /// Of clients that have one, unless it is in the header.
    client_secret: Option<String>,
    /// Of a poll.
    device_code: Option<String>,
    /// Of a poll: what the challenge was made of.
    code_verifier: Option<String>,
    /// Of a refresh.
    refresh_token: Option<String>,
    /// Of a client that acts for itself; ignored otherwise.
    scope: Option<String>,
}

/// What asks about a token, or gives it back.
#[derive(ToSchema)]
pub(super) struct AboutTokenForm {
    /// The token.
    token: String,
    /// A UUID; may be in the header instead.
    client_id: Option<String>,
    /// Of clients that have one, unless it is in the header.
    client_secret: Option<String>,
}

/// Tokens for a customer's data, or for the client itself.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Tokens {
    /// For a customer's data.
    Customer(TokenResponse),
    /// For the client itself.
    Client(ClientTokenResponse),
}

/// What a resource server is told of a token; of one that is not good, `active` alone.
#[derive(ToSchema)]
pub(super) struct Introspected {
    /// Whether it is good now.
    active: bool,
    /// What it permits, separated by spaces.
    scope: Option<String>,
    /// The client that it was issued to.
    client_id: Option<String>,
    /// `Bearer`, or `id_token`.
    token_type: Option<String>,
    /// The first second at which it is no longer good.
    exp: Option<i64>,
    /// When it was issued.
    iat: Option<i64>,
    /// The customer, or the client when it acts for itself.
    sub: Option<String>,
    /// For whom it is.
    aud: Option<String>,
    /// Who issued it.
    iss: Option<String>,
}
