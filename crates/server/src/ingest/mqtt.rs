//! Vehicles that publish over MQTT 3.1.1: who they are stands in their certificate, and a publish is acknowledged only
//! when its event is on disk.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cardata_domain::Vin;
use jiff::Timestamp;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Codec, Connect, ConnectAck, ConnectAckReason, Packet, SubscribeReturnCode};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::{Admitted, EVENT_LENGTH_MAX, Intake, Refusal, count, count_entries, keep};
use crate::platform::Platform;
use crate::tasks::Stopping;

/// How long a vehicle may take until its CONNECT is there, and how long it may be silent without a keep-alive.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_mins(20);
/// Bytes that are read at once: few from a vehicle that says little, and many from one that sends as fast as it can, so
/// that one sync serves many events.
const READ_MIN: usize = 512;
const READ_MAX: usize = 64 << 10;
/// Topic, packet id and length beside the payload.
const PACKET_OVERHEAD_MAX: usize = 1024;

/// Why a vehicle's connection ends.
#[derive(Debug, Error)]
enum Ended {
    #[error("the vehicle is gone")]
    Gone,
    #[error("nothing was heard from the vehicle in time")]
    Silent,
    #[error("the bytes are no MQTT 3.1.1 packet that a vehicle may send here")]
    Malformed,
    #[error("the certificate's common name is not the VIN of a known vehicle")]
    UnknownVehicle,
    #[error("the certificate is good no longer")]
    Uncertified,
    #[error("the topic is not `vehicles/{{vin}}/telemetry` of the vehicle's own VIN")]
    ForeignTopic,
    #[error("QoS 2 is not taken; publish with QoS 1")]
    ExactlyOnce,
    #[error("the event could not be kept; the vehicle should send it again")]
    NotKept,
}

struct Vehicle<'a> {
    platform: &'a Platform,
    stream: TlsStream<TcpStream>,
    codec: Codec,
    input: BytesMut,
    /// How much the next read may bring.
    read_length: usize,
    output: BytesMut,
    vin: Vin,
    /// Silence longer than this ends the connection.
    patience: Duration,
}

/// Serves one vehicle until either side ends the connection, or its certificate ends.
pub(crate) async fn serve(
    platform: Arc<Platform>,
    stream: TlsStream<TcpStream>,
    mut stopping: Stopping,
) {
    let Some(proof) = proof(&stream) else { return note(&Ended::UnknownVehicle) };
    let now = platform.clock.now();
    let certificates = &platform.vehicle_certificates;
    let mut entered = certificates.enter(proof.vin, proof.chain.clone());
    // After it was entered: so it is noticed also when it is revoked at this moment. And whoever comes back with a ticket
    // has shown it an earlier time.
    if !certificates.check(&proof.chain, now) {
        return note(&Ended::Uncertified);
    }
    let left = Duration::try_from(proof.expires_at.duration_since(now)).unwrap_or_default();
    let length_max = u32::try_from(EVENT_LENGTH_MAX + PACKET_OVERHEAD_MAX).unwrap_or(u32::MAX);
    let mut vehicle = Vehicle {
        platform: &platform,
        stream,
        codec: Codec::new(length_max),
        input: BytesMut::new(),
        read_length: READ_MIN,
        output: BytesMut::new(),
        vin: proof.vin,
        patience: CONNECT_PATIENCE,
    };
    let mut _closing = None;
    tokio::select! {
        () = stopping.wait() => {}
        () = sleep(left) => note(&Ended::Uncertified),
        told = &mut entered.closing => {
            note(&Ended::Uncertified);
            _closing = told.ok();
        }
        Err(ended) = vehicle.run() => note(&ended),
    }
    // The vehicle may be gone already; there is nobody to tell.
    let _ = timeout(Duration::from_secs(1), vehicle.stream.shutdown()).await;
}

fn note(ended: &Ended) {
    tracing::debug!("a vehicle's connection ended: {ended}");
    let outcome = match ended {
        Ended::Gone => "gone",
        Ended::Silent => "silent",
        Ended::Malformed => "malformed",
        Ended::UnknownVehicle => "unknown_vehicle",
        Ended::Uncertified => "certificate_ended",
        Ended::ForeignTopic => "foreign_topic",
        Ended::ExactlyOnce => "exactly_once",
        Ended::NotKept => "not_kept",
    };
    metrics::counter!("cardata_vehicle_connections_ended_total", "reason" => outcome).increment(1);
}

/// What the certificate says that TLS has checked.
struct Proof {
    vin: Vin,
    /// The certificate, and those that vouch for it.
    chain: Arc<[CertificateDer<'static>]>,
    expires_at: Timestamp,
}

fn proof(stream: &TlsStream<TcpStream>) -> Option<Proof> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let chain = stream.get_ref().1.peer_certificates()?;
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let vin = certificate.subject().iter_common_name().next()?.as_str().ok()?.parse().ok()?;
    let expires_at = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(Proof { vin, chain: chain.into(), expires_at })
}

impl Vehicle<'_> {
    async fn run(&mut self) -> Result<(), Ended> {
        let Packet::Connect(connect) = self.receive().await? else { return Err(Ended::Malformed) };
        self.open(&connect).await?;
        loop {
            let first = self.receive().await?;
            let mut publishes = Vec::new();
            let taken = self.take_all(first, &mut publishes);
            // Also when the vehicle said good-bye, or something wrong, behind them.
            self.keep(publishes).await?;
            self.flush().await?;
            taken?;
        }
    }

    async fn open(&mut self, connect: &Connect) -> Result<(), Ended> {
        let known = self.platform.directory.vehicle(self.vin).await;
        let (return_code, ended) = match known {
            Ok(Some(_)) => (ConnectAckReason::ConnectionAccepted, None),
            Ok(None) => (ConnectAckReason::NotAuthorized, Some(Ended::UnknownVehicle)),
            Err(_) => (ConnectAckReason::ServiceUnavailable, Some(Ended::NotKept)),
        };
        self.send(Packet::ConnectAck(ConnectAck { return_code, session_present: false }))?;
        self.flush().await?;
        let keep_alive = Duration::from_secs(connect.keep_alive.into());
        self.patience = if keep_alive.is_zero() { SILENCE_MAX } else { keep_alive * 3 / 2 };
        ended.map_or(Ok(()), Err)
    }

    /// Takes what the vehicle sent in one go, so that it is synced in one go.
    fn take_all(
        &mut self,
        first: Packet,
        publishes: &mut Vec<(Bytes, Option<NonZeroU16>)>,
    ) -> Result<(), Ended> {
        self.take(first, publishes)?;
        while let Some(next) = self.decode()? {
            self.take(next, publishes)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        packet: Packet,
        publishes: &mut Vec<(Bytes, Option<NonZeroU16>)>,
    ) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce => {
                return Err(Ended::ExactlyOnce);
            }
            Packet::Publish(publish) => {
                let topic = publish
                    .topic
                    .strip_prefix("vehicles/")
                    .and_then(|rest| rest.strip_suffix("/telemetry"));
                if topic != Some(self.vin.as_str()) {
                    return Err(Ended::ForeignTopic);
                }
                publishes.push((publish.payload, publish.packet_id));
            }
            Packet::PingRequest => self.send(Packet::PingResponse)?,
            // Vehicles only publish here.
            Packet::Subscribe { packet_id, topic_filters } => {
                let status = vec![SubscribeReturnCode::Failure; topic_filters.len()];
                self.send(Packet::SubscribeAck { packet_id, status })?;
            }
            Packet::Disconnect => return Err(Ended::Gone),
            _ => return Err(Ended::Malformed),
        }
        Ok(())
    }

    /// Appends the events, then acknowledges. An event that can never be taken is acknowledged, too, and counted:
    /// sending it again would not mend it.
    async fn keep(&mut self, publishes: Vec<(Bytes, Option<NonZeroU16>)>) -> Result<(), Ended> {
        if publishes.is_empty() {
            return Ok(());
        }
        let now = self.platform.clock.now();
        let mut events = Vec::new();
        // While there is no room, nothing more is read from the vehicle.
        let bytes = publishes.iter().map(|(payload, _)| payload.len()).sum();
        let share = self.platform.ingest.room.share(bytes).await;
        {
            let own = [self.vin];
            let mut intake = Intake::new(self.platform, Some(&own), now);
            // It was asked for when the vehicle connected.
            intake.known.insert(self.vin, true);
            for (payload, _) in &publishes {
                match intake.admit(payload).await {
                    Ok(Admitted { event, refused }) => {
                        count_entries("mqtt", refused.len());
                        events.push(event);
                    }
                    Err(Refusal::ForeignVehicle) => count("mqtt", "foreign_vin", 1),
                    Err(Refusal::Directory(_)) => return Err(Ended::NotKept),
                    Err(refusal) => {
                        tracing::debug!("a vehicle's event was refused: {refusal}");
                        count("mqtt", "refused", 1);
                    }
                }
            }
        }
        let sent = events.len();
        let kept = keep(self.platform, events, now).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a vehicle's events could not be kept"
            );
            count("mqtt", "failed", sent);
            Ended::NotKept
        })?;
        drop(share);
        count("mqtt", "accepted", kept.new);
        count("mqtt", "repeated", kept.repeated);
        for packet_id in publishes.into_iter().filter_map(|(_, packet_id)| packet_id) {
            self.send(Packet::PublishAck { packet_id })?;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet, Ended> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(packet) = self.decode()? {
                return Ok(packet);
            }
            self.input.reserve(self.read_length);
            let room = self.input.capacity() - self.input.len();
            match timeout_at(deadline, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(0) | Err(_)) => return Err(Ended::Gone),
                Ok(Ok(read)) if read == room => {
                    self.read_length = (self.read_length * 4).min(READ_MAX);
                }
                Ok(Ok(read)) if read < self.read_length / 4 => {
                    self.read_length = (self.read_length / 2).max(READ_MIN);
                }
                Ok(Ok(_)) => {}
                Err(_) => return Err(Ended::Silent),
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Packet>, Ended> {
        let decoded = self.codec.decode(&mut self.input).map_err(|_| Ended::Malformed)?;
        Ok(decoded.map(|(packet, _)| packet))
    }

    fn send(&mut self, packet: Packet) -> Result<(), Ended> {
        self.codec.encode(packet, &mut self.output).map_err(|_| Ended::Malformed)
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let written = async {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.flush().await
        };
        match timeout(CONNECT_PATIENCE, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Silent),
        }
    }
}

#[cfg(test)]
mod tests;
