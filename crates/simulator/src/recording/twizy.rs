//! Drives of a Renault Twizy with positions, in local time.

use std::f64::consts::PI;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::bmw_i3::{SPEED_KMH_MAX, charge, motion};
use super::cells::Cells;
use super::timeline::RecordedTime;
use super::trip::{Integral, Odometer};
use super::{CsvForm, Readings, RowError};

pub(super) const COLUMNS: [&str; 6] = ["time_local", "soc_pct", "speed_kmh", "lat", "lon", "alt_m"];

/// One drive.
#[derive(Debug)]
pub(super) struct Drive {
    zone: TimeZone,
    distance_km: Integral,
    fix: Option<Fix>,
    heading_degrees: Option<f64>,
}

/// A position in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fix {
    latitude: f64,
    longitude: f64,
}

impl Drive {
    /// Its local times are those of `zone`.
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, distance_km: Integral::default(), fix: None, heading_degrees: None }
    }
}

impl CsvForm for Drive {
    fn time(&self, cells: &Cells<'_>) -> Result<RecordedTime, RowError> {
        let text = cells.text("time_local");
        if let Ok(point) = text.parse::<Timestamp>() {
            return Ok(RecordedTime::At(point));
        }
        let local: DateTime = text.parse().map_err(|_| RowError::NotATime("time_local"))?;
        let point = self.zone.to_timestamp(local).map_err(|_| RowError::NotATime("time_local"))?;
        Ok(RecordedTime::At(point))
    }

    fn read(
        &mut self,
        cells: &Cells<'_>,
        at: Timestamp,
        odometer: &mut Odometer,
    ) -> Result<Readings, RowError> {
        let displayed = cells.number("soc_pct")?;
        let speed = cells.number_within("speed_kmh", 0.0..=SPEED_KMH_MAX)?;
        let latitude = cells.number_within("lat", -90.0..=90.0)?;
        let longitude = cells.number_within("lon", -180.0..=180.0)?;
        let altitude = cells.number("alt_m")?;

        let mut readings = Readings::default();
        charge(&mut readings, &displayed);
        motion(&mut readings, &mut self.distance_km, at, &speed, odometer);
        readings.cell(LATITUDE, &latitude, "degrees");
        readings.cell(LONGITUDE, &longitude, "degrees");
        readings.cell(ALTITUDE, &altitude, "m");
        if let (Some(latitude), Some(longitude)) = (latitude.value(), longitude.value()) {
            let fix = Fix { latitude, longitude };
            // The receiver repeats a fix for up to half a minute while the car moves, so only changes tell a course.
            if let Some(before) = self.fix.filter(|before| *before != fix) {
                self.heading_degrees = Some(course_degrees(before, fix));
            }
            self.fix = Some(fix);
        }
        if let Some(heading) = self.heading_degrees {
            readings.decimal(HEADING, heading, 0, "degrees");
        }
        Ok(readings)
    }
}

const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
const LONGITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";
const ALTITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.altitude";
const HEADING: &str = "vehicle.cabin.infotainment.navigation.currentLocation.heading";

/// The course from one position to the next in whole degrees, 0 (north) to 359, clockwise.
fn course_degrees(from: Fix, to: Fix) -> f64 {
    let radians = |degrees: f64| degrees / 180.0 * PI;
    let (lat1, lat2) = (radians(from.latitude), radians(to.latitude));
    let east = radians(to.longitude - from.longitude);
    let y = east.sin() * lat2.cos();
    let x = lat1.cos() * lat2.sin() - lat1.sin() * lat2.cos() * east.cos();
    (y.atan2(x) / PI * 180.0).round().rem_euclid(360.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_clockwise_from_north_and_below_360() {
        let here = Fix { latitude: 34.0, longitude: -6.7 };
        let to = |north: f64, east: f64| {
            course_degrees(
                here,
                Fix { latitude: here.latitude + north, longitude: here.longitude + east },
            )
        };
        let close = |course: f64, expected: f64| (course - expected).abs() < 0.5;
        assert!(close(to(0.001, 0.0), 0.0));
        assert!(close(to(0.0, 0.001), 90.0));
        assert!(close(to(-0.001, 0.0), 180.0));
        assert!(close(to(0.0, -0.001), 270.0));
        // Just west of north is 359.9…, which rounds to north.
        assert!(close(to(1.0, -0.001), 0.0));
    }
}
