//! Customers, vehicles and the links between them.

use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Mapping, MappingType, Vehicle};
use cardata_domain::{Gcid, Vin};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteExecutor, SqlitePool};

use super::row::{from_json, instant, micros, parsed, to_json, vin};
use super::{Failure, begin};

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

pub(super) async fn set_password(
    writer: &SqlitePool,
    gcid: Gcid,
    password_hash: &str,
) -> Result<bool, Failure> {
    let mut transaction = begin(writer).await?;
    let done = sqlx::query("UPDATE customers SET password_hash = $1 WHERE gcid = $2")
        .bind(password_hash)
        .bind(gcid.to_string())
        .execute(&mut *transaction)
        .await?;
    // Who knew the old password may have let a program of theirs in a moment ago.
    sqlx::query("DELETE FROM device_grants WHERE approved_by = $1")
        .bind(gcid.to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete(writer: &SqlitePool, gcid: Gcid) -> Result<bool, Failure> {
    // What refers to a row goes before it; the ledger gives its lines on consents away last of all.
    const QUERIES: [&str; 18] = [
        "DELETE FROM refresh_tokens WHERE consent_id IN
             (SELECT id FROM consents WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1))",
        "DELETE FROM access_tokens WHERE consent_id IN
             (SELECT id FROM consents WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1))",
        "DELETE FROM consents WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM device_grants WHERE approved_by = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM containers WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM stream_configurations
             WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM location_settings
             WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM zones WHERE gcid = $1",
        "DELETE FROM deliveries WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM cursors WHERE session IN (SELECT number FROM sessions WHERE gcid IS NULL)
             AND vin IN (SELECT vin FROM mappings WHERE gcid = $1 AND mapping_type = 'PRIMARY')",
        "DELETE FROM requests WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM sessions WHERE gcid = $1 OR client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM session_counts WHERE gcid = $1",
        "DELETE FROM client_tokens WHERE client_id IN (SELECT id FROM clients WHERE owner = $1)",
        "DELETE FROM clients WHERE owner = $1",
        "DELETE FROM mappings WHERE gcid = $1",
        "DELETE FROM customers WHERE gcid = $1",
        "DELETE FROM ledger WHERE gcid = $1",
    ];
    let mut transaction = begin(writer).await?;
    let known = sqlx::query("SELECT 1 FROM customers WHERE gcid = $1")
        .bind(gcid.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    for query in QUERIES {
        sqlx::query(query).bind(gcid.to_string()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(known.is_some())
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

pub(super) async fn after(
    readers: &SqlitePool,
    after: Option<Gcid>,
    limit: u32,
) -> Result<Vec<Customer>, Failure> {
    let rows = sqlx::query("SELECT * FROM customers WHERE gcid > $1 ORDER BY gcid LIMIT $2")
        .bind(after.map_or_else(String::new, |gcid| gcid.to_string()))
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(customer).collect()
}

pub(super) async fn put_vehicle(
    writer: impl SqliteExecutor<'_>,
    vehicle: &Vehicle,
) -> Result<(), Failure> {
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
    row.as_ref().map(vehicle_of).transpose()
}

pub(super) async fn vehicles(readers: &SqlitePool) -> Result<Vec<Vehicle>, Failure> {
    let rows = sqlx::query("SELECT * FROM vehicles ORDER BY vin").fetch_all(readers).await?;
    rows.iter().map(vehicle_of).collect()
}

pub(super) async fn vehicles_after(
    readers: &SqlitePool,
    after: Option<Vin>,
    limit: u32,
) -> Result<Vec<Vehicle>, Failure> {
    let rows = sqlx::query("SELECT * FROM vehicles WHERE vin > $1 ORDER BY vin LIMIT $2")
        .bind(after.as_ref().map_or("", |vin| vin.as_str()))
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(vehicle_of).collect()
}

fn vehicle_of(row: &SqliteRow) -> Result<Vehicle, Failure> {
    Ok(Vehicle {
        vin: vin(row)?,
        drivetrain: parsed(row, "drivetrain", "drivetrain")?,
        build: from_json(row, "build", "vehicle's build")?,
    })
}

pub(super) async fn put_mapping(
    writer: impl SqliteExecutor<'_>,
    mapping: &Mapping,
) -> Result<(), Failure> {
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

pub(super) async fn mappings_of_vehicle(
    readers: &SqlitePool,
    vin: Vin,
) -> Result<Vec<Mapping>, Failure> {
    let rows = sqlx::query("SELECT * FROM mappings WHERE vin = $1 ORDER BY since, gcid")
        .bind(vin.as_str())
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
