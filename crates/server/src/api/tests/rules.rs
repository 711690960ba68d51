//! What holds on every path: forms, tags, compression, methods, bodies, parameters, tokens (wire §4.1, §4.2).

use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use axum::response::Response;
use cardata_domain::client::Kind;
use cardata_domain::ledger::Actor;
use http_body_util::BodyExt as _;

use super::*;
use crate::endings;

const LISTED: [&str; 3] = [MAPPINGS, CONTAINERS, "/v2/consents"];

impl World {
    async fn ask(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn accepting(&self, path: &str, token: &str, accept: &str) -> Answer {
        self.ask("GET", path, token, &[(ACCEPT.as_str(), accept)]).await
    }
}

fn media(answer: &Answer) -> &str {
    answer.headers[CONTENT_TYPE].to_str().unwrap()
}

#[tokio::test]
async fn an_answer_is_xml_for_those_who_ask_for_it_with_the_names_of_the_json() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let answer = world.accepting(MAPPINGS, &token, "application/xml").await;
    assert_eq!((answer.status, media(&answer)), (StatusCode::OK, "application/xml"));
    assert_eq!(
        answer.body,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <response xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <item><mappedSince>2026-09-21T14:13:20.000Z</mappedSince><mappingType>PRIMARY</mappingType>\
             <vin>{HERS}</vin></item>\
             <item><mappedSince>2026-09-21T14:13:20.000Z</mappedSince><mappingType>SECONDARY</mappingType>\
             <vin>{SHARED}</vin></item></response>\n"
        )
    );
    let id = world.register(&token, &[SOC]).await;
    let answer = world.accepting(&reads_of(HERS, &id)[1], &token, "text/xml").await;
    assert_eq!(media(&answer), "text/xml; charset=utf-8");
    let entry = format!(
        "<telematicData><{SOC}><timestamp xsi:nil=\"true\"/><unit>%</unit><value xsi:nil=\"true\"/></{SOC}></telematicData>"
    );
    assert!(answer.body.contains(&entry), "{}", answer.body);
}

#[tokio::test]
async fn a_refusal_has_the_same_form() {
    let world = World::with_vehicles().await;
    for path in LISTED.into_iter().chain(["/customers/nothing", "/customers"]) {
        let answer = world.accepting(path, "", "application/xml").await;
        assert_eq!((answer.status.as_u16(), media(&answer)), (403, "application/xml"), "{path}");
        let body = &answer.body;
        for part in ["<error ", "<exveErrorId>TP-403</exveErrorId>", "<exveErrorRef>", "<exveNote>"]
        {
            assert!(body.contains(part), "{part}: {body}");
        }
        assert!(body.contains("<exveErrorMsg>Bad Request. Forbidden</exveErrorMsg>"), "{body}");
    }
}

#[tokio::test]
async fn a_form_that_there_is_not_gives_json() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let plain = world.get(MAPPINGS, &token).await;
    for accept in ["*/*", "application/json", "image/png", "text/csv", "application/pdf;q=1"] {
        let answer = world.accepting(MAPPINGS, &token, accept).await;
        assert_eq!(answer.status, StatusCode::OK, "{accept}");
        assert_eq!(answer.json(), plain.json(), "{accept}");
        assert!(answer.headers.get_all(VARY).iter().any(|vary| vary == "accept"));
    }
}

#[tokio::test]
async fn every_path_is_the_same_with_a_slash_at_its_end() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let id = world.register(&token, &[SOC]).await;
    for (path, _, methods) in super::super::resources() {
        drop(methods);
        let path = path.replace("{vin}", HERS).replace("{id}", &id);
        let query = if path.ends_with("telematicData") {
            format!("?containerId={id}")
        } else {
            String::new()
        };
        if path.ends_with("events") {
            // It has no end.
            let open = |path: &str| {
                let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
                world.respond(request.body(Body::empty()).unwrap())
            };
            let statuses = (open(&path).await.status(), open(&format!("{path}/")).await.status());
            assert_eq!(statuses, (StatusCode::OK, StatusCode::OK));
            continue;
        }
        let one = world.get(&format!("{path}{query}"), &token).await;
        let other = world.get(&format!("{path}/{query}"), &token).await;
        let is_unknown = one.status == StatusCode::NOT_FOUND;
        assert!(!is_unknown || one.json()["exveErrorId"] == "CU-127", "{path}");
        assert_eq!(one.status, other.status, "{path}");
        if one.status.is_success() {
            assert_eq!(one.headers.get(ETAG), other.headers.get(ETAG), "{path}");
            assert_eq!(one.body, other.body, "{path}");
        }
    }
}

#[tokio::test]
async fn who_knows_an_answer_is_not_sent_it_again() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let id = world.register(&token, &[SOC]).await;
    let [basic, telematic, _, tyres] = reads_of(HERS, &id);
    for path in [MAPPINGS, CONTAINERS, &format!("{CONTAINERS}/{id}"), &basic, &telematic, &tyres] {
        let first = world.get(path, &token).await;
        assert_eq!(first.headers[CACHE_CONTROL], "private, no-cache");
        let tag = first.headers[ETAG].to_str().unwrap();
        for known in [tag, &tag[2..], "*", &format!("\"other\", {tag}")] {
            let again = world.ask("GET", path, &token, &[(IF_NONE_MATCH.as_str(), known)]).await;
            assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""), "{path} {known}");
            assert_eq!(again.headers[ETAG], tag);
            assert!(!again.headers.contains_key(CONTENT_TYPE));
        }
        let again = world.ask("GET", path, &token, &[(IF_NONE_MATCH.as_str(), "\"other\"")]).await;
        assert_eq!((again.status, again.body), (StatusCode::OK, first.body), "{path}");
        let xml = world.accepting(path, &token, "application/xml").await;
        assert_ne!(xml.headers[ETAG], tag, "another form is another answer");
    }
    let before = world.get(&telematic, &token).await;
    world.report(HERS, SOC, "2026-09-21T14:02:00Z", Value::integer(67), None).await;
    let known = before.headers[ETAG].to_str().unwrap();
    let after = world.ask("GET", &telematic, &token, &[(IF_NONE_MATCH.as_str(), known)]).await;
    assert_eq!(after.status, StatusCode::OK);
    let refused =
        world.ask("GET", "/customers/nothing", &token, &[(IF_NONE_MATCH.as_str(), "*")]).await;
    assert_eq!(refusal(&refused), (403, "TP-403".to_owned()));
    assert!(!refused.headers.contains_key(ETAG));
}

#[tokio::test]
async fn head_tells_what_get_would_without_sending_it() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let basic = format!("/customers/vehicles/{HERS}/basicData");
    for path in
        [MAPPINGS, CONTAINERS, &basic, "/customers/nothing", "/customers/vehicles/x/basicData"]
    {
        let get = world.get(path, &token).await;
        let head = world.ask("HEAD", path, &token, &[]).await;
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for name in [CONTENT_TYPE, ETAG, CONTENT_LENGTH] {
            assert_eq!(head.headers.get(&name), get.headers.get(&name), "{path} {name}");
        }
    }
}

async fn raw(response: Response) -> (HeaderMap, Vec<u8>) {
    let (parts, body) = response.into_parts();
    (parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_those_who_can_read_it() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let listed = world.platform.catalogue.listed();
    let names: Vec<_> = listed.map(|(_, listed)| listed.name.to_string()).collect();
    let id = world.register(&token, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let plain = world.get(&reads_of(HERS, &id)[1], &token).await;
    let gzip = |path: &str| {
        let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        world.respond(request.header(ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap())
    };
    let (headers, body) = raw(gzip(&reads_of(HERS, &id)[1]).await).await;
    assert_eq!(headers[CONTENT_ENCODING], "gzip");
    assert_eq!(headers[ETAG], plain.headers[ETAG], "the tag is one for both");
    assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() * 4 < plain.body.len());
    let (headers, body) = raw(gzip(MAPPINGS).await).await;
    assert!(!headers.contains_key(CONTENT_ENCODING) && body.starts_with(b"["));
}

#[tokio::test]
async fn no_path_takes_a_method_that_it_has_no_answer_for() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    for (path, _, methods) in super::super::resources() {
        drop(methods);
        let path = path.replace("{vin}", HERS).replace("{id}", "W00J000D000AB");
        for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "QUERY"] {
            let answer = world.call(method, &path, &token, "").await;
            assert_eq!(refusal(&answer), refused(405, "CU-400"), "{method} {path}");
            assert!(answer.headers[ALLOW].to_str().unwrap().contains("GET"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_body_is_json_in_utf_8_whatever_it_is_called() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let body = json!({"name": "a", "purpose": "b", "technicalDescriptors": [SOC]}).to_string();
    let post = async |name: &str, value: &str, body: &[u8]| {
        let request = Request::post(CONTAINERS).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.header(name, value).body(Body::from(body.to_vec())).unwrap();
        world.send(request).await
    };
    for called in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;CharSet=\"UTF-8\"",
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let answer = post("content-type", called, body.as_bytes()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{called}: {}", answer.body);
    }
    for (name, value) in [
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "application/json; charset=iso-8859-1"),
        ("content-encoding", "gzip"),
    ] {
        let answer = post(name, value, body.as_bytes()).await;
        assert_eq!(refusal(&answer), refused(400, "CU-400"), "{name} {value}");
    }
    for bytes in [b"\xff\xfe{\0}\0" as &[u8], b"\xef\xbb\xbf{}", b"{\"name\":\"\xff\"}", b"a=b"] {
        let answer = post("content-type", "application/json", bytes).await;
        assert_eq!(refusal(&answer), refused(400, "CU-400"), "{bytes:?}");
    }
    let twice =
        br#"{"name":"a","name":"a","purpose":"b","technicalDescriptors":["vehicle.isMoving"]}"#;
    let answer = post("content-type", "application/json", twice).await;
    assert_eq!(refusal(&answer), refused(400, "CU-400"));
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_told_how_and_one_that_is_not_known_is_ignored() {
    let world = World::with_vehicles().await;
    let (anna, ben) = (world.own_token(Person::Anna).await, world.own_token(Person::Ben).await);
    let own = world.register(&anna, &[SOC]).await;
    let foreign = world.register(&ben, &[SOC]).await;
    let long = "W".repeat(5000);
    let stem = format!("/customers/vehicles/{HERS}/telematicData");
    for (query, status, id) in [
        (String::new(), 400, "CU-400"),
        ("?containerId".to_owned(), 403, "CU-105"),
        ("?containerId=".to_owned(), 403, "CU-105"),
        (format!("?containerid={own}"), 400, "CU-400"),
        (format!("?containerId={own}&containerId={own}"), 400, "CU-400"),
        (format!("?containerId={long}"), 400, "CU-121"),
        (format!("?containerId={}", own.to_lowercase()), 400, "CU-121"),
        ("?containerId=[]".to_owned(), 400, "CU-121"),
        ("?containerId=%00".to_owned(), 400, "CU-121"),
        ("?containerId=%ff".to_owned(), 400, "CU-121"),
        (format!("?containerId=%20{own}"), 400, "CU-121"),
        (format!("?containerId={foreign}"), 403, "CU-105"),
    ] {
        let answer = world.get(&format!("{stem}{query}"), &anna).await;
        assert_eq!(refusal(&answer), refused(status, id), "{}", &query[..query.len().min(60)]);
        assert!(answer.body.len() < 1000);
    }
    let more = format!("{stem}?x=1&containerId={own}&x=2&_=&%ff");
    assert_eq!(world.get(&more, &anna).await.status, StatusCode::OK);
    assert_eq!(world.get(&format!("{MAPPINGS}?vin=x"), &anna).await.status, StatusCode::OK);
    let long_vin = format!("/customers/vehicles/{long}/basicData");
    assert_eq!(refusal(&world.get(&long_vin, &anna).await), refused(400, "CU-120"));
}

#[tokio::test]
async fn a_token_of_any_other_kind_opens_nothing() {
    let world = World::with_vehicles().await;
    let anna = Person::Anna;
    let tokens = world.log_in(anna.client_id(), anna, SCOPES).await;
    let fleet = world.confidential(Kind::ThirdParty).await;
    let clients_own = world.client_token(fleet).await;
    let access = &tokens.access_token;
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.";
    for token in [
        clients_own.as_str(),
        &tokens.id_token,
        &tokens.refresh_token,
        unsigned,
        &access[1..],
        &format!("{access}x"),
        &access.to_uppercase(),
        &format!("{access} {access}"),
        &"x".repeat(6000),
    ] {
        let answer = world.get(MAPPINGS, token).await;
        assert_eq!(refusal(&answer), refused(401, "CU-101"), "{}", &token[..20]);
    }
    let bare = |path: String| Request::get(path).body(Body::empty()).unwrap();
    let in_query = world.send(bare(format!("{MAPPINGS}?access_token={access}"))).await;
    assert_eq!(refusal(&in_query), refused(403, "TP-403"));
    let mut cookie = bare(MAPPINGS.to_owned());
    cookie.headers_mut().insert("cookie", format!("access_token={access}").parse().unwrap());
    assert_eq!(refusal(&world.send(cookie).await), refused(403, "TP-403"));

    let directory = &world.platform.directory;
    let client = directory.client(anna.client_id()).await.unwrap().unwrap();
    assert_eq!(world.get(MAPPINGS, access).await.status, StatusCode::OK);
    endings::delete_client(&world.platform, client, Actor::Customer).await.unwrap();
    assert_eq!(refusal(&world.get(MAPPINGS, access).await), refused(401, "CU-101"));
}

#[tokio::test]
async fn who_asks_counts_before_what_is_asked_for() {
    let world = World::with_vehicles().await;
    let token = world.own_token(Person::Anna).await;
    let wrong = "/customers/vehicles/x/telematicData?containerId=y";
    let version = [("x-version", "v9")];
    assert_eq!(
        refusal(&world.ask("GET", wrong, "garbage", &version).await),
        refused(401, "CU-101")
    );
    assert_eq!(refusal(&world.ask("GET", wrong, &token, &version).await), refused(400, "CU-400"));
    assert_eq!(refusal(&world.get(wrong, &token).await), refused(400, "CU-120"));
    let both = [("x-version", "v1"), ("x-version", "v9")];
    assert_eq!(refusal(&world.ask("GET", MAPPINGS, &token, &both).await), refused(400, "CU-400"));
    let foreign = format!("/customers/vehicles/{HIS}/telematicData?containerId=y");
    assert_eq!(refusal(&world.get(&foreign, &token).await), refused(400, "CU-121"));
    let foreign = format!("/customers/vehicles/{HIS}/telematicData?containerId=W00J000D000AB");
    assert_eq!(refusal(&world.get(&foreign, &token).await), refused(403, "CU-104"));
}
