//! What the service offers, for strangers: OIDC Discovery 1.0 §3, RFC 8414, RFC 8628 §4, and the public keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::{IntoResponse, Response};
use cardata_contract::oauth::{GRANT_CLIENT_CREDENTIALS, GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN};
use cardata_domain::token::Scope;
use serde_json::{Value, json};

use super::id_token;
use crate::platform::Platform;

/// How long strangers may keep the keys. A token names its key, so one who meets an unknown name looks again; for those
/// who don't, it must not take long until they know a new one.
const KEYS_KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The description, the same under both its names.
pub(super) async fn description(State(platform): State<Arc<Platform>>) -> Json<Value> {
    let url = &platform.public_url;
    let by_secret = ["client_secret_basic", "client_secret_post"];
    let any = ["none", "client_secret_basic", "client_secret_post"];
    Json(json!({
        "issuer": url,
        "device_authorization_endpoint": format!("{url}/gcdm/oauth/device/code"),
        "token_endpoint": format!("{url}/gcdm/oauth/token"),
        "revocation_endpoint": format!("{url}/gcdm/oauth/revoke"),
        "introspection_endpoint": format!("{url}/gcdm/oauth/introspect"),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "grant_types_supported":
            [GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN, GRANT_CLIENT_CREDENTIALS],
        "response_types_supported": ["device_code"],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": any,
        "revocation_endpoint_auth_methods_supported": any,
        "introspection_endpoint_auth_methods_supported": by_secret,
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": id_token::CLAIMS,
    }))
}

/// The public keys (RFC 7517).
pub(super) async fn jwks(State(platform): State<Arc<Platform>>) -> Response {
    let mut response = Json(platform.keys.jwks()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, KEYS_KEPT);
    response
}
