//! The customers' MQTT listener: sockets, tasks and stores around the session of `cardata-mqtt`.

pub mod admission;
pub mod catch_up;
pub mod connection;
pub mod cursors;
mod faulted;
pub(crate) mod fleet;
pub mod groups;
pub mod listener;
pub mod router;
mod sent;
mod spare;
mod timer;
pub(crate) mod websocket;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod test_peer;
#[cfg(test)]
mod tests;
