//! A BMW i3 that charges, one row a second.

use cardata_domain::Value;
use jiff::Timestamp;

use super::bmw_i3::{charge, seconds};
use super::cells::Cells;
use super::timeline::RecordedTime;
use super::trip::Odometer;
use super::{CsvForm, Omission, Readings, RowError};

pub(super) const COLUMNS: [&str; 5] =
    ["t_s", "display_soc_pct", "chg_status", "time_to_soc_s", "batt_power_kw"];

/// One charge; no row depends on another.
#[derive(Debug)]
pub(super) struct Charge;

impl CsvForm for Charge {
    fn time(&self, cells: &Cells<'_>) -> Result<RecordedTime, RowError> {
        seconds(cells)
    }

    fn read(
        &mut self,
        cells: &Cells<'_>,
        _at: Timestamp,
        _odometer: &mut Odometer,
    ) -> Result<Readings, RowError> {
        let displayed = cells.number("display_soc_pct")?;
        let power = cells.number("batt_power_kw")?;
        let remaining = cells.number("time_to_soc_s")?;

        let mut readings = Readings::default();
        charge(&mut readings, &displayed);
        let status = match cells.text("chg_status") {
            "No_charge" => Ok("NOCHARGING"),
            "Init" => Ok("INITIALIZATION"),
            "Charge_active" => Ok("CHARGINGACTIVE"),
            "" => Err(Omission::Blank("chg_status")),
            _ => Err(Omission::UnknownWord("chg_status")),
        };
        match status {
            Ok(word) => {
                let name = "vehicle.drivetrain.electricEngine.charging.status";
                readings.put(name, Value::text(word), None);
            }
            Err(omission) => readings.omitted.push(omission),
        }
        match power.value() {
            Some(kilowatts) => {
                let name = "vehicle.powertrain.electric.battery.charging.power";
                // Adding zero turns -0 into 0.
                readings.decimal(name, (kilowatts * 1000.0).round() + 0.0, 0, "W");
            }
            None => readings.blank(&power),
        }
        match remaining.value() {
            Some(seconds) => {
                let name = "vehicle.drivetrain.electricEngine.charging.timeToFullyCharged";
                readings.decimal(name, (seconds / 60.0).round() + 0.0, 0, "min");
            }
            None => readings.blank(&remaining),
        }
        Ok(readings)
    }
}
