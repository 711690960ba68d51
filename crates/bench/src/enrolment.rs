//! Vehicles of the generator's own: the operator adds them and gives each a certificate.

use std::sync::Arc;

use cardata_client::operator::{Admin, AdminError, Method};
use cardata_client::ready_file::ReadyFile;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use thiserror::Error;

use crate::crew;
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::target::{Target, TargetError};

/// A vehicle that the operator let in.
#[derive(Clone)]
pub(crate) struct Vehicle {
    pub(crate) vin: String,
    /// The vehicles' listener with its own certificate; `None` for one that sends nothing over MQTT.
    pub(crate) target: Option<Target>,
}

/// Why vehicles were not let in.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The operator's API refused.
    #[error("the operator's API did not let a vehicle in")]
    Admin(#[from] AdminError),
    /// It gave no certificate.
    #[error("the operator's API gave no certificate that can be used")]
    Certificate,
    /// A vehicle's key can't be made.
    #[error("a vehicle's key can't be made")]
    Key(#[from] rcgen::Error),
    /// The vehicles' listener can't be reached.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Remedy for EnrolmentError {
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Admin(AdminError::Refused { status: 409, .. }) => {
                Some("start `cardata dev` without --vehicles-ca".to_owned())
            }
            _ => None,
        }
    }
}

/// Vehicles that are enrolled at a time.
const AT_ONCE: u64 = 4;

/// Adds `count` vehicles where they are missing, and gets each a certificate for a day.
pub(crate) async fn enrol(
    ready: &ReadyFile,
    admin: &Admin,
    count: u64,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Vehicle>, EnrolmentError> {
    progress.begin("enrolling vehicles", count);
    let (ready, admin) = (Arc::new(ready.clone()), admin.clone());
    let work = move |number: u64| {
        let (ready, admin) = (ready.clone(), admin.clone());
        async move { enrol_one(&ready, &admin, number).await }
    };
    let mut vehicles = crew::each(0..count, AT_ONCE, progress, work).await?;
    vehicles.sort_by(|one, other| one.vin.cmp(&other.vin));
    Ok(vehicles)
}

async fn enrol_one(
    ready: &ReadyFile,
    admin: &Admin,
    number: u64,
) -> Result<Vehicle, EnrolmentError> {
    let vin = format!("WBYBENCH1{number:08}");
    let vehicle = json!({"vin": vin, "drivetrain": "BEV"});
    match admin.call(Method::Post, &["vehicles"], &[], Some(&vehicle)).await {
        // It is there from an earlier time.
        Ok(_) | Err(AdminError::Refused { status: 409, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, vin.as_str());
    let request = json!({"csr": params.serialize_request(&key)?.pem()?, "days": 1});
    let path = ["vehicles", vin.as_str(), "certificates"];
    let issued = admin.call(Method::Post, &path, &[], Some(&request)).await?;
    let pem = issued["certificate"].as_str().unwrap_or_default();
    let certificate =
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| EnrolmentError::Certificate)?;
    let key =
        PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| EnrolmentError::Certificate)?;
    let target = Target::with_certificate(ready, vec![certificate], key).await?;
    Ok(Vehicle { vin, target: Some(target) })
}
