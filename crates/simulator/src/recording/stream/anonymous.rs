//! Takes out of a message whose vehicle it is and where it was, and leaves everything else byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cardata_domain::catalogue::Category;
use cardata_domain::{Catalogue, Gcid, Vin};
use jiff::{Timestamp, civil};
use serde_json::value::RawValue;
use thiserror::Error;

use super::envelope::{Members, quoted, text};
use super::{Kind, LISTED_MAX, Message};

/// Listed descriptors whose values tell of the owner, of the very vehicle or of places, whatever their type.
const REVEALING: [&str; 10] = [
    "vehicle.body.chargingPort.isoSessionId",
    "vehicle.electronicControlUnit.diagnosticTroubleCodes.raw",
    "vehicle.extras.optionalEquipment.code",
    "vehicle.learningNavigation",
    "vehicle.look.image",
    "vehicle.powertrain.electric.battery.charging.history.sessionsList",
    "vehicle.powertrain.electric.battery.charging.settingsList",
    "vehicle.serviceDemand.defect.id",
    "vehicle.sevice.preferredSevicePartner",
    "vehicle.status.checkControlMessages",
];
/// The same for all descriptors below this.
const REVEALING_BELOW: &str = "vehicle.vehicleIdentification.";
/// Words in the name of an unlisted descriptor by which its value may tell the same.
const REVEALING_WORDS: [&str; 26] = [
    "account",
    "address",
    "city",
    "contact",
    "country",
    "email",
    "home",
    "iccid",
    "id",
    "identifier",
    "imei",
    "imsi",
    "license",
    "mac",
    "mail",
    "msisdn",
    "name",
    "owner",
    "partner",
    "phone",
    "plate",
    "postal",
    "serial",
    "street",
    "user",
    "zip",
];
/// Degrees that positions move by: far enough that nobody is at home, and little enough to the north that a degree of
/// longitude stays about as long as it was, so that tracks keep their shape.
const NORTH: (f64, f64) = (0.5, 2.0);
const EAST: (f64, f64) = (3.0, 30.0);
/// Digits after the point of a moved coordinate, unless it came with more: a tenth of a metre, also where zeros at the end
/// were left away.
const DECIMALS: usize = 6;
const DECIMALS_MAX: usize = 12;

/// Replaces VINs, customers and positions, the same ones always by the same ones.
///
/// Vehicles and customers are numbered as they come, so a pseudonym tells nothing of what it stands for. Positions move by
/// one offset for the whole recording. What else could tell of a person is left out ([`LeftOut`]).
#[derive(Debug)]
pub struct Anonymiser {
    catalogue: Arc<Catalogue>,
    vins: HashMap<Vin, Vin>,
    gcids: HashMap<Gcid, Gcid>,
    north: f64,
    east: f64,
    left_out: LeftOut,
}

/// What a recording lacks of its stream, by descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many values each of these descriptors had.
    pub values: BTreeMap<String, u64>,
    /// Messages of which nothing was left.
    pub messages: u64,
}

impl LeftOut {
    fn count(&mut self, name: String) {
        let full = self.values.len() >= LISTED_MAX && !self.values.contains_key(&name);
        let name = if full { "others".to_owned() } else { name };
        *self.values.entry(name).or_default() += 1;
    }
}

/// A message that can't be read can't be made anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message is no event, or its topic is not that of a vehicle")]
pub struct Unreadable;

#[derive(Debug, Clone, Copy)]
enum Coordinate {
    Latitude,
    Longitude,
}

/// What becomes of an entry's value.
enum Fate {
    Stays,
    Becomes(String),
    Goes,
}

impl Anonymiser {
    /// An anonymiser whose offset comes from `random` bytes.
    pub fn new(catalogue: Arc<Catalogue>, random: [u8; 16]) -> Self {
        let half =
            |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let (north, east) = random.split_at(8);
        Self {
            catalogue,
            vins: HashMap::new(),
            gcids: HashMap::new(),
            north: offset(half(north), NORTH),
            east: offset(half(east), EAST),
            left_out: LeftOut::default(),
        }
    }

    /// What was left out so far.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// The message as it may be kept; `None` when nothing of it may.
    ///
    /// # Errors
    /// [`Unreadable`] when it can't be told what the message says.
    pub fn message(&mut self, message: &Message) -> Result<Option<Message>, Unreadable> {
        let json = std::str::from_utf8(&message.payload).map_err(|_| Unreadable)?;
        let members = Members::of(json).map_err(|_| Unreadable)?;
        let vin = members.get("vin").and_then(text).and_then(|vin| vin.parse().ok());
        self.vin(vin.ok_or(Unreadable)?);
        let topic = self.topic(&message.topic)?;
        if let Some(gcid) = members.get("entityId").and_then(text).and_then(|id| id.parse().ok()) {
            self.gcid(gcid);
        }
        let mut kept = Vec::new();
        for (name, value) in &members.0 {
            match &**name {
                "vin" | "entityId" | "topic" if Kind::of(value.get()) == Kind::Text => {
                    let text = text(value.get()).ok_or(Unreadable)?;
                    let replaced = self.replaced(&text);
                    // An id that was not recognised as one stays nowhere.
                    if replaced != text {
                        kept.push(member(name, &quoted(&replaced)));
                    }
                }
                "timestamp" if is_time(value) => kept.push(member(name, value.get())),
                "data" => {
                    let entries = Members::of(value.get()).map_err(|_| Unreadable)?;
                    let Some(data) = self.data(entries) else {
                        self.left_out.messages += 1;
                        return Ok(None);
                    };
                    kept.push(member(name, &data));
                }
                _ => {}
            }
        }
        let payload = format!("{{{}}}", kept.join(",")).into();
        Ok(Some(Message { topic, payload, ..message.clone() }))
    }

    /// The entries that may be kept, as JSON; `None` when there are none.
    fn data(&mut self, entries: Members<'_>) -> Option<String> {
        let mut kept = Vec::new();
        for (name, entry) in entries.0 {
            match self.entry(&name, entry) {
                Some(entry) => kept.push(member(&name, &entry)),
                None => self.left_out.count(name.into_owned()),
            }
        }
        (!kept.is_empty()).then(|| format!("{{{}}}", kept.join(",")))
    }

    fn entry(&self, name: &str, entry: &RawValue) -> Option<String> {
        let parts = Members::of(entry.get()).ok()?;
        let fate = self.fate(name, parts.get("value")?);
        if matches!(fate, Fate::Goes) {
            return None;
        }
        let mut kept = Vec::new();
        for (part, json) in &parts.0 {
            match (&**part, &fate) {
                ("value", Fate::Becomes(value)) => kept.push(member(part, value)),
                ("value", _) => kept.push(member(part, json.get())),
                ("timestamp", _) if is_time(json) => kept.push(member(part, json.get())),
                ("unit", _) if is_unit(json) => kept.push(member(part, json.get())),
                _ => {}
            }
        }
        Some(format!("{{{}}}", kept.join(",")))
    }

    fn fate(&self, name: &str, json: &str) -> Fate {
        let kind = Kind::of(json);
        let listed = self
            .catalogue
            .find(name)
            .is_some_and(|id| self.catalogue.descriptor(id).category != Category::Unlisted);
        match (coordinate(name), kind) {
            (_, Kind::Boolean) => return Fate::Stays,
            (_, Kind::Other) => return Fate::Goes,
            (Some(coordinate), Kind::Number) => {
                return self.moved(json, coordinate).map_or(Fate::Goes, Fate::Becomes);
            }
            (Some(coordinate), Kind::Text) => {
                let moved = text(json).and_then(|text| self.moved(text.trim(), coordinate));
                return moved.map_or(Fate::Goes, |moved| Fate::Becomes(quoted(&moved)));
            }
            (None, _) => {}
        }
        let reveals = if listed {
            REVEALING.contains(&name) || name.starts_with(REVEALING_BELOW)
        } else {
            words(name).any(|word| REVEALING_WORDS.contains(&word.as_str()))
        };
        match (kind, text(json)) {
            _ if reveals => Fate::Goes,
            (Kind::Text, Some(text)) if listed => {
                let replaced = self.replaced(&text);
                if replaced == text { Fate::Stays } else { Fate::Becomes(quoted(&replaced)) }
            }
            (Kind::Text, Some(text)) if is_time_text(&text) => Fate::Stays,
            (Kind::Number, _) => Fate::Stays,
            _ => Fate::Goes,
        }
    }

    /// `number` moved; `None` where the offset leads beyond a pole.
    ///
    /// What is no place, such as zero without a fix or a number beyond all degrees, stays: moved, it would tell the
    /// offset.
    fn moved(&self, number: &str, coordinate: Coordinate) -> Option<String> {
        let degrees: f64 = number.parse().ok().filter(|degrees: &f64| degrees.is_finite())?;
        let limit = match coordinate {
            Coordinate::Latitude => 90.0,
            Coordinate::Longitude => 180.0,
        };
        if degrees == 0.0 || degrees.abs() > limit {
            return Some(number.to_owned());
        }
        let moved = match coordinate {
            Coordinate::Latitude => {
                Some(degrees + self.north).filter(|moved| moved.abs() <= limit)?
            }
            Coordinate::Longitude => (degrees + self.east + 180.0).rem_euclid(360.0) - 180.0,
        };
        let fraction = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let decimals = fraction.clamp(DECIMALS, DECIMALS_MAX);
        Some(format!("{moved:.decimals$}"))
    }

    /// The topic of the same vehicle under its pseudonym.
    fn topic(&mut self, topic: &str) -> Result<Arc<str>, Unreadable> {
        let (gcid, vin) = topic.split_once('/').ok_or(Unreadable)?;
        let gcid = gcid.parse().map_err(|_| Unreadable)?;
        let vin = vin.parse().map_err(|_| Unreadable)?;
        Ok(format!("{}/{}", self.gcid(gcid), self.vin(vin).as_str()).into())
    }

    fn vin(&mut self, vin: Vin) -> Vin {
        let number = self.vins.len() + 1;
        *self.vins.entry(vin).or_insert_with(|| {
            format!("REC{number:014}").parse().expect("it has the form of a VIN")
        })
    }

    fn gcid(&mut self, gcid: Gcid) -> Gcid {
        let number = self.gcids.len() + 1;
        *self.gcids.entry(gcid).or_insert_with(|| {
            format!("00000000-0000-4000-8000-{number:012}").parse().expect("it is a UUID")
        })
    }

    /// `text` with pseudonyms for each known VIN and customer.
    fn replaced(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (vin, pseudonym) in &self.vins {
            text = text.replace(vin.as_str(), pseudonym.as_str());
        }
        for (gcid, pseudonym) in &self.gcids {
            text = text.replace(&gcid.to_string(), &pseudonym.to_string());
        }
        text
    }
}

fn member(name: &str, json: &str) -> String {
    format!("{}:{json}", quoted(name))
}

/// A number of degrees between two, to the north or east, or the other way.
#[expect(clippy::cast_precision_loss, reason = "32 random bits are plenty, and exact")]
fn offset(random: u64, (least, most): (f64, f64)) -> f64 {
    let share = (random >> 32) as f64 / f64::from(u32::MAX);
    // In the digits of a coordinate, so that those of a moved one add up.
    let degrees = ((least + share * (most - least)) * 1e6).round() / 1e6;
    if random & 1 == 0 { degrees } else { -degrees }
}

/// Whether a descriptor is half a position, by the last words of its name.
fn coordinate(name: &str) -> Option<Coordinate> {
    words(name).find_map(|word| match word.as_str() {
        "latitude" | "lat" => Some(Coordinate::Latitude),
        "longitude" | "lon" | "long" | "lng" => Some(Coordinate::Longitude),
        _ => None,
    })
}

/// The words of `vehicle.someName` in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for character in name.chars() {
        if !character.is_alphabetic() || (character.is_uppercase() && before_is_lower) {
            words.push(String::new());
        }
        if character.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        before_is_lower = character.is_lowercase();
    }
    words.into_iter().filter(|word| !word.is_empty())
}

fn is_time(json: &RawValue) -> bool {
    text(json.get()).is_some_and(|text| is_time_text(&text))
}

fn is_time_text(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
        || (text.contains(['-', ':'])
            && (text.parse::<civil::DateTime>().is_ok() || text.parse::<civil::Time>().is_ok()))
}

/// Whether a unit is short enough to be one.
fn is_unit(json: &RawValue) -> bool {
    const LENGTH_MAX: usize = 24;
    json.get() == "null" || text(json.get()).is_some_and(|unit| unit.len() <= LENGTH_MAX)
}
