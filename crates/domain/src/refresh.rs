//! The family of refresh tokens that one authorization begins: each is exchanged for its successor, once (RFC 9700
//! §4.14.2).

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// Where a refresh token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was not used yet.
    Fresh,
    /// It was exchanged for its successor.
    Rotated {
        /// When it was exchanged first.
        at: Timestamp,
    },
}

/// Why a refresh token gives no new tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its time is over.
    #[error("the refresh token has expired")]
    Expired,
    /// It was exchanged before, and the grace is over. Of two who hold the same token one is a thief, and there is no
    /// telling which: the whole family ends.
    #[error("the refresh token was used before")]
    Reused,
}

impl State {
    /// The state after the token was shown at `now`. A token that was exchanged less than `grace` ago is still good, for
    /// a client that lost the answer; its first exchange counts.
    ///
    /// # Errors
    /// [`Refusal`]; the token stays as it is then.
    pub fn show(
        self,
        expires_at: Timestamp,
        grace: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if expires_at <= now {
            return Err(Refusal::Expired);
        }
        match self {
            Self::Fresh => Ok(Self::Rotated { at: now }),
            Self::Rotated { at } if now.duration_since(at) < grace => Ok(self),
            Self::Rotated { .. } => Err(Refusal::Reused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: SignedDuration = SignedDuration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_once_and_within_the_grace_after() {
        let rotated = State::Fresh.show(at(100), GRACE, at(10)).unwrap();
        assert_eq!(rotated, State::Rotated { at: at(10) });
        assert_eq!(rotated.show(at(100), GRACE, at(69)), Ok(rotated));
        assert_eq!(rotated.show(at(100), GRACE, at(70)), Err(Refusal::Reused));
        assert_eq!(rotated.show(at(100), SignedDuration::ZERO, at(10)), Err(Refusal::Reused));
    }

    #[test]
    fn an_expired_token_is_no_sign_of_a_thief() {
        assert_eq!(State::Fresh.show(at(10), GRACE, at(10)), Err(Refusal::Expired));
        let rotated = State::Rotated { at: at(0) };
        assert_eq!(rotated.show(at(10), GRACE, at(10)), Err(Refusal::Expired));
    }
}
