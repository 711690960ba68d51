//! What may be wished for: a kind, for whom, and how long, checked whole before anything begins.

use std::time::Duration;

use thiserror::Error;

use super::kind::{Kind, Manner, Narrowing};
use super::registry::{Chance, Narrowed};

/// How often a fault may be wished to strike.
const TIMES_MAX: u32 = 1_000_000;
/// How long one may be wished to last.
const TIME_MAX: Duration = Duration::from_hours(24);
/// Bytes of a path, or of an MQTT client identifier.
const TEXT_LENGTH_MAX: usize = 256;
/// Where paths begin at which faults strike.
const PATHS: [&str; 3] = ["/customers", "/v2", "/gcdm/oauth"];

/// A fault that somebody wishes for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub(super) kind: Kind,
    pub(super) narrowed: Narrowed,
    pub(super) times: Option<u32>,
    pub(super) lasts: Option<Duration>,
    pub(super) chance: Option<Chance>,
}

/// How long or how often, as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// How often at the most.
    pub times: Option<u32>,
    /// How long.
    pub lasts: Option<Duration>,
    /// At which part of the occasions.
    pub probability: Option<f64>,
    /// Decides at which ones.
    pub seed: Option<u64>,
}

/// Why a wish can't come true.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{member}` {reason}")]
pub struct WishError {
    /// The member that is wrong.
    pub member: &'static str,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: String,
}

impl Wish {
    /// The wish for `kind`.
    ///
    /// # Errors
    /// [`WishError`] names what is out of its range, means nothing to the kind, or contradicts something else.
    pub fn new(kind: Kind, narrowed: Narrowed, said: Said) -> Result<Self, WishError> {
        check_narrowing(&kind, &narrowed)?;
        check_extent(&kind, said)?;
        let Said { times, lasts, probability, seed } = said;
        let seed = seed.unwrap_or_default();
        let chance = probability.map(|probability| Chance { probability, seed });
        Ok(Self { kind, narrowed, times, lasts, chance })
    }
}

fn wrong(member: &'static str, reason: impl Into<String>) -> WishError {
    WishError { member, reason: reason.into() }
}

fn check_narrowing(kind: &Kind, narrowed: &Narrowed) -> Result<(), WishError> {
    let description = kind.description();
    for (narrowing, is_said) in [
        (Narrowing::Customer, narrowed.gcid.is_some()),
        (Narrowing::Client, narrowed.client_id.is_some()),
        (Narrowing::MqttClient, narrowed.mqtt_client_id.is_some()),
        (Narrowing::Vin, narrowed.vin.is_some()),
        (Narrowing::Path, narrowed.path.is_some()),
    ] {
        if is_said && !description.narrowings.contains(&narrowing) {
            let known: Vec<_> = description.narrowings.iter().map(|known| known.member()).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            let name = description.name;
            return Err(wrong(
                narrowing.member(),
                format!("means nothing to `{name}`, which can be narrowed by {known}"),
            ));
        }
    }
    if *kind == Kind::RevokeConsent && narrowed.gcid.is_none() {
        return Err(wrong("gcid", "is missing: `revoke-consent` ends consents of one customer"));
    }
    let is_long = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| text.is_empty() || text.len() > TEXT_LENGTH_MAX)
    };
    if is_long(&narrowed.mqtt_client_id) {
        return Err(wrong("mqtt_client_id", format!("must have 1 to {TEXT_LENGTH_MAX} bytes")));
    }
    let begins_well = |path: &String| {
        PATHS.iter().any(|known| {
            path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    if is_long(&narrowed.path) || !narrowed.path.as_ref().is_none_or(begins_well) {
        return Err(wrong("path", format!("must begin with one of {}", PATHS.join(", "))));
    }
    Ok(())
}

fn check_extent(kind: &Kind, said: Said) -> Result<(), WishError> {
    let description = kind.description();
    let name = description.name;
    let counts = [
        ("times", said.times.is_some()),
        ("probability", said.probability.is_some()),
        ("seed", said.seed.is_some()),
    ];
    let counted = counts.into_iter().find(|(_, is_said)| *is_said).map(|(member, _)| member);
    let timed = said.lasts.is_some().then_some("for_seconds");
    match (description.manner, counted, timed) {
        (Manner::AtOnce, Some(member), _) | (Manner::AtOnce, None, Some(member)) => {
            let reason = format!("means nothing to `{name}`, which strikes once, when it is begun");
            return Err(wrong(member, reason));
        }
        (Manner::Throughout, Some(member), _) => {
            let reason = format!("means nothing to `{name}`, which is there or not; say how long");
            return Err(wrong(member, reason));
        }
        _ => {}
    }
    if said.times.is_some() && said.lasts.is_some() {
        return Err(wrong("times", "contradicts `for_seconds`: send one of them"));
    }
    if said.seed.is_some() && said.probability.is_none() {
        return Err(wrong("seed", "means nothing without `probability`"));
    }
    if said.times.is_some_and(|times| !(1..=TIMES_MAX).contains(&times)) {
        return Err(wrong("times", format!("must be 1 to {TIMES_MAX}")));
    }
    if said.lasts.is_some_and(|lasts| lasts.is_zero() || lasts > TIME_MAX) {
        return Err(wrong("for_seconds", format!("must be 1 to {}", TIME_MAX.as_secs())));
    }
    if said.probability.is_some_and(|part| !(part > 0.0 && part <= 1.0)) {
        return Err(wrong("probability", "must be above 0 and at most 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut Said)) -> Said {
        let mut said = Said::default();
        change(&mut said);
        said
    }

    fn refused(kind: Kind, narrowed: Narrowed, said: Said) -> &'static str {
        Wish::new(kind, narrowed, said).unwrap_err().member
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_its_member() {
        let of = |said| refused(Kind::Duplicate, Narrowed::default(), said);
        assert_eq!(of(said(|said| said.seed = Some(1))), "seed");
        assert_eq!(of(said(|said| said.times = Some(0))), "times");
        assert_eq!(of(said(|said| said.lasts = Some(Duration::ZERO))), "for_seconds");
        assert_eq!(of(said(|said| said.lasts = Some(Duration::from_hours(25)))), "for_seconds");
        for probability in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(of(said(|said| said.probability = Some(probability))), "probability");
        }
        let both = said(|said| (said.times, said.lasts) = (Some(1), Some(Duration::from_secs(1))));
        assert_eq!(of(both), "times");
        let once = said(|said| said.times = Some(1));
        let time = said(|said| said.lasts = Some(Duration::from_secs(1)));
        assert_eq!(refused(Kind::Drop, Narrowed::default(), once), "times");
        assert_eq!(refused(Kind::Drop, Narrowed::default(), time), "for_seconds");
        assert_eq!(refused(Kind::Secondary, Narrowed::default(), once), "times");
        assert!(Wish::new(Kind::Secondary, Narrowed::default(), time).is_ok());
        let rarely = said(|said| (said.probability, said.times) = (Some(0.1), Some(3)));
        assert!(Wish::new(Kind::Duplicate, Narrowed::default(), rarely).is_ok());
    }

    #[test]
    fn nobody_is_named_who_means_nothing_to_the_kind() {
        let vin = Narrowed { vin: "WBY00000000000001".parse().ok(), ..Narrowed::default() };
        assert_eq!(refused(Kind::Freeze, vin.clone(), Said::default()), "vin");
        assert!(Wish::new(Kind::Duplicate, vin, Said::default()).is_ok());
        let path = |path: &str| Narrowed { path: Some(path.to_owned()), ..Narrowed::default() };
        for wrong in ["", "/", "customers", "/customersX", "/portal", &"/v2".repeat(100)] {
            assert_eq!(refused(Kind::QuotaUsedUp, path(wrong), Said::default()), "path", "{wrong}");
        }
        assert!(Wish::new(Kind::QuotaUsedUp, path("/v2/latest"), Said::default()).is_ok());
        assert_eq!(refused(Kind::RevokeConsent, Narrowed::default(), Said::default()), "gcid");
    }
}
