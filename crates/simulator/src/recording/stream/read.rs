//! Reads a recording, whatever became of it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::DeflateDecoder;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{
    BLOCK_HEAD_LENGTH, BLOCK_LENGTH_MAX, BLOCK_MARK, BlockKind, Contents, End, Header, MAGIC,
    Message, PAYLOAD_LENGTH_MAX, VERSION, checksum,
};

/// Why a file can't be read at all.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It begins otherwise.
    #[error("it does not begin as a stream recording does")]
    Foreign,
    /// A later program wrote it.
    #[error("it has version {found} of the form; this program reads up to version {VERSION}")]
    Newer {
        /// Its version.
        found: u16,
    },
    /// Its first block can't be read, or is none of a header.
    #[error("its header can't be read")]
    Header(#[source] Fault),
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file ends within it.
    #[error("the file ends in the middle of a block")]
    CutOff,
    /// There is something else in its place.
    #[error("no block begins there")]
    NoBlock,
    /// Its lengths are impossible.
    #[error("the lengths of the block are impossible")]
    Length,
    /// Its bytes are not those that were written.
    #[error("the checksum of the block is wrong")]
    Checksum,
    /// It is sound, but what it holds makes no sense.
    #[error("what the block holds can't be read")]
    Content,
}

/// A part of the file that gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The number of the block, from 1, counting damaged ones.
    pub block: u64,
    /// Where it begins, in bytes from the beginning of the file.
    pub at: u64,
    /// How many bytes were passed over to the next block, or to the end.
    pub length: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A message.
    Message(Message),
    /// Something that is lost. Reading goes on behind it.
    Damage(Damage),
    /// The recording was ended here. Without it, it was cut off.
    End(End),
}

/// Reads a recording in its order, in the memory of a few blocks.
#[derive(Debug)]
pub struct Reader<R> {
    input: Window<R>,
    header: Header,
    blocks: u64,
    ready: VecDeque<Part>,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// [`ReadError`] when it is no recording that this program can read.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut input = Window { input, bytes: Vec::new(), used: 0, position: 0 };
        let length = MAGIC.len() + size_of::<u16>();
        let preamble = input.peek(length)?;
        let Some((magic, version)) = preamble.split_first_chunk::<8>() else {
            return Err(ReadError::Foreign);
        };
        if *magic != MAGIC {
            return Err(ReadError::Foreign);
        }
        let Some(version) = version.first_chunk::<2>() else {
            return Err(ReadError::Header(Fault::CutOff));
        };
        let found = u16::from_le_bytes(*version);
        if found > VERSION {
            return Err(ReadError::Newer { found });
        }
        input.consume(length);
        let header = match block(&mut input)? {
            Ok((BlockKind::Header, plain, length)) => {
                input.consume(length);
                parsed(&plain).map_err(ReadError::Header)?
            }
            Ok(_) => return Err(ReadError::Header(Fault::Content)),
            Err(fault) => return Err(ReadError::Header(fault)),
        };
        Ok(Self { input, header, blocks: 1, ready: VecDeque::new() })
    }

    /// What the recording says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the file that were used.
    pub fn position(&self) -> u64 {
        self.input.position
    }

    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// When the file can't be read any further. Damage is no error, but a [`Part`].
    pub fn next_part(&mut self) -> io::Result<Option<Part>> {
        while self.ready.is_empty() {
            if self.input.peek(1)?.is_empty() {
                return Ok(None);
            }
            self.read_block()?;
        }
        Ok(self.ready.pop_front())
    }

    fn read_block(&mut self) -> io::Result<()> {
        self.blocks += 1;
        let at = self.input.position;
        let read = match block(&mut self.input)? {
            Ok((kind, plain, length)) => {
                self.input.consume(length);
                self.take(kind, &plain).map_err(|fault| (fault, length as u64))
            }
            Err(fault) => Err((fault, self.input.skip_to_block()?)),
        };
        if let Err((fault, length)) = read {
            self.ready.push_back(Part::Damage(Damage { block: self.blocks, at, length, fault }));
        }
        Ok(())
    }

    /// Takes what a sound block holds; of one that makes no sense, nothing.
    fn take(&mut self, kind: BlockKind, plain: &[u8]) -> Result<(), Fault> {
        match kind {
            BlockKind::Messages => {
                self.ready.extend(messages(plain)?.into_iter().map(Part::Message));
            }
            BlockKind::End => self.ready.push_back(Part::End(parsed(plain)?)),
            // Two recordings behind each other, as `cat` makes them, would need more than this.
            BlockKind::Header => return Err(Fault::Content),
        }
        Ok(())
    }
}

/// The block that `input` begins with, unpacked, and its length in the file; nothing is consumed.
#[expect(clippy::type_complexity, reason = "the system's error, or the file's")]
fn block<R: Read>(input: &mut Window<R>) -> io::Result<Result<(BlockKind, Vec<u8>, usize), Fault>> {
    let head = input.peek(BLOCK_HEAD_LENGTH)?;
    if !head.starts_with(&BLOCK_MARK) {
        let cut_off = BLOCK_MARK.starts_with(head);
        return Ok(Err(if cut_off { Fault::CutOff } else { Fault::NoBlock }));
    }
    if head.len() < BLOCK_HEAD_LENGTH {
        return Ok(Err(Fault::CutOff));
    }
    let kind = head[4];
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (compressed_length, plain_length, sum) = (number(5), number(9), number(13));
    let (length, plain_max) = (compressed_length as usize, plain_length as usize);
    if length > BLOCK_LENGTH_MAX || plain_max > BLOCK_LENGTH_MAX {
        return Ok(Err(Fault::Length));
    }
    let whole = BLOCK_HEAD_LENGTH + length;
    let bytes = input.peek(whole)?;
    if bytes.len() < whole {
        return Ok(Err(Fault::CutOff));
    }
    let compressed = &bytes[BLOCK_HEAD_LENGTH..];
    if checksum(kind, compressed_length, plain_length, compressed) != sum {
        return Ok(Err(Fault::Checksum));
    }
    let mut plain = Vec::with_capacity(plain_max);
    let unpacked =
        DeflateDecoder::new(compressed).take(u64::from(plain_length) + 1).read_to_end(&mut plain);
    Ok(match BlockKind::of(kind) {
        Some(kind) if unpacked.is_ok() && plain.len() == plain_max => Ok((kind, plain, whole)),
        _ => Err(Fault::Content),
    })
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(json).map_err(|_| Fault::Content)
}

fn messages(plain: &[u8]) -> Result<Vec<Message>, Fault> {
    let mut rest = Bytes::copy_from_slice(plain);
    let length = take_length(&mut rest)?;
    let contents: Contents = parsed(&take(&mut rest, length)?)?;
    let topics: Vec<Arc<str>> = contents.topics.into_iter().map(Into::into).collect();
    let (mut messages, mut received_us) = (Vec::new(), 0_i64);
    while !rest.is_empty() {
        received_us = received_us.wrapping_add(unzigzag(take_varint(&mut rest)?));
        let received_at = Timestamp::from_microsecond(received_us).map_err(|_| Fault::Content)?;
        let flags = take(&mut rest, 1)?[0];
        let topic = take_length(&mut rest)?;
        let topic = topics.get(topic).ok_or(Fault::Content)?.clone();
        let length = take_length(&mut rest)?;
        if length > PAYLOAD_LENGTH_MAX {
            return Err(Fault::Content);
        }
        messages.push(Message {
            received_at,
            topic,
            qos: flags & 3,
            retain: flags & 4 != 0,
            duplicate: flags & 8 != 0,
            payload: take(&mut rest, length)?,
        });
    }
    Ok(messages)
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, Fault> {
    if length > rest.len() { Err(Fault::Content) } else { Ok(rest.split_to(length)) }
}

fn take_length(rest: &mut Bytes) -> Result<usize, Fault> {
    usize::try_from(take_varint(rest)?).map_err(|_| Fault::Content)
}

fn take_varint(rest: &mut Bytes) -> Result<u64, Fault> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Fault::Content)
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The part of a file that is looked at: never more than the longest block and a chunk.
#[derive(Debug)]
struct Window<R> {
    input: R,
    bytes: Vec<u8>,
    /// How many of `bytes` are consumed.
    used: usize,
    /// Where in the file the first one is that is not.
    position: u64,
}

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

impl<R: Read> Window<R> {
    /// The next `length` bytes, or as many as there are.
    fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        while self.bytes.len() - self.used < length {
            self.bytes.drain(..self.used);
            self.used = 0;
            let wanted = (length - self.bytes.len()).max(CHUNK) as u64;
            if self.input.by_ref().take(wanted).read_to_end(&mut self.bytes)? == 0 {
                break;
            }
        }
        let rest = &self.bytes[self.used..];
        Ok(&rest[..length.min(rest.len())])
    }

    fn consume(&mut self, length: usize) {
        self.used += length;
        self.position += length as u64;
    }

    /// Passes over at least a byte, up to the next mark of a block or the end; gives how many bytes these were.
    fn skip_to_block(&mut self) -> io::Result<u64> {
        let from = self.position;
        let mut first = 1;
        loop {
            let bytes = self.peek(CHUNK)?;
            let mark = |window: &[u8]| window == BLOCK_MARK;
            let found =
                bytes.get(first..).and_then(|rest| rest.windows(BLOCK_MARK.len()).position(mark));
            let (length, done) = match found {
                Some(found) => (first + found, true),
                None if bytes.len() < CHUNK => (bytes.len(), true),
                // A mark may begin in the last bytes.
                None => (bytes.len() - (BLOCK_MARK.len() - 1), false),
            };
            self.consume(length);
            if done {
                return Ok(self.position - from);
            }
            first = 0;
        }
    }
}
