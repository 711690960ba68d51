//! When to poll for tokens again, and when to stop: no socket, no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{LoginError, OAuthError, PollTrouble, Tokens};

/// What `slow_down` adds to the interval (RFC 8628 §3.5).
const SLOWER_BY: Duration = Duration::from_secs(5);
/// Shorter intervals would be a flood.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// After so many polls in a row without a usable answer nobody is there.
const TROUBLES_MAX: u32 = 5;

/// What a poll brought.
#[derive(Debug)]
pub(super) enum Heard {
    Tokens(Tokens),
    Error(OAuthError),
    Trouble(PollTrouble),
}

/// What to do then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Done(Tokens),
    Wait(Duration),
}

/// The state between two polls.
#[derive(Debug)]
pub(super) struct Polling {
    interval: Duration,
    expires_at: Instant,
    troubles: u32,
}

impl Polling {
    pub(super) fn new(interval: Duration, expires_at: Instant) -> Self {
        Self { interval: interval.max(INTERVAL_MIN), expires_at, troubles: 0 }
    }

    /// Decides on what a poll brought at `now`.
    pub(super) fn next(&mut self, heard: Heard, now: Instant) -> Result<Next, LoginError> {
        match heard {
            Heard::Tokens(tokens) => return Ok(Next::Done(tokens)),
            Heard::Error(error) => {
                self.troubles = 0;
                // The word decides; the real service answers 403 where RFC 8628 has 400.
                match error.error.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => self.interval += SLOWER_BY,
                    "access_denied" => return Err(LoginError::Denied),
                    "expired_token" => return Err(LoginError::Expired),
                    "server_error" | "temporarily_unavailable" => {
                        self.trouble(PollTrouble::Unreadable(error.status))?;
                    }
                    _ => return Err(LoginError::Refused(error)),
                }
            }
            Heard::Trouble(trouble) => self.trouble(trouble)?,
        }
        if now >= self.expires_at {
            Err(LoginError::Expired)
        } else {
            Ok(Next::Wait(self.interval))
        }
    }

    /// A gateway's fault or a lost connection is no decision: the next poll may bring one.
    fn trouble(&mut self, trouble: PollTrouble) -> Result<(), LoginError> {
        self.troubles += 1;
        if self.troubles < TROUBLES_MAX {
            Ok(())
        } else {
            Err(LoginError::Trouble(self.troubles, trouble))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, error: &str) -> Heard {
        let (error, description) = (error.to_owned(), String::new());
        Heard::Error(OAuthError { status, error, description })
    }

    fn polling() -> (Polling, Instant) {
        let now = Instant::now();
        (Polling::new(Duration::from_secs(5), now + Duration::from_mins(5)), now)
    }

    fn waits(next: Result<Next, LoginError>) -> u64 {
        match next {
            Ok(Next::Wait(pause)) => pause.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn polls_come_at_the_interval_which_grows_when_the_server_asks_for_it() {
        let (mut polling, now) = polling();
        assert_eq!(waits(polling.next(error(403, "authorization_pending"), now)), 5);
        assert_eq!(waits(polling.next(error(400, "slow_down"), now)), 10);
        assert_eq!(waits(polling.next(error(400, "authorization_pending"), now)), 10);
        assert_eq!(waits(polling.next(error(400, "slow_down"), now)), 15);
    }

    #[test]
    fn an_interval_of_nothing_is_a_second() {
        let now = Instant::now();
        let mut polling = Polling::new(Duration::ZERO, now + Duration::from_mins(5));
        assert_eq!(waits(polling.next(error(403, "authorization_pending"), now)), 1);
    }

    #[test]
    fn a_decision_ends_the_polling() {
        for (status, word) in
            [(403, "access_denied"), (401, "expired_token"), (400, "invalid_grant")]
        {
            let (mut polling, now) = polling();
            let ended = polling.next(error(status, word), now).unwrap_err();
            match word {
                "access_denied" => assert!(matches!(ended, LoginError::Denied)),
                "expired_token" => assert!(matches!(ended, LoginError::Expired)),
                _ => assert!(matches!(ended, LoginError::Refused(_))),
            }
        }
    }

    #[test]
    fn the_polling_ends_with_the_code() {
        let (mut polling, now) = polling();
        let last = now + Duration::from_secs(299);
        assert_eq!(waits(polling.next(error(403, "authorization_pending"), last)), 5);
        let after = now + Duration::from_mins(5);
        let ended = polling.next(error(403, "authorization_pending"), after);
        assert!(matches!(ended, Err(LoginError::Expired)));
    }

    #[test]
    fn trouble_is_borne_until_it_does_not_end() {
        let (mut polling, now) = polling();
        let trouble = || Heard::Trouble(PollTrouble::Unreadable(500));
        for _ in 1..TROUBLES_MAX {
            assert_eq!(waits(polling.next(trouble(), now)), 5);
        }
        waits(polling.next(error(403, "authorization_pending"), now));
        for _ in 1..TROUBLES_MAX {
            waits(polling.next(trouble(), now));
        }
        let ended = polling.next(trouble(), now);
        assert!(matches!(ended, Err(LoginError::Trouble(TROUBLES_MAX, _))));
    }
}
