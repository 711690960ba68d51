//! What is wrong with a scenario file, in words that help.

use thiserror::Error;

/// Why a scenario file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ScenarioError {
    /// The line that it is about, from 1; `None` where it is about all of them.
    pub line: Option<usize>,
    /// What is wrong, and where a word is not known, the one that was likely meant.
    pub message: String,
}

impl ScenarioError {
    pub(super) fn new(text: &str, error: &toml::de::Error) -> Self {
        let line = error
            .span()
            .filter(|span| !span.is_empty() || span.start > 0)
            .map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let told = error.message();
        // The library quotes the unknown word first, and then those that it knows.
        let quoted: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
        let meant = match (told.starts_with("unknown"), quoted.split_first()) {
            (true, Some((word, known))) => nearest(word, known.iter().copied()),
            _ => None,
        };
        let message = match meant {
            Some(meant) => format!("{told}; did you mean `{meant}`?"),
            None => told.to_owned(),
        };
        Self { line, message: message.replace('\n', " ") }
    }
}

/// The one of `known` that `word` is likely to mean.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
