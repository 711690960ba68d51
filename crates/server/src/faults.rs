//! Faults on purpose: what a sandbox does wrong when it is told to, so that a client's author can see how the client
//! takes it.
//!
//! [`kind`] says what can go wrong, [`registry`] whom it strikes and when, [`wish`] what may be wished for, [`begin`] begins
//! and ends faults. What a fault does is done where the right thing would have been done; each such place asks
//! `Platform::struck`. A platform without [`Faults`], as all but a sandbox are, can have none.

pub mod begin;
pub mod kind;
mod mappings;
pub mod registry;
pub(crate) mod requests;
pub(crate) mod tokens;
pub mod wish;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::kind::Kind;
pub use self::registry::{Fault, Narrowed, Strike, TooMany, Whom};

use self::registry::{Extent, Registry};
use crate::platform::Platform;

/// The faults of a sandbox.
#[derive(Default)]
pub struct Faults {
    /// Whether there is any: all that is looked at where there is none.
    any: AtomicBool,
    registry: Mutex<Registry>,
    /// Told how many strikes there were.
    struck: watch::Sender<u64>,
    certificates: Option<mpsc::Sender<CertificateWish>>,
}

/// Which certificate the server is to show from now on.
#[derive(Debug)]
pub struct CertificateWish {
    /// One that ends so soon; the one that it has otherwise, where nothing is said.
    pub expires_in: Option<Duration>,
    /// Told whether it is shown.
    pub done: oneshot::Sender<bool>,
}

impl Faults {
    /// None yet; whoever hears `certificates` can show another certificate.
    pub fn new(certificates: mpsc::Sender<CertificateWish>) -> Self {
        Self { certificates: Some(certificates), ..Self::default() }
    }

    /// Those that are there at `now`, the oldest first.
    pub fn list(&self, now: Timestamp) -> Vec<Fault> {
        self.lock().list(now).cloned().collect()
    }

    /// Whether the fault with this number is there at `now`.
    pub(crate) fn has(&self, id: u64, now: Timestamp) -> bool {
        self.lock().list(now).any(|fault| fault.id == id)
    }

    /// The number of the newest one.
    pub(crate) fn newest(&self) -> u64 {
        self.lock().begun_total()
    }

    /// Strikes after the one with the number `since`, the oldest first, at most `limit`; waits so long for the first one
    /// when there is none yet.
    pub async fn log(&self, since: u64, limit: usize, patience: Duration) -> Vec<Strike> {
        let mut struck = self.struck.subscribe();
        // When nothing comes in time, there is nothing to tell.
        let _ = tokio::time::timeout(patience, struck.wait_for(|total| *total > since)).await;
        self.lock().log(since, limit)
    }

    /// What `pick` makes of each fault that strikes `whom` at `now`; see [`Registry::strike`].
    pub(crate) fn strike<T>(
        &self,
        whom: Whom<'_>,
        now: Timestamp,
        pick: impl Fn(&Fault) -> Option<T>,
    ) -> Vec<T> {
        let (struck, kinds, total) = {
            let mut registry = self.lock();
            let before = registry.struck_total();
            let struck = registry.strike(whom, now, pick);
            let kinds: Vec<_> =
                registry.log(before, struck.len()).iter().map(|strike| strike.kind).collect();
            (struck, kinds, registry.struck_total())
        };
        for kind in &kinds {
            metrics::counter!("cardata_faults_struck_total", "kind" => *kind).increment(1);
        }
        if !kinds.is_empty() {
            self.struck.send_replace(total);
        }
        self.note();
        struck
    }

    fn add(
        &self,
        kind: Kind,
        narrowed: Narrowed,
        extent: Extent,
        now: Timestamp,
    ) -> Result<Fault, TooMany> {
        let added = self.lock().begin(kind, narrowed, extent, now);
        self.note();
        added
    }

    fn remove(&self, id: u64) -> Option<Fault> {
        let removed = self.lock().end(id);
        self.note();
        removed
    }

    /// Notes whether there is any.
    fn note(&self) {
        let registry = self.lock();
        self.any.store(!registry.is_empty(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platform {
    /// The faults, if there is any.
    pub(crate) fn faults(&self) -> Option<&Faults> {
        self.faults.as_ref().filter(|faults| faults.any.load(Ordering::Acquire))
    }

    /// What `pick` makes of the oldest fault that strikes `whom` now, if one does.
    pub(crate) fn struck<T>(
        &self,
        whom: Whom<'_>,
        pick: impl Fn(&Fault) -> Option<T>,
    ) -> Option<T> {
        self.faults()?.strike(whom, self.clock.now(), pick).into_iter().next()
    }

    /// Whether a fault of this kind strikes `whom` now.
    pub(crate) fn is_struck(&self, whom: Whom<'_>, kind: &Kind) -> bool {
        self.struck(whom, |fault| (fault.kind == *kind).then_some(())).is_some()
    }
}
