//! `/faults`: a customer's own programs are struck, and nobody else's.

use cardata_domain::ledger::Act;
use serde_json::Value;

use super::Browser;
use super::pages::detail;
use crate::profile::Profile;
use crate::test_platform::{ADMIN_TOKEN, Person, SCOPES, World};

const MAPPINGS: &str = "/customers/vehicles/mappings";

async fn status(world: &World, token: &str) -> u16 {
    world.get(MAPPINGS, token).await.status.as_u16()
}

#[tokio::test]
async fn a_fault_is_begun_seen_and_ended_and_strikes_the_customers_own_programs_alone() {
    let world = World::new().await;
    let (anna, ben) = (Person::Anna, Person::Ben);
    let annas = world.log_in(anna.client_id(), anna, SCOPES).await.access_token;
    let bens = world.log_in(ben.client_id(), ben, SCOPES).await.access_token;
    let mut browser = Browser::logged_in(&world, anna).await;
    assert!(browser.open("/clients").await.body.contains("href=\"/faults\""));
    browser.open("/faults").await;
    let fields = [("kind", "http-error"), ("value", "503"), ("probability", "1,0"), ("seed", "7")];
    assert_eq!(browser.post("/faults", &fields).await.status.as_u16(), 303);
    assert_eq!(detail(&world, Act::FaultBegun).await["kind"], "http-error");
    assert_eq!((status(&world, &annas).await, status(&world, &bens).await), (503, 200));
    let page = browser.open("/faults").await.body;
    assert!(page.contains("/faults/1/end") && page.contains(MAPPINGS), "{page}");
    assert!(browser.open("/activity").await.body.contains("http-error"));

    // Ben neither sees nor ends it, and what he begins does not strike Anna.
    let mut other = Browser::logged_in(&world, ben).await;
    let page = other.open("/faults").await.body;
    assert!(!page.contains("/faults/1/end") && !page.contains(MAPPINGS), "{page}");
    assert_eq!(other.post("/faults/1/end", &[]).await.status.as_u16(), 404);
    other.open("/faults").await;
    assert_eq!(other.post("/faults", &[("kind", "quota-used-up")]).await.status.as_u16(), 303);
    browser.open("/faults").await;
    assert_eq!(browser.post("/faults/1/end", &[]).await.status.as_u16(), 303);
    assert_eq!((status(&world, &annas).await, status(&world, &bens).await), (200, 403));
    assert_eq!(browser.post("/faults/1/end", &[]).await.status.as_u16(), 404);
}

#[tokio::test]
async fn what_is_not_ones_own_or_concerns_everybody_can_not_be_wished_for() {
    let world = World::new().await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    let bens = Person::Ben.client_id().to_string();
    for (fields, expected, hint) in [
        (vec![("kind", "certificate-expires")], 422, "kind"),
        (vec![("kind", "frezee")], 422, "kind"),
        (vec![("kind", "delay"), ("value", "0")], 422, "value"),
        (vec![("kind", "delay"), ("times", "x")], 422, "times"),
        (vec![("kind", "delay"), ("times", "1"), ("for_seconds", "5")], 422, "times"),
        (vec![("kind", "freeze"), ("client", &bens)], 404, ""),
        (vec![("kind", "delay"), ("vin", "WBY00000000000002")], 404, ""),
        (vec![("kind", "freeze"), ("client", "x")], 404, ""),
    ] {
        browser.open("/faults").await;
        let answer = browser.post("/faults", &fields).await;
        assert_eq!(answer.status.as_u16(), expected, "{fields:?}");
        if expected == 422 {
            assert!(answer.body.contains(&format!("field `{hint}`")), "{fields:?}");
            for (name, typed) in fields.iter().filter(|(name, _)| *name != "kind") {
                let kept = format!(r#"name="{name}" value="{typed}""#);
                assert!(answer.body.contains(&kept), "{kept}");
            }
        }
    }
    let list = world.get("/admin/v1/faults", ADMIN_TOKEN).await.json();
    assert_eq!(list["faults"], Value::Array(Vec::new()));
    for id in ["1", "x", "-1"] {
        browser.open("/faults").await;
        let answer = browser.post(&format!("/faults/{id}/end"), &[]).await;
        assert_eq!(answer.status.as_u16(), 404, "{id}");
    }
    for _ in 0..20 {
        assert_eq!(browser.open("/faults").await.status.as_u16(), 200);
        assert_eq!(browser.post("/faults", &[("kind", "duplicate")]).await.status.as_u16(), 303);
    }
    browser.open("/faults").await;
    assert_eq!(browser.post("/faults", &[("kind", "duplicate")]).await.status.as_u16(), 422);
}

#[tokio::test]
async fn where_there_is_no_sandbox_there_is_no_such_page() {
    let world = World::adjusted(Profile::open(), |platform| platform.faults = None).await;
    let mut browser = Browser::logged_in(&world, Person::Anna).await;
    assert!(!browser.open("/clients").await.body.contains("/faults"));
    assert_eq!(browser.open("/faults").await.status.as_u16(), 404);
    browser.open("/account").await;
    assert_eq!(browser.post("/faults", &[("kind", "drop")]).await.status.as_u16(), 404);
    browser.open("/account").await;
    assert_eq!(browser.post("/faults/1/end", &[]).await.status.as_u16(), 404);
}
