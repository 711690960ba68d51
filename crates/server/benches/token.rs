//! Whether a token is good: what a client's CONNECT or request waits for.
//!
//! A platform of public parts issues the tokens by a log-in. An id token that comes for the first time is a new one each
//! time, so that nothing which remembers tokens could make it cheaper. The consent behind a token is in memory, as it is
//! from its first use on; no disk is read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::oauth::{DeviceCodeResponse, GRANT_DEVICE_CODE, TokenResponse};
use cardata_domain::client::{Client, Kind, Services, State};
use cardata_domain::customer::Customer;
use cardata_domain::{Catalogue, ClientId, Gcid};
use cardata_server::clock::FixedClock;
use cardata_server::door::{Door, Limits};
use cardata_server::entitlements::Entitlements;
use cardata_server::gcdm::keys::Keys;
use cardata_server::gcdm::{self, verify};
use cardata_server::ingest::Ingest;
use cardata_server::ingest::certificates::{Authority, Certificates};
use cardata_server::portal::login::Visitors;
use cardata_server::quota::Quota;
use cardata_server::stream::catch_up::CatchUp;
use cardata_server::stream::cursors::Cursors;
use cardata_server::stream::groups::Groups;
use cardata_server::stream::router::Router;
use cardata_server::tally::Tally;
use cardata_server::tasks::Tasks;
use cardata_server::{Platform, Profile};
use cardata_store::Directory;
use cardata_store::directory::sqlite::SqliteDirectory;
use cardata_store::journal::MemoryJournal;
use criterion::{BatchSize, Criterion, Throughput};
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Where the clock stands.
const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const SCOPES: &str = "authenticate_user openid cardata:api:read cardata:streaming:read";
/// A verifier and its challenge (RFC 7636).
const PKCE: (&str, &str) =
    ("Lc-kVofs3uj2Aj5Yrpd8X8Sa0N6tGmp4VIjflKSbFSQ", "6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("threads can be started");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (platform, tokens, signer) = runtime.block_on(async {
        let platform = platform(folder.path()).await;
        let tokens = log_in(&platform).await;
        let signer = Signer::new(&platform, &tokens.id_token).await;
        (platform, tokens, signer)
    });

    let platform = &*platform;
    let stream_password = async |token: &str| {
        verify::stream_password(platform, token).await.expect("the token is good")
    };
    let mut group = criterion.benchmark_group("token");
    group.throughput(Throughput::Elements(1));
    // To sign a token takes many times as long as to verify it, and is not counted as measurement.
    group.measurement_time(Duration::from_secs(1));
    let mut number = 0;
    group.bench_function("id token, first time", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || {
                number += 1;
                signer.sign(number)
            },
            async |token: String| stream_password(&token).await,
            BatchSize::SmallInput,
        );
    });
    group.bench_function("id token, again", |bencher| {
        bencher.to_async(&runtime).iter(|| stream_password(&tokens.id_token));
    });
    group.bench_function("access token", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let claims = verify::rest_bearer(platform, &tokens.access_token).await;
            claims.expect("the token is good")
        });
    });
    group.finish();
    criterion.final_summary();
}

/// Signs id tokens as the platform does.
struct Signer {
    header: Header,
    claims: Value,
    key: EncodingKey,
}

impl Signer {
    /// Of tokens that say what `id_token` of `platform` says.
    async fn new(platform: &Platform, id_token: &str) -> Self {
        let header = jsonwebtoken::decode_header(id_token).expect("it is a JWT");
        let claims = id_token.split('.').nth(1).expect("it is a JWT");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("it is a JWT");
        let claims = serde_json::from_slice(&claims).expect("claims are JSON");
        let keys = platform.directory.signing_keys().await.expect("the directory answers");
        let key = EncodingKey::from_rsa_pem(keys[0].private_pem.as_bytes()).expect("an RSA key");
        Self { header, claims, key }
    }

    /// Token `number`.
    fn sign(&self, number: u64) -> String {
        let mut claims = self.claims.clone();
        claims["jti"] = number.to_string().into();
        jsonwebtoken::encode(&self.header, &claims, &self.key).expect("an RSA key signs any JSON")
    }
}

/// A platform with one customer and its client, who is let in without being asked.
async fn platform(folder: &Path) -> Arc<Platform> {
    let gcid: Gcid = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().expect("it is a GCID");
    let directory = SqliteDirectory::open(&folder.join("directory.db")).await;
    let directory: Arc<dyn Directory> = Arc::new(directory.expect("the directory opens"));
    let customer = Customer {
        gcid,
        email: "anna@example.com".to_owned(),
        password_hash: String::new(),
        created_at: NOW,
    };
    directory.put_customer(&customer).await.expect("the directory takes a customer");
    let client = Client {
        id: client_id(),
        kind: Kind::Personal(gcid),
        name: "home".to_owned(),
        purpose: String::new(),
        services: Services { api: true, stream: true },
        secret_hash: None,
        created_at: NOW,
        state: State::Active,
    };
    directory.put_client(&client).await.expect("the directory takes a client");

    let profile = Profile::open();
    let catalogue = Arc::new(Catalogue::shipped());
    let router = Arc::new(Router::default());
    Arc::new(Platform {
        journal: Arc::new(MemoryJournal::new(router.clone())),
        entitlements: Entitlements::new(directory.clone(), catalogue.clone(), profile.packing),
        quota: Quota::open(&*directory, profile.requests, NOW).await.expect("the quota opens"),
        keys: Keys::open(&*directory, NOW).await.expect("a key is made"),
        outside: None,
        directory,
        catalogue,
        clock: Arc::new(FixedClock::new(NOW)),
        profile,
        public_url: "https://localhost:8443".to_owned(),
        stream_address: "localhost:9000".to_owned(),
        router,
        catch_up: CatchUp::start().expect("threads can be started"),
        cursors: Cursors::default(),
        groups: Groups::default(),
        door: Arc::new(Door::new("mqtt", Limits::NONE)),
        vehicles_door: Arc::new(Door::new("vehicles_mqtt", Limits::NONE)),
        vehicle_certificates: certificates(folder),
        ingest: Ingest::new(NOW),
        auto_approve: Some(gcid),
        access_lifetime: cardata_domain::token::ACCESS_LIFETIME,
        admin_token: String::new(),
        visitors: Visitors::default(),
        tally: Tally::default(),
        faults: None,
        tasks: Tasks::default(),
    })
}

fn certificates(folder: &Path) -> Certificates {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key is made");
    let certificate = params.self_signed(&key).expect("a key signs its certificate");
    let list = folder.join("vehicles.crl");
    let authority = Authority::new(&certificate.pem(), &key.serialize_pem(), list);
    Certificates::ours(authority.expect("it is an authority"), NOW).expect("it signs its list")
}

fn client_id() -> ClientId {
    "aaaaaaaa-7a1d-4590-aa99-33b97244d048".parse().expect("it is a client id")
}

/// The client's tokens.
async fn log_in(platform: &Arc<Platform>) -> TokenResponse {
    let client_id = client_id().to_string();
    let begun: DeviceCodeResponse = post(
        platform,
        "/gcdm/oauth/device/code",
        &[
            ("client_id", &client_id),
            ("scope", SCOPES),
            ("code_challenge", PKCE.1),
            ("code_challenge_method", "S256"),
        ],
    )
    .await;
    post(
        platform,
        "/gcdm/oauth/token",
        &[
            ("client_id", &client_id),
            ("grant_type", GRANT_DEVICE_CODE),
            ("device_code", &begun.device_code),
            ("code_verifier", PKCE.0),
        ],
    )
    .await
}

/// What the form at `path` is answered.
async fn post<T: DeserializeOwned>(
    platform: &Arc<Platform>,
    path: &str,
    form: &[(&str, &str)],
) -> T {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("it is a request");
    let Ok(response) = gcdm::routes().with_state(platform.clone()).oneshot(request).await;
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("the answer is in memory");
    serde_json::from_slice(&body).expect("the log-in goes well")
}
