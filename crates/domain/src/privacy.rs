//! How exactly a client may know where a vehicle is.
//!
//! A customer chooses for each client a [`Precision`], and whether it sees positions inside the customer's [`Zone`]s.
//! What comes of it is a [`LocationPrivacy`], which projection applies to every event, on the stream and over REST.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::descriptor::DescriptorId;
use crate::event::Entry;
use crate::value::Value;

/// The latitude of the vehicle's position.
pub const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
/// The longitude of the vehicle's position.
pub const LONGITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.longitude";

/// To what a position is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// To nothing: as the vehicle sent it.
    #[default]
    Exact,
    /// To the middle of a square of 1 km.
    Kilometre,
    /// To the middle of a square of 10 km.
    TenKilometres,
}

impl Precision {
    /// Every precision, the finest first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Kilometre, Self::TenKilometres];

    /// The word in forms and in the directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "EXACT",
            Self::Kilometre => "KILOMETRE",
            Self::TenKilometres => "TEN_KILOMETRES",
        }
    }

    /// The side of a square in metres, and the digits after the point that are worth printing.
    fn square(self) -> Option<(f64, usize)> {
        match self {
            Self::Exact => None,
            Self::Kilometre => Some((1_000.0, 3)),
            Self::TenKilometres => Some((10_000.0, 2)),
        }
    }
}

/// The text is no precision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown precision `{0}`; known are: EXACT KILOMETRE TEN_KILOMETRES")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        let known = Self::ALL.into_iter().find(|precision| precision.as_str() == text);
        known.ok_or_else(|| UnknownPrecision(text.to_owned()))
    }
}

/// What a customer chose for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// To what positions are rounded.
    pub precision: Precision,
    /// Whether the client gets no position inside the customer's zones.
    pub hides_zones: bool,
}

/// Names a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(Uuid);

impl ZoneId {
    /// A zone's id made from a UUID that the caller drew.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for ZoneId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A circle that a customer drew or typed, such as around the home.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// What the customer calls it.
    pub name: String,
    /// The middle, in millionths of a degree: -90,000,000 to 90,000,000.
    pub latitude_e6: i32,
    /// The middle, in millionths of a degree: -180,000,000 to 180,000,000.
    pub longitude_e6: i32,
    /// In metres; [`RADIUS_M`].
    pub radius_m: u32,
}

// A zone says where somebody lives.
impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The radius that a zone may have.
pub const RADIUS_M: std::ops::RangeInclusive<u32> = 50..=50_000;
/// Zones that a customer may have.
pub const ZONES_MAX: usize = 20;
/// Characters that a zone's name may have.
pub const NAME_LENGTH_MAX: usize = 60;

/// Why something is no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// The name is missing or too long.
    #[error("a zone's name has 1 to {NAME_LENGTH_MAX} characters")]
    Name,
    /// It is beyond a pole, or no number.
    #[error("the latitude is a number from -90 to 90")]
    Latitude,
    /// It is beyond the date line, or no number.
    #[error("the longitude is a number from -180 to 180")]
    Longitude,
    /// Too small to hide anything, or too large to be a zone.
    #[error("the radius is {} to {} metres", RADIUS_M.start(), RADIUS_M.end())]
    Radius,
}

impl Zone {
    /// A zone around a position in degrees.
    ///
    /// # Errors
    /// [`ZoneError`] names what is wrong.
    pub fn new(
        id: ZoneId,
        name: &str,
        latitude: f64,
        longitude: f64,
        radius_m: u32,
    ) -> Result<Self, ZoneError> {
        let name = name.trim();
        if !(1..=NAME_LENGTH_MAX).contains(&name.chars().count()) {
            return Err(ZoneError::Name);
        }
        let latitude_e6 = millionths(latitude, 90.0).ok_or(ZoneError::Latitude)?;
        let longitude_e6 = millionths(longitude, 180.0).ok_or(ZoneError::Longitude)?;
        if !RADIUS_M.contains(&radius_m) {
            return Err(ZoneError::Radius);
        }
        Ok(Self { id, name: name.to_owned(), latitude_e6, longitude_e6, radius_m })
    }

    /// The middle in degrees.
    pub fn middle(&self) -> Position {
        let degrees = |millionths: i32| f64::from(millionths) / 1e6;
        Position { latitude: degrees(self.latitude_e6), longitude: degrees(self.longitude_e6) }
    }

    /// Whether a position is inside.
    pub fn contains(&self, position: Position) -> bool {
        self.middle().distance_m(position) <= f64::from(self.radius_m)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 180,000,000, which an i32 holds")]
fn millionths(degrees: f64, max: f64) -> Option<i32> {
    (-max..=max).contains(&degrees).then(|| (degrees * 1e6).round() as i32)
}

/// A place on earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

/// Metres of one degree of latitude.
const METRES_PER_DEGREE: f64 = 111_320.0;
const EARTH_RADIUS_M: f64 = 6_371_000.0;

impl Position {
    /// The way to `other` over the ground, in metres (haversine).
    pub fn distance_m(self, other: Self) -> f64 {
        let half = |one: f64, other: f64| ((other - one).to_radians() / 2.0).sin().powi(2);
        let along = half(self.longitude, other.longitude);
        let shrunk = self.latitude.to_radians().cos() * other.latitude.to_radians().cos() * along;
        let a = half(self.latitude, other.latitude) + shrunk;
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }

    /// The middle of the square with sides of `metres` that it lies in. Squares are fixed on the ground, so that many
    /// positions of one place tell no more than one.
    fn rounded(self, metres: f64) -> Self {
        let middle = |degrees: f64, step: f64| ((degrees / step).floor() + 0.5) * step;
        let step = metres / METRES_PER_DEGREE;
        let latitude = middle(self.latitude, step).clamp(-90.0, 90.0);
        // Of one row of squares all have the same width in degrees; near the poles they get no wider.
        let narrowing = latitude.to_radians().cos().max(0.05);
        let longitude = middle(self.longitude, step / narrowing).clamp(-180.0, 180.0);
        Self { latitude, longitude }
    }
}

/// What a client may know of places: the precision, the zones, and which descriptors tell places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocationPrivacy {
    precision: Precision,
    zones: Vec<Zone>,
    latitude: DescriptorId,
    longitude: DescriptorId,
}

impl LocationPrivacy {
    /// What `settings` make of `zones`; `None` when the client may know every place exactly.
    pub fn new(settings: Settings, zones: &[Zone], catalogue: &Catalogue) -> Option<Self> {
        let zones = if settings.hides_zones { zones.to_vec() } else { Vec::new() };
        if settings.precision == Precision::Exact && zones.is_empty() {
            return None;
        }
        let (latitude, longitude) = (catalogue.find(LATITUDE)?, catalogue.find(LONGITUDE)?);
        Some(Self { precision: settings.precision, zones, latitude, longitude })
    }

    /// `entries` of one event without what the client may not know of places.
    ///
    /// A position is a latitude and a longitude of the same instant; one without the other can't be judged and is left
    /// out. What else tells a place is left out, too.
    pub fn apply<'a>(&self, entries: Vec<&'a Entry>, event: &[Entry]) -> Vec<Cow<'a, Entry>> {
        let shown = self.shown(event);
        let visible = entries.into_iter().filter_map(|entry| {
            let id = entry.descriptor();
            if id != self.latitude && id != self.longitude {
                return (!tells_place(entry.name())).then_some(Cow::Borrowed(entry));
            }
            let position = shown?;
            let Some((_, digits)) = self.precision.square() else {
                return Some(Cow::Borrowed(entry));
            };
            let degrees = if id == self.latitude { position.latitude } else { position.longitude };
            Some(Cow::Owned(entry.with_value(Value::decimal(degrees, digits)?)))
        });
        visible.collect()
    }

    /// The position in `event` as the client may know it.
    fn shown(&self, event: &[Entry]) -> Option<Position> {
        let entry = |id| event.iter().find(|entry| entry.descriptor() == id);
        let (latitude, longitude) = (entry(self.latitude)?, entry(self.longitude)?);
        if latitude.at() != longitude.at() {
            return None;
        }
        let degrees = |entry: &Entry| {
            let Value::Number(digits) = entry.value() else { return None };
            digits.parse::<f64>().ok().filter(|degrees| degrees.is_finite())
        };
        self.show(Position { latitude: degrees(latitude)?, longitude: degrees(longitude)? })
    }

    /// A position as the client may know it; `None` where it may not.
    pub fn show(&self, exact: Position) -> Option<Position> {
        if self.zones.iter().any(|zone| zone.contains(exact)) {
            return None;
        }
        Some(self.precision.square().map_or(exact, |(metres, digits)| {
            let Position { latitude, longitude } = exact.rounded(metres);
            Position { latitude: printed(latitude, digits), longitude: printed(longitude, digits) }
        }))
    }
}

/// `degrees` as it is printed with so many digits after the point.
fn printed(degrees: f64, digits: usize) -> f64 {
    format!("{degrees:.digits$}").parse().unwrap_or(degrees)
}

/// Whether a descriptor's name says that it tells a place; also for those that no catalogue lists.
fn tells_place(name: &str) -> bool {
    const PARTS: [&str; 5] = ["latitude", "longitude", "coordinate", "gps", "address"];
    // As whole words, since others hold them: a battery has a capacity.
    const WORDS: [&str; 6] = ["altitude", "street", "city", "postal", "location", "place"];
    const WHOLE: [&str; 2] =
        ["vehicle.learningNavigation", "vehicle.powertrain.electric.battery.charging.settingsList"];
    // How well the position is known is no place, and neither is where the nose points.
    const HARMLESS: [&str; 3] = [".fixStatus", ".numberOfSatellites", ".heading"];
    WHOLE.contains(&name)
        || !HARMLESS.iter().any(|end| name.ends_with(end))
            && (words(name).any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
                || PARTS.iter().any(|part| name.to_ascii_lowercase().contains(part)))
}

/// The words of a descriptor's name: `currentLocation.city` has three.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let begins = |letter: char| !letter.is_ascii_lowercase() && !letter.is_ascii_digit();
        let end = rest.char_indices().skip(1).find(|(_, letter)| begins(*letter));
        let (word, after) = rest.split_at(end.map_or(rest.len(), |(index, _)| index));
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const ALTITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.altitude";
    const HEADING: &str = "vehicle.cabin.infotainment.navigation.currentLocation.heading";
    const SOC: &str = "vehicle.drivetrain.batteryManagement.header";

    const MUNICH: Position = Position { latitude: 48.177_012, longitude: 11.559_123 };

    fn zone(position: Position, radius_m: u32) -> Zone {
        let Position { latitude, longitude } = position;
        Zone::new(ZoneId::new(Uuid::nil()), "home", latitude, longitude, radius_m).unwrap()
    }

    fn entries(catalogue: &Catalogue, values: &[(&str, &str)]) -> Vec<Entry> {
        let entry = |(name, number): &(&str, &str)| {
            let id = catalogue.intern(name).unwrap();
            let value = Value::Number((*number).into());
            Entry::new(catalogue, id, Timestamp::UNIX_EPOCH, value, None)
        };
        values.iter().map(entry).collect()
    }

    /// What is left of `entries`: the last part of each name, with its value.
    fn seen(settings: Settings, zones: &[Zone], values: &[(&str, &str)]) -> Vec<String> {
        let catalogue = Catalogue::shipped();
        let entries = entries(&catalogue, values);
        let all: Vec<_> = entries.iter().collect();
        let visible = match LocationPrivacy::new(settings, zones, &catalogue) {
            Some(privacy) => privacy.apply(all, &entries),
            None => all.into_iter().map(Cow::Borrowed).collect(),
        };
        let shown = |entry: &Cow<'_, Entry>| {
            let name = catalogue.descriptor(entry.descriptor()).name.clone();
            let last = name.rsplit('.').next().unwrap().to_owned();
            assert!(entry.fragment().contains(&format!("\"value\":{}", entry.value().to_json())));
            format!("{last} {}", entry.value().as_plain())
        };
        visible.iter().map(shown).collect()
    }

    const ALL: [(&str, &str); 5] = [
        (LATITUDE, "48.177012"),
        (LONGITUDE, "11.559123"),
        (ALTITUDE, "510"),
        (HEADING, "90"),
        (SOC, "67"),
    ];

    #[test]
    fn a_position_is_rounded_to_the_middle_of_its_square() {
        let seen = |precision| seen(Settings { precision, hides_zones: false }, &[], &ALL);
        let exact = ["latitude 48.177012", "longitude 11.559123", "altitude 510"];
        assert_eq!(seen(Precision::Exact)[..3], exact);
        for (precision, metres) in
            [(Precision::Kilometre, 1_000.0), (Precision::TenKilometres, 10_000.0)]
        {
            let left = seen(precision);
            assert_eq!(left[2..], ["heading 90", "header 67"], "the altitude is a place, too");
            let number = |text: &str| text.split_once(' ').unwrap().1.parse::<f64>().unwrap();
            let (latitude, longitude) = (number(&left[0]), number(&left[1]));
            let off_m = MUNICH.distance_m(Position { latitude, longitude });
            // Half a diagonal, and what printing rounds.
            assert!(off_m > 1.0 && off_m < metres * 0.8, "{precision:?}: {off_m}");
        }
    }

    #[test]
    fn all_positions_of_a_square_become_the_same() {
        let middle = MUNICH.rounded(1_000.0);
        let mut different = 0;
        for step in -20..20 {
            let near = Position {
                latitude: MUNICH.latitude,
                longitude: MUNICH.longitude + f64::from(step) / 10_000.0,
            };
            different += usize::from(near.rounded(1_000.0) != middle);
        }
        assert!(different > 0 && different < 40, "{different}");
        for pole in [90.0, -90.0] {
            let rounded = Position { latitude: pole, longitude: 180.0 }.rounded(10_000.0);
            assert!(rounded.latitude.abs() <= 90.0 && rounded.longitude.abs() <= 180.0);
        }
    }

    #[test]
    fn inside_a_zone_no_place_is_told_and_outside_it_is() {
        let hides = Settings { precision: Precision::Exact, hides_zones: true };
        assert_eq!(seen(hides, &[zone(MUNICH, 200)], &ALL), ["heading 90", "header 67"]);
        let far = Position { latitude: 48.18, ..MUNICH };
        let left = seen(hides, &[zone(far, 200)], &ALL);
        assert_eq!(left[..2], ["latitude 48.177012", "longitude 11.559123"]);
        let shows = Settings { hides_zones: false, ..hides };
        assert_eq!(seen(shows, &[zone(MUNICH, 200)], &ALL).len(), 5);
    }

    #[test]
    fn half_a_position_and_one_that_is_no_number_are_left_out() {
        let rounds = Settings { precision: Precision::Kilometre, hides_zones: false };
        assert_eq!(seen(rounds, &[], &[(LATITUDE, "48.1"), (SOC, "67")]), ["header 67"]);
        let catalogue = Catalogue::shipped();
        let mut entries = entries(&catalogue, &ALL[..2]);
        let privacy = LocationPrivacy::new(rounds, &[], &catalogue).unwrap();
        entries[1] = entries[1].with_value(Value::text("east"));
        assert!(privacy.apply(entries.iter().collect(), &entries).is_empty());
        let id = entries[1].descriptor();
        let later = Timestamp::from_second(1).unwrap();
        entries[1] = Entry::new(&catalogue, id, later, Value::integer(11), None);
        assert!(privacy.apply(entries.iter().collect(), &entries).is_empty(), "of two instants");
    }

    #[test]
    fn an_unlisted_descriptor_that_tells_a_place_is_one() {
        let rounds = Settings { precision: Precision::Kilometre, hides_zones: false };
        let names = [
            ("vehicle.parking.streetAddress", "1"),
            ("vehicle.parking.brake", "2"),
            ("vehicle.battery.capacity", "3"),
        ];
        assert_eq!(seen(rounds, &[], &names), ["brake 2", "capacity 3"]);
    }

    #[test]
    fn a_zone_says_what_is_wrong_with_it() {
        let new = |name, latitude, longitude, radius_m| {
            Zone::new(ZoneId::new(Uuid::nil()), name, latitude, longitude, radius_m).err()
        };
        assert_eq!(new(" home ", 90.0, -180.0, 50), None);
        assert_eq!(new(" ", 0.0, 0.0, 50), Some(ZoneError::Name));
        assert_eq!(new("home", 90.1, 0.0, 50), Some(ZoneError::Latitude));
        assert_eq!(new("home", f64::NAN, 0.0, 50), Some(ZoneError::Latitude));
        assert_eq!(new("home", 0.0, 181.0, 50), Some(ZoneError::Longitude));
        assert_eq!(new("home", 0.0, 0.0, 49), Some(ZoneError::Radius));
        assert!(!format!("{:?}", zone(MUNICH, 50)).contains("48"));
    }
}
