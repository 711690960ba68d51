//! Trips, found in what a vehicle reports.
//!
//! A vehicle moves when it says so, or when its odometer has grown since it told it last. Times of motion that are less
//! than [`STOP_MAX`] apart belong to one trip: a red light or a level crossing ends none. What is not known of a trip is
//! left out; nothing is guessed.

use jiff::{SignedDuration, Timestamp};

use crate::event::Entry;
use crate::privacy::{LATITUDE, LONGITUDE, Position};
use crate::value::Value;

/// A vehicle that did not move for as long as this has ended its trip.
pub const STOP_MAX: SignedDuration = SignedDuration::from_mins(10);
/// How far from a trip's start or end a position may have been taken that is told as its place. The next one that is
/// known may be elsewhere, as where a zone hides where the trip began.
const NEAR: SignedDuration = SignedDuration::from_mins(2);
/// Values that a search takes at the most; with more of them, somebody has to ask for a shorter time.
pub const SAMPLES_MAX: usize = 500_000;

const MOVING: &str = "vehicle.isMoving";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const STATE_OF_CHARGE: &str = "vehicle.drivetrain.batteryManagement.header";
const FUEL: &str = "vehicle.drivetrain.fuelSystem.remainingFuel";

/// The descriptors that trips are found in: whether it moves, the odometer, and what trips have besides.
pub const DESCRIPTORS: [&str; 6] = [MOVING, ODOMETER, STATE_OF_CHARGE, FUEL, LATITUDE, LONGITUDE];

/// One trip.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// When the vehicle moved first. Where only the odometer tells of motion, when it was told before it had grown, but
    /// at most [`STOP_MAX`] earlier.
    pub started_at: Timestamp,
    /// When it had stopped.
    pub ended_at: Timestamp,
    /// The odometer, in the vehicle's own unit of distance.
    pub odometer: Span<f64>,
    /// State of charge in percent.
    pub charge_percent: Span<f64>,
    /// Fuel left, in the vehicle's own unit.
    pub fuel: Span<f64>,
    /// Where; taken at most two minutes away from the start and from the end.
    pub position: Span<Position>,
}

/// A value at the start and at the end of a trip, each where it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span<T> {
    /// The last one up to the start, or else the first one of the trip.
    pub start: Option<T>,
    /// The last one of the trip, or the first one soon after.
    pub end: Option<T>,
}

impl Trip {
    /// From start to end by the odometer; `None` where one of the two is not known.
    pub fn distance(&self) -> Option<f64> {
        self.odometer.start.zip(self.odometer.end).map(|(start, end)| (end - start).max(0.0))
    }
}

/// Looks for trips in values that come in any order.
#[derive(Debug, Default)]
pub struct Search {
    moving: Vec<(Timestamp, bool)>,
    odometer: Vec<(Timestamp, f64)>,
    charge: Vec<(Timestamp, f64)>,
    fuel: Vec<(Timestamp, f64)>,
    latitude: Vec<(Timestamp, f64)>,
    longitude: Vec<(Timestamp, f64)>,
    odometer_unit: Option<Box<str>>,
    fuel_unit: Option<Box<str>>,
    samples: usize,
    newest_at: Option<Timestamp>,
}

/// A search has taken [`SAMPLES_MAX`] values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {SAMPLES_MAX} values in that time")]
pub struct TooMany;

impl Search {
    /// Takes a value; one that tells nothing of trips is left out.
    ///
    /// # Errors
    /// [`TooMany`]: it was not taken.
    pub fn take(&mut self, entry: &Entry) -> Result<(), TooMany> {
        let name = entry.name();
        if !DESCRIPTORS.contains(&name) {
            return Ok(());
        }
        if self.samples >= SAMPLES_MAX {
            return Err(TooMany);
        }
        self.samples += 1;
        self.newest_at = self.newest_at.max(Some(entry.at()));
        if name == MOVING {
            self.moving.extend(flag(entry.value()).map(|moving| (entry.at(), moving)));
            return Ok(());
        }
        let Some(number) = number(entry.value()) else { return Ok(()) };
        let unit = || entry.unit().map(Into::into);
        let series = match name {
            ODOMETER => {
                self.odometer_unit = unit();
                &mut self.odometer
            }
            FUEL => {
                self.fuel_unit = unit();
                &mut self.fuel
            }
            STATE_OF_CHARGE => &mut self.charge,
            LATITUDE => &mut self.latitude,
            _ => &mut self.longitude,
        };
        series.push((entry.at(), number));
        Ok(())
    }

    /// The time of the newest value.
    pub fn newest_at(&self) -> Option<Timestamp> {
        self.newest_at
    }

    /// The unit of the odometer, if its newest value had one.
    pub fn odometer_unit(&self) -> Option<&str> {
        self.odometer_unit.as_deref()
    }

    /// The unit of the fuel, if its newest value had one.
    pub fn fuel_unit(&self) -> Option<&str> {
        self.fuel_unit.as_deref()
    }

    /// All trips, in order.
    pub fn trips(&mut self) -> Vec<Trip> {
        self.moving.sort_by_key(|(at, _)| *at);
        let series = [
            &mut self.odometer,
            &mut self.charge,
            &mut self.fuel,
            &mut self.latitude,
            &mut self.longitude,
        ];
        for series in series {
            series.sort_by_key(|(at, _)| *at);
        }
        let mut trips = Vec::new();
        let mut motion = self.motion().into_iter();
        let Some(mut current) = motion.next() else { return trips };
        for next in motion {
            if next.0.duration_since(current.1) < STOP_MAX {
                current.1 = current.1.max(next.1);
            } else {
                trips.push(self.trip(current));
                current = next;
            }
        }
        trips.push(self.trip(current));
        trips
    }

    /// Times of motion by their starts.
    fn motion(&self) -> Vec<(Timestamp, Timestamp)> {
        let pairs = self.moving.windows(2).filter(|pair| pair[0].1);
        // Until it says something else; a silence is no motion.
        let said = pairs.map(|pair| {
            let (from, to) = (pair[0].0, pair[1].0);
            (from, if to.duration_since(from) < STOP_MAX { to } else { from })
        });
        let last = self.moving.last().filter(|(_, moving)| *moving).map(|(at, _)| (*at, *at));
        let grown = self.odometer.windows(2).filter(|pair| pair[1].1 > pair[0].1);
        let driven = grown.map(|pair| {
            let (from, to) = (pair[0].0, pair[1].0);
            (if to.duration_since(from) < STOP_MAX { from } else { to }, to)
        });
        let mut motion: Vec<_> = said.chain(last).chain(driven).collect();
        motion.sort_unstable();
        motion
    }

    fn trip(&self, (started_at, ended_at): (Timestamp, Timestamp)) -> Trip {
        let span = |series: &[(Timestamp, f64)]| span(series, started_at, ended_at);
        let position = |at| {
            let (latitude, longitude) = (near(&self.latitude, at)?, near(&self.longitude, at)?);
            Some(Position { latitude, longitude })
        };
        Trip {
            started_at,
            ended_at,
            odometer: span(&self.odometer),
            charge_percent: span(&self.charge),
            fuel: span(&self.fuel),
            position: Span { start: position(started_at), end: position(ended_at) },
        }
    }
}

fn span(series: &[(Timestamp, f64)], start: Timestamp, end: Timestamp) -> Span<f64> {
    let (started, over) = (
        series.partition_point(|(at, _)| *at <= start),
        series.partition_point(|(at, _)| *at <= end),
    );
    let before = started.checked_sub(1).and_then(|index| series.get(index));
    let first = before.or_else(|| series.get(started).filter(|(at, _)| *at <= end));
    let within =
        over.checked_sub(1).and_then(|index| series.get(index)).filter(|(at, _)| *at >= start);
    let soon = |(at, _): &&(Timestamp, f64)| at.duration_since(end) < STOP_MAX;
    let last = within.or_else(|| series.get(over).filter(soon));
    Span { start: first.map(|(_, value)| *value), end: last.map(|(_, value)| *value) }
}

/// The value that was taken nearest to `at`, if it is [`NEAR`] it.
fn near(series: &[(Timestamp, f64)], at: Timestamp) -> Option<f64> {
    let next = series.partition_point(|(taken_at, _)| *taken_at < at);
    let around = series.get(next.saturating_sub(1)..series.len().min(next + 1))?;
    let away = |(taken_at, _): &&(Timestamp, f64)| taken_at.duration_since(at).abs();
    around.iter().min_by_key(away).filter(|one| away(one) <= NEAR).map(|(_, value)| *value)
}

fn number(value: &Value) -> Option<f64> {
    value.as_plain().parse().ok().filter(|number: &f64| number.is_finite())
}

/// The catalogue's words for it, and JSON's.
fn flag(value: &Value) -> Option<bool> {
    match value.as_plain() {
        "true" | "ASN_isTrue" => Some(true),
        "false" | "ASN_isFalse" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Catalogue;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn search(values: &[(i64, &str, Value)]) -> Search {
        let catalogue = Catalogue::shipped();
        let mut search = Search::default();
        for (minutes, name, value) in values {
            let id = catalogue.intern(name).unwrap();
            let unit = (*name == ODOMETER).then_some("km");
            let entry = Entry::new(&catalogue, id, at(*minutes), value.clone(), unit);
            search.take(&entry).unwrap();
        }
        search
    }

    fn times(trips: &[Trip]) -> Vec<(Timestamp, Timestamp)> {
        trips.iter().map(|trip| (trip.started_at, trip.ended_at)).collect()
    }

    fn km(tenths: i64) -> Value {
        Value::Number(format!("{}.{}", tenths / 10, tenths % 10).into())
    }

    #[test]
    fn a_drive_with_a_red_light_is_one_trip_with_its_values() {
        let degrees = |value: f64| Value::decimal(value, 4).unwrap();
        let values = [
            (0, ODOMETER, km(1000)),
            (0, STATE_OF_CHARGE, Value::integer(80)),
            (1, LATITUDE, degrees(48.1)),
            (1, LONGITUDE, degrees(11.5)),
            (2, MOVING, Value::Boolean(true)),
            (6, MOVING, Value::Boolean(false)),
            (8, MOVING, Value::text("ASN_isTrue")),
            (12, ODOMETER, km(1123)),
            (12, LATITUDE, degrees(48.2)),
            (12, LONGITUDE, degrees(11.6)),
            (13, MOVING, Value::Boolean(false)),
            (15, STATE_OF_CHARGE, Value::integer(77)),
            (600, STATE_OF_CHARGE, Value::integer(100)),
        ];
        let mut found = search(&values);
        let trips = found.trips();
        assert_eq!(times(&trips), [(at(2), at(13))]);
        let trip = &trips[0];
        assert!((trip.distance().unwrap() - 12.3).abs() < 1e-9);
        assert_eq!(trip.charge_percent, Span { start: Some(80.0), end: Some(77.0) });
        assert_eq!(trip.fuel, Span { start: None, end: None });
        let there = Position { latitude: 48.2, longitude: 11.6 };
        assert_eq!((trip.position.start.is_some(), trip.position.end), (true, Some(there)));
        // Without the first position, the next one is too far from the start.
        let hidden: Vec<_> = values.iter().filter(|(minutes, ..)| *minutes != 1).cloned().collect();
        let position = search(&hidden).trips()[0].position;
        assert_eq!((position.start, position.end), (None, Some(there)));
        assert_eq!((found.odometer_unit(), found.fuel_unit()), (Some("km"), None));
        assert_eq!((found.newest_at(), Search::default().newest_at()), (Some(at(600)), None));
    }

    #[test]
    fn a_stop_of_ten_minutes_ends_a_trip() {
        let drive = |from| {
            [(from, MOVING, Value::Boolean(true)), (from + 5, MOVING, Value::Boolean(false))]
        };
        let apart = |minutes: i64| search(&[drive(0), drive(5 + minutes)].concat()).trips();
        assert_eq!(times(&apart(9)), [(at(0), at(19))]);
        assert_eq!(times(&apart(10)), [(at(0), at(5)), (at(15), at(20))]);
    }

    #[test]
    fn the_odometer_alone_tells_of_a_trip_and_a_silence_of_none() {
        let values = [
            (0, ODOMETER, km(10)),
            (100, ODOMETER, km(15)),
            (103, ODOMETER, km(40)),
            (300, ODOMETER, km(40)),
        ];
        let trips = search(&values).trips();
        // Somewhen in the first hundred minutes it drove half a kilometre; when, nobody knows.
        assert_eq!(times(&trips), [(at(100), at(103))]);
        assert_eq!(trips[0].odometer, Span { start: Some(1.5), end: Some(4.0) });
        assert!(search(&[(0, ODOMETER, km(10)), (9, ODOMETER, km(10))]).trips().is_empty());
        assert!(search(&[(0, MOVING, Value::Boolean(false))]).trips().is_empty());
        let silent = [(0, MOVING, Value::Boolean(true)), (60, MOVING, Value::Boolean(false))];
        assert_eq!(times(&search(&silent).trips()), [(at(0), at(0))]);
        assert!(Search::default().trips().is_empty());
    }

    #[test]
    fn what_is_no_number_and_no_word_for_it_tells_nothing() {
        let values = [
            (0, ODOMETER, Value::text("far")),
            (1, ODOMETER, Value::Number("1e999".into())),
            (2, MOVING, Value::text("ASN_isUnknown")),
            (3, "vehicle.other", Value::Boolean(true)),
        ];
        assert!(search(&values).trips().is_empty());
    }

    proptest! {
        #[test]
        fn trips_are_in_order_and_apart_whatever_order_values_come_in(
            samples in proptest::collection::vec((0i64..2000, any::<bool>(), 0i64..500), 0..80),
            rotation in 0usize..80,
        ) {
            let catalogue = Catalogue::shipped();
            let found = |samples: &[(i64, bool, i64)]| {
                let mut search = Search::default();
                for (minutes, moving, tenths) in samples {
                    for (name, value) in [(MOVING, Value::Boolean(*moving)), (ODOMETER, km(*tenths))] {
                        let id = catalogue.intern(name).unwrap();
                        search.take(&Entry::new(&catalogue, id, at(*minutes), value, None)).unwrap();
                    }
                }
                search.trips()
            };
            let mut samples = samples;
            // One value for each instant, so that their order in time is known.
            samples.sort_by_key(|(minutes, ..)| *minutes);
            samples.dedup_by_key(|(minutes, ..)| *minutes);
            let trips = found(&samples);
            for trip in &trips {
                prop_assert!(trip.started_at <= trip.ended_at);
                prop_assert!(trip.distance().is_none_or(|distance| distance >= 0.0));
            }
            for pair in trips.windows(2) {
                prop_assert!(pair[1].started_at.duration_since(pair[0].ended_at) >= STOP_MAX);
            }
            let rotation = rotation % samples.len().max(1);
            samples.rotate_left(rotation);
            prop_assert_eq!(found(&samples), trips);
        }
    }
}
