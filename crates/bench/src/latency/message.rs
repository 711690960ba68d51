//! Events that say which one they are.

use std::fmt::Write as _;

use jiff::Timestamp;

/// What an event carries; its number is the value of the first.
pub(super) const DESCRIPTORS: [&str; 5] = [
    NUMBERED,
    "vehicle.drivetrain.batteryManagement.header",
    "vehicle.cabin.infotainment.navigation.currentLocation.latitude",
    "vehicle.cabin.infotainment.navigation.currentLocation.longitude",
    "vehicle.drivetrain.electricEngine.charging.status",
];
const NUMBERED: &str = "vehicle.vehicle.travelledDistance";
const UNITS: [Option<&str>; 5] =
    [Some("km"), Some("percent"), Some("degrees"), Some("degrees"), None];
const VALUES: [&str; 5] = ["", "87", "48.177024", "11.559107", "\"CHARGINGACTIVE\""];

/// Event `number` of the vehicle `vin`, at `at`.
pub(crate) fn event(vin: &str, number: u64, at: Timestamp) -> String {
    let mut json = format!(r#"{{"vin":"{vin}","timestamp":"{at}","data":{{"#);
    for (index, ((name, value), unit)) in DESCRIPTORS.iter().zip(VALUES).zip(UNITS).enumerate() {
        if index > 0 {
            json.push(',');
        }
        let own = number.to_string();
        let value = if value.is_empty() { &own } else { value };
        let _ = write!(json, r#""{name}":{{"timestamp":"{at}","value":{value}"#);
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
    const VALUE: &[u8] = b"\"value\":";
    let entry = after(payload, NUMBERED.as_bytes())?;
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
        let json = event("WBY00000000000001", 4711, Timestamp::UNIX_EPOCH);
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
