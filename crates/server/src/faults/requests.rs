//! What faults do to requests of the log-in and the REST API.

use std::time::Duration;

use super::kind::Kind;
use super::registry::Whom;
use crate::platform::Platform;

/// Lets a request wait where a fault wants that; gives the status with which it is to fail, if it is.
pub(crate) async fn hold_up(platform: &Platform, whom: Whom<'_>) -> Option<u16> {
    platform.faults()?;
    let wait = platform.struck(whom, |fault| match fault.kind {
        Kind::Slow(time) => Some(time),
        _ => None,
    });
    tokio::time::sleep(wait.unwrap_or(Duration::ZERO)).await;
    platform.struck(whom, |fault| match fault.kind {
        Kind::HttpError(status) => Some(status),
        _ => None,
    })
}
