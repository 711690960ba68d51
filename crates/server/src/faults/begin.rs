//! Begins and ends faults, with all that goes with it: what strikes at once, what open connections have to know, the
//! ledger.

use std::sync::Arc;
use std::time::Duration;

use cardata_domain::consent::EndReason;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::session::SessionKey;
use cardata_mqtt::CloseReason;
use cardata_store::directory::DirectoryError;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::kind::{Kind, Manner, Tokens};
use super::registry::{Extent, Fault, TooMany, Whom};
use super::wish::Wish;
use super::{CertificateWish, Faults};
use crate::endings::{self, EndError};
use crate::platform::Platform;

/// How long to wait until open connections have looked.
const LOOKING_PATIENCE: Duration = Duration::from_secs(5);

/// Why a fault was not begun, or not ended.
#[derive(Debug, Error)]
pub enum BeginError {
    /// This is no sandbox.
    #[error("this server has no faults on purpose")]
    NoSandbox,
    /// There are as many as there may be.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The certificate can't be changed.
    #[error("the server's certificate can't be changed")]
    Certificate,
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Access was not ended.
    #[error(transparent)]
    End(#[from] EndError),
}

/// Begins what is wished for. Of one that strikes at once, this gives how often it has.
///
/// # Errors
/// [`BeginError`]; there is no such fault then.
pub async fn begin(
    platform: &Arc<Platform>,
    wish: Wish,
    actor: Actor,
) -> Result<Fault, BeginError> {
    let faults = platform.faults.as_ref().ok_or(BeginError::NoSandbox)?;
    let now = platform.clock.now();
    let Wish { kind, narrowed, times, lasts, chance } = wish;
    let until = lasts.map(|lasts| now.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX));
    let extent = Extent { times, until, chance };
    if let Kind::CertificateExpires(expires_in) = kind {
        show_certificate(faults, Some(expires_in)).await?;
    }
    let mut fault = faults.add(kind, narrowed, extent, now)?;
    let began = strike_at_once(platform, faults, &fault, actor).await;
    if began.is_err() || fault.kind.description().manner == Manner::AtOnce {
        fault = faults.remove(fault.id).unwrap_or(fault);
    }
    began?;
    let detail = |record: Record| record.with("kind", fault.kind.name()).with("fault", fault.id);
    note(platform, &fault, actor, Act::FaultBegun, detail).await?;
    metrics::counter!("cardata_faults_begun_total", "kind" => fault.kind.name()).increment(1);
    tracing::info!(fault.id = fault.id, "fault {} ({}) begins", fault.id, fault.kind.name());
    if let Some(lasts) = lasts {
        let (owned, id) = (platform.clone(), fault.id);
        let mut stopping = platform.tasks.stopping();
        platform.tasks.spawn("fault", async move {
            tokio::select! {
                () = stopping.wait() => {}
                () = tokio::time::sleep(lasts) => {
                    if let Err(error) = end(&owned, id, Actor::Service).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "a fault whose time is over was not ended whole");
                    }
                }
            }
        });
    }
    Ok(fault)
}

/// Ends a fault; gives it when it was there. What it held back goes out.
///
/// # Errors
/// [`BeginError`]; the fault is gone also then.
pub async fn end(
    platform: &Arc<Platform>,
    id: u64,
    actor: Actor,
) -> Result<Option<Fault>, BeginError> {
    let faults = platform.faults.as_ref().ok_or(BeginError::NoSandbox)?;
    let Some(fault) = faults.remove(id) else { return Ok(None) };
    if matches!(fault.kind, Kind::CertificateExpires(_)) {
        let others = faults.list(platform.clock.now());
        let shown = others.iter().rev().find_map(|fault| match fault.kind {
            Kind::CertificateExpires(expires_in) => Some(expires_in),
            _ => None,
        });
        show_certificate(faults, shown).await?;
    }
    let_all_look(platform, &fault).await;
    let detail = |record: Record| {
        record
            .with("kind", fault.kind.name())
            .with("fault", fault.id)
            .with("strikes", fault.strikes)
    };
    note(platform, &fault, actor, Act::FaultEnded, detail).await?;
    tracing::info!(
        fault.id = fault.id,
        "fault {} ({}) ends after {} strikes",
        fault.id,
        fault.kind.name(),
        fault.strikes
    );
    Ok(Some(fault))
}

async fn strike_at_once(
    platform: &Arc<Platform>,
    faults: &Faults,
    fault: &Fault,
    actor: Actor,
) -> Result<(), BeginError> {
    let now = platform.clock.now();
    let is_this = |one: &Fault| (one.id == fault.id).then_some(());
    let strike = |key: &SessionKey| !faults.strike(Whom::of(key), now, is_this).is_empty();
    match fault.kind {
        Kind::Drop => drop(platform.router.close_those(CloseReason::Cut, strike)),
        Kind::ExpireTokens(Tokens::All | Tokens::Id) => {
            let expired = |key: &SessionKey| key.gcid.is_some() && strike(key);
            drop(platform.router.close_those(CloseReason::TokenExpired, expired));
        }
        Kind::RevokeConsent => {
            let Some(gcid) = fault.narrowed.gcid else { return Ok(()) };
            let mut consents = platform.directory.consents_of(gcid).await?;
            consents.retain(|consent| {
                let whom = Whom::client(consent.client_id, Some(gcid));
                consent.is_active(now) && !faults.strike(whom, now, is_this).is_empty()
            });
            let why = match actor {
                Actor::Customer => EndReason::Customer,
                _ => EndReason::Operator,
            };
            endings::end_consents(platform, consents, why, actor).await?;
        }
        _ => let_all_look(platform, fault).await,
    }
    Ok(())
}

/// Lets open connections know of a fault that changes what they are, not what they are sent.
async fn let_all_look(platform: &Platform, fault: &Fault) {
    if [Manner::Lasting, Manner::Throughout].contains(&fault.kind.description().manner) {
        // One that does not look in time looks later: nothing is shown that must not be.
        let _ = timeout(LOOKING_PATIENCE, platform.router.all_look_anew().done()).await;
    }
}

async fn show_certificate(faults: &Faults, expires_in: Option<Duration>) -> Result<(), BeginError> {
    let certificates = faults.certificates.as_ref().ok_or(BeginError::Certificate)?;
    let (done, is_shown) = oneshot::channel();
    let wish = CertificateWish { expires_in, done };
    certificates.send(wish).await.map_err(|_| BeginError::Certificate)?;
    match is_shown.await {
        Ok(true) => Ok(()),
        _ => Err(BeginError::Certificate),
    }
}

async fn note(
    platform: &Platform,
    fault: &Fault,
    actor: Actor,
    act: Act,
    detail: impl FnOnce(Record) -> Record,
) -> Result<(), DirectoryError> {
    let mut record = Record::new(platform.clock.now(), actor, act);
    if let Some(gcid) = fault.narrowed.gcid {
        record = record.of(gcid);
    }
    if let Some(client_id) = fault.narrowed.client_id {
        record = record.with_client(client_id);
    }
    platform.directory.append_to_ledger(&[detail(record)]).await
}
