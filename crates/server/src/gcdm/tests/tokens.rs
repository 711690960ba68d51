//! What the tokens are, and how a refresh gives new ones.

use super::*;

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
        gcid: Some(Person::Anna.gcid()),
        client_id: Person::Anna.client_id(),
        mqtt_client_id: "bridge".into(),
    };
    let limit = Connections::PerClient(5);
    let connection = world.platform.router.register(key, Some(consent), limit).await.unwrap();

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
