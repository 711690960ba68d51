//! Vehicles that drive, park and charge, by seed and elapsed time.
//!
//! This crate does no input or output: whoever runs a [`Vehicle`] reads the clock and passes the time in, and stores
//! or sends the events that come out. The same seed and the same times give the same events.

mod battery;
mod car;
mod charge;
pub mod comparison;
mod diary;
mod model;
mod outbox;
mod owner;
pub mod recording;
mod report;
mod route;
pub mod scenario;
mod signals;
mod stay;
mod trip;
mod vehicle;
mod weather;

pub use car::Energy;
pub use diary::Charge;
pub use model::{Kind, demo_build};
pub use report::{Equipment, Reports};
pub use route::{Charger, RouteName};
pub use scenario::{Scenario, ScenarioError};
pub use vehicle::Vehicle;
