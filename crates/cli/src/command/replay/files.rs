//! The files of a replay: all are recognised before the first row is sent.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use cardata_simulator::recording::Layout;

use super::lines::{Line, Lines};
use super::summary::Origin;
use crate::output::Advice;

/// A file of a known form.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    /// In bytes, as it was found.
    pub(super) length: u64,
}

/// Tells the form of each file by its first line that is not empty.
pub(super) fn recognise(
    files: &[PathBuf],
    line_length_max: usize,
) -> anyhow::Result<Vec<Recording>> {
    let recordings = files.iter().map(|path| {
        let file = File::open(path).with_context(|| unreadable(path))?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let layout = layout(path, file, line_length_max).with_context(|| {
            Advice::new(format!("{} is no recording", path.display())).remedy(
                "a CSV recording of the project, or stream messages as JSON lines, as `mosquitto_sub` prints them without -v",
            )
        });
        Ok(Recording { path: path.clone(), layout: layout?, length })
    });
    recordings.collect()
}

fn layout(path: &Path, file: File, line_length_max: usize) -> anyhow::Result<Layout> {
    let mut lines = Lines::new(BufReader::new(file), line_length_max);
    while let Some((_, line)) = lines.next().with_context(|| unreadable(path))? {
        match line {
            Line::Whole(text) if text.trim_ascii().is_empty() => {}
            Line::Whole(text) => return Ok(Layout::recognise(text)?),
            Line::TooLong => {
                return Err(anyhow!("its first line is longer than {line_length_max} bytes"));
            }
        }
    }
    Err(anyhow!("it is empty"))
}

fn unreadable(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

impl Recording {
    /// The lines, from the first one.
    pub(super) fn lines(&self, line_length_max: usize) -> anyhow::Result<Lines<BufReader<File>>> {
        let file = File::open(&self.path).with_context(|| self.unreadable())?;
        Ok(Lines::new(BufReader::new(file), line_length_max))
    }

    /// Where line `number` stands.
    pub(super) fn origin(&self, number: u64) -> Origin {
        Origin::new(&self.path, number)
    }

    /// For an error while reading.
    pub(super) fn unreadable(&self) -> String {
        unreadable(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(content: &[u8]) -> Result<Recording, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.csv");
        std::fs::write(&path, content).unwrap();
        recognise(&[path], 1000)
            .map(|mut recordings| recordings.remove(0))
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_is_recognised_below_empty_lines_and_a_byte_order_mark() {
        let recording = recognised(b"\xef\xbb\xbf\r\n\r\n{\"vin\":1}\r\n").unwrap();
        assert!(!recording.layout.has_header());
        assert_eq!(recording.length, 18);
    }

    #[test]
    fn what_is_no_recording_is_named_with_the_reason() {
        let long = vec![b'x'; 5000];
        for (content, reason) in [
            (&b""[..], "empty"),
            (b"\n\n \n", "empty"),
            (&long, "longer than 1000 bytes"),
            (b"milk,2\n", "header"),
            (b"t_s,speed_kmh\n", "lacks"),
            (&[0, 159, 146, 150, 10], "header"),
        ] {
            let error = recognised(content).unwrap_err();
            assert!(
                error.contains("some.csv is no recording") && error.contains(reason),
                "{error}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing.csv"), folder.path().to_owned()] {
            let error = recognise(&[path], 1000).unwrap_err();
            assert!(format!("{error:#}").contains("cannot read"), "{error:#}");
        }
    }
}
