//! All that listens: GCDM (log-in), the REST API, the portal, the MQTT stream, ingest and the operator's door.

pub mod admin;
pub mod api;
mod attempts;
mod charging;
pub mod clock;
mod crowd;
pub mod docs;
pub mod door;
pub mod endings;
pub mod entitlements;
pub mod faults;
pub mod gcdm;
pub mod ingest;
pub mod platform;
pub mod portal;
pub mod profile;
pub mod quota;
pub mod secret;
pub mod serve;
mod socket;
pub mod stream;
pub mod tally;
pub mod tasks;
#[cfg(test)]
pub(crate) mod test_platform;
pub mod tls;

pub use clock::Clock;
pub use platform::Platform;
pub use profile::Profile;
