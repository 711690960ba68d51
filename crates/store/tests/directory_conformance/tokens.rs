//! Rules for tokens, for what ends them, and for signing keys.

use std::sync::Arc;

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
        assert_eq!(read(&*directory, "first").await.rotated_at, Some(at(10)), "{name}");
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

pub(crate) async fn a_revoked_consent_is_not_active_and_is_revoked_once(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    assert!(directory.end_consent(consent_id(1), at(10), EndReason::Customer).await.unwrap());
    assert!(!directory.end_consent(consent_id(1), at(20), EndReason::Customer).await.unwrap());
    let consent = directory.consent(consent_id(1)).await.unwrap().unwrap();
    assert!(!consent.is_active());
    assert_eq!(consent.revoked_at, Some(at(10)));
}

pub(crate) async fn a_revoked_consent_takes_its_tokens_and_no_others(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    consented(&*directory, "other", 2).await;
    let (refresh, access) = tokens("second", 1);
    let used = read(&*directory, "first").await;
    directory.rotate_refresh_token(&used, &refresh, &access, at(5)).await.unwrap();
    directory.end_consent(consent_id(1), at(10), EndReason::Customer).await.unwrap();
    for (name, there) in [("first", false), ("second", false), ("other", true)] {
        assert_eq!(directory.refresh_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
        assert_eq!(directory.access_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
    }
    assert!(directory.consent(consent_id(2)).await.unwrap().unwrap().is_active());
}

pub(crate) async fn a_rotation_after_the_revocation_adds_nothing(directory: Arc<impl Directory>) {
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

pub(crate) async fn signing_keys_are_listed_newest_first(directory: Arc<impl Directory>) {
    let key = |number: i64| SigningKey {
        kid: format!("key-{number}"),
        private_pem: format!("-----BEGIN PRIVATE KEY-----\n{number}\n-----END PRIVATE KEY-----\n"),
        created_at: at(number),
    };
    for number in [2, 3, 1] {
        directory.add_signing_key(&key(number)).await.unwrap();
    }
    assert_eq!(directory.signing_keys().await.unwrap(), [key(3), key(2), key(1)]);
}
