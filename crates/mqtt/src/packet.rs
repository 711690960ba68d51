//! Packets as the session sees them, the same for every protocol version.
//!
//! What a version lacks has the value that says so: a 3.1.1 CONNECT comes with the receive maximum and packet size that
//! limit nothing, and reason codes are dropped where the wire has none.

use std::fmt::{self, Display};
use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use cardata_domain::{Gcid, Vin};
use jiff::Timestamp;

use crate::reason::{CloseReason, ConnectRefusal, SubscribeRefusal};

/// The protocol's version, as the client's CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0.
    V5,
}

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
    Publish {
        /// Which to answer; `None` with QoS 0.
        packet_id: Option<NonZeroU16>,
        /// How it was sent.
        qos: Qos,
    },
    /// Acknowledges a delivery of QoS 1; with MQTT 5 also one that the client refuses.
    PubAck(NonZeroU16),
    /// Acknowledges a delivery of QoS 2.
    PubRec {
        /// Of the delivery.
        packet_id: NonZeroU16,
        /// The client does not take it (MQTT 5 §3.5.2.1, reason codes from 0x80 on).
        refused: bool,
    },
    /// Goes on with a PUBLISH of the client; none is ever under way.
    PubRel(NonZeroU16),
    /// Ends a delivery of QoS 2.
    PubComp(NonZeroU16),
    /// Subscribes to filters, each with the wanted QoS.
    Subscribe {
        /// Comes back in the SUBACK.
        packet_id: NonZeroU16,
        /// At least one.
        filters: Vec<Wanted>,
        /// Comes back in each message that a filter matches (MQTT 5 §3.8.2.1.2).
        identifier: Option<NonZeroU32>,
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
    Disconnect {
        /// How long to keep the session instead of what CONNECT said (MQTT 5 §3.14.2.2.2).
        session_expiry_seconds: Option<u32>,
    },
    /// Carries a fresh token (MQTT 5 §4.12).
    Auth(Auth),
}

/// A topic filter of a SUBSCRIBE with its options (MQTT 5 §3.8.3.1). No Local and Retain As Published have no form here:
/// clients publish nothing, and vehicles' messages are not retained ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The filter.
    pub filter: String,
    /// The highest quality of service that the client wants.
    pub qos: Qos,
    /// When the newest values are wanted.
    pub retain_handling: RetainHandling,
}

/// When a SUBSCRIBE brings retained messages, which in this service are the vehicles' newest values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    /// Always; in 3.1.1 the only way.
    Always,
    /// If there was no such subscription before.
    IfNew,
    /// Never.
    Never,
}

/// The CONNECT packet (MQTT 3.1.1 §3.1, MQTT 5 §3.1). `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The protocol's version.
    pub version: Version,
    /// The client identifier; empty lets the server choose.
    pub client_id: String,
    /// Whether to begin without any earlier state (3.1.1: and to keep none).
    pub clean_start: bool,
    /// Seconds between two packets of the client at the most; 0 for no limit.
    pub keep_alive_seconds: u16,
    /// Seconds that the session outlives the connection; 0 not at all, [`u32::MAX`] for ever.
    pub session_expiry_seconds: u32,
    /// Deliveries of QoS 1 and 2 that the client takes at the same time.
    pub receive_max: NonZeroU16,
    /// Bytes that a packet to the client may have.
    pub packet_size_max: u32,
    /// The highest topic alias that the client knows; 0 for none.
    pub topic_alias_max: u16,
    /// Whether it has a Will that is to be retained. A Will has no other form here: none is ever published.
    pub retained_will: bool,
    /// Whether reason strings and user properties may be sent beside CONNACK, DISCONNECT and PUBLISH.
    pub problem_information: bool,
    /// The GCID, in this service.
    pub user_name: Option<String>,
    /// The token, in this service.
    pub password: Option<Bytes>,
    /// Enhanced authentication (MQTT 5 §4.12).
    pub auth: Option<Auth>,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_seconds", &self.keep_alive_seconds)
            .field("session_expiry_seconds", &self.session_expiry_seconds)
            .finish_non_exhaustive()
    }
}

/// A method and its data (MQTT 5 §3.1.2.11.9). `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The method's name.
    pub method: String,
    /// In this service, a token.
    pub data: Bytes,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A packet to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// The connection is accepted.
    ConnAck(Box<ConnAck>),
    /// The connection is refused.
    ConnRefused {
        /// Has the code.
        refusal: ConnectRefusal,
        /// The reason in words, without secrets (MQTT 5).
        why: String,
    },
    /// The answer to each filter of a SUBSCRIBE.
    SubAck {
        /// Of the SUBSCRIBE.
        packet_id: NonZeroU16,
        /// In the filters' order.
        granted: Vec<Result<Qos, SubscribeRefusal>>,
    },
    /// The answer to an UNSUBSCRIBE.
    UnsubAck {
        /// Of the UNSUBSCRIBE.
        packet_id: NonZeroU16,
        /// In the filters' order: whether there was such a subscription.
        existed: Vec<bool>,
    },
    /// The answer to a PINGREQ.
    PingResp,
    /// A vehicle's message.
    Publish(Publish),
    /// The second half of a delivery of QoS 2.
    PubRel {
        /// Of the delivery.
        packet_id: NonZeroU16,
        /// Whether there is such a delivery (MQTT 5 §3.6.2.1).
        known: bool,
    },
    /// The answer to a PUBREL for which there was no PUBLISH.
    PubComp {
        /// Of the PUBREL.
        packet_id: NonZeroU16,
    },
    /// Refuses a PUBLISH of QoS 1 or 2 (MQTT 5): not authorized.
    PublishRefused {
        /// Of the PUBLISH.
        packet_id: NonZeroU16,
        /// Decides between PUBACK and PUBREC.
        qos: Qos,
    },
    /// The fresh token is good (MQTT 5).
    AuthSuccess {
        /// The method's name, as it came.
        method: String,
    },
    /// The server ends the connection, and says why (MQTT 5).
    Disconnect(CloseReason),
}

/// What a CONNACK that accepts says; 3.1.1 has the first field only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAck {
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// The identifier that the server chose.
    pub assigned_client_id: Option<String>,
    /// How long the session is kept, where that differs from what was asked for.
    pub session_expiry_seconds: Option<u32>,
    /// Seconds between two packets of the client at the most, where that differs from what it asked for.
    pub keep_alive_seconds: Option<u16>,
    /// Whether subscriptions may be shared.
    pub shared_available: bool,
    /// Whether subscriptions bring retained messages.
    pub retain_available: bool,
    /// The method of authentication, as it came.
    pub auth_method: Option<String>,
}

/// A vehicle's message on its way; the topic is `{gcid}/{vin}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whose.
    pub vin: Vin,
    /// Whose vehicle that is.
    pub customer: Gcid,
    /// The finished payload.
    pub payload: Bytes,
    /// How it is sent.
    pub qos: Qos,
    /// `None` for QoS 0.
    pub packet_id: Option<NonZeroU16>,
    /// Whether it may have been sent before.
    pub duplicate: bool,
    /// Whether these are the newest values, whenever they came, and no event.
    pub snapshot: bool,
    /// Whether a subscription brings it.
    pub retain: bool,
    /// The client may have missed something before it.
    pub gap: Option<Gap>,
    /// Stands for the topic, or is made known with it.
    pub alias: Option<TopicAlias>,
    /// Of the subscriptions that matched.
    pub identifiers: Vec<NonZeroU32>,
}

impl Publish {
    /// A message of QoS 0.
    pub fn new(vin: Vin, customer: Gcid, payload: Bytes) -> Self {
        Self {
            vin,
            customer,
            payload,
            qos: Qos::AtMostOnce,
            packet_id: None,
            duplicate: false,
            snapshot: false,
            retain: false,
            gap: None,
            alias: None,
            identifiers: Vec::new(),
        }
    }
}

/// A time of which a client may have missed messages, by the vehicle's own clock: retention was over before they could
/// be delivered. Told to MQTT 5 as the user property `cardata-gap` with a value `from/to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Everything before this was delivered; `None` when that is not known any more, written as `..`.
    pub from: Option<Timestamp>,
    /// Everything after this is delivered.
    pub to: Timestamp,
}

impl Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some(from) => write!(f, "{from}/{}", self.to),
            None => write!(f, "../{}", self.to),
        }
    }
}

/// A number that stands for a topic (MQTT 5 §3.3.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicAlias {
    /// The number.
    pub number: NonZeroU16,
    /// Whether the client knows it already, so that the topic itself is left out.
    pub known: bool,
}
