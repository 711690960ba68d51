//! The log of all events. Nothing else stores events.

pub mod embedded;
mod latest;
pub mod memory;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use cardata_domain::{Entry, Event, Recorded, Sequence, Vin};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use self::embedded::EmbeddedJournal;
pub use self::memory::MemoryJournal;

/// Gets every appended event at once, before it is on disk.
///
/// Calls come one after another, in sequence order. They are made while the journal hands out numbers, so an
/// implementation must return quickly, must never wait, and must not call the journal's methods.
pub trait LiveFeed: Send + Sync + 'static {
    /// `event` was given its number.
    fn publish(&self, event: &Arc<Recorded>);
}

/// The journal: appends events, reads them back by vehicle and number, and knows each signal's latest value.
///
/// Numbers are dense over all vehicles of one journal and never given twice to events that were synced.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Appends `events` in their order, each with the next number, and returns the number of the last.
    ///
    /// The live feed gets them at once. When this returns, they survive a crash of the process and of the machine: one
    /// sync serves all batches that are waiting. Waits while too many events are waiting to be synced. `now` is kept
    /// for retention by age. An empty batch returns the newest number.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of the batch may be acknowledged. After a failed write every later append fails, too,
    /// until the journal is opened anew.
    async fn append(&self, events: Vec<Event>, now: Timestamp) -> Result<Sequence, JournalError>;

    /// The events of `vin` with a number above `after`, in order, at most `limit` of them; also those that are not
    /// synced yet. Fewer than `limit` means that there are no more at this moment.
    ///
    /// # Errors
    /// [`JournalError`] when the store can't be read.
    async fn read(
        &self,
        vin: Vin,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, JournalError>;

    /// The number of the newest event of `vin`, synced or not; 0 when there never was one.
    fn head(&self, vin: Vin) -> Sequence;

    /// Every event up to this number is on disk.
    fn synced(&self) -> Sequence;

    /// A number from which on a reader sees every event, of any vehicle, that was appended at `at` or later, and few
    /// others: by the times that `append` was given, if these never went back.
    ///
    /// # Errors
    /// [`JournalError`] when the store can't be read.
    async fn before(&self, at: Timestamp) -> Result<Sequence, JournalError>;

    /// The latest value of each signal of `vin`, by the entries' own times, whatever order events arrived in; of two
    /// with the same time, the one appended later. Retention does not touch them.
    ///
    /// # Errors
    /// [`JournalError`] when the store can't be read.
    async fn latest(&self, vin: Vin) -> Result<Arc<[Entry]>, JournalError>;

    /// Drops the oldest events until `retention` is met and returns how many went. Each vehicle's numbers go on
    /// growing, and its latest values stay.
    ///
    /// # Errors
    /// [`JournalError`] when the store can't be changed.
    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<u64, JournalError>;

    /// Forgets every event of `vin` that was appended until now, and its latest values, as when its owner leaves or sells
    /// it. Returns how many events went.
    ///
    /// Whoever reads after the call began finds them gone. When this returns, no crash brings them back; a crash or
    /// [`Journal::close`] before that leaves either all or nothing of them. What is appended after the call began stays.
    /// The vehicle's numbers go on growing: a reader that is behind finds a gap, as after retention.
    ///
    /// Until retention comes to its number, the journal still knows that there was an event, but neither whose nor when
    /// nor what. The vehicle's newest number stays with its VIN, also beyond that.
    ///
    /// # Errors
    /// [`JournalError`] when the store can't be changed, or the journal is closed: call again when it is open.
    async fn forget(&self, vin: Vin) -> Result<u64, JournalError>;

    /// Syncs what is waiting and stops; later appends fail.
    ///
    /// # Errors
    /// [`JournalError`] when the last sync failed.
    async fn close(&self) -> Result<(), JournalError>;
}

/// How long events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events appended longer ago than this go.
    pub age_max: SignedDuration,
    /// The oldest events go until those that are left have at most this many bytes, counted as JSON text.
    pub size_bytes_max: u64,
}

/// Why the journal can't do what it was asked to.
#[derive(Debug, Clone, Error)]
pub enum JournalError {
    /// The store below failed.
    #[error("the journal's store failed")]
    Store(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What was read is not what was written.
    #[error("the journal is damaged at event {}: {reason}", at.0)]
    Damaged {
        /// The number of the event that can't be read.
        at: Sequence,
        /// What is wrong with it.
        reason: String,
    },
    /// A write failed before, or the journal was closed.
    #[error("the journal takes no more events: it was closed, or a write failed")]
    Closed,
}
