//! The list of threats names tests that exist.

use cardata_tests::{defines, read};

const DOCUMENT: &str = "docs/reference/security.md";

#[test]
fn every_threat_has_a_defence_and_tests_that_are_there() {
    let document = read(DOCUMENT);
    let rows =
        document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Threat"));
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 15, "where are the threats?");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [threat, defence, tests] = cells[..] else { panic!("three cells: {row}") };
        assert!(!threat.trim().is_empty() && !defence.trim().is_empty(), "{row}");
        let mut file = None;
        let mut count = 0;
        for span in tests.split('`').skip(1).step_by(2) {
            if span.contains('/') {
                let path = if span.starts_with("tests/") {
                    span.to_owned()
                } else {
                    format!("crates/{span}")
                };
                file = Some(read(&path));
            } else {
                let source = file.as_deref().unwrap_or_else(|| panic!("no file before {span}"));
                assert!(defines(source, span), "{threat}: there is no test {span}");
                count += 1;
            }
        }
        assert!(count > 0, "{threat}: no test");
    }
}
