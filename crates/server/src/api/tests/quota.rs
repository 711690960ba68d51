//! How many requests there may be in a day, and what answers say of it (wire §4.3).

use std::time::Duration;

use axum::Router;
use axum::http::header::{IF_NONE_MATCH, RETRY_AFTER};
use axum::routing::get;
use cardata_contract::error_code::ErrorCode;
use tower::ServiceExt as _;

use super::super::auth::Caller;
use super::super::error::ApiError;
use super::super::served;
use super::*;
use crate::profile::Requests;

async fn world(requests: Requests) -> World {
    let world = World::with(Profile { requests, ..Profile::open() }, None).await;
    world.fill_garages().await;
    world
}

/// What an answer says is left of the day, and of how many.
fn told(answer: &Answer) -> Option<(&str, &str)> {
    let text = |name: &str| Some(answer.headers.get(name)?.to_str().unwrap());
    text("ratelimit").zip(text("ratelimit-policy"))
}

#[tokio::test]
async fn who_used_up_the_day_is_refused_everywhere_until_midnight_utc() {
    let world = world(Requests::PerClient(3)).await;
    let token = world.own_token(Person::Anna).await;
    // The clock stands at 14:13:20.
    for left in ["2", "1", "0"] {
        let answer = world.get(MAPPINGS, &token).await;
        assert_eq!(answer.status, StatusCode::OK);
        let expected = format!("\"day\";r={left};t=35200");
        assert_eq!(told(&answer), Some((expected.as_str(), "\"day\";q=3;w=86400")));
        assert!(!answer.headers.contains_key(RETRY_AFTER));
    }
    let mut paths = reads_of(HERS, "W00J000D000AB").to_vec();
    paths.extend([MAPPINGS, CONTAINERS, "/customers/containers/undefined"].map(str::to_owned));
    for path in &paths {
        let answer = world.get(path, &token).await;
        assert_eq!(refusal(&answer), refused(403, "CU-429"), "{path}");
        assert_eq!(answer.json()["exveErrorMsg"], "API rate limit reached");
        assert_eq!(answer.headers[RETRY_AFTER], "35200");
        assert_eq!(told(&answer).unwrap().0, "\"day\";r=0;t=35200");
    }
    assert_eq!(refusal(&world.get("/customers/nothing", &token).await), refused(403, "TP-403"));
    let other = world.token(third_party(), Person::Anna).await;
    assert_eq!(world.get(MAPPINGS, &other).await.status, StatusCode::OK, "another client");
    let ben = world.own_token(Person::Ben).await;
    assert_eq!(world.get(MAPPINGS, &ben).await.status, StatusCode::OK, "another customer");

    world.pass(35_199);
    let token = world.own_token(Person::Anna).await;
    let answer = world.get(MAPPINGS, &token).await;
    assert_eq!(refusal(&answer), refused(403, "CU-429"));
    assert_eq!(answer.headers[RETRY_AFTER], "1");
    world.pass(1);
    let answer = world.get(MAPPINGS, &token).await;
    assert_eq!(told(&answer).unwrap().0, "\"day\";r=2;t=86400");
}

#[tokio::test]
async fn in_the_strict_profile_all_clients_of_a_customer_share_fifty() {
    let world = World::with(Profile::bmw(), None).await;
    let tokens =
        [world.own_token(Person::Anna).await, world.token(third_party(), Person::Anna).await];
    for number in 0..50 {
        let answer = world.get(MAPPINGS, &tokens[number % 2]).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}");
    }
    for token in &tokens {
        assert_eq!(refusal(&world.get(MAPPINGS, token).await), refused(403, "CU-429"));
    }
    let ben = world.own_token(Person::Ben).await;
    assert_eq!(world.get(MAPPINGS, &ben).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_refused_or_known_counts_and_what_nobody_asked_does_not() {
    let world = world(Requests::PerClient(100)).await;
    let token = world.own_token(Person::Anna).await;
    let left = async || {
        let answer = world.get(MAPPINGS, &token).await;
        let (left, _) = told(&answer).unwrap();
        left.split(';').nth(1).unwrap().trim_start_matches("r=").parse::<u32>().unwrap()
    };
    assert_eq!(left().await, 99);
    world.get("/customers/vehicles/x/basicData", &token).await;
    world.call("HEAD", MAPPINGS, &token, "").await;
    let request = Request::get(MAPPINGS).header(AUTHORIZATION, format!("Bearer {token}"));
    let known = request.header(IF_NONE_MATCH, "*").body(Body::empty()).unwrap();
    assert_eq!(world.send(known).await.status, StatusCode::NOT_MODIFIED);
    world.create(&token, &["vehicle.nonsense"]).await;
    assert_eq!(left().await, 94, "four, and this one");

    for (method, path, token) in [
        ("GET", MAPPINGS, "garbage"),
        ("GET", MAPPINGS, ""),
        ("PUT", MAPPINGS, &token),
        ("GET", "/customers/vehicles", &token),
    ] {
        let answer = world.call(method, path, token, "").await;
        assert!(answer.status.is_client_error());
        assert_eq!(told(&answer), None, "{method} {path}");
    }
    assert_eq!(left().await, 93);
}

#[tokio::test]
async fn what_the_server_fails_to_answer_does_not_count() {
    let world = world(Requests::PerClient(2)).await;
    let token = world.own_token(Person::Anna).await;
    let platform = world.platform.clone();
    let fails = get(async |_: Caller| ApiError::new(ErrorCode::Unavailable, "a store is gone"));
    let fails = served(&platform, "fails", fails, Duration::from_mins(1));
    let app = Router::new().route("/fails", fails).with_state(platform);
    for _ in 0..5 {
        let request = Request::get("/fails").header(AUTHORIZATION, format!("Bearer {token}"));
        let Ok(answer) = app.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["ratelimit"], "\"day\";r=2;t=35200");
    }
    assert_eq!(world.get(MAPPINGS, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let world = world(Requests::PerClient(1).with_max(0)).await;
    let token = world.own_token(Person::Anna).await;
    for _ in 0..3 {
        let answer = world.get(MAPPINGS, &token).await;
        assert_eq!((answer.status, told(&answer)), (StatusCode::OK, None));
    }
}
