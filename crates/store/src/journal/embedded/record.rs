//! Keys and values of the embedded journal's one keyspace.
//!
//! | key | value |
//! |---|---|
//! | `e` vin sequence | the sequence before it, then the event's text |
//! | `l` sequence | vin, when it was appended (microseconds), bytes of its text; empty when it was forgotten |
//! | `h` vin | the vehicle's newest sequence, as of the checkpoint |
//! | `v` vin descriptor | the event's sequence, then the entry's text, as of the checkpoint |
//! | `f` vin | the number up to which its events are being forgotten, until that is done |
//! | `s` | format version, the checkpoint |
//!
//! Numbers are big-endian, so that keys sort by them. All live in one keyspace, so that they reach the disk together.

use cardata_domain::{Sequence, Vin};
use jiff::Timestamp;

/// The version of all this.
const FORMAT: u8 = 1;

pub(super) const CHECKPOINT_KEY: &[u8] = b"s";
pub(super) const HEAD_PREFIX: &[u8] = b"h";
pub(super) const FORGETTING_PREFIX: &[u8] = b"f";

pub(super) fn event_key(vin: Vin, sequence: Sequence) -> Vec<u8> {
    [b"e", vin.as_bytes().as_slice(), &sequence.0.to_be_bytes()].concat()
}

pub(super) fn log_key(sequence: Sequence) -> Vec<u8> {
    [b"l", sequence.0.to_be_bytes().as_slice()].concat()
}

pub(super) fn head_key(vin: Vin) -> Vec<u8> {
    [HEAD_PREFIX, vin.as_bytes()].concat()
}

pub(super) fn forgetting_key(vin: Vin) -> Vec<u8> {
    [FORGETTING_PREFIX, vin.as_bytes()].concat()
}

pub(super) fn latest_prefix(vin: Vin) -> Vec<u8> {
    [b"v", vin.as_bytes().as_slice()].concat()
}

pub(super) fn latest_key(vin: Vin, name: &str) -> Vec<u8> {
    [b"v", vin.as_bytes().as_slice(), name.as_bytes()].concat()
}

/// The sequence at the end of a key of events or of the log, or that is a value of its own.
pub(super) fn last_sequence(bytes: &[u8]) -> Option<Sequence> {
    bytes.last_chunk().map(|bytes| Sequence(u64::from_be_bytes(*bytes)))
}

/// The vehicle of a key that has nothing else behind `prefix`.
pub(super) fn vin_of_key(prefix: &[u8], key: &[u8]) -> Option<Vin> {
    vin(key.strip_prefix(prefix)?)
}

/// A text behind a sequence, as events and latest values have it.
pub(super) fn with_sequence(sequence: Sequence, text: &[&str]) -> Vec<u8> {
    let mut value = sequence.0.to_be_bytes().to_vec();
    for part in text {
        value.extend_from_slice(part.as_bytes());
    }
    value
}

/// Undoes [`with_sequence`].
pub(super) fn split_sequence(value: &[u8]) -> Option<(Sequence, &[u8])> {
    let (sequence, text) = value.split_first_chunk()?;
    Some((Sequence(u64::from_be_bytes(*sequence)), text))
}

/// What the log knows of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogEntry {
    Kept { vin: Vin, appended_at: Timestamp, size_bytes: u64 },
    Forgotten,
}

impl LogEntry {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Forgotten => Vec::new(),
            Self::Kept { vin, appended_at, size_bytes } => [
                vin.as_bytes().as_slice(),
                &appended_at.as_microsecond().to_be_bytes(),
                &size_bytes.to_be_bytes(),
            ]
            .concat(),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::Forgotten);
        }
        let (head, rest) = bytes.split_first_chunk::<{ Vin::LENGTH }>()?;
        let (appended_at, size_bytes) = rest.split_first_chunk()?;
        Some(Self::Kept {
            vin: vin(head)?,
            appended_at: Timestamp::from_microsecond(i64::from_be_bytes(*appended_at)).ok()?,
            size_bytes: u64::from_be_bytes(size_bytes.try_into().ok()?),
        })
    }
}

/// Up to where the log is worked into heads and latest values, and what of it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Heads and latest values stand as of this event.
    pub(super) sequence: Sequence,
    /// Everything up to this event was dropped.
    pub(super) floor: Sequence,
    /// Bytes of text of the events between the two.
    pub(super) kept_bytes: u64,
}

impl Checkpoint {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for number in [self.sequence.0, self.floor.0, self.kept_bytes] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Undoes [`Checkpoint::to_bytes`]; `None` for another format, too.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let numbers = bytes.strip_prefix(&[FORMAT])?;
        let [sequence, floor, kept_bytes] = numbers.as_chunks::<8>().0 else { return None };
        Some(Self {
            sequence: Sequence(u64::from_be_bytes(*sequence)),
            floor: Sequence(u64::from_be_bytes(*floor)),
            kept_bytes: u64::from_be_bytes(*kept_bytes),
        })
    }
}

fn vin(bytes: &[u8]) -> Option<Vin> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let checkpoint = Checkpoint { sequence: Sequence(9), floor: Sequence(4), kept_bytes: 300 };
        assert_eq!(Checkpoint::from_bytes(&checkpoint.to_bytes()), Some(checkpoint));
        let mut newer = checkpoint.to_bytes();
        newer[0] = FORMAT + 1;
        assert_eq!(Checkpoint::from_bytes(&newer), None);

        let vin: Vin = "WBY00000000000001".parse().unwrap();
        let appended_at = "2026-07-27T12:37:58.123456Z".parse().unwrap();
        let kept = LogEntry::Kept { vin, appended_at, size_bytes: 600 };
        for entry in [kept, LogEntry::Forgotten] {
            assert_eq!(LogEntry::from_bytes(&entry.to_bytes()), Some(entry));
        }
        assert_eq!(LogEntry::from_bytes(&kept.to_bytes()[1..]), None);

        assert_eq!(last_sequence(&event_key(vin, Sequence(256))), Some(Sequence(256)));
        assert!(event_key(vin, Sequence(255)) < event_key(vin, Sequence(256)));
        assert_eq!(vin_of_key(HEAD_PREFIX, &head_key(vin)), Some(vin));
        assert_eq!(
            split_sequence(&with_sequence(Sequence(5), &["{", "}"])),
            Some((Sequence(5), b"{}".as_slice()))
        );
    }
}
