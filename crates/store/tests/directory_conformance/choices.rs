//! Rules for what customers choose for a client, and for their zones.

use std::sync::Arc;

use cardata_domain::privacy::{Precision, Settings, ZONES_MAX, Zone};
use cardata_store::Directory;
use tokio::task::JoinSet;

use super::samples::*;

/// Customers and clients that differ in one from customer 1 and client 1.
const NEIGHBOURS: [(u128, u128); 2] = [(1, 2), (2, 1)];

pub(crate) async fn a_stream_configuration_is_replaced_whole(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let read = async |customer, client| {
        directory.stream_configuration(gcid(customer), client_id(client)).await.unwrap()
    };
    assert_eq!(read(1, 1).await, [""; 0]);
    for ticked in [&["vehicle.b", "vehicle.a", "vehicle.\"ü\""][..], &["vehicle.c"], &[]] {
        let descriptors: Vec<String> = ticked.iter().map(|&name| name.into()).collect();
        directory
            .put_stream_configuration(gcid(1), client_id(1), &descriptors, at(0))
            .await
            .unwrap();
        assert_eq!(read(1, 1).await, ticked, "in the order given");
        for (customer, client) in NEIGHBOURS {
            assert_eq!(read(customer, client).await, [""; 0]);
        }
    }
}

pub(crate) async fn a_client_may_know_places_exactly_until_the_customer_chose(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let read = async |customer, client| {
        directory.location_settings(gcid(customer), client_id(client)).await.unwrap()
    };
    let exactly = Settings { precision: Precision::Exact, hides_zones: false };
    assert_eq!(read(1, 1).await, exactly);
    for precision in Precision::ALL {
        for hides_zones in [true, false] {
            let chosen = Settings { precision, hides_zones };
            directory.put_location_settings(gcid(1), client_id(1), chosen).await.unwrap();
            assert_eq!(read(1, 1).await, chosen);
            for (customer, client) in NEIGHBOURS {
                assert_eq!(read(customer, client).await, exactly);
            }
        }
    }
}

pub(crate) async fn zones_come_back_as_they_were_added_by_name(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let far = Zone::new(zone_id(9), "work \"Süd\"", 90.0, 180.0, 50_000).unwrap();
    for added in [&far, &zone(2), &zone(1)] {
        assert!(directory.add_zone(gcid(1), added).await.unwrap());
    }
    assert_eq!(directory.zones(gcid(1)).await.unwrap(), [zone(1), zone(2), far]);
    assert_eq!(directory.zones(gcid(2)).await.unwrap(), []);
}

pub(crate) async fn a_zone_is_removed_once_and_by_its_customer_alone(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for number in [1, 2] {
        directory.add_zone(gcid(1), &zone(number)).await.unwrap();
    }
    assert!(!directory.remove_zone(gcid(2), zone_id(1)).await.unwrap());
    assert_eq!(directory.zones(gcid(1)).await.unwrap(), [zone(1), zone(2)]);
    assert!(directory.remove_zone(gcid(1), zone_id(1)).await.unwrap());
    assert!(!directory.remove_zone(gcid(1), zone_id(1)).await.unwrap());
    assert_eq!(directory.zones(gcid(1)).await.unwrap(), [zone(2)]);
}

pub(crate) async fn a_customer_has_so_many_zones_and_no_more(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    // More at a time than there is room for.
    let mut additions = JoinSet::new();
    for number in 1..=30 {
        let directory = directory.clone();
        additions.spawn(async move { directory.add_zone(gcid(1), &zone(number)).await.unwrap() });
    }
    let added = additions.join_all().await.into_iter().filter(|added| *added).count();
    assert_eq!(added, ZONES_MAX);
    let zones = directory.zones(gcid(1)).await.unwrap();
    assert_eq!(zones.len(), ZONES_MAX);
    assert!(!directory.add_zone(gcid(1), &zone(31)).await.unwrap());
    // Another customer has room, and so has this one after a removal.
    assert!(directory.add_zone(gcid(2), &zone(32)).await.unwrap());
    directory.remove_zone(gcid(1), zones[0].id).await.unwrap();
    assert!(directory.add_zone(gcid(1), &zone(31)).await.unwrap());
    assert!(!directory.add_zone(gcid(1), &zone(33)).await.unwrap());
}
