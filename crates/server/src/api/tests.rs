//! Every status and id of the REST API, asked for as clients do.

mod charging;
mod consents;
mod quota;
mod rules;
mod unanswered;
mod v2;
mod vehicles;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{Request, StatusCode};
use cardata_domain::consent::EndReason;
use cardata_domain::vehicle::MappingType::{Primary, Secondary};
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{ClientId, Entry, Event, Value, Vin};
use serde_json::{Value as Json, json};

use crate::gcdm::verify;
use crate::profile::Profile;
use crate::test_platform::{Answer, Person, SCOPES, START, World, third_party, vehicle};

const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const MAPPINGS: &str = "/customers/vehicles/mappings";
const CONTAINERS: &str = "/customers/containers";

/// Anna's alone.
const HERS: &str = "WBY00000000000001";
/// Ben's; Anna drives it, too.
const SHARED: &str = "WBY00000000000002";
/// Ben's alone.
const HIS: &str = "WBY00000000000003";
const UNKNOWN: &str = "WBY00000000000009";

/// Status and id of a refusal, after a look at its form.
fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let members = body.as_object().unwrap();
    let expected = ["exveErrorId", "exveErrorMsg", "exveErrorRef", "exveNote"];
    assert!(members.keys().eq(expected), "{body}");
    assert!(members.values().all(|text| text.as_str().is_some_and(|text| !text.is_empty())));
    (answer.status.as_u16(), body["exveErrorId"].as_str().unwrap().to_owned())
}

fn refused(status: u16, id: &str) -> (u16, String) {
    (status, id.to_owned())
}

/// All that a caller can see of a refusal but its reference, which is different each time.
fn visible(answer: &Answer) -> (StatusCode, Json) {
    let mut body = answer.json();
    body["exveErrorRef"] = Json::Null;
    (answer.status, body)
}

impl World {
    async fn with_vehicles() -> Self {
        let world = Self::new().await;
        world.fill_garages().await;
        world
    }

    async fn fill_garages(&self) {
        for vin in [HERS, SHARED, HIS] {
            let vehicle = vehicle(vin);
            self.platform.directory.put_vehicle(&vehicle).await.unwrap();
        }
        self.map(Person::Anna, HERS, Primary).await;
        self.map(Person::Anna, SHARED, Secondary).await;
        self.map(Person::Ben, SHARED, Primary).await;
        self.map(Person::Ben, HIS, Primary).await;
    }

    async fn map(&self, person: Person, vin: &str, mapping_type: MappingType) {
        let vin = vin.parse().unwrap();
        let mapping = Mapping { gcid: person.gcid(), vin, mapping_type, since: START };
        self.platform.directory.put_mapping(&mapping).await.unwrap();
    }

    async fn token(&self, client_id: ClientId, person: Person) -> String {
        self.log_in(client_id, person, SCOPES).await.access_token
    }

    async fn own_token(&self, person: Person) -> String {
        self.token(person.client_id(), person).await
    }

    async fn create(&self, token: &str, descriptors: &[&str]) -> Answer {
        let body = json!({"name": "evcc.io", "purpose": "v6", "technicalDescriptors": descriptors});
        self.call("POST", CONTAINERS, token, body.to_string()).await
    }

    /// Registers a container and gives its id.
    async fn register(&self, token: &str, descriptors: &[&str]) -> String {
        let answer = self.create(token, descriptors).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.json()["containerId"].as_str().unwrap().to_owned()
    }

    async fn delete(&self, token: &str, id: &str) -> Answer {
        self.call("DELETE", &format!("{CONTAINERS}/{id}"), token, "").await
    }

    async fn report(&self, vin: &str, name: &str, at: &str, value: Value, unit: Option<&str>) {
        let catalogue = &self.platform.catalogue;
        let (id, at) = (catalogue.intern(name).unwrap(), at.parse().unwrap());
        let entry = Entry::new(catalogue, id, at, value, unit);
        let event = Event::new(vin.parse().unwrap(), at, vec![entry]).unwrap();
        self.platform.journal.append(vec![event], START).await.unwrap();
    }
}

/// A path of each kind that shows data of a vehicle.
fn reads_of(vin: &str, container: &str) -> [String; 4] {
    let stem = format!("/customers/vehicles/{vin}");
    [
        format!("{stem}/basicData"),
        format!("{stem}/telematicData?containerId={container}"),
        format!("{stem}/image"),
        format!("{stem}/smartMaintenanceTyreDiagnosis"),
    ]
}

#[tokio::test]
async fn without_a_bearer_token_the_gateway_lets_nothing_through() {
    let world = World::with_vehicles().await;
    let mut paths = reads_of(HERS, "W00J000D000AB").to_vec();
    paths.extend([MAPPINGS, CONTAINERS, "/customers/containers/W00J000D000AB"].map(str::to_owned));
    for path in &paths {
        for header in [None, Some("Basic YTpi"), Some("Bearer ")] {
            let mut request = Request::get(path);
            if let Some(value) = header {
                request = request.header(AUTHORIZATION, value);
            }
            let answer = world.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(refusal(&answer), refused(403, "TP-403"), "{path} {header:?}");
            assert_eq!(answer.json()["exveErrorMsg"], "Bad Request. Forbidden");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_none_or_revoked_or_expired_or_lacks_the_scope_is_told_which() {
    let world = World::with_vehicles().await;
    let anna = Person::Anna;
    let answer = world.get(MAPPINGS, "garbage").await;
    assert_eq!(refusal(&answer), refused(401, "CU-101"));
    assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    let tokens = world.log_in(anna.client_id(), anna, SCOPES).await;
    for other_kind in [&tokens.id_token, &tokens.refresh_token] {
        assert_eq!(refusal(&world.get(MAPPINGS, other_kind).await), refused(401, "CU-101"));
    }

    let streaming = world.log_in(anna.client_id(), anna, "openid cardata:streaming:read").await;
    let answer = world.get(MAPPINGS, &streaming.access_token).await;
    assert_eq!(refusal(&answer), refused(403, "CU-103"));

    world.pass(3599);
    assert_eq!(world.get(MAPPINGS, &tokens.access_token).await.status, StatusCode::OK);
    world.pass(1);
    let answer = world.get(MAPPINGS, &tokens.access_token).await;
    assert_eq!(refusal(&answer), refused(401, "CU-102"));

    let token = world.own_token(anna).await;
    let claims = verify::access_token(&world.platform, &token).await.unwrap();
    let now = world.platform.clock.now();
    assert!(
        world
            .platform
            .directory
            .end_consent(claims.consent_id, now, EndReason::Customer)
            .await
            .unwrap()
    );
    let answer = world.get(MAPPINGS, &token).await;
    assert_eq!(refusal(&answer), refused(401, "CU-101"));
    assert!(answer.json()["exveNote"].as_str().unwrap().contains("revoked"), "{}", answer.body);
}

#[tokio::test]
async fn the_version_header_may_be_missing_but_not_wrong() {
    let world = World::with_vehicles().await;
    let token = format!("bearer {}", world.own_token(Person::Anna).await);
    let with = |version: &str| {
        let request = Request::get(MAPPINGS).header(AUTHORIZATION, &token);
        request.header("x-version", version).body(Body::empty()).unwrap()
    };
    assert_eq!(world.send(with("v1")).await.status, StatusCode::OK);
    for other in ["v2", "", "1"] {
        assert_eq!(refusal(&world.send(with(other)).await), refused(400, "CU-400"), "{other}");
    }
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_forbidden_with_and_without_a_token() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for path in [
        "/customers",
        "/customers/",
        "/customers/vehicles",
        "/customers/vehicles/",
        "/customers/vehicles/WBY00000000000001",
        "/customers/vehicles/WBY00000000000001/unheardOf",
        "/customers/containers/W00J000D000AB/more",
        "/customers/%ff",
    ] {
        assert_eq!(refusal(&world.get(path, &token).await), refused(403, "TP-403"), "{path}");
        let bare = Request::post(path).body(Body::empty()).unwrap();
        assert_eq!(refusal(&world.send(bare).await), refused(403, "TP-403"), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for (method, path, allowed) in [
        ("POST", MAPPINGS, ["GET", "HEAD"].as_slice()),
        ("PUT", CONTAINERS, &["GET", "HEAD", "POST"]),
        ("PATCH", "/customers/containers/W00J000D000AB", &["DELETE", "GET", "HEAD"]),
    ] {
        let answer = world.call(method, path, &token, "").await;
        assert_eq!(refusal(&answer), refused(405, "CU-400"), "{method} {path}");
        let said: BTreeSet<_> = answer.headers[ALLOW].to_str().unwrap().split(',').collect();
        assert_eq!(said, allowed.iter().copied().collect());
    }
}

#[tokio::test]
async fn mappings_are_a_bare_array_of_the_callers_own_vehicles() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for path in [MAPPINGS, "/customers/vehicles/mappings/"] {
        let since = "2026-09-21T14:13:20.000Z";
        assert_eq!(
            world.get(path, &token).await.json(),
            json!([
                {"vin": HERS, "mappedSince": since, "mappingType": "PRIMARY"},
                {"vin": SHARED, "mappedSince": since, "mappingType": "SECONDARY"},
            ])
        );
    }
}

#[tokio::test]
async fn basic_data_says_how_the_vehicle_was_built() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let path = format!("/customers/vehicles/{HERS}/basicData");
    let answer = world.get(&path, &token).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    assert_eq!(body["constructionDate"], "2025-10-01T00:00:00.000+0000");
    assert_eq!(body["driveTrain"], "BEV");
    assert_eq!(body["numberOfDoors"], 4);
    assert_eq!(body["reessNominalCapacityGross"], "210.6");
    assert_eq!(world.get(&format!("{path}/"), &token).await.json(), body);
}

#[tokio::test]
async fn a_vehicle_of_another_customer_cannot_be_told_from_a_secondary_or_unknown_one() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let container = world.register(&token, &[SOC]).await;
    world.report(HIS, SOC, "2026-09-21T14:00:00Z", Value::integer(11), None).await;
    world.report(SHARED, SOC, "2026-09-21T14:00:00Z", Value::integer(12), None).await;
    for (number, path) in reads_of(UNKNOWN, &container).into_iter().enumerate() {
        let unknown = world.get(&path, &token).await;
        assert_eq!(refusal(&unknown), refused(403, "CU-104"));
        for vin in [HIS, SHARED] {
            let path = &reads_of(vin, &container)[number];
            assert_eq!(visible(&world.get(path, &token).await), visible(&unknown), "{path}");
        }
    }
    world.platform.directory.remove_mapping(Person::Anna.gcid(), vin(HERS)).await.unwrap();
    for path in reads_of(HERS, &container) {
        assert_eq!(refusal(&world.get(&path, &token).await), refused(403, "CU-104"), "{path}");
    }
}

fn vin(text: &str) -> Vin {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_vin_or_container_id_of_the_wrong_form_is_named() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for vin in ["", "WBY0", "wby00000000000001", "WBY0000000000000I", "%ff%ff", "mappings"] {
        for path in reads_of(vin, "W00J000D000AB") {
            assert_eq!(refusal(&world.get(&path, &token).await), refused(400, "CU-120"), "{path}");
        }
    }
    for id in ["undefined", "w00j000d000ab", "W00J000D000ABC", "%ff"] {
        let path = format!("{CONTAINERS}/{id}");
        assert_eq!(refusal(&world.get(&path, &token).await), refused(400, "CU-121"), "{id}");
        assert_eq!(refusal(&world.delete(&token, id).await), refused(400, "CU-121"), "{id}");
        if id != "%ff" {
            let [_, path, ..] = reads_of(HERS, id);
            assert_eq!(refusal(&world.get(&path, &token).await), refused(400, "CU-121"), "{id}");
        }
    }
}

#[tokio::test]
async fn the_container_of_a_telematic_request_may_not_be_missing_empty_or_doubled() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let stem = format!("/customers/vehicles/{HERS}/telematicData");
    for (query, expected) in [
        ("", refused(400, "CU-400")),
        ("?containerid=W00J000D000AB", refused(400, "CU-400")),
        ("?containerId=W00J000D000AB&containerId=W00J000D000AC", refused(400, "CU-400")),
        ("?containerId=", refused(403, "CU-105")),
        ("?containerId=W00J000D000AB", refused(403, "CU-105")),
    ] {
        assert_eq!(
            refusal(&world.get(&format!("{stem}{query}"), &token).await),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_container_is_registered_listed_shown_and_deleted() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    assert_eq!(world.get(CONTAINERS, &token).await.json(), json!({"containers": []}));

    let created = world.create(&token, &[ODOMETER, SOC, ODOMETER]).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let details = created.json();
    let id = details["containerId"].as_str().unwrap();
    assert_eq!(id.len(), 13);
    assert_eq!(
        details,
        json!({"containerId": id, "name": "evcc.io", "purpose": "v6", "state": "ACTIVE",
            "created": "2026-09-21T14:13:20.000Z", "technicalDescriptors": [ODOMETER, SOC]})
    );
    let path = format!("{CONTAINERS}/{id}");
    assert_eq!(world.get(&path, &token).await.json(), details);
    assert_eq!(world.get(&format!("{path}/"), &token).await.json(), details);
    let mut summary = details.clone();
    summary.as_object_mut().unwrap().remove("technicalDescriptors");
    for path in [CONTAINERS, "/customers/containers/"] {
        assert_eq!(world.get(path, &token).await.json(), json!({"containers": [summary]}));
    }

    let deleted = world.call("DELETE", &format!("{path}/"), &token, "").await;
    assert_eq!((deleted.status, deleted.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(world.get(CONTAINERS, &token).await.json(), json!({"containers": []}));
    assert_eq!(refusal(&world.get(&path, &token).await), refused(403, "CU-105"));
    assert_eq!(refusal(&world.delete(&token, id).await), refused(208, "CU-122"));
    assert_eq!(refusal(&world.delete(&token, id).await), refused(208, "CU-122"));
}

#[tokio::test]
async fn a_container_of_another_customer_or_client_cannot_be_told_from_one_that_never_was() {
    let world = World::with_vehicles().await;
    let anna = world.own_token(Person::Anna).await;
    // The third party's client, once at each customer's data, and Ben's own client.
    let others = [
        world.token(third_party(), Person::Anna).await,
        world.token(third_party(), Person::Ben).await,
        world.own_token(Person::Ben).await,
    ];
    let id = world.register(&anna, &[SOC]).await;
    let gone = world.register(&anna, &[SOC]).await;
    assert_eq!(world.delete(&anna, &gone).await.status, StatusCode::NO_CONTENT);
    for (token, vin) in others.iter().zip([HERS, HIS, HIS]) {
        assert_eq!(world.get(CONTAINERS, token).await.json(), json!({"containers": []}));
        for target in [&id, &gone] {
            let path = format!("{CONTAINERS}/{target}");
            for answer in [
                world.get(&path, token).await,
                world.delete(token, target).await,
                world.get(&reads_of(vin, target)[1], token).await,
            ] {
                let (status, body) = visible(&answer);
                let body = body.to_string().replace(target.as_str(), "NEVERWASTHERE");
                let never = world.get(&format!("{CONTAINERS}/NEVERWASTHERE"), token).await;
                assert_eq!(refusal(&never), refused(403, "CU-105"));
                assert_eq!((status, body), (StatusCode::FORBIDDEN, visible(&never).1.to_string()));
            }
        }
    }
    let path = format!("{CONTAINERS}/{id}");
    assert_eq!(world.get(&path, &anna).await.status, StatusCode::OK, "nobody else deleted it");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_container_is_named_and_nothing_is_registered() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let answer = world.create(&token, &[SOC, "vehicle.nonsense"]).await;
    assert_eq!(refusal(&answer), refused(400, "CU-402"));
    assert!(answer.json()["exveNote"].as_str().unwrap().contains("`vehicle.nonsense`"));

    let long = "x".repeat(256);
    let over = format!("{{\"name\":\"{}\"}}", "x".repeat(super::BODY_LENGTH_MAX));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\u{0}",
        r#"{"name":"a","purpose":"b"}"#,
        r#"{"name":"a","purpose":"b","technicalDescriptors":[]}"#,
        r#"{"name":"a","purpose":"b","technicalDescriptors":"vehicle.isMoving"}"#,
        r#"{"name":"a","purpose":"b","technicalDescriptors":[7]}"#,
        r#"{"name":null,"purpose":"b","technicalDescriptors":["vehicle.isMoving"]}"#,
        r#"{"name":"","purpose":"b","technicalDescriptors":["vehicle.isMoving"]}"#,
        r#"{"name":"a","purpose":"","technicalDescriptors":["vehicle.isMoving"]}"#,
        &format!(r#"{{"name":"{long}","purpose":"b","technicalDescriptors":["{SOC}"]}}"#),
        &over,
    ] {
        let answer = world.call("POST", CONTAINERS, &token, body.to_owned()).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!(refusal(&answer), refused(400, "CU-400"), "{shown}");
        assert!(answer.body.len() < 1000);
    }
    let huge_name = format!("vehicle.{}", "x".repeat(100_000));
    let answer = world.create(&token, &[&huge_name]).await;
    assert_eq!(refusal(&answer), refused(400, "CU-402"));
    assert!(answer.body.len() < 1000);
    assert_eq!(world.get(CONTAINERS, &token).await.json(), json!({"containers": []}));
}

#[tokio::test]
async fn a_name_may_hold_what_people_write_and_stand_twice() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let body = json!({"name": "Zähler: 2026-07-27T12:37:58Z", "purpose": "für „mich“ 🚗",
        "technicalDescriptors": [SOC], "more": {}});
    for _ in 0..2 {
        let answer = world.call("POST", CONTAINERS, &token, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.json()["name"], body["name"]);
        assert_eq!(answer.json()["purpose"], body["purpose"]);
    }
}

#[tokio::test]
async fn the_whole_catalogue_fits_into_a_container() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let listed: Vec<_> =
        world.platform.catalogue.listed().map(|(_, listed)| listed.name.to_string()).collect();
    let names: Vec<_> = listed.iter().map(String::as_str).collect();
    let id = world.register(&token, &names).await;
    let body = world.get(&reads_of(HERS, &id)[1], &token).await.json();
    // 295 but the ten that other endpoints serve.
    assert_eq!(body["telematicData"].as_object().unwrap().len(), 285);
}

#[tokio::test]
async fn the_eleventh_container_is_refused_until_one_is_deleted() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let first = world.register(&token, &[SOC]).await;
    for _ in 1..10 {
        world.register(&token, &[SOC]).await;
    }
    assert_eq!(refusal(&world.create(&token, &[SOC]).await), refused(403, "CU-124"));
    let other_client = world.token(third_party(), Person::Anna).await;
    world.register(&other_client, &[SOC]).await;
    assert_eq!(world.delete(&token, &first).await.status, StatusCode::NO_CONTENT);
    world.register(&token, &[SOC]).await;
    assert_eq!(refusal(&world.create(&token, &[SOC]).await), refused(403, "CU-124"));
}

#[tokio::test]
async fn in_the_strict_profile_deleted_containers_count_for_29_days_over_all_clients() {
    let world = World::with(Profile::bmw(), None).await;
    let token = world.own_token(Person::Anna).await;
    for _ in 0..10 {
        let id = world.register(&token, &[SOC]).await;
        assert_eq!(world.delete(&token, &id).await.status, StatusCode::NO_CONTENT);
    }
    let other_client = world.token(third_party(), Person::Anna).await;
    assert_eq!(refusal(&world.create(&other_client, &[SOC]).await), refused(403, "CU-124"));
    world.pass(29 * 24 * 3600);
    let token = world.own_token(Person::Anna).await;
    world.register(&token, &[SOC]).await;
}

#[tokio::test]
async fn of_twenty_containers_at_once_ten_are_registered() {
    let world = std::sync::Arc::new(World::with_vehicles().await);
    let token = world.own_token(Person::Anna).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (world, token) = (world.clone(), token.clone());
        running.spawn(async move {
            let answer = world.create(&token, &[SOC]).await;
            if answer.status == StatusCode::CREATED {
                return true;
            }
            assert_eq!(refusal(&answer), refused(403, "CU-124"));
            false
        });
    }
    let registered = running.join_all().await.into_iter().filter(|created| *created).count();
    assert_eq!(registered, 10);
    let body = world.get(CONTAINERS, &token).await.json();
    let ids: BTreeSet<_> = body["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["containerId"].to_string())
        .collect();
    assert_eq!(ids.len(), 10);
}

#[tokio::test]
async fn of_two_deletions_at_once_one_comes_late() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let id = world.register(&token, &[SOC]).await;
    let (one, other) = tokio::join!(world.delete(&token, &id), world.delete(&token, &id));
    let statuses = BTreeSet::from([one.status.as_u16(), other.status.as_u16()]);
    assert_eq!(statuses, BTreeSet::from([204, 208]));
}

#[tokio::test]
async fn open_streams_see_a_container_come_and_go_before_the_answer() {
    let world = World::with_vehicles().await;
    let anna = Person::Anna;
    let token = world.own_token(anna).await;
    let entitlements = &world.platform.entitlements;
    let cell = entitlements.cell(anna.gcid(), anna.client_id()).await.unwrap();
    let other_client = entitlements.cell(anna.gcid(), third_party()).await.unwrap();
    assert!(cell.load().entitled.is_empty());
    let id = world.register(&token, &[SOC, ODOMETER, "vehicle.sim.status"]).await;
    let soc = world.platform.catalogue.find(SOC).unwrap();
    assert!(cell.load().entitled.contains(soc));
    assert_eq!(cell.load().entitled.len(), 2, "one of the three can't be streamed");
    let second = world.register(&token, &[SOC]).await;
    world.delete(&token, &id).await;
    assert!(cell.load().entitled.contains(soc));
    assert_eq!(cell.load().entitled.len(), 1);
    world.delete(&token, &second).await;
    assert!(cell.load().entitled.is_empty());
    assert!(other_client.load().entitled.is_empty());
}

#[tokio::test]
async fn telematic_data_is_the_latest_of_each_descriptor_as_text() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let plugged = "vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged";
    let battery = "vehicle.drivetrain.batteryManagement.batterySizeMax";
    let range = "vehicle.drivetrain.electricEngine.remainingElectricRange";
    let wanted = [SOC, ODOMETER, plugged, battery, "vehicle.sim.status", range, "vehicle.new.one"];
    world.report(HERS, "vehicle.new.one", "2026-09-21T14:00:00Z", Value::Boolean(true), None).await;
    let id = world.register(&token, &wanted).await;
    world.report(HERS, SOC, "2026-09-21T14:02:00.5Z", Value::integer(67), Some("percent")).await;
    world.report(HERS, SOC, "2026-09-21T14:01:00Z", Value::integer(66), Some("%")).await;
    let odometer = Value::Number("81623.50".into());
    world.report(HERS, ODOMETER, "2026-09-21T14:00:00Z", odometer, None).await;
    world.report(HERS, battery, "2026-09-21T14:00:00Z", Value::text("0.0"), None).await;
    world
        .report(HERS, "vehicle.isMoving", "2026-09-21T14:00:00Z", Value::Boolean(false), None)
        .await;
    world.report(HIS, range, "2026-09-21T14:00:00Z", Value::integer(9), None).await;
    let answer = world.get(&reads_of(HERS, &id)[1], &token).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"telematicData": {
            SOC: {"timestamp": "2026-09-21T14:02:00.500Z", "unit": "percent", "value": "67"},
            ODOMETER: {"timestamp": "2026-09-21T14:00:00.000Z", "unit": null, "value": "81623.50"},
            plugged: {"timestamp": null, "unit": null, "value": null},
            range: {"timestamp": null, "unit": "km", "value": null},
            "vehicle.new.one": {"timestamp": "2026-09-21T14:00:00.000Z", "unit": null, "value": "true"},
        }})
    );
}
