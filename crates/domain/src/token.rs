//! Scopes, and whether a token opens a door at an instant.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::client::ClientId;
use crate::consent::ConsentId;
use crate::customer::Gcid;

/// How long an access token and an id token live (wire §1.6).
pub const ACCESS_LIFETIME: SignedDuration = SignedDuration::from_secs(3600);
/// How long a refresh token lives, counted anew at each refresh (wire §1.6).
pub const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_secs(1_209_600);

/// One permission that a token can carry (wire §1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `authenticate_user`: log in.
    AuthenticateUser,
    /// `openid`: get an id token.
    OpenId,
    /// `cardata:api:read`: the REST API.
    ApiRead,
    /// `cardata:streaming:read`: the stream.
    StreamingRead,
}

impl Scope {
    /// Every scope, in the order in which they are printed.
    pub const ALL: [Self; 4] =
        [Self::AuthenticateUser, Self::OpenId, Self::ApiRead, Self::StreamingRead];

    /// The scope as it stands in requests and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthenticateUser => "authenticate_user",
            Self::OpenId => "openid",
            Self::ApiRead => "cardata:api:read",
            Self::StreamingRead => "cardata:streaming:read",
        }
    }
}

/// A set of scopes. Prints as a space-separated list in a fixed order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Scopes(u8);

/// A scope that this service does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown scope `{0}`; known are: authenticate_user openid cardata:api:read cardata:streaming:read"
)]
pub struct UnknownScope(pub String);

impl Scopes {
    /// Whether `scope` is one of them.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each scope, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

fn bit(scope: Scope) -> u8 {
    1 << (scope as u8)
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace()
            .map(|word| {
                Scope::ALL
                    .into_iter()
                    .find(|scope| scope.as_str() == word)
                    .ok_or_else(|| UnknownScope(word.to_owned()))
            })
            .collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

/// What a token says once its authenticity is certain: whose data, for which client, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The customer whose data the token opens.
    pub gcid: Gcid,
    /// The OAuth client that it was issued to.
    pub client_id: ClientId,
    /// The consent that it rests on; ending that ends the token.
    pub consent_id: ConsentId,
    /// What it permits.
    pub scopes: Scopes,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
}

/// What a token says with which a client acts for itself (RFC 6749 §4.4): no customer, and so nobody's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientClaims {
    /// The OAuth client.
    pub client_id: ClientId,
    /// What it permits.
    pub scopes: Scopes,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
}

/// Why a genuine token does not open a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its time is over.
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    /// It does not carry the scope that the door asks for.
    #[error("the token lacks the scope {}", .0.as_str())]
    MissingScope(Scope),
}

/// Whether `claims` open a door that asks for `needed`, at `now`.
///
/// # Errors
/// [`Refusal::Expired`] from the second of expiry on: the client should refresh. [`Refusal::MissingScope`]: the
/// customer must subscribe the client to the service and authorize it again.
pub fn check(claims: &Claims, needed: Scope, now: Timestamp) -> Result<(), Refusal> {
    check_parts(claims.scopes, claims.expires_at, needed, now)
}

/// The same for a client that acts for itself.
///
/// # Errors
/// As for [`check`]; the client asks for another token.
pub fn check_client(claims: &ClientClaims, needed: Scope, now: Timestamp) -> Result<(), Refusal> {
    check_parts(claims.scopes, claims.expires_at, needed, now)
}

fn check_parts(
    scopes: Scopes,
    expires_at: Timestamp,
    needed: Scope,
    now: Timestamp,
) -> Result<(), Refusal> {
    if expires_at <= now {
        return Err(Refusal::Expired(expires_at));
    }
    if !scopes.contains(needed) {
        return Err(Refusal::MissingScope(needed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            gcid: "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(),
            client_id: "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            consent_id: ConsentId::new(uuid::Uuid::nil()),
            scopes: "openid cardata:streaming:read".parse().unwrap(),
            expires_at: "2026-01-01T00:00:10Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_token_is_refused_at_the_second_it_expires() {
        let last = "2026-01-01T00:00:09.999Z".parse().unwrap();
        assert_eq!(check(&claims(), Scope::StreamingRead, last), Ok(()));
        let end = claims().expires_at;
        assert_eq!(check(&claims(), Scope::StreamingRead, end), Err(Refusal::Expired(end)));
    }

    #[test]
    fn a_token_opens_only_what_its_scopes_name() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(
            check(&claims(), Scope::ApiRead, now),
            Err(Refusal::MissingScope(Scope::ApiRead))
        );
    }

    #[test]
    fn a_clients_own_token_is_held_to_the_same() {
        let Claims { client_id, scopes, expires_at, .. } = claims();
        let own = ClientClaims { client_id, scopes, expires_at };
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(check_client(&own, Scope::StreamingRead, now), Ok(()));
        let refusal = Refusal::MissingScope(Scope::ApiRead);
        assert_eq!(check_client(&own, Scope::ApiRead, now), Err(refusal));
        let refusal = Refusal::Expired(expires_at);
        assert_eq!(check_client(&own, Scope::StreamingRead, expires_at), Err(refusal));
    }

    #[test]
    fn scopes_print_in_one_order_whatever_the_request() {
        let scopes: Scopes = "cardata:streaming:read  openid authenticate_user".parse().unwrap();
        assert_eq!(scopes.to_string(), "authenticate_user openid cardata:streaming:read");
        assert_eq!("openid email".parse::<Scopes>(), Err(UnknownScope("email".into())));
    }
}
