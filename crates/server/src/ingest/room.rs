//! How much of what senders sent is in memory at a time: from its reading until it is on disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Kibibytes of events that are in memory at a time.
const ROOM_KIB: u32 = 64 << 10;

/// How long a request waits for its share.
const PATIENCE: Duration = Duration::from_secs(5);

/// A place for so many bytes.
pub(crate) struct Room {
    free_kib: Arc<Semaphore>,
    pub(super) patience: Duration,
}

/// A part of it, free again when this is dropped.
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
    bytes: f64,
}

impl Default for Room {
    fn default() -> Self {
        Self { free_kib: Arc::new(Semaphore::new(ROOM_KIB as usize)), patience: PATIENCE }
    }
}

impl Room {
    /// A share of so many bytes; waits until there is one. Whoever asked first gets it first.
    pub(super) async fn share(&self, bytes: usize) -> Share {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, ROOM_KIB);
        let permit = self.free_kib.clone().acquire_many_owned(kib).await;
        let permit = permit.expect("the semaphore is never closed");
        let bytes = f64::from(kib) * 1024.0;
        metrics::gauge!("cardata_ingest_pending_bytes").increment(bytes);
        Share { _permit: permit, bytes }
    }

    /// The same, or nothing where that takes too long.
    pub(super) async fn share_in_time(&self, bytes: usize) -> Option<Share> {
        tokio::time::timeout(self.patience, self.share(bytes)).await.ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        metrics::gauge!("cardata_ingest_pending_bytes").decrement(self.bytes);
    }
}
