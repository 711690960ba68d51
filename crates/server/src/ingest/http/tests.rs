//! What becomes of events that come over HTTPS, good ones and others.

use axum::body::Body;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Request, StatusCode};
use cardata_domain::Sequence;
use serde_json::{Value as Json, json};

use super::BODY_LENGTH_MAX;
use crate::test_platform::{ADMIN_TOKEN, Answer, Person, SCOPES, World, vehicle};

const EVENTS: &str = "/ingest/v1/events";
const KNOWN: &str = "WBY00000000000001";
const UNKNOWN: &str = "WBY00000000000009";
const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
/// Where the clock of the tests stands.
const NOW: &str = "2026-09-21T14:13:20Z";

async fn world() -> World {
    let world = World::new().await;
    world.platform.directory.put_vehicle(&vehicle(KNOWN)).await.unwrap();
    world
}

fn event_at(vin: &str, at: &str, soc: i64) -> Json {
    json!({"vin": vin, "timestamp": at, "data": {SOC: {"timestamp": at, "value": soc, "unit": "percent"}}})
}

fn event(soc: i64) -> String {
    event_at(KNOWN, NOW, soc).to_string()
}

async fn send(world: &World, body: impl Into<Body>) -> Answer {
    world.call("POST", EVENTS, ADMIN_TOKEN, body).await
}

/// The values of the state of charge in the journal, in their order.
async fn kept(world: &World) -> Vec<String> {
    let vin = KNOWN.parse().unwrap();
    let events = world.platform.journal.read(vin, Sequence(0), 100_000).await.unwrap();
    events.iter().map(|kept| kept.event.entries()[0].value().as_plain().to_owned()).collect()
}

/// The numbers and reasons of the refused lines.
fn refused(answer: &Answer) -> Vec<(u64, String)> {
    let lines = answer.json()["refused"].as_array().unwrap().clone();
    lines
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn one_event_is_kept_in_whatever_layout_it_comes() {
    let world = world().await;
    let pretty = serde_json::to_string_pretty(&event_at(KNOWN, NOW, 2)).unwrap();
    for body in [event(1), pretty, format!("\r\n{}\r\n\n", event(3))] {
        let answer = send(&world, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(
            answer.json(),
            json!({"accepted": 1, "repeated": 0, "refused": [], "refused_total": 0,
                "entries_refused": [], "entries_refused_total": 0})
        );
    }
    assert_eq!(kept(&world).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn good_lines_are_kept_in_order_and_the_others_are_named_with_the_reason() {
    let world = world().await;
    let second = json!({"vin": KNOWN, "entityId": "x", "topic": KNOWN, "timestamp": NOW, "data": {
        SOC: {"timestamp": NOW, "value": 2},
        "vehicle.none": {"timestamp": NOW, "value": null},
        "no descriptor": {"timestamp": NOW, "value": 1},
    }});
    let lines = [
        event(1),
        String::new(),
        "not json".to_owned(),
        second.to_string(),
        event_at(UNKNOWN, NOW, 9).to_string(),
        event_at("short", NOW, 9).to_string(),
        json!({"vin": KNOWN, "timestamp": NOW, "data": {}}).to_string(),
        event(3),
    ];
    let answer = send(&world, lines.join("\n")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let numbers: Vec<_> = refused(&answer).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [3, 5, 6, 7]);
    let reasons = refused(&answer);
    assert!(reasons[0].1.contains("JSON"), "{reasons:?}");
    assert_eq!(reasons[1].1, "`vin`: this service does not know the vehicle");
    assert!(reasons[2].1.contains("17 characters"), "{reasons:?}");
    assert!(reasons[3].1.contains("no entry"), "{reasons:?}");
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["refused_total"]), (&json!(3), &json!(4)));
    let entries = body["entries_refused"].as_array().unwrap();
    let named: Vec<_> = entries
        .iter()
        .map(|entry| (entry["line"].as_u64().unwrap(), entry["descriptor"].clone()))
        .collect();
    assert_eq!(named, [(4, json!("no descriptor")), (4, json!("vehicle.none"))]);
    assert!(
        entries.iter().all(|entry| entry["reason"].as_str().is_some_and(|text| !text.is_empty()))
    );
    assert_eq!(kept(&world).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn nothing_good_is_a_bad_request() {
    let world = world().await;
    for (body, line) in
        [("", 1), ("\n \n", 1), ("\n\u{1}\n", 2), ("[]", 1), ("null", 1), ("{\"vin\":", 1)]
    {
        let answer = send(&world, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:?}");
        assert_eq!(answer.json()["accepted"], 0);
        assert_eq!(refused(&answer)[0].0, line, "{body:?}");
    }
    let answer = send(&world, vec![0xff, 0xfe, b'\n', 0xff]).await;
    assert_eq!(refused(&answer).len(), 2);
    assert_eq!(kept(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_or_entry_from_more_than_a_day_ahead_is_refused() {
    let world = world().await;
    let just_allowed = "2026-09-22T14:13:20Z";
    let too_late = "2026-09-22T14:13:20.001Z";
    let mixed = json!({"vin": KNOWN, "timestamp": NOW, "data": {
        "vehicle.isMoving": {"timestamp": too_late, "value": true},
        SOC: {"timestamp": NOW, "value": 3},
    }});
    let only_late = json!({"vin": KNOWN, "timestamp": NOW, "data": {
        SOC: {"timestamp": too_late, "value": 4},
    }});
    let lines = [
        event_at(KNOWN, just_allowed, 1).to_string(),
        event_at(KNOWN, too_late, 2).to_string(),
        mixed.to_string(),
        only_late.to_string(),
    ];
    let answer = send(&world, lines.join("\n")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let reasons = refused(&answer);
    assert_eq!(reasons.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    assert!(reasons.iter().all(|(_, reason)| reason.contains("24 hours ahead")), "{reasons:?}");
    assert_eq!(answer.json()["entries_refused"][0]["descriptor"], "vehicle.isMoving");
    assert_eq!(kept(&world).await, ["1", "3"]);
}

#[tokio::test]
async fn an_event_of_more_than_a_mebibyte_and_a_body_of_more_than_eight_are_too_long() {
    let world = world().await;
    let mut long = event_at(KNOWN, NOW, 1);
    long["padding"] = "x".repeat(1 << 20).into();
    let answer = send(&world, format!("{long}\n{}", event(2))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(refused(&answer)[0].0, 1);
    assert_eq!(kept(&world).await, ["2"]);

    let answer = send(&world, vec![b' '; BODY_LENGTH_MAX + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["error"], "body_too_large");
}

#[tokio::test]
async fn an_answer_stays_short_however_much_is_wrong() {
    let world = world().await;
    let mut lines = vec![event(1)];
    lines.resize(5001, format!("{{\"vin\":\"{}\"", "x".repeat(1000)));
    let mut many = event_at(KNOWN, NOW, 2);
    for number in 0..2000 {
        many["data"][format!("{number}{}", "y".repeat(400))] = 1.into();
    }
    lines.push(many.to_string());
    let answer = send(&world, lines.join("\n")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["refused_total"]), (&json!(2), &json!(5000)));
    assert_eq!(body["entries_refused_total"], 2000);
    assert_eq!(refused(&answer).len(), 1000);
    assert!(answer.body.len() < 1_500_000, "{}", answer.body.len());
}

#[tokio::test]
async fn only_the_operators_token_and_a_sources_key_let_events_in() {
    let world = world().await;
    let customer = world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    for header in [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {ADMIN_TOKEN}")),
        Some(format!("Bearer {}", &ADMIN_TOKEN[1..])),
        Some(format!("Bearer {}", customer.access_token)),
    ] {
        let mut request = Request::post(EVENTS);
        if let Some(value) = &header {
            request = request.header("authorization", value);
        }
        let answer = world.send(request.body(event(1).into()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header:?}");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(answer.json()["error"], "invalid_token");
    }
    assert_eq!(kept(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_the_journal_does_not_take_is_not_acknowledged() {
    let world = world().await;
    world.platform.journal.close().await.unwrap();
    let answer = send(&world, event(1)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key(RETRY_AFTER));
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(kept(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn thousands_of_events_keep_their_order() {
    let world = world().await;
    let body: Vec<_> = (0..5000).map(event).collect();
    let answer = send(&world, body.join("\n")).await;
    assert_eq!(answer.json()["accepted"], 5000);
    let expected: Vec<_> = (0..5000).map(|soc| soc.to_string()).collect();
    assert_eq!(kept(&world).await, expected);
}

/// Adds a source and gives its key.
async fn source(world: &World, name: &str, vins: &[&str]) -> String {
    let mut body = json!({"name": name});
    if !vins.is_empty() {
        body["vins"] = json!(vins);
    }
    let added = world.call("POST", "/admin/v1/sources", ADMIN_TOKEN, body.to_string()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    added.json()["key"].as_str().unwrap().to_owned()
}

/// Sends `body` with further headers.
async fn send_with(
    world: &World,
    token: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::post(EVENTS).header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_sources_key_opens_ingest_and_nothing_else_until_it_is_removed() {
    let world = world().await;
    let key = source(&world, "importer", &[]).await;
    assert_eq!(send_with(&world, &key, &[], event(1)).await.status, StatusCode::OK);
    assert_eq!(world.get("/admin/v1/sources", &key).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        world.get("/customers/vehicles/mappings", &key).await.status,
        StatusCode::UNAUTHORIZED
    );
    let listed = world.get("/admin/v1/sources", ADMIN_TOKEN).await;
    assert!(!listed.body.contains(&key), "{}", listed.body);
    let path = "/admin/v1/sources/importer";
    assert_eq!(world.call("DELETE", path, ADMIN_TOKEN, "").await.status, StatusCode::OK);
    assert_eq!(send_with(&world, &key, &[], event(2)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(kept(&world).await, ["1"]);
}

#[tokio::test]
async fn a_source_reports_for_its_own_vehicles_alone() {
    let world = world().await;
    let other = "WBY00000000000002";
    world.platform.directory.put_vehicle(&vehicle(other)).await.unwrap();
    let key = source(&world, "one", &[other]).await;
    let lines = [event(1), event_at(other, NOW, 2).to_string()].join("\n");
    let answer = send_with(&world, &key, &[], lines).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (StatusCode::OK, &json!(1)));
    assert_eq!(refused(&answer), [(1, "`vin`: the sender may not report for this vehicle".into())]);
    assert_eq!(kept(&world).await, [""; 0]);
}

#[tokio::test]
async fn an_event_that_comes_again_is_accepted_and_not_kept_twice() {
    let world = world().await;
    let spaced = event(1).replace(':', " : ").replace("14 : 13 : 20", "14:13:20");
    for (body, accepted, repeated) in [
        (event(1), 1, 0),
        (event(1), 1, 1),
        (spaced, 1, 1),
        ([event(2), event(1), event(2)].join("\n"), 3, 2),
        (event_at(KNOWN, "2026-09-21T14:13:21Z", 1).to_string(), 1, 0),
    ] {
        let answer = send(&world, body.clone()).await.json();
        assert_eq!(
            (&answer["accepted"], &answer["repeated"]),
            (&json!(accepted), &json!(repeated)),
            "{body}"
        );
    }
    assert_eq!(kept(&world).await, ["1", "2", "1"]);
}

#[tokio::test]
async fn a_late_event_is_kept_and_replaces_no_newer_value() {
    let world = world().await;
    let late = event_at(KNOWN, "2025-09-21T14:13:20Z", 2).to_string();
    assert_eq!(send(&world, [event(1), late].join("\n")).await.json()["accepted"], 2);
    assert_eq!(kept(&world).await, ["1", "2"]);
    let latest = world.platform.journal.latest(KNOWN.parse().unwrap()).await.unwrap();
    assert_eq!(latest[0].value().as_plain(), "1");
}

#[tokio::test]
async fn a_request_with_a_key_is_answered_the_same_and_done_once() {
    let world = world().await;
    let body = [event(1), "no event".to_owned()].join("\n");
    let keyed = [("idempotency-key", "first")];
    let first = send_with(&world, ADMIN_TOKEN, &keyed, body.clone()).await;
    assert_eq!(first.status, StatusCode::OK);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = send_with(&world, ADMIN_TOKEN, &keyed, body.clone()).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.json()["repeated"], 0);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    // Packed, it is the same body.
    let packed = [keyed[0], ("content-encoding", "zstd")];
    let again = send_with(&world, ADMIN_TOKEN, &packed, zstd_of(body.as_bytes())).await;
    assert_eq!(again.body, first.body);

    let other = send_with(&world, ADMIN_TOKEN, &keyed, event(2)).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.json()["error"], "idempotency_key_reused");
    // Keys are the sender's own.
    let key = source(&world, "importer", &[]).await;
    let own = send_with(&world, &key, &keyed, event(2)).await;
    assert_eq!((own.status, &own.json()["repeated"]), (StatusCode::OK, &json!(0)));
    // A refusal is an answer, too.
    let bad = [("idempotency-key", "bad")];
    for _ in 0..2 {
        let answer = send_with(&world, ADMIN_TOKEN, &bad, "no event").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    world.pass(24 * 3600);
    let later = send_with(&world, ADMIN_TOKEN, &keyed, event(3)).await;
    assert_eq!(later.status, StatusCode::OK);
    assert_eq!(kept(&world).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_key_that_is_none_or_whose_request_is_being_answered_is_refused() {
    let world = world().await;
    let long = "x".repeat(256);
    for headers in [
        vec![("idempotency-key", "")],
        vec![("idempotency-key", long.as_str())],
        vec![("idempotency-key", "a"), ("idempotency-key", "b")],
    ] {
        let answer = send_with(&world, ADMIN_TOKEN, &headers, event(1)).await;
        assert_eq!(answer.json()["error"], "idempotency_key_invalid", "{headers:?}");
    }
    let hash = crate::secret::hash(ADMIN_TOKEN);
    world.platform.ingest.underway().insert((hash.clone(), "k".to_owned()));
    let keyed = [("idempotency-key", "k")];
    let answer = send_with(&world, ADMIN_TOKEN, &keyed, event(1)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    world.platform.ingest.underway().remove(&(hash, "k".to_owned()));
    assert_eq!(send_with(&world, ADMIN_TOKEN, &keyed, event(1)).await.status, StatusCode::OK);
    assert!(world.platform.ingest.underway().is_empty());
}

#[tokio::test]
async fn what_failed_can_be_sent_again_with_its_key() {
    let world = world().await;
    world.platform.journal.close().await.unwrap();
    let keyed = [("idempotency-key", "k")];
    for _ in 0..2 {
        let answer = send_with(&world, ADMIN_TOKEN, &keyed, event(1)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(world.platform.ingest.underway().is_empty());
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A frame whose head asks for a window of 128 MiB.
fn zstd_with_a_large_window() -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    std::io::Write::write_all(&mut encoder, b"{}").unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_packed_body_is_unpacked() {
    let world = world().await;
    let two = [gzip_of(format!("{}\n", event(2)).as_bytes()), gzip_of(event(3).as_bytes())];
    for (encoding, body) in [
        ("identity", event(1).into_bytes()),
        ("gzip", two.concat()),
        ("GZip", gzip_of(event(4).as_bytes())),
        ("zstd", zstd_of(event(5).as_bytes())),
    ] {
        let headers = [("content-encoding", encoding)];
        let answer = send_with(&world, ADMIN_TOKEN, &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}: {}", answer.body);
    }
    assert_eq!(kept(&world).await, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_body_that_cannot_be_unpacked_or_grows_without_end_is_refused_and_nothing_is_kept() {
    let world = world().await;
    let (gzip, zstd) = (gzip_of(event(1).as_bytes()), zstd_of(event(1).as_bytes()));
    let bomb = vec![b' '; 16 << 20];
    for (encoding, body, status, error) in [
        ("gzip", gzip[..gzip.len() / 2].to_vec(), 422, "body_unreadable"),
        ("gzip", gzip[..gzip.len() - 1].to_vec(), 422, "body_unreadable"),
        ("gzip", event(1).into_bytes(), 422, "body_unreadable"),
        ("zstd", zstd[..zstd.len() / 2].to_vec(), 422, "body_unreadable"),
        ("zstd", zstd_with_a_large_window(), 422, "body_unreadable"),
        ("gzip", gzip_of(&bomb), 413, "body_too_large"),
        ("zstd", zstd_of(&bomb), 413, "body_too_large"),
        ("br", event(1).into_bytes(), 415, "unknown_encoding"),
        ("gzip, zstd", gzip.clone(), 415, "unknown_encoding"),
    ] {
        let headers = [("content-encoding", encoding)];
        let answer = send_with(&world, ADMIN_TOKEN, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{encoding} {error}: {}", answer.body);
        assert_eq!(answer.json()["error"], error, "{encoding}");
        assert_eq!(answer.headers.contains_key("accept-encoding"), status == 415);
    }
    assert_eq!(kept(&world).await, [""; 0]);
}

#[tokio::test]
async fn while_too_much_is_waiting_a_request_is_told_to_come_again() {
    let world = World::adjusted(crate::Profile::open(), |platform| {
        platform.ingest.room.patience = std::time::Duration::from_millis(1);
    })
    .await;
    world.platform.directory.put_vehicle(&vehicle(KNOWN)).await.unwrap();
    let share = world.platform.ingest.room.share(usize::MAX).await;
    let answer = send(&world, event(1)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[RETRY_AFTER], "5");
    drop(share);
    assert_eq!(send(&world, event(1)).await.status, StatusCode::OK);
    assert_eq!(kept(&world).await, ["1"]);
}
