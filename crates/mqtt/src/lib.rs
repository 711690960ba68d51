//! The MQTT session as a state machine: packets, events and time go in, actions come out.
//!
//! It owns no socket, clock or task, so every rule of delivery is tested without a network. What a client may see comes
//! from a [`Source`]. The two versions differ at the edge only: in the bytes, and in the answers that 3.1.1 has no words
//! for.
//!
//! In the order of the specifications, MQTT 3.1.1 and MQTT 5.0:
//!
//! | Clauses | Module |
//! |---|---|
//! | 1.5, 2, 3: control packets, properties, reason codes | [`packet`] what they say, [`decode`] and [`encode`] their bytes, [`reason`] their codes |
//! | 3.1, 3.2: CONNECT, CONNACK | `session::connect` |
//! | 3.3, 4.6: PUBLISH, message ordering | [`delivery`], and `outlet` for aliases, identifiers and sizes |
//! | 3.4 to 3.7, 4.3, 4.4, 4.9: acknowledgements, quality of service, redelivery, flow control | [`inflight`] |
//! | 3.8 to 3.11: SUBSCRIBE, UNSUBSCRIBE and their answers | `session::subscribe` |
//! | 3.12 to 3.15, 4.12, 4.13: PING, DISCONNECT, AUTH, errors | [`session`] |
//! | 4.7, 4.8.2: topic names and filters, shared subscriptions | [`topic`], and [`reader`] for who may use which |

pub mod decode;
pub mod delivery;
pub mod encode;
pub mod inflight;
mod outlet;
pub mod packet;
mod property;
pub mod reader;
pub mod reason;
pub mod session;
pub mod topic;

pub use delivery::Source;
pub use packet::{Packet, Qos, Version};
pub use reader::{Reader, Vehicles};
pub use reason::{CloseReason, ConnectRefusal, SubscribeRefusal};
pub use session::{Action, Admission, Session};
