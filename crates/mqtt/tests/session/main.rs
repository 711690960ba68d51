//! The rules of an MQTT session, without a network and without a clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod connecting;
mod delivering;
mod exactly_once;
mod fleet;
mod properties;
mod resuming;
mod snapshots;
mod subscribing;
mod version5;
mod world;
