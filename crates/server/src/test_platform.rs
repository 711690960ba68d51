//! A platform for tests: a real directory in a folder that goes away, a journal in memory, a clock that stands still,
//! two customers with a client each, and a third party's client that both may use.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use cardata_contract::oauth::{GRANT_DEVICE_CODE, TokenResponse};
use cardata_domain::client::{Client, Kind, Services, State};
use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Build, Drivetrain, Vehicle};
use cardata_domain::{Catalogue, ClientId, Gcid};
use cardata_store::Directory;
use cardata_store::directory::SigningKey;
use cardata_store::directory::sqlite::SqliteDirectory;
use cardata_store::journal::MemoryJournal;
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tower::ServiceExt as _;

use crate::clock::FixedClock;
use crate::door::{Door, Limits};
use crate::entitlements::Entitlements;
use crate::faults::Faults;
use crate::gcdm::keys::{self, Keys};
use crate::ingest::certificates::{Authority, Certificates};
use crate::platform::Platform;
use crate::portal::login::Visitors;
use crate::profile::Profile;
use crate::quota::Quota;
use crate::stream::catch_up::CatchUp;
use crate::stream::cursors::Cursors;
use crate::stream::groups::Groups;
use crate::tally::Tally;
use crate::tasks::Tasks;
use crate::{admin, api, docs, gcdm, ingest, portal, secret};

/// Where the clock stands at first.
pub(crate) const START: Timestamp = Timestamp::constant(1_790_000_000, 0);
/// The password of both customers.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The secret of clients that have one.
pub(crate) const SECRET: &str = "k1nD-0f_s3cret-that-nobody-guesses-in-a-minute";
/// The operator's token.
pub(crate) const ADMIN_TOKEN: &str = "the operator's token";
/// Every scope.
pub(crate) const SCOPES: &str = "authenticate_user openid cardata:api:read cardata:streaming:read";
/// What the customers' door lets in.
pub(crate) const LIMITS: Limits = Limits { connects_per_minute: 100, ..Limits::NONE };
/// A verifier and its challenge.
pub(crate) const PKCE: (&str, &str) =
    ("Lc-kVofs3uj2Aj5Yrpd8X8Sa0N6tGmp4VIjflKSbFSQ", "6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8");

/// Hashing a password and searching a key take long, so each is done once for all tests.
static PASSWORD_HASH: LazyLock<String> = LazyLock::new(|| portal::password_hash(PASSWORD));
static KEY: OnceCell<SigningKey> = OnceCell::const_new();

/// Who is there.
#[derive(Clone, Copy)]
pub(crate) enum Person {
    Anna,
    Ben,
}

impl Person {
    pub(crate) fn gcid(self) -> Gcid {
        match self {
            Self::Anna => "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(),
            Self::Ben => "bb222292-d570-4d3d-8835-656ee00edcd7".parse().unwrap(),
        }
    }

    pub(crate) fn email(self) -> &'static str {
        match self {
            Self::Anna => "anna@example.com",
            Self::Ben => "ben@example.com",
        }
    }

    /// The personal client, subscribed to both services.
    pub(crate) fn client_id(self) -> ClientId {
        match self {
            Self::Anna => "aaaaaaaa-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            Self::Ben => "bbbbbbbb-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
        }
    }
}

/// The client that nobody owns.
pub(crate) fn third_party() -> ClientId {
    "cccccccc-7a1d-4590-aa99-33b97244d048".parse().unwrap()
}

/// The platform with all its routes.
pub(crate) struct World {
    pub(crate) platform: Arc<Platform>,
    pub(crate) clock: Arc<FixedClock>,
    app: Router,
    _folder: TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body, which must be JSON and say so.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.headers[CONTENT_TYPE], "application/json", "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and `error` of a refused log-in, which must come with an explanation.
    pub(crate) fn oauth_error(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        (self.status.as_u16(), json["error"].as_str().unwrap().to_owned())
    }

    /// The tokens of a log-in, which must have succeeded.
    pub(crate) fn tokens(&self) -> TokenResponse {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        serde_json::from_value(self.json()).unwrap()
    }
}

impl World {
    /// With the default profile.
    pub(crate) async fn new() -> Self {
        Self::with(Profile::open(), None).await
    }

    pub(crate) async fn with(profile: Profile, auto_approve: Option<Gcid>) -> Self {
        Self::adjusted(profile, |platform| platform.auto_approve = auto_approve).await
    }

    /// With whatever else `adjust` says.
    pub(crate) async fn adjusted(profile: Profile, adjust: impl FnOnce(&mut Platform)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = SqliteDirectory::open(&folder.path().join("directory.db")).await.unwrap();
        let directory: Arc<dyn Directory> =
            Arc::new(directory.with_sessions_max(profile.sessions_per_client));
        fill(&*directory).await;
        let catalogue = Arc::new(Catalogue::shipped());
        let router = Arc::default();
        let clock = Arc::new(FixedClock::new(START));
        let mut platform = Platform {
            journal: Arc::new(MemoryJournal::new(Arc::clone(&router) as _)),
            entitlements: Entitlements::new(directory.clone(), catalogue.clone(), profile.packing),
            quota: Quota::open(&*directory, profile.requests, START).await.unwrap(),
            keys: Keys::open(&*directory, START).await.unwrap(),
            outside: None,
            directory,
            catalogue,
            clock: clock.clone(),
            profile,
            public_url: "https://localhost:8443".to_owned(),
            stream_address: "localhost:9000".to_owned(),
            router,
            catch_up: CatchUp::here(),
            cursors: Cursors::default(),
            groups: Groups::default(),
            door: Arc::new(Door::new("mqtt", LIMITS)),
            vehicles_door: Arc::new(Door::new("vehicles_mqtt", Limits::NONE)),
            vehicle_certificates: certificates(folder.path()),
            ingest: ingest::Ingest::new(START),
            auto_approve: None,
            access_lifetime: cardata_domain::token::ACCESS_LIFETIME,
            admin_token: ADMIN_TOKEN.to_owned(),
            visitors: Visitors::default(),
            tally: Tally::default(),
            faults: Some(Faults::default()),
            tasks: Tasks::default(),
        };
        adjust(&mut platform);
        let platform = Arc::new(platform);
        let all = [
            docs::routes(platform.clone()),
            gcdm::routes(),
            portal::routes(platform.clone()),
            api::routes(&platform, std::time::Duration::from_mins(1)),
            ingest::routes(),
        ];
        let app = all.into_iter().fold(admin::routes(), Router::merge);
        Self { app: app.with_state(platform.clone()), platform, clock, _folder: folder }
    }

    /// Adds a client of `kind` with [`SECRET`], subscribed to both services.
    pub(crate) async fn confidential(&self, kind: Kind) -> ClientId {
        let client = Client {
            id: ClientId::new(secret::uuid()),
            kind,
            name: "Fleet Watch".to_owned(),
            purpose: String::new(),
            services: Services { api: true, stream: true },
            secret_hash: Some(secret::hash(SECRET).0),
            created_at: START,
            state: State::Active,
        };
        self.platform.directory.put_client(&client).await.unwrap();
        client.id
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.set(self.platform.clock.now() + SignedDuration::from_secs(seconds));
    }

    /// The answer as it comes, also one that is no text.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        let Ok(response) = self.app.clone().oneshot(request).await;
        response
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        // What is no text is looked at by its length and its tag.
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a GET with a bearer token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends any request with a bearer token.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Sends a form as log-in clients do.
    pub(crate) async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(urlencoded(form))).unwrap()).await
    }

    /// Starts a log-in of `client_id`; gives the device code and the user code.
    pub(crate) async fn start_login(&self, client_id: ClientId, scopes: &str) -> (String, String) {
        let client_id = client_id.to_string();
        let form = [
            ("client_id", client_id.as_str()),
            ("scope", scopes),
            ("code_challenge", PKCE.1),
            ("code_challenge_method", "S256"),
        ];
        let answer = self.post_form("/gcdm/oauth/device/code", &form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let code = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        (code("device_code"), code("user_code"))
    }

    /// Asks for the tokens of a device code.
    pub(crate) async fn poll(&self, client_id: ClientId, device_code: &str) -> Answer {
        let client_id = client_id.to_string();
        let form = [
            ("client_id", client_id.as_str()),
            ("grant_type", GRANT_DEVICE_CODE),
            ("device_code", device_code),
            ("code_verifier", PKCE.0),
        ];
        self.post_form("/gcdm/oauth/token", &form).await
    }

    /// Approves a user code for `person`.
    pub(crate) async fn approve(&self, user_code: &str, person: Person) {
        let directory = &self.platform.directory;
        let grant = directory.device_grant_by_user_code(user_code).await.unwrap().unwrap();
        gcdm::device::approve(&self.platform, &grant, person.gcid(), None).await.unwrap();
    }

    /// Tokens for `client_id` at `person`'s data.
    pub(crate) async fn log_in(
        &self,
        client_id: ClientId,
        person: Person,
        scopes: &str,
    ) -> TokenResponse {
        let (device_code, user_code) = self.start_login(client_id, scopes).await;
        self.approve(&user_code, person).await;
        self.poll(client_id, &device_code).await.tokens()
    }
}

/// An electric car.
pub(crate) fn vehicle(vin: &str) -> Vehicle {
    let build = Build {
        brand: "BMW".into(),
        model_name: "i5 xDrive40".into(),
        model_key: "21FJ".into(),
        series: "5".into(),
        series_devt: "G60".into(),
        body_type: "Limousine".into(),
        number_of_doors: 4,
        colour_code: "475".into(),
        colour_description: "BLACK SAPPHIRE METALLIC".into(),
        country_code: "AT".into(),
        constructed_at: "2025-10-01T00:00:00Z".parse().unwrap(),
        battery_ah: Some("210.6".into()),
        has_navi: Some(true),
        charging_modes: "AC DC".into(),
        ..Build::default()
    };
    Vehicle { vin: vin.parse().unwrap(), drivetrain: Drivetrain::Bev, build }
}

/// `form` as `application/x-www-form-urlencoded`.
pub(crate) fn urlencoded(form: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let one = |byte: u8| {
            if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(one).collect()
    };
    let pairs: Vec<_> =
        form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Certificates of an authority that is made once for all tests.
fn certificates(folder: &Path) -> Certificates {
    static AUTHORITY: LazyLock<(String, String)> = LazyLock::new(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    });
    let (certificate, key) = &*AUTHORITY;
    let authority = Authority::new(certificate, key, folder.join("vehicles.crl")).unwrap();
    Certificates::ours(authority, START).unwrap()
}

async fn fill(directory: &dyn Directory) {
    let services = Services { api: true, stream: true };
    for person in [Person::Anna, Person::Ben] {
        let customer = Customer {
            gcid: person.gcid(),
            email: person.email().to_owned(),
            password_hash: PASSWORD_HASH.clone(),
            created_at: START,
        };
        directory.put_customer(&customer).await.unwrap();
        let client = Client {
            id: person.client_id(),
            kind: Kind::Personal(person.gcid()),
            name: format!("<{}'s bridge>", person.email()),
            purpose: String::new(),
            services,
            secret_hash: None,
            created_at: START,
            state: State::Active,
        };
        directory.put_client(&client).await.unwrap();
    }
    let name = "Fleet Insight".to_owned();
    let client = Client {
        id: third_party(),
        kind: Kind::ThirdParty,
        name,
        purpose: "keeps an eye on fleets".to_owned(),
        services,
        secret_hash: None,
        created_at: START,
        state: State::Active,
    };
    directory.put_client(&client).await.unwrap();
    let key = KEY.get_or_init(|| keys::generate(START)).await;
    directory.add_signing_key(key).await.unwrap();
}
