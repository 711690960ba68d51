//! What ends when a right ends: open streams, backlog that waits, and the record of it.
//!
//! Each ending is done to its end, also when whoever asked for it goes away, and tells how long it took until the last
//! stream was closed.

use std::sync::Arc;
use std::time::Duration;

use cardata_domain::client::Client;
use cardata_domain::consent::{Consent, EndReason, State};
use cardata_domain::container::Container;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::{self, MappingType};
use cardata_domain::{ClientId, Gcid, Vin};
use cardata_mqtt::CloseReason;
use cardata_store::directory::DirectoryError;
use cardata_store::journal::JournalError;
use jiff::Timestamp;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::platform::Platform;

/// How long to wait for streams that were told to close. One that does not react in time may send nothing any more
/// either: its connection is gone, or about to be.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// Consents that were active until now.
    pub consents: usize,
    /// Streams that were open.
    pub streams: usize,
    /// From the wish to the last stream's end.
    pub took: Duration,
}

/// Why something was not ended, or not whole. To be tried again.
#[derive(Debug, Error)]
pub enum EndError {
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server stopped meanwhile.
    #[error("the server stops")]
    Stopping,
}

impl From<EndError> for DirectoryError {
    /// For callers to whom all that counts is that it failed on this side.
    fn from(error: EndError) -> Self {
        match error {
            EndError::Directory(error) => error,
            other => Self::Store { action: "end access", source: Box::new(other) },
        }
    }
}

/// Ends `consents`: their tokens, the streams that rest on them, and the backlog of clients that have no other.
///
/// # Errors
/// [`EndError`]; those that were ended until then stay so.
pub async fn end_consents(
    platform: &Arc<Platform>,
    consents: Vec<Consent>,
    why: EndReason,
    actor: Actor,
) -> Result<Ended, EndError> {
    let owned = platform.clone();
    let work = async move { end_consents_now(&owned, &consents, why, actor).await };
    platform.tasks.see_through("end_consents", work).await.ok_or(EndError::Stopping)?
}

async fn end_consents_now(
    platform: &Platform,
    consents: &[Consent],
    why: EndReason,
    actor: Actor,
) -> Result<Ended, EndError> {
    let began = Instant::now();
    let mut ended = Ended::default();
    for consent in consents {
        let now = platform.clock.now();
        if !platform.directory.end_consent(consent.id, now, why).await? {
            continue;
        }
        ended.consents += 1;
        let closing = platform.router.close_consent(consent.id);
        let streams = closing.len();
        ended.streams += streams;
        // One that does not close in time is noted all the same: its end is on its way.
        let _ = timeout(CLOSING_PATIENCE, closing.done()).await;
        end_backlog(platform, consent.gcid, consent.client_id).await?;
        let good_until = consent.expires_at.map_or(now, |expires_at| expires_at.min(now));
        leave_fleet(platform, consent.gcid, consent.client_id, good_until).await?;
        ended.took = began.elapsed();
        metrics::counter!("cardata_consents_ended_total", "why" => why.as_str()).increment(1);
        metrics::histogram!("cardata_revocation_seconds").record(ended.took);
        tracing::info!(
            client.id = %consent.client_id,
            consent.id = %consent.id,
            duration_ms = millis(ended.took),
            "access of client {} was ended ({}); {streams} streams were closed",
            consent.client_id,
            why.as_str()
        );
        let record = Record::new(now, actor, Act::ConsentEnded)
            .of(consent.gcid)
            .with_client(consent.client_id)
            .with("consent_id", consent.id.to_string())
            .with("why", why.as_str())
            .with("streams_closed", streams)
            .with("took_ms", millis(ended.took));
        platform.directory.append_to_ledger(&[record]).await?;
    }
    Ok(ended)
}

/// Ends a customer's consents to a client whose time is over, which else happens now and then: nothing of what waits since
/// may come with one that is given now.
///
/// # Errors
/// [`EndError`]; to be tried again.
pub async fn end_expired(
    platform: &Arc<Platform>,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<(), EndError> {
    let now = platform.clock.now();
    let mut expired = platform.directory.consents_of(gcid).await?;
    expired.retain(|consent| {
        consent.client_id == client_id && consent.state == State::Active && !consent.is_active(now)
    });
    if !expired.is_empty() {
        end_consents(platform, expired, EndReason::Expired, Actor::Service).await?;
    }
    Ok(())
}

/// Ends what waits for a client that may see nothing of a customer any more.
async fn end_backlog(
    platform: &Platform,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<(), DirectoryError> {
    let now = platform.clock.now();
    let consents = platform.directory.consents_of(gcid).await?;
    if consents.iter().any(|consent| consent.client_id == client_id && consent.is_active(now)) {
        return Ok(());
    }
    end_sessions(platform, Some(gcid), client_id).await
}

/// Ends what waits for a client's sessions at a customer, or those of its fleet.
async fn end_sessions(
    platform: &Platform,
    gcid: Option<Gcid>,
    client_id: ClientId,
) -> Result<(), DirectoryError> {
    for key in platform.directory.remove_sessions_of(gcid, client_id).await? {
        platform.cursors.forget(&key);
    }
    Ok(())
}

/// Lets a client's fleet show nothing of a customer any more whose last consent to it was good until `good_until`, and
/// ends what waits for it, also where the customer has meanwhile given another one. The fleet's connections stay open.
async fn leave_fleet(
    platform: &Platform,
    gcid: Gcid,
    client_id: ClientId,
    good_until: Timestamp,
) -> Result<(), DirectoryError> {
    fleets_look_anew(platform, &[client_id]).await;
    let now = platform.clock.now();
    let vehicles = platform.directory.fleet(client_id, now).await?;
    if vehicles.iter().any(|vehicle| vehicle.gcid == gcid && vehicle.since <= good_until) {
        return Ok(());
    }
    let mappings = platform.directory.mappings(gcid).await?;
    let own: Vec<_> = vehicle::primary(&mappings).collect();
    forget_in_fleets(platform, Some(client_id), &own).await
}

/// Forgets how far fleets got with vehicles that they may read no longer: those of `client_id`, or of all clients. They
/// must have looked anew.
async fn forget_in_fleets(
    platform: &Platform,
    client_id: Option<ClientId>,
    vehicles: &[Vin],
) -> Result<(), DirectoryError> {
    // Before and after, so that a group that begins or ends meanwhile brings nothing back.
    platform.directory.leave_fleets(client_id, vehicles).await?;
    platform.groups.leave_fleets(client_id, vehicles).await;
    platform.cursors.leave_fleets(client_id, vehicles);
    platform.directory.leave_fleets(client_id, vehicles).await
}

/// Lets the fleets of `clients` look anew at which vehicles they may read.
pub async fn fleets_look_anew(platform: &Platform, clients: &[ClientId]) {
    let looking = platform.router.fleets_look_anew(clients);
    // One that does not look in time is closed, so that it shows nothing that it must not.
    if timeout(CLOSING_PATIENCE, looking.done()).await.is_err() {
        for client_id in clients {
            drop(platform.router.close_fleet(*client_id, CloseReason::StoreFailed));
        }
    }
}

/// Ends a client's connections that rest on its own tokens. Those with a token that is good come back with that.
pub async fn close_fleet(platform: &Platform, client_id: ClientId) {
    let closing = platform.router.close_fleet(client_id, CloseReason::TokenExpired);
    let _ = timeout(CLOSING_PATIENCE, closing.done()).await;
}

/// Ends a client's own tokens, and the connections that rest on them.
///
/// # Errors
/// [`DirectoryError`]; to be tried again.
pub async fn end_own_tokens(
    platform: &Platform,
    client_id: ClientId,
) -> Result<(), DirectoryError> {
    platform.directory.revoke_client_tokens_of(client_id).await?;
    close_fleet(platform, client_id).await;
    Ok(())
}

/// Ends what waits for a client's fleet, which is closed.
async fn end_fleet(platform: &Platform, client_id: ClientId) -> Result<(), DirectoryError> {
    end_own_tokens(platform, client_id).await?;
    end_sessions(platform, None, client_id).await
}

/// Deletes a client, and ends every consent to it.
///
/// # Errors
/// [`EndError`]; to be tried again.
pub async fn delete_client(
    platform: &Arc<Platform>,
    client: Client,
    actor: Actor,
) -> Result<Ended, EndError> {
    let owned = platform.clone();
    let work = async move {
        let platform = &*owned;
        let now = platform.clock.now();
        if let Ok(state) = client.delete(now) {
            platform.directory.put_client(&Client { state, ..client.clone() }).await?;
        }
        end_fleet(platform, client.id).await?;
        let consents = platform.directory.consents_to(client.id).await?;
        let ended = end_consents_now(platform, &consents, EndReason::ClientDeleted, actor).await?;
        let mut record = Record::new(now, actor, Act::ClientDeleted)
            .with_client(client.id)
            .with("name", client.name.clone())
            .with("consents_ended", ended.consents)
            .with("took_ms", millis(ended.took));
        if let cardata_domain::client::Kind::Personal(owner) = client.kind {
            record = record.of(owner);
        }
        platform.directory.append_to_ledger(&[record]).await?;
        Ok(ended)
    };
    platform.tasks.see_through("delete_client", work).await.ok_or(EndError::Stopping)?
}

/// Changes what counts towards a client's entitlement, then lets open streams follow. `work` gives the lines that the
/// ledger gets, together with how long all of it took; none where nothing was changed.
///
/// # Errors
/// What `work` failed with, or that the server stops.
pub async fn change_entitlement<T, E, F>(
    platform: &Arc<Platform>,
    gcid: Gcid,
    client_id: ClientId,
    work: impl FnOnce(Arc<Platform>) -> F,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<EndError> + Send + 'static,
    F: Future<Output = Result<(T, Option<Record>), E>> + Send + 'static,
{
    let owned = platform.clone();
    let change = work(platform.clone());
    let work = async move {
        let began = Instant::now();
        let outcome = change.await;
        // Also after a failure, which may have come behind the change.
        follow(&owned, gcid, client_id).await;
        let (value, record) = outcome?;
        if let Some(record) = record {
            let record = record.with("took_ms", millis(began.elapsed()));
            if let Err(error) = owned.directory.append_to_ledger(&[record]).await {
                // The change stands, and that is what the caller asked about.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a line is missing in the ledger"
                );
            }
        }
        Ok(value)
    };
    let done = platform.tasks.see_through("change_entitlement", work).await;
    done.unwrap_or_else(|| Err(EndError::Stopping.into()))
}

/// Lets open streams of a client follow a change of what it may see.
async fn follow(platform: &Platform, gcid: Gcid, client_id: ClientId) {
    if let Err(error) = platform.entitlements.refresh(gcid, client_id).await {
        metrics::counter!("cardata_entitlement_refresh_failures_total").increment(1);
        tracing::warn!(
            client.id = %client_id,
            error = &error as &(dyn std::error::Error + 'static),
            "what a client may see could not be read anew; its open streams are closed"
        );
        platform.router.close_client(gcid, client_id);
    }
}

/// Lets all open streams of a customer follow a change of zones.
pub async fn follow_zones(platform: &Platform, gcid: Gcid) {
    for client_id in platform.entitlements.watched(gcid).await {
        follow(platform, gcid, client_id).await;
    }
}

/// The line of a deleted container.
pub fn container_deleted(container: &Container, actor: Actor, now: Timestamp) -> Record {
    Record::new(now, actor, Act::ContainerDeleted)
        .of(container.gcid)
        .with_client(container.client_id)
        .with("container_id", container.id.as_str())
        .with("name", container.name.clone())
}

/// Ends the link of a customer to a vehicle. Open streams stop showing it; when the customer was its PRIMARY, its events,
/// values and charging sessions are forgotten, so that the next one sees nothing of them.
///
/// # Errors
/// [`EndError`]; to be tried again.
pub async fn end_mapping(
    platform: &Arc<Platform>,
    gcid: Gcid,
    vin: Vin,
    actor: Actor,
) -> Result<Option<Ended>, EndError> {
    let owned = platform.clone();
    let work = async move {
        let mappings = owned.directory.mappings(gcid).await?;
        let Some(mapping) = mappings.into_iter().find(|mapping| mapping.vin == vin) else {
            return Ok(None);
        };
        if mapping.mapping_type == MappingType::Primary {
            // Before, so that a crash half-way leaves nothing to the next one; and after, for what came meanwhile.
            forget(&owned, vin).await?;
        }
        let began = Instant::now();
        owned.directory.remove_mapping(gcid, vin).await?;
        let streams = look_anew(&owned, gcid).await;
        owned.cursors.forget_vehicle(gcid, vin);
        owned.directory.remove_cursors_of(gcid, vin).await?;
        if mapping.mapping_type == MappingType::Primary {
            forget_in_fleets(&owned, None, &[vin]).await?;
        }
        let took = began.elapsed();
        if mapping.mapping_type == MappingType::Primary {
            forget(&owned, vin).await?;
        }
        let record = Record::new(owned.clock.now(), actor, Act::MappingEnded)
            .of(gcid)
            .with("vin", vin.as_str())
            .with("took_ms", millis(took));
        owned.directory.append_to_ledger(&[record]).await?;
        metrics::histogram!("cardata_revocation_seconds").record(took);
        Ok(Some(Ended { consents: 0, streams, took }))
    };
    platform.tasks.see_through("end_mapping", work).await.ok_or(EndError::Stopping)?
}

/// Forgets what was kept of a vehicle: its events, its latest values, and its charging sessions.
///
/// # Errors
/// [`EndError`]; to be tried again.
pub(crate) async fn forget(platform: &Platform, vin: Vin) -> Result<(), EndError> {
    // The sessions come last: a search that read these events before can't write any more then.
    platform.journal.forget(vin).await?;
    platform.directory.forget_charging(vin).await?;
    Ok(())
}

/// Lets open streams of a customer look anew at which vehicles are theirs; how many there are. Fleets that may read them
/// do so as well.
pub async fn look_anew(platform: &Platform, gcid: Gcid) -> usize {
    let looking = platform.router.look_anew(gcid);
    let streams = looking.len();
    // One that does not look in time is closed, so that it shows nothing that it must not.
    if timeout(CLOSING_PATIENCE, looking.done()).await.is_err() {
        platform.router.close_customer(gcid);
    }
    fleets_look_anew(platform, &fleets_of(platform, gcid).await).await;
    streams
}

/// The clients with open fleets that may read vehicles of a customer; where nobody can say which, all.
async fn fleets_of(platform: &Platform, gcid: Gcid) -> Vec<ClientId> {
    let mut fleets = platform.router.fleets();
    if !fleets.is_empty()
        && let Ok(consents) = platform.directory.consents_of(gcid).await
    {
        fleets.retain(|client_id| consents.iter().any(|consent| consent.client_id == *client_id));
    }
    fleets
}

/// Deletes a customer with everything: access of all clients, events, values and charging sessions of the vehicles that are
/// theirs, and the account.
///
/// # Errors
/// [`EndError`]; to be tried again.
pub async fn delete_customer(
    platform: &Arc<Platform>,
    gcid: Gcid,
    actor: Actor,
) -> Result<bool, EndError> {
    let owned = platform.clone();
    let work = async move {
        let platform = &*owned;
        let now = platform.clock.now();
        let reason =
            if actor == Actor::Operator { EndReason::Operator } else { EndReason::Customer };
        let own = platform.directory.consents_of(gcid).await?;
        end_consents_now(platform, &own, reason, actor).await?;
        for client in platform.directory.clients_of(gcid).await? {
            let others = platform.directory.consents_to(client.id).await?;
            end_consents_now(platform, &others, EndReason::ClientDeleted, actor).await?;
        }
        for mapping in platform.directory.mappings(gcid).await? {
            let is_primary = mapping.mapping_type == MappingType::Primary;
            if is_primary {
                forget(platform, mapping.vin).await?;
            }
            platform.directory.remove_mapping(gcid, mapping.vin).await?;
            if is_primary {
                // Fleets show nothing of it since the consents have ended.
                forget_in_fleets(platform, None, &[mapping.vin]).await?;
                forget(platform, mapping.vin).await?;
            }
        }
        platform.visitors.log_out_everywhere(gcid, None);
        let existed = platform.directory.delete_customer(gcid).await?;
        if existed {
            // It names nobody: whoever left must not be found here.
            let record = Record::new(now, actor, Act::CustomerDeleted);
            platform.directory.append_to_ledger(&[record]).await?;
        }
        Ok(existed)
    };
    platform.tasks.see_through("delete_customer", work).await.ok_or(EndError::Stopping)?
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
