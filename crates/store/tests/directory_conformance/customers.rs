//! Rules for customers, vehicles and the links between them.

use std::sync::Arc;

use cardata_domain::consent::EndReason;
use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Drivetrain, Mapping, MappingType};
use cardata_store::Directory;
use cardata_store::directory::DirectoryError;

use super::samples::*;

pub(crate) async fn a_customer_comes_back_as_it_was_put_and_can_be_replaced(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    assert_eq!(directory.customer(gcid(1)).await.unwrap(), Some(customer(1)));

    let mut changed = customer(1);
    changed.email = "new@example.com".into();
    changed.password_hash = "$argon2id$other".into();
    directory.put_customer(&changed).await.unwrap();
    assert_eq!(directory.customer(gcid(1)).await.unwrap(), Some(changed.clone()));
    assert_eq!(directory.customer_by_email("new@example.com").await.unwrap(), Some(changed));
    assert_eq!(directory.customer_by_email(&customer(1).email).await.unwrap(), None);
    // What hangs on the customer stays.
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), [mapping(1, 1)]);
}

pub(crate) async fn an_email_is_found_without_regard_to_case(directory: Arc<impl Directory>) {
    let mut stored = customer(1);
    stored.email = "Jürgen.MÜLLER@Example.com".into();
    directory.put_customer(&stored).await.unwrap();
    for typed in
        ["Jürgen.MÜLLER@Example.com", "jürgen.müller@example.com", "JÜRGEN.MÜLLER@EXAMPLE.COM"]
    {
        assert_eq!(
            directory.customer_by_email(typed).await.unwrap(),
            Some(stored.clone()),
            "{typed}"
        );
    }
    assert_eq!(directory.customer_by_email("jürgen.müller@example.co").await.unwrap(), None);
    assert_eq!(directory.customer_by_email("%").await.unwrap(), None);
}

pub(crate) async fn an_email_belongs_to_one_customer_in_whatever_case(
    directory: Arc<impl Directory>,
) {
    directory.put_customer(&customer(1)).await.unwrap();
    let mut second = customer(2);
    second.email = customer(1).email.to_uppercase();
    let refused = directory.put_customer(&second).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Store { .. }), "{refused:?}");
    assert_eq!(directory.customers().await.unwrap(), [customer(1)]);

    let text = full_text(&refused);
    assert!(!text.contains("example.com") && !text.contains("argon2"), "{text}");
}

pub(crate) async fn customers_are_listed_oldest_first(directory: Arc<impl Directory>) {
    for number in [2, 3, 1] {
        directory.put_customer(&customer(number)).await.unwrap();
    }
    assert_eq!(directory.customers().await.unwrap(), [customer(1), customer(2), customer(3)]);
}

pub(crate) async fn a_new_password_is_kept_and_changes_nothing_else(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    assert!(directory.set_password(gcid(1), "$argon2id$other").await.unwrap());
    let changed = Customer { password_hash: "$argon2id$other".into(), ..customer(1) };
    assert_eq!(directory.customers().await.unwrap(), [changed, customer(2)]);
    assert!(!directory.set_password(gcid(9), "$argon2id$other").await.unwrap());
    assert_eq!(directory.customer(gcid(9)).await.unwrap(), None);
}

pub(crate) async fn a_vehicle_comes_back_as_it_was_put_and_can_be_replaced(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    assert_eq!(directory.vehicle(vin(1)).await.unwrap(), Some(vehicle(1)));
    for drivetrain in [Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice] {
        let mut changed = vehicle(1);
        changed.drivetrain = drivetrain;
        changed.build.battery_ah = None;
        directory.put_vehicle(&changed).await.unwrap();
        assert_eq!(directory.vehicle(vin(1)).await.unwrap(), Some(changed));
    }
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), [mapping(1, 1)]);
}

pub(crate) async fn vehicles_are_listed_by_their_numbers(directory: Arc<impl Directory>) {
    assert_eq!(directory.vehicles().await.unwrap(), []);
    for number in [2, 10, 1] {
        directory.put_vehicle(&vehicle(number)).await.unwrap();
    }
    assert_eq!(directory.vehicles().await.unwrap(), [vehicle(1), vehicle(2), vehicle(10)]);
}

pub(crate) async fn the_links_of_a_vehicle_are_those_of_all_its_customers_oldest_first(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let first = Mapping { since: at(-5), ..mapping(2, 1) };
    for link in [&mapping(1, 1), &first, &mapping(1, 2)] {
        directory.put_mapping(link).await.unwrap();
    }
    assert_eq!(directory.mappings_of_vehicle(vin(1)).await.unwrap(), [first, mapping(1, 1)]);
    directory.remove_mapping(gcid(2), vin(1)).await.unwrap();
    assert_eq!(directory.mappings_of_vehicle(vin(1)).await.unwrap(), [mapping(1, 1)]);
}

pub(crate) async fn a_mapping_is_made_changed_and_ended(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    for link in [mapping(1, 2), mapping(1, 1), mapping(2, 1)] {
        directory.put_mapping(&link).await.unwrap();
    }
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), [mapping(1, 1), mapping(1, 2)]);

    let mut changed = mapping(1, 1);
    changed.mapping_type = MappingType::Secondary;
    changed.since = at(9);
    directory.put_mapping(&changed).await.unwrap();
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), [mapping(1, 2), changed]);

    assert!(directory.remove_mapping(gcid(1), vin(1)).await.unwrap());
    assert!(!directory.remove_mapping(gcid(1), vin(1)).await.unwrap());
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), [mapping(1, 2)]);
    assert_eq!(directory.mappings(gcid(2)).await.unwrap(), [mapping(2, 1)]);
}

pub(crate) async fn what_is_not_there_is_none(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    assert_eq!(directory.customer(gcid(9)).await.unwrap(), None);
    assert_eq!(directory.vehicle(vin(9)).await.unwrap(), None);
    assert_eq!(directory.mappings(gcid(9)).await.unwrap(), []);
    assert_eq!(directory.mappings_of_vehicle(vin(9)).await.unwrap(), []);
    assert_eq!(directory.client(client_id(9)).await.unwrap(), None);
    assert_eq!(directory.clients_of(gcid(9)).await.unwrap(), []);
    assert_eq!(directory.consent(consent_id(9)).await.unwrap(), None);
    assert_eq!(directory.consents_of(gcid(9)).await.unwrap(), []);
    assert_eq!(directory.consents_to(client_id(9)).await.unwrap(), []);
    assert_eq!(directory.zones(gcid(9)).await.unwrap(), []);
    assert_eq!(directory.deliveries(gcid(9)).await.unwrap(), []);
    assert_eq!(directory.device_grant(&hash("none")).await.unwrap(), None);
    assert_eq!(directory.device_grant_by_user_code("none").await.unwrap(), None);
    assert_eq!(directory.refresh_token(&hash("none")).await.unwrap(), None);
    assert_eq!(directory.access_token(&hash("none")).await.unwrap(), None);
    assert_eq!(directory.client_token(&hash("none")).await.unwrap(), None);
    assert_eq!(directory.signing_keys().await.unwrap(), []);
    assert_eq!(directory.containers(gcid(9), client_id(9)).await.unwrap(), []);
    assert!(!directory.end_consent(consent_id(9), at(0), EndReason::Customer).await.unwrap());
    directory.note_poll(&hash("none"), at(0)).await.unwrap();
}
