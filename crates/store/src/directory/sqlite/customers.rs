//! Customers, vehicles and the links between them.

use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Mapping, MappingType, Vehicle};
use cardata_domain::{Gcid, Vin};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::Failure;
use super::row::{from_json, instant, micros, parsed, to_json, vin};

pub(super) async fn put(writer: &SqlitePool, customer: &Customer) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO customers (gcid, email, email_folded, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (gcid) DO UPDATE SET email = excluded.email, email_folded = excluded.email_folded,
             password_hash = excluded.password_hash, created_at = excluded.created_at",
    )
    .bind(customer.gcid.to_string())
    .bind(&customer.email)
    .bind(customer.email.to_lowercase())
    .bind(&customer.password_hash)
    .bind(micros(customer.created_at))
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn by_email(
    readers: &SqlitePool,
    email: &str,
) -> Result<Option<Customer>, Failure> {
    let row = sqlx::query("SELECT * FROM customers WHERE email_folded = $1")
        .bind(email.to_lowercase())
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(customer).transpose()
}

pub(super) async fn by_gcid(readers: &SqlitePool, gcid: Gcid) -> Result<Option<Customer>, Failure> {
    let row = sqlx::query("SELECT * FROM customers WHERE gcid = $1")
        .bind(gcid.to_string())
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(customer).transpose()
}

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<Customer>, Failure> {
    let rows =
        sqlx::query("SELECT * FROM customers ORDER BY created_at, gcid").fetch_all(readers).await?;
    rows.iter().map(customer).collect()
}

pub(super) async fn put_vehicle(writer: &SqlitePool, vehicle: &Vehicle) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO vehicles (vin, drivetrain, build) VALUES ($1, $2, $3)
         ON CONFLICT (vin) DO UPDATE SET drivetrain = excluded.drivetrain, build = excluded.build",
    )
    .bind(vehicle.vin.as_str())
    .bind(vehicle.drivetrain.as_str())
    .bind(to_json(&vehicle.build)?)
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn vehicle(readers: &SqlitePool, number: Vin) -> Result<Option<Vehicle>, Failure> {
    let row = sqlx::query("SELECT * FROM vehicles WHERE vin = $1")
        .bind(number.as_str())
        .fetch_optional(readers)
        .await?;
    let vehicle = |row: &SqliteRow| {
        Ok(Vehicle {
            vin: vin(row)?,
            drivetrain: parsed(row, "drivetrain", "drivetrain")?,
            build: from_json(row, "build", "vehicle's build")?,
        })
    };
    row.as_ref().map(vehicle).transpose()
}

pub(super) async fn put_mapping(writer: &SqlitePool, mapping: &Mapping) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO mappings (gcid, vin, mapping_type, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (gcid, vin) DO UPDATE SET mapping_type = excluded.mapping_type, since = excluded.since",
    )
    .bind(mapping.gcid.to_string())
    .bind(mapping.vin.as_str())
    .bind(mapping.mapping_type.as_str())
    .bind(micros(mapping.since))
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn remove_mapping(
    writer: &SqlitePool,
    gcid: Gcid,
    vin: Vin,
) -> Result<bool, Failure> {
    let done = sqlx::query("DELETE FROM mappings WHERE gcid = $1 AND vin = $2")
        .bind(gcid.to_string())
        .bind(vin.as_str())
        .execute(writer)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn mappings(readers: &SqlitePool, gcid: Gcid) -> Result<Vec<Mapping>, Failure> {
    let rows = sqlx::query("SELECT * FROM mappings WHERE gcid = $1 ORDER BY since, vin")
        .bind(gcid.to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(mapping).collect()
}

fn customer(row: &SqliteRow) -> Result<Customer, Failure> {
    Ok(Customer {
        gcid: parsed(row, "gcid", "GCID")?,
        email: row.try_get("email")?,
        password_hash: row.try_get("password_hash")?,
        created_at: instant(row, "created_at")?,
    })
}

fn mapping(row: &SqliteRow) -> Result<Mapping, Failure> {
    let text: &str = row.try_get("mapping_type")?;
    Ok(Mapping {
        gcid: parsed(row, "gcid", "GCID")?,
        vin: vin(row)?,
        mapping_type: [MappingType::Primary, MappingType::Secondary]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| Failure::damaged("mapping type", text))?,
        since: instant(row, "since")?,
    })
}
