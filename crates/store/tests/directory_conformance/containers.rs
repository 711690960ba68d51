//! Rules for containers and their number.

use std::sync::Arc;

use cardata_domain::ClientId;
use cardata_domain::container::{Container, ContainerId, State};
use cardata_store::Directory;
use cardata_store::directory::{AddContainerError, ContainerLimit};
use tokio::task::JoinSet;

use super::samples::*;

const TEN_ACTIVE: ContainerLimit = ContainerLimit::ActivePerClient(10);

fn id(number: u8) -> ContainerId {
    ContainerId::from_random([number; ContainerId::LENGTH])
}

/// Container `number` of customer 1 for `client_id`, made `number` seconds late.
fn container(number: u8, client_id: ClientId) -> Container {
    Container {
        id: id(number),
        gcid: gcid(1),
        client_id,
        name: format!("Container \"{number}\""),
        purpose: "Überschussladen".into(),
        descriptors: ["vehicle.vehicle.travelledDistance".into(), "vehicle.a".into()].into(),
        created_at: at(number.into()),
        state: State::Active,
    }
}

/// At most `max` for the customer; those deleted later than second `since` count.
fn per_customer(max: u32, since: i64) -> ContainerLimit {
    ContainerLimit::PerCustomer { max, deleted_count_since: at(since) }
}

fn is_refused(result: &Result<(), AddContainerError>, max: u32) -> bool {
    matches!(result, Err(AddContainerError::LimitReached(limit)) if *limit == max)
}

pub(crate) async fn a_container_comes_back_as_it_was_added(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let added = container(1, client_id(1));
    directory.add_container(&added, TEN_ACTIVE).await.unwrap();
    assert_eq!(directory.container(id(1)).await.unwrap(), Some(added));
    assert_eq!(directory.container(id(2)).await.unwrap(), None);
}

pub(crate) async fn containers_are_listed_for_customer_and_client_oldest_first(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let mut of_another = container(9, client_id(1));
    of_another.gcid = gcid(2);
    let own = [2, 1, 3].map(|number| container(number, client_id(1)));
    for added in own.iter().chain([&of_another, &container(8, client_id(2))]) {
        directory.add_container(added, TEN_ACTIVE).await.unwrap();
    }
    let listed = directory.containers(gcid(1), client_id(1)).await.unwrap();
    assert_eq!(listed, [1, 2, 3].map(|number| container(number, client_id(1))));
}

pub(crate) async fn a_container_is_deleted_once_and_still_found(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.add_container(&container(1, client_id(1)), TEN_ACTIVE).await.unwrap();
    assert!(directory.delete_container(id(1), at(10)).await.unwrap());
    assert!(!directory.delete_container(id(1), at(20)).await.unwrap());
    assert!(!directory.delete_container(id(2), at(20)).await.unwrap());
    let deleted = Container { state: State::Deleted { at: at(10) }, ..container(1, client_id(1)) };
    assert_eq!(directory.container(id(1)).await.unwrap(), Some(deleted));
    assert_eq!(directory.containers(gcid(1), client_id(1)).await.unwrap(), []);
}

pub(crate) async fn of_twenty_at_a_time_as_many_are_added_as_the_client_may_have(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    assert_eq!(added_of_twenty(directory.clone(), TEN_ACTIVE, &[client_id(1)]).await, 10);
    assert_eq!(directory.containers(gcid(1), client_id(1)).await.unwrap().len(), 10);
}

pub(crate) async fn of_twenty_at_a_time_as_many_are_added_as_the_customer_may_have(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for number in [30, 31] {
        directory.add_container(&container(number, client_id(1)), TEN_ACTIVE).await.unwrap();
    }
    // Of these two the second counts still.
    directory.delete_container(id(30), at(100)).await.unwrap();
    directory.delete_container(id(31), at(101)).await.unwrap();
    let clients = [client_id(1), client_id(2)];
    assert_eq!(added_of_twenty(directory, per_customer(10, 100), &clients).await, 9);
}

/// How many of twenty containers, added at the same time for `clients` in turn, `limit` lets through.
async fn added_of_twenty(
    directory: Arc<impl Directory>,
    limit: ContainerLimit,
    clients: &[ClientId],
) -> usize {
    let mut additions = JoinSet::new();
    for (number, client_id) in (0..20).zip(clients.iter().cycle().copied()) {
        let directory = directory.clone();
        additions.spawn(async move {
            let result = directory.add_container(&container(number, client_id), limit).await;
            let added = result.is_ok();
            assert!(added || is_refused(&result, 10));
            assert_eq!(directory.container(id(number)).await.unwrap().is_some(), added);
            added
        });
    }
    additions.join_all().await.into_iter().filter(|added| *added).count()
}

pub(crate) async fn a_deleted_one_does_not_count_for_the_client(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let limit = ContainerLimit::ActivePerClient(1);
    directory.add_container(&container(1, client_id(1)), limit).await.unwrap();
    assert!(is_refused(&directory.add_container(&container(2, client_id(1)), limit).await, 1));
    directory.delete_container(id(1), at(10)).await.unwrap();
    directory.add_container(&container(2, client_id(1)), limit).await.unwrap();
}

pub(crate) async fn a_deleted_one_counts_for_the_customer_until_its_time_is_over(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.add_container(&container(1, client_id(1)), per_customer(1, 0)).await.unwrap();
    directory.delete_container(id(1), at(10)).await.unwrap();
    let next = container(2, client_id(1));
    assert!(is_refused(&directory.add_container(&next, per_customer(1, 9)).await, 1));
    directory.add_container(&next, per_customer(1, 10)).await.unwrap();
}

pub(crate) async fn other_clients_count_for_the_customer_only(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let limit = ContainerLimit::ActivePerClient(1);
    directory.add_container(&container(1, client_id(1)), limit).await.unwrap();
    directory.add_container(&container(2, client_id(2)), limit).await.unwrap();
    let third = container(3, client_id(2));
    assert!(is_refused(&directory.add_container(&third, per_customer(2, 0)).await, 2));
    // Another customer's containers count for neither.
    let mut of_another = container(4, client_id(1));
    of_another.gcid = gcid(2);
    directory.add_container(&of_another, per_customer(1, 0)).await.unwrap();
    assert!(is_refused(&directory.add_container(&third, per_customer(0, 0)).await, 0));
}
