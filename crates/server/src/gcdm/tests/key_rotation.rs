//! Keys change while the server runs, and nobody is logged out.

use super::*;
use crate::gcdm::keys::{KeyInfo, RetireError};
use crate::stream::test_peer::{self, Peer};

fn kid(jwt: &str) -> String {
    jsonwebtoken::decode_header(jwt).unwrap().kid.unwrap()
}

fn told(keys: &Keys) -> Vec<(String, bool)> {
    keys.list().into_iter().map(|KeyInfo { kid, signs, .. }| (kid, signs)).collect()
}

#[tokio::test]
async fn after_a_rotation_new_tokens_have_the_new_key_and_old_ones_open_what_they_did() {
    let world = test_peer::world(Profile::open()).await;
    let (platform, gcid) = (&world.platform, Person::Anna.gcid().to_string());
    let before = log_in_anna(&world).await;
    let (mut open, code, _) = Peer::connect(&world, &gcid, &before.id_token, "open", true).await;
    assert_eq!(code, 0);
    world.pass(60);
    let now = platform.clock.now();
    let new = platform.keys.rotate(&*platform.directory, now).await.unwrap();
    let old = kid(&before.id_token);
    assert_ne!(old, new);
    let after = refresh(&world, &anna(), &before.refresh_token).await.tokens();
    assert_eq!(kid(&after.id_token), new);
    for tokens in [&before, &after] {
        let claims = verify::id_token(platform, &tokens.id_token).await.unwrap();
        assert_eq!(claims.consent_id, consent_of(tokens));
        let (_, code, _) = Peer::connect(&world, &gcid, &tokens.id_token, "new", true).await;
        assert_eq!(code, 0);
        let answer = world.get("/customers/vehicles/mappings", &tokens.access_token).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert!(open.is_quiet().await, "the stream goes on");
    let published = world.get("/.well-known/jwks.json", "").await;
    assert_eq!(published.headers[CACHE_CONTROL], "public, max-age=300");
    let published: JwkSet = serde_json::from_value(published.json()).unwrap();
    assert!(published.find(&old).is_some() && published.find(&new).is_some());

    let again = Keys::open(&*platform.directory, now).await.unwrap();
    assert_eq!(told(&again), [(new, true), (old, false)], "also after a restart");
    assert_eq!(again.list(), platform.keys.list());
    let issuer = &platform.public_url;
    assert!(again.open_id_token(&before.id_token, issuer).is_some());
    assert!(again.open_id_token(&before.id_token, "https://elsewhere").is_none());
}

#[tokio::test]
async fn a_key_is_retired_once_none_of_its_tokens_can_be_alive() {
    let world = World::new().await;
    let (platform, directory) = (&world.platform, &*world.platform.directory);
    let keys = &platform.keys;
    let tokens = log_in_anna(&world).await;
    let old = kid(&tokens.id_token);
    let retire = async |kid: &str| keys.retire(directory, kid, platform.clock.now()).await;
    assert!(matches!(retire(&old).await, Err(RetireError::Signs(_))));
    assert!(matches!(retire("never made").await, Err(RetireError::Unknown(_))));

    world.pass(60);
    let new = keys.rotate(directory, platform.clock.now()).await.unwrap();
    let end = platform.clock.now() + SignedDuration::from_secs(3600);
    world.pass(3599);
    let refused = retire(&old).await.unwrap_err();
    assert!(matches!(&refused, RetireError::InUse { until, .. } if *until == end), "{refused}");
    assert!(matches!(retire(&new).await, Err(RetireError::Signs(_))));
    assert!(verify::id_token(platform, &tokens.id_token).await.is_ok());

    world.pass(1);
    retire(&old).await.unwrap();
    assert_eq!(told(keys), [(new, true)]);
    assert_eq!(directory.signing_keys().await.unwrap().len(), 1);
    let gone = verify::id_token(platform, &tokens.id_token).await;
    assert!(matches!(gone, Err(VerifyError::Invalid)));
    assert!(matches!(retire(&old).await, Err(RetireError::Unknown(_))));
    // It had expired before; whoever holds it refreshes, and is not logged out.
    refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
}

#[tokio::test]
async fn a_key_is_old_once_any_newer_one_signs_and_not_only_the_newest() {
    let world = World::new().await;
    let (keys, directory) = (&world.platform.keys, &*world.platform.directory);
    let at = |seconds| START + SignedDuration::from_secs(seconds);
    let first = keys.list()[0].kid.clone();
    let second = keys.rotate(directory, at(100)).await.unwrap();
    let third = keys.rotate(directory, at(2000)).await.unwrap();
    assert_eq!(
        told(keys),
        [(third.clone(), true), (second.clone(), false), (first.clone(), false)]
    );
    keys.retire(directory, &first, at(3700)).await.unwrap();
    let refused = keys.retire(directory, &second, at(5599)).await;
    assert!(matches!(refused, Err(RetireError::InUse { .. })));
    keys.retire(directory, &second, at(5600)).await.unwrap();
    assert_eq!(told(keys), [(third, true)]);
}

#[tokio::test]
async fn the_key_that_was_made_last_signs_also_when_the_clock_went_back() {
    let world = World::new().await;
    let (keys, directory) = (&world.platform.keys, &*world.platform.directory);
    let past = START - SignedDuration::from_hours(24);
    let new = keys.rotate(directory, past).await.unwrap();
    assert_eq!(told(keys)[0], (new.clone(), true));
    let again = Keys::open(directory, past).await.unwrap();
    assert_eq!(told(&again)[0], (new, true));
}

#[tokio::test]
async fn two_rotations_at_a_time_both_count() {
    let world = World::new().await;
    let (keys, directory) = (&world.platform.keys, &*world.platform.directory);
    let (one, other) = tokio::join!(keys.rotate(directory, START), keys.rotate(directory, START));
    assert_ne!(one.unwrap(), other.unwrap());
    let stored: Vec<_> =
        directory.signing_keys().await.unwrap().into_iter().map(|key| key.kid).collect();
    let known: Vec<_> = keys.list().into_iter().map(|key| key.kid).collect();
    assert_eq!((known.len(), known), (3, stored));
}
