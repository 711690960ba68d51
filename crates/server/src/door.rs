//! What stands before a listener for MQTT: how often one address may connect.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::attempts::{Attempts, Peer};

/// Connections that are taken for each CONNECT that is looked at. A client that is told to wait comes back a few times
/// before it does; beyond that, not even the handshake is paid for.
const CONNECTIONS_PER_CONNECT: u32 = 4;

/// Lets peers in, or not. Shared by all ways to one listener's sessions.
pub struct Door {
    connects: Rate,
    connections: Rate,
}

/// What an address may do in a minute; `None` for any number of times.
type Rate = Option<Mutex<Attempts>>;

impl Door {
    /// Looks at `connects_per_minute` CONNECTs of one address; 0 stands for no limit.
    pub fn new(connects_per_minute: u32) -> Self {
        let rate =
            |per_minute| (connects_per_minute > 0).then(|| Mutex::new(Attempts::new(per_minute)));
        Self {
            connects: rate(connects_per_minute),
            connections: rate(connects_per_minute.saturating_mul(CONNECTIONS_PER_CONNECT)),
        }
    }

    /// Whether a connection of `peer` is worth a handshake.
    pub(crate) fn enter(&self, peer: Peer, now: Timestamp) -> bool {
        has_time_for(&self.connections, "accept", peer, now)
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

    #[test]
    fn an_address_may_connect_so_often_a_minute_and_is_told_so_a_few_times_more() {
        let door = Door::new(2);
        let peer = |last| Peer::new([192, 0, 2, last].into());
        let at = |second| Timestamp::from_second(second).unwrap();
        let heard = (0..4).filter(|_| door.hears(peer(1), at(0))).count();
        let entered = (0..20).filter(|_| door.enter(peer(1), at(59))).count();
        assert_eq!((heard, entered), (2, 8));
        assert!(door.hears(peer(2), at(59)) && door.enter(peer(2), at(59)));
        assert!(door.hears(peer(1), at(60)) && door.enter(peer(1), at(119)));
    }

    #[test]
    fn zero_is_no_limit() {
        let door = Door::new(0);
        let peer = Peer::new([192, 0, 2, 1].into());
        let now = Timestamp::UNIX_EPOCH;
        assert!((0..100_000).all(|_| door.hears(peer, now) && door.enter(peer, now)));
    }
}
