//! Why a connection is refused or ends.

use thiserror::Error;

/// Why a CONNECT is refused (MQTT 3.1.1 §3.2.2.3, MQTT 5 §3.2.2.2; wire §2.3 for the choice between 4 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectRefusal {
    /// Neither 3.1.1 nor another version that this server speaks.
    #[error("unacceptable protocol version")]
    UnacceptableProtocolVersion,
    /// An empty client identifier with a session that should be kept.
    #[error("identifier rejected")]
    IdentifierRejected,
    /// The server can't look the token up right now.
    #[error("server unavailable")]
    ServerUnavailable,
    /// The token is expired, malformed or wrong: the client should refresh, or its user log in again.
    #[error("bad user name or password")]
    BadUserNameOrPassword,
    /// The token is good, but not for this: no streaming scope, another customer's user name, or too many connections.
    #[error("not authorized")]
    NotAuthorized,
    /// A method of authentication that this service does not have.
    #[error("bad authentication method")]
    BadAuthenticationMethod,
    /// Too many CONNECTs came from where this one comes from: the client should wait before the next one.
    #[error("connection rate exceeded")]
    ConnectionRateExceeded,
    /// The CONNECT can't be read (MQTT 5).
    #[error("malformed packet")]
    Malformed,
    /// The CONNECT says what it may not (MQTT 5).
    #[error("protocol error")]
    ProtocolError,
    /// The CONNECT is longer than allowed (MQTT 5).
    #[error("packet too large")]
    TooLarge,
    /// A retained Will, where nothing is retained (MQTT 5).
    #[error("retain not supported")]
    RetainNotSupported,
}

impl ConnectRefusal {
    /// The CONNACK reason code of MQTT 5.
    pub fn reason_code(self) -> u8 {
        match self {
            Self::UnacceptableProtocolVersion => 0x84,
            Self::IdentifierRejected => 0x85,
            Self::ServerUnavailable => 0x88,
            Self::BadUserNameOrPassword => 0x86,
            Self::NotAuthorized => 0x87,
            Self::BadAuthenticationMethod => 0x8C,
            // Not 0x9F, which names it better: clients of the real service wait a minute after 0x97 (wire §2.3).
            Self::ConnectionRateExceeded => 0x97,
            Self::Malformed => 0x81,
            Self::ProtocolError => 0x82,
            Self::TooLarge => 0x95,
            Self::RetainNotSupported => 0x9A,
        }
    }

    /// The CONNACK return code of MQTT 3.1.1; `None` where it has none, and the connection ends without a CONNACK.
    /// [MQTT-3.1.4-1] [MQTT-3.2.2-6]
    pub fn return_code(self) -> Option<u8> {
        match self {
            Self::UnacceptableProtocolVersion => Some(1),
            Self::IdentifierRejected => Some(2),
            Self::ServerUnavailable | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword => Some(4),
            Self::NotAuthorized | Self::BadAuthenticationMethod => Some(5),
            Self::Malformed | Self::ProtocolError | Self::TooLarge | Self::RetainNotSupported => {
                None
            }
        }
    }
}

/// Why a filter of a SUBSCRIBE is refused; 3.1.1 has one code for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubscribeRefusal {
    /// It reaches beyond the customer's own vehicles.
    #[error("only topics {{gcid}}/{{vin}} of your own vehicles can be read")]
    NotAuthorized,
    /// It reaches beyond what a fleet reads.
    #[error(
        "a fleet reads +/+, {{gcid}}/+ or {{gcid}}/{{vin}} of customers who let it in; a bare # would name topics that no vehicle has"
    )]
    NotForFleets,
    /// A session that shares has one subscription.
    #[error(
        "a session reads for itself or shares one subscription, not both; use a connection for each"
    )]
    Mixed,
    /// The session has as many subscriptions as allowed.
    #[error("the session has as many subscriptions as allowed")]
    QuotaExceeded,
    /// A shared subscription.
    #[error("shared subscriptions are for third parties that read for all of their customers")]
    SharedNotSupported,
}

impl SubscribeRefusal {
    /// The SUBACK reason code of MQTT 5.
    pub fn reason_code(self) -> u8 {
        match self {
            Self::NotAuthorized | Self::NotForFleets => 0x87,
            // "Implementation specific error".
            Self::Mixed => 0x83,
            Self::QuotaExceeded => 0x97,
            Self::SharedNotSupported => 0x9E,
        }
    }
}

/// Why a client's message is refused, with or without the connection.
pub(crate) const PUBLISH_REFUSED: &str = "this service takes no messages from clients";

/// Why a connection ended. `Display` is one word for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The client said good-bye.
    #[error("disconnected")]
    Disconnected,
    /// The client's end is gone without a word.
    #[error("connection_lost")]
    ConnectionLost,
    /// No CONNECT in time.
    #[error("connect_timeout")]
    ConnectTimeout,
    /// Nothing was heard for one and a half keep-alive times. [MQTT-3.1.2-24]
    #[error("keep_alive_timeout")]
    KeepAliveTimeout,
    /// Nothing was heard for as long as the profile allows silence.
    #[error("idle")]
    Idle,
    /// The CONNECT was refused.
    #[error("connect_refused")]
    ConnectRefused(ConnectRefusal),
    /// A packet that may not come at this point, or says what it may not: which, in words.
    #[error("protocol_error")]
    ProtocolError(&'static str),
    /// Bytes that are no packet: why not, in words.
    #[error("malformed_packet")]
    Malformed(&'static str),
    /// A topic filter that could match nothing.
    #[error("topic_filter_invalid")]
    TopicFilterInvalid,
    /// A topic alias, although none may be sent to this server.
    #[error("topic_alias_invalid")]
    TopicAliasInvalid,
    /// A packet that is longer than allowed.
    #[error("packet_too_large")]
    TooLarge,
    /// An answer is larger than what the client takes (MQTT 5).
    #[error("answer_too_large")]
    AnswerTooLarge,
    /// The client published.
    #[error("publish_refused")]
    PublishRefused,
    /// The token's time is over.
    #[error("token_expired")]
    TokenExpired,
    /// The token that came with AUTH is not good for this connection.
    #[error("reauthentication_failed")]
    Reauthentication,
    /// The same session connected anew. [MQTT-3.1.4-2]
    #[error("taken_over")]
    TakenOver,
    /// Another connection took this one's place, as the profile's limit says.
    #[error("evicted")]
    Evicted,
    /// The consent that the token rests on was ended.
    #[error("consent_ended")]
    ConsentEnded,
    /// The client reads so slowly that not even its acknowledgements get through.
    #[error("write_timeout")]
    WriteTimeout,
    /// The session can't be stored.
    #[error("store_failed")]
    StoreFailed,
    /// The server stops.
    #[error("server_stopping")]
    ServerStopping,
    /// The operator wants the connection cut, as a network would.
    #[error("cut")]
    Cut,
}

impl CloseReason {
    /// What a DISCONNECT from the server says (MQTT 5 §3.14.2.1): the reason code, and what to do in words. `None` where
    /// there is nobody to tell, or CONNACK has told.
    pub fn disconnect(self) -> Option<(u8, &'static str)> {
        Some(match self {
            Self::Disconnected
            | Self::ConnectionLost
            | Self::ConnectTimeout
            | Self::ConnectRefused(_)
            // It may be the CONNACK, which nothing may come before. [MQTT-3.14.0-1]
            | Self::AnswerTooLarge
            | Self::WriteTimeout
            | Self::Cut => return None,
            Self::KeepAliveTimeout => {
                (0x8D, "nothing was heard for one and a half keep-alive times")
            }
            Self::Idle => (0x8D, "nothing was heard for too long; use a shorter keep-alive time"),
            Self::ProtocolError(why) => (0x82, why),
            Self::Malformed(why) => (0x81, why),
            Self::TopicFilterInvalid => (0x8F, "a topic filter has not the form of one"),
            Self::TopicAliasInvalid => (0x94, "this server takes no topic aliases"),
            Self::TooLarge => (0x95, "the packet is too large"),
            Self::PublishRefused => (0x87, PUBLISH_REFUSED),
            Self::TokenExpired => (0x87, "the token expired; connect with a fresh one"),
            Self::Reauthentication => {
                (0x87, "the token sent with AUTH is not good for this connection")
            }
            Self::TakenOver => (0x8E, "the same session connected anew"),
            Self::Evicted => (0x8E, "another connection took this one's place"),
            Self::ConsentEnded => (0x87, "the consent was ended"),
            Self::StoreFailed => (0x80, "the server can't store the session"),
            Self::ServerStopping => (0x8B, "the server stops; connect again"),
        })
    }
}
