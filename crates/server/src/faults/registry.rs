//! Which faults there are, whom they strike, and when: without clock, entropy or waiting.

use std::collections::VecDeque;

use cardata_domain::session::SessionKey;
use cardata_domain::{ClientId, Gcid, Vin};
use jiff::Timestamp;
use thiserror::Error;

use super::kind::{Kind, Manner};

/// Faults at a time.
const FAULTS_MAX: usize = 100;
/// Strikes that are remembered.
const LOG_MAX: usize = 10_000;

/// Whom a fault is narrowed to; everybody where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrowed {
    /// A customer.
    pub gcid: Option<Gcid>,
    /// An OAuth client.
    pub client_id: Option<ClientId>,
    /// An MQTT client identifier.
    pub mqtt_client_id: Option<String>,
    /// A vehicle.
    pub vin: Option<Vin>,
    /// A path, and what is below it; `*` stands for any one segment.
    pub path: Option<String>,
}

/// How long, or how often.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Extent {
    /// How often at the most.
    pub times: Option<u32>,
    /// Until when, not included.
    pub until: Option<Timestamp>,
    /// At how many of the occasions; at all of them where nothing is said.
    pub chance: Option<Chance>,
}

/// Which occasions are taken: the same seed takes the same ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Above 0 and up to 1.
    pub probability: f64,
    /// Decides which.
    pub seed: u64,
}

/// A fault that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its number; grows from fault to fault.
    pub id: u64,
    /// What goes wrong.
    pub kind: Kind,
    /// For whom.
    pub narrowed: Narrowed,
    /// How long, or how often.
    pub extent: Extent,
    /// Since when.
    pub begun_at: Timestamp,
    /// How often it has struck.
    pub strikes: u32,
    /// How often it could have.
    pub occasions: u64,
}

/// Whom a fault may strike, as far as that is known at the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whom<'a> {
    /// The customer.
    pub gcid: Option<Gcid>,
    /// The OAuth client.
    pub client_id: Option<ClientId>,
    /// The MQTT client identifier.
    pub mqtt_client_id: Option<&'a str>,
    /// The vehicle.
    pub vin: Option<Vin>,
    /// The path of the request.
    pub path: Option<&'a str>,
}

/// A time that a fault struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// Its number; grows from strike to strike.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Which fault.
    pub fault: u64,
    /// Its kind's name.
    pub kind: &'static str,
    /// Whom.
    pub whom: Narrowed,
}

/// There are as many faults as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are {FAULTS_MAX} faults already")]
pub struct TooMany;

/// All faults, and when they struck.
#[derive(Debug, Default)]
pub(super) struct Registry {
    faults: Vec<Fault>,
    begun_total: u64,
    log: VecDeque<Strike>,
    struck_total: u64,
}

impl Registry {
    /// A further fault; gives its number.
    pub(super) fn begin(
        &mut self,
        kind: Kind,
        narrowed: Narrowed,
        extent: Extent,
        now: Timestamp,
    ) -> Result<Fault, TooMany> {
        if self.faults.len() >= FAULTS_MAX {
            return Err(TooMany);
        }
        self.begun_total += 1;
        let id = self.begun_total;
        let (begun_at, strikes, occasions) = (now, 0, 0);
        let fault = Fault { id, kind, narrowed, extent, begun_at, strikes, occasions };
        self.faults.push(fault.clone());
        Ok(fault)
    }

    /// Ends a fault; gives it when it was there.
    pub(super) fn end(&mut self, id: u64) -> Option<Fault> {
        let index = self.faults.iter().position(|fault| fault.id == id)?;
        Some(self.faults.remove(index))
    }

    /// Those that are there at `now`, the oldest first.
    pub(super) fn list(&self, now: Timestamp) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(move |fault| !fault.is_past(now))
    }

    /// Whether there is any. One whose time is over is there until it is ended.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// What `pick` makes of each fault that strikes `whom` now, the oldest first. What it gives nothing for is not
    /// concerned by this occasion.
    pub(super) fn strike<T>(
        &mut self,
        whom: Whom<'_>,
        now: Timestamp,
        pick: impl Fn(&Fault) -> Option<T>,
    ) -> Vec<T> {
        let mut struck = Vec::new();
        for fault in &mut self.faults {
            if !fault.is_over(now)
                && fault.narrowed.includes(whom)
                && let Some(picked) = pick(fault)
                && fault.takes_occasion()
            {
                struck.push(picked);
                self.struck_total += 1;
                if self.log.len() >= LOG_MAX {
                    self.log.pop_front();
                }
                self.log.push_back(Strike {
                    number: self.struck_total,
                    at: now,
                    fault: fault.id,
                    kind: fault.kind.name(),
                    whom: whom.into(),
                });
            }
        }
        // Whoever was struck by a lasting one stays so until it is ended.
        self.faults.retain(|fault| {
            !fault.is_spent() || fault.kind.description().manner == Manner::Lasting
        });
        struck
    }

    /// Strikes after the one with the number `since`, the oldest first, at most `limit`.
    pub(super) fn log(&self, since: u64, limit: usize) -> Vec<Strike> {
        let later = self.log.iter().filter(|strike| strike.number > since);
        later.take(limit).cloned().collect()
    }

    /// How many faults there were.
    pub(super) fn begun_total(&self) -> u64 {
        self.begun_total
    }

    /// How many strikes there were.
    pub(super) fn struck_total(&self) -> u64 {
        self.struck_total
    }
}

impl Fault {
    /// Whether it strikes nobody any more.
    fn is_over(&self, now: Timestamp) -> bool {
        self.is_past(now) || self.is_spent()
    }

    fn is_past(&self, now: Timestamp) -> bool {
        self.extent.until.is_some_and(|until| until <= now)
    }

    fn is_spent(&self) -> bool {
        self.extent.times.is_some_and(|times| self.strikes >= times)
    }

    /// Whether the fault strikes at an occasion that has come.
    fn takes_occasion(&mut self) -> bool {
        let number = self.occasions;
        self.occasions += 1;
        let takes = self.extent.chance.is_none_or(|chance| chance.takes(number));
        self.strikes = self.strikes.saturating_add(u32::from(takes));
        takes
    }
}

impl Chance {
    /// Whether the occasion with this number is taken.
    fn takes(self, number: u64) -> bool {
        // SplitMix64 (Steele, Lea, Flood 2014): the number alone decides, so that a run can be repeated from anywhere.
        let mut z =
            self.seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
        let drawn = (z >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < self.probability
    }
}

impl Narrowed {
    /// Whether `whom` is meant. Who is not known is not meant where somebody is named.
    pub(super) fn includes(&self, whom: Whom<'_>) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, there: Option<&T>) -> bool {
            wanted.is_none() || wanted == there
        }
        fits(self.gcid.as_ref(), whom.gcid.as_ref())
            && fits(self.client_id.as_ref(), whom.client_id.as_ref())
            && fits(self.mqtt_client_id.as_deref().as_ref(), whom.mqtt_client_id.as_ref())
            && fits(self.vin.as_ref(), whom.vin.as_ref())
            && self
                .path
                .as_deref()
                .is_none_or(|path| whom.path.is_some_and(|there| is_below(there, path)))
    }
}

/// Whether `path` is `above`, or below it.
fn is_below(path: &str, above: &str) -> bool {
    let mut segments = path.trim_end_matches('/').split('/');
    let mut wanted = above.trim_end_matches('/').split('/');
    wanted.all(|wanted| segments.next().is_some_and(|there| wanted == "*" || wanted == there))
}

impl<'a> Whom<'a> {
    /// A session's.
    pub fn of(key: &'a SessionKey) -> Self {
        Self {
            gcid: key.gcid,
            client_id: Some(key.client_id),
            mqtt_client_id: Some(&key.mqtt_client_id),
            ..Self::default()
        }
    }

    /// A client's, at a customer's data where that is known.
    pub fn client(client_id: ClientId, gcid: Option<Gcid>) -> Self {
        Self { gcid, client_id: Some(client_id), ..Self::default() }
    }
}

impl From<Whom<'_>> for Narrowed {
    fn from(whom: Whom<'_>) -> Self {
        Self {
            gcid: whom.gcid,
            client_id: whom.client_id,
            mqtt_client_id: whom.mqtt_client_id.map(str::to_owned),
            vin: whom.vin,
            path: whom.path.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn begin(registry: &mut Registry, narrowed: Narrowed, extent: Extent) -> u64 {
        registry.begin(Kind::Duplicate, narrowed, extent, NOW).unwrap().id
    }

    fn strikes(registry: &mut Registry, whom: Whom<'_>, now: Timestamp) -> usize {
        registry.strike(whom, now, |_| Some(())).len()
    }

    fn later(seconds: i64) -> Timestamp {
        NOW + jiff::SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_fault_strikes_until_it_is_ended() {
        let mut registry = Registry::default();
        let id = begin(&mut registry, Narrowed::default(), Extent::default());
        for _ in 0..100 {
            assert_eq!(strikes(&mut registry, Whom::default(), later(1_000_000)), 1);
        }
        assert_eq!(registry.end(id).map(|fault| fault.strikes), Some(100));
        assert_eq!(strikes(&mut registry, Whom::default(), NOW), 0);
        assert!(registry.is_empty() && registry.end(id).is_none());
    }

    #[test]
    fn it_strikes_so_often_or_so_long_and_is_gone_then() {
        let mut registry = Registry::default();
        begin(&mut registry, Narrowed::default(), Extent { times: Some(2), ..Extent::default() });
        assert_eq!((0..5).map(|_| strikes(&mut registry, Whom::default(), NOW)).sum::<usize>(), 2);
        assert!(registry.is_empty());
        begin(
            &mut registry,
            Narrowed::default(),
            Extent { until: Some(later(30)), ..Extent::default() },
        );
        assert_eq!(strikes(&mut registry, Whom::default(), later(29)), 1);
        assert_eq!(strikes(&mut registry, Whom::default(), later(30)), 0);
        assert_eq!((registry.list(later(29)).count(), registry.list(later(30)).count()), (1, 0));
    }

    #[test]
    fn who_was_struck_by_a_lasting_one_stays_so_until_its_end() {
        let mut registry = Registry::default();
        let once = Extent { times: Some(1), ..Extent::default() };
        let fault = registry.begin(Kind::Freeze, Narrowed::default(), once, NOW).unwrap();
        assert_eq!(strikes(&mut registry, Whom::default(), NOW), 1);
        assert_eq!(strikes(&mut registry, Whom::default(), NOW), 0);
        assert_eq!(registry.list(NOW).map(|one| one.id).collect::<Vec<_>>(), [fault.id]);
    }

    #[test]
    fn the_same_seed_takes_the_same_occasions_and_about_as_many_as_told() {
        let run = |seed, probability| -> Vec<usize> {
            let mut registry = Registry::default();
            let chance = Some(Chance { probability, seed });
            begin(&mut registry, Narrowed::default(), Extent { chance, ..Extent::default() });
            (0..10_000).map(|_| strikes(&mut registry, Whom::default(), NOW)).collect()
        };
        for seed in [0, 7, u64::MAX] {
            for (probability, range) in [(0.1, 900..1100), (0.5, 4800..5200), (1.0, 10_000..10_001)]
            {
                let taken = run(seed, probability);
                assert_eq!(taken, run(seed, probability));
                assert!(range.contains(&taken.iter().sum::<usize>()), "{seed} {probability}");
            }
        }
        assert_ne!(run(1, 0.5), run(2, 0.5));
    }

    #[test]
    fn it_strikes_those_whom_it_is_narrowed_to_and_nobody_else() {
        let gcid = |digit: u128| Gcid::new(uuid::Uuid::from_u128(digit));
        let client = |digit: u128| ClientId::new(uuid::Uuid::from_u128(digit));
        let vin = |text: &str| text.parse::<Vin>().unwrap();
        let whole = Whom {
            gcid: Some(gcid(1)),
            client_id: Some(client(1)),
            mqtt_client_id: Some("a"),
            vin: Some(vin("WBY00000000000001")),
            path: Some("/customers/containers/X"),
        };
        let everything = Narrowed::from(whole);
        assert!(everything.includes(whole) && Narrowed::default().includes(Whom::default()));
        for other in [
            Whom { gcid: Some(gcid(2)), ..whole },
            Whom { client_id: Some(client(2)), ..whole },
            Whom { mqtt_client_id: Some("b"), ..whole },
            Whom { vin: Some(vin("WBY00000000000002")), ..whole },
            Whom { path: Some("/customers/containers"), ..whole },
            Whom { gcid: None, ..whole },
            Whom { path: None, ..whole },
        ] {
            assert!(!everything.includes(other), "{other:?}");
        }
    }

    #[test]
    fn a_path_means_what_is_below_it() {
        for (path, above) in [
            ("/customers/containers", "/customers/containers"),
            ("/customers/containers/", "/customers/containers"),
            ("/customers/containers/X", "/customers"),
            ("/customers/vehicles/WBY/image", "/customers/vehicles/*/image"),
        ] {
            assert!(is_below(path, above), "{path} {above}");
        }
        for (path, above) in [
            ("/customers", "/customers/containers"),
            ("/customers/containersX", "/customers/containers"),
            ("/customers/vehicles/WBY/basicData", "/customers/vehicles/*/image"),
        ] {
            assert!(!is_below(path, above), "{path} {above}");
        }
    }

    #[test]
    fn there_are_so_many_and_no_more_and_the_log_has_the_newest() {
        let mut registry = Registry::default();
        let once = Extent { times: Some(u32::MAX), ..Extent::default() };
        begin(&mut registry, Narrowed::default(), once);
        for _ in 0..LOG_MAX + 5 {
            strikes(&mut registry, Whom::default(), NOW);
        }
        let log = registry.log(0, usize::MAX);
        assert_eq!((log.len(), log[0].number), (LOG_MAX, 6));
        assert_eq!(registry.log(LOG_MAX as u64 + 3, 1).len(), 1);
        assert_eq!(registry.log(registry.struck_total(), 10), []);
        for _ in 1..FAULTS_MAX {
            begin(&mut registry, Narrowed::default(), once);
        }
        let more = registry.begin(Kind::Duplicate, Narrowed::default(), once, NOW);
        assert_eq!(more, Err(TooMany));
    }
}
