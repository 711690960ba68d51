//! Vehicles that publish over MQTT as fast as they are acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use cardata_client::operator::{Admin, AdminError, Method};
use cardata_client::ready_file::ReadyFile;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Course, IngestBenchError, Plan, Sent, Speed, all};
use crate::connection::{Client, ConnectError, Socket};
use crate::crew;
use crate::packet::{self, Packet};
use crate::progress::Progress;
use crate::target::Target;

/// A vehicle that the operator let in.
#[derive(Clone)]
pub(super) struct Vehicle {
    pub(super) vin: String,
    /// The vehicles' listener with its own certificate.
    pub(super) target: Option<Target>,
}

/// Vehicles that are enrolled at a time.
const AT_ONCE: u64 = 4;

/// Adds `count` vehicles where they are missing, and gets each a certificate for a day.
pub(super) async fn enroll(
    ready: &ReadyFile,
    admin: &Admin,
    count: u64,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Vehicle>, IngestBenchError> {
    progress.begin("enrolling vehicles", count);
    let (ready, admin) = (Arc::new(ready.clone()), admin.clone());
    let work = move |number: u64| {
        let (ready, admin) = (ready.clone(), admin.clone());
        async move { enroll_one(&ready, &admin, number).await }
    };
    let mut vehicles = crew::each(0..count, AT_ONCE, progress, work).await?;
    vehicles.sort_by(|one, other| one.vin.cmp(&other.vin));
    Ok(vehicles)
}

async fn enroll_one(
    ready: &ReadyFile,
    admin: &Admin,
    number: u64,
) -> Result<Vehicle, IngestBenchError> {
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
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| IngestBenchError::Certificate)?;
    let key =
        PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| IngestBenchError::Certificate)?;
    let target = Target::with_certificate(ready, vec![certificate], key).await?;
    Ok(Vehicle { vin, target: Some(target) })
}

/// Lets all vehicles publish for a round: with their own certificates, or all at `broker`.
pub(super) async fn publish(
    vehicles: &[Vehicle],
    broker: Option<&Target>,
    plan: Plan,
    course: Course,
) -> Result<Speed, IngestBenchError> {
    let mut clients = Vec::new();
    for vehicle in vehicles {
        let Some(target) = broker.or(vehicle.target.as_ref()) else { continue };
        let client_id = format!("bench-{}", vehicle.vin);
        let client = Client::connect(target, Socket::default(), &client_id, true).await?;
        clients.push((client, vehicle.vin.clone()));
    }
    let began = Instant::now();
    let over = began + plan.duration;
    let mut senders = JoinSet::new();
    for (client, vin) in clients {
        senders.spawn(send(client, vin, plan.window, course, over));
    }
    all(senders, began).await
}

async fn send(
    mut client: Client,
    vin: String,
    window: u16,
    mut course: Course,
    over: Instant,
) -> Result<Sent, IngestBenchError> {
    let topic = format!("vehicles/{vin}/telemetry");
    let mut sent = Sent::new();
    let mut packet_id = 0_u16;
    let mut output = BytesMut::new();
    // When those were sent that are not acknowledged yet; acknowledgements come in order ([MQTT-4.6.0-2]).
    let mut waiting = VecDeque::new();
    loop {
        let now = Instant::now();
        if now < over {
            while waiting.len() < usize::from(window) {
                packet_id = packet_id.checked_add(1).unwrap_or(1);
                let event = course.next(&vin);
                output.extend_from_slice(&packet::publish(&topic, packet_id, event.as_bytes()));
                waiting.push_back(now);
            }
            client.send(&output.split()).await?;
        } else if waiting.is_empty() {
            break;
        }
        acknowledge(&client.next().await?, &mut waiting, &mut sent)?;
        while let Some(packet) = client.take()? {
            acknowledge(&packet, &mut waiting, &mut sent)?;
        }
    }
    client.disconnect().await?;
    Ok(sent)
}

fn acknowledge(
    packet: &Packet,
    waiting: &mut VecDeque<Instant>,
    sent: &mut Sent,
) -> Result<(), ConnectError> {
    let Packet::PubAck = packet else { return Err(ConnectError::OutOfTurn) };
    let sent_at = waiting.pop_front().ok_or(ConnectError::OutOfTurn)?;
    sent.acknowledged(1, sent_at);
    Ok(())
}
