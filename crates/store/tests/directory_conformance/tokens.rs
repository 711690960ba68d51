//! Rules for tokens of consents and of clients, and for signing keys.

use std::sync::Arc;

use cardata_domain::consent::EndReason;
use cardata_domain::refresh::State;
use cardata_store::Directory;
use cardata_store::directory::{RefreshToken, SigningKey, TOKENS_MAX};
use jiff::SignedDuration;

use super::samples::*;

/// The refresh token called `name`, as it is now.
async fn read(directory: &impl Directory, name: &str) -> RefreshToken {
    directory.refresh_token(&hash(name)).await.unwrap().unwrap()
}

pub(crate) async fn a_rotation_marks_the_used_token_once_and_adds_its_successors(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    for (name, second) in [("second", 10), ("third", 20)] {
        let (refresh, access) = tokens(name, 1);
        let used = read(&*directory, "first").await;
        assert!(
            directory.rotate_refresh_token(&used, &refresh, &access, at(second)).await.unwrap()
        );
        assert_eq!(read(&*directory, "first").await.state, State::Rotated { at: at(10) }, "{name}");
        assert_eq!(directory.refresh_token(&hash(name)).await.unwrap(), Some(refresh));
        assert_eq!(directory.access_token(&hash(name)).await.unwrap(), Some(access));
    }
}

pub(crate) async fn of_two_rotations_of_what_was_read_the_same_one_wins(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let used = read(&*directory, "first").await;
    let rotate = |name| {
        let ((refresh, access), used, directory) =
            (tokens(name, 1), used.clone(), directory.clone());
        async move { directory.rotate_refresh_token(&used, &refresh, &access, at(10)).await.unwrap() }
    };
    let (one, other) = tokio::join!(rotate("second"), rotate("third"));
    assert!(one != other);
    let added = directory.refresh_token(&hash("second")).await.unwrap().is_some();
    assert_eq!((added, !added), (one, other));
}

pub(crate) async fn a_rotation_that_fails_half_way_leaves_nothing(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let (refresh, mut access) = tokens("second", 1);
    access.hash = hash("first");
    let used = read(&*directory, "first").await;
    directory.rotate_refresh_token(&used, &refresh, &access, at(10)).await.unwrap_err();
    assert_eq!(read(&*directory, "first").await, tokens("first", 1).0);
    assert_eq!(directory.refresh_token(&hash("second")).await.unwrap(), None);
}

pub(crate) async fn a_rotation_keeps_what_has_not_expired(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    consented(&*directory, "other", 2).await;
    let (refresh, access) = tokens("second", 1);
    // In the last hour of the other tokens, then after the access token's.
    let used = read(&*directory, "first").await;
    directory.rotate_refresh_token(&used, &refresh, &access, at(3599)).await.unwrap();
    let (refresh, mut access) = tokens("third", 1);
    access.expires_at = at(7200);
    let used = read(&*directory, "second").await;
    directory.rotate_refresh_token(&used, &refresh, &access, at(3601)).await.unwrap();
    for name in ["first", "second", "third", "other"] {
        assert!(directory.refresh_token(&hash(name)).await.unwrap().is_some(), "{name}");
        // Expired or not: whoever shows it is told that it expired.
        assert!(directory.access_token(&hash(name)).await.unwrap().is_some(), "{name}");
    }
}

pub(crate) async fn a_rotation_after_the_consents_end_adds_nothing(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let used = read(&*directory, "first").await;
    directory.end_consent(consent_id(1), at(10), EndReason::Customer).await.unwrap();
    let (refresh, access) = tokens("second", 1);
    assert!(!directory.rotate_refresh_token(&used, &refresh, &access, at(10)).await.unwrap());
    assert_eq!(directory.refresh_token(&hash("second")).await.unwrap(), None);
    assert_eq!(directory.access_token(&hash("second")).await.unwrap(), None);
}

pub(crate) async fn of_a_consents_tokens_the_newest_thousand_stay(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "0", 1).await;
    consented(&*directory, "other", 2).await;
    for number in 1..=TOKENS_MAX {
        let used = read(&*directory, &(number - 1).to_string()).await;
        let (mut refresh, mut access) = tokens(&number.to_string(), 1);
        let now = at(i64::from(number) / 1000);
        refresh.expires_at += SignedDuration::from_millis(number.into());
        access.expires_at += SignedDuration::from_millis(number.into());
        assert!(directory.rotate_refresh_token(&used, &refresh, &access, now).await.unwrap());
    }
    for (name, there) in [("0", false), ("1", true), ("1000", true), ("other", true)] {
        assert_eq!(directory.refresh_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
        assert_eq!(directory.access_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
    }
}

pub(crate) async fn an_access_token_is_revoked_once_and_alone(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    consented(&*directory, "other", 2).await;
    assert!(directory.revoke_access_token(&hash("first")).await.unwrap());
    assert!(!directory.revoke_access_token(&hash("first")).await.unwrap());
    assert_eq!(directory.access_token(&hash("first")).await.unwrap(), None);
    assert!(directory.access_token(&hash("other")).await.unwrap().is_some());
    assert_eq!(read(&*directory, "first").await, tokens("first", 1).0);
    assert_eq!(directory.consent(consent_id(1)).await.unwrap(), Some(consent(1)));
}

pub(crate) async fn a_clients_token_comes_back_as_it_was_added_and_is_revoked_once(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "consented", 1).await;
    for name in ["a", "b"] {
        directory.add_client_token(&client_token(name, 1, 60), at(0)).await.unwrap();
    }
    assert!(directory.revoke_client_token(&hash("a")).await.unwrap());
    assert!(!directory.revoke_client_token(&hash("a")).await.unwrap());
    assert_eq!(directory.client_token(&hash("a")).await.unwrap(), None);
    let kept = Some(client_token("b", 1, 60));
    assert_eq!(directory.client_token(&hash("b")).await.unwrap(), kept);
    // A token of one kind is none of the other.
    assert_eq!(directory.client_token(&hash("consented")).await.unwrap(), None);
    assert!(!directory.revoke_client_token(&hash("consented")).await.unwrap());
    assert!(!directory.revoke_access_token(&hash("b")).await.unwrap());
    assert_eq!(directory.client_token(&hash("b")).await.unwrap(), kept);
}

pub(crate) async fn a_clients_expired_tokens_go_when_it_gets_the_next(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (name, client, second) in [("a", 1, 59), ("b", 1, 60), ("c", 1, 61), ("other", 2, 59)] {
        let token = client_token(name, client, second);
        directory.add_client_token(&token, at(0)).await.unwrap();
    }
    directory.add_client_token(&client_token("d", 1, 120), at(60)).await.unwrap();
    for (name, there) in [("a", false), ("b", true), ("c", true), ("d", true), ("other", true)] {
        assert_eq!(directory.client_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
    }
}

pub(crate) async fn of_a_clients_tokens_the_thousand_that_expire_last_stay(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.add_client_token(&client_token("other", 2, 1), at(0)).await.unwrap();
    for number in 0..=TOKENS_MAX {
        let token = client_token(&number.to_string(), 1, i64::from(number) + 10);
        directory.add_client_token(&token, at(0)).await.unwrap();
    }
    for (name, there) in [("0", false), ("1", true), ("1000", true), ("other", true)] {
        assert_eq!(directory.client_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
    }
}

fn key(number: i64) -> SigningKey {
    SigningKey {
        kid: format!("key-{number}"),
        private_pem: format!("-----BEGIN PRIVATE KEY-----\n{number}\n-----END PRIVATE KEY-----\n"),
        created_at: at(number),
    }
}

pub(crate) async fn a_signing_key_is_removed_once_and_alone(directory: Arc<impl Directory>) {
    for number in [1, 2] {
        directory.add_signing_key(&key(number)).await.unwrap();
    }
    assert!(directory.remove_signing_key("key-1").await.unwrap());
    assert!(!directory.remove_signing_key("key-1").await.unwrap());
    assert!(!directory.remove_signing_key("KEY-2").await.unwrap());
    assert_eq!(directory.signing_keys().await.unwrap(), [key(2)]);
}

pub(crate) async fn signing_keys_are_listed_newest_first(directory: Arc<impl Directory>) {
    for number in [2, 3, 1] {
        directory.add_signing_key(&key(number)).await.unwrap();
    }
    assert_eq!(directory.signing_keys().await.unwrap(), [key(3), key(2), key(1)]);
}

pub(crate) async fn a_clients_tokens_are_revoked_together(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    for (name, client) in [("first", 1), ("second", 1), ("another's", 2)] {
        directory.add_client_token(&client_token(name, client, 100), at(0)).await.unwrap();
    }
    assert_eq!(directory.revoke_client_tokens_of(client_id(1)).await.unwrap(), 2);
    assert_eq!(directory.revoke_client_tokens_of(client_id(1)).await.unwrap(), 0);
    assert_eq!(directory.client_token(&hash("first")).await.unwrap(), None);
    assert!(directory.client_token(&hash("another's")).await.unwrap().is_some());
}
