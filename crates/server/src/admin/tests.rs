//! Each route of the operator's: what it does, what it refuses, and what the ledger says of it.

mod clients;
mod consents;
mod customers;
mod device_codes;
mod faults;
mod import;
mod keys;
mod ledger;
mod mappings;
mod vehicles;

use std::time::Duration;

use argon2::{Argon2, PasswordVerifier as _};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::LedgerQuery;
use serde_json::Value;

use crate::test_platform::{ADMIN_TOKEN, Answer, World};

/// Sends a request as the operator; `body` may be null.
async fn call(world: &World, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.call(method, &format!("/admin/v1{path}"), ADMIN_TOKEN, body).await
}

/// The JSON of a request that must be done with `status`.
async fn done(world: &World, method: &str, path: &str, body: Value, status: u16) -> Value {
    let answer = call(world, method, path, body).await;
    assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
    answer.json()
}

async fn get(world: &World, path: &str) -> Value {
    done(world, "GET", path, Value::Null, 200).await
}

/// Sends a request that must be refused with `status`, and with an error that has `hint` and says what to do.
async fn refuse(world: &World, method: &str, path: &str, body: Value, status: u16, hint: &str) {
    let answer = call(world, method, path, body).await;
    let what = format!("{method} {path}: {} {}", answer.status, answer.body);
    assert_eq!(refused(&answer), status, "{what}");
    assert!(answer.json()["error"].as_str().unwrap().contains(hint), "{what} lacks {hint}");
}

/// The status of a refusal, which must say what was wrong and what to do.
fn refused(answer: &Answer) -> u16 {
    let json = answer.json();
    for name in ["error", "remedy"] {
        assert!(json[name].as_str().is_some_and(|text| !text.is_empty()), "{json}");
    }
    answer.status.as_u16()
}

/// The newest line of the ledger, which must be the operator's and say `act`.
async fn newest(world: &World, act: Act) -> Record {
    let query = LedgerQuery { limit: 1, ..LedgerQuery::default() };
    let lines = world.platform.directory.ledger(query).await.unwrap();
    let (_, record) = lines.into_iter().next().expect("the ledger has a line");
    assert_eq!((record.actor, record.act), (Actor::Operator, act));
    record
}

/// Whether a customer logs in with `password`.
async fn password_fits(world: &World, email: &str, password: &str) -> bool {
    let customer = world.platform.directory.customer_by_email(email).await.unwrap();
    let hash = customer.expect("the customer is there").password_hash;
    Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
}

/// How many lines the ledger has.
async fn lines(world: &World) -> usize {
    let query = LedgerQuery { limit: 10_000, ..LedgerQuery::default() };
    world.platform.directory.ledger(query).await.unwrap().len()
}

#[tokio::test]
async fn nothing_opens_without_the_operators_token_and_nothing_is_done() {
    let world = World::new().await;
    for (method, path) in [
        ("GET", "/customers"),
        ("POST", "/customers"),
        ("GET", "/customers/anna@example.com"),
        ("DELETE", "/customers/anna@example.com?confirm=aa111192-d570-4d3d-8835-656ee00edcd7"),
        ("POST", "/customers/anna@example.com/password"),
        ("GET", "/customers/anna@example.com/ledger"),
        ("GET", "/customers/anna@example.com/consents"),
        ("DELETE", "/consents/aa111192-d570-4d3d-8835-656ee00edcd7"),
        ("GET", "/vehicles"),
        ("POST", "/vehicles"),
        ("GET", "/vehicles/WBY00000000000001"),
        ("PUT", "/mappings"),
        ("DELETE", "/mappings/anna@example.com/WBY00000000000001"),
        ("GET", "/clients"),
        ("POST", "/clients"),
        ("GET", "/clients/aaaaaaaa-7a1d-4590-aa99-33b97244d048"),
        ("PATCH", "/clients/aaaaaaaa-7a1d-4590-aa99-33b97244d048"),
        ("POST", "/clients/aaaaaaaa-7a1d-4590-aa99-33b97244d048/secret"),
        ("DELETE", "/clients/aaaaaaaa-7a1d-4590-aa99-33b97244d048"),
        ("GET", "/keys"),
        ("POST", "/keys/rotate"),
        ("DELETE", "/keys/x"),
        ("GET", "/ledger"),
        ("POST", "/import"),
        ("GET", "/faults"),
        ("POST", "/faults"),
        ("DELETE", "/faults"),
        ("DELETE", "/faults/1"),
        ("GET", "/faults/kinds"),
        ("GET", "/faults/log"),
    ] {
        for token in ["wrong", ""] {
            let answer = world.call(method, &format!("/admin/v1{path}"), token, "{}").await;
            assert_eq!(refused(&answer), 401, "{method} {path}");
        }
    }
    assert_eq!(lines(&world).await, 0);
}

#[tokio::test]
async fn what_no_operation_looks_at_is_refused_in_the_same_form() {
    let world = World::new().await;
    refuse(&world, "GET", "/unknown", Value::Null, 404, "no such operation").await;
    refuse(&world, "GET", "/customers/%ff", Value::Null, 400, "can't be read").await;
    refuse(&world, "GET", "/customers?limit=1&limit=2", Value::Null, 400, "`limit`").await;
    refuse(&world, "GET", "/customers?limit=0", Value::Null, 400, "`limit`").await;
    refuse(&world, "GET", "/customers?befor=x", Value::Null, 400, "`befor`").await;
    let answer = call(&world, "PATCH", "/customers", Value::Null).await;
    assert_eq!(refused(&answer), 405);
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    let long = Value::String("x".repeat(70_000));
    refuse(&world, "POST", "/customers", long, 413, "longer").await;
    refuse(&world, "POST", "/customers", serde_json::json!(["x"]), 400, "no JSON object").await;
}

#[tokio::test]
async fn what_was_begun_is_done_also_when_the_operator_hangs_up() {
    let world = World::new().await;
    let body = serde_json::json!({"email": "carla@example.com"});
    let begun = call(&world, "POST", "/customers", body);
    // A password takes longer to hash than this.
    let hung_up = tokio::time::timeout(Duration::from_millis(1), begun).await;
    assert!(hung_up.is_err(), "the answer was quicker than the one who hung up");
    while lines(&world).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let carla = world.platform.directory.customer_by_email("carla@example.com").await.unwrap();
    assert!(carla.is_some());
}
