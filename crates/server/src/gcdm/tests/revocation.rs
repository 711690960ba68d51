//! What ends when a client gives a token back.

use cardata_domain::ledger::{Act, Actor};
use cardata_store::directory::LedgerQuery;

use super::*;

const PATH: &str = "/gcdm/oauth/revoke";

async fn revoke(world: &World, client_id: &str, token: &str) -> Answer {
    let form = [("client_id", client_id), ("token", token), ("token_type_hint", "access_token")];
    world.post_form(PATH, &form).await
}

/// The answer that says nothing but that it is done.
fn is_done(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "{}"));
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
}

async fn is_active(world: &World, tokens: &TokenResponse) -> bool {
    let consent = world.platform.directory.consent(consent_of(tokens)).await.unwrap().unwrap();
    consent.is_active(world.platform.clock.now())
}

fn key() -> SessionKey {
    SessionKey {
        gcid: Some(Person::Anna.gcid()),
        client_id: Person::Anna.client_id(),
        mqtt_client_id: "bridge".into(),
    }
}

#[tokio::test]
async fn a_refresh_token_given_back_ends_the_consent_with_all_that_rests_on_it() {
    for rotated in [false, true] {
        let world = World::new().await;
        let first = log_in_anna(&world).await;
        let second = refresh(&world, &anna(), &first.refresh_token).await.tokens();
        let router = &world.platform.router;
        let limit = Connections::PerClient(5);
        let stream = router.register(key(), Some(consent_of(&first)), limit).await.unwrap();
        let shown = if rotated { &first } else { &second };
        let gone = async {
            stream.wanted_closed().await;
            drop(stream);
        };
        let client = anna();
        let (answer, ()) = tokio::join!(revoke(&world, &client, &shown.refresh_token), gone);
        is_done(&answer);
        assert!(!is_active(&world, &first).await);
        for tokens in [&first, &second] {
            let access = verify::access_token(&world.platform, &tokens.access_token).await;
            assert!(matches!(access, Err(VerifyError::Invalid | VerifyError::Revoked)));
            let id = verify::id_token(&world.platform, &tokens.id_token).await;
            assert!(matches!(id, Err(VerifyError::Revoked)));
            let answer = refresh(&world, &anna(), &tokens.refresh_token).await;
            assert_eq!(answer.oauth_error(), error(400, "invalid_grant"));
        }
        let query = LedgerQuery { limit: 1, on_consent: true, ..LedgerQuery::default() };
        let (_, line) = world.platform.directory.ledger(query).await.unwrap().remove(0);
        assert_eq!((line.act, line.actor), (Act::ConsentEnded, Actor::Client));
        assert_eq!(
            (&line.detail["why"], &line.detail["streams_closed"]),
            (&json!("CLIENT"), &json!(1))
        );
        is_done(&revoke(&world, &anna(), &shown.refresh_token).await);
    }
}

#[tokio::test]
async fn an_access_token_given_back_ends_alone_and_streams_ask_for_another() {
    let world = World::new().await;
    let first = log_in_anna(&world).await;
    let second = refresh(&world, &anna(), &first.refresh_token).await.tokens();
    let router = &world.platform.router;
    let limit = Connections::PerClient(5);
    let stream = router.register(key(), Some(consent_of(&first)), limit).await.unwrap();
    is_done(&revoke(&world, &anna(), &first.access_token).await);
    let ended = verify::access_token(&world.platform, &first.access_token).await;
    assert!(matches!(ended, Err(VerifyError::Invalid)));
    assert!(stream.close_reason().is_some(), "it may have come with that token");
    assert!(is_active(&world, &first).await);
    assert!(verify::access_token(&world.platform, &second.access_token).await.is_ok());
    assert!(verify::id_token(&world.platform, &first.id_token).await.is_ok());
    refresh(&world, &anna(), &second.refresh_token).await.tokens();
}

#[tokio::test]
async fn a_clients_own_token_is_given_back_by_that_client_with_its_secret() {
    let world = World::new().await;
    let [id, other] = [
        confidential(&world, Kind::ThirdParty).await,
        confidential(&world, Kind::ThirdParty).await,
    ];
    let token = own_token(&world, &id).await;
    let give_back = async |id: &str, secret: &str| {
        post_from(&world, HOME, PATH, &[("token", &token)], Some(&basic(id, secret))).await
    };
    let is_good = async || verify::client_token(&world.platform, &token).await.is_ok();
    assert_eq!(give_back(&id, "wrong").await.oauth_error(), error(401, "invalid_client"));
    is_done(&give_back(&other, SECRET).await);
    assert!(is_good().await);
    is_done(&give_back(&id, SECRET).await);
    assert!(!is_good().await);
}

#[tokio::test]
async fn another_clients_token_and_one_that_is_none_get_the_same_answer_and_nothing_happens() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let fleet = confidential(&world, Kind::ThirdParty).await;
    let own = own_token(&world, &fleet).await;
    let ben = Person::Ben.client_id().to_string();
    for token in [&tokens.refresh_token, &tokens.access_token, &own, "never issued", "ä", "a b"] {
        is_done(&revoke(&world, &ben, token).await);
    }
    assert!(is_active(&world, &tokens).await);
    assert!(verify::access_token(&world.platform, &tokens.access_token).await.is_ok());
    assert!(verify::client_token(&world.platform, &own).await.is_ok());
    refresh(&world, &anna(), &tokens.refresh_token).await.tokens();
}

#[tokio::test]
async fn what_can_not_be_given_back_is_told_apart_from_what_is_done() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    let answer = revoke(&world, &anna(), &tokens.id_token).await;
    assert_eq!(answer.oauth_error(), error(400, "unsupported_token_type"));
    // Whether an id token is genuine, or whose, does not show.
    let other = revoke(&world, &Person::Ben.client_id().to_string(), "a.b.c").await;
    assert_eq!(other.body, answer.body);
    let answer = world.post_form(PATH, &[("client_id", &anna())]).await;
    assert_eq!(answer.oauth_error(), error(400, "invalid_request"));
    let answer = revoke(&world, "00000000-0000-4000-8000-000000000000", "any").await;
    assert_eq!(answer.oauth_error(), error(401, "invalid_client"));
}

#[tokio::test]
async fn an_expired_refresh_token_ends_nothing_any_more() {
    let world = World::new().await;
    let tokens = log_in_anna(&world).await;
    world.pass(1_209_600);
    is_done(&revoke(&world, &anna(), &tokens.refresh_token).await);
    assert!(is_active(&world, &tokens).await);
}
