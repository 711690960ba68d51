//! Deciding log-ins in a customer's place.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::json;

use super::refused;
use crate::test_platform::{ADMIN_TOKEN, Answer, Person, SCOPES, World, third_party};

async fn decide(world: &World, user_code: &str, decision: &str, body: &str) -> Answer {
    let request = Request::post(format!("/admin/v1/device-codes/{user_code}/{decision}"))
        .header(AUTHORIZATION, format!("Bearer {ADMIN_TOKEN}"));
    world.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

fn email(person: Person) -> String {
    json!({"email": person.email()}).to_string()
}

#[tokio::test]
async fn the_operator_approves_and_denies_in_a_customers_name() {
    let world = World::new().await;
    for client in [Person::Anna.client_id(), third_party()] {
        let (device_code, user_code) = world.start_login(client, SCOPES).await;
        let answer = decide(&world, &user_code, "approve", r#"{"email":"ANNA@example.com"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        let tokens = world.poll(client, &device_code).await.tokens();
        assert_eq!(tokens.gcid, Person::Anna.gcid().to_string());
    }
    let (device_code, user_code) = world.start_login(third_party(), SCOPES).await;
    assert_eq!(decide(&world, &user_code, "deny", "").await.status.as_u16(), 204);
    let answer = world.poll(third_party(), &device_code).await;
    assert_eq!(answer.oauth_error(), (403, "access_denied".to_owned()));
}

#[tokio::test]
async fn a_decision_that_cannot_be_taken_says_why_and_changes_nothing() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    for body in ["", "{}", "[", r#"{"email":7}"#, r#"{"email":"nobody@example.com"}"#] {
        assert_eq!(refused(&decide(&world, &user_code, "approve", body).await), 400, "{body}");
    }
    let anna = email(Person::Anna);
    assert_eq!(refused(&decide(&world, "nonsense", "approve", &anna).await), 404);
    assert_eq!(refused(&decide(&world, "nonsense", "deny", "").await), 404);
    assert_eq!(refused(&decide(&world, &user_code, "approve", &email(Person::Ben)).await), 409);
    let answer = world.poll(client, &device_code).await;
    assert_eq!(answer.oauth_error(), (403, "authorization_pending".to_owned()));

    assert_eq!(decide(&world, &user_code, "approve", &anna).await.status.as_u16(), 204);
    assert_eq!(refused(&decide(&world, &user_code, "approve", &anna).await), 409);
    assert_eq!(refused(&decide(&world, &user_code, "deny", "").await), 409);
    let (_, user_code) = world.start_login(client, SCOPES).await;
    world.pass(300);
    assert_eq!(refused(&decide(&world, &user_code, "approve", &anna).await), 409);
}

#[tokio::test]
async fn nothing_below_admin_opens_without_the_operators_token() {
    let world = World::new().await;
    let (_, user_code) = world.start_login(third_party(), SCOPES).await;
    let approve = format!("/admin/v1/device-codes/{user_code}/approve");
    for path in [approve.as_str(), "/admin/v1/device-codes", "/admin/v1/unknown", "/admin/v1"] {
        for value in [None, Some("Bearer wrong"), Some("Bearer"), Some("Basic b3BlcmF0b3I=")] {
            let mut request = Request::post(path);
            if let Some(value) = value {
                request = request.header(AUTHORIZATION, value);
            }
            let body = Body::from(email(Person::Anna));
            let answer = world.send(request.body(body).unwrap()).await;
            assert_eq!(refused(&answer), 401, "{path} {value:?}");
            assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
        }
    }
    assert_eq!(refused(&world.get("/admin/v1/unknown", ADMIN_TOKEN).await), 404);
    assert_eq!(world.get(&approve, ADMIN_TOKEN).await.status.as_u16(), 405);
}
