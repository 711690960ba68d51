//! Writes a recording, block by block.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Serialize;

use super::envelope::{Members, text};
use super::{
    BLOCK_LENGTH, BLOCK_MARK, BlockKind, Contents, Described, End, Header, Kind, LISTED_LENGTH_MAX,
    LISTED_MAX, MAGIC, Message, PAYLOAD_LENGTH_MAX, VERSION, checksum, flags,
};

/// Writes messages to `W`. What was given since the last block waits in memory until [`flush`](Self::flush), or until
/// there is enough for another block.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Messages of the block that is being made.
    waiting: Vec<u8>,
    contents: Contents,
    topics_here: HashMap<String, u64>,
    /// Bytes of the topics and descriptors in `contents`.
    named: usize,
    /// The same in `end`.
    listed: usize,
    /// The receive time of the message before, in microseconds.
    before_us: i64,
    end: End,
    topics: HashSet<String>,
    descriptors: HashSet<Described>,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let end = End { messages: 0, topics: Vec::new(), descriptors: Vec::new() };
        let mut writer = Self {
            out,
            waiting: Vec::new(),
            contents: Contents::default(),
            topics_here: HashMap::new(),
            named: 0,
            listed: 0,
            before_us: 0,
            end,
            topics: HashSet::new(),
            descriptors: HashSet::new(),
            bytes: (MAGIC.len() + size_of::<u16>()) as u64,
        };
        writer.block(BlockKind::Header, &json(header)?)?;
        writer.out.flush()?;
        Ok(writer)
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// What the output says when a block was written; a payload of more than [`PAYLOAD_LENGTH_MAX`] bytes is refused.
    pub fn message(&mut self, message: &Message) -> io::Result<()> {
        if message.payload.len() > PAYLOAD_LENGTH_MAX {
            let what = format!("a message has more than {PAYLOAD_LENGTH_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.describe(&message.payload);
        let topic = self.topic(&message.topic);
        let received_us = message.received_at.as_microsecond();
        put_varint(zigzag(received_us.wrapping_sub(self.before_us)), &mut self.waiting);
        self.before_us = received_us;
        self.waiting.push(flags(message));
        put_varint(topic, &mut self.waiting);
        put_varint(message.payload.len() as u64, &mut self.waiting);
        self.waiting.extend_from_slice(&message.payload);
        self.end.messages += 1;
        let length = self.waiting.len() + self.named;
        if length >= BLOCK_LENGTH { self.flush() } else { Ok(()) }
    }

    /// Writes what waits, so that it survives the end of this process.
    ///
    /// # Errors
    /// What the output says.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let contents = json(&self.contents)?;
        let mut plain = Vec::with_capacity(contents.len() + self.waiting.len() + 8);
        put_varint(contents.len() as u64, &mut plain);
        plain.extend_from_slice(&contents);
        plain.append(&mut self.waiting);
        self.contents = Contents::default();
        self.topics_here.clear();
        self.named = 0;
        self.before_us = 0;
        self.block(BlockKind::Messages, &plain)?;
        self.out.flush()
    }

    /// Ends the recording and gives back what it was written to.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        let end = json(&self.end)?;
        self.block(BlockKind::End, &end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// How many messages were given.
    pub fn messages(&self) -> u64 {
        self.end.messages
    }

    /// How many bytes were written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many topics there were, which is one for each vehicle.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    fn topic(&mut self, topic: &str) -> u64 {
        if let Some(number) = self.topics_here.get(topic) {
            return *number;
        }
        let number = self.contents.topics.len() as u64;
        self.contents.topics.push(topic.to_owned());
        self.named += topic.len();
        self.topics_here.insert(topic.to_owned(), number);
        if !self.topics.contains(topic) && self.lists(self.topics.len(), topic.len()) {
            self.topics.insert(topic.to_owned());
            self.end.topics.push(topic.to_owned());
        }
        number
    }

    /// Whether a name of so many bytes is listed beside as many others of its kind.
    fn lists(&mut self, others: usize, length: usize) -> bool {
        let fits = others < LISTED_MAX && self.listed + length <= LISTED_LENGTH_MAX;
        if fits {
            self.listed += length;
        }
        fits
    }

    /// Notes the descriptors of `payload`; one that is no event has none.
    fn describe(&mut self, payload: &[u8]) {
        let entries = std::str::from_utf8(payload)
            .ok()
            .and_then(|json| Members::of(json).ok())
            .and_then(|members| Members::of(members.get("data")?).ok());
        for (name, entry) in entries.map_or_else(Vec::new, |entries| entries.0) {
            let Ok(entry) = Members::of(entry.get()) else { continue };
            let described = Described {
                name: name.into_owned(),
                unit: entry.get("unit").and_then(text),
                kind: entry.get("value").map_or(Kind::Other, Kind::of),
            };
            let length = described.name.len() + described.unit.as_ref().map_or(0, String::len);
            if !self.descriptors.contains(&described) && self.lists(self.descriptors.len(), length)
            {
                self.descriptors.insert(described.clone());
                self.named += length;
                self.contents.descriptors.push(described.clone());
                self.end.descriptors.push(described);
            }
        }
    }

    fn block(&mut self, kind: BlockKind, plain: &[u8]) -> io::Result<()> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain)?;
        let compressed = encoder.finish()?;
        let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let compressed_length = u32::try_from(compressed.len()).map_err(too_long)?;
        let plain_length = u32::try_from(plain.len()).map_err(too_long)?;
        let sum = checksum(kind as u8, compressed_length, plain_length, &compressed);
        let mut block = BLOCK_MARK.to_vec();
        block.push(kind as u8);
        for number in [compressed_length, plain_length, sum] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        block.extend_from_slice(&compressed);
        // One write, so that a process that is killed leaves a whole block or none.
        self.out.write_all(&block)?;
        self.bytes += block.len() as u64;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// Small numbers, also negative ones, as small ones.
fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let bits = u8::try_from(number & 0x7F).expect("seven bits fit a byte");
        number >>= 7;
        if number == 0 {
            out.push(bits);
            return;
        }
        out.push(bits | 0x80);
    }
}
