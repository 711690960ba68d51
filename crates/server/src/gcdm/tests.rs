//! The log-in of programs, as they see it: its start and its polls here, the rest by what it is about.

mod attacks;
mod clients;
mod introspection;
mod key_rotation;
mod revocation;
mod tokens;
mod verification;

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cardata_contract::oauth::{GRANT_DEVICE_CODE, TokenResponse};
use cardata_domain::client::{Client, Kind, Services};
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
use crate::test_platform::{
    Answer, PKCE, Person, SCOPES, SECRET, START, World, third_party, urlencoded,
};

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

/// Sends a form from an address, perhaps with a header `Authorization`.
async fn post_from(
    world: &World,
    address: [u8; 4],
    path: &str,
    form: &[(&str, &str)],
    authorization: Option<&str>,
) -> Answer {
    let mut request = Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(ConnectInfo(SocketAddr::from((address, 40_000))));
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    world.send(request.body(Body::from(urlencoded(form))).unwrap()).await
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// The id of a new client of `kind` with [`SECRET`].
async fn confidential(world: &World, kind: Kind) -> String {
    world.confidential(kind).await.to_string()
}

/// A token with which the confidential client `id` acts for itself.
async fn own_token(world: &World, id: &str) -> String {
    let form = [("grant_type", "client_credentials")];
    let answer = post_from(world, HOME, TOKEN_PATH, &form, Some(&basic(id, SECRET))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// Tokens of the confidential client `id` at Anna's data.
async fn log_in_confidential(world: &World, id: &str) -> TokenResponse {
    let authorization = basic(id, SECRET);
    let form = [("scope", SCOPES), ("code_challenge", PKCE.1), ("code_challenge_method", "S256")];
    let started = post_from(world, HOME, START_PATH, &form, Some(&authorization)).await.json();
    world.approve(started["user_code"].as_str().unwrap(), Person::Anna).await;
    let form = [
        ("grant_type", GRANT_DEVICE_CODE),
        ("device_code", started["device_code"].as_str().unwrap()),
        ("code_verifier", PKCE.0),
    ];
    post_from(world, HOME, TOKEN_PATH, &form, Some(&authorization)).await.tokens()
}

/// Where most requests come from.
const HOME: [u8; 4] = [192, 0, 2, 1];

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
