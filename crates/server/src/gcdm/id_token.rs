//! The id token: what it says, and whether it is genuine.
//!
//! Apart from the keys' keeping, so that strangers' bytes can be tried on it without a directory.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};

/// The claims of an id token, in its order (wire §1.8).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct IdToken {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) gcid: String,
    pub(super) aud: String,
    pub(super) azp: String,
    /// The consent.
    pub(super) sid: String,
    pub(super) jti: String,
    #[serde(rename = "auditTrackingId")]
    pub(super) audit_tracking_id: String,
    #[serde(rename = "tokenName")]
    pub(super) token_name: String,
    #[serde(rename = "tokenType")]
    pub(super) token_type: String,
    pub(super) realm: String,
    pub(super) at_hash: String,
    pub(super) auth_time: i64,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) scope: String,
    /// What the token may read of the stream; none without the streaming scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dynamic_scopes: Vec<String>,
    /// Seconds by which the times above were set ahead, by a fault on purpose.
    #[serde(rename = "cardata_skew", default, skip_serializing_if = "is_zero")]
    pub(super) skew: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// The names of the claims, for the service's description.
pub(super) const CLAIMS: [&str; 17] = [
    "iss",
    "sub",
    "gcid",
    "aud",
    "azp",
    "sid",
    "jti",
    "auditTrackingId",
    "tokenName",
    "tokenType",
    "realm",
    "at_hash",
    "auth_time",
    "iat",
    "exp",
    "scope",
    "dynamic_scopes",
];

/// The claims of `jwt` when the key that it names signed it for `issuer`; expired ones, too. `key` finds a key by its
/// name.
pub(super) fn open<'keys>(
    jwt: &str,
    issuer: &str,
    key: impl FnOnce(&str) -> Option<&'keys DecodingKey>,
) -> Option<IdToken> {
    let kid = jsonwebtoken::decode_header(jwt).ok()?.kid?;
    let key = key(&kid)?;
    // The algorithm is ours to say, never the token's: else `none`, or HMAC with the public key, would pass.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["iss", "exp"]);
    // Callers compare the expiry with their own clock and say that it was that; the audience with the consent.
    validation.validate_exp = false;
    validation.validate_aud = false;
    Some(jsonwebtoken::decode::<IdToken>(jwt, key, &validation).ok()?.claims)
}
