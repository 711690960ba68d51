//! `GET /v2/consents`: a third party's client asks who has let it in (wire §4.8).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cardata_contract::rest::ClientConsent;
use cardata_domain::consent::Consent;
use cardata_domain::token::Scope;
use cardata_domain::vehicle;
use cardata_store::directory::DirectoryError;

use super::auth::ClientCaller;
use super::error::ApiError;
use crate::Platform;

#[utoipa::path(
    get, path = "/v2/consents", tag = "Consents", summary = "Who let the client in",
    responses((status = 200, body = [ClientConsent], description = "The consents that are active now")),
    security(("client_token" = [])),
)]
pub(super) async fn list(
    State(platform): State<Arc<Platform>>,
    ClientCaller(client_id): ClientCaller,
) -> Result<Json<Vec<ClientConsent>>, ApiError> {
    let now = platform.clock.now();
    let mut listed = Vec::new();
    for consent in platform.directory.consents_to(client_id).await? {
        if consent.is_active(now) {
            listed.push(entry(&platform, consent).await?);
        }
    }
    Ok(Json(listed))
}

async fn entry(platform: &Platform, consent: Consent) -> Result<ClientConsent, DirectoryError> {
    Ok(ClientConsent {
        vehicles: vehicles(platform, &consent).await?,
        consent_id: consent.id.to_string(),
        gcid: consent.gcid.to_string(),
        scopes: consent.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        granted_at: consent.granted_at,
        expires_at: consent.expires_at,
    })
}

/// The vehicles that the client may read. Who was let in only to know who the customer is may read none.
async fn vehicles(platform: &Platform, consent: &Consent) -> Result<Vec<String>, DirectoryError> {
    let reads = [Scope::ApiRead, Scope::StreamingRead];
    if !reads.into_iter().any(|scope| consent.scopes.contains(scope)) {
        return Ok(Vec::new());
    }
    let mappings = platform.directory.mappings(consent.gcid).await?;
    Ok(vehicle::primary(&mappings).map(|vin| vin.as_str().to_owned()).collect())
}
