//! Accepts connections; each handshake in a task of its own, so that a silent peer delays nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::attempts::Peer;
use crate::door::Door;
use crate::platform::Platform;
use crate::socket;
use crate::tasks::Stopping;

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes at the same time; further peers wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 512;
/// How long to wait after the system refused to accept, for instance because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The rest of a connection after its handshake.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What goes on in a connection after its handshake.
pub(crate) type Serve = fn(Arc<Platform>, TlsStream<TcpStream>, Peer, Stopping) -> Serving;

/// Accepts TLS connections on `listener` until the server stops, as far as `door` lets them in, and lets `serve` do the
/// rest of each.
pub(crate) async fn run(
    platform: Arc<Platform>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    door: Arc<Door>,
    serve: Serve,
) {
    let mut stopping = platform.tasks.stopping();
    let acceptor = TlsAcceptor::from(tls);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let permit = tokio::select! {
            () = stopping.wait() => return,
            permit = handshakes.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stopping.wait() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let peer = Peer::new(address.ip());
                let Some(place) = door.enter(peer, platform.clock.now()) else { continue };
                let (shared, acceptor, mut stopping) =
                    (platform.clone(), acceptor.clone(), platform.tasks.stopping());
                platform.tasks.spawn("mqtt_connection", async move {
                    let _place = place;
                    // Boxed, so that the task does not keep room for a handshake as long as it lives.
                    let handshake = Box::pin(handshake(acceptor, stream, &mut stopping));
                    if let Some(stream) = handshake.await {
                        drop(permit);
                        serve(shared, stream, peer, stopping).await;
                    }
                });
            }
            Err(error) => {
                metrics::counter!("cardata_mqtt_accept_errors_total").increment(1);
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    stopping: &mut Stopping,
) -> Option<TlsStream<TcpStream>> {
    socket::prepare(&stream);
    let accepted = tokio::select! {
        () = stopping.wait() => return None,
        accepted = timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)) => accepted,
    };
    let outcome = match accepted {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            "failed"
        }
        Err(_) => "timeout",
    };
    metrics::counter!("cardata_mqtt_handshakes_failed_total", "outcome" => outcome).increment(1);
    None
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustls::crypto::aws_lc_rs;
    use rustls::server::ResolvesServerCertUsingSni;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;
    use crate::door::Limits;
    use crate::test_platform::World;

    /// A listener whose handshakes all fail, as it has no certificate.
    async fn listen(world: &World, door: Door) -> SocketAddr {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let tls = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let tls = tls.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let platform = world.platform.clone();
        let listening =
            run(platform, listener, Arc::new(tls), Arc::new(door), |_, _, _, _| unreachable!());
        world.platform.tasks.spawn("test", listening);
        address
    }

    async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Whether a peer at `from` that does not speak TLS is told so; one that is not let in is told nothing.
    async fn is_answered(from: [u8; 4], to: SocketAddr) -> bool {
        let mut stream = connect(from, to).await;
        // The server may have closed already.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        let _ = ended.expect("the server ends the connection");
        !answer.is_empty()
    }

    #[tokio::test]
    async fn no_handshake_is_begun_with_an_address_that_connects_far_too_often() {
        let world = World::new().await;
        let door = Door::new("test", Limits { connects_per_minute: 1, ..Limits::NONE });
        let to = listen(&world, door).await;
        for _ in 0..4 {
            assert!(is_answered([127, 0, 0, 1], to).await);
        }
        assert!(!is_answered([127, 0, 0, 1], to).await);
        assert!(is_answered([127, 0, 0, 2], to).await);
        world.pass(60);
        assert!(is_answered([127, 0, 0, 1], to).await);
    }

    #[tokio::test]
    async fn one_address_has_its_share_of_the_connections_and_no_more() {
        let world = World::new().await;
        let limits = Limits { connections_max: 3, connections_each_max: 2, ..Limits::NONE };
        let to = listen(&world, Door::new("test", limits)).await;
        let one = connect([127, 0, 0, 1], to).await;
        let _other = connect([127, 0, 0, 1], to).await;
        assert!(!is_answered([127, 0, 0, 1], to).await);
        assert!(is_answered([127, 0, 0, 2], to).await);
        let _third = connect([127, 0, 0, 2], to).await;
        assert!(!is_answered([127, 0, 0, 3], to).await);
        drop(one);
        let again = async { while !is_answered([127, 0, 0, 1], to).await {} };
        timeout(Duration::from_secs(20), again).await.unwrap();
    }
}
