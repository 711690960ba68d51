//! The ledger is read by page and exported.

use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{call, done, get, newest, refuse};
use crate::test_platform::{Person, SCOPES, World, third_party};

/// Lines of an export.
async fn exported(world: &World, path: &str) -> Vec<Value> {
    let answer = call(world, "GET", path, Value::Null).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/jsonl");
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_ledger_is_read_page_by_page_the_newest_first() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        done(&world, "POST", "/clients", json!({"name": name}), 201).await;
    }
    let first = get(&world, "/ledger?limit=2").await;
    let names = |page: &Value| -> Vec<Value> {
        page["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["detail"]["name"].clone())
            .collect()
    };
    assert_eq!(names(&first), ["three", "two"]);
    assert_eq!(
        (&first["lines"][0]["act"], &first["lines"][0]["actor"]),
        (&json!("CLIENT_CREATED"), &json!("OPERATOR"))
    );
    let before = first["next"].as_str().unwrap();
    let rest = get(&world, &format!("/ledger?limit=2&before={before}")).await;
    assert_eq!((names(&rest), &rest["next"]), (vec![json!("one")], &Value::Null));
    refuse(&world, "GET", "/ledger?format=xml", Value::Null, 400, "`format`").await;
    refuse(&world, "GET", "/ledger?consents=1", Value::Null, 400, "`consents`").await;
    refuse(&world, "GET", "/ledger?before=x", Value::Null, 400, "`before`").await;
}

#[tokio::test]
async fn an_export_has_one_customers_lines_and_leaves_one() {
    let world = World::new().await;
    world.log_in(third_party(), Person::Anna, SCOPES).await;
    world.log_in(third_party(), Person::Ben, SCOPES).await;
    let path = "/customers/anna@example.com/ledger";
    let lines = exported(&world, path).await;
    let anna = json!(Person::Anna.gcid().to_string());
    assert!(lines.len() >= 2 && lines.iter().all(|line| line["gcid"] == anna), "{lines:?}");
    assert_eq!(lines[0]["act"], "DATA_EXPORTED");
    let record = newest(&world, Act::DataExported).await;
    assert_eq!(
        (record.gcid, &record.detail["what"]),
        (Some(Person::Anna.gcid()), &json!("ledger"))
    );
    let consents = exported(&world, &format!("{path}?consents=true")).await;
    assert_eq!(consents.len(), 1);
    assert_eq!(consents[0]["act"], "CONSENT_GRANTED");
    assert_eq!(newest(&world, Act::DataExported).await.detail["what"], "record of consents");
    refuse(&world, "GET", &format!("{path}?consent=true"), Value::Null, 400, "`consent`").await;
    refuse(&world, "GET", "/customers/x/ledger", Value::Null, 404, "no customer").await;
}

#[tokio::test]
async fn an_export_of_everything_is_whole_however_long_it_is() {
    let world = World::new().await;
    let record = cardata_domain::ledger::Record::new(
        world.platform.clock.now(),
        cardata_domain::ledger::Actor::Service,
        Act::DataRead,
    );
    world.platform.directory.append_to_ledger(&vec![record; 2500]).await.unwrap();
    let lines = exported(&world, "/ledger?format=jsonl").await;
    let numbers: Vec<_> = lines.iter().map(|line| line["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=2501).rev().collect::<Vec<_>>());
    assert_eq!(newest(&world, Act::DataExported).await.gcid, None);
}
