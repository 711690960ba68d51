//! Keeps `docs/reference/metrics.md` complete and true: it has every metric that the sources count, of the kind that it
//! is, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cardata_tests::{read, root};

const DOCUMENT: &str = "docs/reference/metrics.md";

/// The macros that count, and what Prometheus' text form calls what comes of them.
const KINDS: [(&str, &str); 3] =
    [("counter!(", "counter"), ("gauge!(", "gauge"), ("histogram!(", "summary")];

/// Kinds by name; a metric that is counted in several places has one.
type Metrics = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_metric_is_listed_and_every_listed_one_is_counted() {
    let (counted, listed) = (counted(), listed(&read(DOCUMENT)));
    assert!(counted.len() >= 30, "only {} metrics were found in the sources", counted.len());
    let names = |of: &Metrics, without: &Metrics| -> Vec<String> {
        of.keys().filter(|name| !without.contains_key(*name)).cloned().collect()
    };
    assert_eq!(names(&counted, &listed), [""; 0], "these are not listed in {DOCUMENT}");
    assert_eq!(names(&listed, &counted), [""; 0], "nothing counts these of {DOCUMENT}");
    assert_eq!(counted, listed, "their kinds");
}

#[test]
fn the_listed_reasons_are_those_for_which_connections_end() {
    let document = read(DOCUMENT);
    let (_, reasons) = document.split_once("\nReasons: ").expect("a list of reasons");
    let reasons = reasons.split("\n\n").next().unwrap_or_default();
    let listed: BTreeSet<_> = reasons.split('`').skip(1).step_by(2).collect();
    let source = read("crates/mqtt/src/reason.rs");
    let (_, variants) = source.split_once("pub enum CloseReason {").expect("the reasons");
    let variants = variants.split("\n}").next().unwrap_or_default();
    let known: BTreeSet<_> =
        variants.split("#[error(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(known.len() >= 15, "only {known:?} were found");
    assert_eq!(listed, known);
}

/// What the sources of the crates count.
fn counted() -> Metrics {
    let mut metrics = Metrics::new();
    for entry in fs::read_dir(root().join("crates")).expect("the crates") {
        let mut sources = Vec::new();
        collect_sources(&entry.expect("a readable entry").path().join("src"), &mut sources);
        for path in sources {
            let source = fs::read_to_string(&path).expect("a readable source");
            for (call, kind) in KINDS {
                for rest in source.split(call).skip(1) {
                    let name = rest.trim_start().strip_prefix('"').and_then(|rest| {
                        let (name, _) = rest.split_once('"')?;
                        Some(name)
                    });
                    let name = name.unwrap_or_else(|| {
                        panic!("{}: the name of a metric is written out", path.display())
                    });
                    metrics.entry(name.to_owned()).or_default().insert(kind.to_owned());
                }
            }
        }
    }
    metrics
}

/// The rows of the document's tables.
fn listed(document: &str) -> Metrics {
    let rows = document.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        Some((name.to_owned(), BTreeSet::from([cells.next()?.to_owned()])))
    });
    rows.collect()
}

fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
