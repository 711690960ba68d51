//! Clients are registered, changed and deleted.

use cardata_domain::client::Kind;
use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, lines, newest, refuse};
use crate::secret;
use crate::test_platform::{Person, SCOPES, World, third_party};

async fn register(world: &World, body: Value) -> Value {
    done(world, "POST", "/clients", body, 201).await
}

#[tokio::test]
async fn a_registered_client_belongs_to_the_customer_named_or_to_nobody() {
    let world = World::new().await;
    for (body, kind) in [
        (
            json!({"name": "evcc", "email": Person::Anna.email()}),
            Kind::Personal(Person::Anna.gcid()),
        ),
        (json!({"name": "Fleet Watch"}), Kind::ThirdParty),
    ] {
        let answer = register(&world, body).await;
        let id = answer["client_id"].as_str().unwrap().parse().unwrap();
        let client = world.platform.directory.client(id).await.unwrap().unwrap();
        assert_eq!(client.kind, kind);
        assert!(client.services.api && client.services.stream);
        assert!(client.secret_hash.is_none() && answer.get("client_secret").is_none());
        assert_eq!(newest(&world, Act::ClientCreated).await.client_id, Some(id));
    }
}

#[tokio::test]
async fn a_client_is_of_the_kind_and_has_the_services_that_were_asked_for() {
    let world = World::new().await;
    let body = json!({"name": "Tariff", "kind": "THIRD_PARTY", "purpose": " cheap charging ",
        "services": {"api": false}, "confidential": true});
    let answer = register(&world, body).await;
    assert_eq!(answer["services"], json!({"api": false, "stream": true}));
    assert_eq!(
        (&answer["purpose"], &answer["kind"]),
        (&json!("cheap charging"), &json!("THIRD_PARTY"))
    );
    let told = answer["client_secret"].as_str().unwrap();
    let id = answer["client_id"].as_str().unwrap();
    let client = world.platform.directory.client(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(client.secret_hash, Some(secret::hash(told).0));
    let shown = get(&world, &format!("/clients/{id}")).await;
    assert_eq!((&shown["confidential"], shown.get("client_secret")), (&json!(true), None));

    let server = register(&world, json!({"name": "Gate", "kind": "RESOURCE_SERVER"})).await;
    assert_eq!(server["services"], json!({"api": false, "stream": false}));
    assert!(server["client_secret"].is_string());
    let own = json!({"name": "x", "kind": "PERSONAL", "gcid": Person::Ben.gcid().to_string()});
    assert_eq!(register(&world, own).await["gcid"], Person::Ben.gcid().to_string());
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_told() {
    let world = World::new().await;
    for (body, word) in [
        (json!({}), "`name`"),
        (json!({"name": ""}), "`name`"),
        (json!({"name": "x".repeat(256)}), "`name`"),
        (json!({"name": "x", "email": "nobody@example.com"}), "e-mail"),
        (json!({"name": "x", "kind": "PERSONAL"}), "`email`"),
        (json!({"name": "x", "kind": "OTHER"}), "`kind`"),
        (json!({"name": "x", "kind": "THIRD_PARTY", "email": Person::Anna.email()}), "`kind`"),
        (json!({"name": "x", "purpose": "a\nb"}), "`purpose`"),
        (json!({"name": "x", "services": []}), "`services`"),
        (json!({"name": "x", "services": {"api": 1}}), "`services.api`"),
        (json!({"name": "x", "services": {"rest": true}}), "`services.rest`"),
        (json!({"name": "x", "kind": "RESOURCE_SERVER", "services": {"api": true}}), "`services`"),
        (json!({"name": "x", "kind": "RESOURCE_SERVER", "confidential": false}), "`confidential`"),
        (json!({"name": "x", "colour": "red"}), "`colour`"),
    ] {
        refuse(&world, "POST", "/clients", body, 400, word).await;
    }
    assert_eq!(lines(&world).await, 0);
}

#[tokio::test]
async fn a_client_that_loses_a_service_loses_the_consents_to_it() {
    let world = World::new().await;
    let api_only = "authenticate_user openid cardata:api:read";
    let stream_only = "authenticate_user openid cardata:streaming:read";
    for (person, scopes) in [(Person::Anna, api_only), (Person::Ben, stream_only)] {
        world.log_in(third_party(), person, scopes).await;
    }
    let path = format!("/clients/{}", third_party());
    let changed = done(&world, "PATCH", &path, json!({"name": "Fleet Sight"}), 200).await;
    assert_eq!(
        (&changed["name"], &changed["ended"]["consents_ended"]),
        (&json!("Fleet Sight"), &json!(0))
    );
    let record = newest(&world, Act::ClientRenamed).await;
    assert_eq!((&record.detail["name"], record.gcid), (&json!("Fleet Sight"), None));
    let changed = done(&world, "PATCH", &path, json!({"services": {"stream": false}}), 200).await;
    assert_eq!(changed["services"], json!({"api": true, "stream": false}));
    assert_eq!(changed["ended"]["consents_ended"], 1);
    let state = async |person: Person| {
        let path = format!("/customers/{}/consents", person.gcid());
        get(&world, &path).await["consents"][0]["state"].clone()
    };
    assert_eq!(
        (state(Person::Anna).await, state(Person::Ben).await),
        (json!("ACTIVE"), json!("ENDED"))
    );
    let before = lines(&world).await;
    done(&world, "PATCH", &path, json!({"services": {"stream": false}}), 200).await;
    assert_eq!(lines(&world).await, before);
    refuse(&world, "PATCH", &path, json!({"name": ""}), 400, "`name`").await;
    refuse(&world, "PATCH", &path, json!({"kind": "PERSONAL"}), 400, "`kind`").await;
    refuse(&world, "PATCH", "/clients/x", json!({}), 404, "no client").await;
}

#[tokio::test]
async fn a_new_secret_takes_the_place_of_the_old_one() {
    let world = World::new().await;
    let client = register(&world, json!({"name": "x", "confidential": true})).await;
    let path = format!("/clients/{}", client["client_id"].as_str().unwrap());
    let renewed = done(&world, "POST", &format!("{path}/secret"), Value::Null, 200).await;
    assert_ne!(renewed["client_secret"], client["client_secret"]);
    assert!(newest(&world, Act::SecretRenewed).await.detail.is_empty());
    let id = client["client_id"].as_str().unwrap().parse().unwrap();
    let stored = world.platform.directory.client(id).await.unwrap().unwrap().secret_hash;
    let told = renewed["client_secret"].as_str().unwrap();
    assert_eq!(stored, Some(secret::hash(told).0));
    refuse(&world, "POST", "/clients/x/secret", Value::Null, 404, "no client").await;
}

#[tokio::test]
async fn a_deleted_client_stays_deleted() {
    let world = World::new().await;
    world.log_in(third_party(), Person::Anna, SCOPES).await;
    let path = format!("/clients/{}", third_party());
    let ended = done(&world, "DELETE", &path, Value::Null, 200).await;
    assert_eq!(ended["consents_ended"], 1);
    newest(&world, Act::ClientDeleted).await;
    assert!(get(&world, &path).await["deleted_at"].is_string());
    refuse(&world, "DELETE", &path, Value::Null, 409, "deleted before").await;
    refuse(&world, "PATCH", &path, json!({"name": "y"}), 409, "deleted").await;
    refuse(&world, "POST", &format!("{path}/secret"), Value::Null, 409, "deleted").await;
    refuse(&world, "DELETE", "/clients/x", Value::Null, 404, "no client").await;
    let all = get(&world, "/clients?limit=2").await;
    assert_eq!(all["clients"].as_array().unwrap().len(), 2);
    assert_eq!(all["next"], Person::Ben.client_id().to_string());
}

#[tokio::test]
async fn a_client_is_shown_with_its_requests_of_today_over_all_customers() {
    let world = World::new().await;
    for person in [Person::Anna, Person::Ben, Person::Ben] {
        let tokens = world.log_in(third_party(), person, SCOPES).await;
        world.get("/customers/vehicles/mappings", &tokens.access_token).await;
    }
    let requests =
        async || get(&world, &format!("/clients/{}", third_party())).await["requests"].clone();
    let limit_per = "CLIENT_AND_CUSTOMER";
    assert_eq!(requests().await, json!({"today": 3, "limit": 5000, "limit_per": limit_per}));
    world.pass(24 * 3600);
    assert_eq!(requests().await["today"], 0);
}
