//! What a resource server is told of a token.

use super::*;

const PATH: &str = "/gcdm/oauth/introspect";

/// The answer about `token` to a resource server.
async fn about(world: &World, asker: &str, token: &str) -> Value {
    let authorization = basic(asker, SECRET);
    let answer = post_from(world, HOME, PATH, &[("token", token)], Some(&authorization)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    assert!(!answer.body.contains('@'), "no e-mail address: {}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_token_that_is_good_is_told_with_what_it_opens() {
    let world = World::new().await;
    let asker = confidential(&world, Kind::ResourceServer).await;
    let tokens = log_in_anna(&world).await;
    let now = START.as_second();
    let url = "https://localhost:8443";
    let consented = |token_type: &str, aud: &str| {
        json!({
            "active": true, "scope": SCOPES, "client_id": anna(), "token_type": token_type,
            "sub": Person::Anna.gcid().to_string(), "exp": now + 3600, "iat": now, "iss": url,
            "aud": aud,
        })
    };
    world.pass(1800);
    let access = about(&world, &asker, &tokens.access_token).await;
    assert_eq!(access, consented("Bearer", url));
    let id = about(&world, &asker, &tokens.id_token).await;
    assert_eq!(id, consented("id_token", &anna()));

    let fleet = confidential(&world, Kind::ThirdParty).await;
    let own = about(&world, &asker, &own_token(&world, &fleet).await).await;
    let expected = json!({
        "active": true, "scope": "cardata:api:read cardata:streaming:read", "client_id": fleet,
        "token_type": "Bearer", "sub": fleet, "exp": now + 5400, "iat": now + 1800, "iss": url,
        "aud": url,
    });
    assert_eq!(own, expected);
}

#[tokio::test]
async fn of_a_token_that_is_not_good_nothing_is_told_not_even_why() {
    let world = World::new().await;
    let asker = confidential(&world, Kind::ResourceServer).await;
    let fleet = confidential(&world, Kind::ThirdParty).await;
    let tokens = log_in_anna(&world).await;
    let own = own_token(&world, &fleet).await;
    let inactive = json!({"active": false});
    let (device_code, _) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    for token in [&tokens.refresh_token, "never issued", "a.b.c", "..", &device_code] {
        assert_eq!(about(&world, &asker, token).await, inactive, "{token}");
    }
    let all = [&tokens.access_token, &tokens.id_token, &own];
    world.pass(3599);
    for token in all {
        assert_eq!(about(&world, &asker, token).await["active"], true);
    }
    world.pass(1);
    for token in all {
        assert_eq!(about(&world, &asker, token).await, inactive, "expired");
    }
    let tokens = refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
    let directory = &world.platform.directory;
    directory.end_consent(consent_of(&tokens), START, EndReason::Customer).await.unwrap();
    for token in [&tokens.access_token, &tokens.id_token] {
        assert_eq!(about(&world, &asker, token).await, inactive, "revoked");
    }
}

#[tokio::test]
async fn only_a_resource_server_that_proves_itself_may_ask() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let token = ("token", tokens.access_token.as_str());
    let fleet = confidential(&world, Kind::ThirdParty).await;
    let asker = confidential(&world, Kind::ResourceServer).await;
    let ask = async |form: &[(&str, &str)], authorization: Option<String>| {
        let answer = post_from(&world, HOME, PATH, form, authorization.as_deref()).await;
        answer.oauth_error()
    };
    let id = anna();
    for client in [id.as_str(), &Person::Ben.client_id().to_string()] {
        let refused = ask(&[token, ("client_id", client)], None).await;
        assert_eq!(refused, error(400, "unauthorized_client"), "not even about its own");
    }
    let refused = ask(&[token], Some(basic(&fleet, SECRET))).await;
    assert_eq!(refused, error(400, "unauthorized_client"));
    let refused = ask(&[token, ("client_id", &asker)], None).await;
    assert_eq!(refused, error(401, "invalid_client"));
    assert_eq!(ask(&[token], Some(basic(&asker, "x"))).await, error(401, "invalid_client"));
    assert_eq!(ask(&[token], None).await, error(400, "invalid_request"));
    assert_eq!(ask(&[], Some(basic(&asker, SECRET))).await, error(400, "invalid_request"));

    let form = [token, ("client_id", &asker), ("client_secret", SECRET)];
    let answer = post_from(&world, HOME, PATH, &form, None).await;
    assert_eq!(answer.json()["active"], true);

    let directory = &world.platform.directory;
    let known = directory.client(asker.parse().unwrap()).await.unwrap().unwrap();
    let without = Client { secret_hash: None, ..known };
    directory.put_client(&without).await.unwrap();
    let refused = ask(&[token, ("client_id", &asker)], None).await;
    assert_eq!(refused, error(400, "unauthorized_client"), "anybody could say so");
}
