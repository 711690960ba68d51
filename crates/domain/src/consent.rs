//! A customer's grant of scopes to a client.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;
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

/// Where a consent stands. It ends once, and nothing brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Tokens that rest on it are good until [`Consent::expires_at`].
    Active,
    /// It was ended.
    Ended {
        /// When.
        at: Timestamp,
        /// Why.
        why: EndReason,
    },
}

/// Why a consent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The customer ended it.
    Customer,
    /// The operator ended it.
    Operator,
    /// The client gave it back (RFC 7009).
    Client,
    /// A used refresh token came back: somebody else has it.
    TokenReuse,
    /// Its time was over.
    Expired,
    /// The client was deleted, or lost the service that was consented to.
    ClientDeleted,
    /// The customer's password was changed.
    PasswordChanged,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Customer,
        Self::Operator,
        Self::Client,
        Self::TokenReuse,
        Self::Expired,
        Self::ClientDeleted,
        Self::PasswordChanged,
    ];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Operator => "OPERATOR",
            Self::Client => "CLIENT",
            Self::TokenReuse => "TOKEN_REUSE",
            Self::Expired => "EXPIRED",
            Self::ClientDeleted => "CLIENT_DELETED",
            Self::PasswordChanged => "PASSWORD_CHANGED",
        }
    }
}

/// The text is no reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no reason for the end of a consent")]
pub struct UnknownEndReason(String);

impl FromStr for EndReason {
    type Err = UnknownEndReason;

    fn from_str(text: &str) -> Result<Self, UnknownEndReason> {
        let known = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        known.ok_or_else(|| UnknownEndReason(text.to_owned()))
    }
}

/// A consent ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the consent was ended before")]
pub struct AlreadyEnded;

/// A customer's grant of `scopes` to a client. Ending it ends its tokens, streams and backlog at once.
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
    /// For what, in the words that the customer saw: the client's name and purpose.
    pub purpose: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when, exclusively; `None` until somebody ends it.
    pub expires_at: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
}

impl Consent {
    /// Whether tokens that rest on it are good at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state == State::Active && self.expires_at.is_none_or(|end| now < end)
    }

    /// The state after it was ended.
    ///
    /// # Errors
    /// [`AlreadyEnded`] when it was before; the first reason stays.
    pub fn end(&self, at: Timestamp, why: EndReason) -> Result<State, AlreadyEnded> {
        match self.state {
            State::Active => Ok(State::Ended { at, why }),
            State::Ended { .. } => Err(AlreadyEnded),
        }
    }

    /// `end`, but no later than the consent itself.
    pub fn cap(&self, end: Timestamp) -> Timestamp {
        self.expires_at.map_or(end, |own| own.min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn consent(expires_at: Option<Timestamp>) -> Consent {
        Consent {
            id: ConsentId::new(Uuid::nil()),
            gcid: "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(),
            client_id: ClientId::new(Uuid::nil()),
            scopes: Scopes::default(),
            purpose: String::new(),
            granted_at: at(0),
            expires_at,
            state: State::Active,
        }
    }

    #[test]
    fn a_consent_ends_once_and_the_first_reason_stays() {
        let mut consent = consent(None);
        assert!(consent.is_active(at(1_000_000)));
        consent.state = consent.end(at(10), EndReason::Customer).unwrap();
        assert!(!consent.is_active(at(0)));
        assert_eq!(consent.end(at(11), EndReason::Operator), Err(AlreadyEnded));
    }

    #[test]
    fn a_consent_with_an_end_is_good_until_the_second_before_it() {
        let consent = consent(Some(at(10)));
        assert!(consent.is_active(at(9)));
        assert!(!consent.is_active(at(10)));
        assert_eq!((consent.cap(at(9)), consent.cap(at(11))), (at(9), at(10)));
    }

    #[test]
    fn a_reason_reads_back_from_its_word() {
        for reason in EndReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert!("customer".parse::<EndReason>().is_err());
    }
}
