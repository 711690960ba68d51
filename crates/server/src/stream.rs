//! The customers' MQTT listener: sockets, tasks and stores around the session of `cardata-mqtt`.

pub mod admission;
pub mod codec;
pub mod connection;
pub mod cursors;
mod form;
pub mod listener;
pub mod router;
pub(crate) mod websocket;

#[cfg(test)]
mod tests;
