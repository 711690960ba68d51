//! `/account/export.zip`: everything that is kept of a customer, as JSON; and the record of consents by itself.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use cardata_contract::rest::charging::ChargingSession;
use cardata_contract::stream::encode;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::MappingType;
use cardata_domain::{Entry, Gcid, Sequence, Vin};
use cardata_store::directory::{CHARGING_SESSIONS_MAX, Channel, LedgerQuery};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::problem::Problem;
use super::visit::Visit;
use crate::charging;
use crate::platform::Platform;

/// Events that are read at once.
const CHUNK: usize = 1_000;
/// Lines of the ledger that are read at once.
const LINES: u32 = 1_000;

/// The ZIP, made in a file without a name and then sent, so that it costs no memory however long the history is.
pub(super) async fn everything(visit: Visit) -> Result<Response, Problem> {
    let (platform, gcid) = (&visit.platform, visit.gcid());
    let mut archive = Archive::new()?;
    archive.json("account.json", &account(&visit).await?)?;
    archive.json("vehicles.json", &vehicles(platform, gcid).await?)?;
    archive.json("clients.json", &clients(platform, gcid).await?)?;
    archive.json("consents.json", &consents(platform, gcid).await?)?;
    archive.json("choices.json", &choices(platform, gcid).await?)?;
    archive.json("deliveries.json", &deliveries(platform, gcid).await?)?;
    archive.json("activity.json", &ledger(platform, gcid, false).await?)?;
    for mapping in platform.directory.mappings(gcid).await? {
        if mapping.mapping_type == MappingType::Primary {
            events(&mut archive, platform, gcid, mapping.vin).await?;
            charges(&mut archive, platform, mapping.vin).await?;
        }
    }
    let record = Record::new(visit.now(), Actor::Customer, Act::DataExported).of(gcid);
    platform.directory.append_to_ledger(&[record]).await?;
    let file = archive.finish()?;
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    let headers = [
        (CONTENT_TYPE, "application/zip"),
        (CONTENT_DISPOSITION, "attachment; filename=\"cardata-export.zip\""),
    ];
    Ok((headers, body).into_response())
}

/// The record of consents.
pub(super) async fn record(visit: Visit) -> Result<Response, Problem> {
    let lines = ledger(&visit.platform, visit.gcid(), true).await?;
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_DISPOSITION, "attachment; filename=\"cardata-consents.json\""),
    ];
    Ok((headers, format!("{lines:#}\n")).into_response())
}

struct Archive(ZipWriter<File>);

impl Archive {
    fn new() -> std::io::Result<Self> {
        Ok(Self(ZipWriter::new(tempfile::tempfile()?)))
    }

    fn begin(&mut self, name: &str) -> std::io::Result<()> {
        Ok(self.0.start_file(name, SimpleFileOptions::default().large_file(true))?)
    }

    fn json(&mut self, name: &str, value: &Value) -> std::io::Result<()> {
        self.begin(name)?;
        writeln!(self.0, "{value:#}")
    }

    fn finish(self) -> std::io::Result<File> {
        let mut file = self.0.finish()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

async fn account(visit: &Visit) -> Result<Value, Problem> {
    let customer = visit.platform.directory.customer(visit.gcid()).await?;
    let customer = customer.ok_or(Problem::NotFound)?;
    Ok(json!({
        "gcid": customer.gcid.to_string(),
        "email": customer.email,
        "created_at": customer.created_at.to_string(),
        "exported_at": visit.now().to_string(),
    }))
}

async fn vehicles(platform: &Platform, gcid: Gcid) -> Result<Value, Problem> {
    let mut all = Vec::new();
    for mapping in platform.directory.mappings(gcid).await? {
        let vehicle = platform.directory.vehicle(mapping.vin).await?;
        all.push(json!({
            "vin": mapping.vin.as_str(),
            "mapping_type": mapping.mapping_type.as_str(),
            "since": mapping.since.to_string(),
            "drivetrain": vehicle.as_ref().map(|vehicle| vehicle.drivetrain.as_str()),
            "build": vehicle.as_ref().map(|vehicle| &vehicle.build),
        }));
    }
    Ok(all.into())
}

async fn clients(platform: &Platform, gcid: Gcid) -> Result<Value, Problem> {
    let clients = platform.directory.clients_of(gcid).await?;
    let client = |client: &cardata_domain::client::Client| {
        json!({
            "client_id": client.id.to_string(),
            "name": client.name,
            "api": client.services.api,
            "stream": client.services.stream,
            "created_at": client.created_at.to_string(),
            "is_deleted": !client.is_active(),
        })
    };
    Ok(clients.iter().map(client).collect())
}

async fn consents(platform: &Platform, gcid: Gcid) -> Result<Value, Problem> {
    let mut all = Vec::new();
    for consent in platform.directory.consents_of(gcid).await? {
        let containers = platform.directory.containers(gcid, consent.client_id).await?;
        let ended = match consent.state {
            cardata_domain::consent::State::Active => None,
            cardata_domain::consent::State::Ended { at, why } => Some((at, why)),
        };
        all.push(json!({
            "consent_id": consent.id.to_string(),
            "client_id": consent.client_id.to_string(),
            "scopes": consent.scopes.to_string(),
            "purpose": consent.purpose,
            "granted_at": consent.granted_at.to_string(),
            "expires_at": consent.expires_at.map(|at| at.to_string()),
            "ended_at": ended.map(|(at, _)| at.to_string()),
            "end_reason": ended.map(|(_, why)| why.as_str()),
            "containers": containers.iter().map(|container| json!({
                "container_id": container.id.as_str(),
                "name": container.name,
                "purpose": container.purpose,
                "descriptors": container.descriptors[..],
                "created_at": container.created_at.to_string(),
            })).collect::<Vec<_>>(),
        }));
    }
    Ok(all.into())
}

async fn choices(platform: &Platform, gcid: Gcid) -> Result<Value, Problem> {
    let directory = &platform.directory;
    let mut ids: Vec<_> =
        directory.consents_of(gcid).await?.iter().map(|consent| consent.client_id).collect();
    ids.extend(directory.clients_of(gcid).await?.iter().map(|client| client.id));
    ids.sort_unstable();
    ids.dedup();
    let mut clients = Vec::new();
    for id in ids {
        let settings = directory.location_settings(gcid, id).await?;
        clients.push(json!({
            "client_id": id.to_string(),
            "stream_configuration": directory.stream_configuration(gcid, id).await?,
            "precision": settings.precision.as_str(),
            "hides_zones": settings.hides_zones,
        }));
    }
    let zones = directory.zones(gcid).await?;
    let zones = zones.iter().map(|zone| {
        let middle = zone.middle();
        json!({
            "name": zone.name,
            "latitude": middle.latitude,
            "longitude": middle.longitude,
            "radius_m": zone.radius_m,
        })
    });
    Ok(json!({"clients": clients, "zones": zones.collect::<Vec<_>>()}))
}

async fn deliveries(platform: &Platform, gcid: Gcid) -> Result<Value, Problem> {
    let deliveries = platform.directory.deliveries(gcid).await?;
    let delivery = |one: &cardata_store::directory::Delivery| {
        json!({
            "client_id": one.client_id.to_string(),
            "vin": one.vin.as_str(),
            "channel": match one.channel { Channel::Stream => "STREAM", Channel::Rest => "REST" },
            "first_at": one.first_at.to_string(),
            "last_at": one.last_at.to_string(),
            "messages": one.messages,
        })
    };
    Ok(deliveries.iter().map(delivery).collect())
}

/// A customer's lines of the ledger, the oldest first.
async fn ledger(platform: &Platform, gcid: Gcid, on_consent: bool) -> Result<Value, Problem> {
    let mut lines = Vec::new();
    let mut before = None;
    loop {
        let query = LedgerQuery { gcid: Some(gcid), on_consent, before, limit: LINES };
        let read = platform.directory.ledger(query).await?;
        before = read.last().map(|(number, _)| *number);
        let is_last = read.len() < LINES as usize;
        lines.extend(read.iter().map(|(number, record)| line(*number, record)));
        if is_last {
            lines.reverse();
            return Ok(lines.into());
        }
    }
}

/// One line of the ledger as JSON.
pub(crate) fn line(number: u64, record: &Record) -> Value {
    json!({
        "number": number,
        "at": record.at.to_string(),
        "actor": record.actor.as_str(),
        "gcid": record.gcid.map(|gcid| gcid.to_string()),
        "client_id": record.client_id.map(|id| id.to_string()),
        "act": record.act.as_str(),
        "detail": record.detail,
    })
}

/// A vehicle's events as they stand on the stream, one in a line, and its latest values.
async fn events(
    archive: &mut Archive,
    platform: &Platform,
    gcid: Gcid,
    vin: Vin,
) -> Result<(), Problem> {
    let latest = platform.journal.latest(vin).await?;
    let values: Vec<_> = latest.iter().map(Entry::fragment).collect();
    archive.begin(&format!("vehicles/{}/latest.json", vin.as_str()))?;
    writeln!(archive.0, "{{{}}}", values.join(",\n "))?;
    archive.begin(&format!("vehicles/{}/events.jsonl", vin.as_str()))?;
    let mut after = Sequence(0);
    loop {
        let read = platform.journal.read(vin, after, CHUNK).await?;
        for recorded in &read {
            let entries: Vec<_> = recorded.event.entries().iter().collect();
            archive.0.write_all(&encode(&recorded.event, &entries, gcid))?;
            archive.0.write_all(b"\n")?;
        }
        let Some(last) = read.last().filter(|_| read.len() == CHUNK) else { return Ok(()) };
        after = last.sequence;
    }
}

/// A vehicle's charging sessions as they stand in the charging history, one in a line, the newest first.
async fn charges(archive: &mut Archive, platform: &Platform, vin: Vin) -> Result<(), Problem> {
    let vehicle = platform.directory.vehicle(vin).await?;
    let country = vehicle.map_or_else(String::new, |vehicle| vehicle.build.country_code);
    let time_zone = charging::time_zone(&country);
    let (from, before) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let sessions = charging::sessions(platform, vin, from, before, CHARGING_SESSIONS_MAX).await?;
    archive.begin(&format!("vehicles/{}/charging.jsonl", vin.as_str()))?;
    for session in &sessions {
        let line = json!(ChargingSession::new(session, session.position(), time_zone));
        writeln!(archive.0, "{line}")?;
    }
    Ok(())
}
