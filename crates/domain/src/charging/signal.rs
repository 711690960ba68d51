//! What of a vehicle's entries tells of charging, as whole numbers.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;
use crate::descriptor::DescriptorId;
use crate::event::Entry;
use crate::privacy::{LATITUDE, LONGITUDE};
use crate::value::Value;

pub(super) const MINUTE_MS: i64 = 60_000;

/// What a sample tells. Of one instant, samples count in this order: what the car is and where it stands, then how much
/// flowed until now, then whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Signal {
    /// Energy that the battery can give, in Wh.
    #[serde(rename = "usable")]
    UsableWh,
    /// Energy that the battery holds, in Wh.
    #[serde(rename = "gross")]
    GrossWh,
    /// The odometer in metres.
    #[serde(rename = "m")]
    MileageM,
    /// North, in ten-millionths of a degree.
    #[serde(rename = "lat")]
    LatitudeE7,
    /// East, in ten-millionths of a degree.
    #[serde(rename = "lon")]
    LongitudeE7,
    /// At the plug, in W.
    #[serde(rename = "w")]
    PowerW,
    /// All energy ever taken from the grid, in Wh.
    #[serde(rename = "wh")]
    CounterWh,
    /// The displayed state of charge with its tenths.
    #[serde(rename = "soc")]
    Permille,
    /// The displayed state of charge in whole percent.
    #[serde(rename = "header")]
    WholePermille,
    /// 1 while the cabin is heated, cooled or ventilated.
    #[serde(rename = "cabin")]
    Preconditioning,
    /// 1 while a cable is in.
    #[serde(rename = "plug")]
    Plugged,
    /// What the high-voltage battery does, as an [`Activity`].
    #[serde(rename = "hv")]
    HvActivity,
    /// What the charging does, as an [`Activity`].
    #[serde(rename = "status")]
    Activity,
}

impl Signal {
    /// Of what changes all the time while the vehicle drives and is wanted when it stands, the last of each minute does.
    pub(super) fn is_kept_by_minute(self) -> bool {
        matches!(self, Self::MileageM | Self::LatitudeE7 | Self::LongitudeE7)
    }
}

/// Which minute it is, counted from 1970.
pub(super) fn minute(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

/// What a state of charging means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Activity {
    /// Current flows.
    Charging,
    /// It will flow, or flow again.
    Waiting,
    /// It has flowed.
    Ended,
    /// Nothing is known of a charge.
    None,
}

impl Activity {
    const ALL: [Self; 4] = [Self::Charging, Self::Waiting, Self::Ended, Self::None];

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|activity| activity.number() == number)
    }

    fn number(self) -> i64 {
        match self {
            Self::Charging => 0,
            Self::Waiting => 1,
            Self::Ended => 2,
            Self::None => 3,
        }
    }

    // The catalogue lists other words for `status` than vehicles send, so both descriptors share these.
    fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "CHARGINGACTIVE" | "CHARGING" => Some(Self::Charging),
            "INITIALIZATION" | "CHARGINGPAUSED" | "WAITING_FOR_CHARGING" => Some(Self::Waiting),
            "CHARGINGENDED"
            | "CHARGINGERROR"
            | "FINISHED_FULLY_CHARGED"
            | "FINISHED_NOT_FULL"
            | "ERROR" => Some(Self::Ended),
            "NOCHARGING" | "NOT_CHARGING" => Some(Self::None),
            _ => None,
        }
    }
}

const NAMES: [(&str, Signal); 18] = [
    ("vehicle.drivetrain.batteryManagement.maxEnergy", Signal::UsableWh),
    ("vehicle.drivetrain.batteryManagement.batterySizeMax", Signal::GrossWh),
    ("vehicle.vehicle.travelledDistance", Signal::MileageM),
    (LATITUDE, Signal::LatitudeE7),
    (LONGITUDE, Signal::LongitudeE7),
    ("vehicle.powertrain.electric.battery.charging.power", Signal::PowerW),
    (
        "vehicle.drivetrain.electricEngine.charging.consumptionOverLifeTime.overall.gridEnergy",
        Signal::CounterWh,
    ),
    ("vehicle.powertrain.electric.battery.stateOfCharge.displayed", Signal::Permille),
    ("vehicle.drivetrain.batteryManagement.header", Signal::WholePermille),
    ("vehicle.drivetrain.electricEngine.charging.level", Signal::WholePermille),
    ("vehicle.vehicle.preConditioning.activity", Signal::Preconditioning),
    ("vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged", Signal::Plugged),
    ("vehicle.body.chargingPort.status", Signal::Plugged),
    ("vehicle.body.chargingPort.statusClearText", Signal::Plugged),
    ("vehicle.body.chargingPort.combinedStatus", Signal::Plugged),
    ("vehicle.drivetrain.electricEngine.charging.connectorStatus", Signal::Plugged),
    ("vehicle.drivetrain.electricEngine.charging.hvStatus", Signal::HvActivity),
    ("vehicle.drivetrain.electricEngine.charging.status", Signal::Activity),
];

/// Which descriptors tell of charging; made once for a catalogue.
#[derive(Debug, Clone)]
pub struct Signals(HashMap<DescriptorId, Signal>);

impl Signals {
    /// Those that `catalogue` lists.
    pub fn new(catalogue: &Catalogue) -> Self {
        let listed = NAMES.into_iter();
        Self(listed.filter_map(|(name, signal)| Some((catalogue.find(name)?, signal))).collect())
    }

    /// What `entry` tells; `None` for one that tells nothing of charging, or nothing that can be: a word that nobody
    /// knows, a number out of all bounds.
    pub(super) fn read(&self, entry: &Entry) -> Option<(Signal, i64)> {
        let signal = *self.0.get(&entry.descriptor())?;
        let number = match signal {
            Signal::Activity | Signal::HvActivity => {
                Activity::from_word(entry.value().as_plain())?.number()
            }
            Signal::Plugged => i64::from(is_plugged(entry.value())?),
            Signal::Preconditioning => i64::from(is_preconditioning(entry.value())?),
            Signal::UsableWh | Signal::GrossWh => scaled(entry, 1e3, 0.0..=1e3)?,
            Signal::MileageM if entry.unit().is_some_and(|unit| unit.starts_with("mi")) => {
                scaled(entry, 1609.344, 0.0..=1e7)?
            }
            Signal::MileageM | Signal::CounterWh => scaled(entry, 1e3, 0.0..=1e7)?,
            Signal::LatitudeE7 => scaled(entry, 1e7, -90.0..=90.0)?,
            Signal::LongitudeE7 => scaled(entry, 1e7, -180.0..=180.0)?,
            Signal::PowerW if entry.unit() == Some("kW") => scaled(entry, 1e3, -2e3..=2e3)?.max(0),
            // A car that feeds a house takes nothing from the grid.
            Signal::PowerW => scaled(entry, 1.0, -2e6..=2e6)?.max(0),
            Signal::Permille | Signal::WholePermille => scaled(entry, 10.0, 0.0..=100.0)?,
        };
        Some((signal, number))
    }
}

fn is_plugged(value: &Value) -> Option<bool> {
    match value.as_plain() {
        "true" | "CONNECTED" => Some(true),
        "false" | "DISCONNECTED" => Some(false),
        _ => None,
    }
}

fn is_preconditioning(value: &Value) -> Option<bool> {
    match value.as_plain().to_ascii_lowercase().as_str() {
        "heating" | "cooling" | "ventilation" => Some(true),
        "standby" | "inactive" => Some(false),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds keep it far below 2^63")]
fn scaled(entry: &Entry, factor: f64, bounds: std::ops::RangeInclusive<f64>) -> Option<i64> {
    let number: f64 = entry.value().as_plain().parse().ok()?;
    bounds.contains(&number).then(|| (number * factor).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_descriptor_that_tells_of_charging_is_listed() {
        let catalogue = Catalogue::shipped();
        assert_eq!(Signals::new(&catalogue).0.len(), NAMES.len());
    }

    #[test]
    fn what_can_not_be_tells_nothing() {
        let catalogue = Catalogue::shipped();
        let signals = Signals::new(&catalogue);
        let read = |name: &str, value: Value, unit: Option<&str>| {
            let id = catalogue.find(name).unwrap();
            let at = jiff::Timestamp::UNIX_EPOCH;
            signals.read(&Entry::new(&catalogue, id, at, value, unit)).map(|(_, number)| number)
        };
        let number = |text: &str| Value::Number(text.into());
        let power = "vehicle.powertrain.electric.battery.charging.power";
        assert_eq!(read(power, number("11040"), Some("W")), Some(11_040));
        assert_eq!(read(power, number("11.04"), Some("kW")), Some(11_040));
        assert_eq!(read(power, number("-500"), None), Some(0));
        assert_eq!(read(power, number("1e300"), None), None);
        assert_eq!(read(power, Value::text("NaN"), None), None);
        let header = "vehicle.drivetrain.batteryManagement.header";
        assert_eq!(read(header, Value::text("67"), None), Some(670), "over REST it is a text");
        assert_eq!(read(header, number("101"), None), None);
        let odometer = "vehicle.vehicle.travelledDistance";
        assert_eq!(read(odometer, number("10"), Some("mi")), Some(16_093));
        let status = "vehicle.drivetrain.electricEngine.charging.status";
        assert_eq!(read(status, Value::text("CHARGINGACTIVE"), None), Some(0));
        for unknown in ["-NA-", "INVALID", "", "UNKNOWN"] {
            assert_eq!(read(status, Value::text(unknown), None), None, "{unknown}");
        }
        let plug = "vehicle.body.chargingPort.status";
        assert_eq!(read(plug, Value::text("CONNECTED"), None), Some(1));
        assert_eq!(read(plug, Value::text("INVALID"), None), None);
        assert_eq!(read("vehicle.isMoving", Value::Boolean(true), None), None);
    }
}
