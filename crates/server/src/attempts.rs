//! How often a peer may do what costs something, by its address: guess a password, start a log-in.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};

/// From a peer's first attempt on.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Peers that are remembered; with more, the one whose window began first is forgotten.
const PEERS_MAX: usize = 10_000;

/// Where a request comes from, as far as counting attempts goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    /// The peer at `address`.
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            // One household has a whole /64 of these, so they count as one.
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    /// Where a listener does not tell addresses, all peers count as one.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let told = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self::new(told.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip())))
    }
}

/// The attempts of each peer, or of each of something else, in its present window.
pub(crate) struct Attempts<K = Peer> {
    attempts_max: u32,
    windows: HashMap<K, Window>,
}

struct Window {
    began_at: Timestamp,
    attempts: u32,
}

impl<K: Copy + Eq + Hash> Attempts<K> {
    /// None yet; each peer has `attempts_max` a minute.
    pub(crate) fn new(attempts_max: u32) -> Self {
        Self { attempts_max, windows: HashMap::new() }
    }

    /// Counts an attempt before it is judged, so that many at a time can't slip through; false when the peer has no more.
    pub(crate) fn take(&mut self, peer: K, now: Timestamp) -> bool {
        self.make_room(peer, now);
        let window = self.windows.entry(peer).or_insert(Window { began_at: now, attempts: 0 });
        if window.is_over(now) {
            *window = Window { began_at: now, attempts: 0 };
        }
        if window.attempts >= self.attempts_max {
            return false;
        }
        window.attempts += 1;
        true
    }

    /// Gives an attempt back that should not count, such as a right guess.
    pub(crate) fn give_back(&mut self, peer: K) {
        if let Some(window) = self.windows.get_mut(&peer) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }

    fn make_room(&mut self, peer: K, now: Timestamp) {
        if self.windows.len() < PEERS_MAX || self.windows.contains_key(&peer) {
            return;
        }
        self.windows.retain(|_, window| !window.is_over(now));
        if self.windows.len() >= PEERS_MAX {
            let oldest = self.windows.iter().min_by_key(|(_, window)| window.began_at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.windows.remove(&oldest);
            }
        }
    }
}

impl Window {
    fn is_over(&self, now: Timestamp) -> bool {
        // A clock that was set back must not lock anybody out.
        now < self.began_at || now.duration_since(self.began_at) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn peer(text: &str) -> Peer {
        Peer::new(text.parse().unwrap())
    }

    #[test]
    fn a_peer_has_so_many_attempts_a_minute_and_those_given_back_do_not_count() {
        let mut attempts = Attempts::new(10);
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for _ in 0..100 {
            assert!(attempts.take(one, at(0)));
            attempts.give_back(one);
        }
        for _ in 0..10 {
            assert!(attempts.take(one, at(0)));
        }
        assert!(!attempts.take(one, at(59)));
        assert!(attempts.take(other, at(59)));
        assert!(attempts.take(one, at(60)));
    }

    #[test]
    fn peers_of_one_network_count_as_one() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[test]
    fn no_more_peers_are_remembered_than_there_is_room_for() {
        let mut attempts = Attempts::new(10);
        for number in 0..u32::try_from(PEERS_MAX).unwrap() + 10 {
            assert!(attempts.take(Peer(IpAddr::V4(number.into())), at(i64::from(number / 1000))));
        }
        assert_eq!(attempts.windows.len(), PEERS_MAX);
    }
}
