//! Rules for the ledger, and for the count of what was sent.

use std::sync::Arc;

use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::Directory;
use cardata_store::directory::{Channel, Delivery, LedgerQuery};
use serde_json::json;

use super::samples::*;

/// Every line, of whomever.
const ALL: LedgerQuery = LedgerQuery { gcid: None, on_consent: false, before: None, limit: 1000 };

/// The lines that `query` finds, without their numbers, which must fall.
async fn read(directory: &impl Directory, query: LedgerQuery) -> Vec<Record> {
    let lines = directory.ledger(query).await.unwrap();
    assert!(lines.is_sorted_by(|(newer, _), (older, _)| newer > older), "{lines:?}");
    lines.into_iter().map(|(_, record)| record).collect()
}

pub(crate) async fn lines_come_back_as_they_were_appended_newest_first(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    assert_eq!(read(&*directory, ALL).await, []);
    // The order is that of the ledger, whatever the clock said.
    let mut lines: Vec<_> = (0..).zip(Act::ALL).map(|(second, act)| line(-second, act)).collect();
    lines.extend(Actor::ALL.map(|actor| Record::new(at(0), actor, Act::LoggedIn)));
    lines.push(
        line(5, Act::ConsentGranted)
            .with_client(client_id(1))
            .with("scopes", "openid \"ü\"")
            .with("until", json!(null))
            .with("streams_closed", u64::MAX)
            .with("descriptors", json!(["vehicle.a", { "b": -1 }])),
    );
    let (first, second) = lines.split_at(3);
    for lines in [first, &[], second] {
        directory.append_to_ledger(lines).await.unwrap();
    }
    lines.reverse();
    assert_eq!(read(&*directory, ALL).await, lines);
}

pub(crate) async fn the_ledger_tells_of_clients_that_never_were_and_not_of_customers(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let of_nobody = Record::new(at(1), Actor::Operator, Act::KeyRotated);
    let with_unknown_client = line(2, Act::ConsentEnded).with_client(client_id(9));
    let of_a_stranger = line(3, Act::DataRead).of(gcid(9));
    let lines = [of_nobody.clone(), of_a_stranger, with_unknown_client.clone()];
    directory.append_to_ledger(&lines).await.unwrap();
    assert_eq!(read(&*directory, ALL).await, [with_unknown_client, of_nobody]);
}

pub(crate) async fn a_customer_is_shown_the_lines_of_one_account_alone(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let own = [line(1, Act::LoggedIn), line(2, Act::ConsentGranted)];
    let of_another = line(3, Act::LoggedIn).of(gcid(2));
    let of_nobody = Record::new(at(4), Actor::Operator, Act::KeyRotated);
    for record in [&own[0], &of_another, &of_nobody, &own[1]] {
        directory.append_to_ledger(std::slice::from_ref(record)).await.unwrap();
    }
    let of = |number| LedgerQuery { gcid: Some(gcid(number)), ..ALL };
    assert_eq!(read(&*directory, of(1)).await, [own[1].clone(), own[0].clone()]);
    assert_eq!(read(&*directory, of(2)).await, [of_another]);
    assert_eq!(read(&*directory, of(9)).await, []);
    assert_eq!(read(&*directory, ALL).await.len(), 4);
}

pub(crate) async fn the_record_of_consents_can_be_read_alone(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let lines = Act::ALL.map(|act| line(0, act));
    let of_another = Act::ALL.map(|act| line(0, act).of(gcid(2)));
    directory.append_to_ledger(&[lines, of_another].concat()).await.unwrap();
    let wanted = |record: &Record| record.act.is_on_consent();
    for query in [ALL, LedgerQuery { gcid: Some(gcid(1)), ..ALL }] {
        let mut all = read(&*directory, query).await;
        all.retain(wanted);
        assert_eq!(read(&*directory, LedgerQuery { on_consent: true, ..query }).await, all);
    }
}

pub(crate) async fn the_ledger_is_read_page_by_page(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let lines: Vec<_> = (0..10)
        .map(|second| match second % 3 {
            0 => line(second, Act::LoggedIn).of(gcid(2)),
            1 => line(second, Act::ConsentEnded),
            _ => line(second, Act::LoggedIn),
        })
        .collect();
    directory.append_to_ledger(&lines).await.unwrap();
    let of_one = LedgerQuery { gcid: Some(gcid(1)), ..ALL };
    for query in [ALL, of_one, LedgerQuery { on_consent: true, ..of_one }] {
        let whole = directory.ledger(query).await.unwrap();
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = directory.ledger(LedgerQuery { before, limit: 2, ..query }).await.unwrap();
            let Some((oldest, _)) = page.last() else { break };
            assert!(page.len() <= 2);
            before = Some(*oldest);
            pages.extend(page);
            // What happens meanwhile is on no later page.
            directory.append_to_ledger(&[line(99, Act::ConsentEnded)]).await.unwrap();
        }
        assert_eq!(pages, whole);
    }
    assert_eq!(read(&*directory, LedgerQuery { limit: 0, ..ALL }).await, []);
    assert_eq!(read(&*directory, LedgerQuery { before: Some(0), ..ALL }).await, []);
    let until_the_end = LedgerQuery { before: Some(u64::MAX), ..ALL };
    assert_eq!(read(&*directory, until_the_end).await, read(&*directory, ALL).await);
}

pub(crate) async fn old_lines_go_and_the_record_of_consents_stays(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let lines: Vec<_> = Act::ALL
        .into_iter()
        .flat_map(|act| [line(9, act), line(10, act)])
        .chain([Record::new(at(9), Actor::Service, Act::KeyRotated)])
        .collect();
    directory.append_to_ledger(&lines).await.unwrap();
    let is_kept = |record: &Record| record.act.is_on_consent() || record.at >= at(10);
    let (mut kept, gone): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_kept);
    kept.reverse();
    assert_eq!(directory.prune_ledger(at(10)).await.unwrap(), u64::try_from(gone.len()).unwrap());
    assert_eq!(read(&*directory, ALL).await, kept);
    assert_eq!(directory.prune_ledger(at(10)).await.unwrap(), 0);
}

pub(crate) async fn the_number_of_a_line_that_went_is_not_given_again(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.append_to_ledger(&[line(0, Act::LoggedIn)]).await.unwrap();
    let number = directory.ledger(ALL).await.unwrap()[0].0;
    directory.prune_ledger(at(1)).await.unwrap();
    directory.append_to_ledger(&[line(2, Act::LoggedIn)]).await.unwrap();
    assert!(directory.ledger(ALL).await.unwrap()[0].0 > number);
}

/// What was sent of a customer's vehicles, in the order of client, vehicle and channel.
async fn sent(directory: &impl Directory, customer: u128) -> Vec<Delivery> {
    let mut sent = directory.deliveries(gcid(customer)).await.unwrap();
    sent.sort_by_key(|one| (one.client_id, one.vin, one.channel));
    sent
}

pub(crate) async fn deliveries_add_up(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.count_deliveries(&[delivery(10, 20, 3)]).await.unwrap();
    assert_eq!(sent(&*directory, 1).await, [delivery(10, 20, 3)]);
    // Within, before and after; twice the same in one call.
    directory.count_deliveries(&[delivery(12, 15, 1)]).await.unwrap();
    assert_eq!(sent(&*directory, 1).await, [delivery(10, 20, 4)]);
    directory.count_deliveries(&[delivery(5, 6, 10), delivery(30, 30, 100)]).await.unwrap();
    directory.count_deliveries(&[]).await.unwrap();
    assert_eq!(sent(&*directory, 1).await, [delivery(5, 30, 114)]);
}

pub(crate) async fn deliveries_are_counted_for_each_client_vehicle_and_channel(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let own = [
        delivery(0, 1, 1),
        Delivery { channel: Channel::Rest, ..delivery(0, 2, 2) },
        // A vehicle need not be known.
        Delivery { vin: vin(9), ..delivery(0, 3, 3) },
        Delivery { client_id: client_id(2), ..delivery(0, 4, 4) },
    ];
    let of_another = Delivery { gcid: gcid(2), ..delivery(0, 5, 5) };
    directory.count_deliveries(&own).await.unwrap();
    directory.count_deliveries(std::slice::from_ref(&of_another)).await.unwrap();
    assert_eq!(sent(&*directory, 1).await, own);
    assert_eq!(sent(&*directory, 2).await, [of_another]);
}

pub(crate) async fn deliveries_of_unknown_customers_and_clients_are_left_out(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let strange = [
        Delivery { gcid: gcid(9), ..delivery(0, 1, 1) },
        Delivery { client_id: client_id(9), ..delivery(0, 1, 1) },
        delivery(0, 1, 1),
    ];
    directory.count_deliveries(&strange).await.unwrap();
    assert_eq!(sent(&*directory, 1).await, [delivery(0, 1, 1)]);
    assert_eq!(sent(&*directory, 9).await, []);
}
