//! What ends when a right ends, on open streams.

use cardata_domain::ledger::Act;
use cardata_domain::session::SessionKey;
use cardata_domain::vehicle::Mapping;
use cardata_store::directory::LedgerQuery;

use super::*;
use crate::profile::Profile;
use crate::stream::test_peer::{
    ANNAS, BENS, ODOMETER, Peer, SHARED, SOC, add_container, id_token, report, soc, world,
};
use crate::test_platform::{Person, SCOPES, START, World, third_party};

/// A stream of Anna's to all her vehicles, that shows the state of charge.
async fn stream(world: &World) -> Peer {
    let token = id_token(world, Person::Anna).await;
    add_container(world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let (mut peer, _) = Peer::connected(world, Person::Anna, &token, "keeper", false).await;
    let filter = format!("{}/+", Person::Anna.gcid());
    assert_eq!(peer.subscribe(&filter, 1).await, 1);
    peer
}

async fn details(
    world: &World,
    gcid: Gcid,
    act: Act,
) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let query = LedgerQuery { gcid: Some(gcid), limit: 100, ..Default::default() };
    let lines = world.platform.directory.ledger(query).await.unwrap();
    lines.into_iter().filter(|(_, line)| line.act == act).map(|(_, line)| line.detail).collect()
}

fn vin(text: &str) -> Vin {
    text.parse().unwrap()
}

async fn map(world: &World, text: &str, person: Person) {
    let mapping = Mapping {
        gcid: person.gcid(),
        vin: vin(text),
        mapping_type: MappingType::Primary,
        since: START,
    };
    world.platform.directory.put_mapping(&mapping).await.unwrap();
    assert_eq!(look_anew(&world.platform, person.gcid()).await, 1);
}

#[tokio::test]
async fn a_vehicle_comes_and_goes_on_an_open_stream() {
    let world = world(Profile::open()).await;
    let mut peer = stream(&world).await;
    report(&world, SHARED, 1).await;
    report(&world, ANNAS, 2).await;
    assert_eq!(peer.values().await, soc(2), "of another customer's vehicle nothing comes");
    map(&world, SHARED, Person::Anna).await;
    report(&world, SHARED, 3).await;
    assert_eq!(peer.values().await, soc(3));

    let ended = end_mapping(&world.platform, Person::Anna.gcid(), vin(SHARED), Actor::Operator);
    let ended = ended.await.unwrap().unwrap();
    assert_eq!(ended.streams, 1);
    report(&world, SHARED, 4).await;
    report(&world, ANNAS, 5).await;
    assert_eq!(peer.values().await, soc(5));
    let lines = details(&world, Person::Anna.gcid(), Act::MappingEnded).await;
    assert!(lines[0]["took_ms"].is_u64(), "{lines:?}");
    let again = end_mapping(&world.platform, Person::Anna.gcid(), vin(SHARED), Actor::Operator);
    assert_eq!(again.await.unwrap(), None);
}

#[tokio::test]
async fn the_next_owner_of_a_vehicle_sees_nothing_of_the_one_before_and_the_other_way_round() {
    let world = world(Profile::open()).await;
    let peer = stream(&world).await;
    report(&world, ANNAS, 1).await;
    peer.leave().await;
    end_mapping(&world.platform, Person::Anna.gcid(), vin(ANNAS), Actor::Operator).await.unwrap();
    assert!(world.platform.journal.latest(vin(ANNAS)).await.unwrap().is_empty());
    // Somebody else drives it, and then it comes back.
    report(&world, ANNAS, 2).await;
    map_quietly(&world, ANNAS).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(present, "the session itself goes on");
    report(&world, ANNAS, 3).await;
    assert_eq!(peer.values().await, soc(3));
}

async fn map_quietly(world: &World, text: &str) {
    let mapping = Mapping {
        gcid: Person::Anna.gcid(),
        vin: vin(text),
        mapping_type: MappingType::Primary,
        since: START,
    };
    world.platform.directory.put_mapping(&mapping).await.unwrap();
}

#[tokio::test]
async fn an_ended_consent_leaves_no_backlog_even_when_it_is_given_again() {
    let world = world(Profile::open()).await;
    let peer = stream(&world).await;
    peer.leave().await;
    report(&world, ANNAS, 1).await;
    let consents = world.platform.directory.consents_of(Person::Anna.gcid()).await.unwrap();
    let (why, actor) = (EndReason::Customer, Actor::Customer);
    let ended = end_consents(&world.platform, consents.clone(), why, actor).await.unwrap();
    assert_eq!((ended.consents, ended.streams), (1, 0));
    let again = end_consents(&world.platform, consents, why, actor).await.unwrap();
    assert_eq!(again.consents, 0, "it ends once");
    report(&world, ANNAS, 2).await;

    let token = id_token(&world, Person::Anna).await;
    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(!present);
    let filter = format!("{}/+", Person::Anna.gcid());
    peer.subscribe(&filter, 1).await;
    assert_eq!(peer.values().await, soc(2), "the newest value, as any subscription brings it");
    report(&world, ANNAS, 3).await;
    assert_eq!(peer.values().await, soc(3));
    assert_eq!(details(&world, Person::Anna.gcid(), Act::ConsentEnded).await.len(), 1);
}

#[tokio::test]
async fn one_of_two_consents_of_a_client_ends_without_the_backlog_of_the_other() {
    let world = world(Profile::open()).await;
    let peer = stream(&world).await;
    peer.leave().await;
    // The program logged in twice, and gives the first token family back.
    world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    let consents = world.platform.directory.consents_of(Person::Anna.gcid()).await.unwrap();
    let first = consents[..1].to_vec();
    end_consents(&world.platform, first, EndReason::Client, Actor::Client).await.unwrap();
    let key = SessionKey {
        gcid: Some(Person::Anna.gcid()),
        client_id: Person::Anna.client_id(),
        mqtt_client_id: "keeper".into(),
    };
    assert!(world.platform.directory.session(&key, START).await.unwrap().is_some());
}

#[tokio::test]
async fn deleting_a_client_closes_its_streams_and_no_others() {
    let world = world(Profile::open()).await;
    let mut peer = stream(&world).await;
    let bens = id_token(&world, Person::Ben).await;
    let (mut bystander, _) = Peer::connected(&world, Person::Ben, &bens, "b", true).await;
    let client = world.platform.directory.client(Person::Anna.client_id()).await.unwrap().unwrap();
    let ending = delete_client(&world.platform, client, Actor::Customer);
    let (ended, last) = tokio::join!(ending, peer.receive());
    assert_eq!((ended.unwrap().streams, last), (1, None));
    let lines = details(&world, Person::Anna.gcid(), Act::ConsentEnded).await;
    assert_eq!(lines[0]["streams_closed"], 1);
    assert!(lines[0]["took_ms"].is_u64(), "{lines:?}");
    add_container(&world, Person::Ben, Person::Ben.client_id(), ODOMETER).await;
    assert!(bystander.is_quiet().await);
    // A deleted client begins no log-in any more.
    let form = [
        ("client_id", &*Person::Anna.client_id().to_string()),
        ("scope", SCOPES),
        ("code_challenge", crate::test_platform::PKCE.1),
        ("code_challenge_method", "S256"),
    ];
    let refused = world.post_form("/gcdm/oauth/device/code", &form).await;
    assert_eq!(refused.oauth_error().0, 400);
}

#[tokio::test]
async fn deleting_a_customer_ends_streams_and_leaves_the_others_what_is_theirs() {
    let world = world(Profile::open()).await;
    let mut peer = stream(&world).await;
    report(&world, BENS, 1).await;
    let gcid = Person::Anna.gcid();
    let ending = delete_customer(&world.platform, gcid, Actor::Customer);
    let (existed, last) = tokio::join!(ending, peer.receive());
    assert_eq!((existed.unwrap(), last), (true, None));
    assert!(!world.platform.journal.latest(vin(BENS)).await.unwrap().is_empty());
    assert!(
        details(&world, gcid, Act::ConsentEnded).await.is_empty(),
        "the ledger forgets them, too"
    );
    assert!(!delete_customer(&world.platform, gcid, Actor::Customer).await.unwrap());
    let third = world.platform.directory.client(third_party()).await.unwrap().unwrap();
    assert!(third.is_active(), "a third party is nobody's");
}

#[tokio::test]
async fn a_choice_of_values_and_of_precision_reaches_an_open_stream() {
    const LATITUDE: &str = cardata_domain::privacy::LATITUDE;
    const LONGITUDE: &str = cardata_domain::privacy::LONGITUDE;
    let world = world(Profile::open()).await;
    let (platform, gcid) = (&world.platform, Person::Anna.gcid());
    let client_id = Person::Anna.client_id();
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    peer.subscribe(&format!("{gcid}/+"), 1).await;
    let tick = async |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let changed = change_entitlement(platform, gcid, client_id, async move |platform| {
            let directory = &platform.directory;
            let put = directory.put_stream_configuration(gcid, client_id, &names, START).await;
            put.map_err(EndError::from)?;
            Ok::<_, EndError>(((), None))
        });
        changed.await.unwrap();
    };
    let drive = async |longitude: &str| {
        let at = "2026-07-27T12:37:58Z";
        let json = format!(
            r#"{{"vin":"{ANNAS}","timestamp":"{at}","data":{{
                "{LATITUDE}":{{"timestamp":"{at}","value":48.177012}},
                "{LONGITUDE}":{{"timestamp":"{at}","value":{longitude}}},
                "{SOC}":{{"timestamp":"{at}","value":7}}}}}}"#
        );
        let event = cardata_contract::stream::parse(json.as_bytes(), &platform.catalogue).unwrap();
        platform.journal.append(vec![event.event], START).await.unwrap();
    };
    let message = async |peer: &mut Peer| {
        let (_, body) = peer.receive().await.unwrap();
        String::from_utf8_lossy(&body).into_owned()
    };
    drive("11.1").await;
    tick(&[SOC]).await;
    drive("11.2").await;
    let seen = message(&mut peer).await;
    assert!(seen.contains(SOC) && !seen.contains(LATITUDE), "{seen}");
    tick(&[LATITUDE, LONGITUDE]).await;
    drive("11.345678").await;
    let seen = message(&mut peer).await;
    assert!(
        seen.contains("48.177012") && seen.contains("11.345678") && !seen.contains(SOC),
        "{seen}"
    );

    let settings = cardata_domain::privacy::Settings {
        precision: cardata_domain::privacy::Precision::TenKilometres,
        hides_zones: false,
    };
    platform.directory.put_location_settings(gcid, client_id, settings).await.unwrap();
    platform.entitlements.refresh(gcid, client_id).await.unwrap();
    drive("11.345679").await;
    let seen = message(&mut peer).await;
    assert!(
        seen.contains(LATITUDE) && !seen.contains("48.177012") && !seen.contains("11.3456"),
        "{seen}"
    );
}
