//! An identity provider outside, whose tokens are taken beside our own.
//!
//! It says who the customer and the client are. What the client may see, and until when, is still said by a consent in
//! our directory: without one, its tokens open nothing, and ending it ends what they opened.

mod jwks;

use cardata_domain::consent::{Consent, State};
use cardata_domain::token::{Claims, Scope, Scopes};
use cardata_domain::{ClientId, Gcid};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Validation;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;

pub use self::jwks::{Jwks, JwksError};
use super::verify::VerifyError;
use crate::platform::Platform;

/// Whose tokens are taken.
pub struct OutsideProvider {
    /// What they say in `iss`, compared exactly.
    pub issuer: String,
    /// What must be in their `aud`: the name that this service has there.
    pub audience: String,
    /// Its public keys.
    pub jwks: Jwks,
}

/// How far its clock may be ahead of ours, where it says from when on a token is good.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);

#[derive(Deserialize)]
struct Named {
    iss: String,
}

/// What is read of a token. Its `iss` and `aud` are compared where its signature is.
#[derive(Deserialize)]
struct Told {
    exp: serde_json::Number,
    nbf: Option<serde_json::Number>,
    sub: Option<String>,
    gcid: Option<String>,
    azp: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    scope: String,
}

impl OutsideProvider {
    /// Whether `jwt` says that it is from there, which anybody can say.
    pub(super) fn is_named_in(&self, jwt: &str) -> bool {
        insecure_decode_claims::<Named>(jwt).is_ok_and(|named| named.iss == self.issuer)
    }

    /// The claims of `jwt` when it is genuine and rests on an active consent here, if possible one that covers `needed`;
    /// also when it has expired.
    ///
    /// # Errors
    /// [`VerifyError`]; never for its expiry or scopes, which the caller checks.
    pub(super) async fn claims(
        &self,
        platform: &Platform,
        jwt: &str,
        needed: Scope,
    ) -> Result<Claims, VerifyError> {
        let claims = self.judge(platform, jwt, needed).await;
        let outcome = match &claims {
            Ok(_) => "accepted",
            Err(VerifyError::Invalid) => "invalid",
            Err(VerifyError::NoConsent | VerifyError::Revoked) => "no_consent",
            Err(VerifyError::Directory(_)) => "failed",
        };
        metrics::counter!("cardata_outside_tokens_total", "outcome" => outcome).increment(1);
        claims
    }

    async fn judge(
        &self,
        platform: &Platform,
        jwt: &str,
        needed: Scope,
    ) -> Result<Claims, VerifyError> {
        let now = platform.clock.now();
        let told = self.open(jwt, now).await.ok_or_else(|| invalid("signature, iss or aud"))?;
        let expires_at = instant(&told.exp).ok_or_else(|| invalid("exp"))?;
        if let Some(nbf) = &told.nbf {
            let from = instant(nbf).ok_or_else(|| invalid("nbf"))?;
            if now.checked_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX) < from {
                return Err(invalid("nbf"));
            }
        }
        let gcid = told.gcid().ok_or_else(|| invalid("gcid or sub"))?;
        let client_id = told.client_id().ok_or_else(|| invalid("azp or client_id"))?;
        let directory = &platform.directory;
        directory.customer(gcid).await?.ok_or_else(|| invalid("the customer"))?;
        let client = directory.client(client_id).await?;
        let client = client.filter(|client| client.is_active() && client.is_open_to(gcid));
        let client = client.ok_or_else(|| invalid("the client"))?;

        let mut consents = directory.consents_of(gcid).await?;
        consents.retain(|consent| consent.client_id == client_id);
        let consent = best(&consents, needed, now).ok_or_else(|| {
            let was_there = consents.iter().any(|one| one.state != State::Active);
            if was_there { VerifyError::Revoked } else { VerifyError::NoConsent }
        })?;
        let covered = client.grantable(consent.scopes).unwrap_or_default();
        let scopes = told.scopes();
        Ok(Claims {
            gcid,
            client_id,
            consent_id: consent.id,
            scopes: covered.iter().filter(|scope| scopes.contains(*scope)).collect(),
            expires_at: consent.cap(expires_at),
        })
    }

    /// What `jwt` says when a key of the provider signed it for us. The algorithm is the key's to say, never the token's,
    /// and no key comes with a token.
    async fn open(&self, jwt: &str, now: Timestamp) -> Option<Told> {
        let header = jsonwebtoken::decode_header(jwt).ok()?;
        // It names extensions that must be understood (RFC 7515 §4.1.11); none is.
        if header.crit.is_some() {
            return None;
        }
        let key = self.jwks.key(&header.kid?, now).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Compared with our own clock, by the caller.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Some(jsonwebtoken::decode(jwt, &key.verifying, &validation).ok()?.claims)
    }
}

impl Told {
    /// The customer. `sub` counts where there is no `gcid`, and not where there is a wrong one.
    fn gcid(&self) -> Option<Gcid> {
        self.gcid.as_ref().or(self.sub.as_ref())?.parse().ok()
    }

    /// The client; where the token names it twice, both must be the same.
    fn client_id(&self) -> Option<ClientId> {
        let named: Vec<ClientId> = [&self.azp, &self.client_id]
            .into_iter()
            .flatten()
            .map(|name| name.parse().ok())
            .collect::<Option<_>>()?;
        let first = *named.first()?;
        named.iter().all(|other| *other == first).then_some(first)
    }

    /// Those that we know; a provider has others.
    fn scopes(&self) -> Scopes {
        let known = |word: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        self.scope.split_ascii_whitespace().filter_map(known).collect()
    }
}

/// Of the active consents one that covers `needed`, and of those one that lasts longest. Among equals it is the oldest,
/// so that a further log-in does not move an open stream to another consent.
fn best(consents: &[Consent], needed: Scope, now: Timestamp) -> Option<&Consent> {
    let rank = |consent: &&Consent| {
        (consent.scopes.contains(needed), consent.expires_at.unwrap_or(Timestamp::MAX))
    };
    consents.iter().rev().filter(|consent| consent.is_active(now)).max_by_key(rank)
}

/// An instant in seconds (RFC 7519 §2), whole or not.
fn instant(number: &serde_json::Number) -> Option<Timestamp> {
    if let Some(seconds) = number.as_i64() {
        return Timestamp::from_second(seconds).ok();
    }
    let duration = SignedDuration::try_from_secs_f64(number.as_f64()?).ok()?;
    Timestamp::from_duration(duration).ok()
}

fn invalid(what: &'static str) -> VerifyError {
    tracing::debug!(what, "a token of the outside provider is not good: {what}");
    VerifyError::Invalid
}

#[cfg(test)]
mod tests;
