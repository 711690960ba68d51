//! The journal alone, with the limits and the syncs that the server has.

use std::path::Path;
use std::sync::Arc;

use cardata_contract::stream;
use cardata_domain::{Catalogue, Event, Recorded};
use cardata_store::Journal as _;
use cardata_store::journal::LiveFeed;
use cardata_store::journal::embedded::{EmbeddedJournal, Limits};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::{IngestBenchError, Plan, Sent, Speed, all, course_event};
use crate::enrolment::Vehicle;

/// A journal in a folder that goes away.
pub(super) struct Bare {
    journal: Arc<EmbeddedJournal>,
    /// An event of each vehicle.
    events: Vec<Event>,
    now: Timestamp,
    folder: TempDir,
}

/// Nobody reads.
struct Nobody;

impl LiveFeed for Nobody {
    fn publish(&self, _: &Arc<Recorded>) {}
}

impl Bare {
    /// Opens a journal on the disk that `beside` is on.
    pub(super) async fn open(
        beside: &Path,
        vehicles: &[Vehicle],
        now: Timestamp,
    ) -> Result<Self, IngestBenchError> {
        let folder = beside.parent().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
        let folder = folder
            .map_err(|source| IngestBenchError::Folder { beside: beside.to_owned(), source })?;
        let catalogue = Arc::new(Catalogue::shipped());
        let event = |vehicle: &Vehicle| {
            let json = course_event(&vehicle.vin, now, 1000);
            stream::parse(json.as_bytes(), &catalogue).expect("an event of ours can be read").event
        };
        let events = vehicles.iter().map(event).collect();
        let path = folder.path().to_owned();
        let opening = spawn_blocking(move || {
            EmbeddedJournal::open(&path, catalogue, Arc::new(Nobody), Limits::default())
        });
        let journal = match opening.await {
            Ok(journal) => Arc::new(journal?),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        Ok(Self { journal, events, now, folder })
    }

    /// Lets as many tasks as there are vehicles append for a round, a window's events at a time each.
    pub(super) async fn append(&self, plan: Plan) -> Result<Speed, IngestBenchError> {
        let began = Instant::now();
        let over = began + plan.duration;
        let mut senders = JoinSet::new();
        for event in &self.events {
            let (journal, event, now) = (self.journal.clone(), event.clone(), self.now);
            senders.spawn(async move {
                let mut sent = Sent::new();
                loop {
                    let sent_at = Instant::now();
                    if sent_at >= over {
                        return Ok(sent);
                    }
                    let batch = vec![event.clone(); plan.window.into()];
                    journal.append(batch, now).await?;
                    sent.acknowledged(plan.window.into(), sent_at);
                }
            });
        }
        all(senders, began).await
    }

    pub(super) async fn close(self) -> Result<(), IngestBenchError> {
        self.journal.close().await?;
        drop(self.journal);
        // What is left of it is in a folder that nobody looks at.
        let _ = self.folder.close();
        Ok(())
    }
}
