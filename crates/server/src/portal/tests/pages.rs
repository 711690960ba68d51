//! What each page shows and does.

use std::io::Read as _;

use axum::body::Body;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_DISPOSITION, IF_NONE_MATCH};
use cardata_domain::ledger::{Act, Record};
use cardata_domain::privacy::{LATITUDE, LONGITUDE};
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{ClientId, Entry, Event, Value, Vin};
use cardata_store::directory::LedgerQuery;
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::gcdm::verify;
use crate::profile::Profile;

const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
const VIN: &str = "WBY00000000000001";

/// Anna's car, of which Ben is a further driver, and a report of it.
async fn with_car(world: &World) -> Vin {
    let directory = &world.platform.directory;
    let vehicle = crate::test_platform::vehicle(VIN);
    directory.put_vehicle(&vehicle).await.unwrap();
    for (person, mapping_type) in
        [(Person::Anna, MappingType::Primary), (Person::Ben, MappingType::Secondary)]
    {
        let mapping = Mapping { gcid: person.gcid(), vin: vehicle.vin, mapping_type, since: START };
        directory.put_mapping(&mapping).await.unwrap();
    }
    report(world, &[(SOC, "67"), (LATITUDE, "48.177012"), (LONGITUDE, "11.559123")]).await;
    vehicle.vin
}

async fn report(world: &World, values: &[(&str, &str)]) {
    let platform = &world.platform;
    let now = platform.clock.now();
    let entries = values.iter().map(|(name, digits)| {
        let id = platform.catalogue.intern(name).unwrap();
        let value = Value::Number((*digits).into());
        Entry::new(&platform.catalogue, id, now, value, None)
    });
    let event = Event::new(VIN.parse().unwrap(), now, entries.collect()).unwrap();
    platform.journal.append(vec![event], now).await.unwrap();
}

/// The acts of a customer, the newest first.
async fn acts(world: &World, person: Person) -> Vec<Record> {
    let query = LedgerQuery { gcid: Some(person.gcid()), limit: 100, ..Default::default() };
    let lines = world.platform.directory.ledger(query).await.unwrap();
    lines.into_iter().map(|(_, record)| record).collect()
}

pub(super) async fn detail(world: &World, act: Act) -> serde_json::Map<String, serde_json::Value> {
    let all = acts(world, Person::Anna).await;
    all.into_iter().find(|record| record.act == act).unwrap_or_else(|| panic!("no {act:?}")).detail
}

async fn view(world: &World, client_id: ClientId) -> usize {
    let view = world.platform.entitlements.view(Person::Anna.gcid(), client_id).await.unwrap();
    view.entitled.len()
}

#[tokio::test]
async fn who_is_not_logged_in_gets_to_the_page_after_the_log_in() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    for path in ["/vehicles", "/clients", "/sharing", "/activity?before=7", "/account", "/zones"] {
        let answer = browser.open(path).await;
        assert_eq!(answer.status.as_u16(), 303);
        let target = answer.headers[LOCATION].to_str().unwrap().to_owned();
        assert!(target.starts_with("/login?next="), "{target}");
        let form = browser.open(&target).await;
        assert_eq!(hidden(&form.body, "next").unwrap(), path);
    }
    let next = hidden(&browser.page, "next").unwrap();
    let fields = [("email", Person::Anna.email()), ("password", PASSWORD), ("next", &next)];
    let answer = browser.post("/login", &fields).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[LOCATION]),
        (303, &"/zones".parse().unwrap())
    );
    assert_eq!(browser.open("/zones").await.status.as_u16(), 200);
    // The form's answer is a redirect, also when the form came too late.
    let answer = browser.post("/logout", &[]).await;
    assert_eq!(answer.headers[LOCATION], "/login");
    assert_eq!(browser.post("/clients", &[("name", "x")]).await.headers[LOCATION], "/login");
}

#[tokio::test]
async fn every_page_speaks_the_language_that_was_chosen() {
    let world = World::new().await;
    with_car(&world).await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let client = Person::Anna.client_id();
    let paths = [
        "/vehicles".to_owned(),
        format!("/vehicles/{VIN}"),
        "/clients".to_owned(),
        format!("/clients/{client}/stream"),
        format!("/clients/{client}/places"),
        format!("/clients/{client}/delete"),
        "/faults".to_owned(),
        "/zones".to_owned(),
        "/sharing".to_owned(),
        "/activity".to_owned(),
        "/account".to_owned(),
        "/account/delete".to_owned(),
        "/oneid/link".to_owned(),
    ];
    for path in &paths {
        for (asked, lang, other) in [("en", "en", "de"), ("de-AT, en;q=0.5", "de", "en")] {
            let request = Request::get(path.as_str()).header(ACCEPT_LANGUAGE, asked);
            let answer = browser.send(request, String::new()).await;
            assert_eq!(answer.status.as_u16(), 200, "{path}");
            assert!(answer.body.contains(&format!("<html lang=\"{lang}\">")), "{path} {asked}");
            assert!(answer.body.contains(&format!("/language/{other}?next=")), "{path}");
        }
    }
    let answer = browser.open("/language/de?next=/clients").await;
    assert_eq!(answer.headers[LOCATION], "/clients");
    assert!(answer.headers[SET_COOKIE].to_str().unwrap().starts_with("cardata-language=de;"));
    assert_eq!(browser.open("/language/fr").await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_vehicle_is_shown_to_its_main_user_with_values_that_move() {
    let world = World::new().await;
    with_car(&world).await;
    let mut anna = Browser::logged_in(&world, Person::Anna).await;
    let list = anna.open("/vehicles").await.body;
    assert!(
        list.contains("i5 xDrive40") && list.contains("67 %") && list.contains("just now"),
        "{list}"
    );
    let page = anna.open(&format!("/vehicles/{VIN}")).await.body;
    assert!(page.contains("48.177012") && page.contains("<polyline"), "{page}");

    let live = format!("/vehicles/{VIN}/live");
    let first = anna.open(&live).await;
    let tag = first.headers[ETAG].clone();
    let again = anna.send(Request::get(live.as_str()).header(IF_NONE_MATCH, &tag), String::new());
    assert_eq!(again.await.status.as_u16(), 304);
    report(&world, &[(SOC, "66")]).await;
    let moved = anna.send(Request::get(live.as_str()).header(IF_NONE_MATCH, &tag), String::new());
    assert!(moved.await.body.contains("66"));

    let mut ben = Browser::logged_in(&world, Person::Ben).await;
    let page = ben.open(&format!("/vehicles/{VIN}")).await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(!page.body.contains("48.17") && page.body.contains("Only the main user"));
    assert!(!ben.open("/vehicles").await.body.contains("67 %"));
    assert_eq!(ben.open(&live).await.status.as_u16(), 404);
    for unknown in ["WBY00000000000009", "short", "%2e%2e"] {
        assert_eq!(anna.open(&format!("/vehicles/{unknown}")).await.status.as_u16(), 404);
    }
}

#[tokio::test]
async fn a_client_is_made_renamed_and_deleted_and_what_is_wrong_is_said() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let answer = browser.post("/clients", &[("name", " "), ("api", "1")]).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert!(answer.body.contains("1 to 100 characters"));
    let answer = browser.post("/clients", &[("name", "evcc"), ("stream", "1")]).await;
    assert_eq!(answer.status.as_u16(), 201);
    let directory = &world.platform.directory;
    let all = directory.clients_of(Person::Anna.gcid()).await.unwrap();
    let client = all.iter().find(|client| client.name == "evcc").unwrap();
    assert!(client.services.stream && !client.services.api);
    assert!(answer.body.contains(&client.id.to_string()));

    let path = format!("/clients/{}", client.id);
    let fields = [("name", "evcc at home"), ("api", "1"), ("stream", "1")];
    assert!(browser.post(&path, &fields).await.body.contains("evcc at home"));
    let tokens = world.log_in(client.id, Person::Anna, SCOPES).await;
    assert!(verify::access_token(&world.platform, &tokens.access_token).await.is_ok());
    // The stream goes, and with it the access that was given for it.
    browser.post(&path, &[("name", "evcc at home"), ("api", "1")]).await;
    assert!(verify::access_token(&world.platform, &tokens.access_token).await.is_err());

    assert!(browser.open(&format!("{path}/delete")).await.body.contains("Delete evcc at home?"));
    let answer = browser.post(&format!("{path}/delete"), &[]).await;
    assert!(answer.body.contains("The client was deleted"));
    for path in [path.clone(), format!("{path}/delete")] {
        assert_eq!(browser.post(&path, &fields).await.status.as_u16(), 404);
    }
    let told: Vec<_> = acts(&world, Person::Anna).await.iter().map(|record| record.act).collect();
    for act in [
        Act::ClientCreated,
        Act::ClientRenamed,
        Act::ServicesChanged,
        Act::ConsentEnded,
        Act::ClientDeleted,
    ] {
        assert!(told.contains(&act), "{act:?} in {told:?}");
    }
}

#[tokio::test]
async fn no_more_clients_are_made_than_an_account_may_have() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    for number in 1..20 {
        let name = format!("client {number}");
        assert_eq!(browser.post("/clients", &[("name", &name)]).await.status.as_u16(), 201);
    }
    assert_eq!(browser.post("/clients", &[("name", "one more")]).await.status.as_u16(), 422);
}

#[tokio::test]
async fn what_a_client_is_sent_is_chosen_in_steps_and_changes_only_when_saved() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let path = format!("/clients/{client}/stream");
    let page = browser.open(&path).await.body;
    assert!(page.contains("245 shown, 0 ticked in all"), "{page}");

    // A search keeps what was ticked and is not shown.
    let fields = [("action", "filter"), ("search", "tyre"), ("d", SOC)];
    let page = browser.post(&path, &fields).await.body;
    assert!(page.contains(&format!(r#"<input type="hidden" name="d" value="{SOC}">"#)));
    assert!(page.contains("1 ticked in all") && !page.contains("245 shown"));
    let fields = [("action", "select"), ("category", "TYRE_DATA"), ("d", SOC)];
    assert!(browser.post(&path, &fields).await.body.contains("12 shown, 13 ticked in all"));
    let fields = [("action", "filter"), ("drivetrain", "ICE")];
    assert!(!browser.post(&path, &fields).await.body.contains("245 shown"));
    let page = browser.post(&path, &[("action", "template-charging"), ("d", LATITUDE)]).await.body;
    assert!(page.contains("95 ticked in all"), "the template takes the place of what was there");
    assert_eq!(view(&world, client).await, 0, "nothing is stored yet");

    let page = browser.post(&path, &[("action", "review"), ("d", SOC)]).await.body;
    assert!(page.contains("1 more will be sent") && !page.contains("sent no longer"), "{page}");
    assert_eq!(view(&world, client).await, 0);
    let cell = world.platform.entitlements.cell(Person::Anna.gcid(), client).await.unwrap();
    let page = browser.post(&path, &[("action", "save"), ("d", SOC)]).await.body;
    assert!(page.contains("Open streams follow already"));
    assert_eq!(cell.load().entitled.len(), 1);
    let page = browser.post(&path, &[("action", "review"), ("d", LATITUDE)]).await.body;
    assert!(page.contains("1 more will be sent") && page.contains("1 will be sent no longer"));
    browser.post(&path, &[("action", "save")]).await;
    assert_eq!(cell.load().entitled.len(), 0);
    let line = detail(&world, Act::StreamConfigured).await;
    assert_eq!((&line["removed"], &line["added"]), (&json!([SOC]), &json!([])));
    assert!(line["took_ms"].is_u64());

    for (action, name) in
        [("save", "no descriptor"), ("save", "vehicle.learningNavigation"), ("dance", SOC)]
    {
        let answer = browser.post(&path, &[("action", action), ("d", name)]).await;
        assert_eq!(answer.status.as_u16(), 400, "{action} {name}");
    }
}

#[tokio::test]
async fn places_are_as_exact_for_a_client_as_the_customer_allows_also_over_rest() {
    let world = World::new().await;
    with_car(&world).await;
    let client = Person::Anna.client_id();
    let tokens = world.log_in(client, Person::Anna, SCOPES).await;
    let wanted =
        json!({"name": "n", "purpose": "p", "technicalDescriptors": [LATITUDE, LONGITUDE, SOC]});
    let made = world
        .call("POST", "/customers/containers", &tokens.access_token, wanted.to_string())
        .await
        .json();
    let read = format!(
        "/customers/vehicles/{VIN}/telematicData?containerId={}",
        made["containerId"].as_str().unwrap()
    );
    let seen = async || {
        let data = world.get(&read, &tokens.access_token).await.json();
        [LATITUDE, LONGITUDE, SOC].map(|name| data["telematicData"][name]["value"].clone())
    };
    assert_eq!(seen().await, [json!("48.177012"), json!("11.559123"), json!("67")]);

    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let path = format!("/clients/{client}/places");
    browser.open(&path).await;
    assert_eq!(browser.post(&path, &[("precision", "KILOMETRE")]).await.status.as_u16(), 303);
    let [latitude, longitude, soc] = seen().await;
    assert!(
        latitude != "48.177012" && latitude.as_str().unwrap().starts_with("48.1"),
        "{latitude}"
    );
    assert!(longitude.as_str().unwrap().starts_with("11.5"), "{longitude}");
    assert_eq!(soc, "67");

    browser.post(&path, &[("precision", "EXACT"), ("hides_zones", "1")]).await;
    assert_eq!(seen().await[0], "48.177012");
    browser.open("/zones").await;
    for (name, latitude, longitude, radius, word) in [
        ("", "48.1", "11.5", "300", "1 to 60 characters"),
        ("home", "ninety", "11.5", "300", "latitude"),
        ("home", "48.1", "181", "300", "longitude"),
        ("home", "48.1", "11.5", "0", "50 to 50000"),
    ] {
        let fields =
            [("name", name), ("latitude", latitude), ("longitude", longitude), ("radius", radius)];
        let answer = browser.post("/zones", &fields).await;
        assert_eq!(answer.status.as_u16(), 422);
        assert!(answer.body.contains(word), "{word}");
        assert!(answer.body.contains(&format!(r#"value="{latitude}""#)), "what was typed stays");
    }
    // A comma is what Germans type.
    let fields =
        [("name", "home"), ("latitude", "48,177"), ("longitude", "11,559"), ("radius", "300")];
    assert_eq!(browser.post("/zones", &fields).await.status.as_u16(), 303);
    assert_eq!(seen().await, [json!(null), json!(null), json!("67")]);
    let zone = world.platform.directory.zones(Person::Anna.gcid()).await.unwrap()[0].clone();
    browser.open("/zones").await;
    browser.post(&format!("/zones/{}/remove", zone.id), &[]).await;
    assert_eq!(seen().await[0], "48.177012");
    assert!(detail(&world, Act::PrivacyChanged).await["hides_zones"].as_bool().unwrap());
    assert_eq!(browser.post(&path, &[("precision", "SOMEWHERE")]).await.status.as_u16(), 400);
}

#[tokio::test]
async fn who_sees_what_is_shown_and_ended() {
    let world = World::new().await;
    let tokens = world.log_in(third_party(), Person::Anna, SCOPES).await;
    let wanted = json!({"name": "fleet box", "purpose": "to count", "technicalDescriptors": [SOC]});
    let body = wanted.to_string();
    let made = world.call("POST", "/customers/containers", &tokens.access_token, body).await.json();
    let container = made["containerId"].as_str().unwrap().to_owned();
    let vin = VIN.parse().unwrap();
    world.platform.tally.sent(Person::Anna.gcid(), third_party(), vin, 1, START);
    world.platform.tally.flush(&*world.platform.directory).await.unwrap();

    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let page = browser.open("/sharing").await.body;
    for part in [
        "Fleet Insight",
        "keeps an eye on fleets",
        "fleet box",
        "to count",
        "1 (stream)",
        "until",
        "exact",
    ] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part} in {page}");
    }
    let page = browser.post(&format!("/sharing/containers/{container}/revoke"), &[]).await.body;
    assert!(page.contains("The container ended") && !page.contains("fleet box"));
    let page = browser.post(&format!("/sharing/{}/revoke", third_party()), &[]).await.body;
    assert!(page.contains("Access ended in") && page.contains("Nobody gets data"), "{page}");
    assert_eq!(world.get("/customers/containers", &tokens.access_token).await.status.as_u16(), 401);
    for again in [
        format!("/sharing/containers/{container}/revoke"),
        format!("/sharing/{}/revoke", third_party()),
    ] {
        assert_eq!(browser.post(&again, &[]).await.status.as_u16(), 404, "{again}");
    }
    let line = detail(&world, Act::ConsentEnded).await;
    assert_eq!(line["why"], "CUSTOMER");
    let granted = detail(&world, Act::ConsentGranted).await;
    assert_eq!(granted["purpose"], "Fleet Insight: keeps an eye on fleets");
}

#[tokio::test]
async fn access_can_be_given_for_a_time_and_ends_with_it() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let (device_code, user_code) = world.start_login(third_party(), SCOPES).await;
    browser.open("/oneid/link").await;
    let wrong = browser.press("approve", &[("user_code", &user_code), ("lasts", "for ever")]).await;
    assert_eq!(wrong.status.as_u16(), 400);
    let done = browser.press("approve", &[("user_code", &user_code), ("lasts", "day")]).await;
    assert!(done.body.contains("Access allowed"), "{}", done.body);
    let tokens = world.poll(third_party(), &device_code).await.tokens();
    assert!(browser.open("/sharing").await.body.contains("Until"));
    world.pass(24 * 3600);
    let form = [
        ("client_id", &*third_party().to_string()),
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh_token),
    ];
    let refused = world.post_form("/gcdm/oauth/token", &form).await;
    assert_eq!(refused.oauth_error(), (400, "invalid_grant".to_owned()));
    assert_eq!(world.get("/customers/containers", &tokens.access_token).await.status.as_u16(), 401);
}

#[tokio::test]
async fn what_happened_is_told_page_by_page() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let line = |number: i64| {
        let at = START + SignedDuration::from_secs(number);
        let record = Record::new(at, cardata_domain::ledger::Actor::Customer, Act::ZoneAdded);
        record.of(Person::Anna.gcid()).with("name", format!("zone {number}"))
    };
    let records: Vec<_> = (0..60).map(line).collect();
    world.platform.directory.append_to_ledger(&records).await.unwrap();
    let foreign = line(99).of(Person::Ben.gcid());
    world.platform.directory.append_to_ledger(&[foreign]).await.unwrap();
    let page = browser.open("/activity").await.body;
    assert!(page.contains("zone 59") && page.contains("zone 10") && !page.contains("zone 9<"));
    assert!(!page.contains("zone 99"), "another customer's");
    let (_, rest) = page.split_once("/activity?before=").unwrap();
    let before = rest.split('"').next().unwrap();
    let page = browser.open(&format!("/activity?before={before}")).await.body;
    assert!(page.contains("zone 9<") && page.contains("zone 0<") && !page.contains("?before="));
    assert_eq!(browser.open("/activity?before=x").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_new_password_logs_other_browsers_out_and_ends_access_unless_it_is_kept() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let mut other = Browser::logged_in(&world, Person::Anna).await;
    let fresh = "a longer pass phrase";
    for (current, new, repeat, word) in [
        ("wrong", fresh, fresh, "current password is wrong"),
        (PASSWORD, "short", "short", "12 to 200"),
        (PASSWORD, fresh, "another pass phrase", "differ"),
    ] {
        let fields = [("password", current), ("new_password", new), ("repeat_password", repeat)];
        let answer = browser.post("/account/password", &fields).await;
        assert_eq!(answer.status.as_u16(), 422);
        assert!(answer.body.contains(word), "{word}");
    }
    let kept = world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    let fields = [
        ("password", PASSWORD),
        ("new_password", fresh),
        ("repeat_password", fresh),
        ("keep_clients", "1"),
    ];
    assert!(browser.post("/account/password", &fields).await.body.contains("was changed"));
    assert_eq!(
        other.open("/account").await.status.as_u16(),
        303,
        "the other browser is logged out"
    );
    assert!(verify::access_token(&world.platform, &kept.access_token).await.is_ok());

    let fields = [("password", fresh), ("new_password", PASSWORD), ("repeat_password", PASSWORD)];
    assert!(browser.post("/account/password", &fields).await.body.contains("was changed"));
    assert!(verify::access_token(&world.platform, &kept.access_token).await.is_err());
    assert_eq!(detail(&world, Act::PasswordChanged).await["consents_ended"], 1);
}

#[tokio::test]
async fn the_export_has_everything_of_the_customer_and_nothing_of_others() {
    let world = World::new().await;
    with_car(&world).await;
    world.pass(60);
    report(&world, &[("vehicle.powertrain.electric.battery.charging.power", "11000")]).await;
    crate::charging::search(world.platform.clone()).await;
    world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    let browser = Browser::logged_in(&world, Person::Anna).await;
    let request =
        Request::get("/account/export.zip").header(COOKIE, browser.cookie.clone().unwrap());
    let response = world.respond(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/zip");
    assert!(response.headers()[CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = |name: &str| {
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        assert!(
            !text.contains(Person::Ben.email()) && !text.contains(&Person::Ben.gcid().to_string())
        );
        assert!(!text.contains("argon2"), "no password, not even hashed");
        text
    };
    let mut json = |name: &str| -> serde_json::Value { serde_json::from_str(&text(name)).unwrap() };
    assert_eq!(json("account.json")["email"], Person::Anna.email());
    assert_eq!(json("vehicles.json")[0]["vin"], VIN);
    assert_eq!(json("consents.json")[0]["scopes"], SCOPES);
    assert_eq!(json("clients.json").as_array().unwrap().len(), 1);
    assert_eq!(json("choices.json")["zones"], json!([]));
    assert!(!json("activity.json").as_array().unwrap().is_empty());
    json("deliveries.json");
    assert_eq!(json(&format!("vehicles/{VIN}/latest.json"))[SOC]["value"], 67);
    let events = text(&format!("vehicles/{VIN}/events.jsonl"));
    assert_eq!(events.lines().count(), 2);
    assert!(events.contains("48.177012"));
    let charges = text(&format!("vehicles/{VIN}/charging.jsonl"));
    let charge: serde_json::Value = serde_json::from_str(&charges).unwrap();
    assert_eq!(charge["startTime"], START.as_second() + 60);
    assert_eq!(charge["chargingLocation"]["mapMatchedLatitude"], 48.177_012);

    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let record = browser.open("/account/consents.json").await.json();
    let acts: Vec<_> = record.as_array().unwrap().iter().map(|line| line["act"].clone()).collect();
    assert_eq!(acts, ["CONSENT_GRANTED"], "log-ins are no consents");
}

#[tokio::test]
async fn a_clients_page_says_how_often_it_asked_today_and_how_often_it_may() {
    for (profile, words) in [
        (Profile::open(), "REST requests today: 2 of 5000."),
        (Profile::bmw(), "REST requests today, of all your clients together: 2 of 50."),
    ] {
        let world = World::with(profile, None).await;
        let tokens = world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
        for _ in 0..2 {
            world.get("/customers/vehicles/mappings", &tokens.access_token).await;
        }
        let mut browser = Browser::logged_in(&world, Person::Anna).await;
        let page = browser.open("/clients").await.body;
        assert!(page.contains(words), "{page}");
        let mut browser = Browser::logged_in(&world, Person::Ben).await;
        assert!(!browser.open("/clients").await.body.contains(words));
    }
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_everything() {
    let world = World::new().await;
    let vin = with_car(&world).await;
    let tokens = world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    browser.open("/account/delete").await;
    let answer = browser.post("/account/delete", &[("password", "wrong")]).await;
    assert_eq!(answer.status.as_u16(), 422);
    let directory = &world.platform.directory;
    assert!(directory.customer(Person::Anna.gcid()).await.unwrap().is_some());

    let answer = browser.post("/account/delete", &[("password", PASSWORD)]).await;
    assert!(answer.body.contains("Everything is deleted"), "{}", answer.body);
    assert!(directory.customer(Person::Anna.gcid()).await.unwrap().is_none());
    assert!(directory.client(Person::Anna.client_id()).await.unwrap().is_none());
    assert!(world.platform.journal.latest(vin).await.unwrap().is_empty());
    assert!(
        world.platform.journal.read(vin, cardata_domain::Sequence(0), 10).await.unwrap().is_empty()
    );
    assert!(verify::access_token(&world.platform, &tokens.access_token).await.is_err());
    assert_eq!(browser.open("/account").await.status.as_u16(), 303);
    let mut again = Browser::new(&world);
    again.open("/login").await;
    let fields = [("email", Person::Anna.email()), ("password", PASSWORD)];
    assert_eq!(again.post("/login", &fields).await.status.as_u16(), 403);
    Browser::logged_in(&world, Person::Ben).await;
}

#[tokio::test]
async fn a_newcomer_is_led_from_the_account_to_the_first_message() {
    let world = World::new().await;
    with_car(&world).await;
    let next = |page: &str| {
        let (before, _) = page.split_once("tag next")?;
        Some(before.rsplit_once("<li>")?.1.split('>').nth(1)?.split('<').next()?.to_owned())
    };
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let client = Person::Anna.client_id();
    let page = browser.open("/vehicles").await.body;
    assert!(next(&page).unwrap().contains("allow the access"), "a client is there already: {page}");
    world.log_in(client, Person::Anna, SCOPES).await;
    assert!(next(&browser.open("/vehicles").await.body).unwrap().contains("Choose which values"));
    let path = format!("/clients/{client}/stream");
    browser.post(&path, &[("action", "save"), ("d", SOC)]).await;
    assert!(next(&browser.open("/vehicles").await.body).unwrap().contains("connect to the stream"));
    let vin = VIN.parse().unwrap();
    world.platform.tally.sent(Person::Anna.gcid(), client, vin, 1, START);
    world.platform.tally.flush(&*world.platform.directory).await.unwrap();
    assert_eq!(next(&browser.open("/vehicles").await.body), None, "the way is gone");
}
