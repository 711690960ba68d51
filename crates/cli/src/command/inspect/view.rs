//! A recording on a terminal.

use cardata_domain::Vin;
use cardata_simulator::recording::stream::Identity;
use jiff::{SignedDuration, Timestamp};

use super::contents::{Contents, Signal, Vehicle};
use crate::output::{harmless, size};

/// Columns of a curve, at most.
const CURVE_MAX: usize = 60;
/// Columns before a curve: as many as before what stands above it.
const INDENT: usize = 11;
/// Columns of a value; longer ones are shortened.
const VALUE_MAX: usize = 24;

/// All lines, none of which is longer than `width`.
pub(super) fn lines(contents: &Contents, width: usize) -> Vec<String> {
    let mut lines = head(contents);
    for vehicle in &contents.vehicles {
        lines.push(String::new());
        let name = vehicle.vin.as_ref().map_or("a vehicle without a VIN", Vin::as_str);
        lines.push(format!("{name}  {}", counted(vehicle.messages, "message")));
        lines.extend(signals(vehicle, width));
    }
    lines.into_iter().map(|line| shortened(&line, width)).collect()
}

fn head(contents: &Contents) -> Vec<String> {
    let line = |name: &str, text: String| format!("{name:<11}{text}");
    let mut lines = vec![
        line("file", harmless(&contents.file)),
        line("form", format!("{}, {}", contents.form, size(contents.size_bytes))),
    ];
    if let Some(header) = &contents.recorded {
        let identity = match header.identity {
            Identity::Kept => "tells whose vehicles these are",
            Identity::Replaced => "VINs, customer and positions are replaced",
        };
        let (program, at) = (harmless(&header.program), second(header.created_at));
        lines.push(line("recorded", format!("{at} by {program}; {identity}")));
    }
    let retained = match contents.retained {
        0 => String::new(),
        retained => format!(", {retained} of them of what was known before"),
    };
    lines.push(line("messages", format!("{}{retained}", contents.messages)));
    if let (Some(first), Some(last)) = (contents.first_at, contents.last_at) {
        let span = span(last.duration_since(first));
        let text = if contents.has_dates {
            format!("{} to {}, {span}", second(first), second(last))
        } else {
            format!("{span}; the recording has no dates")
        };
        lines.push(line("time", text));
    }
    if contents.unusable.count > 0 {
        let first = contents.unusable.first.as_deref().unwrap_or_default();
        let text = format!("{} that are no events; {}", contents.unusable.count, harmless(first));
        lines.push(line("unusable", text));
    }
    for lost in &contents.damage {
        let text = format!(
            "block {} at byte {}: {}; {} bytes are lost",
            lost.block, lost.at_byte, lost.why, lost.bytes
        );
        lines.push(line("damaged", text));
    }
    if contents.is_whole == Some(false) {
        lines.push(line("cut off", "the recording has no end; all before is there".to_owned()));
    }
    lines
}

/// Two or three lines for each descriptor: its name, what it said, and for numbers how they went.
fn signals(vehicle: &Vehicle, width: usize) -> impl Iterator<Item = String> {
    let columns = (width - INDENT).min(CURVE_MAX);
    vehicle.descriptors.iter().flat_map(move |(name, signal)| {
        let name = format!("  {}", middle_shortened(name, width - 2));
        // A level line tells nothing.
        let curve = signal.curve.draw(vehicle.last_at, columns);
        let curve = (signal.min != signal.max).then(|| format!("{:INDENT$}{curve}", ""));
        [Some(name), Some(format!("    {}", facts(signal))), curve].into_iter().flatten()
    })
}

/// `12×  81 → 64 %  61 to 82`, or for what is no number `12×  OPEN → CLOSED  3 changes, 2 values`.
fn facts(signal: &Signal) -> String {
    let unit = signal.unit.as_deref().map_or(String::new(), |unit| format!(" {}", harmless(unit)));
    let (first, last) = (shown(&signal.first), shown(&signal.last));
    let went = if first == last { first } else { format!("{first} → {last}") };
    let count = format!("{}×", signal.count);
    match (&signal.min, &signal.max) {
        (Some(min), Some(max)) if min == max => format!("{count:<6} {went}{unit}"),
        (Some(min), Some(max)) => {
            format!("{count:<6} {went}{unit}  {} to {}", shown(min), shown(max))
        }
        _ => {
            let (changes, distinct) = (signal.changes, signal.distinct);
            let changes = counted(changes, "change");
            format!("{count:<6} {went}{unit}  {changes}, {}", counted(distinct as u64, "value"))
        }
    }
}

fn shown(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::String(text) => harmless(text),
        other => other.to_string(),
    };
    shortened(&text, VALUE_MAX)
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Days, hours, minutes and seconds, without those that are 0.
fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    if parts.is_empty() { "less than 1 s".to_owned() } else { parts.join(" ") }
}

/// At most `width` characters of `text`.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The same, without the middle: descriptors differ at their ends.
fn middle_shortened(text: &str, width: usize) -> String {
    let text = harmless(text);
    let count = text.chars().count();
    if count <= width {
        return text;
    }
    let head = width / 3;
    let tail = width.saturating_sub(head + 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}
