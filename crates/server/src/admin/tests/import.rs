//! Sheets are checked whole, and then added whole.

use cardata_domain::ledger::Act;
use cardata_domain::vehicle::MappingType;
use serde_json::{Value, json};

use super::{call, done, lines, newest, password_fits, refuse};
use crate::test_platform::{Person, World, vehicle};

fn sheet(kind: &str, csv: &str, dry_run: bool) -> Value {
    json!({"kind": kind, "csv": csv, "dry_run": dry_run})
}

/// The counts of an answer: added, changed, unchanged, wrong.
fn counts(answer: &Value) -> [u64; 4] {
    ["added", "changed", "unchanged", "wrong"].map(|name| answer[name].as_u64().unwrap())
}

/// Line, column of each wrong line.
fn errors(answer: &Value) -> Vec<(u64, &str)> {
    let errors = answer["errors"].as_array().unwrap().iter();
    let place = |wrong: &Value| wrong["line"].as_u64().unwrap();
    errors
        .map(|wrong| {
            assert!(!wrong["reason"].as_str().unwrap().is_empty());
            (place(wrong), wrong["column"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn customers_are_tried_then_added_then_left_as_they_are() {
    let world = World::new().await;
    let csv = "email,password\ncarla@example.com,carla likes trains\ndora@example.com,\nANNA@example.com,\n";
    let tried = done(&world, "POST", "/import", sheet("customers", csv, true), 200).await;
    assert_eq!((counts(&tried), &tried["dry_run"]), ([2, 0, 1, 0], &json!(true)));
    assert_eq!(
        tried["outcomes"][2],
        json!({"line": 4, "key": "ANNA@example.com", "outcome": "unchanged"})
    );
    assert_eq!((lines(&world).await, &tried["passwords"]), (0, &json!([])));

    let added = done(&world, "POST", "/import", sheet("customers", csv, false), 200).await;
    assert_eq!(counts(&added), [2, 0, 1, 0]);
    let passwords = added["passwords"].as_array().unwrap();
    assert_eq!((passwords.len(), &passwords[0]["email"]), (1, &json!("dora@example.com")));
    newest(&world, Act::CustomerAdded).await;
    for (email, password) in [
        ("carla@example.com", "carla likes trains"),
        ("dora@example.com", passwords[0]["password"].as_str().unwrap()),
    ] {
        assert!(password_fits(&world, email, password).await);
    }
    let before = lines(&world).await;
    let again = done(&world, "POST", "/import", sheet("customers", csv, false), 200).await;
    assert_eq!((counts(&again), lines(&world).await), ([0, 0, 3, 0], before));
}

#[tokio::test]
async fn one_wrong_line_keeps_the_whole_sheet_out() {
    let world = World::new().await;
    let csv = "email,password,gcid\n\
        carla@example.com,,\n\
        nobody,,\n\
        dora@example.com,short,\n\
        CARLA@example.com,,\n\
        emil@example.com,,x\n\
        anna@example.com,,dd111192-d570-4d3d-8835-656ee00edcd7\n\
        fred@example.com,,aa111192-d570-4d3d-8835-656ee00edcd7\n\
        ,,\n\
        gerd@example.com\n";
    let tried = done(&world, "POST", "/import", sheet("customers", csv, true), 200).await;
    let wrong = [
        (3, "email"),
        (4, "password"),
        (5, "email"),
        (6, "gcid"),
        (7, "gcid"),
        (8, "gcid"),
        (9, "email"),
        (10, ""),
    ];
    assert_eq!((counts(&tried), errors(&tried)), ([1, 0, 0, 8], wrong.to_vec()));
    let refused = call(&world, "POST", "/import", sheet("customers", csv, false)).await;
    assert_eq!(super::refused(&refused), 422);
    assert_eq!(errors(&refused.json()), wrong);
    assert_eq!(
        (lines(&world).await, world.platform.directory.customers().await.unwrap().len()),
        (0, 2)
    );
}

#[tokio::test]
async fn vehicles_are_added_and_changed_where_cells_are_filled_in() {
    let world = World::new().await;
    let directory = &world.platform.directory;
    for number in [1, 2] {
        directory.put_vehicle(&vehicle(&format!("WBY0000000000000{number}"))).await.unwrap();
    }
    let csv = "vin;drivetrain;model_name;number_of_doors\n\
        WBY00000000000001;;;\n\
        WBY00000000000002;BEV;i4;5\n\
        WBY00000000000003;ICE;;\n";
    let added = done(&world, "POST", "/import", sheet("vehicles", csv, false), 200).await;
    assert_eq!(counts(&added), [1, 1, 1, 0]);
    let changed = directory.vehicle("WBY00000000000002".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((&*changed.build.model_name, changed.build.number_of_doors), ("i4", 5));
    assert_eq!(changed.build.colour_code, "475");
    assert_eq!(newest(&world, Act::VehicleAdded).await.detail["vin"], "WBY00000000000003");
    let again = done(&world, "POST", "/import", sheet("vehicles", csv, false), 200).await;
    assert_eq!(counts(&again), [0, 0, 3, 0]);

    let csv = "vin,drivetrain,brand\nWBY,BEV,\nWBY00000000000004,,\nWBY00000000000005,steam,\n\
        WBY00000000000006,BEV,Opel\nWBY00000000000001,,\nWBY00000000000001,,\n";
    let tried = done(&world, "POST", "/import", sheet("vehicles", csv, true), 200).await;
    let wrong = [(2, "vin"), (3, "drivetrain"), (4, "drivetrain"), (5, "brand"), (7, "vin")];
    assert_eq!(errors(&tried), wrong);
}

#[tokio::test]
async fn mappings_are_added_and_none_is_ended() {
    let world = World::new().await;
    let directory = &world.platform.directory;
    for number in 1..=3 {
        directory.put_vehicle(&vehicle(&format!("WBY0000000000000{number}"))).await.unwrap();
    }
    let csv = "email,vin,type\n\
        anna@example.com,WBY00000000000001,PRIMARY\n\
        ben@example.com,WBY00000000000001,SECONDARY\n\
        Ben@example.com,WBY00000000000002,PRIMARY\n";
    let added = done(&world, "POST", "/import", sheet("mappings", csv, false), 200).await;
    assert_eq!(counts(&added), [3, 0, 0, 0]);
    let links = directory.mappings(Person::Ben.gcid()).await.unwrap();
    assert_eq!(links.len(), 2);
    let again = done(&world, "POST", "/import", sheet("mappings", csv, false), 200).await;
    assert_eq!(counts(&again), [0, 0, 3, 0]);

    let csv = "gcid,email,vin,type\n\
        ,ben@example.com,WBY00000000000001,PRIMARY\n\
        ,anna@example.com,WBY00000000000001,SECONDARY\n\
        ,anna@example.com,WBY00000000000003,PRIMARY\n\
        ,ben@example.com,WBY00000000000003,PRIMARY\n\
        ,anna@example.com,WBY00000000000003,PRIMARY\n\
        ,nobody@example.com,WBY00000000000003,PRIMARY\n\
        x,,WBY00000000000003,SECONDARY\n\
        ,,WBY00000000000003,SECONDARY\n\
        ,ben@example.com,WBY00000000000009,SECONDARY\n\
        ,ben@example.com,WBY00000000000002,OWNER\n";
    let tried = done(&world, "POST", "/import", sheet("mappings", csv, true), 200).await;
    let wrong = [
        (2, "type"),
        (3, "type"),
        (5, "type"),
        (6, "vin"),
        (7, "email"),
        (8, "gcid"),
        (9, "email"),
        (10, "vin"),
        (11, "type"),
    ];
    assert_eq!(errors(&tried), wrong);
    let links = directory.mappings(Person::Anna.gcid()).await.unwrap();
    assert_eq!((links.len(), links[0].mapping_type), (1, MappingType::Primary));
}

#[tokio::test]
async fn what_is_no_sheet_is_told() {
    let world = World::new().await;
    let long = format!("email\n{}", "a".repeat(8 << 20));
    for (body, status, word) in [
        (json!({}), 400, "`kind`"),
        (sheet("cars", "", true), 400, "`kind`"),
        (json!({"kind": "customers", "dry_run": true}), 400, "`csv`"),
        (json!({"kind": "customers", "csv": "email\n"}), 400, "`dry_run`"),
        (sheet("customers", "", true), 400, "`csv`"),
        (sheet("customers", "mail\n", true), 400, "`mail`"),
        (sheet("customers", &"email\n".repeat(100_002), true), 400, "100000"),
        (sheet("customers", &long, true), 413, "longer"),
    ] {
        refuse(&world, "POST", "/import", body, status, word).await;
    }
}
