//! Rules for the deletion of a customer.

use std::sync::Arc;

use cardata_domain::client::Client;
use cardata_domain::consent::{Consent, EndReason};
use cardata_domain::container::{self, Container, ContainerId};
use cardata_domain::customer::Customer;
use cardata_domain::device_grant::{DeviceGrant, State};
use cardata_domain::event::Sequence;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::privacy::{Precision, Settings, Zone};
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::vehicle::Mapping;
use cardata_domain::{ClientId, Gcid};
use cardata_store::Directory;
use cardata_store::directory::{
    AccessToken, ClientToken, ContainerLimit, Delivery, LedgerQuery, RefreshToken, TokenHash,
};

use super::samples::*;

/// The client of a third party, which all customers let in; their own have their numbers.
const SHARED: u128 = 5;

const ALL: LedgerQuery = LedgerQuery { gcid: None, on_consent: false, before: None, limit: 1000 };

/// All that the directory tells of a customer.
#[derive(Debug, Default, PartialEq)]
struct Account {
    customer: Option<Customer>,
    mappings: Vec<Mapping>,
    own_clients: Vec<Client>,
    consents: Vec<Consent>,
    zones: Vec<Zone>,
    ledger: Vec<(u64, Record)>,
    deliveries: Vec<Delivery>,
    client_token: Option<ClientToken>,
    at_clients: [AtClient; 2],
}

/// What it tells of a customer and one client.
#[derive(Debug, Default, PartialEq)]
struct AtClient {
    grant: Option<DeviceGrant>,
    tokens: (Option<RefreshToken>, Option<AccessToken>),
    containers: Vec<Container>,
    deleted_container: Option<Container>,
    configuration: Vec<String>,
    settings: Settings,
    session: Option<StoredSession>,
}

fn clients(number: u32) -> [ClientId; 2] {
    [client_id(SHARED), client_id(number.into())]
}

/// Names what customer `number` has at the client with this `index`.
fn name(number: u32, index: usize) -> String {
    format!("{number}-{index}")
}

fn container_id(number: u32, index: usize, of_two: usize) -> ContainerId {
    let number = usize::try_from(number).unwrap();
    ContainerId::from_random([u8::try_from(4 * number + 2 * index + of_two).unwrap(); 13])
}

fn key(gcid: Gcid, client_id: ClientId) -> SessionKey {
    SessionKey { gcid: Some(gcid), client_id, mqtt_client_id: "hub".into() }
}

async fn account(directory: &impl Directory, number: u32) -> Account {
    let gcid = gcid(number.into());
    let mut at_clients = Vec::new();
    for (index, client_id) in clients(number).into_iter().enumerate() {
        let hash = hash(&name(number, index));
        let refresh = directory.refresh_token(&hash).await.unwrap();
        let deleted = container_id(number, index, 1);
        at_clients.push(AtClient {
            grant: directory.device_grant(&hash).await.unwrap(),
            tokens: (refresh, directory.access_token(&hash).await.unwrap()),
            containers: directory.containers(gcid, client_id).await.unwrap(),
            deleted_container: directory.container(deleted).await.unwrap(),
            configuration: directory.stream_configuration(gcid, client_id).await.unwrap(),
            settings: directory.location_settings(gcid, client_id).await.unwrap(),
            session: directory.session(&key(gcid, client_id), at(0)).await.unwrap(),
        });
    }
    Account {
        customer: directory.customer(gcid).await.unwrap(),
        mappings: directory.mappings(gcid).await.unwrap(),
        own_clients: directory.clients_of(gcid).await.unwrap(),
        consents: directory.consents_of(gcid).await.unwrap(),
        zones: directory.zones(gcid).await.unwrap(),
        ledger: directory.ledger(LedgerQuery { gcid: Some(gcid), ..ALL }).await.unwrap(),
        deliveries: directory.deliveries(gcid).await.unwrap(),
        client_token: directory.client_token(&hash(&name(number, 9))).await.unwrap(),
        at_clients: at_clients.try_into().unwrap(),
    }
}

/// Puts in a customer with two vehicles, one of them shared, who uses everything there is.
async fn settle(directory: &impl Directory, number: u32) {
    let gcid = gcid(number.into());
    directory.put_customer(&customer(number)).await.unwrap();
    for vehicle in [0, number] {
        directory.put_vehicle(&self::vehicle(vehicle)).await.unwrap();
        directory.put_mapping(&mapping(number, vehicle)).await.unwrap();
    }
    directory.put_client(&client(number, Some(gcid))).await.unwrap();
    let token = client_token(&name(number, 9), number.into(), 60);
    directory.add_client_token(&token, at(0)).await.unwrap();
    directory.add_zone(gcid, &zone(number)).await.unwrap();
    let acts = Act::ALL.map(|act| line(0, act).of(gcid).with_client(client_id(SHARED)));
    directory.append_to_ledger(&acts).await.unwrap();
    for (index, client_id) in clients(number).into_iter().enumerate() {
        settle_client(directory, number, index, client_id).await;
    }
}

async fn settle_client(directory: &impl Directory, number: u32, index: usize, client_id: ClientId) {
    let gcid = gcid(number.into());
    let code = hash(&name(number, index));
    let consent_number = u128::from(number) * 10 + u128::try_from(index).unwrap();
    let consent = Consent { gcid, client_id, ..consent(consent_number) };
    exchange(directory, &code, &consent).await;
    // One that nobody fetched the tokens of.
    let mut open = grant("", State::Approved(gcid));
    open.device_code_hash = hash(&format!("open-{}", name(number, index))).0;
    open.client_id = client_id;
    directory.add_device_grant(&open, at(0)).await.unwrap();
    for of_two in [0, 1] {
        let container = Container {
            id: container_id(number, index, of_two),
            gcid,
            client_id,
            name: "name".into(),
            purpose: "purpose".into(),
            descriptors: ["vehicle.a".into()].into(),
            created_at: at(0),
            state: container::State::Active,
        };
        let limit = ContainerLimit::ActivePerClient(10);
        directory.add_container(&container, limit).await.unwrap();
    }
    directory.delete_container(container_id(number, index, 1), at(1)).await.unwrap();
    let ticked = ["vehicle.b".to_owned()];
    directory.put_stream_configuration(gcid, client_id, &ticked, at(0)).await.unwrap();
    let settings = Settings { precision: Precision::Kilometre, hides_zones: true };
    directory.put_location_settings(gcid, client_id, settings).await.unwrap();
    let session = StoredSession {
        expiry_seconds: Some(100),
        cursors: vec![(vin(0), Sequence(4)), (vin(number), Sequence(5))],
        ..StoredSession::default()
    };
    directory.put_session(&key(gcid, client_id), &session).await.unwrap();
    let sent = Delivery { gcid, client_id, ..delivery(0, 1, 7) };
    directory.count_deliveries(&[sent]).await.unwrap();
}

async fn exchange(directory: &impl Directory, code: &TokenHash, consent: &Consent) {
    let approved = State::Approved(consent.gcid);
    let mut asked = grant("", approved);
    asked.device_code_hash = code.0.clone();
    asked.client_id = consent.client_id;
    directory.add_device_grant(&asked, at(0)).await.unwrap();
    let (mut refresh, mut access) = tokens("", 1);
    (refresh.hash, access.hash) = (code.clone(), code.clone());
    (refresh.consent_id, access.consent_id) = (consent.id, consent.id);
    let exchange = directory.exchange_device_grant(code, approved, consent, &refresh, &access);
    assert!(exchange.await.unwrap());
}

/// Customers 1 and 2, what is nobody's, and the client that both let in.
async fn settle_all(directory: &impl Directory) {
    let shared = client(u32::try_from(SHARED).unwrap(), None);
    directory.put_client(&shared).await.unwrap();
    directory.add_client_token(&client_token("shared", SHARED, 60), at(0)).await.unwrap();
    let undecided = DeviceGrant { client_id: shared.id, ..grant("undecided", State::Pending) };
    directory.add_device_grant(&undecided, at(0)).await.unwrap();
    let of_nobody = Record::new(at(0), Actor::Operator, Act::KeyRotated);
    directory.append_to_ledger(&[of_nobody]).await.unwrap();
    for number in [1, 2] {
        settle(directory, number).await;
    }
}

pub(crate) async fn of_a_deleted_customer_nothing_is_left(directory: Arc<impl Directory>) {
    settle_all(&*directory).await;
    assert!(directory.delete_customer(gcid(1)).await.unwrap());
    let nothing = Account {
        // An exchanged grant of somebody else's client tells of no customer.
        at_clients: {
            let of_shared = directory.device_grant(&hash(&name(1, 0))).await.unwrap();
            assert_eq!(of_shared.as_ref().map(|grant| grant.state), Some(State::Exchanged));
            [AtClient { grant: of_shared, ..AtClient::default() }, AtClient::default()]
        },
        ..Account::default()
    };
    assert_eq!(account(&*directory, 1).await, nothing);
    assert_eq!(directory.customer_by_email(&customer(1).email).await.unwrap(), None);
    assert_eq!(directory.client(client_id(1)).await.unwrap(), None);
    for index in [0, 1] {
        let open = hash(&format!("open-{}", name(1, index)));
        assert_eq!(directory.device_grant(&open).await.unwrap(), None);
        assert_eq!(directory.container(container_id(1, index, 0)).await.unwrap(), None);
    }
    for vehicle in [0, 1] {
        let links = directory.mappings_of_vehicle(vin(vehicle)).await.unwrap();
        assert!(links.iter().all(|link| link.gcid != gcid(1)));
    }
    let to_shared = directory.consents_to(client_id(SHARED)).await.unwrap();
    assert!(to_shared.iter().all(|consent| consent.gcid == gcid(2)));
    assert_eq!(directory.remove_expired_sessions(at(1 << 32)).await.unwrap(), []);
    assert_eq!(directory.remove_sessions_of(Some(gcid(1)), client_id(SHARED)).await.unwrap(), []);
}

pub(crate) async fn a_deletion_touches_nothing_of_anybody_else(directory: Arc<impl Directory>) {
    settle_all(&*directory).await;
    let before = account(&*directory, 2).await;
    let others_lines: Vec<_> = directory.ledger(ALL).await.unwrap();
    let others_lines: Vec<_> =
        others_lines.into_iter().filter(|(_, record)| record.gcid != Some(gcid(1))).collect();
    directory.delete_customer(gcid(1)).await.unwrap();
    assert_eq!(account(&*directory, 2).await, before);
    assert_eq!(directory.ledger(ALL).await.unwrap(), others_lines);
    for vehicle in [0, 1, 2] {
        let kept = directory.vehicle(vin(vehicle)).await.unwrap();
        assert_eq!(kept, Some(self::vehicle(vehicle)), "vehicles stay");
    }
    assert!(directory.client(client_id(SHARED)).await.unwrap().is_some());
    assert!(directory.client_token(&hash("shared")).await.unwrap().is_some());
    assert!(directory.device_grant(&hash("undecided")).await.unwrap().is_some());
    assert_eq!(directory.customers().await.unwrap(), [customer(2)]);
}

pub(crate) async fn a_customer_is_deleted_once(directory: Arc<impl Directory>) {
    settle_all(&*directory).await;
    assert!(!directory.delete_customer(gcid(9)).await.unwrap());
    assert!(directory.delete_customer(gcid(1)).await.unwrap());
    assert!(!directory.delete_customer(gcid(1)).await.unwrap());
}

pub(crate) async fn a_deleted_customers_email_and_id_begin_anew(directory: Arc<impl Directory>) {
    settle_all(&*directory).await;
    directory.delete_customer(gcid(1)).await.unwrap();
    let newcomer = Customer { email: customer(1).email, ..customer(3) };
    directory.put_customer(&newcomer).await.unwrap();
    let found = directory.customer_by_email(&newcomer.email).await.unwrap();
    assert_eq!(found.as_ref(), Some(&newcomer));
    directory.delete_customer(gcid(3)).await.unwrap();

    directory.put_customer(&customer(1)).await.unwrap();
    let anew = account(&*directory, 1).await;
    assert_eq!(anew.customer, Some(customer(1)));
    assert_eq!((anew.mappings, anew.own_clients, anew.consents), (vec![], vec![], vec![]));
    assert_eq!((anew.zones, anew.ledger, anew.deliveries), (vec![], vec![], vec![]));
    let key = key(gcid(1), client_id(SHARED));
    let session = StoredSession::default();
    directory.put_session(&key, &session).await.unwrap();
    assert_eq!(directory.session(&key, at(0)).await.unwrap(), Some(session));
}

pub(crate) async fn what_comes_too_late_for_a_deleted_customer_leaves_nothing(
    directory: Arc<impl Directory>,
) {
    settle_all(&*directory).await;
    let used = directory.refresh_token(&hash(&name(1, 0))).await.unwrap().unwrap();
    let consent = directory.consents_of(gcid(1)).await.unwrap().remove(0);
    directory.delete_customer(gcid(1)).await.unwrap();
    // What others had begun when the customer went.
    let late = [line(9, Act::DataRead).with("vin", "WBY"), line(9, Act::ConsentEnded)];
    directory.append_to_ledger(&late).await.unwrap();
    directory.count_deliveries(&[delivery(0, 9, 1)]).await.unwrap();
    directory.move_cursors(&[(key(gcid(1), client_id(SHARED)), vec![])]).await.unwrap();
    assert!(!directory.end_consent(consent.id, at(9), EndReason::Client).await.unwrap());
    let (refresh, access) = tokens("late", 1);
    assert!(!directory.rotate_refresh_token(&used, &refresh, &access, at(9)).await.unwrap());
    let zone_is_added = directory.add_zone(gcid(1), &zone(9)).await;
    assert!(zone_is_added.is_err());
    let left = account(&*directory, 1).await;
    assert_eq!((left.ledger, left.deliveries, left.zones), (vec![], vec![], vec![]));
}
