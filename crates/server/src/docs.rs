//! `/docs`: the paths for programs, described as OpenAPI and as a page made of that. Both are made of the code once, and
//! fetch nothing from elsewhere.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::map_response_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cardata_contract::error_code::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::platform::Platform;
use crate::{api, gcdm, ingest, portal};

/// The document and the page.
pub fn routes(platform: Arc<Platform>) -> Router<Arc<Platform>> {
    Router::new()
        .route("/docs/openapi.json", get(openapi))
        .route("/docs", get(page))
        .route("/docs/", get(page))
        .layer(map_response_with_state(platform, portal::harden))
}

async fn openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

async fn page() -> Response {
    static PAGE: LazyLock<String> =
        LazyLock::new(|| Page::new(&document()).render().unwrap_or_default());
    Html(PAGE.as_str()).into_response()
}

/// The document as it is sent and as it stands in `docs/reference/openapi.json`.
fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "OpenCarData",
        description = "The customers' REST API, the log-in of programs, and ingest. What it says to programs beside this, and how sure it is that the real service does the same, is in the project's page of the wire.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "Vehicles", description = "A customer's vehicles, for a client that the customer let in"),
        (name = "Containers", description = "What a client wants to see"),
        (name = "Beyond the real service", description = "The same tokens open it, and a client sees no more than on its stream"),
        (name = "Consents", description = "For a client about itself"),
        (name = "Log-in", description = "OAuth 2.0: the device code flow and tokens"),
        (name = "Ingest", description = "For who reports vehicles' events")
    )
)]
struct Described;

/// The whole document. What holds on every path of the REST API is added here, so that no handler has to say it.
fn document() -> Value {
    let mut described = Described::openapi();
    for part in [
        api::Described::openapi(),
        gcdm::described::Described::openapi(),
        ingest::http::Described::openapi(),
    ] {
        described.merge(part);
    }
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({
        "token": bearer("An access token of a log-in with the scope cardata:api:read"),
        "client_token": bearer("A token of the grant client_credentials"),
        "operator": bearer("The operator's token"),
        "source": bearer("The key of a source: cardata admin source add"),
    });
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            operation["operationId"] = name(method, path).into();
        }
        if path.starts_with("/customers/") || path.starts_with("/v2/") {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete(operation, method, path);
            }
        } else if path.starts_with("/gcdm/") {
            for (_, operation) in item.as_object_mut().into_iter().flatten() {
                refuse(&mut operation["responses"], "OAuthError", &OAUTH);
            }
        }
    }
    document
}

/// What tools call an operation: `get_customers_vehicles_vin_image`.
fn name(method: &str, path: &str) -> String {
    let words = path.split('/').map(|word| word.trim_matches(['{', '}']).replace('-', "_"));
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(method.to_owned()).chain(words).collect::<Vec<_>>().join("_")
}

fn bearer(description: &str) -> Value {
    json!({"type": "http", "scheme": "bearer", "description": description})
}

/// Adds to an operation of the REST API what holds for each of them.
fn complete(operation: &mut Value, method: &str, path: &str) {
    let is_customers = operation["security"][0].get("token").is_some();
    let responses = &mut operation["responses"];
    refuse(responses, "ErrorBody", &common(is_customers));
    for (_, response) in responses.as_object_mut().into_iter().flatten() {
        if let Some(picture) = response["content"].get_mut("image/png") {
            // In 3.1 bytes are what has no schema.
            *picture = json!({});
        }
        if let Some(content) = response["content"].as_object_mut()
            && let Some(json) = content.get("application/json").cloned()
        {
            content.insert("application/xml".to_owned(), json);
        } else if response["content"].is_null() {
            response.as_object_mut().map(|response| response.remove("content"));
        }
    }
    let is_stream = responses["200"]["content"].get("text/event-stream").is_some();
    if method == "get" && !is_stream {
        let tag = json!({"description": "For `If-None-Match`", "schema": {"type": "string"}});
        responses["200"]["headers"] = json!({"ETag": tag});
        responses["304"] = json!({"description": "The client knows the answer (`If-None-Match`)"});
    }
    if is_customers {
        let parameters = operation["parameters"].take();
        let mut parameters = parameters.as_array().cloned().unwrap_or_default();
        if path.contains("{vin}") {
            parameters.insert(0, vin());
        }
        parameters.push(json!({
            "name": "x-version", "in": "header", "required": false,
            "description": "`v1`; may be missing", "schema": {"type": "string", "enum": ["v1"]},
        }));
        operation["parameters"] = parameters.into();
    }
}

/// The parameter of each path that names a vehicle.
fn vin() -> Value {
    json!({
        "name": "vin", "in": "path", "required": true,
        "description": "17 characters, A–Z without I, O and Q, and 0–9",
        "schema": {"type": "string", "pattern": "^[A-HJ-NPR-Z0-9]{17}$"},
    })
}

/// Adds refusals that have a body of the same form.
fn refuse<T: AsRef<str>>(responses: &mut Value, schema: &str, refusals: &[(&str, T)]) {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    for (status, description) in refusals {
        if responses.get(status).is_none() {
            responses[status] = json!({
                "description": description.as_ref(),
                "content": {"application/json": {"schema": schema}},
            });
        }
    }
}

/// With what each operation of the log-in may be refused.
const OAUTH: [(&str, &str); 4] = [
    ("400", "`invalid_request`, or another word that says what is wrong"),
    ("401", "`invalid_client`; at a poll also `expired_token`"),
    ("429", "`slow_down`: too often"),
    ("500", "`server_error`"),
];

/// What each operation may be refused with: a status, and the ids that go with it.
fn common(is_customers: bool) -> Vec<(&'static str, String)> {
    use ErrorCode as Code;
    let scope: &[Code] = if is_customers {
        &[
            Code::Forbidden,
            Code::TokenScope,
            Code::Vin,
            Code::Container,
            Code::ContainerLimit,
            Code::Refused,
            Code::Quota,
        ]
    } else {
        &[Code::Forbidden]
    };
    let form: &[Code] = &[
        Code::VinFormat,
        Code::ContainerFormat,
        Code::PageExpired,
        Code::BadRequest,
        Code::Parameter,
        Code::Descriptor,
    ];
    let mut all = vec![
        ("401", ids(&[Code::Authentication, Code::TokenExpired])),
        ("403", ids(scope)),
        ("500", ids(&[Code::Internal])),
        ("503", ids(&[Code::Unavailable])),
    ];
    if is_customers {
        all.push(("400", ids(form)));
    }
    all
}

fn ids(codes: &[ErrorCode]) -> String {
    let told = codes.iter().map(|code| format!("{} {}", code.id(), code.message()));
    told.collect::<Vec<_>>().join("; ")
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    title: String,
    description: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

struct Group {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Row>,
    /// The schemas that the body may have.
    bodies: Vec<String>,
    responses: Vec<Row>,
}

/// A parameter or an answer.
struct Row {
    name: String,
    what: String,
    schema: Option<String>,
}

struct Schema {
    name: String,
    description: String,
    members: Vec<Row>,
}

impl Page {
    fn new(document: &Value) -> Self {
        let of_tag = |tag: &Value| {
            let name = string(&tag["name"]);
            let is_in = |operation: &Value| operation["tags"][0] == tag["name"];
            let operations = members(&document["paths"]).flat_map(|(path, item)| {
                let operations = members(item).filter(|(_, operation)| is_in(operation));
                operations.map(|(method, operation)| Operation::new(method, path, operation))
            });
            Group {
                name,
                description: string(&tag["description"]),
                operations: operations.collect(),
            }
        };
        let tags = document["tags"].as_array();
        let schemas = members(&document["components"]["schemas"]);
        Self {
            title: string(&document["info"]["title"]),
            description: string(&document["info"]["description"]),
            groups: tags.into_iter().flatten().map(of_tag).collect(),
            schemas: schemas.map(|(name, schema)| Schema::new(name, schema)).collect(),
        }
    }
}

impl Operation {
    fn new(method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameter = |one: &Value| Row {
            name: string(&one["name"]),
            what: format!("in the {}: {}", string(&one["in"]), string(&one["description"])),
            schema: None,
        };
        let content = |of: &Value| -> Vec<String> {
            let all = members(&of["content"]).filter_map(|(_, media)| reference(&media["schema"]));
            let mut all: Vec<_> = all.collect();
            all.dedup();
            all
        };
        let response = |(status, one): (&str, &Value)| Row {
            name: status.to_owned(),
            what: string(&one["description"]),
            schema: content(one).pop(),
        };
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: string(&operation["summary"]),
            parameters: parameters.map(parameter).collect(),
            bodies: content(&operation["requestBody"]),
            responses: members(&operation["responses"]).map(response).collect(),
        }
    }
}

impl Schema {
    fn new(name: &str, schema: &Value) -> Self {
        // One that is made of others has their members, too.
        let parts = schema["allOf"].as_array().or_else(|| schema["oneOf"].as_array());
        let parts = parts.cloned().unwrap_or_default();
        let alternatives = parts.iter().filter_map(|part| {
            let schema = Some(reference(part)?);
            Some(Row { name: String::new(), what: String::new(), schema })
        });
        let own = parts.iter().chain([schema]).flat_map(|part| members(&part["properties"]));
        let member = |(name, member): (&str, &Value)| Row {
            name: name.to_owned(),
            what: string(&member["description"]),
            schema: reference(member),
        };
        Self {
            name: name.to_owned(),
            description: string(&schema["description"]),
            members: alternatives.chain(own.map(member)).collect(),
        }
    }
}

/// The schema that something is, or is a list of, or is one way or another.
fn reference(schema: &Value) -> Option<String> {
    if schema.is_null() {
        return None;
    }
    if let Some(path) = schema["$ref"].as_str() {
        return path.rsplit('/').next().map(str::to_owned);
    }
    let inner = ["items", "additionalProperties"].iter().find_map(|name| reference(&schema[name]));
    inner.or_else(|| schema["oneOf"].as_array()?.iter().find_map(reference))
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE).iter().map(|(name, value)| (name.as_str(), value))
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
