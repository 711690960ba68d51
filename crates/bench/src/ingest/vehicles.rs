//! Vehicles that publish over MQTT as fast as they are acknowledged.

use std::collections::VecDeque;

use bytes::BytesMut;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Course, IngestBenchError, Plan, Sent, Speed, all};
use crate::connection::{Client, ConnectError, Socket};
use crate::enrolment::Vehicle;
use crate::packet::{self, Packet};
use crate::target::Target;

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
                output.extend_from_slice(&packet::publish(
                    &topic,
                    Some(packet_id),
                    event.as_bytes(),
                ));
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
