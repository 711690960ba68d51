//! Recordings of a CarData stream: every message as it came, byte for byte, with its time, topic and flags.
//!
//! The form is described in `docs/reference/recording-format.md`. A file is a preamble and blocks; each block is
//! compressed, has a checksum, and needs no other one to be read, so a file that was cut off or damaged gives back all
//! blocks that are whole.

mod anonymous;
mod envelope;
mod player;
mod read;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use anonymous::{Anonymiser, LeftOut, Unreadable};
pub use player::{Assignment, AssignmentError, StreamPlayer, StreamRow};
pub use read::{Damage, Fault, Part, ReadError, Reader};
pub use write::Writer;

/// What each file begins with. No text begins so, and a transfer that changes line endings destroys it.
pub const MAGIC: [u8; 8] = *b"\x89CDR\r\n\x1a\n";
/// The form that is written, and the newest one that can be read.
pub const VERSION: u16 = 1;
/// Bytes that a message's payload may have.
pub const PAYLOAD_LENGTH_MAX: usize = 2 << 20;

/// What each block begins with, so that the next one is found behind a damaged one.
const BLOCK_MARK: [u8; 4] = *b"\xC5BLK";
/// Mark, kind, two lengths and checksum.
const BLOCK_HEAD_LENGTH: usize = 17;
/// A block is written when it has so many bytes.
const BLOCK_LENGTH: usize = 256 << 10;
/// No block has more, compressed or not: one that is nearly full, one more message, and the names in it.
const BLOCK_LENGTH_MAX: usize = 8 << 20;

/// So many descriptors and topics are listed; what a server says beyond that is recorded all the same.
const LISTED_MAX: usize = 4096;

/// Bytes that these may have together.
const LISTED_LENGTH_MAX: usize = 1 << 20;

/// What a block has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    /// [`Header`], as JSON; the first block.
    Header = 1,
    /// [`Contents`] as JSON behind its length, then messages.
    Messages = 2,
    /// [`End`], as JSON; the last block of a recording that was ended and not cut off.
    End = 3,
}

impl BlockKind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Messages, Self::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What is known of a recording when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the recording began.
    pub created_at: Timestamp,
    /// What wrote it, such as `cardata 0.1.0`.
    pub program: String,
    /// Whether it tells whose vehicles these are and where they were.
    pub identity: Identity,
}

/// Whether VIN, customer and positions are the vehicle's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// They are.
    Kept,
    /// They were replaced ([`Anonymiser`]).
    Replaced,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When the recorder had it, to the microsecond.
    pub received_at: Timestamp,
    /// The MQTT topic: customer and VIN.
    pub topic: Arc<str>,
    /// The quality of service of its delivery: 0, 1 or 2.
    pub qos: u8,
    /// Whether it told what was known before the subscription.
    pub retain: bool,
    /// Whether it may have come before.
    pub duplicate: bool,
    /// The payload.
    pub payload: Bytes,
}

/// A descriptor that occurs in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Described {
    /// Its technical id.
    pub name: String,
    /// The unit that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The JSON type of its values.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// The JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `1`, `2.50`
    Number,
    /// `"OPEN"`
    Text,
    /// `true`
    Boolean,
    /// What no signal has: `null`, an object or an array.
    Other,
}

impl Kind {
    fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            _ => Self::Other,
        }
    }
}

/// What stands before the messages of a block.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// The topics of its messages, which name them by number.
    topics: Vec<String>,
    /// The descriptors that occur here for the first time in the recording.
    descriptors: Vec<Described>,
}

/// What a recording that was ended has last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many messages there are.
    pub messages: u64,
    /// All topics, in the order in which they came.
    pub topics: Vec<String>,
    /// All descriptors, in the order in which they came.
    pub descriptors: Vec<Described>,
}

/// The flags of a message, as one byte: two bits of QoS, one for RETAIN, one for DUP.
fn flags(message: &Message) -> u8 {
    message.qos & 3 | u8::from(message.retain) << 2 | u8::from(message.duplicate) << 3
}

/// The checksum of a block: of all of it but the mark and the checksum itself.
fn checksum(kind: u8, compressed_length: u32, plain_length: u32, compressed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&compressed_length.to_le_bytes());
    hasher.update(&plain_length.to_le_bytes());
    hasher.update(compressed);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
