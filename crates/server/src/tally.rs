//! What clients were sent, counted in memory and written together: a commit for each message would cost more than the
//! message.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::{ClientId, Gcid, Vin};
use cardata_store::Directory;
use cardata_store::directory::{Channel, Delivery, DirectoryError};
use jiff::Timestamp;

/// What was sent since it was written last.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    deliveries: HashMap<(Gcid, ClientId, Vin, Channel), Delivery>,
    reads: HashMap<Read, Reads>,
}

/// A client that reads a vehicle's data at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Read {
    /// Whose data.
    pub gcid: Gcid,
    /// By which client.
    pub client_id: ClientId,
    /// Of which vehicle.
    pub vin: Vin,
    /// Where, such as `telematicData`.
    pub endpoint: &'static str,
}

struct Reads {
    first_at: Timestamp,
    times: u64,
}

impl Tally {
    /// So many `messages` of `vin` are on their way to a client.
    pub fn sent(&self, gcid: Gcid, client_id: ClientId, vin: Vin, messages: u64, now: Timestamp) {
        self.lock().count(gcid, client_id, vin, Channel::Stream, (messages, now));
    }

    /// A client read data over REST.
    pub fn read(&self, read: Read, now: Timestamp) {
        let mut counts = self.lock();
        counts.count(read.gcid, read.client_id, read.vin, Channel::Rest, (1, now));
        counts.reads.entry(read).or_insert(Reads { first_at: now, times: 0 }).times += 1;
    }

    /// Writes what was counted.
    ///
    /// # Errors
    /// [`DirectoryError`]: what was not written is counted on, and the next call tries again.
    pub async fn flush(&self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        let (deliveries, reads) = {
            let mut counts = self.lock();
            (std::mem::take(&mut counts.deliveries), std::mem::take(&mut counts.reads))
        };
        if deliveries.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = deliveries.into_values().collect();
        if let Err(error) = directory.count_deliveries(&all).await {
            let mut counts = self.lock();
            for delivery in all {
                counts.add(delivery);
            }
            // What was read meanwhile counts from its own beginning.
            for (read, reads) in reads {
                counts.reads.entry(read).or_insert(Reads { times: 0, ..reads }).times +=
                    reads.times;
            }
            return Err(error);
        }
        let records: Vec<_> = reads.iter().map(|(read, reads)| record(read, reads)).collect();
        directory.append_to_ledger(&records).await
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn count(
        &mut self,
        gcid: Gcid,
        client_id: ClientId,
        vin: Vin,
        channel: Channel,
        (messages, now): (u64, Timestamp),
    ) {
        self.add(Delivery { gcid, client_id, vin, channel, first_at: now, last_at: now, messages });
    }

    fn add(&mut self, more: Delivery) {
        let key = (more.gcid, more.client_id, more.vin, more.channel);
        let Some(known) = self.deliveries.get_mut(&key) else {
            self.deliveries.insert(key, more);
            return;
        };
        known.first_at = known.first_at.min(more.first_at);
        known.last_at = known.last_at.max(more.last_at);
        known.messages += more.messages;
    }
}

fn record(read: &Read, reads: &Reads) -> Record {
    Record::new(reads.first_at, Actor::Client, Act::DataRead)
        .of(read.gcid)
        .with_client(read.client_id)
        .with("endpoint", read.endpoint)
        .with("vin", read.vin.as_str())
        .with("times", reads.times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_platform::{Person, START, World};

    #[tokio::test]
    async fn what_was_sent_and_read_is_added_up_and_written_once() {
        let world = World::new().await;
        let directory = &*world.platform.directory;
        let (gcid, client_id) = (Person::Anna.gcid(), Person::Anna.client_id());
        let vin: Vin = "WBY00000000000001".parse().unwrap();
        let later = START + jiff::SignedDuration::from_secs(5);
        let tally = Tally::default();
        tally.sent(gcid, client_id, vin, 1, later);
        tally.sent(gcid, client_id, vin, 1, START);
        for _ in 0..3 {
            tally.read(Read { gcid, client_id, vin, endpoint: "telematicData" }, START);
        }
        for _ in 0..2 {
            tally.flush(directory).await.unwrap();
        }
        let deliveries = directory.deliveries(gcid).await.unwrap();
        let told: Vec<_> = deliveries
            .iter()
            .map(|one| (one.channel, one.first_at, one.last_at, one.messages))
            .collect();
        assert!(told.contains(&(Channel::Stream, START, later, 2)), "{told:?}");
        assert!(told.contains(&(Channel::Rest, START, START, 3)), "{told:?}");
        let query = cardata_store::directory::LedgerQuery {
            gcid: Some(gcid),
            limit: 10,
            ..Default::default()
        };
        let lines = directory.ledger(query).await.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].1.detail["times"], 3);
    }
}
