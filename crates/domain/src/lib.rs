//! What vehicles, descriptors, containers, events and consents are, and what may happen to them.
//!
//! This crate does no input or output: no file, socket, clock or entropy. `now` and identifiers come
//! in as arguments, so each rule can be tested at the second at which it matters.

pub mod catalogue;
pub mod charging;
pub mod client;
pub mod consent;
pub mod container;
pub mod customer;
pub mod descriptor;
pub mod device_grant;
pub mod event;
pub mod ledger;
pub mod privacy;
pub mod projection;
pub mod refresh;
pub mod session;
pub mod token;
pub mod trip;
pub mod value;
pub mod vehicle;
pub mod vin;

pub use catalogue::Catalogue;
pub use client::ClientId;
pub use customer::Gcid;
pub use descriptor::{DescriptorId, DescriptorSet};
pub use event::{Entry, Event, Recorded, Sequence};
pub use value::Value;
pub use vin::Vin;
