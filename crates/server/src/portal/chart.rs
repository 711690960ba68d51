//! What a vehicle did lately, as points of a chart and of a track. The page draws them as SVG.

use cardata_domain::privacy::{LATITUDE, LONGITUDE, Position};
use cardata_domain::{Entry, Event, Value};
use cardata_store::Journal;
use cardata_store::journal::JournalError;
use jiff::Timestamp;

/// The state of charge, in percent.
pub(super) const STATE_OF_CHARGE: [&str; 3] = [
    "vehicle.drivetrain.batteryManagement.header",
    "vehicle.powertrain.electric.battery.stateOfCharge.displayed",
    "vehicle.drivetrain.electricEngine.charging.level",
];

/// Events of a vehicle that a page looks back at.
const EVENTS_MAX: usize = 600;
/// Events of all vehicles among which they are looked for.
const LOOK_BACK_MAX: u64 = 1 << 20;

/// The drawing area of both pictures, in SVG units.
pub(super) const WIDTH: f64 = 640.0;
pub(super) const HEIGHT: f64 = 240.0;
/// Room around what is drawn.
const MARGIN: f64 = 16.0;

/// What a vehicle did lately, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    charge: Vec<(Timestamp, f64)>,
    positions: Vec<Position>,
}

impl Recent {
    /// Reads the newest events of `vin`.
    pub(super) async fn read(
        journal: &dyn Journal,
        vin: cardata_domain::Vin,
    ) -> Result<Self, JournalError> {
        let head = journal.head(vin).0;
        // Numbers are dense over all vehicles, so the way back to enough events of one is not known.
        let mut back = EVENTS_MAX as u64;
        loop {
            let after = cardata_domain::Sequence(head.saturating_sub(back));
            let events = journal.read(vin, after, EVENTS_MAX).await?;
            let is_enough = events.len() >= EVENTS_MAX / 2 || back >= head.min(LOOK_BACK_MAX);
            if is_enough {
                let mut recent = Self::default();
                for recorded in &events {
                    recent.take(&recorded.event);
                }
                recent.charge.sort_by_key(|(at, _)| *at);
                return Ok(recent);
            }
            back = back.saturating_mul(2);
        }
    }

    fn take(&mut self, event: &Event) {
        let entry = |name: &str| event.entries().iter().find(|entry| entry.name() == name);
        if let Some(charge) = STATE_OF_CHARGE.iter().find_map(|name| entry(name))
            && let Some(percent) = number(charge)
        {
            self.charge.push((charge.at(), percent.clamp(0.0, 100.0)));
        }
        let position = entry(LATITUDE).and_then(number).zip(entry(LONGITUDE).and_then(number));
        self.positions
            .extend(position.map(|(latitude, longitude)| Position { latitude, longitude }));
    }

    /// The battery's chart: its points for an SVG polyline, and the times of its ends.
    pub(super) fn battery(&self) -> Option<Battery> {
        let ((first, _), (last, _)) = (*self.charge.first()?, *self.charge.last()?);
        let span = last.duration_since(first).as_secs_f64().max(1.0);
        let point = |(at, percent): &(Timestamp, f64)| {
            let along = at.duration_since(first).as_secs_f64() / span;
            let x = MARGIN + along * (WIDTH - 2.0 * MARGIN);
            let y = HEIGHT - MARGIN - percent / 100.0 * (HEIGHT - 2.0 * MARGIN);
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<_> = self.charge.iter().map(point).collect();
        Some(Battery { points: points.join(" "), from: first, to: last })
    }

    /// The track.
    pub(super) fn track(&self) -> Option<Track> {
        Map::around(&self.positions).map(|map| map.track(&self.positions))
    }

    /// A map that has room for the track and for `others`.
    pub(super) fn map_with(&self, others: &[Position]) -> Option<Map> {
        let all: Vec<_> = self.positions.iter().chain(others).copied().collect();
        Map::around(&all)
    }

    /// The track as `map` has it.
    pub(super) fn track_on(&self, map: &Map) -> Option<Track> {
        (!self.positions.is_empty()).then(|| map.track(&self.positions))
    }
}

/// A battery's chart.
#[derive(Debug)]
pub(super) struct Battery {
    pub(super) points: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// A way, and where it ends.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) points: String,
    pub(super) x: String,
    pub(super) y: String,
}

/// Where on the drawing area a place is: a plain projection, good for some hundred kilometres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map {
    /// The place in the upper left corner.
    pub(super) north: f64,
    pub(super) west: f64,
    /// SVG units for a degree of latitude, and of longitude.
    pub(super) units_per_latitude: f64,
    pub(super) units_per_longitude: f64,
}

/// Degrees of latitude that a map shows at least, some 500 m.
const DEGREES_MIN: f64 = 0.005;
const METRES_PER_DEGREE: f64 = 111_320.0;

impl Map {
    fn around(positions: &[Position]) -> Option<Self> {
        let mut bounds: Option<(f64, f64, f64, f64)> = None;
        for Position { latitude, longitude } in positions {
            let (south, north, west, east) =
                bounds.unwrap_or((*latitude, *latitude, *longitude, *longitude));
            bounds = Some((
                south.min(*latitude),
                north.max(*latitude),
                west.min(*longitude),
                east.max(*longitude),
            ));
        }
        let (south, north, west, east) = bounds?;
        let (middle_latitude, middle_longitude) =
            (f64::midpoint(south, north), f64::midpoint(west, east));
        let narrowing = middle_latitude.to_radians().cos().max(0.05);
        let high = (north - south).max(DEGREES_MIN);
        let wide = ((east - west) * narrowing).max(DEGREES_MIN);
        let scale = ((HEIGHT - 2.0 * MARGIN) / high).min((WIDTH - 2.0 * MARGIN) / wide);
        Some(Self {
            north: middle_latitude + HEIGHT / 2.0 / scale,
            west: middle_longitude - WIDTH / 2.0 / (scale * narrowing),
            units_per_latitude: scale,
            units_per_longitude: scale * narrowing,
        })
    }

    /// Where `position` is, in SVG units from the upper left corner.
    pub(super) fn place(&self, position: Position) -> (f64, f64) {
        let x = (position.longitude - self.west) * self.units_per_longitude;
        let y = (self.north - position.latitude) * self.units_per_latitude;
        (x, y)
    }

    /// SVG units of so many metres.
    pub(super) fn length(&self, metres: f64) -> f64 {
        metres / METRES_PER_DEGREE * self.units_per_latitude
    }

    fn track(&self, positions: &[Position]) -> Track {
        let places: Vec<_> = positions.iter().map(|position| self.place(*position)).collect();
        let points: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (x, y) = places.last().copied().unwrap_or_default();
        Track { points: points.join(" "), x: format!("{x:.1}"), y: format!("{y:.1}") }
    }
}

/// The number in an entry, if it is one.
pub(super) fn number(entry: &Entry) -> Option<f64> {
    let Value::Number(digits) = entry.value() else { return None };
    digits.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_lies_within_the_drawing_area_and_north_is_up() {
        let way = [
            Position { latitude: 48.10, longitude: 11.50 },
            Position { latitude: 48.20, longitude: 11.60 },
        ];
        let map = Map::around(&way).unwrap();
        let [south, north] = way.map(|position| map.place(position));
        assert!(north.1 < south.1 && south.0 < north.0);
        for (x, y) in [south, north] {
            assert!((0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y), "{x} {y}");
        }
        assert!(Map::around(&[]).is_none());
        assert!(Map::around(&way[..1]).unwrap().units_per_latitude.is_finite());
    }

    #[test]
    fn a_battery_chart_runs_from_left_to_right_and_full_is_up() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let recent = Recent { charge: vec![(at(0), 0.0), (at(10), 100.0)], positions: Vec::new() };
        let battery = recent.battery().unwrap();
        assert_eq!(battery.points, "16.0,224.0 624.0,16.0");
        assert!(Recent::default().battery().is_none());
    }
}
