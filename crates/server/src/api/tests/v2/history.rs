//! What the values of a vehicle were.

use axum::http::header::{CONTENT_TYPE, LINK};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

use super::*;

fn history(query: &str) -> String {
    format!("/v2/vehicles/{HERS}/history?{query}")
}

/// The values of JSON lines that are numbers, and the address of the next page.
fn page(answer: &Answer) -> (Vec<i64>, Option<String>) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/x-ndjson");
    let value = |line: &str| serde_json::from_str::<Json>(line).unwrap()["value"].as_i64().unwrap();
    let next = answer.headers.get(LINK).map(|link| {
        let link = link.to_str().unwrap();
        let (target, rel) = link.split_once("; ").unwrap();
        assert_eq!(rel, "rel=\"next\"");
        target.trim_matches(['<', '>']).to_owned()
    });
    (answer.body.lines().map(value).collect(), next)
}

/// A world in which Anna's car has sent its charge each minute, from 0 to 99.
async fn world_with_history() -> (World, String) {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    world.register(&token, &[SOC]).await;
    for minutes in 0..100 {
        let soc = number(&minutes.to_string());
        world.sends(HERS, minute(minutes), &[(SOC, soc), (ODOMETER, number("1"))]).await;
    }
    (world, token)
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap_or_a_repetition() {
    let (world, token) = world_with_history().await;
    let (all, next) = page(&world.get(&history(DAY), &token).await);
    assert_eq!((all, next), ((0..100).collect(), None));
    let mut path = history(&format!("limit=7&{DAY}"));
    let mut values = Vec::new();
    for _ in 0..15 {
        let (more, next) = page(&world.get(&path, &token).await);
        assert!(more.len() <= 7);
        values.extend(more);
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    // From the minute of 10 to before that of 20.
    let (some, _) = page(
        &world.get(&history("from=2026-09-21T14:23:20Z&to=2026-09-21T14:33:20Z"), &token).await,
    );
    assert_eq!(some, (10..20).collect::<Vec<_>>());
    let (none, _) = page(
        &world.get(&history("from=2027-01-01T00:00:00Z&to=2028-01-01T00:00:00Z"), &token).await,
    );
    assert_eq!(none, [0; 0]);
}

#[tokio::test]
async fn values_that_come_late_are_there_and_hidden_ones_are_not() {
    let (world, token) = world_with_history().await;
    world.sends(HERS, minute(300), &[(ODOMETER, number("9"))]).await;
    let late = {
        let catalogue = &world.platform.catalogue;
        let id = catalogue.intern(SOC).unwrap();
        let entry = Entry::new(catalogue, id, minute(50), number("500"), Some("%"));
        Event::new(HERS.parse().unwrap(), minute(301), vec![entry]).unwrap()
    };
    world.platform.journal.append(vec![late], minute(301)).await.unwrap();
    let answer =
        world.get(&history("from=2026-09-21T15:03:00Z&to=2026-09-21T15:04:00Z"), &token).await;
    let line = |value, unit: &str| {
        format!(
            "{{\"descriptor\":\"{SOC}\",\"timestamp\":\"2026-09-21T15:03:20Z\",\"value\":{value}{unit}}}\n"
        )
    };
    assert_eq!(answer.body, line("50", "") + &line("500", ",\"unit\":\"%\""));
    let odometer = world.get(&history(&format!("{DAY}&descriptor={ODOMETER}")), &token).await;
    assert_eq!((odometer.status, odometer.body.as_str()), (StatusCode::OK, ""));
    let both = history(&format!("{DAY}&descriptor={ODOMETER}&descriptor={SOC}"));
    assert_eq!(world.get(&both, &token).await.body.lines().count(), 101);
}

#[tokio::test]
async fn a_right_that_ends_between_two_pages_ends_the_history() {
    let (world, token) = world_with_history().await;
    let id = world.register(&token, &[ODOMETER]).await;
    let containers = world.get(CONTAINERS, &token).await.json();
    let (_, next) = page(&world.get(&history(&format!("limit=7&{DAY}")), &token).await);
    let next = next.unwrap();
    for container in containers["containers"].as_array().unwrap() {
        let own = container["containerId"].as_str().unwrap();
        if own != id {
            assert_eq!(world.delete(&token, own).await.status, StatusCode::NO_CONTENT);
        }
    }
    let rest = world.get(&next, &token).await;
    assert!(!rest.body.is_empty() && !rest.body.contains(SOC), "{}", rest.body);
    world.map(Person::Anna, HERS, Secondary).await;
    assert_eq!(refusal(&world.get(&next, &token).await), refused(403, "CU-104"));
}

#[tokio::test]
async fn a_page_of_another_request_or_client_is_refused() {
    let (world, token) = world_with_history().await;
    let (_, next) = page(&world.get(&history(&format!("limit=7&{DAY}")), &token).await);
    let next = next.unwrap();
    let other = world.token(third_party(), Person::Anna).await;
    assert_eq!(refusal(&world.get(&next, &other).await), refused(400, "CU-125"));
    for changed in [next.replace("limit=7", "limit=8"), format!("{next}A")] {
        assert_eq!(
            refusal(&world.get(&changed, &token).await),
            refused(400, "CU-125"),
            "{changed}"
        );
    }
    world.pass(3600);
    let token = world.own_token(Person::Anna).await;
    assert_eq!(refusal(&world.get(&next, &token).await), refused(400, "CU-125"));
}

#[tokio::test]
async fn a_history_comes_as_csv_and_as_parquet_too() {
    let (world, token) = world_with_history().await;
    let text = (MOVING, Value::text("a \"b\", c"));
    world.register(&token, &[MOVING, ODOMETER]).await;
    world.sends(HERS, minute(200), &[text, (SOC, number("1.50")), (ODOMETER, number("3"))]).await;
    let range = "from=2026-09-21T17:00:00Z&to=2026-09-22T00:00:00Z";
    let csv = world.get(&history(&format!("{range}&format=csv")), &token).await;
    assert_eq!(csv.headers[CONTENT_TYPE], "text/csv; charset=utf-8");
    let at = "2026-09-21T17:33:20Z";
    let expected = format!(
        "timestamp,descriptor,value,unit\n{at},{MOVING},\"a \"\"b\"\", c\",\n{at},{SOC},1.50,\n{at},{ODOMETER},3,km\n"
    );
    assert_eq!(csv.body, expected);
    let empty = world
        .get(&history("from=2027-01-01T00:00:00Z&to=2028-01-01T00:00:00Z&format=csv"), &token)
        .await;
    assert_eq!(empty.body, "timestamp,descriptor,value,unit\n");

    let request = Request::get(history(range)).header(AUTHORIZATION, format!("Bearer {token}"));
    let request = request.header("accept", "application/vnd.apache.parquet;q=0.9, text/csv;q=0.1");
    let response = world.respond(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/vnd.apache.parquet");
    let file = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.get_timestamp_micros(0).unwrap(), minute(200).as_microsecond());
            let (name, value) = (row.get_string(1).unwrap(), row.get_string(2).unwrap());
            (name.as_str(), value.as_str(), row.get_double(3).ok(), row.get_string(4).ok().cloned())
        })
        .collect();
    let km = Some("km".to_owned());
    assert_eq!(
        shown,
        [
            (MOVING, "a \"b\", c", None, None),
            (SOC, "1.50", Some(1.5), None),
            (ODOMETER, "3", Some(3.0), km)
        ]
    );
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let (world, token) = world_with_history().await;
    for (query, id, what) in [
        ("limit=0", "CU-401", "`limit`"),
        ("limit=100001", "CU-401", "`limit`"),
        ("limit=many", "CU-401", "`limit`"),
        ("limit=", "CU-401", "`limit`"),
        ("limit=1&limit=2", "CU-400", "`limit`"),
        ("format=xlsx", "CU-401", "`format`"),
        ("descriptor=vehicle.unheardOf", "CU-402", "vehicle.unheardOf"),
        ("descriptor=", "CU-402", "descriptor"),
        ("next=", "CU-125", "`next`"),
        ("nextToken=x", "CU-400", "`nextToken`"),
    ] {
        let answer = world.get(&history(&format!("{DAY}&{query}")), &token).await;
        assert_eq!(refusal(&answer), refused(400, id), "{query}");
        assert!(answer.json()["exveNote"].as_str().unwrap().contains(what), "{}", answer.body);
    }
    let his = world.own_token(Person::Ben).await;
    for vin in [HERS, UNKNOWN] {
        let path = history(DAY).replace(HERS, vin);
        assert_eq!(refusal(&world.get(&path, &his).await), refused(403, "CU-104"), "{vin}");
    }
    let secondary = history(DAY).replace(HERS, SHARED);
    assert_eq!(refusal(&world.get(&secondary, &token).await), refused(403, "CU-104"));
}
