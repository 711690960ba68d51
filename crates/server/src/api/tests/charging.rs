//! The charging history and the places where a vehicle charges.

use cardata_domain::privacy::{Precision, Settings, Zone, ZoneId};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::charging;

const STATUS: &str = "vehicle.drivetrain.electricEngine.charging.status";
const POWER: &str = "vehicle.powertrain.electric.battery.charging.power";
const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
const LONGITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";

/// A time around [`START`], 2026-09-21T14:13:20Z.
const RANGE: &str = "from=2026-09-20T00:00:00Z&to=2026-10-20T00:00:00.000Z";
/// Latitude and longitude of two places, 30 km apart.
const HOME: (&str, &str) = ("48.177012", "11.559123");
const WORK: (&str, &str) = ("48.377012", "11.759123");

fn history(vin: &str, query: &str) -> String {
    format!("/customers/vehicles/{vin}/chargingHistory?{query}")
}

fn settings(vin: &str) -> String {
    format!("/customers/vehicles/{vin}/locationBasedChargingSettings")
}

impl World {
    /// A charge of half an hour at 7.2 kW that begins so many hours after [`START`].
    async fn charged(&self, vin: &str, hour: i64, place: (&str, &str)) {
        let begin = START + SignedDuration::from_hours(hour);
        let number = |text: &str| Value::Number(text.into());
        let begins = [
            (SOC, number("44")),
            (ODOMETER, number("22345.6")),
            (LATITUDE, number(place.0)),
            (LONGITUDE, number(place.1)),
            (STATUS, Value::text("CHARGINGACTIVE")),
            (POWER, number("7200")),
        ];
        self.send_event(vin, begin, &begins).await;
        let ends = [(SOC, number("62")), (STATUS, Value::text("NOCHARGING")), (POWER, number("0"))];
        self.send_event(vin, begin + SignedDuration::from_mins(30), &ends).await;
        charging::search(self.platform.clone()).await;
    }

    async fn send_event(&self, vin: &str, at: Timestamp, values: &[(&str, Value)]) {
        let catalogue = &self.platform.catalogue;
        let entry = |(name, value): &(&str, Value)| {
            Entry::new(catalogue, catalogue.find(name).unwrap(), at, value.clone(), None)
        };
        let entries = values.iter().map(entry).collect();
        let event = Event::new(vin.parse().unwrap(), at, entries).unwrap();
        self.platform.journal.append(vec![event], START).await.unwrap();
    }

    async fn allow(&self, precision: Precision, hides_zones: bool) {
        let settings = Settings { precision, hides_zones };
        let (gcid, client_id) = (Person::Anna.gcid(), Person::Anna.client_id());
        let directory = &self.platform.directory;
        directory.put_location_settings(gcid, client_id, settings).await.unwrap();
    }

    async fn hide_home(&self) {
        let id = ZoneId::new(crate::secret::uuid());
        let zone = Zone::new(id, "home", 48.177, 11.559, 200).unwrap();
        self.platform.directory.add_zone(Person::Anna.gcid(), &zone).await.unwrap();
        self.allow(Precision::Exact, true).await;
    }
}

/// The begins of a page's sessions in hours after [`START`], and the token of the next page.
fn page(answer: &Answer) -> (Vec<i64>, Option<String>) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let body = answer.json();
    let hour = |session: &Json| (session["startTime"].as_i64().unwrap() - START.as_second()) / 3600;
    let hours = body["data"].as_array().unwrap().iter().map(hour).collect();
    (hours, body.get("next_token").map(|token| token.as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn a_session_is_shown_with_everything_that_is_known_of_it() {
    let world = World::with_vehicles().await;
    world.charged(HERS, 0, HOME).await;
    let token = world.own_token(Person::Anna).await;
    let answer = world.get(&history(HERS, RANGE), &token).await;
    let (begin, end) = (START.as_second(), START.as_second() + 1800);
    let expected = json!({"data": [{
        "startTime": begin,
        "endTime": end,
        "timeZone": "Europe/Vienna",
        "displayedStartSoc": 44,
        "displayedSoc": 62,
        "totalChargingDurationSec": 1800,
        "energyConsumedFromPowerGridKwh": 3.6,
        "isPreconditioningActivated": false,
        "mileage": 22345,
        "mileageUnits": "KM",
        "chargingLocation": {
            "municipality": "",
            "formattedAddress": "",
            "streetAddress": "",
            "mapMatchedLatitude": 48.177_012,
            "mapMatchedLongitude": 11.559_123,
        },
        "chargingBlocks": [{"startTime": begin, "endTime": end, "averagePowerGridKw": 7.2}],
        "publicChargingPoint": {"potentialChargingPointMatches": []},
        "businessErrors": [],
    }]});
    assert_eq!(answer.json(), expected);
    let with_slash = format!("/customers/vehicles/{HERS}/chargingHistory/?{RANGE}");
    assert_eq!(world.get(&with_slash, &token).await.json(), expected);
}

#[tokio::test]
async fn a_session_that_runs_has_no_end() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let begins = [(STATUS, Value::text("CHARGINGACTIVE"))];
    world.send_event(HERS, START, &begins).await;
    charging::search(world.platform.clone()).await;
    let session = &world.get(&history(HERS, RANGE), &token).await.json()["data"][0];
    assert!(session.get("endTime").is_none() && session.get("displayedSoc").is_none(), "{session}");
    assert_eq!(session["energyConsumedFromPowerGridKwh"], 0.0);
    assert_eq!(session["chargingBlocks"][0]["endTime"], START.as_second());
}

#[tokio::test]
async fn a_page_has_ten_sessions_newest_first_and_a_token_for_the_next() {
    let world = World::with_vehicles().await;
    for hour in 0..25 {
        world.charged(HERS, hour, HOME).await;
    }
    let token = world.own_token(Person::Anna).await;
    let (hours, next) = page(&world.get(&history(HERS, RANGE), &token).await);
    assert_eq!(hours, (15..25).rev().collect::<Vec<_>>());
    // What comes meanwhile moves no page.
    world.charged(HERS, 25, HOME).await;
    let second = history(HERS, &format!("{RANGE}&nextToken={}", next.unwrap()));
    let (hours, next) = page(&world.get(&second, &token).await);
    assert_eq!(hours, (5..15).rev().collect::<Vec<_>>());
    let third = history(HERS, &format!("nextToken={}&{RANGE}", next.unwrap()));
    assert_eq!(page(&world.get(&third, &token).await), ((0..5).rev().collect(), None));
    // A page twice is the same page.
    assert_eq!(page(&world.get(&third, &token).await).0.len(), 5);

    // Ten are one page.
    let ten = "from=2026-09-21T14:13:20Z&to=2026-09-22T00:13:20Z";
    assert_eq!(
        page(&world.get(&history(HERS, ten), &token).await),
        ((0..10).rev().collect(), None)
    );
    let at_once = "from=2026-09-21T14:13:20Z&to=2026-09-21T14:13:20Z";
    assert_eq!(page(&world.get(&history(HERS, at_once), &token).await), (vec![], None));
}

#[tokio::test]
async fn a_token_for_the_next_page_is_for_this_request_alone_and_for_an_hour() {
    let world = World::with_vehicles().await;
    for hour in 0..11 {
        world.charged(HERS, hour, HOME).await;
    }
    let token = world.own_token(Person::Anna).await;
    let next = page(&world.get(&history(HERS, RANGE), &token).await).1.unwrap();
    let with = |vin: &str, range: &str| history(vin, &format!("{range}&nextToken={next}"));

    let expired = refused(400, "CU-125");
    let other_range = "from=2026-09-20T00:00:01Z&to=2026-10-20T00:00:00Z";
    assert_eq!(refusal(&world.get(&with(HERS, other_range), &token).await), expired);
    let third = world.token(third_party(), Person::Anna).await;
    assert_eq!(refusal(&world.get(&with(HERS, RANGE), &third).await), expired);
    let places = format!("{}?nextToken={next}", settings(HERS));
    assert_eq!(refusal(&world.get(&places, &token).await), expired);
    let bens = world.own_token(Person::Ben).await;
    assert_eq!(refusal(&world.get(&with(HIS, RANGE), &bens).await), expired);
    assert_eq!(refusal(&world.get(&with(HERS, RANGE), &bens).await), refused(403, "CU-104"));
    for wrong in ["", "x", "%ff", &"A".repeat(64), &"A".repeat(5000)] {
        let path = history(HERS, &format!("{RANGE}&nextToken={wrong}"));
        assert_eq!(refusal(&world.get(&path, &token).await), expired, "{wrong}");
    }

    world.pass(3599);
    assert_eq!(page(&world.get(&with(HERS, RANGE), &token).await).0, [0]);
    world.pass(1);
    let token = world.own_token(Person::Anna).await;
    assert_eq!(refusal(&world.get(&with(HERS, RANGE), &token).await), expired);
}

#[tokio::test]
async fn a_time_that_is_missing_wrong_reversed_or_too_long_is_refused() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let (from, to) = ("from=2026-09-01T00:00:00Z", "to=2026-10-01T00:00:00Z");
    let long = "2".repeat(5000);
    let wrong = [
        String::new(),
        from.to_owned(),
        to.to_owned(),
        format!("from=&{to}"),
        format!("{from}&to="),
        format!("{from}&{from}&{to}"),
        format!("{from}&{to}&{to}"),
        format!("{from}&{to}&nextToken=a&nextToken=a"),
        // Of wrong form: seconds and milliseconds since 1970, a date, no offset, no time at all.
        "from=1788220800&to=1790812800".to_owned(),
        "from=1788220800000&to=1790812800000".to_owned(),
        "from=2026-09-01&to=2026-10-01".to_owned(),
        "from=2026-09-01T00:00:00&to=2026-10-01T00:00:00".to_owned(),
        format!("from=yesTerday&{to}"),
        format!("from=2026-02-30T00:00:00Z&{to}"),
        format!("from={long}&{to}"),
        format!("from={long}T&{to}"),
        format!("from=%ff&{to}"),
        // Unlike the parameters' names.
        "From=2026-09-01T00:00:00Z&To=2026-10-01T00:00:00Z".to_owned(),
        "from=2026-10-01T00:00:00Z&to=2026-09-01T00:00:00Z".to_owned(),
        "from=2026-09-01T00:00:00Z&to=2026-10-16T00:00:01Z".to_owned(),
        "from=0001-01-01T00:00:00Z&to=2026-10-01T00:00:00Z".to_owned(),
        // Beyond what an instant can be.
        "from=9999-12-31T23:00:00Z&to=9999-12-31T23:59:59Z".to_owned(),
        "from=10000-01-01T00:00:00Z&to=10000-01-02T00:00:00Z".to_owned(),
    ];
    for query in wrong {
        let answer = world.get(&history(HERS, &query), &token).await;
        assert_eq!(refusal(&answer), refused(400, "CU-401"), "{query:.90}");
        assert!(answer.body.len() < 1000, "a note repeats no long text");
    }
    let right = [
        format!("{from}&{to}"),
        "from=2026-09-01T00:00:00.123Z&to=2026-09-01T00:00:00.123Z".to_owned(),
        "from=2026-09-01T02:00:00%2B02:00&to=2026-10-01T00:00:00%2B00:00".to_owned(),
        "from=2026-09-01T00:00:00Z&to=2026-10-16T00:00:00Z".to_owned(),
        "from=9999-11-01T00:00:00Z&to=9999-12-01T00:00:00Z".to_owned(),
        "from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z".to_owned(),
        format!("{from}&{to}&unheardOf=1"),
    ];
    for query in right {
        let answer = world.get(&history(HERS, &query), &token).await;
        assert_eq!(page(&answer), (vec![], None), "{query}");
    }
}

#[tokio::test]
async fn a_vehicle_that_is_not_ones_own_shows_no_charge_and_no_place() {
    let world = World::with_vehicles().await;
    for vin in [HERS, SHARED, HIS] {
        world.charged(vin, 0, HOME).await;
    }
    let anna = world.own_token(Person::Anna).await;
    let paths = |vin: &str| [history(vin, RANGE), settings(vin)];
    for vin in [SHARED, HIS, UNKNOWN] {
        for path in paths(vin) {
            let answer = world.get(&path, &anna).await;
            assert_eq!(refusal(&answer), refused(403, "CU-104"), "{path}");
            let unknown = world.get(&path.replace(vin, UNKNOWN), &anna).await;
            assert_eq!(visible(&answer), visible(&unknown), "not even whether there is one");
        }
    }
    for path in paths(HERS) {
        assert_eq!(world.get(&path, &anna).await.status, StatusCode::OK);
        assert_eq!(refusal(&world.get(&path, "garbage").await), refused(401, "CU-101"));
        let without = Request::get(&path).body(Body::empty()).unwrap();
        assert_eq!(refusal(&world.send(without).await), refused(403, "TP-403"));
        let lower = path.replace(HERS, "wby00000000000001");
        assert_eq!(refusal(&world.get(&lower, &anna).await), refused(400, "CU-120"));
        let posted = world.call("POST", &path, &anna, "").await;
        assert_eq!(refusal(&posted), refused(405, "CU-400"));
    }
    let streaming =
        world.log_in(Person::Anna.client_id(), Person::Anna, "openid cardata:streaming:read").await;
    for path in paths(HERS) {
        let answer = world.get(&path, &streaming.access_token).await;
        assert_eq!(refusal(&answer), refused(403, "CU-103"));
    }
}

#[tokio::test]
async fn a_client_knows_where_it_was_as_exactly_as_the_customer_allows() {
    let world = World::with_vehicles().await;
    world.charged(HERS, 0, HOME).await;
    world.charged(HERS, 1, WORK).await;
    let token = world.own_token(Person::Anna).await;
    let places = async || {
        let answer = world.get(&history(HERS, RANGE), &token).await.json();
        let place = |session: &Json| session["chargingLocation"]["mapMatchedLatitude"].as_f64();
        answer["data"].as_array().unwrap().iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places().await, [Some(48.377_012), Some(48.177_012)]);
    world.allow(Precision::TenKilometres, false).await;
    let rounded = places().await;
    let is_short = |latitude: &Option<f64>| latitude.is_some_and(|it| it.to_string().len() <= 5);
    assert!(rounded.iter().all(is_short), "{rounded:?}");
    world.hide_home().await;
    assert_eq!(places().await, [Some(48.377_012), None]);
    let answer = world.get(&history(HERS, RANGE), &token).await;
    assert!(!answer.body.contains("48.177"), "{}", answer.body);
    // Another client of the same customer was allowed more.
    let third = world.token(third_party(), Person::Anna).await;
    assert!(world.get(&history(HERS, RANGE), &third).await.body.contains("48.177012"));
}

#[tokio::test]
async fn the_places_are_those_where_it_charged_the_last_one_first() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let nowhere = world.get(&settings(HERS), &token).await;
    assert_eq!(refusal(&nowhere), refused(404, "CU-127"));
    assert_eq!(nowhere.json()["exveErrorMsg"], "No LBCS data found");

    for (hour, place) in [(0, HOME), (2, WORK), (4, ("48.177512", "11.559123"))] {
        world.charged(HERS, hour, place).await;
    }
    let limit = "vehicle.powertrain.electric.battery.charging.acLimit.selected";
    world.report(HERS, limit, "2026-09-22T08:00:00Z", Value::integer(16), Some("A")).await;
    let body = world.get(&settings(HERS), &token).await.json();
    let gcid = Person::Anna.gcid();
    let named = format!("{HERS}_{gcid}");
    let id = format!("{:x}", START.as_millisecond());
    let other = format!("{:x}", START.as_millisecond() + 7_200_000);
    let expected = json!({"data": [
        {
            "id": id, "lastUpdated": "2026-09-22T08:00:00.000Z", "clusterLocationId": id,
            "latitude": 48.177_012, "longitude": 11.559_123, "lastVisit": "2026-09-21T18:13:20.000Z",
            "visits": 2, "vehicleIdWithGcid": named, "chargingTimeWindows": [], "acCurrentLimit": 16.0,
        },
        {
            "id": other, "lastUpdated": "2026-09-21T16:13:20.000Z", "clusterLocationId": other,
            "latitude": 48.377_012, "longitude": 11.759_123, "lastVisit": "2026-09-21T16:13:20.000Z",
            "visits": 1, "vehicleIdWithGcid": named, "chargingTimeWindows": [],
        },
    ]});
    assert_eq!(body, expected);

    let twice = format!("{}?nextToken=a&nextToken=b", settings(HERS));
    assert_eq!(refusal(&world.get(&twice, &token).await), refused(400, "CU-401"));
    for wrong in ["", "a", &"A".repeat(64)] {
        let path = format!("{}?nextToken={wrong}", settings(HERS));
        assert_eq!(refusal(&world.get(&path, &token).await), refused(400, "CU-125"));
    }
}

#[tokio::test]
async fn a_page_has_ten_places() {
    let world = World::with_vehicles().await;
    for hour in 0..12 {
        world.charged(HERS, hour, (&format!("48.{}", 10 + hour), "11.5")).await;
    }
    let token = world.own_token(Person::Anna).await;
    let first = world.get(&settings(HERS), &token).await.json();
    assert_eq!(first["data"].as_array().unwrap().len(), 10);
    assert!(first["data"][0]["latitude"] == 48.21, "{first}");
    let next = first["nextToken"].as_str().unwrap();
    let second = world.get(&format!("{}?nextToken={next}", settings(HERS)), &token).await.json();
    let latitudes: Vec<_> =
        second["data"].as_array().unwrap().iter().map(|p| &p["latitude"]).collect();
    assert_eq!(latitudes, [48.11, 48.10]);
    assert!(second.get("nextToken").is_none());
}

#[tokio::test]
async fn a_client_that_may_know_no_place_gets_none() {
    let world = World::with_vehicles().await;
    world.charged(HERS, 0, HOME).await;
    world.hide_home().await;
    let token = world.own_token(Person::Anna).await;
    let answer = world.get(&settings(HERS), &token).await;
    assert_eq!(refusal(&answer), refused(404, "CU-127"));
    world.charged(HERS, 2, WORK).await;
    let answer = world.get(&settings(HERS), &token).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 1);
    assert!(!answer.body.contains("48.177"));

    // Two places in one square are one: a client that is told squares must not count houses.
    world.allow(Precision::TenKilometres, false).await;
    world.charged(HERS, 4, ("48.378", "11.762")).await;
    let body = world.get(&settings(HERS), &token).await.json();
    assert_eq!(body["data"].as_array().unwrap().len(), 2, "{body}");
    assert_eq!(body["data"][0]["visits"], 2);
}
