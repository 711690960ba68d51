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

use crate::platform::Platform;
use crate::tasks::Stopping;

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes at the same time; further peers wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 512;
/// How long to wait after the system refused to accept, for instance because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What goes on in a connection after its handshake.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Accepts TLS connections on `listener` until the server stops, and lets `serve` do the rest of each.
pub(crate) async fn run(
    platform: Arc<Platform>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    serve: fn(Arc<Platform>, TlsStream<TcpStream>, Stopping) -> Serving,
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
            Ok((stream, _)) => {
                let (shared, acceptor, mut stopping) =
                    (platform.clone(), acceptor.clone(), platform.tasks.stopping());
                platform.tasks.spawn("mqtt_connection", async move {
                    if let Some(stream) = handshake(acceptor, stream, &mut stopping).await {
                        drop(permit);
                        serve(shared, stream, stopping).await;
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
    // Small packets must leave at once; without this they wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
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
