//! The device authorization grant (RFC 8628) as a state that refuses wrong moves.

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::client::ClientId;
use crate::customer::Gcid;
use crate::token::Scopes;

/// How long a device code can be approved and exchanged (wire §1.3).
pub const LIFETIME: SignedDuration = SignedDuration::from_secs(300);
/// How long a client should wait between two polls (wire §1.3).
pub const INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// A poll that comes sooner than this after the one before is told to slow down: well below [`INTERVAL`], so
/// that a client with jitter never is (wire §1.5).
pub const INTERVAL_ENFORCED: SignedDuration = SignedDuration::from_secs(3);

/// Where an authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has decided yet.
    Pending,
    /// A customer said yes; the client may fetch its tokens.
    Approved(Gcid),
    /// A customer said no.
    Denied,
    /// The tokens were fetched; the code is dead.
    Exchanged,
}

/// An authorization that a client has started for a person to finish elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The SHA-256 of the device code, in lower-case hexadecimal; the code itself is not kept.
    pub device_code_hash: String,
    /// The eight characters that the person types.
    pub user_code: String,
    /// The client that asks.
    pub client_id: ClientId,
    /// What it will get.
    pub scopes: Scopes,
    /// The PKCE challenge, S256 (RFC 7636).
    pub code_challenge: String,
    /// The first instant at which the codes are no longer good.
    pub expires_at: Timestamp,
    /// When the client polled last.
    pub polled_at: Option<Timestamp>,
    /// How long the customer's consent lasts; `None` until somebody ends it.
    pub lasts: Option<SignedDuration>,
    /// Where it stands.
    pub state: State,
}

/// What a client that polls is told, in the order in which the checks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PollRefusal {
    /// The code is dead, or belongs to another client, or the verifier does not fit the challenge.
    #[error("the grant is invalid or was used already")]
    InvalidGrant,
    /// Nobody decided in time.
    #[error("the device code has expired")]
    Expired,
    /// The client polls more often than it was asked to.
    #[error("the client polls faster than every {} s", INTERVAL.as_secs())]
    SlowDown,
    /// Nobody has decided yet.
    #[error("the customer has not decided yet")]
    Pending,
    /// The customer said no.
    #[error("the customer refused")]
    Denied,
}

/// A decision that came too late or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecisionError {
    /// The code's time is over.
    #[error("the code has expired; start again at the device")]
    Expired,
    /// It was approved, refused or used before.
    #[error("the code was used already; start again at the device")]
    AlreadyDecided,
}

impl DeviceGrant {
    /// Decides what a poll by `client_id` at `now` gets: the customer whose tokens may be issued, or a refusal.
    ///
    /// `verifier_fits` says whether the PKCE verifier matches the challenge; computing that needs a hash function,
    /// which this crate leaves to its callers.
    ///
    /// # Errors
    /// See [`PollRefusal`]; only [`PollRefusal::SlowDown`] and [`PollRefusal::Pending`] are worth another poll.
    pub fn poll(
        &self,
        client_id: ClientId,
        verifier_fits: bool,
        now: Timestamp,
    ) -> Result<Gcid, PollRefusal> {
        if client_id != self.client_id || self.state == State::Exchanged {
            return Err(PollRefusal::InvalidGrant);
        }
        if self.expires_at <= now {
            return Err(PollRefusal::Expired);
        }
        if self.polled_at.is_some_and(|last| now.duration_since(last) < INTERVAL_ENFORCED) {
            return Err(PollRefusal::SlowDown);
        }
        match self.state {
            State::Pending => Err(PollRefusal::Pending),
            State::Denied => Err(PollRefusal::Denied),
            State::Approved(_) if !verifier_fits => Err(PollRefusal::InvalidGrant),
            State::Approved(gcid) => Ok(gcid),
            State::Exchanged => Err(PollRefusal::InvalidGrant),
        }
    }

    /// The state after a customer's decision at `now`: approved for that customer, or denied for `None`.
    ///
    /// # Errors
    /// [`DecisionError`] when the code has expired or was decided before.
    pub fn decide(
        &self,
        approved_for: Option<Gcid>,
        now: Timestamp,
    ) -> Result<State, DecisionError> {
        if self.expires_at <= now {
            return Err(DecisionError::Expired);
        }
        match self.state {
            State::Pending => Ok(approved_for.map_or(State::Denied, State::Approved)),
            _ => Err(DecisionError::AlreadyDecided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";

    fn grant(state: State) -> DeviceGrant {
        DeviceGrant {
            device_code_hash: String::new(),
            user_code: "qYjQrQip".into(),
            client_id: "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            scopes: Scopes::default(),
            code_challenge: String::new(),
            expires_at: at(300),
            polled_at: None,
            lasts: None,
            state,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_first_poll_may_come_at_once_and_the_next_after_the_enforced_interval() {
        let mut grant = grant(State::Pending);
        let client = grant.client_id;
        assert_eq!(grant.poll(client, true, at(0)), Err(PollRefusal::Pending));
        grant.polled_at = Some(at(0));
        assert_eq!(grant.poll(client, true, at(2)), Err(PollRefusal::SlowDown));
        assert_eq!(grant.poll(client, true, at(3)), Err(PollRefusal::Pending));
    }

    #[test]
    fn a_code_works_once_for_its_own_client_with_the_right_verifier() {
        let gcid = GCID.parse().unwrap();
        let approved = grant(State::Approved(gcid));
        let client = approved.client_id;
        assert_eq!(approved.poll(client, true, at(0)), Ok(gcid));
        assert_eq!(approved.poll(client, false, at(0)), Err(PollRefusal::InvalidGrant));
        let other = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        assert_eq!(approved.poll(other, true, at(0)), Err(PollRefusal::InvalidGrant));
        assert_eq!(
            grant(State::Exchanged).poll(client, true, at(0)),
            Err(PollRefusal::InvalidGrant)
        );
        assert_eq!(approved.poll(client, true, at(300)), Err(PollRefusal::Expired));
    }

    #[test]
    fn a_decision_is_taken_once_and_in_time() {
        let gcid = GCID.parse().unwrap();
        assert_eq!(grant(State::Pending).decide(Some(gcid), at(0)), Ok(State::Approved(gcid)));
        assert_eq!(grant(State::Pending).decide(None, at(0)), Ok(State::Denied));
        assert_eq!(grant(State::Pending).decide(None, at(300)), Err(DecisionError::Expired));
        assert_eq!(
            grant(State::Denied).decide(Some(gcid), at(0)),
            Err(DecisionError::AlreadyDecided)
        );
    }
}
