//! Events as they come.

use std::time::Duration;

use axum::body::BodyDataStream;
use cardata_domain::ledger::Actor;
use cardata_store::journal::Retention;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::*;
use crate::endings;

/// A client that reads the stream.
struct Reader {
    body: BodyDataStream,
    text: String,
}

/// One server-sent event.
#[derive(Debug, PartialEq)]
struct Received {
    name: String,
    id: Option<u64>,
    data: Json,
}

impl Received {
    fn vin(&self) -> &str {
        self.data["vin"].as_str().unwrap()
    }

    fn soc(&self) -> i64 {
        assert_eq!(self.name, "telemetry");
        self.data["data"][SOC]["value"].as_i64().unwrap()
    }
}

impl Reader {
    /// Opens the stream; with `last`, after that event.
    async fn open(world: &World, token: &str, query: &str, last: Option<u64>) -> Self {
        let mut request = Request::get(format!("/v2/events{query}"));
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = world.respond(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; `None` when the stream is over.
    async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let value =
                        |line: &str| line.strip_prefix(name).map(|text| text.trim().to_owned());
                    event.lines().find_map(value)
                };
                return Some(Received {
                    name: field("event:").unwrap(),
                    id: field("id:").map(|id| id.parse().unwrap()),
                    data: serde_json::from_str(&field("data:").unwrap()).unwrap(),
                });
            }
            let chunk = timeout(Duration::from_secs(20), self.body.next()).await;
            match chunk.expect("the stream goes on or ends") {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap()),
                None => return None,
            }
        }
    }

    async fn event(&mut self) -> Received {
        self.next().await.expect("an event is expected")
    }
}

/// Anna and Ben with a container for the state of charge each; Anna is PRIMARY of two cars.
async fn garage() -> (World, String, String) {
    let world = World::with_vehicles().await;
    world.map(Person::Anna, HIS, Primary).await;
    world
        .platform
        .directory
        .remove_mapping(Person::Ben.gcid(), HIS.parse().unwrap())
        .await
        .unwrap();
    let (anna, ben) = (world.own_token(Person::Anna).await, world.own_token(Person::Ben).await);
    for token in [&anna, &ben] {
        world.register(token, &[SOC]).await;
    }
    (world, anna, ben)
}

impl World {
    async fn soc(&self, vin: &str, value: i64) {
        let values = [(SOC, Value::integer(value)), (ODOMETER, number("1"))];
        self.sends(vin, minute(value), &values).await;
    }
}

#[tokio::test]
async fn events_come_in_their_order_with_what_the_client_may_see() {
    let (world, anna, ben) = garage().await;
    let mut hers = Reader::open(&world, &anna, "", None).await;
    let mut his = Reader::open(&world, &ben, "", None).await;
    let mut one = Reader::open(&world, &anna, &format!("?vin={HIS}"), None).await;
    for (vin, value) in [(HERS, 1), (HIS, 2), (SHARED, 3), (HERS, 4)] {
        world.soc(vin, value).await;
    }
    for (vin, value) in [(HERS, 1), (HIS, 2), (HERS, 4)] {
        let event = hers.event().await;
        assert_eq!((event.vin(), event.soc()), (vin, value));
        assert_eq!(event.data["data"].as_object().unwrap().len(), 1, "no odometer");
        assert_eq!(event.data["entityId"], Person::Anna.gcid().to_string());
    }
    assert_eq!(his.event().await.soc(), 3);
    assert_eq!(one.event().await.soc(), 2);
}

#[tokio::test]
async fn a_stream_goes_on_after_its_last_event_also_over_several_vehicles_and_many_events() {
    let (world, anna, _) = garage().await;
    let mut reader = Reader::open(&world, &anna, "", None).await;
    world.soc(HERS, 0).await;
    let first = reader.event().await;
    drop(reader);
    // More of one vehicle than is read at once.
    for value in 1..=600 {
        world.soc(if value % 3 == 0 { HIS } else { HERS }, value).await;
    }
    let mut reader = Reader::open(&world, &anna, "", first.id).await;
    let mut last = first.id;
    for value in 1..=600 {
        let event = reader.event().await;
        assert_eq!(event.soc(), value);
        assert!(event.id > last);
        last = event.id;
        if value == 300 {
            // Live events meanwhile.
            world.soc(HERS, 601).await;
        }
    }
    assert_eq!(reader.event().await.soc(), 601);
    world.soc(HIS, 602).await;
    assert_eq!(reader.event().await.soc(), 602);
    // An id of a journal that was longer goes on with what comes.
    let mut ahead = Reader::open(&world, &anna, "", Some(u64::MAX)).await;
    world.soc(HIS, 603).await;
    assert_eq!(ahead.event().await.soc(), 603);
}

#[tokio::test]
async fn a_slow_reader_gets_everything_from_the_journal() {
    let (world, anna, _) = garage().await;
    let mut reader = Reader::open(&world, &anna, "", None).await;
    // More than its mailbox holds.
    for value in 0..1000 {
        world.soc(HERS, value).await;
    }
    for value in 0..1000 {
        assert_eq!(reader.event().await.soc(), value);
    }
}

#[tokio::test]
async fn the_last_values_come_first_unless_the_stream_goes_on() {
    let (world, anna, _) = garage().await;
    world.soc(HERS, 7).await;
    let mut reader = Reader::open(&world, &anna, "", None).await;
    let snapshot = reader.event().await;
    assert_eq!((snapshot.name.as_str(), snapshot.vin(), snapshot.id), ("snapshot", HERS, Some(1)));
    assert_eq!(snapshot.data["data"][SOC]["value"], 7);
    assert!(snapshot.data["data"].get(ODOMETER).is_none());
    let mut resumed = Reader::open(&world, &anna, "", Some(1)).await;
    world.soc(HERS, 8).await;
    assert_eq!((reader.event().await.soc(), resumed.event().await.soc()), (8, 8));
}

#[tokio::test]
async fn what_retention_has_taken_is_told_with_the_last_values() {
    let (world, anna, _) = garage().await;
    for value in 1..=4 {
        world.soc(HERS, value).await;
    }
    let retention = Retention { age_max: SignedDuration::from_mins(1), size_bytes_max: u64::MAX };
    world.platform.journal.retain(retention, minute(4)).await.unwrap();
    let mut reader = Reader::open(&world, &anna, "", Some(1)).await;
    let gap = reader.event().await;
    assert_eq!((gap.name.as_str(), gap.id), ("gap", None));
    assert_eq!(gap.data, json!({"vin": HERS, "to": "2026-09-21T14:16:20.000Z"}));
    assert_eq!(reader.event().await.name, "snapshot");
    assert_eq!((reader.event().await.soc(), reader.event().await.soc()), (3, 4));
    world.soc(HERS, 5).await;
    assert_eq!(reader.event().await.soc(), 5);
}

#[tokio::test]
async fn a_change_of_containers_shows_at_once() {
    let (world, anna, _) = garage().await;
    let mut reader = Reader::open(&world, &anna, "", None).await;
    let id = world.register(&anna, &[ODOMETER]).await;
    world.soc(HERS, 1).await;
    assert_eq!(reader.event().await.data["data"].as_object().unwrap().len(), 2);
    world.delete(&anna, &id).await;
    world.soc(HERS, 2).await;
    assert_eq!(reader.event().await.data["data"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_consent_that_ends_ends_the_stream_and_what_waits() {
    let (world, anna, ben) = garage().await;
    let mut hers = Reader::open(&world, &anna, "", None).await;
    let mut his = Reader::open(&world, &ben, "", None).await;
    world.soc(HERS, 1).await;
    world.soc(HERS, 2).await;
    let consents = world.platform.directory.consents_of(Person::Anna.gcid()).await.unwrap();
    let ended =
        endings::end_consents(&world.platform, consents, EndReason::Customer, Actor::Operator)
            .await;
    assert_eq!(ended.unwrap().streams, 1);
    assert_eq!(hers.next().await, None, "neither what waited nor a word");
    world.soc(SHARED, 3).await;
    assert_eq!(his.event().await.soc(), 3);
}

#[tokio::test]
async fn a_vehicle_that_is_given_away_leaves_the_stream_with_what_waits() {
    let (world, anna, _) = garage().await;
    let mut reader = Reader::open(&world, &anna, "", None).await;
    world.soc(HERS, 1).await;
    world.soc(HERS, 2).await;
    let (gcid, vin) = (Person::Anna.gcid(), HERS.parse().unwrap());
    endings::end_mapping(&world.platform, gcid, vin, Actor::Operator).await.unwrap().unwrap();
    world.soc(HERS, 3).await;
    world.soc(HIS, 4).await;
    let event = reader.event().await;
    assert_eq!((event.vin(), event.soc()), (HIS, 4));
    world.map(Person::Anna, HERS, Primary).await;
    endings::look_anew(&world.platform, gcid).await;
    world.soc(HERS, 5).await;
    assert_eq!(reader.event().await.soc(), 5);
}

#[tokio::test]
async fn streams_count_as_connections_and_the_oldest_gives_way_with_a_word() {
    let (world, anna, _) = garage().await;
    let mut first = Reader::open(&world, &anna, "", None).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(Reader::open(&world, &anna, "", None).await);
    }
    let end = first.event().await;
    assert_eq!(end.name, "end");
    assert!(end.data["reason"].is_string());
    assert_eq!(first.next().await, None);
    world.soc(HERS, 1).await;
    for reader in &mut others {
        assert_eq!(reader.event().await.soc(), 1);
    }
    assert_eq!(world.platform.router.connections(), 5);
    drop(others);
    while world.platform.router.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_strange_id_or_vehicle_is_refused() {
    let (world, anna, _) = garage().await;
    for last in ["x", "-1", "1.5", "99999999999999999999"] {
        let request = Request::get("/v2/events").header("last-event-id", last);
        let request = request.header(AUTHORIZATION, format!("Bearer {anna}"));
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(refusal(&answer), refused(400, "CU-400"), "{last}");
    }
    for (query, status, id) in [
        (format!("vin={SHARED}"), 403, "CU-104"),
        (format!("vin={UNKNOWN}"), 403, "CU-104"),
        ("vin=x".to_owned(), 400, "CU-120"),
        ("descriptor=x".to_owned(), 400, "CU-400"),
    ] {
        let answer = world.get(&format!("/v2/events?{query}"), &anna).await;
        assert_eq!(refusal(&answer), refused(status, id), "{query}");
    }
    assert_eq!(world.platform.router.connections(), 0);
}
