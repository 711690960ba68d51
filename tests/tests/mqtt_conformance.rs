//! Keeps `docs/reference/mqtt-conformance.md` complete and true: every numbered statement of both standards is there, with
//! a test that exists and is named by its number, or with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cardata_tests::{defines, read, root};

const DOCUMENT: &str = "docs/reference/mqtt-conformance.md";

/// A standard, and where its tests are.
struct Standard {
    /// The document's heading.
    name: &'static str,
    /// Tests of this standard alone.
    tests: &'static str,
    /// How many statements each section has; they are numbered from 1.
    sections: &'static [(&'static str, u32)],
    /// Numbers that were never given.
    missing: &'static [&'static str],
}

/// Tests of both standards.
const SHARED_TESTS: &str = "crates/server/src/stream/websocket/tests.rs";

/// What the first cells of the standards' appendices B have.
const STANDARDS: [Standard; 2] = [
    Standard {
        name: "MQTT 3.1.1",
        tests: "crates/server/src/stream/conformance/v311",
        sections: &[
            ("1.5.3", 3),
            ("2.2.2", 2),
            ("2.3.1", 7),
            ("3.1.0", 2),
            ("3.1.2", 24),
            ("3.1.3", 11),
            ("3.1.4", 5),
            ("3.2.0", 1),
            ("3.2.2", 6),
            ("3.3.1", 12),
            ("3.3.2", 3),
            ("3.3.4", 1),
            ("3.3.5", 2),
            ("3.6.1", 1),
            ("3.8.1", 1),
            ("3.8.3", 4),
            ("3.8.4", 6),
            ("3.9.3", 2),
            ("3.10.1", 1),
            ("3.10.3", 2),
            ("3.10.4", 6),
            ("3.12.4", 1),
            ("3.14.1", 1),
            ("3.14.4", 3),
            ("4.1.0", 2),
            ("4.3.1", 1),
            ("4.3.2", 2),
            ("4.3.3", 2),
            ("4.4.0", 1),
            ("4.5.0", 2),
            ("4.6.0", 6),
            ("4.7.1", 3),
            ("4.7.2", 1),
            ("4.7.3", 4),
            ("4.8.0", 2),
            ("6.0.0", 4),
            ("7.0.0", 2),
            ("7.1.1", 1),
            ("7.1.2", 1),
        ],
        missing: &[],
    },
    Standard {
        name: "MQTT 5.0",
        tests: "crates/server/src/stream/conformance/v5",
        sections: &[
            ("1.5.4", 3),
            ("1.5.5", 1),
            ("1.5.7", 1),
            ("2.1.3", 1),
            ("2.2.1", 6),
            ("2.2.2", 1),
            ("3.1.0", 2),
            ("3.1.2", 30),
            ("3.1.3", 12),
            ("3.1.4", 6),
            ("3.2.0", 2),
            ("3.2.2", 22),
            ("3.3.1", 13),
            ("3.3.2", 20),
            ("3.3.4", 10),
            ("3.4.2", 3),
            ("3.5.2", 3),
            ("3.6.1", 1),
            ("3.6.2", 3),
            ("3.7.2", 3),
            ("3.8.1", 1),
            ("3.8.3", 5),
            ("3.8.4", 8),
            ("3.9.2", 2),
            ("3.9.3", 2),
            ("3.10.1", 1),
            ("3.10.3", 2),
            ("3.10.4", 6),
            ("3.11.2", 2),
            ("3.11.3", 2),
            ("3.12.4", 1),
            ("3.14.0", 1),
            ("3.14.1", 1),
            ("3.14.2", 4),
            ("3.14.4", 3),
            ("3.15.1", 1),
            ("3.15.2", 3),
            ("4.1.0", 2),
            ("4.2.0", 1),
            ("4.3.1", 1),
            ("4.3.2", 5),
            ("4.3.3", 13),
            ("4.4.0", 2),
            ("4.5.0", 2),
            ("4.6.0", 6),
            ("4.7.0", 1),
            ("4.7.1", 2),
            ("4.7.2", 1),
            ("4.7.3", 4),
            ("4.8.2", 6),
            ("4.9.0", 3),
            ("4.12.0", 7),
            ("4.12.1", 2),
            ("4.13.1", 1),
            ("4.13.2", 1),
            ("6.0.0", 4),
        ],
        missing: &["2.2.1-1"],
    },
];

impl Standard {
    /// All its numbers.
    fn numbers(&self) -> BTreeSet<String> {
        let sections = self.sections.iter();
        let numbers = sections.flat_map(|(section, count)| {
            (1..=*count).map(move |number| format!("{section}-{number}"))
        });
        numbers.filter(|number| !self.missing.contains(&number.as_str())).collect()
    }
}

/// What the document says of one standard.
struct Chapter {
    /// By number: the last cell of its row.
    rows: BTreeMap<String, String>,
    clients_only: BTreeSet<String>,
}

impl Chapter {
    fn read(document: &str, standard: &Standard) -> Self {
        let (_, rest) =
            document.split_once(&format!("\n## {}\n", standard.name)).expect("a chapter");
        let text = rest.split("\n## ").next().unwrap_or_default();
        let mut rows = BTreeMap::new();
        let mut clients_only = BTreeSet::new();
        for line in text.lines() {
            if let Some(numbers) = line.strip_prefix("Only clients are bound by ") {
                let numbers = numbers.trim_end_matches('.').split(", ").map(str::to_owned);
                clients_only.extend(numbers);
            }
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            if let [number, says, shown] = cells[..]
                && number.starts_with(|first: char| first.is_ascii_digit())
            {
                assert!(!says.is_empty() && !shown.is_empty(), "{number} has an empty cell");
                let earlier = rows.insert(number.to_owned(), shown.to_owned());
                assert_eq!(earlier, None, "{number} has two rows");
            }
        }
        Self { rows, clients_only }
    }

    fn is_shown(&self, number: &str) -> bool {
        !self.rows[number].starts_with("Does not apply: ")
    }
}

#[test]
fn every_statement_of_the_standards_is_listed_once() {
    let document = read(DOCUMENT);
    for (standard, count) in STANDARDS.iter().zip([141, 251]) {
        let numbers = standard.numbers();
        assert_eq!(numbers.len(), count, "{}", standard.name);
        let chapter = Chapter::read(&document, standard);
        let rows: BTreeSet<_> = chapter.rows.keys().cloned().collect();
        let both: Vec<_> = rows.intersection(&chapter.clients_only).collect();
        assert_eq!(both, Vec::<&String>::new(), "{}: in two places", standard.name);
        let listed: BTreeSet<_> = rows.union(&chapter.clients_only).cloned().collect();
        let missing: Vec<_> = numbers.difference(&listed).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{}: not listed", standard.name);
        let invented: Vec<_> = listed.difference(&numbers).collect();
        assert_eq!(invented, Vec::<&String>::new(), "{}: no such number", standard.name);
    }
}

#[test]
fn the_summary_counts_what_the_lists_have() {
    let document = read(DOCUMENT);
    for standard in &STANDARDS {
        let chapter = Chapter::read(&document, standard);
        let shown = chapter.rows.keys().filter(|number| chapter.is_shown(number)).count();
        let (others, clients) = (chapter.rows.len() - shown, chapter.clients_only.len());
        let all = shown + others + clients;
        let row = format!("| {} | {shown} | {others} | {clients} | {all} |", standard.name);
        assert!(document.contains(&row), "the summary should have the row {row}");
    }
}

#[test]
fn every_test_that_is_named_exists_and_shows_what_it_is_named_for() {
    let document = read(DOCUMENT);
    for standard in &STANDARDS {
        let own = tests_in(standard.tests);
        for (number, cell) in Chapter::read(&document, standard).rows {
            if cell.starts_with("Does not apply: ") {
                assert!(!cell.contains('`'), "{number} names a test, though it does not apply");
                continue;
            }
            let (file, names) = file_and_names(&cell);
            assert!(!names.is_empty(), "{}: {number} names no test", standard.name);
            for name in names {
                let exists = match file {
                    Some(file) => defines(&read(file), name),
                    None => own.contains(name),
                };
                assert!(exists, "{}: {number} names {name}, which is not there", standard.name);
                let shows = numbers_in(name);
                assert!(
                    shows.contains(&number) || file.is_some() && shows.is_empty(),
                    "{}: {number} names {name}, which is named by other numbers",
                    standard.name
                );
            }
        }
    }
}

#[test]
fn every_test_that_is_named_by_a_number_is_listed_there() {
    let document = read(DOCUMENT);
    for standard in &STANDARDS {
        let rows = Chapter::read(&document, standard).rows;
        let (own, shared) = (tests_in(standard.tests), tests_in(SHARED_TESTS));
        assert!(own.len() >= 60 && !shared.is_empty(), "{}: where are the tests?", standard.name);
        for name in own.iter().chain(&shared) {
            let numbers = numbers_in(name);
            assert!(!numbers.is_empty(), "{name} is named by no number");
            for number in numbers {
                let cell = rows.get(&number).map(String::as_str).unwrap_or_default();
                let is_listed = cell.contains(&format!("`{name}`"));
                assert!(is_listed, "{}: {number} does not name {name}", standard.name);
            }
        }
    }
}

/// The file in a cell, if its tests are not the standard's own, and their names.
fn file_and_names(cell: &str) -> (Option<&str>, Vec<&str>) {
    let mut spans: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
    let has_file = spans.first().is_some_and(|first| first.contains('/'));
    let file = if has_file { Some(spans.remove(0)) } else { None };
    (file, spans)
}

/// The numbers that a test's name begins with: `mqtt_3_1_2_1_2_mqtt_3_2_0_1_…` are 3.1.2-1, 3.1.2-2 and 3.2.0-1.
fn numbers_in(name: &str) -> BTreeSet<String> {
    let mut numbers = BTreeSet::new();
    let mut rest = name;
    while let Some(after) = rest.strip_prefix("mqtt_") {
        let parts: Vec<_> = after.split('_').collect();
        let is_number = |part: &&&str| part.parse::<u32>().is_ok();
        let digits: Vec<_> = parts.iter().take_while(is_number).collect();
        let [chapter, section, part, statements @ ..] = &digits[..] else { break };
        numbers.extend(statements.iter().map(|last| format!("{chapter}.{section}.{part}-{last}")));
        let length: usize = digits.iter().map(|digit| digit.len() + 1).sum();
        rest = after.get(length..).unwrap_or_default();
    }
    numbers
}

/// The tests of a file or of the files of a folder that are named by a number, or of which this folder is made.
fn tests_in(path: &str) -> BTreeSet<String> {
    let path = root().join(path);
    let files: Vec<_> = if path.is_dir() {
        let entries = fs::read_dir(&path).expect("a readable folder");
        entries.map(|entry| entry.expect("a readable entry").path()).collect()
    } else {
        vec![path.clone()]
    };
    let mut tests = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("a readable source");
        for after in source.split("#[tokio::test]\nasync fn ").skip(1) {
            let name = after.split('(').next().unwrap_or_default();
            if path.is_dir() || name.starts_with("mqtt_") {
                tests.insert(name.to_owned());
            }
        }
    }
    tests
}

#[test]
fn numbers_are_read_from_names() {
    let of = |name| numbers_in(name).into_iter().collect::<Vec<_>>();
    assert_eq!(of("mqtt_3_1_0_1_the_first"), ["3.1.0-1"]);
    assert_eq!(of("mqtt_3_10_4_1_12_mqtt_6_0_0_2_it"), ["3.10.4-1", "3.10.4-12", "6.0.0-2"]);
    assert_eq!(of("mqtt_5_says_why"), [""; 0]);
    assert_eq!(of("a_test"), [""; 0]);
}
