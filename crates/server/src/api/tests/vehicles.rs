//! What is known of a vehicle: its build, its picture, its tyres (wire §4.6, §4.7, §4.9, §4.10).

use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::response::Response;
use cardata_domain::vehicle::{Build, Vehicle};
use http_body_util::BodyExt as _;

use super::*;

impl World {
    async fn rebuild(&self, adjust: impl FnOnce(&mut Build)) {
        let mut vehicle: Vehicle = vehicle(HERS);
        adjust(&mut vehicle.build);
        self.platform.directory.put_vehicle(&vehicle).await.unwrap();
    }

    async fn picture(&self, token: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::get(format!("/customers/vehicles/{HERS}/image"));
        let mut request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.respond(request.body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn basic_data_has_all_that_is_known_and_nothing_else() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let basic = async || world.get(&reads_of(HERS, "")[0], &token).await.json();
    world
        .rebuild(|build| {
            build.has_sun_roof = Some(false);
            build.head_unit = "MGU_02_A".into();
            build.steering = "LL".into();
            build.engine = "HA0001N0".into();
            build.equipment_codes = "01CE,0205".into();
            build.sim_status = "ACTIVE".into();
        })
        .await;
    assert_eq!(
        basic().await,
        json!({
            "vin": HERS, "brand": "BMW", "modelName": "i5 xDrive40", "modelKey": "21FJ", "series": "5",
            "seriesDevt": "G60", "bodyType": "Limousine", "numberOfDoors": 4, "hasNavi": true,
            "hasSunRoof": false, "headUnit": "MGU_02_A", "countryCode": "AT", "steering": "LL",
            "engine": "HA0001N0", "driveTrain": "BEV", "chargingModes": ["AC", "DC"],
            "propulsionType": "BEV", "colourCodeRaw": "475",
            "colourDescription": "BLACK SAPPHIRE METALLIC",
            "constructionDate": "2025-10-01T00:00:00.000+0000", "fullSAList": "01CE,0205",
            "simStatus": "ACTIVE", "reessNominalCapacityGross": "210.6",
        })
    );
    world.rebuild(|build| *build = Build::unknown(cardata_domain::vehicle::Drivetrain::Ice)).await;
    let known = basic().await;
    let known: Vec<_> = known.as_object().unwrap().keys().collect();
    assert_eq!(known, ["brand", "driveTrain", "modelName", "propulsionType", "vin"]);
}

#[tokio::test]
async fn a_picture_is_a_png_by_body_and_colour_and_is_not_sent_twice() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for accept in ["*/*", "image/png,image/jpeg", "application/json", "application/xml"] {
        let answer = world.picture(&token, &[(ACCEPT.as_str(), accept)]).await;
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &"image/png".parse().unwrap())
        );
        let png = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{accept}");
    }
    let tag = world.picture(&token, &[]).await.headers()[ETAG].to_str().unwrap().to_owned();
    let known = [(IF_NONE_MATCH.as_str(), tag.as_str())];
    assert_eq!(world.picture(&token, &known).await.status(), StatusCode::NOT_MODIFIED);
    world.rebuild(|build| build.colour_description = "ALPINE WHITE".into()).await;
    assert_eq!(world.picture(&token, &known).await.status(), StatusCode::OK);
    world.rebuild(|build| build.body_type = "Touring".into()).await;
    assert_eq!(world.picture(&token, &known).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_picture_the_answer_says_so_in_a_form_that_clients_read() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for body_type in ["", "Zeppelin"] {
        world.rebuild(|build| body_type.clone_into(&mut build.body_type)).await;
        let answer = world.get(&reads_of(HERS, "")[2], &token).await;
        assert_eq!(refusal(&answer), refused(404, "CU-126"));
        assert_eq!(answer.json()["exveErrorMsg"], "No vehicle image found");
    }
}

#[tokio::test]
async fn the_tyres_are_diagnosed_from_the_latest_pressures() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let tire = "vehicle.chassis.axle.row1.wheel.left.tire";
    let diagnosis = async || world.get(&reads_of(HERS, "")[3], &token).await.json();
    let defect = async || {
        diagnosis().await["passengerCar"]["mountedTyres"]["frontLeft"]["tyreDefect"].clone()
    };
    assert_eq!(defect().await, json!({"label": "Defect"}));
    let target = format!("{tire}.pressureTarget");
    world.report(HERS, &target, "2026-09-21T14:00:00Z", Value::integer(250), Some("kPa")).await;
    for (at, pressure, status) in [("14:01", 251, "NO_DEFECT"), ("14:02", 120, "PRESSURE_LOSS")] {
        let (name, at) = (format!("{tire}.pressure"), format!("2026-09-21T{at}:00Z"));
        world.report(HERS, &name, &at, Value::integer(pressure), Some("kPa")).await;
        assert_eq!(defect().await["status"], status);
    }
    assert_eq!(diagnosis().await["errors"], json!([]));
}

#[tokio::test]
async fn services_that_are_due_come_as_a_list_within_a_text() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let services = "vehicle.status.conditionBasedServices";
    let id = world.register(&token, &[services]).await;
    let shown = async || {
        let body = world.get(&reads_of(HERS, &id)[1], &token).await.json();
        body["telematicData"][services].clone()
    };
    assert_eq!(shown().await, json!({"timestamp": null, "unit": null, "value": null}));
    let list = r#"[{"id":1,"title":"Öl","description":"","date":"2027-07","messageType":"CBS","status":"OK","text":"-","unitOfLengthRemaining":"14000"}]"#;
    world.report(HERS, services, "2026-09-21T14:00:00Z", Value::text(list), None).await;
    assert_eq!(shown().await["value"], list);
}
