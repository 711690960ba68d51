//! What faults do to tokens: they expire before their time, or are issued by a clock that is wrong.

use cardata_domain::consent::Consent;
use jiff::Timestamp;

use super::kind::{Kind, Tokens};
use super::registry::{Fault, Whom};
use crate::platform::Platform;

/// When a token expired before its time, if it did.
pub(crate) fn early_end(
    platform: &Platform,
    consent: &Consent,
    token: Tokens,
    issued_at: Timestamp,
) -> Option<Timestamp> {
    platform.struck(whom(consent), |fault| match fault.kind {
        Kind::ExpireTokens(which) => {
            let is_meant = which == Tokens::All || which == token;
            (is_meant && issued_at < spares(fault)).then_some(fault.begun_at)
        }
        _ => None,
    })
}

/// When a token that is issued at `now` is said to be issued: late enough for every fault that lets earlier ones expire.
/// Some tokens know their time by the second only.
pub(crate) fn instant(platform: &Platform, now: Timestamp) -> Timestamp {
    let Some(faults) = platform.faults() else { return now };
    let of_expiry = |fault: &Fault| match fault.kind {
        Kind::ExpireTokens(_) => Some(spares(fault)),
        _ => None,
    };
    faults.list(now).iter().filter_map(of_expiry).max().map_or(now, |spares| spares.max(now))
}

/// The first second whose tokens a fault spares.
fn spares(fault: &Fault) -> Timestamp {
    Timestamp::from_second(fault.begun_at.as_second() + 1).unwrap_or(fault.begun_at)
}

/// Seconds by which the clock is ahead that issues id tokens on `consent`.
pub(crate) fn skew_seconds(platform: &Platform, consent: &Consent) -> i64 {
    let skew = platform.struck(whom(consent), |fault| match fault.kind {
        Kind::ClockSkew(skew) => Some(skew.as_secs()),
        _ => None,
    });
    skew.unwrap_or_default()
}

fn whom(consent: &Consent) -> Whom<'static> {
    Whom::client(consent.client_id, Some(consent.gcid))
}
