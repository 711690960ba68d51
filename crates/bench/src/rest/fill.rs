//! Fills the journal over the door for events: JSON lines over HTTPS.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::RestBenchError;
use super::door::Door;
use crate::crew;
use crate::progress::Progress;

/// Events of a request; some 2 MB.
const LINES: u64 = 10_000;
/// Requests at a time.
const AT_ONCE: u64 = 4;
/// The values' times lie in the hour before.
const HOUR_MS: u64 = 3_600_000;

/// Sends `events` events of one value each, of all `vins` and `descriptors` in turn.
pub(super) async fn fill(
    door: &Door,
    vins: &[String],
    descriptors: &[String],
    events: u64,
    now: Timestamp,
    progress: &Arc<dyn Progress>,
) -> Result<(), RestBenchError> {
    progress.begin("filling the journal, 10,000 events at a time", events.div_ceil(LINES));
    let (door, vins, descriptors): (_, Arc<[_]>, Arc<[_]>) =
        (door.clone(), vins.into(), descriptors.into());
    let work = move |part: u64| {
        let (door, vins, descriptors) = (door.clone(), vins.clone(), descriptors.clone());
        async move {
            let mut lines = String::new();
            for number in part * LINES..events.min((part + 1) * LINES) {
                let vehicles = vins.len() as u64;
                let vin = &vins[at(number % vehicles, vins.len())];
                let own = number / vehicles;
                let name = &descriptors[at(own % descriptors.len() as u64, descriptors.len())];
                put(&mut lines, vin, &[name], own, at_number(number, events, now));
            }
            door.connect().await?.post(PATH, lines.into()).await
        }
    };
    crew::each(0..events.div_ceil(LINES), AT_ONCE, progress, work).await.map(drop)
}

/// Lets `vin` report all `descriptors` once.
pub(super) async fn report(
    door: &Door,
    vin: &str,
    descriptors: &[String],
    now: Timestamp,
) -> Result<(), RestBenchError> {
    let mut line = String::new();
    put(&mut line, vin, &descriptors.iter().collect::<Vec<_>>(), 0, now);
    door.connect().await?.post(PATH, Bytes::from(line)).await.map(drop)
}

const PATH: &str = "/ingest/v1/events";

fn at(index: u64, length: usize) -> usize {
    usize::try_from(index).unwrap_or_default().min(length.saturating_sub(1))
}

/// When event `number` of `events` was, so that the last is not after `now`.
fn at_number(number: u64, events: u64, now: Timestamp) -> Timestamp {
    let before = (events - number) * HOUR_MS / events;
    let before = SignedDuration::from_millis(before.cast_signed());
    now.checked_sub(before).unwrap_or(now)
}

/// Appends an event with its line's end.
fn put(lines: &mut String, vin: &str, descriptors: &[&String], number: u64, at: Timestamp) {
    let _ = write!(lines, r#"{{"vin":"{vin}","timestamp":"{at}","data":{{"#);
    for (index, name) in descriptors.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let value = number % 1000;
        let _ = write!(
            lines,
            r#"{comma}"{name}":{{"timestamp":"{at}","value":{value}.5,"unit":"km"}}"#
        );
    }
    lines.push_str("}}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_of_json_with_its_values() {
        let names = ["vehicle.a".to_owned(), "vehicle.b".to_owned()];
        let mut lines = String::new();
        put(&mut lines, "WBY00000000000001", &names.each_ref(), 4711, Timestamp::UNIX_EPOCH);
        let json: serde_json::Value =
            serde_json::from_str(lines.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(json["vin"], "WBY00000000000001");
        assert_eq!(json["data"]["vehicle.a"]["value"], 711.5);
        assert_eq!(json["data"]["vehicle.b"]["timestamp"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_times_go_through_the_hour_before_and_no_further() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let times = [0, 5, 9].map(|number| at_number(number, 10, now).to_string());
        assert_eq!(times, ["2026-11-28T11:00:00Z", "2026-11-28T11:30:00Z", "2026-11-28T11:54:00Z"]);
    }
}
