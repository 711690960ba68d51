//! What is kept of a persistent MQTT session while nobody is connected.

use std::num::{NonZeroU16, NonZeroU32};

use jiff::Timestamp;

use crate::client::ClientId;
use crate::customer::Gcid;
use crate::event::Sequence;
use crate::vin::Vin;

/// Names a session. Two integrations that both use the GCID as MQTT client id have different OAuth clients, so they
/// don't push each other out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose data; `None` in a fleet's session, where a third party's client reads for itself the vehicles of all
    /// customers who let it in.
    pub gcid: Option<Gcid>,
    /// For which OAuth client.
    pub client_id: ClientId,
    /// The client identifier of the MQTT CONNECT packet.
    pub mqtt_client_id: String,
}

/// A persistent session: what it subscribed to and how far it got. An offline client costs just this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredSession {
    /// In the order in which they were made.
    pub subscriptions: Vec<StoredSubscription>,
    /// Seconds that it is kept after its connection has ended; `None` for ever.
    pub expiry_seconds: Option<u32>,
    /// For each VIN with a subscription of QoS 1 or 2: the sequence number up to which everything was acknowledged.
    pub cursors: Vec<(Vin, Sequence)>,
    /// Whether it has ever had a subscription of QoS 2, so that its client may know packet identifiers which a crash has
    /// made unknown here.
    pub exactly_once: bool,
    /// What its last connection left behind; `None` while it is connected, and after a crash that ended its connection.
    pub left: Option<LeftBehind>,
}

/// A topic filter and how it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSubscription {
    /// As the client wrote it.
    pub filter: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Comes back in each message that the filter matches (MQTT 5 §3.8.2.1.2).
    pub identifier: Option<NonZeroU32>,
}

/// Where a connection stood when it ended, as far as the next one of its session has to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftBehind {
    /// Deliveries that were begun and not acknowledged, or not without a gap; those of one vehicle in the order in which
    /// they were sent first.
    pub unfinished: Vec<Unfinished>,
    /// Packet identifiers of QoS 2 whose messages the client has received, and whose PUBREL it may not have.
    pub releasing: Vec<NonZeroU16>,
    /// Packet identifiers of QoS 2 whose messages are not sent again. The client may have received them, and would take
    /// another message with one of these for a duplicate.
    pub given_up: Vec<NonZeroU16>,
    /// For each VIN that was read: a time before which the client misses nothing, by the vehicle's own clock.
    pub complete_until: Vec<(Vin, Timestamp)>,
}

/// One message of an event on its way with QoS 1 or 2. The payload is not kept: it is read and projected again if need
/// be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Its packet identifier, kept over a reconnect [MQTT-4.4.0-1].
    pub packet_id: NonZeroU16,
    /// Whose.
    pub vin: Vin,
    /// Which event.
    pub sequence: Sequence,
    /// When the vehicle sent it.
    pub at: Timestamp,
    /// Which of the event's messages: 0 where it has one only, else a digest of its payload. Counting them would not
    /// do, since they shift when the entitlement changes.
    pub part: u64,
    /// Whether it was sent with QoS 2, and not with QoS 1.
    pub exactly_once: bool,
    /// Acknowledged, or hidden since it was sent, but one before it is not.
    pub done: bool,
}

impl LeftBehind {
    /// Gives up what it has of `vehicles`, of which the client may see nothing any more. Whether that changes anything.
    pub fn give_up(&mut self, vehicles: &[Vin]) -> bool {
        let is_meant = |vin: &Vin| vehicles.contains(vin);
        let before = (self.unfinished.len(), self.complete_until.len());
        for delivery in self.unfinished.iter().filter(|delivery| is_meant(&delivery.vin)) {
            if delivery.exactly_once && !delivery.done {
                self.given_up.push(delivery.packet_id);
            }
        }
        self.unfinished.retain(|delivery| !is_meant(&delivery.vin));
        self.complete_until.retain(|(vin, _)| !is_meant(vin));
        before != (self.unfinished.len(), self.complete_until.len())
    }

    /// The newest event that it speaks of; 0 when it speaks of none.
    pub fn newest(&self) -> Sequence {
        self.unfinished.iter().map(|delivery| delivery.sequence).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_of_a_vehicle_leaves_only_identifiers_that_its_client_may_wait_for() {
        let [ended, other]: [Vin; 2] =
            ["WBY00000000000001", "WBY00000000000002"].map(|vin| vin.parse().unwrap());
        let delivery = |id, vin, exactly_once, done| Unfinished {
            packet_id: NonZeroU16::new(id).unwrap(),
            vin,
            sequence: Sequence(u64::from(id)),
            at: Timestamp::UNIX_EPOCH,
            part: 0,
            exactly_once,
            done,
        };
        let kept = delivery(4, other, true, false);
        let mut left = LeftBehind {
            unfinished: vec![
                delivery(1, ended, false, false),
                delivery(2, ended, true, false),
                delivery(3, ended, true, true),
                kept,
            ],
            complete_until: vec![(ended, Timestamp::UNIX_EPOCH), (other, Timestamp::UNIX_EPOCH)],
            ..LeftBehind::default()
        };
        assert!(left.give_up(&[ended]));
        assert_eq!(left.unfinished, [kept]);
        assert_eq!(left.given_up, [NonZeroU16::new(2).unwrap()]);
        assert_eq!(left.complete_until, [(other, Timestamp::UNIX_EPOCH)]);
        assert!(!left.give_up(&[ended]));
    }
}
