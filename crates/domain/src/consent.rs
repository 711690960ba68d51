//! A customer's grant of scopes to a client.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

use crate::client::ClientId;
use crate::customer::Gcid;
use crate::token::Scopes;

/// Names one consent: the family of tokens that one authorization began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsentId(Uuid);

impl ConsentId {
    /// A consent's id made from a UUID that the caller drew.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for ConsentId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for ConsentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A customer's grant of `scopes` to a client. Revoking it ends its tokens, streams and backlog at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its name, carried in the tokens that rest on it.
    pub id: ConsentId,
    /// Who consented.
    pub gcid: Gcid,
    /// To which client.
    pub client_id: ClientId,
    /// To what.
    pub scopes: Scopes,
    /// Since when.
    pub granted_at: Timestamp,
    /// When it was ended, by the customer, by the operator, or because a used refresh token came back.
    pub revoked_at: Option<Timestamp>,
}

impl Consent {
    /// Whether tokens that rest on it are still good.
    pub fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }
}
