//! Rules for consents: which there are, and how they end.

use std::sync::Arc;

use cardata_domain::consent::{Consent, ConsentId, EndReason, State};
use cardata_domain::device_grant;
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{Gcid, Vin};
use cardata_store::Directory;

use super::samples::*;

/// Adds `consent` by way of a grant, with tokens that are called like its number.
async fn add(directory: &impl Directory, number: u128, consent: &Consent) {
    let name = number.to_string();
    let approved = device_grant::State::Approved(consent.gcid);
    let grant =
        device_grant::DeviceGrant { client_id: consent.client_id, ..grant(&name, approved) };
    let (refresh, access) = tokens(&name, number);
    directory.add_device_grant(&grant, at(0)).await.unwrap();
    let exchanged = directory
        .exchange_device_grant(&hash(&name), approved, consent, &refresh, &access)
        .await
        .unwrap();
    assert!(exchanged);
}

/// Consent `number`, granted at that second, of a customer to a client.
fn granted(number: u32, customer: u128, client: u128) -> Consent {
    Consent {
        gcid: gcid(customer),
        client_id: client_id(client),
        granted_at: at(number.into()),
        ..consent(number.into())
    }
}

fn ids(consents: &[Consent]) -> Vec<ConsentId> {
    consents.iter().map(|consent| consent.id).collect()
}

pub(crate) async fn a_consent_comes_back_as_it_was_granted(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let ended = State::Ended { at: at(9), why: EndReason::Operator };
    for (number, expires_at, state) in
        [(1, None, State::Active), (2, Some(at(7)), State::Active), (3, Some(at(8)), ended)]
    {
        let purpose = format!("Hub {number}: \"Überschussladen\"");
        let consent = Consent { purpose, expires_at, state, ..consent(number) };
        add(&*directory, number, &consent).await;
        assert_eq!(directory.consent(consent.id).await.unwrap(), Some(consent));
    }
}

pub(crate) async fn a_consent_ends_once_and_the_first_reason_stays(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    for (number, why) in (1..).zip(EndReason::ALL) {
        let active = Consent { expires_at: Some(at(5)), ..consent(number) };
        add(&*directory, number, &active).await;
        assert!(directory.end_consent(active.id, at(10), why).await.unwrap());
        for again in [EndReason::Customer, EndReason::Expired] {
            assert!(!directory.end_consent(active.id, at(20), again).await.unwrap());
        }
        let ended = Consent { state: State::Ended { at: at(10), why }, ..active };
        assert_eq!(directory.consent(ended.id).await.unwrap(), Some(ended));
    }
}

pub(crate) async fn of_two_who_end_a_consent_one_did(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    let end = |why| {
        let directory = directory.clone();
        async move { directory.end_consent(consent_id(1), at(10), why).await.unwrap() }
    };
    let (one, other) = tokio::join!(end(EndReason::Customer), end(EndReason::Client));
    assert!(one != other);
    let why = if one { EndReason::Customer } else { EndReason::Client };
    let ended = directory.consent(consent_id(1)).await.unwrap().unwrap();
    assert_eq!(ended.state, State::Ended { at: at(10), why });
}

pub(crate) async fn a_consent_that_ends_takes_its_tokens_and_no_others(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    consented(&*directory, "other", 2).await;
    let (refresh, access) = tokens("second", 1);
    let used = directory.refresh_token(&hash("first")).await.unwrap().unwrap();
    directory.rotate_refresh_token(&used, &refresh, &access, at(5)).await.unwrap();
    directory.end_consent(consent_id(1), at(10), EndReason::Customer).await.unwrap();
    for (name, there) in [("first", false), ("second", false), ("other", true)] {
        assert_eq!(directory.refresh_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
        assert_eq!(directory.access_token(&hash(name)).await.unwrap().is_some(), there, "{name}");
    }
    assert_eq!(directory.consent(consent_id(2)).await.unwrap(), Some(consent(2)));
}

pub(crate) async fn a_customers_consents_are_listed_oldest_first_with_those_that_ended(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (number, customer, client) in [(3, 1, 2), (1, 1, 1), (2, 1, 1), (4, 2, 1)] {
        add(&*directory, number.into(), &granted(number, customer, client)).await;
    }
    directory.end_consent(consent_id(2), at(10), EndReason::Client).await.unwrap();
    let ended = State::Ended { at: at(10), why: EndReason::Client };
    let own = [granted(1, 1, 1), Consent { state: ended, ..granted(2, 1, 1) }, granted(3, 1, 2)];
    assert_eq!(directory.consents_of(gcid(1)).await.unwrap(), own);
    assert_eq!(directory.consents_of(gcid(2)).await.unwrap(), [granted(4, 2, 1)]);
}

pub(crate) async fn the_consents_to_a_client_are_those_that_nobody_ended_oldest_first(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (number, customer, client) in [(3, 1, 1), (1, 2, 1), (2, 1, 1), (4, 1, 2)] {
        let consent = Consent { expires_at: Some(at(5)), ..granted(number, customer, client) };
        add(&*directory, number.into(), &consent).await;
    }
    directory.end_consent(consent_id(2), at(10), EndReason::Customer).await.unwrap();
    // The time of all of them is over, but none was ended for it.
    let to_first = directory.consents_to(client_id(1)).await.unwrap();
    assert_eq!(ids(&to_first), [consent_id(1), consent_id(3)]);
    assert_eq!(ids(&directory.consents_to(client_id(2)).await.unwrap()), [consent_id(4)]);
}

pub(crate) async fn a_consent_expires_at_the_second_at_which_it_is_good_no_longer(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (number, expires_at) in [(1, Some(at(10))), (2, None), (3, Some(at(11))), (4, Some(at(9)))]
    {
        add(&*directory, number, &Consent { expires_at, ..consent(number) }).await;
    }
    directory.end_consent(consent_id(4), at(0), EndReason::Customer).await.unwrap();
    let expired = async |second| {
        let expired = directory.expired_consents(at(second)).await.unwrap();
        assert!(expired.iter().all(|consent| !consent.is_active(at(second))));
        let mut ids = ids(&expired);
        ids.sort();
        ids
    };
    assert_eq!(expired(9).await, []);
    assert_eq!(expired(10).await, [consent_id(1)]);
    assert_eq!(expired(1_000_000).await, [consent_id(1), consent_id(3)]);
    directory.end_consent(consent_id(1), at(12), EndReason::Expired).await.unwrap();
    assert_eq!(expired(1_000_000).await, [consent_id(3)]);
}

/// The same with the scope of the stream.
fn streaming(number: u32, customer: u128, client: u128) -> Consent {
    Consent {
        scopes: "openid cardata:api:read cardata:streaming:read".parse().unwrap(),
        ..granted(number, customer, client)
    }
}

/// The vehicles of client 1 at `second`.
async fn fleet(directory: &impl Directory, second: i64) -> Vec<(Vin, Gcid)> {
    let vehicles = directory.fleet(client_id(1), at(second)).await.unwrap();
    vehicles.iter().map(|vehicle| (vehicle.vin, vehicle.gcid)).collect()
}

pub(crate) async fn a_fleet_has_the_primary_vehicles_of_those_who_consent_to_the_stream(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.put_vehicle(&vehicle(3)).await.unwrap();
    let secondary = Mapping { mapping_type: MappingType::Secondary, ..mapping(1, 2) };
    for link in [mapping(1, 3), mapping(1, 1), secondary, mapping(2, 2)] {
        directory.put_mapping(&link).await.unwrap();
    }
    assert_eq!(fleet(&*directory, 5).await, []);
    // Another client's, one without the scope, and one whose time is over.
    add(&*directory, 1, &streaming(1, 1, 2)).await;
    add(&*directory, 2, &granted(2, 1, 1)).await;
    add(&*directory, 3, &Consent { expires_at: Some(at(5)), ..streaming(3, 1, 1) }).await;
    assert_eq!(fleet(&*directory, 5).await, []);
    assert_eq!(fleet(&*directory, 4).await, [(vin(1), gcid(1)), (vin(3), gcid(1))]);
    add(&*directory, 4, &streaming(4, 2, 1)).await;
    assert_eq!(fleet(&*directory, 5).await, [(vin(2), gcid(2))]);
    assert!(directory.end_consent(consent_id(4), at(6), EndReason::Customer).await.unwrap());
    assert_eq!(fleet(&*directory, 5).await, []);
}

pub(crate) async fn a_fleet_has_a_vehicle_since_there_was_a_consent_at_each_moment(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    let since = async || {
        let vehicles = directory.fleet(client_id(1), at(40)).await.unwrap();
        vehicles.iter().map(|vehicle| vehicle.since).collect::<Vec<_>>()
    };
    let consent = |number: u32, from: i64, until: Option<i64>| Consent {
        granted_at: at(from),
        expires_at: until.map(at),
        ..streaming(number, 1, 1)
    };
    add(&*directory, 1, &consent(1, 1, None)).await;
    assert_eq!(since().await, [at(1)]);
    // Given before the first one ends, and at the very end of that one.
    add(&*directory, 2, &consent(2, 5, Some(10))).await;
    directory.end_consent(consent_id(1), at(6), EndReason::Customer).await.unwrap();
    add(&*directory, 3, &consent(3, 10, None)).await;
    assert_eq!(since().await, [at(1)]);
    // One that is ended late was good no longer than its time.
    directory.end_consent(consent_id(2), at(30), EndReason::Expired).await.unwrap();
    directory.end_consent(consent_id(3), at(12), EndReason::Customer).await.unwrap();
    add(&*directory, 4, &consent(4, 13, None)).await;
    assert_eq!(since().await, [at(13)]);
    // Others count for nothing: without the scope, another client's, another customer's.
    add(&*directory, 5, &Consent { granted_at: at(11), ..granted(5, 1, 1) }).await;
    add(&*directory, 6, &Consent { granted_at: at(11), ..streaming(6, 1, 2) }).await;
    add(&*directory, 7, &Consent { granted_at: at(11), ..streaming(7, 2, 1) }).await;
    assert_eq!(since().await, [at(13)]);
}

pub(crate) async fn a_fleet_has_a_vehicle_until_the_last_of_its_consents_ends(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    let until = async |second| {
        let vehicles = directory.fleet(client_id(1), at(second)).await.unwrap();
        vehicles.iter().map(|vehicle| vehicle.until).collect::<Vec<_>>()
    };
    for (number, end) in [(1, 20), (2, 30), (3, 25)] {
        let consent = Consent { expires_at: Some(at(end)), ..streaming(number, 1, 1) };
        add(&*directory, number.into(), &consent).await;
    }
    assert_eq!(until(0).await, [Some(at(30))]);
    assert_eq!(until(29).await, [Some(at(30))]);
    assert_eq!(until(30).await, []);
    add(&*directory, 4, &streaming(4, 1, 1)).await;
    assert_eq!(until(0).await, [None]);
    assert_eq!(until(30).await, [None]);
}
