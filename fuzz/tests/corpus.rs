//! Every input of the corpus holds without a fuzzer, too.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use cardata_fuzz::{packet, seeds, session, token, topic};

/// The inputs of `target`, in the order of their names.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("the corpus has a folder for each target");
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|file| (file.clone(), std::fs::read(file).expect("an input can be read")))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 20, "{} has {} inputs only", folder.display(), inputs.len());
    inputs
}

fn replay(target: &str, check: fn(&[u8])) {
    for (file, input) in inputs(target) {
        let outcome = catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{} broke a promise: see above", file.display());
    }
}

#[test]
fn packets_hold() {
    replay("packet", packet::check);
}

#[test]
fn topic_filters_hold() {
    replay("topic", topic::check);
}

#[test]
fn sessions_hold() {
    replay("session", session::check);
}

#[test]
fn tokens_hold() {
    replay("token", token::check);
}

#[test]
fn the_inputs_made_by_hand_are_in_the_corpus() {
    for seed in seeds() {
        let known = inputs(seed.target);
        let file = known.iter().find(|(file, _)| file.ends_with(&seed.name));
        let is_same = file.is_some_and(|(_, bytes)| *bytes == seed.bytes);
        assert!(is_same, "`{}` of {} changed: ./scripts/fuzz --seeds", seed.name, seed.target);
    }
}
