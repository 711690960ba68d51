//! Tokens that get the next page: opaque, good for one request of one client, and for an hour.

use std::sync::LazyLock;

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::error_code::ErrorCode;
use cardata_domain::Vin;
use jiff::{SignedDuration, Timestamp};

use super::auth::Caller;
use super::error::ApiError;
use crate::secret;

/// How long a page may take to be asked for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// Characters that a token has: a place, an instant and 32 bytes that prove them.
const LENGTH: usize = 64;

/// Drawn at each start, so a restart ends all tokens: to begin with the first page again costs less than a key that
/// somebody must keep.
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(HMAC_SHA256, &secret::random::<32>()));

/// What a token is for. One for something else is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages<'a> {
    /// Whose pages.
    pub(super) caller: Caller,
    /// Of which vehicle.
    pub(super) vin: Vin,
    /// Of which endpoint, with whatever else was asked for.
    pub(super) of: &'a str,
}

impl Pages<'_> {
    /// A token for the page that begins at `place`, whatever that is where the pages are.
    pub(super) fn token(&self, place: i64, now: Timestamp) -> String {
        let expires_at = now.saturating_add(LIFETIME).unwrap_or(now).as_millisecond();
        let mut bytes = [place, expires_at].map(i64::to_be_bytes).concat();
        let proof = hmac::sign(&KEY, &self.signed(&bytes));
        bytes.extend(proof.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page begins that `token`, the parameter `name`, gets.
    ///
    /// # Errors
    /// CU-125 when it is too old, or none for this.
    pub(super) fn place(&self, name: &str, token: &str, now: Timestamp) -> Result<i64, ApiError> {
        self.read(token, now).ok_or_else(|| {
            let note =
                format!("`{name}` is too old, or none for this request; ask again without it");
            ApiError::new(ErrorCode::PageExpired, note)
        })
    }

    /// The instant before which the page begins that `token`, the parameter `nextToken`, gets.
    ///
    /// # Errors
    /// CU-125 as above.
    pub(super) fn before(&self, token: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
        let place = self.place("nextToken", token, now)?;
        Ok(Timestamp::from_millisecond(place).unwrap_or(Timestamp::MIN))
    }

    fn read(&self, token: &str, now: Timestamp) -> Option<i64> {
        if token.len() != LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, proof) = bytes.split_at_checked(16)?;
        hmac::verify(&KEY, &self.signed(content), proof).ok()?;
        let (place, expires_at) = content.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes);
        let expires_at = Timestamp::from_millisecond(number(expires_at)?).ok()?;
        if now < expires_at { number(place) } else { None }
    }

    fn signed(&self, content: &[u8]) -> Vec<u8> {
        let Caller { gcid, client_id } = self.caller;
        // The texts before the last have one length each, so no two requests give the same.
        let request = format!("{gcid}{client_id}{}{}", self.vin.as_str(), self.of);
        [content, request.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_platform::{Person, START, third_party};

    #[test]
    fn a_token_is_good_for_an_hour_and_for_what_it_was_made_for() {
        let anna = Caller { gcid: Person::Anna.gcid(), client_id: Person::Anna.client_id() };
        let vin = "WBY00000000000001".parse().unwrap();
        let pages = Pages { caller: anna, vin, of: "chargingHistory" };
        let token = pages.token(-5, START);
        assert_eq!(token.len(), LENGTH);
        assert_eq!(pages.read(&token, START), Some(-5));
        let later = |seconds| START + SignedDuration::from_secs(seconds);
        assert_eq!(pages.read(&token, later(3599)), Some(-5));
        assert_eq!(pages.read(&token, later(3600)), None);

        let others = [
            Pages { caller: Caller { gcid: Person::Ben.gcid(), ..anna }, ..pages },
            Pages { caller: Caller { client_id: third_party(), ..anna }, ..pages },
            Pages { vin: "WBY00000000000002".parse().unwrap(), ..pages },
            Pages { of: "chargingHistory 2", ..pages },
        ];
        for other in others {
            assert_eq!(other.read(&token, START), None, "{other:?}");
        }
        let mut changed = token.clone().into_bytes();
        changed[3] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        for wrong in ["", "x", &token[1..], &format!("{token}A"), &changed, &"ä".repeat(32)] {
            assert_eq!(pages.read(wrong, START), None, "{wrong}");
        }
    }
}
