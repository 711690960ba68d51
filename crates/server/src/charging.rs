//! Searches the journal for charging sessions, and keeps what it finds in the directory.
//!
//! The search has no memory of its own: how far it got with a vehicle stands in the directory, and is written together
//! with the sessions that were found until there. So it goes on after a crash as if nothing had been
//! ([`Directory::put_charging`](cardata_store::Directory::put_charging)).

use std::sync::Arc;

use cardata_domain::charging::{SILENCE_MAX, Session, Signals};
use cardata_domain::privacy::{LocationPrivacy, Position};
use cardata_domain::{Sequence, Vin};
use cardata_store::directory::{ChargingProgress, ChargingUpdate, DirectoryError};
use cardata_store::journal::JournalError;
use jiff::Timestamp;
use thiserror::Error;

use crate::platform::Platform;

/// Events of one vehicle that are searched before others have their turn.
const EVENTS_MAX: usize = 1_000;
/// Vehicles whose finds are written together.
const VEHICLES_MAX: usize = 32;
/// Turns in one round; what is left is searched in the next round.
const TURNS_MAX: usize = 50;

#[derive(Debug, Error)]
enum SearchError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Searches what came since the last call; whether it is behind, as with more than it searches at once. What can't be
/// searched now is searched at the next call.
pub(crate) async fn search(platform: Arc<Platform>) -> bool {
    let signals = Signals::new(&platform.catalogue);
    for _ in 0..TURNS_MAX {
        match search_all(&platform, &signals).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                report(&error);
                return true;
            }
        }
    }
    true
}

/// One turn of all vehicles; whether any has more.
async fn search_all(platform: &Platform, signals: &Signals) -> Result<bool, SearchError> {
    let cursors = platform.directory.charging_cursors().await?;
    let synced = platform.journal.synced();
    let has_news = |vin, cursor| platform.journal.head(vin) > cursor || cursor > synced;
    let news: Vec<Vin> = cursors
        .into_iter()
        .filter(|(vin, cursor)| has_news(*vin, *cursor))
        .map(|(vin, _)| vin)
        .collect();
    let mut has_more = false;
    for vins in news.chunks(VEHICLES_MAX) {
        let mut updates = Vec::new();
        for vin in vins {
            match search_one(platform, signals, *vin).await {
                Ok(Some((update, is_last))) => {
                    has_more |= !is_last;
                    updates.push(update);
                }
                Ok(None) => {}
                // The others have theirs all the same.
                Err(error) => report(&error),
            }
        }
        keep(platform, &updates).await?;
    }
    Ok(has_more)
}

/// The next step with one vehicle, and whether it is the last for now.
async fn search_one(
    platform: &Platform,
    signals: &Signals,
    vin: Vin,
) -> Result<Option<(ChargingUpdate, bool)>, SearchError> {
    let ChargingProgress { version, cursor, mut detector } =
        platform.directory.charging_progress(vin).await?;
    // An event that a crash takes with it leaves its number to another one.
    let synced = platform.journal.synced();
    // A journal that was put back from an older copy, or began anew, gives numbers again. What was searched before is
    // only read again then: the detector takes nothing twice.
    let after = if cursor > synced { Sequence(0) } else { cursor };
    let mut events = platform.journal.read(vin, after, EVENTS_MAX).await?;
    let is_last = events.len() < EVENTS_MAX;
    events.retain(|recorded| recorded.sequence <= synced);
    let Some(cursor) = events.last().map(|recorded| recorded.sequence) else { return Ok(None) };
    let late: u64 = events.iter().map(|recorded| detector.observe(&recorded.event, signals)).sum();
    metrics::counter!("cardata_charging_late_entries_total").increment(late);
    let (settled, unsettled) = (detector.take_settled(), detector.unsettled());
    let progress = ChargingProgress { version, cursor, detector };
    Ok(Some((ChargingUpdate { vin, progress, settled, unsettled }, is_last)))
}

async fn keep(platform: &Platform, updates: &[ChargingUpdate]) -> Result<(), DirectoryError> {
    if updates.is_empty() {
        return Ok(());
    }
    let settled: usize = updates.iter().map(|update| update.settled.len()).sum();
    // Those that were left out were forgotten meanwhile; the next turn begins with what came after.
    platform.directory.put_charging(updates).await?;
    metrics::counter!("cardata_charging_sessions_total").increment(settled as u64);
    Ok(())
}

fn report(error: &SearchError) {
    metrics::counter!("cardata_charging_search_errors_total").increment(1);
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "charging was not searched; the next round tries again");
}

/// A vehicle's sessions that began at `from` or later and earlier than `before`, the newest first, as they are `now`.
///
/// # Errors
/// [`DirectoryError`] when they can't be read.
pub(crate) async fn sessions(
    platform: &Platform,
    vin: Vin,
    from: Timestamp,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, DirectoryError> {
    let now = platform.clock.now();
    let mut found = platform.directory.charging_sessions(vin, from, before, limit).await?;
    for session in &mut found {
        // Nobody may tell of its end any more.
        session.is_running &= now.duration_since(session.ended_at) <= SILENCE_MAX;
    }
    Ok(found)
}

/// Where `session` was, as exactly as `privacy` allows a client to know it.
pub(crate) fn shown_position(
    session: &Session,
    privacy: Option<&LocationPrivacy>,
) -> Option<Position> {
    let position = session.position()?;
    privacy.map_or(Some(position), |privacy| privacy.show(position))
}

/// The time zone of a country, by its two letters; `Etc/UTC` for those that have several, or are not known here.
pub(crate) fn time_zone(country_code: &str) -> &'static str {
    let known = TIME_ZONES.iter().find(|(code, _)| *code == country_code);
    known.map_or("Etc/UTC", |(_, zone)| zone)
}

/// No descriptor tells a vehicle's time zone.
const TIME_ZONES: [(&str, &str); 36] = [
    ("AT", "Europe/Vienna"),
    ("BE", "Europe/Brussels"),
    ("BG", "Europe/Sofia"),
    ("CH", "Europe/Zurich"),
    ("CY", "Asia/Nicosia"),
    ("CZ", "Europe/Prague"),
    ("DE", "Europe/Berlin"),
    ("DK", "Europe/Copenhagen"),
    ("EE", "Europe/Tallinn"),
    ("FI", "Europe/Helsinki"),
    ("FR", "Europe/Paris"),
    ("GB", "Europe/London"),
    ("GR", "Europe/Athens"),
    ("HR", "Europe/Zagreb"),
    ("HU", "Europe/Budapest"),
    ("IE", "Europe/Dublin"),
    ("IL", "Asia/Jerusalem"),
    ("IS", "Atlantic/Reykjavik"),
    ("IT", "Europe/Rome"),
    ("JP", "Asia/Tokyo"),
    ("KR", "Asia/Seoul"),
    ("LI", "Europe/Vaduz"),
    ("LT", "Europe/Vilnius"),
    ("LU", "Europe/Luxembourg"),
    ("LV", "Europe/Riga"),
    ("MT", "Europe/Malta"),
    ("NL", "Europe/Amsterdam"),
    ("NO", "Europe/Oslo"),
    ("PL", "Europe/Warsaw"),
    ("RO", "Europe/Bucharest"),
    ("SE", "Europe/Stockholm"),
    ("SG", "Asia/Singapore"),
    ("SI", "Europe/Ljubljana"),
    ("SK", "Europe/Bratislava"),
    ("TR", "Europe/Istanbul"),
    ("ZA", "Africa/Johannesburg"),
];

#[cfg(test)]
mod tests;
