use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::oauth::{GRANT_DEVICE_CODE, TokenResponse};
use cardata_domain::client::Services;
use cardata_domain::consent::{ConsentId, EndReason};
use cardata_domain::session::SessionKey;
use cardata_domain::token::{Refusal, Scope, check};
use jiff::SignedDuration;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::id_token;
use super::keys::{self, Keys};
use super::verify::{self, VerifyError};
use crate::profile::{Connections, Profile};
use crate::test_platform::{Answer, PKCE, Person, SCOPES, START, World, third_party};

const START_PATH: &str = "/gcdm/oauth/device/code";
const TOKEN_PATH: &str = "/gcdm/oauth/token";

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn anna() -> String {
    Person::Anna.client_id().to_string()
}

/// A well-formed start with one parameter changed, or left out for `None`.
async fn start_with(world: &World, name: &str, value: Option<&str>) -> Answer {
    let client_id = anna();
    let mut form = vec![
        ("client_id", client_id.as_str()),
        ("response_type", "device_code"),
        ("scope", SCOPES),
        ("code_challenge", PKCE.1),
        ("code_challenge_method", "S256"),
    ];
    form.retain(|(known, _)| *known != name);
    form.extend(value.map(|value| (name, value)));
    world.post_form(START_PATH, &form).await
}

async fn refresh(world: &World, client_id: &str, token: &str) -> Answer {
    let form =
        [("client_id", client_id), ("grant_type", "refresh_token"), ("refresh_token", token)];
    world.post_form(TOKEN_PATH, &form).await
}

async fn log_in_anna(world: &World) -> TokenResponse {
    world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await
}

async fn subscribe(world: &World, services: Services) {
    let directory = &world.platform.directory;
    let mut client = directory.client(Person::Anna.client_id()).await.unwrap().unwrap();
    client.services = services;
    directory.put_client(&client).await.unwrap();
}

fn payload(jwt: &str) -> Value {
    let part = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn consent_of(tokens: &TokenResponse) -> ConsentId {
    payload(&tokens.id_token)["sid"].as_str().unwrap().parse().unwrap()
}

// The start of a log-in.

#[tokio::test]
async fn one_address_starts_six_hundred_log_ins_a_minute_at_the_most() {
    let world = World::new().await;
    for _ in 0..600 {
        world.start_login(Person::Anna.client_id(), SCOPES).await;
    }
    let refused = start_with(&world, "", None).await;
    assert_eq!(refused.oauth_error(), error(400, "slow_down"));
    world.pass(60);
    assert_eq!(start_with(&world, "", None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_start_gives_codes_addresses_and_times_as_numbers() {
    let world = World::new().await;
    let answer = start_with(&world, "another", Some("is ignored")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let json = answer.json();
    let user_code = json["user_code"].as_str().unwrap();
    assert_eq!(user_code.len(), 8);
    assert_eq!(json["verification_uri"], "https://localhost:8443/oneid/link");
    let complete = format!("https://localhost:8443/oneid/link?user_code={user_code}");
    assert_eq!(json["verification_uri_complete"], complete);
    assert_eq!((&json["interval"], &json["expires_in"]), (&json!(5), &json!(300)));
    assert!(json["device_code"].as_str().unwrap().len() > 300);
}

#[tokio::test]
async fn a_client_id_may_be_in_upper_case_and_response_type_left_out() {
    let world = World::new().await;
    let upper = anna().to_uppercase();
    assert_eq!(start_with(&world, "client_id", Some(&upper)).await.status, StatusCode::OK);
    assert_eq!(start_with(&world, "response_type", None).await.status, StatusCode::OK);
    let (device_code, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    let form = [
        ("client_id", upper.as_str()),
        ("grant_type", GRANT_DEVICE_CODE),
        ("device_code", &device_code),
        ("code_verifier", PKCE.0),
    ];
    let tokens = world.post_form(TOKEN_PATH, &form).await.tokens();
    assert_eq!(refresh(&world, &upper, &tokens.refresh_token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_start_that_cannot_be_served_is_an_invalid_request() {
    let world = World::new().await;
    let wrong = [
        ("client_id", None),
        ("client_id", Some("")),
        ("client_id", Some("not a UUID")),
        ("client_id", Some("00000000-0000-4000-8000-000000000000")),
        ("scope", None),
        ("scope", Some("openid cardata:streaming:vehicle.mileage")),
        ("code_challenge", None),
        ("code_challenge", Some("short")),
        ("code_challenge_method", None),
        ("code_challenge_method", Some("plain")),
        ("response_type", Some("code")),
    ];
    for (name, value) in wrong {
        let answer = start_with(&world, name, value).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_request"), "{name} {value:?}");
        let told = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(told.replace("client id", "client_id").contains(name), "{name}: {told}");
    }
    let twice = world
        .post_form(START_PATH, &[("client_id", &anna()), ("scope", "openid"), ("scope", "openid")])
        .await;
    assert_eq!(twice.oauth_error(), error(400, "invalid_request"));
}

#[tokio::test]
async fn a_client_without_the_service_of_its_scopes_gets_no_code() {
    let world = World::new().await;
    subscribe(&world, Services::default()).await;
    let answer = start_with(&world, "scope", Some("openid")).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_request"));
    subscribe(&world, Services { api: true, stream: false }).await;
    let answer = start_with(&world, "scope", Some("openid cardata:streaming:read")).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_request"));
    let tokens = log_in_anna(&world).await;
    assert_eq!(tokens.scope, "authenticate_user openid cardata:api:read");
}

#[tokio::test]
async fn a_body_that_is_no_form_is_an_invalid_request() {
    let world = World::new().await;
    let form = "application/x-www-form-urlencoded";
    let too_long = "a=".to_owned() + &"a".repeat(20_000);
    let bodies: [(Option<&str>, &[u8]); 6] = [
        (None, b"client_id=1"),
        (Some("application/json"), br#"{"client_id":"1"}"#),
        (Some(form), b"\xff\xfe=%zz"),
        (Some("APPLICATION/x-www-form-urlencoded; charset=utf-8"), b"client_id=%ff"),
        (Some(form), b""),
        (Some(form), too_long.as_bytes()),
    ];
    for path in [START_PATH, TOKEN_PATH] {
        for (content_type, body) in bodies {
            let mut request = Request::post(path);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let answer = world.send(request.body(Body::from(body.to_vec())).unwrap()).await;
            assert_eq!(answer.oauth_error(), error(400, "invalid_request"));
        }
        let answer = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

// Polling, in the rows of wire §1.5.

#[tokio::test]
async fn a_poll_is_pending_until_the_decision_and_too_fast_below_the_interval() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    let poll = async || world.poll(client, &device_code).await;
    assert_eq!(poll().await.oauth_error(), error(403, "authorization_pending"));
    assert_eq!(poll().await.oauth_error(), error(400, "slow_down"));
    world.pass(3);
    assert_eq!(poll().await.oauth_error(), error(403, "authorization_pending"));
    world.approve(&user_code, Person::Anna).await;
    assert_eq!(poll().await.oauth_error(), error(400, "slow_down"));
    world.pass(5);
    assert_eq!(poll().await.tokens().gcid, Person::Anna.gcid().to_string());
    assert_eq!(poll().await.oauth_error(), error(400, "invalid_grant"));
}

#[tokio::test]
async fn a_denied_log_in_stays_denied_and_an_expired_one_expired() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    let directory = &world.platform.directory;
    let grant = directory.device_grant_by_user_code(&user_code).await.unwrap().unwrap();
    super::device::deny(&world.platform, &grant).await.unwrap();
    for _ in 0..2 {
        let answer = world.poll(client, &device_code).await;
        assert_eq!(answer.oauth_error(), error(403, "access_denied"));
    }
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    world.pass(300);
    for _ in 0..2 {
        let answer = world.poll(client, &device_code).await;
        assert_eq!(answer.oauth_error(), error(401, "expired_token"));
    }
}

#[tokio::test]
async fn a_code_opens_nothing_for_a_stranger() {
    let world = World::new().await;
    let client_id = anna();
    let (device_code, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    let poll = async |client_id: &str, device_code: &str, verifier: &str| {
        let form = [
            ("client_id", client_id),
            ("grant_type", GRANT_DEVICE_CODE),
            ("device_code", device_code),
            ("code_verifier", verifier),
        ];
        world.post_form(TOKEN_PATH, &form).await
    };
    let other = Person::Ben.client_id().to_string();
    let unknown = "00000000-0000-4000-8000-000000000000";
    let refused = [
        (poll(&client_id, &device_code, "another verifier").await, error(400, "invalid_grant")),
        (poll(&other, &device_code, PKCE.0).await, error(400, "invalid_grant")),
        (poll(&client_id, "never issued", PKCE.0).await, error(400, "invalid_grant")),
        (poll(unknown, &device_code, PKCE.0).await, error(401, "invalid_client")),
        (poll("not a UUID", &device_code, PKCE.0).await, error(401, "invalid_client")),
        (poll(&client_id, "", PKCE.0).await, error(400, "invalid_request")),
        (poll(&client_id, &device_code, "").await, error(400, "invalid_request")),
    ];
    for (answer, expected) in refused {
        assert_eq!(answer.oauth_error(), expected);
    }
    let form = [("client_id", client_id.as_str()), ("grant_type", "password")];
    let answer = world.post_form(TOKEN_PATH, &form).await;
    assert_eq!(answer.oauth_error(), error(400, "unsupported_grant_type"));
    // None of it used the code up.
    assert!(poll(&client_id, &device_code, PKCE.0).await.status.is_success());
}

#[tokio::test]
async fn a_client_that_lost_its_service_after_the_approval_gets_no_tokens() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    subscribe(&world, Services { api: true, stream: false }).await;
    let answer = world.poll(client, &device_code).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
}

#[tokio::test]
async fn of_many_polls_at_a_time_one_gets_tokens() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    let (a, b, c) = tokio::join!(
        world.poll(client, &device_code),
        world.poll(client, &device_code),
        world.poll(client, &device_code)
    );
    let granted = [a, b, c].iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(granted, 1);
}

#[tokio::test]
async fn with_auto_approve_each_client_gets_tokens_for_its_owner_or_the_first_customer() {
    let world = World::with(Profile::open(), Some(Person::Anna.gcid())).await;
    let clients = [
        (Person::Anna.client_id(), Person::Anna),
        (Person::Ben.client_id(), Person::Ben),
        (third_party(), Person::Anna),
    ];
    for (client, expected) in clients {
        let (device_code, _) = world.start_login(client, SCOPES).await;
        let tokens = world.poll(client, &device_code).await.tokens();
        assert_eq!(tokens.gcid, expected.gcid().to_string());
    }
}

// Tokens.

#[tokio::test]
async fn tokens_come_with_all_that_clients_read() {
    let world = World::new().await;
    let first = log_in_anna(&world).await;
    let second = refresh(&world, &anna(), &first.refresh_token).await;
    assert_eq!(second.headers[CACHE_CONTROL], "no-store");
    assert!(second.json()["expires_in"].is_i64());
    let second = second.tokens();
    for tokens in [&first, &second] {
        assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", 3600));
        assert_eq!(tokens.scope, SCOPES);
        assert_eq!(tokens.gcid, Person::Anna.gcid().to_string());
        assert!(tokens.id_token.len() < 4096);
        let claims = payload(&tokens.id_token);
        let now = START.as_second();
        for (name, expected) in [
            ("iss", json!("https://localhost:8443")),
            ("sub", json!(tokens.gcid)),
            ("gcid", json!(tokens.gcid)),
            ("aud", json!(anna())),
            ("azp", json!(anna())),
            ("realm", json!("/customer")),
            ("tokenName", json!("id_token")),
            ("auth_time", json!(now)),
            ("iat", json!(now)),
            ("exp", json!(now + 3600)),
            ("scope", json!(SCOPES)),
            ("dynamic_scopes", json!([format!("read:streaming/*/{}.*", tokens.gcid)])),
        ] {
            assert_eq!(claims[name], expected, "{name}");
        }
        let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        let mut promised = id_token::CLAIMS.to_vec();
        names.sort_unstable();
        promised.sort_unstable();
        assert_eq!(names, promised);
    }
    assert_ne!(first.refresh_token, second.refresh_token);
    assert_ne!(first.access_token, second.access_token);
    assert_eq!(consent_of(&first), consent_of(&second));
}

#[tokio::test]
async fn a_token_without_streaming_says_so() {
    let world = World::new().await;
    let scopes = "openid cardata:api:read";
    let tokens = world.log_in(Person::Anna.client_id(), Person::Anna, scopes).await;
    assert_eq!(tokens.scope, scopes);
    assert!(payload(&tokens.id_token).get("dynamic_scopes").is_none());
}

#[tokio::test]
async fn a_stranger_can_check_an_id_token_by_what_is_published() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let discovery = world.get("/.well-known/openid-configuration", "").await.json();
    assert_eq!(discovery["token_endpoint"], "https://localhost:8443/gcdm/oauth/token");
    assert_eq!(discovery["jwks_uri"], "https://localhost:8443/.well-known/jwks.json");
    let published = world.get("/.well-known/jwks.json", "").await.json();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(published["keys"][0].get(private).is_none());
    }
    let published: JwkSet = serde_json::from_value(published).unwrap();
    let header = jsonwebtoken::decode_header(&tokens.id_token).unwrap();
    assert_eq!(header.alg, Algorithm::RS256);
    let key = published.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[anna()]);
    validation.set_issuer(&[discovery["issuer"].as_str().unwrap()]);
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(&tokens.id_token, &key, &validation).unwrap();
}

// Refresh.

#[tokio::test]
async fn a_used_refresh_token_is_good_for_its_grace_and_then_ends_the_consent() {
    let world = World::new().await;
    let first = log_in_anna(&world).await;
    let consent = consent_of(&first);
    let key = SessionKey {
        gcid: Person::Anna.gcid(),
        client_id: Person::Anna.client_id(),
        mqtt_client_id: "bridge".into(),
    };
    let limit = Connections::PerClient(5);
    let connection = world.platform.router.register(key, consent, limit).await.unwrap();

    let second = refresh(&world, &anna(), &first.refresh_token).await.tokens();
    world.pass(59);
    let third = refresh(&world, &anna(), &first.refresh_token).await.tokens();
    world.pass(1);
    assert!(connection.close_reason().is_none());
    let answer = refresh(&world, &anna(), &first.refresh_token).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    assert!(connection.close_reason().is_some());
    for tokens in [second, third] {
        let answer = refresh(&world, &anna(), &tokens.refresh_token).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
        let access = verify::access_token(&world.platform, &tokens.access_token).await;
        assert!(matches!(access, Err(VerifyError::Revoked | VerifyError::Invalid)));
        let id = verify::id_token(&world.platform, &tokens.id_token).await;
        assert!(matches!(id, Err(VerifyError::Revoked)));
    }
}

#[tokio::test]
async fn a_strict_profile_refuses_a_used_refresh_token_at_once() {
    let world = World::with(Profile::bmw(), None).await;
    let first = log_in_anna(&world).await;
    refresh(&world, &anna(), &first.refresh_token).await.tokens();
    let answer = refresh(&world, &anna(), &first.refresh_token).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
}

#[tokio::test]
async fn a_refresh_restarts_the_fourteen_days() {
    let world = World::new().await;
    let first = log_in_anna(&world).await;
    world.pass(1_209_599);
    let second = refresh(&world, &anna(), &first.refresh_token).await.tokens();
    world.pass(1_209_599);
    let third = refresh(&world, &anna(), &second.refresh_token).await.tokens();
    world.pass(1_209_600);
    let answer = refresh(&world, &anna(), &third.refresh_token).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
}

#[tokio::test]
async fn a_refresh_token_works_for_its_own_subscribed_client_and_an_active_consent_only() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let ben = Person::Ben.client_id().to_string();
    let invalid_grant = error(400, "invalid_grant");
    for (client, token) in [
        (ben.as_str(), tokens.refresh_token.as_str()),
        (&anna(), "never issued"),
        (&anna(), &tokens.access_token),
    ] {
        assert_eq!(refresh(&world, client, token).await.oauth_error(), invalid_grant);
    }
    let all = Services { api: true, stream: true };
    subscribe(&world, Services { stream: false, ..all }).await;
    let answer = refresh(&world, &anna(), &tokens.refresh_token).await;
    assert_eq!(answer.oauth_error(), invalid_grant);
    subscribe(&world, all).await;
    let tokens = refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
    world
        .platform
        .directory
        .end_consent(consent_of(&tokens), START, EndReason::Customer)
        .await
        .unwrap();
    let answer = refresh(&world, &anna(), &tokens.refresh_token).await;
    assert_eq!(answer.oauth_error(), invalid_grant);
}

// Verification.

#[tokio::test]
async fn both_kinds_of_token_say_the_same_also_when_expired() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    world.pass(7200);
    for password in [&tokens.id_token, &tokens.access_token] {
        let claims = verify::stream_password(&world.platform, password).await.unwrap();
        assert_eq!(claims.gcid, Person::Anna.gcid());
        assert_eq!(claims.client_id, Person::Anna.client_id());
        assert_eq!(claims.consent_id, consent_of(&tokens));
        assert_eq!(claims.scopes.to_string(), SCOPES);
        let end = START + SignedDuration::from_secs(3600);
        let now = world.platform.clock.now();
        assert_eq!(check(&claims, Scope::StreamingRead, now), Err(Refusal::Expired(end)));
    }
}

#[tokio::test]
async fn an_id_token_counts_only_with_a_signature_of_ours() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let header = jsonwebtoken::decode_header(&tokens.id_token).unwrap();
    let parts: Vec<_> = tokens.id_token.split('.').collect();
    let encoded = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = encoded(json!({"typ": "JWT", "alg": "none", "kid": header.kid}));
    // The classic confusion: HMAC with the public key, which everybody knows, as its secret.
    let published = world.get("/.well-known/jwks.json", "").await.json();
    let modulus = published["keys"][0]["n"].as_str().unwrap();
    let mut confused = Header::new(Algorithm::HS256);
    confused.kid = header.kid.clone();
    let hmac = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&confused, &payload(&tokens.id_token), &key).unwrap()
    };
    let stranger = keys::generate(START).await;
    let stranger = EncodingKey::from_rsa_pem(stranger.private_pem.as_bytes()).unwrap();
    let forged = jsonwebtoken::encode(&header, &payload(&tokens.id_token), &stranger).unwrap();
    let unnamed = Header { kid: None, ..header.clone() };
    let unnamed = jsonwebtoken::encode(&unnamed, &payload(&tokens.id_token), &stranger).unwrap();
    let mut richer = payload(&tokens.id_token);
    richer["exp"] = json!(START.as_second() + 1_000_000);
    for wrong in [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        hmac(modulus.as_bytes()),
        hmac(&URL_SAFE_NO_PAD.decode(modulus).unwrap()),
        forged,
        unnamed,
        format!("{}.{}.{}", parts[0], encoded(richer), parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        "..".to_owned(),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        let outcome = verify::stream_password(&world.platform, &wrong).await;
        assert!(matches!(outcome, Err(VerifyError::Invalid)), "{wrong}");
    }
    assert!(verify::stream_password(&world.platform, &tokens.id_token).await.is_ok());
    let other_kind = verify::access_token(&world.platform, &tokens.id_token).await;
    assert!(matches!(other_kind, Err(VerifyError::Invalid)));
    let other_kind = verify::id_token(&world.platform, &tokens.access_token).await;
    assert!(matches!(other_kind, Err(VerifyError::Invalid)));
}

#[tokio::test]
async fn keys_are_kept_and_after_a_rotation_the_old_one_still_verifies() {
    let world = World::new().await;
    let directory = &*world.platform.directory;
    let tokens = log_in_anna(&world).await;
    let again = Keys::open(directory, START).await.unwrap();
    let issuer = &world.platform.public_url;
    assert!(again.open_id_token(&tokens.id_token, issuer).is_some());
    assert!(again.open_id_token(&tokens.id_token, "https://elsewhere").is_none());

    let later = START + SignedDuration::from_hours(1);
    directory.add_signing_key(&keys::generate(later).await).await.unwrap();
    let rotated = Keys::open(directory, later).await.unwrap();
    assert_eq!(rotated.jwks().keys.len(), 2);
    let claims = rotated.open_id_token(&tokens.id_token, issuer).expect("the old key verifies");
    let fresh = rotated.sign(&claims);
    assert!(rotated.open_id_token(&fresh, issuer).is_some());
    assert!(again.open_id_token(&fresh, issuer).is_none());
}
