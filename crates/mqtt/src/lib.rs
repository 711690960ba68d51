//! The MQTT session as a state machine: packets, events and time go in, actions come out.
//!
//! It owns no socket, clock or task, so every rule of delivery is tested without a network. What a client may see comes
//! from a [`Source`].
//!
//! - [`session`]: connect, subscribe, keep alive, close — which packet may come when.
//! - [`delivery`]: which event goes out when, and how far a client got.
//! - [`inflight`]: deliveries that wait for their acknowledgement.
//! - `outlet`: what MQTT 5 adds to a message on its way out.
//! - [`topic`]: filters, and which of a customer's vehicles they name.
//! - [`packet`], [`decode`], [`encode`]: packets, and their bytes both ways.

pub mod decode;
pub mod delivery;
pub mod encode;
pub mod inflight;
mod outlet;
pub mod packet;
pub mod reason;
pub mod session;
pub mod topic;

pub use delivery::Source;
pub use packet::{Packet, Qos, Version};
pub use reason::{CloseReason, ConnectRefusal, SubscribeRefusal};
pub use session::{Action, Admission, Session};
