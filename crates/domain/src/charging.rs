//! Charging sessions, found in what a vehicle reports, and the places where it charges.
//!
//! A [`Detector`] takes a vehicle's events one after another and gives [`Session`]s. It knows nothing but the entries:
//! no clock, no journal. What its rules are, and why, is in ADR-0015.

mod detector;
mod machine;
mod place;
mod signal;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::privacy::Position;

pub use detector::{Detector, WAITING_MAX};
pub use place::{PLACE_RADIUS_M, Place, places};
pub use signal::Signals;

/// One charge, from the first to the last flow of current between plugging in and unplugging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When current flowed first. No other session of the vehicle has the same, and none overlaps this one.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub started_at: Timestamp,
    /// When current flowed last; as long as the session runs, until when the vehicle reported.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub ended_at: Timestamp,
    /// Whether it charges, or pauses in the middle.
    pub is_running: bool,
    /// Displayed state of charge at the start, in tenths of a percent.
    pub start_permille: Option<u16>,
    /// Displayed state of charge at the end, in tenths of a percent.
    pub end_permille: Option<u16>,
    /// How the energy was found.
    pub source: EnergySource,
    /// Whether the cabin was heated, cooled or ventilated meanwhile.
    pub is_preconditioned: bool,
    /// The odometer in metres.
    pub mileage_m: Option<u64>,
    /// Where, in ten-millionths of a degree, north and east.
    pub place_e7: Option<(i64, i64)>,
    /// At least one; in order, without overlaps. Between two of them no current flowed.
    pub blocks: Vec<Block>,
}

/// A time in which current flowed without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its begin.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub started_at: Timestamp,
    /// Its end.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub ended_at: Timestamp,
    /// What came from the grid.
    pub energy_joules: u64,
}

/// How the energy of a session was found, the best way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnergySource {
    /// From the power at the plug over time.
    Power,
    /// From the counter of all energy ever taken from the grid.
    Counter,
    /// From the state of charge and the battery's size: what went into the battery, without what was lost before it.
    StateOfCharge,
    /// Nothing tells it; it is what is known of the power, often 0.
    Unknown,
}

/// A charge of which nothing was heard for longer ended when it was heard of last, and one that paused for longer does not
/// go on. Half a day is a night in a garage without reception; after more than that, a car that reports a charge reports
/// another one.
pub const SILENCE_MAX: SignedDuration = SignedDuration::from_hours(12);

const JOULES_PER_KWH: f64 = 3.6e6;

impl Session {
    /// What came from the grid, in kWh; never below 0.
    pub fn energy_kwh(&self) -> f64 {
        kwh(self.blocks.iter().map(|block| block.energy_joules).sum())
    }

    /// How long current flowed: the sum of the blocks, so without the pauses.
    pub fn charged_for(&self) -> SignedDuration {
        self.blocks.iter().map(Block::duration).sum()
    }

    /// Where it was, if that is known.
    pub fn position(&self) -> Option<Position> {
        let (latitude, longitude) = self.place_e7?;
        Some(Position { latitude: degrees(latitude), longitude: degrees(longitude) })
    }
}

impl Block {
    /// How long it was.
    pub fn duration(&self) -> SignedDuration {
        self.ended_at.duration_since(self.started_at)
    }

    /// The mean power at the grid in kW; 0 for a block without a duration.
    pub fn average_kw(&self) -> f64 {
        let hours = self.duration().as_secs_f64() / 3600.0;
        if hours > 0.0 { kwh(self.energy_joules) / hours } else { 0.0 }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a car's energy is far below 2^52 joules")]
fn kwh(joules: u64) -> f64 {
    joules as f64 / JOULES_PER_KWH
}

#[expect(clippy::cast_precision_loss, reason = "at most 1,800,000,000")]
fn degrees(e7: i64) -> f64 {
    e7 as f64 / 1e7
}

#[cfg(test)]
mod tests;
