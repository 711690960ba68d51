//! Accepts connections; each handshake in a task of its own, so that a silent peer delays nobody.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::attempts::Peer;
use crate::door::Door;
use crate::platform::Platform;
use crate::socket;
use crate::tasks::Stopping;

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
    let handshakes = Arc::new(Handshakes::new(tls));
    loop {
        let accepted = tokio::select! {
            () = stopping.wait() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let peer = Peer::new(address.ip());
                let Some(place) = door.enter(peer, platform.clock.now()) else { continue };
                let (shared, handshakes, mut stopping) =
                    (platform.clone(), handshakes.clone(), platform.tasks.stopping());
                platform.tasks.spawn("mqtt_connection", async move {
                    let _place = place;
                    // Boxed to its end, so that the task has room neither for a handshake nor for what comes of it, as long
                    // as it lives.
                    let begun = Box::pin(async move {
                        let stream = tokio::select! {
                            () = stopping.wait() => None,
                            shaken = handshakes.shake(stream) => shaken,
                        };
                        stream.map(|stream| serve(shared, stream, peer, stopping))
                    });
                    let serving = begun.await;
                    if let Some(serving) = serving {
                        serving.await;
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

/// The handshakes of a listener: so many at a time that those which are begun also end in time when all clients come back
/// at once. Whoever is silent or slow has no place among them, and keeps nobody waiting.
struct Handshakes {
    acceptor: TlsAcceptor,
    places: Semaphore,
    /// How long a peer may take for its first byte, and for the rest.
    patience: Duration,
    /// How long it may have one of the places meanwhile; most need a small part of it.
    place_patience: Duration,
}

/// Why there is no connection.
enum Failed {
    /// The peer is gone, or speaks no TLS that is spoken here.
    Tls(io::Error),
    TooSlow,
}

impl From<Elapsed> for Failed {
    fn from(_: Elapsed) -> Self {
        Self::TooSlow
    }
}

impl Handshakes {
    fn new(tls: Arc<ServerConfig>) -> Self {
        Self {
            acceptor: TlsAcceptor::from(tls),
            places: Semaphore::new(512),
            patience: Duration::from_secs(10),
            place_patience: Duration::from_secs(1),
        }
    }

    async fn shake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        socket::prepare(&stream);
        let outcome = match self.try_to_shake(stream).await {
            Ok(stream) => return Some(stream),
            Err(Failed::Tls(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                "failed"
            }
            Err(Failed::TooSlow) => "timeout",
        };
        metrics::counter!("cardata_mqtt_handshakes_failed_total", "outcome" => outcome)
            .increment(1);
        None
    }

    async fn try_to_shake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failed> {
        timeout(self.patience, stream.readable()).await?.map_err(Failed::Tls)?;
        let place = self.places.acquire().await;
        let mut shaking = pin!(self.acceptor.accept(stream));
        if let Ok(shaken) = timeout(self.place_patience, &mut shaking).await {
            return shaken.map_err(Failed::Tls);
        }
        drop(place);
        timeout(self.patience, shaking).await?.map_err(Failed::Tls)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use rustls::crypto::aws_lc_rs;
    use rustls::server::ResolvesServerCertUsingSni;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::task::JoinSet;

    use super::*;
    use crate::door::Limits;
    use crate::test_platform::World;

    /// TLS whose handshakes all fail, as it has no certificate.
    fn tls() -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let tls = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(tls.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new())))
    }

    async fn listen(world: &World, door: Door) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let platform = world.platform.clone();
        let listening = run(platform, listener, tls(), Arc::new(door), |_, _, _, _| unreachable!());
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
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
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
        let metrics = recorder.handle().render();
        assert!(metrics.contains("mqtt_rate_limited_total{at=\"accept\"} 1"), "{metrics}");
    }

    #[tokio::test]
    async fn one_address_has_its_share_of_the_connections_and_no_more() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let world = World::new().await;
        let limits = Limits { connections_max: 3, connections_each_max: 2, ..Limits::NONE };
        let to = listen(&world, Door::new("test", limits)).await;
        let one = connect([127, 0, 0, 1], to).await;
        let _other = connect([127, 0, 0, 1], to).await;
        assert!(!is_answered([127, 0, 0, 1], to).await);
        assert!(is_answered([127, 0, 0, 2], to).await);
        let _third = connect([127, 0, 0, 2], to).await;
        assert!(!is_answered([127, 0, 0, 3], to).await);
        let metrics = recorder.handle().render();
        assert!(metrics.contains("connections_refused_total{listener=\"test\"} 2"), "{metrics}");
        drop(one);
        let again = async { while !is_answered([127, 0, 0, 1], to).await {} };
        timeout(Duration::from_secs(20), again).await.unwrap();
    }

    #[tokio::test]
    async fn peers_that_do_not_finish_their_handshake_keep_nobody_waiting_and_are_let_go() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let handshakes = Arc::new(Handshakes {
            places: Semaphore::new(1),
            patience: Duration::from_secs(2),
            place_patience: Duration::from_millis(50),
            ..Handshakes::new(tls())
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut shaking = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handshakes = handshakes.clone();
                shaking.spawn(async move { handshakes.shake(stream).await });
            }
        });

        let mut silent = connect([127, 0, 0, 1], to).await;
        let mut dripping = connect([127, 0, 0, 1], to).await;
        // The first byte of a handshake, and of the length that would follow.
        dripping.write_all(&[0x16, 3]).await.unwrap();
        assert!(is_answered([127, 0, 0, 1], to).await);
        for slow in [&mut silent, &mut dripping] {
            let mut nothing = [0; 1];
            let ended = timeout(Duration::from_millis(10), slow.read(&mut nothing)).await;
            assert!(ended.is_err(), "they had to wait for their end, and nobody else for them");
        }
        for slow in [&mut silent, &mut dripping] {
            let ended = timeout(Duration::from_secs(20), slow.read_to_end(&mut Vec::new())).await;
            let _ = ended.expect("the server ends the connection");
        }
        let metrics = recorder.handle().render();
        assert!(metrics.contains("handshakes_failed_total{outcome=\"timeout\"} 2"), "{metrics}");
        assert!(metrics.contains("handshakes_failed_total{outcome=\"failed\"} 1"), "{metrics}");
    }
}
