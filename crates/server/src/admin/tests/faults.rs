//! `/admin/v1/faults`.

use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, newest, refuse};
use crate::profile::Profile;
use crate::test_platform::{Person, SCOPES, World};

async fn add(world: &World, body: Value) -> Value {
    done(world, "POST", "/faults", body, 201).await
}

#[tokio::test]
async fn a_fault_is_listed_strikes_and_is_ended_and_all_of_it_is_noted() {
    let world = World::new().await;
    let anna = Person::Anna;
    let tokens = world.log_in(anna.client_id(), anna, SCOPES).await;
    let body = json!({"kind": "http-error", "status": 503, "email": anna.email(), "times": 5,
        "probability": 1, "seed": 7, "path": "/customers/containers"});
    let fault = add(&world, body).await;
    assert_eq!(
        (&fault["status"], &fault["gcid"]),
        (&json!("503"), &json!(anna.gcid().to_string()))
    );
    assert_eq!(newest(&world, Act::FaultBegun).await.detail["kind"], "http-error");
    assert_eq!(get(&world, "/faults").await["faults"], json!([fault]));

    let paths = ["/customers/containers", "/customers/vehicles/mappings"];
    for (path, status) in paths.into_iter().zip([503, 200]) {
        assert_eq!(world.get(path, &tokens.access_token).await.status.as_u16(), status, "{path}");
    }
    let log = get(&world, "/faults/log").await;
    assert_eq!((&log["next"], &log["strikes"][0]["path"]), (&json!(1), &json!(paths[0])));
    assert_eq!(get(&world, "/faults/log?since=1").await["strikes"], json!([]));

    let path = format!("/faults/{}", fault["id"]);
    assert_eq!(done(&world, "DELETE", &path, Value::Null, 200).await["strikes"], 1);
    assert_eq!(newest(&world, Act::FaultEnded).await.detail["strikes"], 1);
    refuse(&world, "DELETE", &path, Value::Null, 404, "no fault with this number").await;
    refuse(&world, "DELETE", "/faults/x", Value::Null, 404, "no fault with this number").await;
    assert_eq!(world.get(paths[0], &tokens.access_token).await.status.as_u16(), 200);
}

#[tokio::test]
async fn the_log_is_waited_for() {
    let world = World::new().await;
    let anna = Person::Anna;
    add(&world, json!({"kind": "refuse-refresh", "client_id": anna.client_id().to_string()})).await;
    let tokens = world.log_in(anna.client_id(), anna, SCOPES).await;
    let client_id = anna.client_id().to_string();
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", client_id.as_str()),
        ("refresh_token", tokens.refresh_token.as_str()),
    ];
    let refresh = world.post_form("/gcdm/oauth/token", &form);
    let (log, refreshed) = tokio::join!(get(&world, "/faults/log?wait=30"), refresh);
    assert_eq!(refreshed.oauth_error(), (400, "invalid_request".to_owned()));
    assert_eq!(log["strikes"][0]["kind"], "refuse-refresh");
    let all = done(&world, "DELETE", "/faults", Value::Null, 200).await;
    assert_eq!(all["ended"][0]["strikes"], 1);
}

#[tokio::test]
async fn a_wish_that_cannot_come_true_is_refused_by_its_member() {
    let world = World::new().await;
    for (body, hint) in [
        (json!({}), "`kind` is missing"),
        (json!({"kind": "frezee"}), "nearest name is `freeze`"),
        (json!({"kind": "delay", "seconds": 0}), "`seconds` must be 1 to 3600"),
        (json!({"kind": "delay", "seconds": []}), "`seconds` must be a text, a number"),
        (json!({"kind": "delay", "minutes": 1}), "`minutes` is not known here"),
        (json!({"kind": "delay", "times": -1}), "`times` is no number"),
        (json!({"kind": "delay", "times": 1, "for_seconds": 5}), "`times` contradicts"),
        (json!({"kind": "delay", "probability": 1.5}), "`probability` must be"),
        (json!({"kind": "delay", "seed": 5}), "`seed` means nothing"),
        (json!({"kind": "drop", "times": 1}), "`times` means nothing to `drop`"),
        (json!({"kind": "drop", "vin": "WBY00000000000001"}), "`vin` names no vehicle"),
        (json!({"kind": "drop", "path": "/v2"}), "`path` means nothing to `drop`"),
        (json!({"kind": "drop", "email": "nobody@example.com"}), "`email` names nobody"),
        (json!({"kind": "drop", "client_id": "x"}), "`client_id` can't be used"),
        (
            json!({"kind": "drop", "client_id": "99999999-7a1d-4590-aa99-33b97244d048"}),
            "`client_id` names no client",
        ),
        (json!({"kind": "revoke-consent"}), "`gcid` is missing"),
        (json!({"kind": "deprecated-key"}), "`descriptor` is missing"),
    ] {
        refuse(&world, "POST", "/faults", body, 400, hint).await;
    }
    // Nobody hears the wish for another certificate.
    let body = json!({"kind": "certificate-expires"});
    refuse(&world, "POST", "/faults", body, 409, "certificate can't be changed").await;
    refuse(&world, "GET", "/faults/log?wait=31", Value::Null, 400, "`wait`").await;
    refuse(&world, "GET", "/faults/log?since=x", Value::Null, 400, "`since`").await;
    assert_eq!(get(&world, "/faults").await["faults"], json!([]));
}

#[tokio::test]
async fn a_platform_that_is_no_sandbox_has_no_faults() {
    let world = World::adjusted(Profile::open(), |platform| platform.faults = None).await;
    let body = json!({"kind": "drop"});
    for (method, path, body) in [
        ("GET", "/faults", Value::Null),
        ("POST", "/faults", body),
        ("DELETE", "/faults", Value::Null),
        ("DELETE", "/faults/1", Value::Null),
        ("GET", "/faults/log", Value::Null),
    ] {
        refuse(&world, method, path, body, 404, "no way to let things go wrong").await;
    }
}
