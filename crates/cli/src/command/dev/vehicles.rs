//! Certificates for the demo vehicles, in the data folder.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use cardata_domain::Vin;
use cardata_server::Platform;
use cardata_server::ingest::certificates::{Authority, serial_of};
use cardata_store::directory::VehicleCertificate;
use jiff::{SignedDuration, Timestamp};

use super::demo::Demo;
use crate::secret_file;

/// Certificates are made for so many demo vehicles; with thousands it would delay the start.
const ENROLLED_MAX: usize = 10;
/// How long a certificate is good.
const VALIDITY: SignedDuration = SignedDuration::from_hours(397 * 24);
/// A certificate that ends sooner is made anew.
const LEFT_MIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Certificates of a vehicle that are looked at.
const EACH_MAX: u32 = 1000;

/// Writes `vehicles/{vin}.pem` and `.key` into the data folder where they are missing or about to end: what a vehicle
/// shows at the vehicles' listener. One that was revoked stays revoked. Does nothing where the sandbox does not issue
/// them.
pub(super) async fn enroll(
    platform: &Platform,
    demo: &Demo,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let Ok(authority) = platform.vehicle_certificates.authority() else { return Ok(()) };
    let folder = data_dir.join("vehicles");
    std::fs::create_dir_all(&folder)?;
    let now = platform.clock.now();
    let mut rows = Vec::new();
    for vehicle in demo.vehicles().into_iter().take(ENROLLED_MAX) {
        let own = platform.directory.certificates_after(Some(vehicle.vin), None, EACH_MAX).await?;
        if needs_one(&folder, vehicle.vin, own, now) {
            rows.push(issue(authority, &folder, vehicle.vin, now)?);
        }
    }
    if !rows.is_empty() {
        platform.directory.add_certificates(&rows, now).await?;
    }
    Ok(())
}

fn needs_one(folder: &Path, vin: Vin, own: Vec<VehicleCertificate>, now: Timestamp) -> bool {
    let (certificate, key) = files(folder, vin);
    let pem = std::fs::read_to_string(certificate).unwrap_or_default();
    let mut own: HashMap<_, _> = own.into_iter().map(|one| (one.serial.clone(), one)).collect();
    match serial_of(&pem).and_then(|serial| own.remove(&serial)) {
        Some(found) if found.revoked_at.is_some() => false,
        Some(found) => found.expires_at.duration_since(now) < LEFT_MIN || !key.exists(),
        None => true,
    }
}

fn issue(
    authority: &Authority,
    folder: &Path,
    vin: Vin,
    now: Timestamp,
) -> anyhow::Result<VehicleCertificate> {
    let key = rcgen::KeyPair::generate()?;
    let issued = authority.issue(vin, &key, VALIDITY, now)?;
    let (certificate_file, key_file) = files(folder, vin);
    secret_file::write(&key_file, &key.serialize_pem())?;
    std::fs::write(&certificate_file, issued.pem)
        .with_context(|| format!("{} can't be written", certificate_file.display()))?;
    Ok(issued.row)
}

fn files(folder: &Path, vin: Vin) -> (std::path::PathBuf, std::path::PathBuf) {
    let file = |ending| folder.join(format!("{}.{ending}", vin.as_str()));
    (file("pem"), file("key"))
}
