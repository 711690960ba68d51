//! What a connection has sent, counted burst by burst: looking up counters for each message costs as much as the message.

use cardata_domain::{ClientId, Gcid, Vin};
use cardata_mqtt::packet::{Publish, Qos};

use crate::platform::Platform;

/// Messages of one vehicle that are not counted yet.
#[derive(Default)]
pub(super) struct Sent(Option<Run>);

struct Run {
    customer: Gcid,
    vin: Vin,
    qos: Qos,
    messages: u32,
    snapshots: u32,
}

impl Sent {
    /// A message is on its way to `client_id`.
    pub(super) fn note(&mut self, publish: &Publish, client_id: ClientId, platform: &Platform) {
        let Publish { customer, vin, qos, snapshot, .. } = *publish;
        let is_alike = |run: &Run| (run.customer, run.vin, run.qos) == (customer, vin, qos);
        if !self.0.as_ref().is_some_and(is_alike) {
            self.count(client_id, platform);
        }
        let new = Run { customer, vin, qos, messages: 0, snapshots: 0 };
        let run = self.0.get_or_insert(new);
        run.messages += 1;
        run.snapshots += u32::from(snapshot);
    }

    /// Counts what was noted: for the operator, and for the customer's account of what `client_id` got.
    pub(super) fn count(&mut self, client_id: ClientId, platform: &Platform) {
        let Some(run) = self.0.take() else { return };
        let messages = u64::from(run.messages);
        platform.tally.sent(run.customer, client_id, run.vin, messages, platform.clock.now());
        let qos = ["0", "1", "2"][usize::from(run.qos.level())];
        metrics::counter!("cardata_mqtt_messages_total", "qos" => qos).increment(messages);
        if run.snapshots > 0 {
            let snapshots = u64::from(run.snapshots);
            metrics::counter!("cardata_mqtt_snapshots_total").increment(snapshots);
        }
    }
}
