//! What is kept of a persistent MQTT session while nobody is connected.

use crate::client::ClientId;
use crate::customer::Gcid;
use crate::event::Sequence;
use crate::vin::Vin;

/// Names a session. Two integrations that both use the GCID as MQTT client id have different OAuth clients, so they
/// don't push each other out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose data.
    pub gcid: Gcid,
    /// For which OAuth client.
    pub client_id: ClientId,
    /// The client identifier of the MQTT CONNECT packet.
    pub mqtt_client_id: String,
}

/// A persistent session at rest: what it subscribed to and how far it got. An offline client costs just this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredSession {
    /// Topic filters and the QoS granted for each.
    pub subscriptions: Vec<(String, u8)>,
    /// Seconds that it is kept after its connection has ended; `None` for ever.
    pub expiry_seconds: Option<u32>,
    /// For each VIN with a subscription of QoS 1 or 2: the sequence number up to which everything was acknowledged.
    pub cursors: Vec<(Vin, Sequence)>,
}
