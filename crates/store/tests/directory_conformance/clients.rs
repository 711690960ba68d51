//! Rules for OAuth clients.

use std::sync::Arc;

use cardata_domain::client::{Client, Kind, Services, State};
use cardata_store::Directory;

use super::samples::*;

/// A client of each kind, with all that one can have.
fn of_each_kind() -> [Client; 4] {
    let personal = client(3, Some(gcid(1)));
    let public = Client { purpose: "Überschussladen".into(), ..client(4, None) };
    let secret_hash = Some(hash("secret").0);
    let confidential = Client { secret_hash: secret_hash.clone(), ..client(5, None) };
    let server = Client {
        kind: Kind::ResourceServer,
        secret_hash,
        purpose: String::new(),
        services: Services::default(),
        ..client(6, None)
    };
    [personal, public, confidential, server]
}

pub(crate) async fn a_client_comes_back_as_it_was_put_and_can_be_replaced(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    consented(&*directory, "first", 1).await;
    for put in of_each_kind() {
        directory.put_client(&put).await.unwrap();
        assert_eq!(directory.client(put.id).await.unwrap(), Some(put));
    }
    // One client becomes each of them, and what hangs on it stays.
    for other in of_each_kind() {
        let services = Services { api: false, stream: true };
        let changed = Client { id: client_id(1), name: "evcc".into(), services, ..other };
        directory.put_client(&changed).await.unwrap();
        assert_eq!(directory.client(client_id(1)).await.unwrap(), Some(changed));
    }
    assert_eq!(directory.consent(consent_id(1)).await.unwrap(), Some(consent(1)));
}

pub(crate) async fn a_deleted_client_is_still_found_and_listed(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let mut personal = client(3, Some(gcid(1)));
    directory.put_client(&personal).await.unwrap();
    personal.state = personal.delete(at(9)).unwrap();
    directory.put_client(&personal).await.unwrap();
    assert_eq!(personal.state, State::Deleted { at: at(9) });
    assert_eq!(directory.client(client_id(3)).await.unwrap().as_ref(), Some(&personal));
    assert_eq!(directory.clients_of(gcid(1)).await.unwrap(), [personal.clone()]);
    let all = [client(1, None), client(2, None), personal];
    assert_eq!(directory.clients().await.unwrap(), all);
}

pub(crate) async fn a_customer_has_the_clients_it_owns_oldest_first(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for (number, owner) in [(5, gcid(1)), (4, gcid(1)), (3, gcid(2))] {
        directory.put_client(&client(number, Some(owner))).await.unwrap();
    }
    let own = [client(4, Some(gcid(1))), client(5, Some(gcid(1)))];
    assert_eq!(directory.clients_of(gcid(1)).await.unwrap(), own);
}

pub(crate) async fn clients_of_every_kind_are_listed_oldest_first(directory: Arc<impl Directory>) {
    directory.put_customer(&customer(1)).await.unwrap();
    assert_eq!(directory.clients().await.unwrap(), []);
    let mut clients = of_each_kind();
    clients.reverse();
    for client in &clients {
        directory.put_client(client).await.unwrap();
    }
    assert_eq!(directory.clients().await.unwrap(), of_each_kind());
}
