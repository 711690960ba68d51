//! What is set on every connection that is accepted.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// After so long without a byte the system asks whether the peer is still there, so often and at this interval, and then
/// ends the connection. MQTT's own keep-alive is the client's choice and may be none: a peer that lost its power would
/// stay for ever.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(2))
    .with_interval(Duration::from_secs(30))
    .with_retries(4);

/// Makes `stream` fit for small packets and long silence.
pub(crate) fn prepare(stream: &TcpStream) {
    // What the system refuses here leaves a connection that works, if less well.
    // Small packets must leave at once; without this they wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream);
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_mins(2));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    }
}
