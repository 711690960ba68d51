//! Files that were recognised by their beginning.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use cardata_domain::Vin;
use cardata_simulator::recording::Layout;
use cardata_simulator::recording::stream::{Damage, Header, MAGIC, Part, ReadError, Reader};

use super::lines::{Line, Lines};
use crate::output::Advice;

/// A file of a known form.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    pub(crate) form: Form,
    /// In bytes, as it was found.
    pub(crate) length: u64,
}

/// What a file has in it.
#[derive(Debug)]
pub(crate) enum Form {
    /// Text: one row or message a line.
    Lines(Layout),
    /// A stream, as `cardata record` writes it.
    Stream(StreamFile),
}

/// What a recording of a stream has in it, after it was looked through.
#[derive(Debug)]
pub(crate) struct StreamFile {
    pub(crate) header: Header,
    /// The vehicles in the order in which they come.
    pub(crate) vehicles: Vec<Vin>,
    pub(crate) damage: Vec<Damage>,
    /// Whether it was ended, and not cut off.
    pub(crate) is_whole: bool,
}

/// More of them are not listed.
const DAMAGE_LISTED: usize = 100;
/// The first bytes by which a file wants to be a stream's, whatever a transfer made of the others.
const STREAM_MARK: &[u8] = MAGIC.split_at(4).0;

/// Tells the form of each file by its first line that is not empty.
pub(crate) fn recognise(
    files: &[PathBuf],
    line_length_max: usize,
) -> anyhow::Result<Vec<Recording>> {
    let recordings = files.iter().map(|path| {
        let mut file = File::open(path).with_context(|| unreadable(path))?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut mark = Vec::new();
        file.by_ref()
            .take(STREAM_MARK.len() as u64)
            .read_to_end(&mut mark)
            .and_then(|_| file.rewind())
            .with_context(|| unreadable(path))?;
        let form = if mark == STREAM_MARK {
            Form::Stream(stream(path, file)?)
        } else {
            let layout = layout(path, file, line_length_max).with_context(|| {
                Advice::new(format!("{} is no recording", path.display())).remedy(
                    "a file of `cardata record`, a CSV recording of the project, or stream messages as JSON lines, as \
                     `mosquitto_sub` prints them without -v",
                )
            });
            Form::Lines(layout?)
        };
        Ok(Recording { path: path.clone(), form, length })
    });
    recordings.collect()
}

/// Looks through a recording of a stream.
fn stream(path: &Path, file: File) -> anyhow::Result<StreamFile> {
    let mut reader = Reader::new(file).map_err(|error| advised(path, error))?;
    let header = reader.header().clone();
    let mut found =
        StreamFile { header, vehicles: Vec::new(), damage: Vec::new(), is_whole: false };
    while let Some(part) = reader.next_part().with_context(|| unreadable(path))? {
        match part {
            Part::Message(message) => {
                let vin = message.topic.rsplit('/').next().and_then(|vin| vin.parse().ok());
                if let Some(vin) = vin
                    && !found.vehicles.contains(&vin)
                {
                    found.vehicles.push(vin);
                }
            }
            Part::Damage(damage) if found.damage.len() < DAMAGE_LISTED => found.damage.push(damage),
            Part::Damage(_) => {}
            Part::End(_) => found.is_whole = true,
        }
    }
    Ok(found)
}

fn advised(path: &Path, error: ReadError) -> anyhow::Error {
    let name = path.display();
    let advice = match &error {
        ReadError::Newer { .. } => Advice::new(format!("{name} was recorded by a newer program"))
            .remedy("a newer `cardata`; see its CHANGELOG"),
        ReadError::Foreign => {
            Advice::new(format!("{name} is a stream recording that a transfer as text has damaged"))
                .remedy("copy it again, as binary")
        }
        ReadError::Header(_) => {
            Advice::new(format!("{name} is a stream recording without a beginning"))
                .remedy("another copy of it")
        }
        ReadError::Io(_) => Advice::new(unreadable(path)),
    };
    anyhow::Error::new(error).context(advice)
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
    pub(crate) fn lines(&self, line_length_max: usize) -> anyhow::Result<Lines<BufReader<File>>> {
        let file = File::open(&self.path).with_context(|| self.unreadable())?;
        Ok(Lines::new(BufReader::new(file), line_length_max))
    }

    /// The parts of a stream, from the first one.
    pub(crate) fn stream(&self) -> anyhow::Result<Reader<File>> {
        let file = File::open(&self.path).with_context(|| self.unreadable())?;
        Reader::new(file).map_err(|error| advised(&self.path, error))
    }

    /// For an error while reading.
    pub(crate) fn unreadable(&self) -> String {
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
        assert!(matches!(&recording.form, Form::Lines(layout) if !layout.has_header()));
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
            (b"\x89CDZ\r\n\x1a\n\x01\0", "header"),
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

    #[test]
    fn a_stream_recording_that_cannot_be_read_at_all_says_why() {
        for (content, reason) in [
            (&b"\x89CDR\n\x1a\n\x01\0"[..], "transfer as text"),
            (b"\x89CDR\r\n\x1a\n\x02\0", "newer program"),
            (b"\x89CDR\r\n\x1a\n\x01\0", "ends in the middle"),
            (b"\x89CDR\r\n\x1a\n\x01\0something else altogether", "no block begins"),
        ] {
            let error = recognised(content).unwrap_err();
            assert!(error.contains("some.csv") && error.contains(reason), "{error}");
        }
    }
}
