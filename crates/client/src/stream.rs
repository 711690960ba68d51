//! The stream (wire §2): MQTT 5 over TLS, as a customer, with the id token as the password.
//!
//! One connection and no more: when to come back, and with which token, is the caller's business.

use std::fmt;
use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{
    Codec, Connect, Disconnect, DisconnectReasonCode, Packet, PublishAck, PublishAckReason,
    RetainHandling, Subscribe, SubscriptionOptions,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::Secret;

/// Where the stream is, and as whom to read it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The server's name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whose certificates are good.
    pub tls: Arc<ClientConfig>,
    /// The customer's id.
    pub gcid: String,
    /// The id token.
    pub token: Secret,
    /// The MQTT client id, by which the server knows the session again.
    pub client_id: String,
}

/// Whether the server is to go on with a session that it keeps for this client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Begin anew: what an earlier session missed is forgotten.
    New,
    /// Go on, if there is one; else begin anew.
    Resumed,
}

/// A message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Customer and VIN.
    pub topic: String,
    /// The quality of service of its delivery.
    pub qos: u8,
    /// Whether it tells what was known before the subscription.
    pub retain: bool,
    /// Whether it may have come before.
    pub duplicate: bool,
    /// An event in the stream's form.
    pub payload: Bytes,
}

/// Why there is no stream, or no more of it.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The host is no name that a certificate can have.
    #[error("`{0}` is no host name")]
    Host(String),
    /// No connection.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A connection without TLS, or with a certificate that nobody vouches for.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The server doesn't let this customer in.
    #[error("the server refused the connection ({0})")]
    Refused(Reason),
    /// The server doesn't let the customer read.
    #[error("the server refused the subscription ({0})")]
    NotSubscribed(Reason),
    /// The server ended the connection, and said why.
    #[error("the server ended the connection ({0})")]
    Ended(Reason),
    /// The connection is lost, or was closed without a word.
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    /// Nothing came, not even an answer to the question whether the server is there.
    #[error("the server did not answer in {} s", .0.as_secs())]
    Silent(Duration),
    /// What came is no packet, or not one that was due.
    #[error("the server does not speak MQTT 5: {0}")]
    Strange(String),
}

/// The code of a refusal (MQTT 5 §2.4), with the server's words where it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Such as 0x87.
    pub code: u8,
    /// For people; may be empty.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl StreamError {
    /// Whether only another token helps: bad user name or password, or not authorized.
    pub fn needs_token(&self) -> bool {
        match self {
            Self::Refused(reason) | Self::Ended(reason) => [0x86, 0x87].contains(&reason.code),
            _ => false,
        }
    }

    /// Whether trying again is of no use, whatever the token.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Host(_) | Self::NotSubscribed(_) | Self::Strange(_) => true,
            // A certificate or an alert; other faults are those of the connection below.
            Self::Tls(error) => error.kind() == io::ErrorKind::InvalidData,
            // Another program has taken the client id; coming back would take it from that one.
            Self::Ended(reason) => reason.code == DisconnectReasonCode::SessionTakenOver as u8,
            _ => false,
        }
    }
}

/// How long each step of connecting may take.
const STEP_PATIENCE: Duration = Duration::from_secs(20);
/// After so long a silence the server is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);
/// The keep-alive time that the server is told; above [`PING_AFTER`].
const KEEP_ALIVE_SECONDS: u16 = 30;
/// How long the server is to keep the session while the client is away.
const SESSION_EXPIRY_SECONDS: u32 = 3600;
/// Bytes of the longest packet that is taken; events have at most 1 MiB.
const PACKET_LENGTH_MAX: u32 = 2 << 20;
/// Messages that the server may send ahead of their acknowledgement.
const RECEIVE_MAX: u16 = 200;
const SUBSCRIPTION: NonZeroU16 = NonZeroU16::MIN;

/// An open stream of all of a customer's vehicles.
pub struct Stream {
    tls: TlsStream<TcpStream>,
    codec: Codec,
    input: BytesMut,
    output: BytesMut,
    /// The acknowledgement of the message that was given out last.
    due: Option<Packet>,
    asked: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// Connects and subscribes to all of the customer's vehicles with QoS 1.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn open(account: &Account, session: Session) -> Result<Self, StreamError> {
        let mut stream = Self::connect(account).await?;
        let connect = Connect {
            clean_start: session == Session::New,
            keep_alive: KEEP_ALIVE_SECONDS,
            session_expiry_interval_secs: SESSION_EXPIRY_SECONDS,
            receive_max: NonZeroU16::new(RECEIVE_MAX),
            max_packet_size: NonZeroU32::new(PACKET_LENGTH_MAX),
            request_problem_info: true,
            client_id: account.client_id.clone().into(),
            username: Some(account.gcid.clone().into()),
            password: Some(Bytes::copy_from_slice(account.token.expose().as_bytes())),
            ..Connect::default()
        };
        stream.send(connect.into()).await?;
        let Packet::ConnectAck(ack) = stream.packet_in(STEP_PATIENCE).await? else {
            return Err(StreamError::Strange("no CONNACK came".to_owned()));
        };
        let reason = reason(ack.reason_code as u8, ack.reason_string);
        if reason.code != 0 {
            return Err(StreamError::Refused(reason));
        }
        if !ack.session_present {
            stream.subscribe(&account.gcid).await?;
        }
        Ok(stream)
    }

    async fn connect(account: &Account) -> Result<Self, StreamError> {
        let name = ServerName::try_from(account.host.clone())
            .map_err(|_| StreamError::Host(account.host.clone()))?;
        let unreachable = |source| StreamError::Unreachable {
            address: format!("{}:{}", account.host, account.port),
            source,
        };
        let tcp = TcpStream::connect((account.host.as_str(), account.port));
        let tcp = step(tcp).await?.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let connector = TlsConnector::from(account.tls.clone());
        // Boxed, as handshakes are large and rare.
        let handshake = Box::pin(connector.connect(name, tcp));
        let tls = step(handshake).await?.map_err(StreamError::Tls)?;
        let codec = Codec::new(PACKET_LENGTH_MAX, 0);
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Ok(Self { tls, codec, input, output, due: None, asked: false })
    }

    async fn subscribe(&mut self, gcid: &str) -> Result<(), StreamError> {
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            retain_as_published: true,
            retain_handling: RetainHandling::AtSubscribe,
            ..SubscriptionOptions::default()
        };
        let subscribe = Subscribe {
            packet_id: SUBSCRIPTION,
            id: None,
            user_properties: Vec::new(),
            topic_filters: vec![(format!("{gcid}/+").into(), options)],
        };
        self.send(subscribe.into()).await?;
        let Packet::SubscribeAck(ack) = self.packet_in(STEP_PATIENCE).await? else {
            return Err(StreamError::Strange("no SUBACK came".to_owned()));
        };
        let code = ack.status.first().map_or(0x80, |status| *status as u8);
        if code >= 0x80 {
            return Err(StreamError::NotSubscribed(reason(code, ack.reason_string)));
        }
        Ok(())
    }

    /// The next message. The one before is acknowledged first: whoever asks for more has taken it.
    ///
    /// Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// [`StreamError`] when the stream has ended.
    pub async fn next(&mut self) -> Result<Message, StreamError> {
        match self.due.take() {
            Some(ack) => self.send(ack).await?,
            None => self.write().await?,
        }
        loop {
            let packet = match self.packet_in(PING_AFTER).await {
                Err(StreamError::Silent(_)) if !self.asked => {
                    self.asked = true;
                    self.send(Packet::PingRequest).await?;
                    continue;
                }
                other => other?,
            };
            self.asked = false;
            match packet {
                Packet::Publish(publish) => return Ok(self.taken(*publish)),
                Packet::PingResponse => {}
                other => {
                    return Err(StreamError::Strange(format!(
                        "a packet of type {} came",
                        other.packet_type() >> 4
                    )));
                }
            }
        }
    }

    /// Says good-bye. `keep` says whether the server is to keep the session for [`Session::Resumed`].
    pub async fn close(mut self, keep: Session) {
        let disconnect = Disconnect {
            reason_code: DisconnectReasonCode::NormalDisconnection,
            session_expiry_interval_secs: (keep == Session::New).then_some(0),
            server_reference: None,
            reason_string: None,
            user_properties: Vec::new(),
        };
        let good_bye = async {
            if let Some(ack) = self.due.take() {
                self.send(ack).await?;
            }
            self.send(Packet::Disconnect(disconnect)).await?;
            self.tls.shutdown().await.map_err(StreamError::Lost)
        };
        // Whether the server still hears it changes nothing for this side.
        let _ = timeout(STEP_PATIENCE, good_bye).await;
    }

    fn taken(&mut self, publish: Publish) -> Message {
        self.due = publish.packet_id.map(|packet_id| {
            Packet::PublishAck(PublishAck {
                packet_id,
                reason_code: PublishAckReason::Success,
                properties: Vec::new(),
                reason_string: None,
            })
        });
        Message {
            topic: publish.topic.to_string(),
            qos: publish.qos.value(),
            retain: publish.retain,
            duplicate: publish.dup,
            payload: publish.payload,
        }
    }

    /// The next packet, unless it is good-bye.
    async fn packet_in(&mut self, patience: Duration) -> Result<Packet, StreamError> {
        match timeout(patience, self.packet())
            .await
            .map_err(|_| StreamError::Silent(patience))??
        {
            Packet::Disconnect(end) => {
                Err(StreamError::Ended(reason(end.reason_code as u8, end.reason_string)))
            }
            packet => Ok(packet),
        }
    }

    async fn packet(&mut self) -> Result<Packet, StreamError> {
        const CHUNK: usize = 16 << 10;
        loop {
            let strange = |error: DecodeError| StreamError::Strange(format!("{error:?}"));
            if let Some((packet, _)) = self.codec.decode(&mut self.input).map_err(strange)? {
                return Ok(packet);
            }
            self.input.reserve(CHUNK);
            if self.tls.read_buf(&mut self.input).await.map_err(StreamError::Lost)? == 0 {
                return Err(StreamError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    async fn send(&mut self, packet: Packet) -> Result<(), StreamError> {
        self.codec
            .encode(packet, &mut self.output)
            .map_err(|error| StreamError::Strange(format!("{error:?}")))?;
        self.write().await
    }

    /// Writes what waits. What is not written when this is dropped goes out with the next packet.
    async fn write(&mut self) -> Result<(), StreamError> {
        while !self.output.is_empty() {
            self.tls.write_buf(&mut self.output).await.map_err(StreamError::Lost)?;
        }
        self.tls.flush().await.map_err(StreamError::Lost)
    }
}

fn reason(code: u8, text: Option<impl fmt::Display>) -> Reason {
    Reason { code, text: text.map(|text| text.to_string()).unwrap_or_default() }
}

async fn step<T>(step: impl Future<Output = T>) -> Result<T, StreamError> {
    timeout(STEP_PATIENCE, step).await.map_err(|_| StreamError::Silent(STEP_PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: u8) -> StreamError {
        StreamError::Ended(Reason { code, text: "the token expired".to_owned() })
    }

    #[test]
    fn what_helps_is_told_by_the_code() {
        assert!(ended(0x87).needs_token() && !ended(0x87).is_final());
        assert!(ended(0x8e).is_final() && !ended(0x8e).needs_token());
        assert!(!ended(0x8b).is_final() && !ended(0x8b).needs_token());
        let tls = |kind: io::ErrorKind| StreamError::Tls(kind.into());
        assert!(tls(io::ErrorKind::InvalidData).is_final());
        assert!(!tls(io::ErrorKind::UnexpectedEof).is_final());
    }

    #[test]
    fn a_reason_has_its_code_and_the_servers_words() {
        assert_eq!(
            ended(0x87).to_string(),
            "the server ended the connection (0x87: the token expired)"
        );
        assert_eq!(Reason { code: 0, text: String::new() }.to_string(), "0x00");
    }
}
