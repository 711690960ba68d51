//! Links of customers to vehicles begin, change and end.

use cardata_domain::ledger::{Act, Actor};
use cardata_domain::vehicle::MappingType;
use cardata_domain::{Entry, Event, Value as Worth};
use cardata_store::directory::{ChargingProgress, ChargingUpdate, LedgerQuery};
use serde_json::{Value, json};

use super::{done, lines, newest, refuse};
use crate::test_platform::{Person, World, vehicle};

const VIN: &str = "WBY00000000000001";

async fn world() -> World {
    let world = World::new().await;
    world.platform.directory.put_vehicle(&vehicle(VIN)).await.unwrap();
    world
}

fn link(person: Person, mapping_type: &str) -> Value {
    json!({"email": person.email(), "vin": VIN, "type": mapping_type})
}

async fn links(world: &World) -> Vec<(String, MappingType)> {
    let links = world.platform.directory.mappings_of_vehicle(VIN.parse().unwrap()).await.unwrap();
    let mut links: Vec<_> =
        links.into_iter().map(|link| (link.gcid.to_string(), link.mapping_type)).collect();
    links.sort_by(|one, other| one.0.cmp(&other.0));
    links
}

#[tokio::test]
async fn a_vehicle_has_one_primary_unless_it_is_handed_over() {
    let world = world().await;
    let [anna, ben] = [Person::Anna, Person::Ben].map(|person| person.gcid().to_string());
    let added = done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 201).await;
    assert_eq!((&added["gcid"], &added["change"]), (&json!(anna), &json!("added")));
    let record = newest(&world, Act::MappingChanged).await;
    assert_eq!((&record.detail["vin"], &record.detail["type"]), (&json!(VIN), &json!("PRIMARY")));
    let before = lines(&world).await;
    let again = done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 200).await;
    assert_eq!((&again["change"], &again["since"]), (&json!("unchanged"), &added["since"]));
    assert_eq!(lines(&world).await, before);

    done(&world, "PUT", "/mappings", link(Person::Ben, "SECONDARY"), 201).await;
    refuse(&world, "PUT", "/mappings", link(Person::Ben, "PRIMARY"), 409, &anna).await;
    assert_eq!(
        links(&world).await,
        [(anna.clone(), MappingType::Primary), (ben.clone(), MappingType::Secondary)]
    );
    let mut hand_over = link(Person::Ben, "PRIMARY");
    hand_over["hand_over"] = true.into();
    let handed = done(&world, "PUT", "/mappings", hand_over, 200).await;
    assert_eq!((&handed["change"], &handed["ended"]["gcid"]), (&json!("changed"), &json!(anna)));
    assert_eq!(links(&world).await, [(ben, MappingType::Primary)]);
    let query = LedgerQuery { gcid: Some(Person::Anna.gcid()), limit: 1, ..LedgerQuery::default() };
    let (_, record) = world.platform.directory.ledger(query).await.unwrap().remove(0);
    assert_eq!((record.act, record.actor), (Act::MappingEnded, Actor::Operator));
}

#[tokio::test]
async fn who_is_primary_no_longer_becomes_secondary() {
    let world = world().await;
    done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 201).await;
    let changed = done(&world, "PUT", "/mappings", link(Person::Anna, "SECONDARY"), 200).await;
    assert_eq!(changed["change"], "changed");
    assert_eq!(links(&world).await[0].1, MappingType::Secondary);
    let back = done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 200).await;
    assert_eq!(back["change"], "changed");
}

#[tokio::test]
async fn what_a_vehicle_sent_while_it_was_nobodys_is_nobodys() {
    let world = world().await;
    let (vin, journal) = (VIN.parse().unwrap(), &world.platform.journal);
    let catalogue = &world.platform.catalogue;
    let descriptor = catalogue.find("vehicle.vehicle.travelledDistance").unwrap();
    let now = world.platform.clock.now();
    let entry = Entry::new(catalogue, descriptor, now, Worth::Boolean(true), None);
    journal.append(vec![Event::new(vin, now, vec![entry]).unwrap()], now).await.unwrap();
    done(&world, "PUT", "/mappings", link(Person::Ben, "SECONDARY"), 201).await;
    assert_eq!(journal.latest(vin).await.unwrap().len(), 1);
    let directory = &world.platform.directory;
    let found = |version| ChargingUpdate {
        vin,
        progress: ChargingProgress { version, ..ChargingProgress::default() },
        settled: Vec::new(),
        unsettled: Vec::new(),
    };
    assert_eq!(directory.put_charging(&[found(0)]).await.unwrap(), 1);
    done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 201).await;
    assert!(journal.latest(vin).await.unwrap().is_empty());
    let under_way = directory.put_charging(&[found(1)]).await.unwrap();
    assert_eq!(under_way, 0, "a search for charging that began before can't write any more");
}

#[tokio::test]
async fn what_is_wrong_with_a_link_is_told() {
    let world = world().await;
    let anna = Person::Anna.gcid().to_string();
    for (body, word) in [
        (json!({"vin": VIN, "type": "PRIMARY"}), "`gcid`"),
        (json!({"gcid": "x", "vin": VIN, "type": "PRIMARY"}), "`gcid`"),
        (json!({"email": "nobody@example.com", "vin": VIN, "type": "PRIMARY"}), "`email`"),
        (
            json!({"gcid": anna, "email": "anna@example.com", "vin": VIN, "type": "PRIMARY"}),
            "`email`",
        ),
        (json!({"gcid": anna, "type": "PRIMARY"}), "`vin`"),
        (json!({"gcid": anna, "vin": "WBY00000000000009", "type": "PRIMARY"}), "`vin`"),
        (json!({"gcid": anna, "vin": VIN}), "`type`"),
        (json!({"gcid": anna, "vin": VIN, "type": "OWNER"}), "`type`"),
        (json!({"gcid": anna, "vin": VIN, "type": "SECONDARY", "hand_over": true}), "`hand_over`"),
        (json!({"gcid": anna, "vin": VIN, "type": "PRIMARY", "handover": true}), "`handover`"),
    ] {
        refuse(&world, "PUT", "/mappings", body, 400, word).await;
    }
    assert_eq!((lines(&world).await, links(&world).await), (0, Vec::new()));
}

#[tokio::test]
async fn only_a_link_that_is_there_ends() {
    let world = world().await;
    done(&world, "PUT", "/mappings", link(Person::Anna, "PRIMARY"), 201).await;
    let path = |customer: &str, vin: &str| format!("/mappings/{customer}/{vin}");
    let ben = path(&Person::Ben.gcid().to_string(), VIN);
    refuse(&world, "DELETE", &ben, Value::Null, 404, "no link").await;
    refuse(&world, "DELETE", &path("nobody@x", VIN), Value::Null, 404, "no customer").await;
    let anna = Person::Anna.gcid().to_string();
    refuse(&world, "DELETE", &path(&anna, "WBY"), Value::Null, 400, "`vin`").await;
    let other = path(&anna, "WBY00000000000009");
    refuse(&world, "DELETE", &other, Value::Null, 404, "no link").await;
    assert_eq!(links(&world).await.len(), 1);
    done(&world, "DELETE", &path(&anna, VIN), Value::Null, 200).await;
    assert_eq!(links(&world).await, []);
    assert_eq!(newest(&world, Act::MappingEnded).await.detail["vin"], VIN);
}
