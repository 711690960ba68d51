//! Which tokens of ours open a door.

use super::*;

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
