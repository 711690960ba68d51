//! What the client makes of a server's faults, from a server that does nothing but show them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use cardata_client::Secret;
use cardata_client::http::Http;
use cardata_client::login::{Login, LoginError, RefreshError, SCOPE, StartError, Tokens};
use cardata_client::operator::{IngestError, Operator};
use cardata_client::ready_file::ReadyFile;
use cardata_client::rest::{Rest, RestError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const CODES: &str = r#"{"user_code":"qYjQrQip","device_code":"d","verification_uri":"https://x/link","interval":1,"expires_in":300}"#;
const TOKENS: &str = r#"{"gcid":"g","token_type":"Bearer","expires_in":3599,"access_token":"a","refresh_token":"r","scope":"openid","id_token":"i"}"#;
const REFRESHED: &str =
    r#"{"token_type":"Bearer","expires_in":3600,"access_token":"a2","refresh_token":"r2"}"#;
const GATEWAY_FAULT: &str = r#"{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"keymanagement.service.invalid_access_token"}}}"#;

/// A server that runs until the test ends.
struct Mock {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl Mock {
    async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, _running: running }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn http() -> Http {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&path, certificate.cert.pem()).unwrap();
    Http::trusting_only(&path).unwrap()
}

/// A token endpoint that gives these answers one after the other, and counts them.
fn token_endpoint(answers: &'static [(u16, &'static str)]) -> (Router, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let answer = move || async move {
        let (status, body) = answers[counter.fetch_add(1, Ordering::Relaxed)];
        (StatusCode::from_u16(status).unwrap(), body)
    };
    let routes = Router::new()
        .route("/gcdm/oauth/device/code", post(|| async { CODES }))
        .route("/gcdm/oauth/token", post(answer));
    (routes, asked)
}

async fn log_in(
    answers: &'static [(u16, &'static str)],
) -> (Result<Tokens, LoginError>, usize, Login, Mock) {
    let (routes, asked) = token_endpoint(answers);
    let mock = Mock::start(routes).await;
    let login = Login::new(http(), &mock.url(), "CLIENT");
    let started = login.start(SCOPE).await.unwrap();
    assert_eq!(started.user_code.expose(), "qYjQrQip");
    assert!(started.verification_uri_complete.is_none());
    let result = login.finish(&started).await;
    (result, asked.load(Ordering::Relaxed), login, mock)
}

#[tokio::test]
async fn a_gateway_fault_is_polled_over() {
    let (tokens, asked, ..) = log_in(&[(500, GATEWAY_FAULT), (200, TOKENS)]).await;
    assert_eq!(tokens.unwrap().gcid, "g");
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn a_denial_ends_the_login() {
    let denied = &[(403, r#"{"error_description":"no","error":"access_denied"}"#)];
    let (result, asked, ..) = log_in(denied).await;
    assert!(matches!(result, Err(LoginError::Denied)));
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_refresh_keeps_what_the_answer_leaves_out() {
    let answers = &[(200, TOKENS), (200, REFRESHED), (400, r#"{"error":"invalid_grant"}"#)];
    let (tokens, _, login, _mock) = log_in(answers).await;
    let refreshed = login.refresh(&tokens.unwrap()).await.unwrap();
    assert_eq!((refreshed.gcid.as_str(), refreshed.id_token.expose()), ("g", "i"));
    assert_eq!(refreshed.access_token.expose(), "a2");
    let refused = login.refresh(&refreshed).await.unwrap_err();
    assert!(matches!(refused, RefreshError::Refused(error) if error.error == "invalid_grant"));
}

#[tokio::test]
async fn a_login_at_something_else_says_so() {
    let html = Router::new().route("/gcdm/oauth/device/code", post(|| async { "<html>" }));
    let mock = Mock::start(html).await;
    let login = Login::new(http(), &mock.url(), "client");
    assert!(matches!(login.start(SCOPE).await, Err(StartError::Unreadable(200))));
    let nobody = Login::new(http(), "http://127.0.0.1:1", "client");
    assert!(matches!(nobody.start(SCOPE).await, Err(StartError::Transport(_))));
}

#[tokio::test]
async fn a_refusal_of_rest_comes_with_its_id() {
    let body = r#"{"exveErrorId":"CU-102","exveErrorMsg":"Token expired","exveErrorRef":"x","exveNote":""}"#;
    let expired = move || async move { (StatusCode::UNAUTHORIZED, body) };
    let routes = Router::new()
        .route("/customers/containers", get(expired))
        .route("/customers/vehicles/mappings", get(|| async { "{}" }));
    let mock = Mock::start(routes).await;
    let rest = Rest::new(http(), &mock.url(), Secret::new("token"));
    let error = rest.containers().await.unwrap_err();
    assert!(error.needs_login(), "{error}");
    assert!(matches!(rest.mappings().await, Err(RestError::Unreadable(200))));
}

fn operator(url: &str) -> Operator {
    let ready = ReadyFile {
        http_url: url.to_owned(),
        mqtt_host: "localhost".to_owned(),
        mqtt_port: 1,
        vehicles_mqtt_port: 1,
        admin_url: url.to_owned(),
        admin_token: Secret::new("t"),
        ca_file: Path::new("ca.pem").to_owned(),
        customers: Vec::new(),
    };
    Operator::new(http(), &ready)
}

#[tokio::test]
async fn an_answer_of_ingest_is_read_also_when_nothing_was_good() {
    let body =
        r#"{"accepted":0,"refused":[{"line":1,"reason":"no"}],"entries_refused":[],"more":1}"#;
    let refuse = move || async move { (StatusCode::BAD_REQUEST, body) };
    let mock = Mock::start(Router::new().route("/ingest/v1/events", post(refuse))).await;
    let ingested = operator(&mock.url()).ingest(b"{}".to_vec()).await.unwrap();
    assert_eq!((ingested.accepted, ingested.refused[0].line), (0, 1));
}

#[tokio::test]
async fn ingest_tells_when_to_try_again() {
    let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "{}") };
    let mock = Mock::start(Router::new().route("/ingest/v1/events", post(busy))).await;
    let error = operator(&mock.url()).ingest(b"{}".to_vec()).await.unwrap_err();
    let IngestError::Unavailable { status: 503, retry_after } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let gone = operator("http://127.0.0.1:1").ingest(b"{}".to_vec()).await.unwrap_err();
    assert!(matches!(gone, IngestError::Transport(_)));
}
