//! Starts everything that listens, and stops it again without losing anything.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use cardata_domain::consent::EndReason;
use cardata_domain::ledger::Actor;
use cardata_store::journal::Retention;
use jiff::{SignedDuration, Timestamp};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, sleep};
use tower_http::timeout::TimeoutLayer;

use crate::crowd::{Crowd, Doorkeeper};
use crate::endings::EndError;
use crate::platform::Platform;
use crate::stream::listener::{self, Serve};
use crate::stream::{connection, websocket};
use crate::tasks::Stopping;
use crate::tls::Tls;
use crate::{admin, api, charging, docs, endings, gcdm, ingest, portal};

/// Sockets that are bound already, so that their ports are known before anything is told about them.
pub struct Sockets {
    /// HTTPS; more than one where the real service's port is served, too.
    pub http: Vec<std::net::TcpListener>,
    /// Customers' MQTT over TLS.
    pub mqtt: std::net::TcpListener,
    /// Vehicles' MQTT over TLS with client certificates.
    pub vehicles_mqtt: std::net::TcpListener,
    /// The operator's door, plain HTTP; must be reachable from this machine only.
    pub admin: std::net::TcpListener,
}

/// A server that runs.
pub struct Server {
    platform: Arc<Platform>,
    http: Vec<Handle<SocketAddr>>,
}

/// How often cursors of persistent sessions are written.
const CURSOR_FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// How often is written what clients were sent.
const TALLY_INTERVAL: Duration = Duration::from_secs(1);
/// How often consents whose time is over are ended. Their tokens and streams end by themselves, at the very second.
const CONSENT_INTERVAL: Duration = Duration::from_secs(10);
/// How long the ledger keeps what is no record of consents: 90 days.
const LEDGER_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How often sessions whose time is over are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);
/// How long after a search for charging sessions the next one begins, at least and at most.
const CHARGING_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_mins(1);
/// Between the two, the search takes one part of so many of the time: what it costs is a step for each vehicle, however many
/// events that had.
const CHARGING_SHARE: u32 = 10;
/// How often a new list of revoked certificates is made when none is revoked.
const REVOCATION_LIST_INTERVAL: Duration = Duration::from_hours(24);
/// How often old events are dropped.
const RETENTION_INTERVAL: Duration = Duration::from_mins(1);
/// HTTPS connections at a time, in all and from one address. Streams are not among them.
const CONNECTIONS_MAX: usize = 4096;
const CONNECTIONS_EACH_MAX: usize = 256;
/// How long HTTP peers may take.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(30), request: Duration::from_mins(1) };
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 32;
/// How long open requests and connections may take to finish when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Starts all listeners.
///
/// # Errors
/// When a socket can't be used.
pub fn start(
    platform: Arc<Platform>,
    sockets: Sockets,
    tls: Tls,
    retention: Retention,
    metrics: PrometheusHandle,
) -> std::io::Result<Server> {
    let mut handles = Vec::new();
    let public = public_routes(platform.clone());
    let door = Doorkeeper(Crowd::new("https", CONNECTIONS_MAX, CONNECTIONS_EACH_MAX));
    for socket in sockets.http {
        socket.set_nonblocking(true)?;
        let handle = Handle::new();
        let acceptor =
            RustlsAcceptor::new(RustlsConfig::from_config(tls.http.clone())).acceptor(door.clone());
        let server = axum_server::from_tcp(socket)?.acceptor(acceptor);
        let serving = impatient(server, PATIENCE)
            .handle(handle.clone())
            .serve(public.clone().into_make_service_with_connect_info::<SocketAddr>());
        platform.tasks.spawn("https", async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the HTTPS listener failed");
            }
        });
        handles.push(handle);
    }

    sockets.admin.set_nonblocking(true)?;
    let handle = Handle::new();
    let serving =
        impatient(axum_server::from_tcp(sockets.admin)?, PATIENCE).handle(handle.clone()).serve(
            operator_routes(platform.clone(), metrics)
                .into_make_service_with_connect_info::<SocketAddr>(),
        );
    platform.tasks.spawn("operator", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the operator's listener failed");
        }
    });
    handles.push(handle);

    sockets.mqtt.set_nonblocking(true)?;
    let mqtt = tokio::net::TcpListener::from_std(sockets.mqtt)?;
    let customers: Serve = |platform, stream, peer, stopping| {
        Box::pin(connection::serve(platform, stream, peer, stopping))
    };
    let door = platform.door.clone();
    platform.tasks.spawn("mqtt", listener::run(platform.clone(), mqtt, tls.mqtt, door, customers));
    sockets.vehicles_mqtt.set_nonblocking(true)?;
    let vehicles_mqtt = tokio::net::TcpListener::from_std(sockets.vehicles_mqtt)?;
    let vehicles: Serve =
        |platform, stream, _, stopping| Box::pin(ingest::mqtt::serve(platform, stream, stopping));
    let door = platform.vehicles_door.clone();
    platform.tasks.spawn(
        "vehicles_mqtt",
        listener::run(platform.clone(), vehicles_mqtt, tls.vehicles_mqtt, door, vehicles),
    );
    let shared = platform.clone();
    let publish = move || publish_revoked(shared.clone());
    let publishing = periodically(platform.tasks.stopping(), REVOCATION_LIST_INTERVAL, publish);
    platform.tasks.spawn("revocation_list", publishing);
    let shared = platform.clone();
    let flush = move || flush_cursors(shared.clone());
    let flushing = periodically(platform.tasks.stopping(), CURSOR_FLUSH_INTERVAL, flush);
    platform.tasks.spawn("cursors", flushing);
    let shared = platform.clone();
    let tally = move || flush_tally(shared.clone());
    let tallying = periodically(platform.tasks.stopping(), TALLY_INTERVAL, tally);
    platform.tasks.spawn("tally", tallying);
    let shared = platform.clone();
    let end = move || end_expired(shared.clone());
    let ending = periodically(platform.tasks.stopping(), CONSENT_INTERVAL, end);
    platform.tasks.spawn("consents", ending);
    let shared = platform.clone();
    let expire = move || expire_sessions(shared.clone());
    let expiring = periodically(platform.tasks.stopping(), EXPIRY_INTERVAL, expire);
    platform.tasks.spawn("sessions", expiring);
    let shared = platform.clone();
    let cut = move || retain(shared.clone(), retention);
    let cutting = periodically(platform.tasks.stopping(), RETENTION_INTERVAL, cut);
    platform.tasks.spawn("retention", cutting);
    platform.tasks.spawn("charging", search_charging(platform.clone()));
    Ok(Server { platform, http: handles })
}

impl Server {
    /// Stops: takes no new connection, ends the open ones, writes every cursor, and syncs the journal.
    pub async fn stop(self) {
        for handle in &self.http {
            handle.graceful_shutdown(Some(STOP_PATIENCE));
        }
        self.platform.tasks.drain(STOP_PATIENCE + Duration::from_secs(1)).await;
        let journal = &self.platform.journal;
        if let Err(error) = journal.close().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the journal did not close cleanly"
            );
        }
        // After the journal: every event is synced now, so every acknowledgement can be written.
        if let Err(error) =
            self.platform.cursors.flush(&*self.platform.directory, journal.synced()).await
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the sessions' cursors were not written"
            );
        }
        flush_tally(self.platform.clone()).await;
        self.platform.directory.close().await;
    }
}

/// How long an HTTP peer may take before it is let go: one that is slow on purpose, or gone, must not hold its place for
/// good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of a request, also for the first or the next one to begin; a silent HTTP/2 peer is asked after this
    /// whether it is still there.
    pub(crate) head: Duration,
    /// For a request from its head to its answer; most of it is for the body of a slow peer.
    pub(crate) request: Duration,
}

pub(crate) fn impatient<A: axum_server::Address, Acc>(
    mut server: axum_server::Server<A, Acc>,
    patience: Patience,
) -> axum_server::Server<A, Acc> {
    let builder = server.http_builder();
    builder.http1().header_read_timeout(patience.head);
    builder
        .http2()
        .enable_connect_protocol()
        .keep_alive_interval(patience.head)
        .max_concurrent_streams(STREAMS_MAX);
    server.first_request_timeout(patience.head)
}

pub(crate) fn request_timeout(patience: Patience) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, patience.request)
}

fn public_routes(platform: Arc<Platform>) -> Router {
    gcdm::routes()
        .merge(portal::routes(platform.clone()))
        .merge(docs::routes(platform.clone()))
        .merge(ingest::routes())
        .merge(websocket::routes())
        .layer(request_timeout(PATIENCE))
        // Those see to both by themselves, since their clients read such answers as well.
        .merge(api::routes(&platform, PATIENCE.request))
        .with_state(platform)
        .layer(tower_http::catch_panic::CatchPanicLayer::new())
}

fn operator_routes(platform: Arc<Platform>, metrics: PrometheusHandle) -> Router {
    let rendered = get(move || async move {
        metrics.run_upkeep();
        metrics.render()
    });
    admin::routes()
        .route("/readyz", get(ready))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", rendered)
        .with_state(platform)
}

/// Whether the stores answer.
async fn ready(State(platform): State<Arc<Platform>>) -> impl IntoResponse {
    match platform.directory.signing_keys().await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the directory does not answer\n"),
    }
}

/// Does `work` at once and then at each `interval` after it was done, until the server stops.
async fn periodically<W: Future<Output = ()>>(
    mut stopping: Stopping,
    interval: Duration,
    work: impl Fn() -> W,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.wait() => return,
            _ = ticks.tick() => {}
        }
        work().await;
    }
}

/// Searches for charging sessions again and again, until the server stops, on threads for which no live event waits: of a
/// thousand active vehicles, it is a lot at once.
async fn search_charging(platform: Arc<Platform>) {
    let mut stopping = platform.tasks.stopping();
    loop {
        let begun_at = Instant::now();
        let searching = platform.catch_up.spawn(charging::search(platform.clone()));
        let is_behind = match searching.await.map_err(JoinError::try_into_panic) {
            Ok(is_behind) => is_behind,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // These threads are gone, since the server has stopped.
            Err(Err(_)) => return,
        };
        tokio::select! {
            () = stopping.wait() => return,
            () = sleep(pause_after_search(begun_at.elapsed(), is_behind)) => {}
        }
    }
}

/// How long to wait after a search that took so long, and is behind or not.
fn pause_after_search(took: Duration, is_behind: bool) -> Duration {
    let (shortest, longest) = (*CHARGING_INTERVAL.start(), *CHARGING_INTERVAL.end());
    if is_behind { shortest } else { (took * (CHARGING_SHARE - 1)).clamp(shortest, longest) }
}

/// Makes a new list of the vehicles' certificates that are revoked, before the last one is old.
async fn publish_revoked(platform: Arc<Platform>) {
    let now = platform.clock.now();
    if let Err(error) = platform.vehicle_certificates.publish(&*platform.directory, now).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "there is no new list of revoked certificates; the old one is kept");
    }
}

/// Writes cursors of sessions. The last time is [`Server::stop`]'s, after the journal was synced.
async fn flush_cursors(platform: Arc<Platform>) {
    let synced = platform.journal.synced();
    if let Err(error) = platform.cursors.flush(&*platform.directory, synced).await {
        metrics::counter!("cardata_cursor_flush_errors_total").increment(1);
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cursors were not written; the next flush tries again");
    }
}

/// Writes what clients were sent, and how often they asked. The last time is [`Server::stop`]'s.
async fn flush_tally(platform: Arc<Platform>) {
    if let Err(error) = platform.tally.flush(&*platform.directory).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "what clients were sent was not written; the next round tries again");
    }
    if let Err(error) = platform.quota.flush(&*platform.directory).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "how many requests there were was not written; the next round tries again"
        );
    }
}

/// Ends consents whose time is over, and drops old lines of the ledger.
async fn end_expired(platform: Arc<Platform>) {
    let now = platform.clock.now();
    let ended = async {
        let expired = platform.directory.expired_consents(now).await?;
        if !expired.is_empty() {
            let (why, actor) = (EndReason::Expired, Actor::Service);
            endings::end_consents(&platform, expired, why, actor).await?;
        }
        let before = now.checked_sub(LEDGER_KEPT).unwrap_or(Timestamp::MIN);
        platform.directory.prune_ledger(before).await?;
        Ok::<(), EndError>(())
    };
    if let Err(error) = ended.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "expired consents were not ended; the next round tries again");
    }
}

/// Ends sessions whose time is over.
async fn expire_sessions(platform: Arc<Platform>) {
    match platform.directory.remove_expired_sessions(platform.clock.now()).await {
        Ok(expired) => {
            for key in &expired {
                platform.cursors.forget(key);
            }
            metrics::counter!("cardata_mqtt_sessions_expired_total")
                .increment(expired.len() as u64);
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "expired sessions could not be removed; the next round tries again"
            );
        }
    }
}

/// Drops old events.
async fn retain(platform: Arc<Platform>, retention: Retention) {
    match platform.journal.retain(retention, platform.clock.now()).await {
        Ok(0) => {}
        Ok(events) => {
            metrics::counter!("cardata_journal_retired_events_total").increment(events);
            tracing::info!(events, "{events} events left the journal by age or size");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "old events could not be dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// What a peer that sends `bytes` and then nothing more is answered until its connection ends.
    async fn answer_to(address: SocketAddr, bytes: &str) -> String {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), peer.read_to_end(&mut answer));
        ended.await.expect("the server ends the connection").unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_search_that_took_long_is_followed_by_a_longer_pause() {
        let pause = |milliseconds, is_behind| {
            pause_after_search(Duration::from_millis(milliseconds), is_behind).as_millis()
        };
        assert_eq!(pause(10, false), 5_000);
        assert_eq!(pause(2_000, false), 18_000);
        assert_eq!(pause(100_000, false), 60_000);
        assert_eq!(pause(100_000, true), 5_000);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_finish_what_it_began_is_let_go() {
        let patience =
            Patience { head: Duration::from_millis(300), request: Duration::from_millis(300) };
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let routes = Router::new()
            .route("/", get(async |body: String| body))
            .layer(request_timeout(patience));
        let server = impatient(axum_server::from_tcp(socket).unwrap(), patience);
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(server.serve(routes.into_make_service()));

        assert_eq!(answer_to(address, "").await, "");
        assert_eq!(answer_to(address, "GET / HTTP/1.1\r\nHost: ").await, "");
        let whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert!(answer_to(address, whole).await.starts_with("HTTP/1.1 200"));
        let half_a_body = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
        assert!(answer_to(address, half_a_body).await.starts_with("HTTP/1.1 408"));
    }
}
