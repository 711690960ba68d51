//! The file that a recording goes to.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use cardata_client::stream::Message;
use cardata_domain::Catalogue;
use cardata_server::{Clock as _, secret};
use cardata_simulator::recording::stream::{self, Anonymiser, Header, Identity, Writer};
use thiserror::Error;

use crate::clock::SystemClock;
use crate::output::{Advice, harmless, size};

/// Kinds of values that were left out that are listed.
const LEFT_OUT_LISTED: usize = 20;

/// Writes messages as they may be kept.
pub(super) struct Recorder {
    writer: Writer<File>,
    path: PathBuf,
    anonymiser: Option<Anonymiser>,
    /// Messages that were left out since nobody can tell what they say.
    unreadable: u64,
}

/// The file takes nothing more.
#[derive(Debug, Error)]
#[error("cannot write {}", .path.display())]
pub(super) struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Recorder {
    /// Makes the file, for its owner alone; one that is there stays.
    pub(super) fn create(path: Option<&Path>, keep_identity: bool) -> anyhow::Result<Self> {
        let now = SystemClock.now();
        let path = path.map_or_else(
            || now.strftime("recording-%Y%m%dT%H%M%SZ.cardata").to_string().into(),
            Path::to_owned,
        );
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| {
            Advice::new(format!("cannot record into {}", path.display()))
                .remedy(
                    "--out with a file that is not there yet, in a folder that you may write to",
                )
                .usage()
        })?;
        let identity = if keep_identity { Identity::Kept } else { Identity::Replaced };
        let program = format!("cardata {}", env!("CARGO_PKG_VERSION"));
        let header = Header { created_at: now, program, identity };
        let writer = Writer::new(file, &header)
            .map_err(|source| {
                // Nobody needs an empty file.
                let _ = std::fs::remove_file(&path);
                WriteError { path: path.clone(), source }
            })
            .with_context(|| {
                Advice::new("the recording can't be begun")
                    .remedy("a place with room that you may write to, with --out")
            })?;
        let catalogue = Arc::new(Catalogue::shipped());
        let anonymiser = (!keep_identity).then(|| Anonymiser::new(catalogue, secret::random()));
        Ok(Self { writer, path, anonymiser, unreadable: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn messages(&self) -> u64 {
        self.writer.messages()
    }

    /// Takes a message that came now.
    pub(super) fn take(&mut self, message: Message) -> Result<(), WriteError> {
        let Message { topic, qos, retain, duplicate, payload } = message;
        let topic = topic.into();
        let received_at = SystemClock.now();
        let message = stream::Message { received_at, topic, qos, retain, duplicate, payload };
        let kept = match &mut self.anonymiser {
            None => Some(message),
            Some(anonymiser) => anonymiser.message(&message).unwrap_or_else(|_| {
                self.unreadable += 1;
                None
            }),
        };
        match kept {
            Some(message) => self.writer.message(&message).map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.writer.flush().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> WriteError {
        WriteError { path: self.path.clone(), source }
    }

    /// How far it is, in a few words.
    pub(super) fn state(&self) -> String {
        let vehicles = self.writer.topics();
        format!(
            "{} message{} of {vehicles} vehicle{}, {}",
            self.messages(),
            plural(self.messages()),
            plural(vehicles as u64),
            size(self.writer.bytes())
        )
    }

    /// Ends the file and tells what is in it; an empty one is taken away.
    pub(super) fn finish(self) -> Result<String, WriteError> {
        let Self { writer, path, anonymiser, unreadable } = self;
        let failed = |source| WriteError { path: path.clone(), source };
        let messages = writer.messages();
        let vehicles = writer.topics();
        let file = writer.finish().map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if messages == 0 {
            std::fs::remove_file(&path).map_err(failed)?;
            return Ok(String::new());
        }
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut text = format!(
            "recorded {messages} message{} of {vehicles} vehicle{} ({})",
            plural(messages),
            plural(vehicles as u64),
            size(length)
        );
        describe(anonymiser.as_ref(), unreadable, &mut text)
            .expect("writing to a string cannot fail");
        Ok(text)
    }
}

fn describe(
    anonymiser: Option<&Anonymiser>,
    unreadable: u64,
    text: &mut String,
) -> std::fmt::Result {
    let Some(anonymiser) = anonymiser else {
        return write!(
            text,
            "\nit tells whose vehicles these are and where they were: keep it to yourself"
        );
    };
    write!(text, "\nVINs, customer and positions are replaced; times and odometer are not")?;
    let left_out = anonymiser.left_out();
    if !left_out.values.is_empty() {
        let values: u64 = left_out.values.values().sum();
        write!(text, "\n{values} value{} that could tell of a person left out:", plural(values))?;
        for (name, count) in left_out.values.iter().take(LEFT_OUT_LISTED) {
            write!(text, "\n{count:>9}  {}", harmless(name))?;
        }
        let more = left_out.values.len().saturating_sub(LEFT_OUT_LISTED);
        if more > 0 {
            write!(text, "\n           and {more} more descriptors")?;
        }
    }
    if left_out.messages > 0 {
        let (messages, plural) = (left_out.messages, plural(left_out.messages));
        write!(text, "\n{messages} message{plural} with nothing else left out")?;
    }
    if unreadable > 0 {
        write!(text, "\n{unreadable} message{} that are no events left out", plural(unreadable))?;
    }
    Ok(())
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
