//! Files that only their owner can read.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes `content` over what is there.
pub(crate) fn write(file: &Path, content: &str) -> anyhow::Result<()> {
    write_as(OpenOptions::new().create(true).truncate(true), file, content)
}

/// Writes `content` unless there is such a file.
pub(crate) fn write_new(file: &Path, content: &str) -> anyhow::Result<()> {
    write_as(OpenOptions::new().create_new(true), file, content)
}

fn write_as(options: &mut OpenOptions, file: &Path, content: &str) -> anyhow::Result<()> {
    let open = options.write(true).mode(0o600).open(file);
    let written = open.and_then(|mut open| open.write_all(content.as_bytes()));
    written.with_context(|| format!("{} can't be written", file.display()))
}
