//! Customers come, go, and get new passwords.

use axum::http::StatusCode;
use cardata_domain::consent::{EndReason, State};
use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, lines, newest, password_fits, refuse};
use crate::test_platform::{Person, SCOPES, World, third_party, vehicle};

const PATH: &str = "/customers/anna@example.com";

#[tokio::test]
async fn a_customer_is_added_with_the_password_that_was_given_or_a_new_one() {
    let world = World::new().await;
    let given = json!({"email": " Carla@example.com ", "password": "carla likes trains"});
    let carla = done(&world, "POST", "/customers", given, 201).await;
    assert_eq!(carla["email"], "Carla@example.com");
    assert!(carla.get("password").is_none());
    assert!(password_fits(&world, "carla@example.com", "carla likes trains").await);
    let record = newest(&world, Act::CustomerAdded).await;
    assert_eq!(record.gcid.unwrap().to_string(), carla["gcid"].as_str().unwrap());
    assert!(record.detail.is_empty());

    let gcid = "dd111192-d570-4d3d-8835-656ee00edcd7";
    let body = json!({"email": "dora@example.com", "gcid": gcid});
    let dora = done(&world, "POST", "/customers", body, 201).await;
    assert_eq!(dora["gcid"], gcid);
    assert!(password_fits(&world, "dora@example.com", dora["password"].as_str().unwrap()).await);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_customer_is_told_and_nobody_is_added() {
    let world = World::new().await;
    let anna = Person::Anna.gcid().to_string();
    for (body, status, word) in [
        (json!({}), 400, "`email`"),
        (json!({"email": 5}), 400, "`email`"),
        (json!({"email": "nobody"}), 400, "`email`"),
        (json!({"email": "ANNA@example.com"}), 409, "`email`"),
        (json!({"email": "x@example.com", "password": "short"}), 400, "`password`"),
        (json!({"email": "x@example.com", "gcid": "x"}), 400, "`gcid`"),
        (json!({"email": "x@example.com", "gcid": anna}), 409, "`gcid`"),
        (json!({"email": "x@example.com", "mail": "x"}), 400, "`mail`"),
    ] {
        refuse(&world, "POST", "/customers", body, status, word).await;
    }
    assert_eq!(lines(&world).await, 0);
    assert_eq!(world.platform.directory.customers().await.unwrap().len(), 2);
}

#[tokio::test]
async fn customers_are_listed_page_by_page() {
    let world = World::new().await;
    let first = get(&world, "/customers?limit=1").await;
    assert_eq!(first["customers"][0]["email"], Person::Anna.email());
    let after = first["next"].as_str().unwrap();
    assert_eq!(after, Person::Anna.gcid().to_string());
    let second = get(&world, &format!("/customers?limit=1&after={after}")).await;
    assert_eq!(second["customers"][0]["email"], Person::Ben.email());
    let rest = get(&world, &format!("/customers?after={}", Person::Ben.gcid())).await;
    assert_eq!(rest, json!({"customers": [], "next": null}));
    assert!(!first.to_string().contains("argon2"));
    refuse(&world, "GET", "/customers?after=x", Value::Null, 400, "`after`").await;
}

#[tokio::test]
async fn a_customer_is_shown_by_either_name_with_what_is_theirs() {
    let world = World::new().await;
    let vehicle = vehicle("WBY00000000000001");
    world.platform.directory.put_vehicle(&vehicle).await.unwrap();
    let link =
        json!({"email": Person::Anna.email(), "vin": vehicle.vin.as_str(), "type": "PRIMARY"});
    done(&world, "PUT", "/mappings", link, 201).await;
    world.log_in(third_party(), Person::Anna, SCOPES).await;
    let by_email = get(&world, "/customers/ANNA@example.com").await;
    let by_gcid = get(&world, &format!("/customers/{}", Person::Anna.gcid())).await;
    assert_eq!(by_email, by_gcid);
    assert_eq!(
        by_email["counts"],
        json!({"vehicles_primary": 1, "vehicles_secondary": 0, "clients": 1,
            "consents_active": 1, "consents_ended": 0})
    );
    assert_eq!(by_email["mappings"][0]["vin"], vehicle.vin.as_str());
    let other = get(&world, "/customers/ben@example.com").await;
    assert_eq!((&other["mappings"], &other["counts"]["consents_active"]), (&json!([]), &json!(0)));
    for unknown in ["nobody@example.com", "ee111192-d570-4d3d-8835-656ee00edcd7", "x"] {
        let path = format!("/customers/{unknown}");
        refuse(&world, "GET", &path, Value::Null, 404, "no customer").await;
    }
}

#[tokio::test]
async fn a_new_password_ends_log_ins_and_what_clients_were_let_see() {
    let world = World::new().await;
    let tokens = world.log_in(third_party(), Person::Anna, SCOPES).await;
    let of_ben = world.log_in(third_party(), Person::Ben, SCOPES).await;
    // Approved with the old password, and not exchanged yet.
    let (device_code, user_code) = world.start_login(third_party(), SCOPES).await;
    world.approve(&user_code, Person::Anna).await;

    let body = json!({"password": "a new one, please"});
    let kept = json!({"password": "yet another one", "keep_clients": true});
    let path = format!("{PATH}/password");
    let answer = done(&world, "POST", &path, kept, 200).await;
    assert_eq!(answer["consents_ended"], 0);
    let answer = done(&world, "POST", &path, body, 200).await;
    assert_eq!((&answer["consents_ended"], answer.get("password")), (&json!(1), None));
    assert_eq!(newest(&world, Act::PasswordChanged).await.detail["consents_ended"], 1);
    assert!(password_fits(&world, Person::Anna.email(), "a new one, please").await);

    let consents = world.platform.directory.consents_of(Person::Anna.gcid()).await.unwrap();
    let why = EndReason::PasswordChanged;
    assert!(
        consents.iter().all(|one| matches!(one.state, State::Ended { why: had, .. } if had == why))
    );
    let mappings = "/customers/vehicles/mappings";
    let seen = async |token: &str| {
        let request = axum::http::Request::get(mappings)
            .header("authorization", format!("Bearer {token}"))
            .header("x-version", "v1");
        world.send(request.body(axum::body::Body::empty()).unwrap()).await.status
    };
    assert_eq!(seen(&tokens.access_token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(seen(&of_ben.access_token).await, StatusCode::OK);
    let poll = world.poll(third_party(), &device_code).await;
    assert_eq!(poll.oauth_error(), (400, "invalid_grant".to_owned()));

    let made_up = done(&world, "POST", &path, json!({}), 200).await;
    assert!(
        password_fits(&world, Person::Anna.email(), made_up["password"].as_str().unwrap()).await
    );
    refuse(&world, "POST", &path, json!({"password": "short"}), 400, "`password`").await;
    refuse(&world, "POST", &path, json!({"keep_clients": "yes"}), 400, "`keep_clients`").await;
    refuse(&world, "POST", "/customers/x/password", json!({}), 404, "no customer").await;
}

#[tokio::test]
async fn a_customer_goes_only_when_that_is_confirmed() {
    let world = World::new().await;
    let anna = Person::Anna.gcid();
    world.log_in(third_party(), Person::Anna, SCOPES).await;
    for confirm in ["", "?confirm=yes", &format!("?confirm={}", Person::Ben.gcid())] {
        let path = format!("{PATH}{confirm}");
        refuse(&world, "DELETE", &path, Value::Null, 400, "`confirm`").await;
    }
    assert!(world.platform.directory.customer(anna).await.unwrap().is_some());
    let path = format!("{PATH}?confirm={anna}");
    done(&world, "DELETE", &path, Value::Null, 200).await;
    assert!(world.platform.directory.customer(anna).await.unwrap().is_none());
    assert!(world.platform.directory.customer(Person::Ben.gcid()).await.unwrap().is_some());
    let record = newest(&world, Act::CustomerDeleted).await;
    assert_eq!((record.gcid, record.detail.len()), (None, 0));
    refuse(&world, "DELETE", &path, Value::Null, 404, "no customer").await;
}
