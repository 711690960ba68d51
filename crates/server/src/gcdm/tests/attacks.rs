//! What thieves and strangers try, and what comes of it.

use cardata_contract::oauth::GRANT_REFRESH_TOKEN;
use cardata_domain::ledger::Actor;

use super::*;
use crate::endings;
use crate::stream::test_peer::{self, Peer};

fn ben() -> String {
    Person::Ben.client_id().to_string()
}

async fn mqtt_code(world: &World, person: Person, token: &str) -> u8 {
    Peer::connect(world, &person.gcid().to_string(), token, "thief", true).await.1
}

#[tokio::test]
async fn a_device_code_is_good_once_and_for_the_client_that_began() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    for other in [Person::Ben.client_id(), third_party()] {
        let answer = world.poll(other, &device_code).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    }
    let tokens = world.poll(client, &device_code).await.tokens();
    for seconds in [0, 5, 400] {
        world.pass(seconds);
        let answer = world.poll(client, &device_code).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"), "replayed");
    }
    // A replay shows no more than that the code was seen; the tokens stay.
    assert!(verify::access_token(&world.platform, &tokens.access_token).await.is_ok());
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_thiefs_access_and_the_owners_with_open_streams() {
    let world = test_peer::world(Profile::open()).await;
    let owner = log_in_anna(&world).await;
    let thief = refresh(&world, &anna(), &owner.refresh_token).await.tokens();
    let gcid = Person::Anna.gcid().to_string();
    let (mut stream, code, _) = Peer::connect(&world, &gcid, &thief.id_token, "t", true).await;
    assert_eq!(code, 0);
    world.pass(60);
    let client = anna();
    let reused = refresh(&world, &client, &owner.refresh_token);
    let (answer, last) = tokio::join!(reused, stream.receive());
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    assert_eq!(last, None, "the stream is closed");
    let answer = refresh(&world, &anna(), &thief.refresh_token).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    for tokens in [&owner, &thief] {
        assert_eq!(mqtt_code(&world, Person::Anna, &tokens.id_token).await, 4);
        assert_eq!(mqtt_code(&world, Person::Anna, &tokens.access_token).await, 4);
        let answer = world.get("/customers/vehicles/mappings", &tokens.access_token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_token_is_good_only_where_it_belongs() {
    let world = test_peer::world(Profile::open()).await;
    let fleet = confidential(&world, Kind::ThirdParty).await;
    let tokens = log_in_anna(&world).await;
    let own = own_token(&world, &fleet).await;

    // As a refresh token: of another client, or of another kind.
    for (client, token) in [
        (ben(), &tokens.refresh_token),
        (third_party().to_string(), &tokens.refresh_token),
        (anna(), &tokens.access_token),
        (anna(), &tokens.id_token),
        (anna(), &own),
    ] {
        let answer = refresh(&world, &client, token).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    }
    let stolen = [("grant_type", GRANT_REFRESH_TOKEN), ("refresh_token", &tokens.refresh_token)];
    let answer = post_from(&world, HOME, TOKEN_PATH, &stolen, Some(&basic(&fleet, SECRET))).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    // As a device code.
    for token in [&tokens.access_token, &tokens.refresh_token, &tokens.id_token] {
        let answer = world.poll(Person::Anna.client_id(), token).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    }
    // For REST, and as a client's own.
    for token in [&tokens.refresh_token, &tokens.id_token, &own] {
        let answer = world.get("/customers/vehicles/mappings", token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    for token in [&tokens.refresh_token, &tokens.id_token, &tokens.access_token] {
        assert_eq!(world.get("/v2/consents", token).await.status, StatusCode::UNAUTHORIZED);
    }
    // On the stream: of another kind, or under another customer's name.
    for (token, code) in [(&tokens.refresh_token, 4), (&own, 5)] {
        assert_eq!(mqtt_code(&world, Person::Anna, token).await, code);
    }
    for token in [&tokens.id_token, &tokens.access_token] {
        assert_eq!(mqtt_code(&world, Person::Ben, token).await, 5);
        assert_eq!(mqtt_code(&world, Person::Anna, token).await, 0);
    }
    // None of it ended or used up anything.
    refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
}

#[tokio::test]
async fn nothing_of_a_deleted_client_opens_anything() {
    let world = test_peer::world(Profile::open()).await;
    let directory = &world.platform.directory;
    let id = confidential(&world, Kind::ThirdParty).await;
    let tokens = log_in_confidential(&world, &id).await;
    let own = own_token(&world, &id).await;
    let client = directory.client(id.parse().unwrap()).await.unwrap().unwrap();
    let ended = endings::delete_client(&world.platform, client, Actor::Operator).await.unwrap();
    assert_eq!(ended.consents, 1);
    for token in [&tokens.id_token, &tokens.access_token] {
        assert_eq!(mqtt_code(&world, Person::Anna, token).await, 4);
    }
    for (path, token) in
        [("/customers/vehicles/mappings", &tokens.access_token), ("/v2/consents", &own)]
    {
        assert_eq!(world.get(path, token).await.status, StatusCode::UNAUTHORIZED);
    }
    let authorization = basic(&id, SECRET);
    let again = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token)];
    let revoke = [("token", tokens.refresh_token.as_str())];
    let asks: [(&str, &[(&str, &str)]); 3] = [
        (TOKEN_PATH, &again),
        (TOKEN_PATH, &[("grant_type", "client_credentials")]),
        ("/gcdm/oauth/revoke", &revoke),
    ];
    for (path, form) in asks {
        let answer = post_from(&world, HOME, path, form, Some(&authorization)).await;
        assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
    }
}

#[tokio::test]
async fn a_client_that_lost_a_service_gets_nothing_new_for_what_was_consented() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let (device_code, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    world.approve(&user_code, Person::Anna).await;
    subscribe(&world, Services { api: false, stream: true }).await;
    let answer = refresh(&world, &anna(), &tokens.refresh_token).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    let answer = world.poll(Person::Anna.client_id(), &device_code).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
}

#[tokio::test]
async fn a_consent_whose_time_is_over_ends_its_tokens_at_the_second() {
    let world = test_peer::world(Profile::open()).await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    let directory = &world.platform.directory;
    let grant = directory.device_grant_by_user_code(&user_code).await.unwrap().unwrap();
    let lasts = Some(SignedDuration::from_secs(1000));
    let gcid = Person::Anna.gcid();
    super::super::device::approve(&world.platform, &grant, gcid, lasts).await.unwrap();
    let tokens = world.poll(client, &device_code).await.tokens();
    assert_eq!(tokens.expires_in, 1000);
    assert_eq!(payload(&tokens.id_token)["exp"], START.as_second() + 1000);
    world.pass(999);
    let fresh = refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
    assert_eq!(fresh.expires_in, 1);
    let all = [&tokens.id_token, &tokens.access_token, &fresh.id_token, &fresh.access_token];
    for token in all {
        assert_eq!(mqtt_code(&world, Person::Anna, token).await, 0);
    }
    world.pass(1);
    for token in all {
        assert_eq!(mqtt_code(&world, Person::Anna, token).await, 4);
    }
    let answer = world.get("/customers/vehicles/mappings", &fresh.access_token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    for token in [&tokens.refresh_token, &fresh.refresh_token] {
        let answer = refresh(&world, &anna(), token).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
    }
}

#[tokio::test]
async fn parameters_that_are_repeated_or_too_long_are_refused_and_not_echoed_at_length() {
    let world = World::new().await;
    let long = "x".repeat(15_000);
    let id = anna();
    for path in [START_PATH, TOKEN_PATH, "/gcdm/oauth/revoke", "/gcdm/oauth/introspect"] {
        for name in ["client_id", "client_secret", "token", "grant_type", &long] {
            let twice = [("client_id", id.as_str()), (name, "a"), (name, "a")];
            let twice = if name == "client_id" { &twice[..2] } else { &twice[..] };
            let answer = world.post_form(path, twice).await;
            assert_eq!(answer.oauth_error(), error(400, "invalid_request"), "{path} {name}");
            assert!(answer.body.len() < 1000, "{path}");
        }
        let many: Vec<_> = (0..4000).map(|number| format!("{number}=")).collect();
        let body = format!("client_id={id}&{}&token={long}", many.join("&"));
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = world.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_request"), "{path}");
        let form = [("client_id", long.as_str()), ("token", "a"), ("grant_type", "a")];
        let answer = world.post_form(path, &form).await;
        assert!(answer.status.is_client_error() && answer.body.len() < 1000, "{path}");
    }
    let scope =
        [("client_id", id.as_str()), ("grant_type", "client_credentials"), ("scope", &long)];
    let answer = world.post_form(TOKEN_PATH, &scope).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_scope"));
    assert!(answer.body.len() < 1000);
}
