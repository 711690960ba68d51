//! What strangers and other customers try.

use axum::http::header::{REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_FRAME_OPTIONS};
use cardata_domain::container::{ContainerId, ContainerRequest};
use cardata_domain::privacy::{Zone, ZoneId};

use super::*;
use crate::secret;

const SOC: &str = "vehicle.drivetrain.batteryManagement.header";

/// Every form there is, for a client, container and zone.
fn forms(client: &str, container: &str, zone: &str) -> Vec<String> {
    vec![
        "/logout".to_owned(),
        "/clients".to_owned(),
        format!("/clients/{client}"),
        format!("/clients/{client}/delete"),
        format!("/clients/{client}/stream"),
        format!("/clients/{client}/places"),
        "/faults".to_owned(),
        "/faults/1/end".to_owned(),
        "/zones".to_owned(),
        format!("/zones/{zone}/remove"),
        format!("/sharing/{client}/revoke"),
        format!("/sharing/containers/{container}/revoke"),
        "/account/password".to_owned(),
        "/account/delete".to_owned(),
    ]
}

/// A container and a zone of `person`.
async fn belongings(world: &World, person: Person) -> (String, String) {
    let platform = &world.platform;
    let request = ContainerRequest::new("n", "p", &[SOC.to_owned()], &platform.catalogue).unwrap();
    let id = ContainerId::from_random(secret::random());
    let container = request.register(id, person.gcid(), person.client_id(), START);
    let limit = platform.profile.containers.limit(START);
    platform.directory.add_container(&container, limit).await.unwrap();
    let zone = Zone::new(ZoneId::new(secret::uuid()), "home", 48.0, 11.0, 300).unwrap();
    assert!(platform.directory.add_zone(person.gcid(), &zone).await.unwrap());
    (id.as_str().to_owned(), zone.id.to_string())
}

/// Fields that would do something on any of the forms.
const FIELDS: [(&str, &str); 12] = [
    ("kind", "revoke-consent"),
    ("name", "mine now"),
    ("api", "1"),
    ("action", "save"),
    ("d", SOC),
    ("precision", "EXACT"),
    ("latitude", "1"),
    ("longitude", "1"),
    ("radius", "100"),
    ("password", PASSWORD),
    ("new_password", "a longer pass phrase"),
    ("repeat_password", "a longer pass phrase"),
];

/// All that the directory has of a person, as far as forms can change it.
async fn state(world: &World, person: Person) -> String {
    let (directory, gcid) = (&world.platform.directory, person.gcid());
    let customer = directory.customer(gcid).await.unwrap().map(|customer| customer.password_hash);
    let clients = directory.clients_of(gcid).await.unwrap();
    let consents = directory.consents_of(gcid).await.unwrap();
    let containers = directory.containers(gcid, person.client_id()).await.unwrap();
    let ticked = directory.stream_configuration(gcid, person.client_id()).await.unwrap();
    let settings = directory.location_settings(gcid, person.client_id()).await.unwrap();
    let zones = directory.zones(gcid).await.unwrap();
    format!("{customer:?}{clients:?}{consents:?}{containers:?}{ticked:?}{settings:?}{zones:?}")
}

#[tokio::test]
async fn no_form_counts_that_did_not_come_from_a_page_of_ours() {
    let world = World::new().await;
    let anna = Person::Anna;
    let (container, zone) = belongings(&world, anna).await;
    world.log_in(anna.client_id(), anna, SCOPES).await;
    let mut browser = Browser::logged_in(&world, anna).await;
    let mut stranger = Browser::logged_in(&world, Person::Ben).await;
    stranger.open("/account").await;
    let foreign = hidden(&stranger.page, "form_proof").unwrap();
    let before = state(&world, anna).await;
    for path in forms(&anna.client_id().to_string(), &container, &zone) {
        for proof in ["", "0000", foreign.as_str()] {
            let answer = browser.post_with(proof, &path, &FIELDS).await;
            assert_eq!(answer.status.as_u16(), 403, "{path}");
            assert!(answer.body.contains("too old"), "{path}");
        }
        assert_ne!(browser.open(&path).await.status.as_u16(), 303, "still logged in after {path}");
    }
    assert_eq!(state(&world, anna).await, before);
}

#[tokio::test]
async fn what_is_another_customers_is_not_there() {
    let world = World::new().await;
    let (anna, ben) = (Person::Anna, Person::Ben);
    let (container, zone) = belongings(&world, ben).await;
    world.log_in(ben.client_id(), ben, SCOPES).await;
    world.log_in(third_party(), ben, SCOPES).await;
    let mut browser = Browser::logged_in(&world, anna).await;
    let (before, about) = (state(&world, ben).await, ["/clients", "/zones/", "/sharing/"]);
    // Ben's own client, and one to which only Ben consented.
    for client in [ben.client_id(), third_party()] {
        let client = client.to_string();
        let foreign = forms(&client, &container, &zone).into_iter().filter(|path| {
            path != "/clients" && about.iter().any(|prefix| path.starts_with(prefix))
        });
        for path in foreign {
            let answer = browser.post(&path, &FIELDS).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}");
            assert!(!answer.body.contains(ben.email()), "{path}");
            browser.open("/account").await;
        }
        for path in ["stream", "places", "delete"] {
            let path = format!("/clients/{client}/{path}");
            assert_eq!(browser.open(&path).await.status.as_u16(), 404, "{path}");
        }
        browser.open("/account").await;
    }
    for id in ["", "x", "../account", "%00", "00000000-0000-0000-0000-000000000000"] {
        let answer = browser.post(&format!("/sharing/{id}/revoke"), &[]).await;
        assert_eq!(answer.status.as_u16(), 404, "{id:?}");
        browser.open("/account").await;
    }
    assert_eq!(state(&world, ben).await, before);
    for page in ["/vehicles", "/clients", "/sharing", "/activity", "/account", "/zones"] {
        let page = browser.open(page).await.body;
        for secret in [ben.email(), &ben.gcid().to_string(), &container, &zone] {
            assert!(!page.contains(secret));
        }
    }
}

#[tokio::test]
async fn a_cookie_that_was_planted_before_the_log_in_is_worth_nothing_after_it() {
    let world = World::new().await;
    let mut victim = Browser::new(&world);
    victim.open("/login").await;
    let planted = victim.cookie.clone().unwrap();
    let fields = [("email", Person::Anna.email()), ("password", PASSWORD)];
    victim.post("/login", &fields).await;
    assert_ne!(victim.cookie.as_deref(), Some(planted.as_str()));
    let mut thief = Browser::new(&world);
    thief.cookie = Some(planted);
    assert_eq!(thief.open("/account").await.status.as_u16(), 303);
    // And the one that was used is worth nothing after the log-out.
    thief.cookie.clone_from(&victim.cookie);
    victim.open("/account").await;
    victim.post("/logout", &[]).await;
    assert_eq!(thief.open("/account").await.status.as_u16(), 303);
}

#[tokio::test]
async fn no_link_leads_elsewhere() {
    let world = World::new().await;
    let elsewhere = [
        "//evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        "%2F%2Fevil.example",
        "javascript:alert(1)",
    ];
    for next in elsewhere {
        let mut browser = Browser::new(&world);
        browser.open(&format!("/login?next={next}")).await;
        assert_eq!(hidden(&browser.page, "next").unwrap(), "/", "{next}");
        let fields =
            [("email", Person::Anna.email()), ("password", PASSWORD), ("next", "//evil.example")];
        let answer = browser.post("/login", &fields).await;
        assert_eq!(answer.headers[LOCATION], "/");
        let again = browser.open(&format!("/login?next={next}")).await;
        assert_eq!(again.headers[LOCATION], "/", "{next}");
        assert_eq!(browser.open(&format!("/language/en?next={next}")).await.headers[LOCATION], "/");
    }
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for email in [Person::Anna.email(), "nobody@example.com"] {
        let mut browser = Browser::new(&world);
        browser.open("/login").await;
        let answer = browser.post("/login", &[("email", email), ("password", "wrong")]).await;
        let proof = hidden(&answer.body, "form_proof").unwrap();
        answers.push((answer.status, answer.body.replace(&proof, "")));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0.as_u16(), 403);
}

#[tokio::test]
async fn guessing_a_password_is_slow_also_on_the_pages_that_ask_for_it_again() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    for _ in 0..10 {
        let answer = browser.post("/account/delete", &[("password", "guess")]).await;
        assert_eq!(answer.status.as_u16(), 422);
    }
    let answer = browser.post("/account/delete", &[("password", PASSWORD)]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[RETRY_AFTER]),
        (429, &"60".parse().unwrap())
    );
    assert!(world.platform.directory.customer(Person::Anna.gcid()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_form_that_is_too_large_or_no_form_is_refused_in_words() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let large = "x".repeat(200_000);
    let answer = browser.post("/clients", &[("name", &large)]).await;
    assert_eq!(answer.status.as_u16(), 413);
    assert!(answer.body.contains("too large"));
    for (path, status) in [("/clients", 400), ("/login", 400)] {
        let answer = browser.send(Request::post(path), "%ff=%".to_owned()).await;
        assert!([status, 403].contains(&answer.status.as_u16()), "{path}");
    }
    let many: Vec<_> = (0..1_500).map(|number| format!("vehicle.a.b{number}")).collect();
    let mut fields = vec![("action", "save")];
    fields.extend(many.iter().map(|name| ("d", name.as_str())));
    browser.open("/account").await;
    let path = format!("/clients/{}/stream", Person::Anna.client_id());
    assert_eq!(browser.post(&path, &fields).await.status.as_u16(), 400);
}

#[tokio::test]
async fn what_people_and_vehicles_wrote_is_text_on_every_page() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let evil = r#""><script>alert(1)</script><b x='"#;
    browser.post("/clients", &[("name", evil), ("stream", "1")]).await;
    let clients = world.platform.directory.clients_of(Person::Anna.gcid()).await.unwrap();
    let client = clients.iter().find(|client| client.name == evil).unwrap();
    world.log_in(client.id, Person::Anna, "openid cardata:streaming:read").await;
    browser.open("/zones").await;
    let zone = [("name", evil), ("latitude", "1"), ("longitude", "1"), ("radius", "100")];
    browser.post("/zones", &zone).await;
    let id = client.id;
    for path in [
        "/clients".to_owned(),
        format!("/clients/{id}/stream"),
        format!("/clients/{id}/places"),
        format!("/clients/{id}/delete"),
        "/zones".to_owned(),
        "/sharing".to_owned(),
        "/activity".to_owned(),
    ] {
        let page = browser.open(&path).await.body;
        assert!(page.contains("alert(1)"), "{path} shows it");
        assert!(!page.contains("<script>") && !page.contains("<b x"), "{path}");
    }
}

#[tokio::test]
async fn every_answer_is_hardened_also_a_refusal() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    for path in
        ["/", "/login", "/vehicles", "/language/xx", "/portal/script.js", "/clients/x/delete"]
    {
        let answer = browser.open(path).await;
        let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers[X_FRAME_OPTIONS], "DENY", "{path}");
        assert_eq!(answer.headers[REFERRER_POLICY], "no-referrer");
        assert!(
            !answer.headers.contains_key(STRICT_TRANSPORT_SECURITY),
            "localhost is everybody's"
        );
    }
    assert_eq!(browser.send(Request::delete("/account"), String::new()).await.status.as_u16(), 405);
}
