//! What the real service does not have: latest values, history, trips and events.

mod events;
mod history;

use cardata_domain::privacy::{Precision, Settings, Zone, ZoneId};
use jiff::{SignedDuration, Timestamp};

use super::*;

const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
const LONGITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";
const MOVING: &str = "vehicle.isMoving";

/// So many minutes after [`START`], 2026-09-21T14:13:20Z.
fn minute(minutes: i64) -> Timestamp {
    START + SignedDuration::from_mins(minutes)
}

fn number(text: &str) -> Value {
    Value::Number(text.into())
}

impl World {
    /// An event with values of one time.
    async fn sends(&self, vin: &str, at: Timestamp, values: &[(&str, Value)]) {
        let catalogue = &self.platform.catalogue;
        let entry = |(name, value): &(&str, Value)| {
            let unit = (*name == ODOMETER).then_some("km");
            Entry::new(catalogue, catalogue.intern(name).unwrap(), at, value.clone(), unit)
        };
        let entries = values.iter().map(entry).collect();
        let event = Event::new(vin.parse().unwrap(), at, entries).unwrap();
        self.platform.journal.append(vec![event], at).await.unwrap();
    }

    async fn hide_munich(&self) {
        let directory = &self.platform.directory;
        let zone = Zone::new(ZoneId::new(crate::secret::uuid()), "home", 48.1, 11.5, 2000).unwrap();
        directory.add_zone(Person::Anna.gcid(), &zone).await.unwrap();
        let settings = Settings { precision: Precision::Exact, hides_zones: true };
        let (gcid, client_id) = (Person::Anna.gcid(), Person::Anna.client_id());
        directory.put_location_settings(gcid, client_id, settings).await.unwrap();
        self.platform.entitlements.refresh(gcid, client_id).await.unwrap();
    }
}

#[tokio::test]
async fn the_latest_values_of_all_vehicles_come_in_one_answer_and_no_others() {
    let world = World::with_vehicles().await;
    world.map(Person::Ben, HIS, Primary).await;
    let (anna, ben) = (world.own_token(Person::Anna).await, world.own_token(Person::Ben).await);
    for token in [&anna, &ben] {
        world.register(token, &[SOC, LATITUDE, LONGITUDE]).await;
    }
    for vin in [HERS, SHARED, HIS] {
        world.sends(vin, minute(0), &[(SOC, number("50")), (ODOMETER, number("7"))]).await;
        world.sends(vin, minute(1), &[(SOC, number("51.50"))]).await;
    }
    let latest =
        async |query: &str, token: &str| world.get(&format!("/v2/latest{query}"), token).await;
    let entry = json!({"timestamp": "2026-09-21T14:14:20Z", "value": 51.50});
    let of = |vin: &str| json!({"vin": vin, "data": {SOC: entry.clone()}});
    assert_eq!(latest("", &anna).await.json(), json!({"vehicles": [of(HERS)]}));
    assert_eq!(latest("", &ben).await.json(), json!({"vehicles": [of(SHARED), of(HIS)]}));
    assert_eq!(latest(&format!("?vin={HIS}"), &ben).await.json(), json!({"vehicles": [of(HIS)]}));
    let odometer = latest(&format!("?descriptor={ODOMETER}"), &anna).await.json();
    assert_eq!(odometer, json!({"vehicles": [{"vin": HERS, "data": {}}]}));
    for vin in [SHARED, HIS, UNKNOWN] {
        let foreign = latest(&format!("?vin={HERS}&vin={vin}"), &anna).await;
        assert_eq!(refusal(&foreign), refused(403, "CU-104"), "{vin}");
    }
    for (query, status, id) in [
        ("?vin=short", 400, "CU-120"),
        ("?vin=", 400, "CU-120"),
        ("?descriptor=vehicle.unheardOf", 400, "CU-402"),
        ("?vim=WBY00000000000001", 400, "CU-400"),
    ] {
        assert_eq!(refusal(&latest(query, &anna).await), refused(status, id), "{query}");
    }
}

#[tokio::test]
async fn latest_values_tell_no_place_that_is_hidden() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    world.register(&token, &[SOC, LATITUDE, LONGITUDE]).await;
    let place = [(SOC, number("5")), (LATITUDE, number("48.1")), (LONGITUDE, number("11.5"))];
    world.sends(HERS, minute(0), &place).await;
    let names = async || {
        let body = world.get("/v2/latest", &token).await.json();
        let data = body["vehicles"][0]["data"].as_object().unwrap();
        data.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names().await, [LATITUDE, LONGITUDE, SOC]);
    world.hide_munich().await;
    assert_eq!(names().await, [SOC]);
}

fn trips(query: &str) -> String {
    format!("/v2/vehicles/{HERS}/trips?{query}")
}

const DAY: &str = "from=2026-09-21T00:00:00Z&to=2026-09-22T00:00:00Z";

#[tokio::test]
async fn trips_are_found_in_what_the_client_may_see() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    world.register(&token, &[MOVING, ODOMETER, LATITUDE, LONGITUDE]).await;
    let place = |latitude: &str| [(LATITUDE, number(latitude)), (LONGITUDE, number("11.5"))];
    let values = |moving, odometer: &str, latitude| {
        let mut values = place(latitude).to_vec();
        values.extend([(MOVING, Value::Boolean(moving)), (ODOMETER, number(odometer))]);
        values.push((SOC, number("60")));
        values
    };
    world.sends(HERS, minute(0), &values(true, "100.1", "48.1")).await;
    world.sends(HERS, minute(8), &values(true, "104.5", "48.15")).await;
    world.sends(HERS, minute(16), &values(false, "109.3", "48.2")).await;
    world.sends(HERS, minute(300), &values(true, "109.3", "48.2")).await;
    world.pass(300 * 60);
    let token = world.own_token(Person::Anna).await;
    let found = async |query: &str| world.get(&trips(query), &token).await;
    let body = found(DAY).await.json();
    let trip = |start: &str, end: Json, mileage: [f64; 2], latitude: [f64; 2]| {
        let place = |latitude| json!({"latitude": latitude, "longitude": 11.5});
        json!({
            "startTime": start, "endTime": end,
            "distance": ((mileage[1] - mileage[0]) * 1000.0).round() / 1000.0,
            "startMileage": mileage[0], "endMileage": mileage[1],
            "startSoc": null, "endSoc": null, "startFuel": null, "endFuel": null,
            "startLocation": place(latitude[0]), "endLocation": place(latitude[1]),
        })
    };
    let first = trip(
        "2026-09-21T14:13:20.000Z",
        json!("2026-09-21T14:29:20.000Z"),
        [100.1, 109.3],
        [48.1, 48.2],
    );
    let second = trip("2026-09-21T19:13:20.000Z", Json::Null, [109.3, 109.3], [48.2, 48.2]);
    let all = json!({"trips": [first, second], "distanceUnit": "km", "fuelUnit": null});
    assert_eq!(body, all);
    // A vehicle that tells of a later time has ended its trip, whatever time it is here.
    world.sends(HERS, minute(310), &[(MOVING, Value::Boolean(false))]).await;
    let ended = found(DAY).await.json();
    assert_eq!(ended["trips"][1]["endTime"], "2026-09-21T19:13:20.000Z");
    // Those that began in the time, with all of their values.
    let late = found("from=2026-09-21T14:20:00Z&to=2026-09-22T00:00:00Z").await.json();
    assert_eq!(late["trips"].as_array().unwrap().len(), 1);
    let early = found("from=2026-09-21T14:00:00Z&to=2026-09-21T14:15:00Z").await.json();
    assert_eq!(early["trips"][0], all["trips"][0]);

    world.hide_munich().await;
    let hidden = found(DAY).await.json();
    assert_eq!(hidden["trips"][0]["startLocation"], Json::Null);
    assert_eq!(hidden["trips"][0]["endLocation"], all["trips"][0]["endLocation"]);
    // Another client, without a container, finds nothing.
    let other = world.token(third_party(), Person::Anna).await;
    assert_eq!(world.get(&trips(DAY), &other).await.json()["trips"], json!([]));
    let his = world.own_token(Person::Ben).await;
    assert_eq!(refusal(&world.get(&trips(DAY), &his).await), refused(403, "CU-104"));
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_with_what_was_wrong() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let to = "to=2026-09-22T00:00:00Z";
    for (query, id) in [
        ("", "CU-401"),
        (to, "CU-401"),
        ("from=2026-09-21T00:00:00Z", "CU-401"),
        (&format!("from=&{to}"), "CU-401"),
        (&format!("from=2026-09-21&{to}"), "CU-401"),
        (&format!("from=1790000000&{to}"), "CU-401"),
        (&format!("from=2026-09-21T00:00:00&{to}"), "CU-401"),
        (&format!("from=2026-09-22T00:00:00Z&{to}"), "CU-401"),
        (&format!("from=2026-09-23T00:00:00Z&{to}"), "CU-401"),
        (&format!("from=2026-08-01T00:00:00Z&{to}"), "CU-401"),
        (&format!("from={}&{to}", "9".repeat(5000)), "CU-401"),
        (&format!("{DAY}&{to}"), "CU-400"),
        (&format!("{DAY}&From=2026-09-21T00:00:00Z"), "CU-400"),
    ] {
        let answer = world.get(&trips(query), &token).await;
        assert_eq!(refusal(&answer), refused(400, id), "{query}");
    }
    let wrong = world.get(&format!("/v2/vehicles/wby/trips?{DAY}"), &token).await;
    assert_eq!(refusal(&wrong), refused(400, "CU-120"));
}

#[tokio::test]
async fn nobody_reads_without_a_token_that_is_good_for_it() {
    let world = World::with_vehicles().await;
    let paths = [
        "/v2/latest".to_owned(),
        "/v2/events".to_owned(),
        trips(DAY),
        format!("/v2/vehicles/{HERS}/history?{DAY}"),
    ];
    let scope_of = |path: &str| if path.ends_with("events") { "api" } else { "streaming" };
    for path in &paths {
        let nobody = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(refusal(&nobody), refused(403, "TP-403"), "{path}");
        assert_eq!(refusal(&world.get(path, "garbage").await), refused(401, "CU-101"), "{path}");
        let scopes = format!("openid cardata:{}:read", scope_of(path));
        let tokens = world.log_in(Person::Anna.client_id(), Person::Anna, &scopes).await;
        let scopeless = world.get(path, &tokens.access_token).await;
        assert_eq!(refusal(&scopeless), refused(403, "CU-103"), "{path}");
    }
    let token = world.own_token(Person::Anna).await;
    world.pass(3600);
    for path in &paths {
        assert_eq!(refusal(&world.get(path, &token).await), refused(401, "CU-102"), "{path}");
    }
}
