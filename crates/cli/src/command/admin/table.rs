//! Rows and single things for people. Texts come from elsewhere, so nothing in them reaches the terminal as a command.

use serde_json::Value;

use crate::output::harmless;

/// A line for each row below a heading, in columns; each column has its heading and the place in the row.
pub(super) fn rows(rows: &[Value], columns: &[(&str, &str)]) -> Vec<String> {
    let mut cells: Vec<Vec<String>> =
        vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    for row in rows {
        cells.push(columns.iter().map(|(_, place)| cell(row, place)).collect());
    }
    let width = |column: usize| {
        cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

/// A line for each of `lines` that is there, with its name before it.
pub(super) fn one(one: &Value, lines: &[(&str, &str)]) -> Vec<String> {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let there = lines.iter().filter(|(_, place)| one.pointer(place).is_some());
    there.map(|(name, place)| format!("{name:width$}  {}", cell(one, place))).collect()
}

/// What stands at `place`, a JSON pointer.
fn cell(row: &Value, place: &str) -> String {
    match row.pointer(place) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::String(text)) => harmless(text),
        Some(other) => harmless(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_stand_in_columns_and_are_harmless() {
        let all =
            [json!({"a": "Übersicht", "b": {"c": true}}), json!({"a": "\u{1b}[2J", "b": null})];
        assert_eq!(
            rows(&all, &[("A", "/a"), ("C", "/b/c")]),
            ["A          C", "Übersicht  yes", "·[2J       -"]
        );
        assert_eq!(rows(&[], &[("A", "/a")]), ["A"]);
    }

    #[test]
    fn what_is_not_there_is_left_out_of_a_single_thing() {
        let thing = json!({"email": "x@y", "number": 5});
        let lines =
            one(&thing, &[("e-mail", "/email"), ("no", "/number"), ("password", "/password")]);
        assert_eq!(lines, ["e-mail    x@y", "no        5"]);
    }
}
