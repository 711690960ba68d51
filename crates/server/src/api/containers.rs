//! `/customers/containers` (wire §4.5). A container belongs to a customer and a client; nobody else can tell it from
//! one that never was.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use cardata_contract::error_code::{ErrorBody, ErrorCode};
use cardata_contract::rest::{ContainerDetails, ContainerList, CreateContainer};
use cardata_domain::container::{Container, ContainerId, ContainerIdError, ContainerRequest};
use cardata_domain::ledger::{Act, Actor, Record};

use super::auth::Caller;
use super::body::JsonBody;
use super::error::ApiError;
use crate::faults::{Kind, Whom};
use crate::{Platform, endings, secret};

/// `GET /customers/containers`: the ACTIVE ones.
#[utoipa::path(
    get, path = "/customers/containers", tag = "Containers", summary = "The ACTIVE containers of the client",
    responses((status = 200, body = ContainerList, description = "All of them")),
    security(("token" = [])),
)]
pub(super) async fn list(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
) -> Result<Json<ContainerList>, ApiError> {
    let containers = platform.directory.containers(caller.gcid, caller.client_id).await?;
    Ok(Json(ContainerList { containers: containers.iter().map(Into::into).collect() }))
}

/// `POST /customers/containers`: registers one, and open streams show it before the answer goes out.
#[utoipa::path(
    post, path = "/customers/containers", tag = "Containers", summary = "Register a container",
    request_body(content = CreateContainer, description = "What the container is to have"),
    responses(
        (status = 201, body = ContainerDetails, description = "It is registered, and open streams show it")
    ),
    security(("token" = [])),
)]
pub(super) async fn create(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    JsonBody(wanted): JsonBody<CreateContainer>,
) -> Result<(StatusCode, Json<ContainerDetails>), ApiError> {
    let CreateContainer { name, purpose, technical_descriptors } = wanted;
    let request =
        ContainerRequest::new(&name, &purpose, &technical_descriptors, &platform.catalogue)?;
    refuse_deprecated(&platform, caller, &technical_descriptors)?;
    let now = platform.clock.now();
    let id = ContainerId::from_random(secret::random());
    let container = request.register(id, caller.gcid, caller.client_id, now);
    let limit = platform.profile.containers.limit(now);
    let details = change(&platform, caller, async move |platform| {
        platform.directory.add_container(&container, limit).await?;
        let record = Record::new(now, Actor::Client, Act::ContainerAdded)
            .of(container.gcid)
            .with_client(container.client_id)
            .with("container_id", container.id.as_str())
            .with("name", container.name.clone())
            .with("purpose", container.purpose.clone())
            .with("descriptors", &container.descriptors[..]);
        Ok((ContainerDetails::from(&container), Some(record)))
    })
    .await?;
    tracing::info!(container.id = %id, client.id = %caller.client_id, "container {id} registered");
    Ok((StatusCode::CREATED, Json(details)))
}

/// `GET /customers/containers/{id}`.
#[utoipa::path(
    get, path = "/customers/containers/{id}", tag = "Containers", summary = "One container",
    params(("id" = String, Path, description = "13 characters, A–Z and 0–9", pattern = "^[A-Z0-9]{13}$")),
    responses((status = 200, body = ContainerDetails, description = "The container")),
    security(("token" = [])),
)]
pub(super) async fn details(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Json<ContainerDetails>, ApiError> {
    let container = own_active(&platform, caller, id).await?;
    Ok(Json(ContainerDetails::from(&container)))
}

/// `DELETE /customers/containers/{id}`: open streams stop showing it before the answer goes out.
#[utoipa::path(
    delete, path = "/customers/containers/{id}", tag = "Containers", summary = "Delete a container",
    params(("id" = String, Path, description = "13 characters, A–Z and 0–9", pattern = "^[A-Z0-9]{13}$")),
    responses(
        (status = 204, description = "It is deleted, and open streams show it no longer"),
        (status = 208, body = ErrorBody, description = "CU-122: it was deleted before")
    ),
    security(("token" = [])),
)]
pub(super) async fn delete(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<StatusCode, ApiError> {
    let container = own(&platform, caller, id).await?;
    let now = platform.clock.now();
    let deleted = change(&platform, caller, async move |platform| {
        let deleted = platform.directory.delete_container(id, now).await?;
        let record = deleted.then(|| endings::container_deleted(&container, Actor::Client, now));
        Ok((deleted, record))
    })
    .await?;
    if !deleted {
        let note = format!("the container {id} was deleted before");
        return Err(ApiError::new(ErrorCode::ContainerDeleted, note));
    }
    tracing::info!(container.id = %id, client.id = %caller.client_id, "container {id} deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// The ACTIVE container `id` of the caller.
pub(super) async fn own_active(
    platform: &Platform,
    caller: Caller,
    id: ContainerId,
) -> Result<Container, ApiError> {
    let container = own(platform, caller, id).await?;
    if container.is_active() { Ok(container) } else { Err(not_yours(id)) }
}

/// Refuses `descriptors` of which a fault on purpose says that one is deprecated.
pub(super) fn refuse_deprecated(
    platform: &Platform,
    caller: Caller,
    descriptors: &[String],
) -> Result<(), ApiError> {
    let whom = Whom::client(caller.client_id, Some(caller.gcid));
    let deprecated = platform.struck(whom, |fault| match &fault.kind {
        Kind::DeprecatedKey(key) => descriptors.contains(key).then(|| key.clone()),
        _ => None,
    });
    // In the words of the real service (wire §4.2).
    deprecated.map_or(Ok(()), |key| {
        let note = format!("the telematic key {key} is not found or deprecated");
        Err(ApiError::new(ErrorCode::Descriptor, note))
    })
}

/// Reads an id.
pub(super) fn parse_id(text: &str) -> Result<ContainerId, ApiError> {
    let wrong =
        |error: ContainerIdError| ApiError::new(ErrorCode::ContainerFormat, error.to_string());
    text.parse().map_err(wrong)
}

async fn own(platform: &Platform, caller: Caller, id: ContainerId) -> Result<Container, ApiError> {
    let container = platform.directory.container(id).await?;
    container
        .filter(|found| found.gcid == caller.gcid && found.client_id == caller.client_id)
        .ok_or_else(|| not_yours(id))
}

fn not_yours(id: ContainerId) -> ApiError {
    let note =
        format!("there is no container {id}, it was deleted, or another client registered it");
    ApiError::new(ErrorCode::Container, note)
}

/// The container's id in the path.
#[derive(Debug)]
pub(super) struct PathId(ContainerId);

impl FromRequestParts<Arc<Platform>> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, platform).await;
        // A path that is no UTF-8 is no id, either.
        parse_id(text.as_ref().map_or("", |Path(text)| text)).map(Self)
    }
}

/// Carries out a change of the caller's containers, and lets open streams follow before the answer goes out.
async fn change<T, F>(
    platform: &Arc<Platform>,
    caller: Caller,
    work: impl FnOnce(Arc<Platform>) -> F,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: Future<Output = Result<(T, Option<Record>), ApiError>> + Send + 'static,
{
    endings::change_entitlement(platform, caller.gcid, caller.client_id, work).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_platform::{Person, START, World};
    use tokio::sync::oneshot;

    const SOC: &str = "vehicle.drivetrain.batteryManagement.header";

    #[tokio::test]
    async fn a_change_reaches_open_streams_also_when_the_caller_hangs_up() {
        let world = World::new().await;
        let platform = &world.platform;
        let caller = Caller { gcid: Person::Anna.gcid(), client_id: Person::Anna.client_id() };
        let cell = platform.entitlements.cell(caller.gcid, caller.client_id).await.unwrap();
        let request =
            ContainerRequest::new("name", "purpose", &[SOC.to_owned()], &platform.catalogue);
        let id = ContainerId::from_random(secret::random());
        let container = request.unwrap().register(id, caller.gcid, caller.client_id, START);
        let limit = platform.profile.containers.limit(START);
        let (go_on, halt) = oneshot::channel::<()>();
        let change = change(platform, caller, async move |platform| {
            halt.await.unwrap();
            Ok((platform.directory.add_container(&container, limit).await?, None))
        });
        tokio::select! {
            biased;
            _ = change => unreachable!("the change is halted"),
            () = std::future::ready(()) => {}
        }
        go_on.send(()).unwrap();
        let followed = async {
            while cell.load().entitled.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), followed).await.unwrap();
    }
}
