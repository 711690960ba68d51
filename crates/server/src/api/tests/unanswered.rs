//! What is answered where a handler gives no answer (wire §4.2).

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::routing::{MethodRouter, get};
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt as _;

use super::super::auth::Caller;
use super::super::served;
use super::*;
use crate::Platform;
use crate::profile::Requests;

const PATIENCE: Duration = Duration::from_mins(1);

/// What is answered where `handler` should, and what metrics say of it.
async fn answer(
    world: &World,
    handler: MethodRouter<Arc<Platform>>,
    media: &str,
) -> (Answer, String) {
    let metrics = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&metrics);
    let methods = served(&world.platform, "unsteady", handler, PATIENCE);
    let app = Router::new().route("/customers/unsteady", methods);
    let token = world.own_token(Person::Anna).await;
    let request = Request::get("/customers/unsteady").header(ACCEPT, media);
    let request = request.header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty());
    let app = app.with_state(world.platform.clone());
    let Ok(answer) = app.oneshot(request.unwrap()).await;
    let (parts, body) = answer.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let answers = metrics.handle().render();
    (Answer { status: parts.status, headers: parts.headers, body }, answers)
}

async fn world() -> World {
    World::with(Profile { requests: Requests::PerClient(9), ..Profile::open() }, None).await
}

#[tokio::test]
async fn a_panic_is_answered_like_any_fault_of_the_server_and_costs_nothing() {
    let world = world().await;
    let panics = || get(async |_: Caller| -> String { panic!("on purpose") });
    let (answer, answers) = answer(&world, panics(), "*/*").await;
    assert_eq!(refusal(&answer), refused(500, "CU-500"));
    assert!(!answer.body.contains("on purpose"), "what it panicked with is for the log");
    assert_eq!(answer.headers["ratelimit"], "\"day\";r=9;t=35200");
    let counted = "route=\"unsteady\",status=\"500\",error=\"CU-500\"} 1";
    assert!(answers.contains(counted), "{answers}");
}

#[tokio::test]
async fn a_panic_is_answered_in_the_form_that_the_client_asks_for() {
    let panics = get(async || -> String { panic!("on purpose") });
    let (answer, _) = answer(&world().await, panics, "application/xml").await;
    assert_eq!(answer.headers[CONTENT_TYPE], "application/xml");
    assert!(answer.body.contains("<exveErrorId>CU-500</exveErrorId>"), "{}", answer.body);
}

#[tokio::test]
async fn what_takes_too_long_is_answered_and_costs_nothing() {
    let world = world().await;
    let hangs = get(async |_: Caller| {
        // Only now, since before there are waits for other threads.
        tokio::time::pause();
        pending::<String>().await
    });
    let (answer, answers) = answer(&world, hangs, "*/*").await;
    assert_eq!(refusal(&answer), refused(503, "CU-503"));
    assert!(answer.json()["exveNote"].as_str().unwrap().contains("within 60 seconds"));
    assert_eq!(answer.headers["ratelimit"], "\"day\";r=9;t=35200");
    let counted = "route=\"unsteady\",status=\"503\",error=\"CU-503\"} 1";
    assert!(answers.contains(counted), "{answers}");
}
