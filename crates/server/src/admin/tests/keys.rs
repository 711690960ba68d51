//! Signing keys are listed, changed and removed.

use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, lines, newest, refuse};
use crate::test_platform::{Person, SCOPES, World};

#[tokio::test]
async fn a_new_key_signs_and_the_old_one_goes_when_its_tokens_have_expired() {
    let world = World::new().await;
    let old = get(&world, "/keys").await["keys"][0]["kid"].as_str().unwrap().to_owned();
    let signs = format!("/keys/{old}");
    refuse(&world, "DELETE", &signs, Value::Null, 409, "signs").await;
    let rotated = done(&world, "POST", "/keys/rotate", Value::Null, 201).await;
    let new = rotated["kid"].as_str().unwrap();
    assert_eq!(newest(&world, Act::KeyRotated).await.detail["kid"], new);
    let keys = get(&world, "/keys").await;
    let shown: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|key| (&key["kid"], &key["signs"])).collect();
    assert_eq!(shown, [(&json!(new), &json!(true)), (&json!(old), &json!(false))]);
    assert!(!keys.to_string().contains("PRIVATE"));
    refuse(&world, "DELETE", &signs, Value::Null, 409, "until").await;
    world.pass(2 * 3600);
    done(&world, "DELETE", &signs, Value::Null, 200).await;
    assert_eq!(newest(&world, Act::KeyRetired).await.detail["kid"], old);
    refuse(&world, "DELETE", &signs, Value::Null, 404, "no signing key").await;
    world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
}

#[tokio::test]
async fn what_does_not_go_with_a_key_is_refused() {
    let world = World::new().await;
    refuse(&world, "POST", "/keys/rotate", json!({"kid": "x"}), 400, "`kid`").await;
    refuse(&world, "DELETE", "/keys/x", Value::Null, 404, "no signing key").await;
    assert_eq!(lines(&world).await, 0);
}
