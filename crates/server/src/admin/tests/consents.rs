//! Consents are listed and ended.

use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, newest, refuse};
use crate::test_platform::{Person, SCOPES, World, third_party};

#[tokio::test]
async fn a_consent_is_listed_with_its_purpose_and_ended_once() {
    let world = World::new().await;
    world.log_in(third_party(), Person::Anna, SCOPES).await;
    world.log_in(Person::Ben.client_id(), Person::Ben, SCOPES).await;
    let consents = get(&world, "/customers/anna@example.com/consents").await;
    assert_eq!(consents["consents"].as_array().unwrap().len(), 1);
    let consent = &consents["consents"][0];
    assert_eq!(consent["client_id"], third_party().to_string());
    assert_eq!(consent["purpose"], "Fleet Insight: keeps an eye on fleets");
    assert_eq!((&consent["state"], &consent["scopes"]), (&json!("ACTIVE"), &json!(SCOPES)));

    let id = consent["consent_id"].as_str().unwrap().to_owned();
    let path = format!("/consents/{id}");
    let ended = done(&world, "DELETE", &path, Value::Null, 200).await;
    assert_eq!((&ended["consents_ended"], &ended["streams_closed"]), (&json!(1), &json!(0)));
    let record = newest(&world, Act::ConsentEnded).await;
    assert_eq!(
        (&record.detail["consent_id"], &record.detail["why"]),
        (&json!(id), &json!("OPERATOR"))
    );
    assert_eq!(record.gcid, Some(Person::Anna.gcid()));
    refuse(&world, "DELETE", &path, Value::Null, 409, "OPERATOR").await;
    let consents = get(&world, "/customers/anna@example.com/consents").await;
    let consent = &consents["consents"][0];
    assert_eq!((&consent["state"], &consent["end_reason"]), (&json!("ENDED"), &json!("OPERATOR")));
    let of_ben = get(&world, "/customers/ben@example.com/consents").await;
    assert_eq!(of_ben["consents"][0]["state"], "ACTIVE");
}

#[tokio::test]
async fn an_unknown_consent_is_told() {
    let world = World::new().await;
    for id in ["x", "aa111192-d570-4d3d-8835-656ee00edcd7"] {
        refuse(&world, "DELETE", &format!("/consents/{id}"), Value::Null, 404, "no consent").await;
    }
    let path = "/customers/nobody@example.com/consents";
    refuse(&world, "GET", path, Value::Null, 404, "no customer").await;
}
