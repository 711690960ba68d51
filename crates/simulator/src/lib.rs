//! Vehicles that drive, park and charge, by seed and elapsed time.
//!
//! This crate does no input or output: whoever runs a [`Vehicle`] reads the clock and passes the time in, and stores
//! or sends the events that come out. The same seed and the same times give the same events.

mod battery;
mod car;
mod charge;
mod diary;
mod model;
pub mod recording;
mod report;
mod route;
mod signals;
mod stay;
mod trip;
mod vehicle;

pub use car::Energy;
pub use diary::Charge;
pub use model::demo_build;
pub use vehicle::Vehicle;
