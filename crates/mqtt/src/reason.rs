//! Why a connection is refused or ends.

use thiserror::Error;

/// Why a CONNECT is refused, with its return code (MQTT 3.1.1 §3.2.2.3; contract §2.3 for the choice between 4 and 5).
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
}

impl ConnectRefusal {
    /// The CONNACK return code.
    pub fn return_code(self) -> u8 {
        match self {
            Self::UnacceptableProtocolVersion => 1,
            Self::IdentifierRejected => 2,
            Self::ServerUnavailable => 3,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized => 5,
        }
    }
}

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
    /// The CONNECT was refused.
    #[error("connect_refused")]
    ConnectRefused(ConnectRefusal),
    /// A packet that may not come at this point.
    #[error("protocol_error")]
    ProtocolError,
    /// Bytes that are no packet.
    #[error("malformed_packet")]
    Malformed,
    /// The client published.
    #[error("publish_refused")]
    PublishRefused,
    /// The token's time is over.
    #[error("token_expired")]
    TokenExpired,
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
}
