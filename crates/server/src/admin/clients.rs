//! `POST /admin/v1/clients`: a further OAuth client is registered, subscribed to both services.
//!
//! With `email` it is that customer's personal client; without, a third party's, which every customer may let in.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cardata_domain::client::{Client, Kind, Services, State};
use cardata_domain::{ClientId, Gcid};
use cardata_store::directory::DirectoryError;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use super::refusal;
use crate::platform::Platform;
use crate::secret;

/// Characters that a client's name may have.
const NAME_LENGTH_MAX: usize = 255;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/clients", post(register))
}

#[derive(Deserialize)]
struct Registration {
    name: String,
    email: Option<String>,
}

#[derive(Debug, Error)]
enum Refusal {
    #[error("the body is not JSON with `name` and, optionally, `email`: {0}")]
    Body(#[from] serde_json::Error),
    #[error("`name` must have 1 to {NAME_LENGTH_MAX} characters")]
    Name,
    #[error("there is no customer with this e-mail address")]
    UnknownCustomer,
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, remedy) = match &self {
            Self::Body(_) => (StatusCode::BAD_REQUEST, r#"send {"name":"…","email":"…"}"#),
            Self::Name => (StatusCode::BAD_REQUEST, "customers see the name when they approve"),
            Self::UnknownCustomer => {
                (StatusCode::BAD_REQUEST, "name the owner, or nobody for a third party's client")
            }
            Self::Directory(_) => {
                tracing::error!(
                    error = &self as &dyn std::error::Error,
                    "a client was not registered"
                );
                (StatusCode::INTERNAL_SERVER_ERROR, "look at the server's log, then try again")
            }
        };
        refusal(status, &self.to_string(), remedy)
    }
}

async fn register(
    extract::State(platform): extract::State<Arc<Platform>>,
    body: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), Refusal> {
    let Registration { name, email } = serde_json::from_slice(&body)?;
    if !(1..=NAME_LENGTH_MAX).contains(&name.chars().count()) {
        return Err(Refusal::Name);
    }
    let kind = match email {
        Some(email) => Kind::Personal(owner(&platform, &email).await?),
        None => Kind::ThirdParty,
    };
    let client = Client {
        id: ClientId::new(secret::uuid()),
        kind,
        name,
        purpose: String::new(),
        services: Services { api: true, stream: true },
        secret_hash: None,
        created_at: platform.clock.now(),
        state: State::Active,
    };
    platform.directory.put_client(&client).await?;
    Ok((StatusCode::CREATED, Json(json!({"client_id": client.id.to_string()}))))
}

async fn owner(platform: &Platform, email: &str) -> Result<Gcid, Refusal> {
    let customer = platform.directory.customer_by_email(email).await?;
    customer.map(|customer| customer.gcid).ok_or(Refusal::UnknownCustomer)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::test_platform::{ADMIN_TOKEN, Answer, Person, World};

    async fn register(world: &World, token: &str, body: serde_json::Value) -> Answer {
        let request =
            Request::post("/admin/v1/clients").header(AUTHORIZATION, format!("Bearer {token}"));
        world.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    #[tokio::test]
    async fn a_registered_client_belongs_to_the_customer_named_or_to_nobody() {
        let world = World::new().await;
        for (body, kind) in [
            (
                json!({"name": "evcc", "email": Person::Anna.email()}),
                Kind::Personal(Person::Anna.gcid()),
            ),
            (json!({"name": "Fleet Watch"}), Kind::ThirdParty),
        ] {
            let answer = register(&world, ADMIN_TOKEN, body).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
            let id = answer.json()["client_id"].as_str().unwrap().parse().unwrap();
            let client = world.platform.directory.client(id).await.unwrap().unwrap();
            assert_eq!(client.kind, kind);
            assert!(client.services.api && client.services.stream);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_registration_is_told() {
        let world = World::new().await;
        for (body, word) in [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": "x".repeat(256)}), "name"),
            (json!({"name": "x", "email": "nobody@example.com"}), "e-mail"),
        ] {
            let answer = register(&world, ADMIN_TOKEN, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert!(answer.json()["error"].as_str().unwrap().contains(word), "{}", answer.body);
        }
        let stranger = register(&world, "wrong", json!({"name": "x"})).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    }
}
