//! What a scenario file says: which cars there are, how their owners live with them, and how they report.

mod fault;
mod parts;

use cardata_domain::vehicle::Drivetrain;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

pub use self::fault::ScenarioError;
pub use self::parts::{Celsius, ClockTime, Day, Part, Percent};
use crate::model::Kind;
use crate::report::Reports;
use crate::route::{Charger, RouteName};

/// Cars and their owners.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Decides all chance; the cars' seeds follow it.
    #[serde(default = "one")]
    pub seed: u64,
    /// Where the owners' clocks are.
    #[serde(default = "berlin", deserialize_with = "parts::time_zone")]
    pub time_zone: TimeZone,
    /// When it begins where nobody says otherwise, by those clocks.
    #[serde(default = "a_monday", deserialize_with = "parts::date_time")]
    pub start: DateTime,
    /// At least one.
    #[serde(rename = "car", deserialize_with = "parts::some")]
    pub cars: Vec<Car>,
}

/// A car, its owner's habits, and how it reports.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own, in any combination")]
pub struct Car {
    /// What people call it.
    pub name: String,
    /// Which kind it is.
    pub model: Kind,
    /// When the owner drives where.
    #[serde(rename = "outing", deserialize_with = "parts::some")]
    pub outings: Vec<Outing>,
    /// What hangs in the owner's garage; without it, the car is charged with direct current round the corner.
    pub home_charger: Option<Charger>,
    /// Below this the owner plugs it in at home.
    #[serde(default = "half")]
    pub charge_below_percent: Percent,
    /// How far it is charged then.
    #[serde(default = "four_fifths")]
    pub charge_to_percent: Percent,
    /// Whether a climate timer makes it comfortable before the owner leaves home.
    #[serde(default)]
    pub climate_timer: bool,
    /// Whether somebody sits in the back.
    #[serde(default)]
    pub family: bool,
    /// The mean temperature of each day, instead of that of the season.
    pub celsius: Option<Celsius>,
    /// What the tyre at the front left loses in a week.
    #[serde(default)]
    pub tyre_leak_percent_per_week: Percent,
    /// When it reports; by the model unless told.
    pub reports: Option<Reports>,
    /// The part of its messages that come late.
    #[serde(default)]
    pub late: Part,
    /// The part of its messages that come again.
    #[serde(default)]
    pub repeated: Part,
    /// Whether latitude and longitude come apart, often measured at different times.
    #[serde(default)]
    pub position_apart: bool,
    /// Whether it tells nothing while it is parked, not even who opens it.
    #[serde(default)]
    pub silent_parked: bool,
    /// Whether it tells something only every half hour while it charges.
    #[serde(default)]
    pub few_while_charging: bool,
}

/// A way from home, with stops, and back home.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outing {
    /// On which days.
    #[serde(deserialize_with = "parts::some")]
    pub days: Vec<Day>,
    /// When, by the owner's clock.
    pub leaves: ClockTime,
    /// How much earlier or later it may be.
    #[serde(default = "ten")]
    pub spread_minutes: u16,
    /// Where to.
    pub route: RouteName,
    /// How long at each stop, give or take a fifth.
    pub stay_minutes: u16,
    /// How likely on such a day.
    #[serde(default)]
    pub likelihood: Likelihood,
}

/// From 0 (never) to 1 (always), which it is unless told.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Likelihood(pub Part);

impl Default for Likelihood {
    fn default() -> Self {
        Self(Part::WHOLE)
    }
}

fn one() -> u64 {
    1
}

fn ten() -> u16 {
    10
}

fn half() -> Percent {
    Percent::new(50.0)
}

fn four_fifths() -> Percent {
    Percent::new(80.0)
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC)
}

fn a_monday() -> DateTime {
    jiff::civil::date(2026, 1, 5).at(0, 0, 0, 0)
}

/// The scenarios that are shipped: their names and texts.
const SHIPPED: [(&str, &str); 5] = [
    ("commuter", include_str!("../scenarios/commuter.toml")),
    ("courier", include_str!("../scenarios/courier.toml")),
    ("family", include_str!("../scenarios/family.toml")),
    ("long-trip", include_str!("../scenarios/long-trip.toml")),
    ("seldom", include_str!("../scenarios/seldom.toml")),
];

/// The name under which all that are shipped are one scenario.
const ALL: &str = "five-owners";

impl Scenario {
    /// Reads a scenario file's text.
    ///
    /// # Errors
    /// [`ScenarioError`] tells the line, and for a word that is not known the one that was likely meant.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).map_err(|error| ScenarioError::new(text, &error))
    }

    /// The names of the shipped ones.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        SHIPPED.into_iter().map(|(name, _)| name).chain([ALL])
    }

    /// The text of a shipped one.
    pub fn shipped_text(name: &str) -> Option<String> {
        if name == ALL {
            return Some(SHIPPED.map(|(_, text)| text).join("\n"));
        }
        SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
    }

    /// The name of the shipped one that `name` is likely to mean.
    pub fn nearest_shipped(name: &str) -> Option<&'static str> {
        fault::nearest(name, Self::shipped_names())
    }

    /// When it begins where nobody says otherwise.
    ///
    /// # Errors
    /// When the date is too far away for a timestamp.
    pub fn started(&self) -> Result<Timestamp, jiff::Error> {
        self.time_zone.to_timestamp(self.start)
    }
}

impl Car {
    /// What drives it.
    pub fn drivetrain(&self) -> Drivetrain {
        self.model.drivetrain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAR: &str = "[[car]]\nname = \"a\"\nmodel = \"i4\"\n[[car.outing]]\n\
                       days = [\"mon\"]\nleaves = \"07:20\"\nroute = \"town\"\nstay_minutes = 30\n";

    #[test]
    fn the_shipped_ones_can_be_read_and_all_together_too() {
        for name in Scenario::shipped_names() {
            let scenario = Scenario::parse(&Scenario::shipped_text(name).unwrap());
            let cars = scenario.unwrap_or_else(|error| panic!("{name}: {error}")).cars.len();
            assert_eq!(cars, if name == ALL { 5 } else { 1 });
        }
    }

    #[test]
    fn the_least_that_a_scenario_says_has_sound_defaults() {
        let scenario = Scenario::parse(CAR).unwrap();
        assert_eq!(scenario.seed, 1);
        assert_eq!(scenario.started().unwrap().to_string(), "2026-01-04T23:00:00Z");
        assert_eq!(scenario.cars[0].outings[0].likelihood.0, Part::WHOLE);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_the_word_that_was_meant() {
        for (wrong, right, line, told) in [
            ("modle = \"i4\"", "model = \"i4\"", 3, "`model`"),
            ("model = \"i44\"", "model = \"i4\"", 3, "`i4`"),
            ("rout = \"town\"", "route = \"town\"", 7, "`route`"),
            ("route = \"twon\"", "route = \"town\"", 7, "`town`"),
            ("days = [\"mom\"]", "days = [\"mon\"]", 5, "`mon`"),
            ("leaves = \"7.20\"", "leaves = \"07:20\"", 6, "07:20"),
            ("leaves = \"24:20\"", "leaves = \"07:20\"", 6, "24:20"),
            ("stay_minutes = -1", "stay_minutes = 30", 8, "-1"),
        ] {
            let error = Scenario::parse(&CAR.replace(right, wrong)).unwrap_err();
            assert_eq!(error.line, Some(line), "{wrong}: {error}");
            assert!(error.to_string().contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn numbers_have_ranges_and_lists_have_something() {
        for (wrong, told) in [
            ("late = 1.5", "from 0 to 1"),
            ("late = nan", "from 0 to 1"),
            ("charge_to_percent = 101", "from 0 to 100"),
            ("celsius = 80", "from -40 to 50"),
            ("reports = \"never\"", "unknown variant"),
        ] {
            let text = CAR.replace("model =", &format!("{wrong}\nmodel ="));
            let error = Scenario::parse(&text).unwrap_err();
            assert!(error.to_string().contains(told), "{wrong}: {error}");
            assert_eq!(error.line, Some(3), "{wrong}: {error}");
        }
        assert!(Scenario::parse("car = []").unwrap_err().to_string().contains("at least one"));
        assert!(Scenario::parse("").unwrap_err().to_string().contains("missing field `car`"));
        for wrong in ["time_zone = \"Mars\"", "start = \"yesterday\"", "seed = -1", "[[", "\u{0}"] {
            assert_eq!(Scenario::parse(&format!("{wrong}\n{CAR}")).unwrap_err().line, Some(1));
        }
    }
}
