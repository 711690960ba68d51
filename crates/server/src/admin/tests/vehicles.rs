//! Vehicles are added and shown.

use cardata_domain::ledger::Act;
use serde_json::{Value, json};

use super::{done, get, lines, newest, refuse};
use crate::test_platform::{Person, World, vehicle};

const VIN: &str = "WBY00000000000001";

#[tokio::test]
async fn a_vehicle_is_added_with_what_is_known_of_it() {
    let world = World::new().await;
    let body = json!({"vin": VIN, "drivetrain": "BEV"});
    let least = done(&world, "POST", "/vehicles", body.clone(), 201).await;
    let known = json!({"vin": VIN, "drivetrain": "BEV", "brand": "BMW", "model_name": "BEV"});
    assert_eq!(least, known);
    assert_eq!(newest(&world, Act::VehicleAdded).await.detail["vin"], VIN);
    refuse(&world, "POST", "/vehicles", body, 409, "`vin`").await;

    let body = json!({
        "vin": "WBY00000000000002", "drivetrain": "PHEV", "brand": "MINI", "model_name": "Countryman",
        "number_of_doors": 5, "constructed_at": "2025-10-01", "battery_ah": 26.1, "country_code": "AT",
    });
    let more = done(&world, "POST", "/vehicles", body, 201).await;
    assert_eq!(more["constructed_at"], "2025-10-01T00:00:00Z");
    assert_eq!((&more["number_of_doors"], &more["battery_ah"]), (&json!(5), &json!("26.1")));
}

#[tokio::test]
async fn what_is_wrong_with_a_new_vehicle_is_told() {
    let world = World::new().await;
    for (body, word) in [
        (json!({"drivetrain": "BEV"}), "`vin`"),
        (json!({"vin": "WBY", "drivetrain": "BEV"}), "`vin`"),
        (json!({"vin": VIN}), "`drivetrain`"),
        (json!({"vin": VIN, "drivetrain": "steam"}), "`drivetrain`"),
        (json!({"vin": VIN, "drivetrain": "BEV", "brand": "Opel"}), "`brand`"),
        (json!({"vin": VIN, "drivetrain": "BEV", "number_of_doors": true}), "`number_of_doors`"),
        (json!({"vin": VIN, "drivetrain": "BEV", "doors": 4}), "`doors`"),
    ] {
        refuse(&world, "POST", "/vehicles", body, 400, word).await;
    }
    assert_eq!(lines(&world).await, 0);
}

#[tokio::test]
async fn a_vehicle_is_shown_with_whose_it_is_and_never_with_where_it_is() {
    let world = World::new().await;
    for vin in [VIN, "WBY00000000000002"] {
        world.platform.directory.put_vehicle(&vehicle(vin)).await.unwrap();
    }
    let link = json!({"email": Person::Anna.email(), "vin": VIN, "type": "PRIMARY"});
    done(&world, "PUT", "/mappings", link, 201).await;
    let shown = get(&world, &format!("/vehicles/{VIN}")).await;
    let links = &shown["mappings"];
    assert_eq!(links[0]["gcid"], Person::Anna.gcid().to_string());
    assert_eq!((&links[0]["type"], links.as_array().unwrap().len()), (&json!("PRIMARY"), 1));
    assert!(!shown.to_string().contains("latitude"));
    let page = get(&world, &format!("/vehicles?limit=1&after={VIN}")).await;
    assert_eq!(page["vehicles"][0]["vin"], "WBY00000000000002");
    assert_eq!(get(&world, "/vehicles").await["next"], Value::Null);
    refuse(&world, "GET", "/vehicles/WBY00000000000009", Value::Null, 404, "no vehicle").await;
    refuse(&world, "GET", "/vehicles/WBY", Value::Null, 400, "`vin`").await;
}
