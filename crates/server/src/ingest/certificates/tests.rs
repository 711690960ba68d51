//! What is issued, and what is said of what was revoked.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::test_platform::{ADMIN_TOKEN, Answer, START, World, vehicle};

const VIN: &str = "WBY00000000000001";
const PATH: &str = "/admin/v1/vehicles/WBY00000000000001/certificates";

async fn world() -> World {
    let world = World::new().await;
    world.platform.directory.put_vehicle(&vehicle(VIN)).await.unwrap();
    world
}

/// A request of a new key for `common_name`.
fn request(common_name: Option<&str>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

async fn issue(world: &World, body: Value) -> Answer {
    world.call("POST", PATH, ADMIN_TOKEN, body.to_string()).await
}

#[tokio::test]
async fn a_certificate_is_for_the_vehicle_and_its_key_and_for_so_many_days() {
    let world = world().await;
    for (name, days, expected) in [(Some(VIN), None, 365), (None, Some(2), 2)] {
        let answer = issue(&world, json!({"csr": request(name), "days": days})).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.body);
        let issued = answer.json();
        let pem = issued["certificate"].as_str().unwrap();
        assert_eq!(serial_of(pem).unwrap(), issued["serial"].as_str().unwrap());
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let names: Vec<_> = certificate.subject().iter_common_name().collect();
        assert_eq!(names[0].as_str(), Ok(VIN));
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        let left = certificate.validity().not_after.timestamp() - START.as_second();
        assert_eq!(left, expected * 86_400);
        assert!(issued["authority"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    }
    let listed = world.get(PATH, ADMIN_TOKEN).await.json();
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 2);
    assert_eq!(listed["certificates"][0]["state"], "GOOD");
    let all = world.get("/admin/v1/certificates?limit=1", ADMIN_TOKEN).await.json();
    assert_eq!(all["next"], listed["certificates"][0]["serial"]);
}

#[tokio::test]
async fn what_is_no_request_or_somebody_elses_gets_no_certificate() {
    let world = world().await;
    let mut damaged = request(Some(VIN));
    damaged.replace_range(100..104, "AAAA");
    let certificate = world.platform.vehicle_certificates.authority().unwrap().pem().to_owned();
    for (body, hint) in [
        (json!({}), "`csr` is missing"),
        (json!({"csr": "no PEM"}), "no certificate signing request"),
        (json!({"csr": damaged}), "no certificate signing request"),
        (json!({"csr": certificate}), "no certificate signing request"),
        (json!({"csr": request(Some("WBY00000000000002"))}), "not the vehicle's VIN"),
        (json!({"csr": request(None), "days": 0}), "`days` must be"),
        (json!({"csr": request(None), "days": 3651}), "`days` must be"),
    ] {
        let answer = issue(&world, body).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.body);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(hint), "{error} lacks {hint}");
    }
    let path = PATH.replace("001/", "009/");
    let body = json!({"csr": request(None)}).to_string();
    assert_eq!(world.call("POST", &path, ADMIN_TOKEN, body).await.status.as_u16(), 404);
    let listed = world.platform.directory.certificates_after(None, None, 9).await.unwrap();
    assert_eq!(listed, []);
}

#[tokio::test]
async fn the_list_names_what_was_revoked_and_is_there_for_everybody() {
    let world = world().await;
    let mut serials = Vec::new();
    for _ in 0..3 {
        let issued = issue(&world, json!({"csr": request(None)})).await.json();
        serials.push(issued["serial"].as_str().unwrap().to_owned());
    }
    let revoke = async |serial: &str| {
        world.call("DELETE", &format!("{PATH}{serial}"), ADMIN_TOKEN, "").await
    };
    let first = format!("/{}", serials[0].to_uppercase());
    let answer = revoke(&first).await;
    assert_eq!(answer.json()["serials"], json!([serials[0]]));
    assert_eq!(revoke(&first).await.status.as_u16(), 404);
    let Authority { list_file, certificate, .. } =
        world.platform.vehicle_certificates.authority().unwrap();
    let listed = || {
        let pem = std::fs::read(list_file).unwrap();
        let der = CertificateRevocationListDer::from_pem_slice(&pem).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        let (_, authority) = X509Certificate::from_der(certificate).unwrap();
        assert_eq!(list.issuer(), authority.subject());
        let number = list.crl_number().unwrap().clone();
        let revoked = list.iter_revoked_certificates();
        let serials: Vec<_> = revoked.map(|one| secret::hex(one.raw_serial())).collect();
        (number, serials)
    };
    let (number, revoked) = listed();
    assert_eq!(revoked, serials[..1]);
    world.pass(1);
    assert_eq!(revoke("").await.json()["serials"].as_array().unwrap().len(), 2);
    let (later, mut revoked) = listed();
    revoked.sort_unstable();
    serials.sort_unstable();
    assert!(later > number);
    assert_eq!(revoked, serials);
    let mode = std::fs::metadata(list_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let acts = world.get("/admin/v1/ledger", ADMIN_TOKEN).await;
    assert!(acts.body.contains("CERTIFICATES_REVOKED") && acts.body.contains("CERTIFICATE_ISSUED"));
}

#[tokio::test]
async fn somebody_elses_authority_issues_and_revokes_nothing_here() {
    let world = World::adjusted(crate::Profile::open(), |platform| {
        let verifier = platform.vehicle_certificates.verifier().clone();
        platform.vehicle_certificates = Certificates::theirs(verifier);
    })
    .await;
    world.platform.directory.put_vehicle(&vehicle(VIN)).await.unwrap();
    let answers = [
        issue(&world, json!({"csr": request(None)})).await,
        world.call("DELETE", PATH, ADMIN_TOKEN, "").await,
    ];
    for answer in answers {
        assert_eq!(answer.status.as_u16(), 409, "{}", answer.body);
    }
}
