//! What the tests in `tests/tests` share; they look at the workspace as a whole.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's folder.
///
/// # Panics
/// Never: `tests/` is in it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the project").to_owned()
}

/// The text of a file of the project.
///
/// # Panics
/// When there is no such file; the test fails then.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a source in Rust or Python, or a test of a browser, defines `name`.
pub fn defines(source: &str, name: &str) -> bool {
    let forms = [format!("fn {name}("), format!("def {name}("), format!("\"{name}\"")];
    forms.iter().any(|form| source.contains(form))
}
