//! Rules for the device code flow.

use std::sync::Arc;
use std::time::Duration;

use cardata_domain::device_grant::State;
use cardata_store::Directory;
use tokio::task::JoinSet;

use super::samples::*;

pub(crate) async fn a_grant_comes_back_as_it_was_added(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let states = [State::Pending, State::Approved(gcid(1)), State::Denied, State::Exchanged];
    for (name, state) in ["a", "b", "c", "d"].into_iter().zip(states) {
        let mut added = grant(name, state);
        added.polled_at = Some(at(1));
        directory.add_device_grant(&added, at(0)).await.unwrap();
        assert_eq!(directory.device_grant(&hash(name)).await.unwrap(), Some(added));
    }
}

pub(crate) async fn a_user_code_is_compared_exactly_and_finds_the_newest(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (name, second) in [("a", 300), ("b", 302), ("c", 301)] {
        let mut added = grant(name, State::Pending);
        added.expires_at = at(second);
        directory.add_device_grant(&added, at(0)).await.unwrap();
    }
    let found = directory.device_grant_by_user_code("qYjQrQip").await.unwrap().unwrap();
    assert_eq!(found.device_code_hash, hash("b").0);
    for other in ["qyjqrqip", "QYJQRQIP", "qYjQrQip ", "qYjQrQi%", ""] {
        assert_eq!(directory.device_grant_by_user_code(other).await.unwrap(), None, "{other}");
    }
}

pub(crate) async fn a_poll_is_noted(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    for name in ["a", "b"] {
        directory.add_device_grant(&grant(name, State::Pending), at(0)).await.unwrap();
    }
    for second in [5, 10] {
        directory.note_poll(&hash("a"), at(second)).await.unwrap();
        let grant = directory.device_grant(&hash("a")).await.unwrap().unwrap();
        assert_eq!(grant.polled_at, Some(at(second)));
    }
    let other = directory.device_grant(&hash("b")).await.unwrap();
    assert_eq!(other, Some(grant("b", State::Pending)));
}

pub(crate) async fn a_grant_moves_only_from_where_it_stands(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.add_device_grant(&grant("a", State::Pending), at(0)).await.unwrap();
    let approved = State::Approved(gcid(1));
    // Not there yet; for another customer; decided already; and no such grant.
    assert!(
        !directory.move_device_grant(&hash("a"), approved, State::Exchanged, None).await.unwrap()
    );
    assert!(directory.move_device_grant(&hash("a"), State::Pending, approved, None).await.unwrap());
    let other = State::Approved(gcid(2));
    assert!(!directory.move_device_grant(&hash("a"), other, State::Exchanged, None).await.unwrap());
    assert!(
        !directory
            .move_device_grant(&hash("a"), State::Pending, State::Denied, None)
            .await
            .unwrap()
    );
    assert!(
        !directory
            .move_device_grant(&hash("b"), State::Pending, State::Denied, None)
            .await
            .unwrap()
    );
    assert_eq!(directory.device_grant(&hash("a")).await.unwrap(), Some(grant("a", approved)));
}

pub(crate) async fn a_grant_that_expired_an_hour_ago_may_go_and_one_that_did_not_stays(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.add_device_grant(&grant("a", State::Pending), at(0)).await.unwrap();
    directory.add_device_grant(&grant("b", State::Pending), at(300 + 3600)).await.unwrap();
    let kept = directory.device_grant(&hash("a")).await.unwrap();
    assert_eq!(kept, Some(grant("a", State::Pending)));
}

pub(crate) async fn an_exchange_adds_the_consent_and_its_tokens(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let (refresh, access) = tokens("first", 1);
    assert_eq!(directory.consent(consent_id(1)).await.unwrap(), Some(consent(1)));
    assert_eq!(directory.refresh_token(&refresh.hash).await.unwrap(), Some(refresh));
    assert_eq!(directory.access_token(&access.hash).await.unwrap(), Some(access));
    let grant = directory.device_grant(&hash("first")).await.unwrap().unwrap();
    assert_eq!(grant.state, State::Exchanged);
}

pub(crate) async fn an_exchange_from_another_state_adds_nothing(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let approved = State::Approved(gcid(1));
    let (refresh, access) = tokens("first", 1);
    let states = [State::Pending, State::Denied, State::Exchanged, State::Approved(gcid(2))];
    for (name, state) in ["a", "b", "c", "d"].into_iter().zip(states) {
        directory.add_device_grant(&grant(name, state), at(0)).await.unwrap();
        let exchanged = directory
            .exchange_device_grant(&hash(name), approved, &consent(1), &refresh, &access)
            .await
            .unwrap();
        assert!(!exchanged, "{state:?}");
        let kept = directory.device_grant(&hash(name)).await.unwrap();
        assert_eq!(kept, Some(grant(name, state)));
    }
    assert_eq!(directory.consent(consent_id(1)).await.unwrap(), None);
    assert_eq!(directory.refresh_token(&refresh.hash).await.unwrap(), None);
    assert_eq!(directory.access_token(&access.hash).await.unwrap(), None);
}

pub(crate) async fn of_two_exchanges_at_a_time_exactly_one_wins(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let approved = State::Approved(gcid(1));
    for round in 0..10_u128 {
        let code = format!("code-{round}");
        directory.add_device_grant(&grant(&code, approved), at(0)).await.unwrap();
        let mut exchanges = JoinSet::new();
        for number in [2 * round, 2 * round + 1] {
            let (directory, code) = (directory.clone(), hash(&code));
            exchanges.spawn(async move {
                let (refresh, access) = tokens(&format!("token-{number}"), number);
                let won = directory
                    .exchange_device_grant(&code, approved, &consent(number), &refresh, &access)
                    .await
                    .unwrap();
                (number, won)
            });
        }
        let results = exchanges.join_all().await;
        assert_eq!(results.iter().filter(|(_, won)| *won).count(), 1);
        for (number, won) in results {
            let token = hash(&format!("token-{number}"));
            assert_eq!(directory.consent(consent_id(number)).await.unwrap().is_some(), won);
            assert_eq!(directory.refresh_token(&token).await.unwrap().is_some(), won);
            assert_eq!(directory.access_token(&token).await.unwrap().is_some(), won);
        }
    }
}

pub(crate) async fn an_exchange_that_fails_half_way_leaves_nothing(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let approved = State::Approved(gcid(1));
    directory.add_device_grant(&grant("second", approved), at(0)).await.unwrap();
    // The last row to add is there already.
    let (refresh, mut access) = tokens("second", 2);
    access.hash = hash("first");
    directory
        .exchange_device_grant(&hash("second"), approved, &consent(2), &refresh, &access)
        .await
        .unwrap_err();
    let kept = directory.device_grant(&hash("second")).await.unwrap();
    assert_eq!(kept, Some(grant("second", approved)));
    assert_eq!(directory.consent(consent_id(2)).await.unwrap(), None);
    assert_eq!(directory.refresh_token(&refresh.hash).await.unwrap(), None);
}

pub(crate) async fn an_exchange_whose_caller_goes_away_is_done_whole_or_not_at_all(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let approved = State::Approved(gcid(1));
    for number in 0..60 {
        let name = format!("code-{number}");
        directory.add_device_grant(&grant(&name, approved), at(0)).await.unwrap();
        let (refresh, access) = tokens(&name, number);
        let (code, consent) = (hash(&name), consent(number));
        let exchange =
            directory.exchange_device_grant(&code, approved, &consent, &refresh, &access);
        // Each round gives up a little later, so that all steps get their turn.
        let patience = Duration::from_micros(20) * u32::try_from(number).unwrap();
        tokio::time::timeout(patience, exchange).await.ok();

        // Waits behind whatever is still under way.
        directory.note_poll(&code, at(1)).await.unwrap();
        let grant = directory.device_grant(&code).await.unwrap().unwrap();
        let done = grant.state == State::Exchanged;
        assert!(done || grant.state == approved);
        assert_eq!(directory.consent(consent.id).await.unwrap().is_some(), done);
        assert_eq!(directory.refresh_token(&refresh.hash).await.unwrap().is_some(), done);
        assert_eq!(directory.access_token(&access.hash).await.unwrap().is_some(), done);
    }
}
