//! Keeps `docs/guides/faults.md` complete: it has every kind of fault, and no other.

use std::collections::BTreeSet;

use cardata_tests::read;

#[test]
fn the_guide_has_every_kind_of_fault_and_no_other() {
    let source = read("crates/server/src/faults/kind.rs");
    let (_, table) = source.split_once("pub const ALL:").expect("the kinds");
    let table = table.split("\n];").next().unwrap_or_default();
    let kinds: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("        name: \"")?.strip_suffix("\","))
        .collect();
    assert!(kinds.len() >= 20, "only {kinds:?} were found");
    let guide = read("docs/guides/faults.md");
    for kind in &kinds {
        assert!(
            guide.contains(&format!("`{kind}`")) || guide.contains(&format!("fault add {kind}")),
            "{kind}"
        );
    }
    let begun = guide.split("fault add ").skip(1);
    for kind in begun.filter_map(|rest| rest.split([' ', '`', '\n']).next()) {
        assert!(kinds.contains(kind), "there is no fault `{kind}`");
    }
}
