//! What stands before a listener for MQTT: how many connections there may be, and how often one address may connect.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::attempts::{Attempts, Peer};
use crate::crowd::{Crowd, Place};

/// Connections that are taken for each CONNECT that is looked at. A client that is told to wait comes back a few times
/// before it does; beyond that, not even the handshake is paid for.
const CONNECTIONS_PER_CONNECT: u32 = 4;

/// What is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CONNECTs of one address that are looked at in a minute; 0 is no limit.
    pub connects_per_minute: u32,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections of one address at a time.
    pub connections_each_max: usize,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self {
        connects_per_minute: 0,
        connections_max: usize::MAX,
        connections_each_max: usize::MAX,
    };
}

/// Lets peers in, or not. Shared by all ways to one kind of session.
pub struct Door {
    crowd: Crowd,
    connects: Rate,
    connections: Rate,
}

/// What an address may do in a minute; `None` for any number of times.
type Rate = Option<Mutex<Attempts>>;

impl Door {
    /// Lets in what `limits` say; `listener` labels the metric of those for whom there is no room.
    pub fn new(listener: &'static str, limits: Limits) -> Self {
        let Limits { connects_per_minute, connections_max, connections_each_max } = limits;
        let rate =
            |per_minute| (connects_per_minute > 0).then(|| Mutex::new(Attempts::new(per_minute)));
        Self {
            crowd: Crowd::new(listener, connections_max, connections_each_max),
            connects: rate(connects_per_minute),
            connections: rate(connects_per_minute.saturating_mul(CONNECTIONS_PER_CONNECT)),
        }
    }

    /// A place for a connection of `peer`, to be held while it lasts; `None` where it is not worth a handshake.
    pub(crate) fn enter(&self, peer: Peer, now: Timestamp) -> Option<Place> {
        has_time_for(&self.connections, "accept", peer, now).then(|| self.crowd.enter(peer))?
    }

    /// Who is inside.
    #[cfg(test)]
    pub(crate) fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Whether the token in a CONNECT of `peer` is looked at.
    pub(crate) fn hears(&self, peer: Peer, now: Timestamp) -> bool {
        has_time_for(&self.connects, "connect", peer, now)
    }
}

fn has_time_for(rate: &Rate, at: &'static str, peer: Peer, now: Timestamp) -> bool {
    let Some(rate) = rate else { return true };
    let has_time = rate.lock().unwrap_or_else(PoisonError::into_inner).take(peer, now);
    if !has_time {
        metrics::counter!("cardata_mqtt_rate_limited_total", "at" => at).increment(1);
    }
    has_time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::new([192, 0, 2, last].into())
    }

    #[test]
    fn an_address_may_connect_so_often_a_minute_and_is_told_so_a_few_times_more() {
        let door = Door::new("test", Limits { connects_per_minute: 2, ..Limits::NONE });
        let at = |second| Timestamp::from_second(second).unwrap();
        let heard = (0..4).filter(|_| door.hears(peer(1), at(0))).count();
        let entered = (0..20).filter(|_| door.enter(peer(1), at(59)).is_some()).count();
        assert_eq!((heard, entered), (2, 8));
        assert!(door.hears(peer(2), at(59)) && door.enter(peer(2), at(59)).is_some());
        assert!(door.hears(peer(1), at(60)) && door.enter(peer(1), at(119)).is_some());
    }

    #[test]
    fn zero_connects_a_minute_is_no_limit() {
        let door = Door::new("test", Limits::NONE);
        let now = Timestamp::UNIX_EPOCH;
        let passes = || door.hears(peer(1), now) && door.enter(peer(1), now).is_some();
        assert!((0..10_000).all(|_| passes()));
    }

    #[test]
    fn there_is_room_for_so_many_in_all_and_of_one_address() {
        let limits = Limits { connections_max: 3, connections_each_max: 2, ..Limits::NONE };
        let door = Door::new("test", limits);
        let enter = |last| door.enter(peer(last), Timestamp::UNIX_EPOCH);
        let _inside = [enter(1).unwrap(), enter(1).unwrap()];
        assert!(enter(1).is_none());
        let third = enter(2).unwrap();
        assert!(enter(3).is_none());
        drop(third);
        assert!(enter(3).is_some());
    }
}
