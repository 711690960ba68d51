//! Drives of a BMW i3, one row a second since the start, without positions.

use cardata_domain::Value;
use jiff::{SignedDuration, Timestamp};

use super::cells::{Cell, Cells};
use super::timeline::RecordedTime;
use super::trip::{Integral, Odometer};
use super::{CsvForm, Reading, Readings, RowError};

pub(super) const COLUMNS: [&str; 8] = [
    "t_s",
    "speed_kmh",
    "elevation_m",
    "batt_v",
    "batt_a",
    "soc_displayed_pct",
    "heating_kw",
    "aircon_kw",
];

/// Means over a shorter distance than this say more about rounding than about the car.
const MEAN_KM_MIN: f64 = 0.1;

/// Times in seconds may not be further apart than this, which is some three hundred years.
const SECONDS_MAX: f64 = 1e10;

/// No car is faster, so a greater number is a fault of the recording, and would spoil the odometer for good.
pub(super) const SPEED_KMH_MAX: f64 = 1000.0;

/// One trip.
#[derive(Debug, Default)]
pub(super) struct Drive {
    distance_km: Integral,
    drawn_kwh: Integral,
    recuperated_kwh: Integral,
    comfort_kwh: Integral,
    charge: Option<Value>,
}

/// The seconds of a column `t_s`, to the millisecond.
pub(super) fn seconds(cells: &Cells<'_>) -> Result<RecordedTime, RowError> {
    let seconds = cells
        .number_within("t_s", -SECONDS_MAX..=SECONDS_MAX)?
        .value()
        .ok_or(RowError::NotATime("t_s"))?;
    #[expect(clippy::cast_possible_truncation, reason = "the column's range is far inside 64 bits")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Ok(RecordedTime::Since(SignedDuration::from_millis(milliseconds)))
}

/// State of charge: the header's whole percents, and the displayed value as it was recorded.
pub(super) fn charge(readings: &mut Readings, displayed: &Cell) {
    match &displayed.number {
        Some(number) => {
            let header = "vehicle.drivetrain.batteryManagement.header";
            readings.put(header, number.rounded(), Some("percent"));
            let exact = "vehicle.powertrain.electric.battery.stateOfCharge.displayed";
            readings.put(exact, number.as_written(), Some("percent"));
        }
        None => readings.blank(displayed),
    }
}

/// Moving or not, and the odometer, which adds up the speed.
pub(super) fn motion(
    readings: &mut Readings,
    distance_km: &mut Integral,
    at: Timestamp,
    speed_kmh: &Cell,
    odometer: &mut Odometer,
) {
    match speed_kmh.value() {
        Some(speed) => {
            readings.put("vehicle.isMoving", Value::Boolean(speed > 0.0), None);
            let km = odometer.drive(distance_km.add(at, speed));
            readings.decimal("vehicle.vehicle.travelledDistance", km, 3, "km");
        }
        None => readings.blank(speed_kmh),
    }
}

impl Drive {
    /// Energy of the high-voltage battery; `current` is negative while it is drained.
    fn energy(&mut self, readings: &mut Readings, at: Timestamp, voltage: &Cell, current: &Cell) {
        let (Some(volts), Some(amperes)) = (voltage.value(), current.value()) else {
            for cell in [voltage, current].into_iter().filter(|cell| cell.number.is_none()) {
                readings.blank(cell);
            }
            return;
        };
        let drawn_kw = -volts * amperes / 1000.0;
        self.drawn_kwh.add(at, drawn_kw);
        self.recuperated_kwh.add(at, (-drawn_kw).max(0.0));
        let km = self.distance_km.total();
        if km >= MEAN_KM_MIN {
            let mean = |kwh: &Integral| kwh.total() / km * 100.0;
            let unit = "kWh/100 km";
            let consumed = mean(&self.drawn_kwh);
            readings.decimal("vehicle.drivetrain.avgElectricRangeConsumption", consumed, 2, unit);
            let recuperated = mean(&self.recuperated_kwh);
            let name =
                "vehicle.trip.segment.accumulated.drivetrain.electricEngine.recuperationTotal";
            readings.decimal(name, recuperated, 2, unit);
        }
    }

    fn comfort(&mut self, readings: &mut Readings, at: Timestamp, heating: &Cell, aircon: &Cell) {
        let (Some(heating_kw), Some(aircon_kw)) = (heating.value(), aircon.value()) else {
            for cell in [heating, aircon].into_iter().filter(|cell| cell.number.is_none()) {
                readings.blank(cell);
            }
            return;
        };
        self.comfort_kwh.add(at, heating_kw + aircon_kw);
        if let Some(mean) = self.comfort_kwh.mean() {
            readings.decimal("vehicle.vehicle.avgAuxPower", mean, 2, "kW");
        }
        let name =
            "vehicle.trip.segment.accumulated.drivetrain.electricEngine.energyConsumptionComfort";
        readings.decimal(name, self.comfort_kwh.total(), 3, "kWh");
    }
}

impl CsvForm for Drive {
    fn time(&self, cells: &Cells<'_>) -> Result<RecordedTime, RowError> {
        seconds(cells)
    }

    fn read(
        &mut self,
        cells: &Cells<'_>,
        at: Timestamp,
        odometer: &mut Odometer,
    ) -> Result<Readings, RowError> {
        let speed = cells.number_within("speed_kmh", 0.0..=SPEED_KMH_MAX)?;
        let elevation = cells.number("elevation_m")?;
        let (voltage, current) = (cells.number("batt_v")?, cells.number("batt_a")?);
        let displayed = cells.number("soc_displayed_pct")?;
        let (heating, aircon) = (cells.number("heating_kw")?, cells.number("aircon_kw")?);

        let mut readings = Readings::default();
        charge(&mut readings, &displayed);
        if let Some(number) = &displayed.number {
            self.charge = Some(number.as_written());
        }
        motion(&mut readings, &mut self.distance_km, at, &speed, odometer);
        if let (Some(_), Some(mean)) = (speed.value(), self.distance_km.mean()) {
            readings.decimal("vehicle.vehicle.avgSpeed", mean, 0, "km/h");
        }
        let altitude = "vehicle.cabin.infotainment.navigation.currentLocation.altitude";
        readings.cell(altitude, &elevation, "m");
        self.energy(&mut readings, at, &voltage, &current);
        self.comfort(&mut readings, at, &heating, &aircon);
        Ok(readings)
    }

    fn ending(&self) -> Vec<Reading> {
        let name = "vehicle.trip.segment.end.drivetrain.batteryManagement.hvSoc";
        let reading = |value: &Value| Reading { name, value: value.clone(), unit: Some("percent") };
        self.charge.iter().map(reading).collect()
    }
}
