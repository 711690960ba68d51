//! Packets as the session sees them, the same for every protocol version.

use std::num::NonZeroU16;

use bytes::Bytes;
use cardata_domain::Vin;

/// Quality of service (MQTT 3.1.1 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// 0: sent once, never repeated.
    AtMostOnce,
    /// 1: repeated until acknowledged.
    AtLeastOnce,
    /// 2: repeated and deduplicated.
    ExactlyOnce,
}

impl Qos {
    /// The number on the wire.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// The quality of service with this number on the wire.
    pub fn from_level(level: u8) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].get(usize::from(level)).copied()
    }
}

/// A packet from the client. Those that only a server may send have no form here: the decoder refuses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Opens the connection.
    Connect(Box<Connect>),
    /// Publishes; refused, since customers' clients only read.
    Publish,
    /// Acknowledges a delivery of QoS 1.
    PubAck(NonZeroU16),
    /// Subscribes to filters, each with the wanted QoS.
    Subscribe {
        /// Comes back in the SUBACK.
        packet_id: NonZeroU16,
        /// At least one.
        filters: Vec<(String, Qos)>,
    },
    /// Ends subscriptions.
    Unsubscribe {
        /// Comes back in the UNSUBACK.
        packet_id: NonZeroU16,
        /// At least one.
        filters: Vec<String>,
    },
    /// Shows that the client is there.
    PingReq,
    /// Says good-bye.
    Disconnect,
    /// PUBREC, PUBREL or PUBCOMP: none belongs to a delivery, since QoS 2 is not granted.
    OtherAcknowledgement,
}

/// The CONNECT packet (MQTT 3.1.1 §3.1). `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The client identifier; empty lets the server choose.
    pub client_id: String,
    /// Whether to begin without any earlier state, and to keep none.
    pub clean_session: bool,
    /// Seconds between two packets of the client at the most; 0 for no limit.
    pub keep_alive_seconds: u16,
    /// The GCID, in this service.
    pub user_name: Option<String>,
    /// The token, in this service.
    pub password: Option<Bytes>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("clean_session", &self.clean_session)
            .field("keep_alive_seconds", &self.keep_alive_seconds)
            .finish_non_exhaustive()
    }
}

/// A packet to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// The connection is accepted.
    ConnAck {
        /// Whether an earlier session goes on.
        session_present: bool,
    },
    /// The connection is refused.
    ConnRefused(crate::ConnectRefusal),
    /// The answer to each filter of a SUBSCRIBE: the granted QoS, or `None` for a refusal.
    SubAck {
        /// Of the SUBSCRIBE.
        packet_id: NonZeroU16,
        /// In the filters' order.
        granted: Vec<Option<Qos>>,
    },
    /// The answer to an UNSUBSCRIBE.
    UnsubAck(NonZeroU16),
    /// The answer to a PINGREQ.
    PingResp,
    /// A vehicle's message.
    Publish(Publish),
}

/// A vehicle's message on its way; the topic is `{gcid}/{vin}` of the connection's customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whose.
    pub vin: Vin,
    /// The finished payload.
    pub payload: Bytes,
    /// `None` for QoS 0.
    pub packet_id: Option<NonZeroU16>,
    /// Whether it may have been sent before.
    pub duplicate: bool,
}
