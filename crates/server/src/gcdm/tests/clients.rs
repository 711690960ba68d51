//! How a client proves who it is, what it gets for itself, and how often it may ask.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use super::*;

async fn for_itself(world: &World, scope: &str, authorization: Option<&str>) -> Answer {
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    post_from(world, HOME, TOKEN_PATH, &form, authorization).await
}

#[tokio::test]
async fn a_client_with_a_secret_shows_it_wherever_it_asks() {
    let world = World::new().await;
    let id = confidential(&world, Kind::ThirdParty).await;
    let start = [
        ("client_id", id.as_str()),
        ("scope", SCOPES),
        ("code_challenge", PKCE.1),
        ("code_challenge_method", "S256"),
    ];
    let tokens = log_in_confidential(&world, &id).await;
    let poll = [
        ("client_id", id.as_str()),
        ("grant_type", GRANT_DEVICE_CODE),
        ("device_code", "any"),
        ("code_verifier", PKCE.0),
    ];
    let refresh = [
        ("client_id", id.as_str()),
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh_token.as_str()),
    ];
    let revoke = [("client_id", id.as_str()), ("token", tokens.refresh_token.as_str())];
    let doors: [(&str, &[(&str, &str)]); 4] = [
        (START_PATH, &start),
        (TOKEN_PATH, &poll),
        (TOKEN_PATH, &refresh),
        ("/gcdm/oauth/revoke", &revoke),
    ];
    for (path, form) in doors {
        let wrong = [form, &[("client_secret", "a guess")]].concat();
        for (form, authorization) in [
            (form, None),
            (&wrong, None),
            (form, Some(basic(&id, "a guess"))),
            (form, Some(basic(&id, ""))),
            (form, Some("Basic ???".to_owned())),
        ] {
            let answer = post_from(&world, HOME, path, form, authorization.as_deref()).await;
            assert_eq!(answer.oauth_error(), error(401, "invalid_client"), "{path}");
            assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
            assert!(!answer.body.contains("a guess"), "{}", answer.body);
        }
        let both = [form, &[("client_secret", SECRET)]].concat();
        let answer = post_from(&world, HOME, path, &both, Some(&basic(&id, SECRET))).await;
        assert_eq!(answer.oauth_error(), error(400, "invalid_request"), "two proofs at {path}");
        // Minutes pass, so that the limit of guesses is not what is seen here.
        world.pass(60);
    }
    let right = [refresh.as_slice(), &[("client_secret", SECRET)]].concat();
    let tokens = world.post_form(TOKEN_PATH, &right).await.tokens();
    assert_eq!(tokens.scope, SCOPES);
    let other = anna();
    let another = [("client_id", other.as_str()), ("grant_type", "client_credentials")];
    let answer = post_from(&world, HOME, TOKEN_PATH, &another, Some(&basic(&id, SECRET))).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_request"), "two clients in one request");
}

#[tokio::test]
async fn a_client_without_a_secret_is_named_in_the_body_whatever_else_it_sends() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token.as_str())];
    // OAuth libraries try this first, and the other way next.
    let answer = post_from(&world, HOME, TOKEN_PATH, &form, Some(&basic(&anna(), ""))).await;
    assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
    let id = anna();
    let body = [form.as_slice(), &[("client_id", id.as_str()), ("client_secret", "x")]].concat();
    let answer = post_from(&world, HOME, TOKEN_PATH, &body, Some("Bearer abc")).await;
    assert_eq!(answer.tokens().scope, SCOPES);
}

#[tokio::test]
async fn a_third_partys_client_gets_a_token_for_itself_and_no_more_than_that() {
    let world = World::new().await;
    let id = confidential(&world, Kind::ThirdParty).await;
    let authorization = basic(&id, SECRET);
    let answer = for_itself(&world, "", Some(&authorization)).await;
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let body = answer.json();
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(body["scope"], "cardata:api:read cardata:streaming:read");
    let token = body["access_token"].as_str().unwrap();

    let claims = verify::client_token(&world.platform, token).await.unwrap();
    assert_eq!(claims.client_id.to_string(), id);
    assert_eq!(claims.expires_at, START + SignedDuration::from_secs(3600));
    for other in [
        verify::access_token(&world.platform, token).await,
        verify::stream_password(&world.platform, token).await,
    ] {
        assert!(matches!(other, Err(VerifyError::Invalid)), "nobody's data");
    }
    let answer = world.get("/customers/vehicles/mappings", token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    let granted = async |scope| for_itself(&world, scope, Some(&authorization)).await;
    let narrow = granted("openid cardata:api:read").await.json();
    assert_eq!(narrow["scope"], "cardata:api:read");
    for scope in ["openid", "admin", "cardata:api:write"] {
        assert_eq!(granted(scope).await.oauth_error(), error(400, "invalid_scope"), "{scope}");
    }
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id.as_str()),
        ("client_secret", SECRET),
    ];
    assert_eq!(world.post_form(TOKEN_PATH, &form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn other_clients_get_no_token_for_themselves() {
    let world = World::new().await;
    let personal = confidential(&world, Kind::Personal(Person::Anna.gcid())).await;
    let asks = confidential(&world, Kind::ResourceServer).await;
    for id in [&personal, &asks] {
        let answer = for_itself(&world, "", Some(&basic(id, SECRET))).await;
        assert_eq!(answer.oauth_error(), error(400, "unauthorized_client"));
    }
    for id in [anna(), third_party().to_string()] {
        let form = [("grant_type", "client_credentials"), ("client_id", id.as_str())];
        let answer = world.post_form(TOKEN_PATH, &form).await;
        assert_eq!(answer.oauth_error(), error(400, "unauthorized_client"));
    }
    let unknown = basic("00000000-0000-4000-8000-000000000000", SECRET);
    let answer = for_itself(&world, "", Some(&unknown)).await;
    assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
}

#[tokio::test]
async fn a_clients_own_token_ends_with_what_the_client_loses() {
    let world = World::new().await;
    let directory = &world.platform.directory;
    let id = confidential(&world, Kind::ThirdParty).await;
    let token = own_token(&world, &id).await;
    let client = directory.client(id.parse().unwrap()).await.unwrap().unwrap();
    let verified = async || verify::client_token(&world.platform, &token).await;
    let put = async |client: &Client| directory.put_client(client).await.unwrap();

    put(&Client { services: Services { api: false, stream: true }, ..client.clone() }).await;
    assert_eq!(verified().await.unwrap().scopes.to_string(), "cardata:streaming:read");
    put(&Client { services: Services::default(), ..client.clone() }).await;
    assert!(matches!(verified().await, Err(VerifyError::Invalid)));
    put(&Client { secret_hash: None, ..client.clone() }).await;
    assert!(matches!(verified().await, Err(VerifyError::Invalid)));
    put(&client).await;
    assert!(verified().await.is_ok());
    put(&Client { state: client.delete(START).unwrap(), ..client }).await;
    assert!(matches!(verified().await, Err(VerifyError::Invalid)));
    let answer = for_itself(&world, "", Some(&basic(&id, SECRET))).await;
    assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
}

#[tokio::test]
async fn an_address_that_guesses_secrets_must_wait() {
    let world = World::new().await;
    let id = confidential(&world, Kind::ThirdParty).await;
    let form = [("grant_type", "client_credentials")];
    let show = async |address, secret: &str| {
        post_from(&world, address, TOKEN_PATH, &form, Some(&basic(&id, secret))).await
    };
    for _ in 0..20 {
        assert_eq!(show(HOME, "wrong").await.oauth_error(), error(401, "invalid_client"));
        assert_eq!(show([192, 0, 2, 9], SECRET).await.status, StatusCode::OK);
    }
    for secret in ["wrong", SECRET] {
        let answer = show(HOME, secret).await;
        assert_eq!(answer.oauth_error(), error(429, "slow_down"));
        assert_eq!(answer.headers[RETRY_AFTER], "60");
    }
    world.pass(60);
    assert_eq!(show(HOME, SECRET).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_whose_secret_many_guess_is_kept_out_only_where_it_never_was() {
    let world = World::new().await;
    let id = confidential(&world, Kind::ThirdParty).await;
    let form = [("grant_type", "client_credentials")];
    let show = async |address, secret: &str| {
        post_from(&world, address, TOKEN_PATH, &form, Some(&basic(&id, secret))).await
    };
    assert_eq!(show(HOME, SECRET).await.status, StatusCode::OK);
    for guess in 0..100_u8 {
        let answer = show([198, 51, 100, guess / 10], "wrong").await;
        assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
    }
    let elsewhere = show([203, 0, 113, 1], SECRET).await;
    assert_eq!(elsewhere.oauth_error(), error(429, "slow_down"));
    assert_eq!(show(HOME, SECRET).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_address_asks_six_hundred_times_a_minute_and_a_client_that_proved_itself_more_often() {
    let world = World::new().await;
    let id = confidential(&world, Kind::ThirdParty).await;
    let form = [("client_id", "unknown"), ("token", "any")];
    let ask = async |address, path| post_from(&world, address, path, &form, None).await;
    own_token(&world, &id).await;
    for number in 0..599 {
        let path = ["/gcdm/oauth/revoke", "/gcdm/oauth/introspect"][number % 2];
        assert_eq!(ask(HOME, path).await.oauth_error(), error(401, "invalid_client"));
    }
    for path in ["/gcdm/oauth/revoke", "/gcdm/oauth/introspect"] {
        let answer = ask(HOME, path).await;
        assert_eq!(answer.oauth_error(), error(429, "slow_down"));
        assert_eq!(answer.headers[RETRY_AFTER], "60");
    }
    let tokens = refresh(&world, &anna(), "any").await;
    assert_eq!(tokens.oauth_error(), error(400, "invalid_grant"), "another address");
    let form = [("client_id", id.as_str()), ("client_secret", SECRET), ("token", "any")];
    let known = post_from(&world, HOME, "/gcdm/oauth/revoke", &form, None).await;
    assert_eq!(known.status, StatusCode::OK);
    world.pass(60);
    let answer = ask(HOME, "/gcdm/oauth/revoke").await;
    assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
}

#[tokio::test]
async fn what_the_service_offers_is_told_under_two_names() {
    let world = World::new().await;
    let oidc = world.get("/.well-known/openid-configuration", "").await.json();
    let oauth = world.get("/.well-known/oauth-authorization-server", "").await.json();
    assert_eq!(oidc, oauth);
    for name in ["token", "revocation", "introspection", "device_authorization"] {
        let endpoint = oidc[format!("{name}_endpoint")].as_str().unwrap();
        let path = endpoint.strip_prefix("https://localhost:8443").unwrap();
        let answer = world.post_form(path, &[("client_id", "unknown")]).await;
        assert_ne!(answer.status, StatusCode::NOT_FOUND, "{name}");
        assert!(answer.json()["error"].is_string());
    }
    for grant in oidc["grant_types_supported"].as_array().unwrap() {
        let form = [("client_id", anna()), ("grant_type", grant.as_str().unwrap().to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = world.post_form(TOKEN_PATH, &form).await.oauth_error();
        assert_ne!(answer, error(400, "unsupported_grant_type"), "{grant}");
    }
}
