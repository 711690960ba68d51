//! The certificates of vehicles.

use cardata_domain::Vin;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::row::{instant, instant_if_any, micros, vin};
use super::{Failure, begin};
use crate::directory::VehicleCertificate;

pub(super) async fn add(
    writer: &SqlitePool,
    certificates: &[VehicleCertificate],
    now: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = begin(writer).await?;
    sqlx::query("DELETE FROM vehicle_certificates WHERE expires_at <= $1")
        .bind(micros(now))
        .execute(&mut *transaction)
        .await?;
    for certificate in certificates {
        sqlx::query(
            "INSERT INTO vehicle_certificates (serial, vin, issued_at, expires_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&certificate.serial)
        .bind(certificate.vin.as_str())
        .bind(micros(certificate.issued_at))
        .bind(micros(certificate.expires_at))
        .bind(certificate.revoked_at.map(micros))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn after(
    readers: &SqlitePool,
    of: Option<Vin>,
    serial: Option<&str>,
    limit: u32,
) -> Result<Vec<VehicleCertificate>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM vehicle_certificates WHERE ($1 IS NULL OR vin = $1) AND serial > $2
         ORDER BY serial LIMIT $3",
    )
    .bind(of.as_ref().map(Vin::as_str))
    .bind(serial.unwrap_or_default())
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(certificate).collect()
}

pub(super) async fn revoked(
    readers: &SqlitePool,
    now: Timestamp,
) -> Result<Vec<VehicleCertificate>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM vehicle_certificates WHERE revoked_at IS NOT NULL AND expires_at > $1 ORDER BY serial",
    )
    .bind(micros(now))
    .fetch_all(readers)
    .await?;
    rows.iter().map(certificate).collect()
}

pub(super) async fn revoke(
    writer: &SqlitePool,
    of: Vin,
    serial: Option<&str>,
    at: Timestamp,
) -> Result<Vec<String>, Failure> {
    let rows = sqlx::query(
        "UPDATE vehicle_certificates SET revoked_at = $1
         WHERE vin = $2 AND ($3 IS NULL OR serial = $3) AND revoked_at IS NULL RETURNING serial",
    )
    .bind(micros(at))
    .bind(of.as_str())
    .bind(serial)
    .fetch_all(writer)
    .await?;
    let mut serials =
        rows.iter().map(|row| row.try_get("serial")).collect::<Result<Vec<String>, _>>()?;
    serials.sort_unstable();
    Ok(serials)
}

fn certificate(row: &SqliteRow) -> Result<VehicleCertificate, Failure> {
    Ok(VehicleCertificate {
        serial: row.try_get("serial")?,
        vin: vin(row)?,
        issued_at: instant(row, "issued_at")?,
        expires_at: instant(row, "expires_at")?,
        revoked_at: instant_if_any(row, "revoked_at")?,
    })
}
