//! Events that say which one they are.

use std::fmt::Write as _;

use jiff::Timestamp;

/// What events carry, the first few of them or all; an event's number is the value of the first.
pub(crate) const DESCRIPTORS: [&str; 7] = [
    NUMBERED,
    "vehicle.drivetrain.batteryManagement.header",
    "vehicle.cabin.infotainment.navigation.currentLocation.latitude",
    "vehicle.cabin.infotainment.navigation.currentLocation.longitude",
    "vehicle.drivetrain.electricEngine.charging.status",
    "vehicle.vehicle.speedRange.lowerBound",
    "vehicle.drivetrain.electricEngine.remainingElectricRange",
];
pub(crate) const NUMBERED: &str = "vehicle.vehicle.travelledDistance";
const UNITS: [Option<&str>; 7] =
    [Some("km"), Some("percent"), Some("degrees"), Some("degrees"), None, Some("km/h"), Some("km")];
const VALUES: [&str; 7] = ["", "87", "48.177024", "11.559107", "\"CHARGINGACTIVE\"", "50", "312"];

/// Values of an event, where nothing else is asked for.
pub(crate) const USUAL: usize = 5;

/// Event `number` of the vehicle `vin`, at `at`, with so many `values`.
pub(crate) fn event(vin: &str, number: u64, at: Timestamp, values: usize) -> String {
    let at = at.to_string();
    let mut json = format!(r#"{{"vin":"{vin}","timestamp":"{at}","data":{{"#);
    let entries = DESCRIPTORS.iter().zip(VALUES).zip(UNITS).take(values);
    for (index, ((name, value), unit)) in entries.enumerate() {
        if index > 0 {
            json.push(',');
        }
        let _ = match value {
            "" => write!(json, r#""{name}":{{"timestamp":"{at}","value":{number}"#),
            value => write!(json, r#""{name}":{{"timestamp":"{at}","value":{value}"#),
        };
        if let Some(unit) = unit {
            let _ = write!(json, r#","unit":"{unit}""#);
        }
        json.push('}');
    }
    json.push_str("}}");
    json
}

/// The number of the event that a message is of; `None` for one that does not carry it.
pub(super) fn number(payload: &[u8]) -> Option<u64> {
    number_at(after(payload, NUMBERED.as_bytes())?)
}

/// The same of the rest of a message behind the descriptor's name.
pub(crate) fn number_at(entry: &[u8]) -> Option<u64> {
    const VALUE: &[u8] = b"\"value\":";
    let value = after(entry, VALUE)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

fn after<'a>(text: &'a [u8], found: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(found.len()).position(|window| window == found)?;
    Some(&text[at + found.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_its_number() {
        let json = event("WBY00000000000001", 4711, Timestamp::UNIX_EPOCH, USUAL);
        assert_eq!(number(json.as_bytes()), Some(4711));
        assert!(
            json.starts_with(r#"{"vin":"WBY00000000000001","timestamp":"1970-01-01T00:00:00Z""#)
        );
        assert!((500..800).contains(&json.len()), "{}", json.len());
    }

    #[test]
    fn a_message_without_the_number_has_none() {
        let other = r#"{"data":{"vehicle.drivetrain.batteryManagement.header":{"value":5}}}"#;
        assert_eq!(number(other.as_bytes()), None);
        assert_eq!(number(br#""vehicle.vehicle.travelledDistance":{"value":null}"#), None);
        assert_eq!(number(b""), None);
    }
}
