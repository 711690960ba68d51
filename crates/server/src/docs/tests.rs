//! The document is that of the code, whole, and the page shows it.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;

use super::*;
use crate::test_platform::World;

/// Rewrites the file in place of comparing it: `CARDATA_WRITE_OPENAPI=1 cargo test -p cardata-server docs::`.
const REWRITE: Option<&str> = option_env!("CARDATA_WRITE_OPENAPI");

#[test]
fn the_published_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let now = text();
    if REWRITE.is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == now,
        "docs/reference/openapi.json is old; CARDATA_WRITE_OPENAPI=1 rewrites it"
    );
}

#[test]
fn each_path_of_the_rest_api_is_described() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<_> = members(&document["paths"]).map(|(path, _)| path).collect();
    let mut missing: BTreeSet<_> = api::paths().into_iter().collect();
    missing.retain(|path| !described.contains(path));
    assert_eq!(missing, BTreeSet::new(), "add `#[utoipa::path]` to their handlers");
}

#[test]
fn each_schema_that_is_named_is_there() {
    let document = document();
    let text = document.to_string();
    let named = text.split("#/components/schemas/").skip(1);
    let named: BTreeSet<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    let there: BTreeSet<_> =
        members(&document["components"]["schemas"]).map(|(name, _)| name).collect();
    assert!(named.len() > 20);
    assert_eq!(named.difference(&there).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[tokio::test]
async fn the_page_shows_each_operation_and_fetches_nothing_from_elsewhere() {
    let world = World::new().await;
    let open = |path: &str| world.send(Request::get(path).body(Body::empty()).unwrap());
    let page = open("/docs").await;
    assert_eq!(page.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(
        page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
    );
    for (path, item) in members(&document()["paths"]) {
        assert!(page.body.contains(&format!("<code>{path}</code>")), "{path}");
        for (method, _) in members(item) {
            assert!(page.body.contains(&format!("<strong>{}</strong>", method.to_uppercase())));
        }
    }
    for elsewhere in ["http://", "https://", "src=", "<script", "//"] {
        assert!(!page.body.contains(elsewhere), "{elsewhere}");
    }
    assert!(page.body.contains("name=\"viewport\""), "it fits a phone");
    let targets = page.body.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for target in targets {
        assert!(page.body.contains(&format!("id=\"{target}\"")), "nothing is called {target}");
    }
    assert_eq!(open("/docs/openapi.json").await.json(), document());
    assert_eq!(open("/docs/").await.body, page.body);
}
