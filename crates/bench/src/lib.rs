//! A load generator: what a server costs in memory, how fast it delivers, and how fast it answers.
//!
//! It measures this server, or any MQTT broker in the same way, so that figures can stand side by side. It knows no more
//! of either than the wire, and what the system tells of a process that runs on the same machine.

pub mod connects;
pub mod cpu;
pub mod delivery;
pub mod enrolment;
pub mod idle;
pub mod ingest;
pub mod latency;
pub mod memory;
pub mod process;
pub mod progress;
pub mod rest;
pub mod room;
pub mod sessions;
pub mod target;
pub mod thread;

mod apart;
mod connection;
mod crew;
mod packet;
mod remedy;
mod timing;
mod trust;

pub use connection::ConnectError;
pub use packet::Strange;
pub use progress::Progress;
pub use remedy::Remedy;
pub use target::Target;
