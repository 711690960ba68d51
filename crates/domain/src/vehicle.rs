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

/// The brands that the wire has; another one breaks a client (wire §4.7).
pub const BRANDS: [&str; 6] =
    ["BMW", "BMWi", "BMW Motorrad", "Toyota-Supra", "MINI", "Rolls-Royce"];

/// What was fixed when the vehicle was built (wire §4.7).
///
/// An empty text, no doors and 1970 stand for what is not known; the wire leaves that out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
// A row that an older version wrote has fewer members.
#[serde(default)]
pub struct Build {
    /// One of [`BRANDS`].
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
    /// Whether it has a navigation system.
    pub has_navi: Option<bool>,
    /// Whether it has a sun roof.
    pub has_sun_roof: Option<bool>,
    /// The head unit, such as `MGU_02_A`.
    pub head_unit: String,
    /// The side of the steering wheel, one of [`STEERING`].
    pub steering: String,
    /// The engine's or electric machine's type, such as `HA0001N0`.
    pub engine: String,
    /// How it is charged, one of [`CHARGING_MODES`]; empty also where nothing is charged.
    pub charging_modes: String,
    /// The codes of its optional equipment, such as `01CE,0205`.
    pub equipment_codes: String,
    /// The state of its SIM card, such as `ACTIVE`.
    pub sim_status: String,
}

/// The sides of the steering wheel.
pub const STEERING: [&str; 2] = ["LL", "RL"];
/// Ways to charge, each with spaces between its words.
pub const CHARGING_MODES: [&str; 3] = ["AC", "DC", "AC DC"];

impl Build {
    /// That of a vehicle of which nothing is known but what drives it, which then names the model.
    pub fn unknown(drivetrain: Drivetrain) -> Self {
        Self { brand: BRANDS[0].to_owned(), model_name: drivetrain.to_string(), ..Self::default() }
    }
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

/// The text names no type of link.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown type of link `{0}`; known are: PRIMARY SECONDARY")]
pub struct UnknownMappingType(String);

impl FromStr for MappingType {
    type Err = UnknownMappingType;

    fn from_str(text: &str) -> Result<Self, UnknownMappingType> {
        let known = [Self::Primary, Self::Secondary].into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| UnknownMappingType(text.to_owned()))
    }
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

/// The vehicles of which a customer with these mappings is PRIMARY, and may read the data.
pub fn primary(mappings: &[Mapping]) -> impl Iterator<Item = Vin> {
    mappings
        .iter()
        .filter(|mapping| mapping.mapping_type == MappingType::Primary)
        .map(|mapping| mapping.vin)
}
