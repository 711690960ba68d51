//! `/admin/v1/vehicles/{vin}/certificates` and `/admin/v1/certificates`: what vehicles show when they publish.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use cardata_domain::Vin;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::VehicleCertificate;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::fields::{Fields, QueryFields, next, page};
use super::refusal::Refusal;
use super::vehicles;
use crate::ingest::certificates::{CertificatesError, Revoked};
use crate::platform::Platform;

/// Days that a certificate is good, unless told.
const DAYS: u16 = 365;
/// Days that a certificate may be good: ten years.
const DAYS_MAX: u16 = 3650;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/certificates", get(list_all))
        .route("/vehicles/{vin}/certificates", get(list).post(issue).delete(revoke_all))
        .route("/vehicles/{vin}/certificates/{serial}", delete(revoke))
}

async fn list_all(
    State(platform): State<Arc<Platform>>,
    query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    list_of(&platform, None, query).await
}

async fn list(
    State(platform): State<Arc<Platform>>,
    Path(vin): Path<String>,
    query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let vehicle = vehicles::find(&platform, &vin).await?;
    list_of(&platform, Some(vehicle.vin), query).await
}

async fn list_of(
    platform: &Platform,
    vin: Option<Vin>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let (after, limit) = query.page::<String>("after")?;
    query.0.end()?;
    let found = platform.directory.certificates_after(vin, after.as_deref(), limit).await?;
    let next = next(&found, limit, |certificate| certificate.serial.clone());
    let rows = found.iter().map(|certificate| describe(certificate, platform)).collect();
    Ok(Json(page("certificates", rows, next)))
}

async fn issue(
    State(platform): State<Arc<Platform>>,
    Path(vin): Path<String>,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let vehicle = vehicles::find(&platform, &vin).await?;
    let request = fields.required("csr")?;
    let days: u16 = match fields.plain("days")? {
        None => DAYS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|days| (1..=DAYS_MAX).contains(days))
            .ok_or_else(|| Refusal::field("days", format!("must be 1 to {DAYS_MAX}")))?,
    };
    fields.end()?;
    let now = platform.clock.now();
    let validity = SignedDuration::from_hours(24 * i64::from(days));
    let authority = platform.vehicle_certificates.authority()?;
    let issued = authority.grant(vehicle.vin, &request, validity, now)?;
    platform.directory.add_certificates(std::slice::from_ref(&issued.row), now).await?;
    let record = Record::new(now, Actor::Operator, Act::CertificateIssued)
        .with("vin", vehicle.vin.as_str())
        .with("serial", issued.row.serial.clone())
        .with("until", issued.row.expires_at.to_string());
    platform.directory.append_to_ledger(&[record]).await?;
    let mut answer = describe(&issued.row, &platform);
    answer["certificate"] = issued.pem.into();
    answer["authority"] = authority.pem().into();
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn revoke_all(
    State(platform): State<Arc<Platform>>,
    Path(vin): Path<String>,
) -> Result<Json<Value>, Refusal> {
    end(&platform, &vin, None).await
}

async fn revoke(
    State(platform): State<Arc<Platform>>,
    Path((vin, serial)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    end(&platform, &vin, Some(&serial.to_ascii_lowercase())).await
}

async fn end(platform: &Platform, vin: &str, serial: Option<&str>) -> Result<Json<Value>, Refusal> {
    let vin = vehicles::find(platform, vin).await?.vin;
    let now = platform.clock.now();
    let certificates = &platform.vehicle_certificates;
    let Revoked { serials, closed, took } =
        certificates.revoke(&*platform.directory, vin, serial, now).await?;
    if serials.is_empty() && closed == 0 {
        return Err(Refusal::Unknown {
            what: "certificate of this vehicle, with this serial number, that could be revoked",
            remedy: "see which there are: GET /admin/v1/vehicles/{vin}/certificates",
        });
    }
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let record = Record::new(now, Actor::Operator, Act::CertificatesRevoked)
        .with("vin", vin.as_str())
        .with("serials", serials.clone())
        .with("connections_closed", closed)
        .with("took_ms", took_ms);
    platform.directory.append_to_ledger(&[record]).await?;
    Ok(Json(json!({
        "vin": vin.as_str(),
        "serials": serials,
        "connections_closed": closed,
        "took_ms": took_ms,
    })))
}

fn describe(certificate: &VehicleCertificate, platform: &Platform) -> Value {
    let state = if certificate.revoked_at.is_some() {
        "REVOKED"
    } else if certificate.expires_at <= platform.clock.now() {
        "EXPIRED"
    } else {
        "GOOD"
    };
    json!({
        "serial": certificate.serial,
        "vin": certificate.vin.as_str(),
        "state": state,
        "issued_at": certificate.issued_at.to_string(),
        "expires_at": certificate.expires_at.to_string(),
        "revoked_at": certificate.revoked_at.map(|at| at.to_string()),
    })
}

impl From<CertificatesError> for Refusal {
    fn from(error: CertificatesError) -> Self {
        match error {
            CertificatesError::NotOurs => Self::conflict(
                error.to_string(),
                "ask that authority, and put its list where --vehicles-crl says",
            ),
            CertificatesError::Request(_) | CertificatesError::ForeignRequest => {
                Self::field("csr", error.to_string())
                    .or_else("make one for the VIN: openssl req -new -subj /CN=<VIN>")
            }
            CertificatesError::Directory(error) => Self::Directory(error),
            other => Self::Certificates(other),
        }
    }
}
