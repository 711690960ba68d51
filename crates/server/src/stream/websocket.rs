//! MQTT over WebSocket (MQTT 5 §6): the customers' sessions for clients that can open nothing else, such as web pages.
//!
//! The binary messages of a WebSocket are a stream of bytes here, since packets may share a message or span several
//! [MQTT-6.0.0-2]. Web pages of any origin may connect: what lets a client in is the token in its CONNECT, which no
//! browser sends by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::close_code::{NORMAL, PROTOCOL, SIZE, UNSUPPORTED};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bytes::{Buf as _, Bytes};
use cardata_mqtt::decode::OPENING_PACKET_MAX;
use cardata_mqtt::encode::PACKET_SIZE_MAX;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite;

use crate::attempts::Peer;
use crate::platform::Platform;
use crate::stream::connection;

/// What client and server agree to speak. [MQTT-6.0.0-3] [MQTT-6.0.0-4]
const SUBPROTOCOL: &str = "mqtt";
/// The first byte of a packet, and its length.
const HEADER_MAX: usize = 5;
/// Bytes of a message from a client whose CONNECT was not answered, and of one from a client that was let in. Neither
/// needs more than one packet in a message; the library keeps a message until it is whole.
const OPENING_MESSAGE_MAX: usize = OPENING_PACKET_MAX + HEADER_MAX;
const MESSAGE_MAX: usize = PACKET_SIZE_MAX as usize + HEADER_MAX;
/// Bytes of a message to a client: what fits in one TLS record.
const FRAME_MAX: usize = 16 * 1024;
/// Bytes that may wait in the library: a message of ours, and answers to pings.
const WAITING_MAX: usize = 2 * FRAME_MAX;
/// Bytes that are read at once; each connection keeps a buffer of this size.
const READ_CHUNK: usize = 1024;

/// `/mqtt`.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    // HTTP/1.1 asks with GET, HTTP/2 with CONNECT (RFC 8441).
    Router::new().route("/mqtt", any(upgrade))
}

async fn upgrade(
    State(platform): State<Arc<Platform>>,
    peer: Peer,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request = match request {
        Ok(request) => request.protocols([SUBPROTOCOL]),
        Err(rejection) => return refuse("no_websocket", rejection.into_response()),
    };
    if request.selected_protocol().is_none() {
        let why = "MQTT is spoken here: offer the WebSocket subprotocol `mqtt`\n";
        return refuse("subprotocol", (StatusCode::BAD_REQUEST, why).into_response());
    }
    let Some(place) = platform.door.enter(peer, platform.clock.now()) else {
        let why = "there are too many connections, or they come too often; wait a minute\n";
        let answer = (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], why);
        return refuse("no_room", answer.into_response());
    };
    request
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .read_buffer_size(READ_CHUNK)
        .write_buffer_size(0)
        .max_write_buffer_size(WAITING_MAX)
        .on_upgrade(async move |socket| {
            let (shared, stopping) = (platform.clone(), platform.tasks.stopping());
            platform.tasks.spawn("mqtt_connection", async move {
                let _place = place;
                connection::serve(shared, Bytestream::new(socket), peer, stopping).await;
            });
        })
}

fn refuse(reason: &'static str, answer: Response) -> Response {
    metrics::counter!("cardata_websocket_refused_total", "reason" => reason).increment(1);
    answer
}

/// The bytes of a WebSocket's binary messages.
struct Bytestream {
    socket: WebSocket,
    /// What is left of the latest message.
    unread: Bytes,
    /// Whether the client has got anything, as it does when its CONNECT was judged.
    answered: bool,
    farewell: Farewell,
}

/// How far the closing handshake is.
#[derive(Debug, Clone, Copy)]
enum Farewell {
    /// To be sent with this code and reason.
    Due(CloseCode, &'static str),
    Sent,
}

impl Bytestream {
    fn new(socket: WebSocket) -> Self {
        Self { socket, unread: Bytes::new(), answered: false, farewell: Farewell::Due(NORMAL, "") }
    }

    /// Ends the stream since the client broke a rule, which the closing handshake will name.
    fn violated(&mut self, violation: &Violation) -> io::Error {
        let (label, code, reason) = violation.words();
        metrics::counter!("cardata_websocket_violations_total", "rule" => label).increment(1);
        self.farewell = Farewell::Due(code, reason);
        io::Error::new(io::ErrorKind::InvalidData, reason)
    }
}

/// What a client may not do.
enum Violation {
    /// [MQTT-6.0.0-1]
    Text,
    TooLarge,
    Protocol,
}

impl Violation {
    /// The metric's label, the code of the closing handshake, and its reason.
    fn words(&self) -> (&'static str, CloseCode, &'static str) {
        match self {
            Self::Text => ("text", UNSUPPORTED, "MQTT comes in binary messages"),
            Self::TooLarge => ("too_large", SIZE, "the message is too large"),
            Self::Protocol => ("protocol", PROTOCOL, "the WebSocket protocol was broken"),
        }
    }
}

/// What a client did to make reading fail; `None` when it is gone.
fn violation(error: axum::Error) -> Option<Violation> {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error.into_inner().downcast_ref()? {
        tungstenite::Error::Capacity(_) => Some(Violation::TooLarge),
        tungstenite::Error::Utf8(_) => Some(Violation::Text),
        tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(Violation::Protocol),
        _ => None,
    }
}

impl AsyncRead for Bytestream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    return Poll::Ready(Err(match violation(error) {
                        Some(violation) => self.violated(&violation),
                        None => io::ErrorKind::ConnectionReset.into(),
                    }));
                }
                None => return Poll::Ready(Ok(())),
            };
            match message {
                Message::Binary(bytes) if !self.answered && bytes.len() > OPENING_MESSAGE_MAX => {
                    return Poll::Ready(Err(self.violated(&Violation::TooLarge)));
                }
                Message::Binary(bytes) => self.unread = bytes,
                Message::Text(_) => return Poll::Ready(Err(self.violated(&Violation::Text))),
                // The library answers a ping and a farewell itself.
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
            }
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let bytes = &bytes[..bytes.len().min(FRAME_MAX)];
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        self.answered = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    /// Says good-bye and waits until the client has done so, too: what was sent before would be lost if the connection
    /// ended while bytes of the client are unread.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Farewell::Due(code, reason) = self.farewell {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
            self.farewell = Farewell::Sent;
            let message = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            // It fails when the client was the first to say good-bye; the library has answered it.
            let _ = Pin::new(&mut self.socket).start_send(message);
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(io::Error::other)?;
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(cx)) {}
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
