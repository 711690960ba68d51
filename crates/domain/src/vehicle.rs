//! Vehicles, and who may read their data.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::customer::Gcid;
use crate::vin::Vin;

/// What drives the vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drivetrain {
    /// Battery electric.
    Bev,
    /// Plug-in hybrid.
    Phev,
    /// Mild hybrid.
    Mhev,
    /// Combustion engine only.
    Ice,
}

/// The text names no drivetrain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown drivetrain `{0}`; known are: BEV PHEV MHEV ICE")]
pub struct UnknownDrivetrain(String);

impl Drivetrain {
    /// The name in the catalogue: `BEV`, `PHEV`, `MHEV` or `ICE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bev => "BEV",
            Self::Phev => "PHEV",
            Self::Mhev => "MHEV",
            Self::Ice => "ICE",
        }
    }
}

impl FromStr for Drivetrain {
    type Err = UnknownDrivetrain;

    fn from_str(text: &str) -> Result<Self, UnknownDrivetrain> {
        [Self::Bev, Self::Phev, Self::Mhev, Self::Ice]
            .into_iter()
            .find(|drivetrain| drivetrain.as_str() == text)
            .ok_or_else(|| UnknownDrivetrain(text.to_owned()))
    }
}

impl fmt::Display for Drivetrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was fixed when the vehicle was built (wire §4.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// `BMW`, `BMWi`, `MINI`, …
    pub brand: String,
    /// Such as `i5 xDrive40`.
    pub model_name: String,
    /// Such as `21FJ`.
    pub model_key: String,
    /// Such as `5`.
    pub series: String,
    /// The series' development code, such as `G60`.
    pub series_devt: String,
    /// Such as `Limousine`.
    pub body_type: String,
    /// Doors, the boot lid not counted.
    pub number_of_doors: u8,
    /// Such as `475`.
    pub colour_code: String,
    /// Such as `BLACK SAPPHIRE METALLIC`.
    pub colour_description: String,
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    /// When it was built.
    pub constructed_at: Timestamp,
    /// The high-voltage battery's nominal gross capacity in Ah, where there is such a battery.
    pub battery_ah: Option<String>,
}

/// A vehicle that this service knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vehicle {
    /// Its number.
    pub vin: Vin,
    /// What drives it.
    pub drivetrain: Drivetrain,
    /// What was fixed when it was built.
    pub build: Build,
}

/// What a customer is to a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MappingType {
    /// The one whose data it is; only PRIMARY may read.
    Primary,
    /// A further driver; reads nothing.
    Secondary,
}

impl MappingType {
    /// `PRIMARY` or `SECONDARY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Secondary => "SECONDARY",
        }
    }
}

/// A customer–vehicle link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The customer.
    pub gcid: Gcid,
    /// The vehicle.
    pub vin: Vin,
    /// What the one is to the other.
    pub mapping_type: MappingType,
    /// Since when.
    pub since: Timestamp,
}
