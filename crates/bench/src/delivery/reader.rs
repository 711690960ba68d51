//! One reader: takes each message off the wire with as little work as possible, so that the server is measured.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use bytes::{Buf as _, BytesMut};
use memchr::memmem::Finder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::tally::Tally;
use crate::connection::{Client, ConnectError};
use crate::latency::message;
use crate::packet;

/// Bytes that are read at once: as many as a server puts into one record.
const INPUT_CHUNK: usize = 16 << 10;

/// Reads and acknowledges the messages of one vehicle until the connection ends. `next` is the number that is expected.
///
/// # Errors
/// Always, with why it ended.
pub(super) async fn read(
    client: Client,
    tally: Rc<Tally>,
    vehicle: usize,
    next: Rc<Cell<u64>>,
) -> Result<(), ConnectError> {
    let (mut stream, mut input) = client.into_parts();
    let mut acks = BytesMut::new();
    loop {
        let now = Instant::now();
        while let Some(message) = take(&input)? {
            if let Some(number) = message.number {
                next.set(tally.receive(vehicle, number, next.get(), now));
            }
            if let Some(packet_id) = message.packet_id {
                packet::put_puback(packet_id, &mut acks);
            }
            input.advance(message.length);
        }
        if !acks.is_empty() {
            stream.write_all(&acks).await.map_err(ConnectError::Ended)?;
            stream.flush().await.map_err(ConnectError::Ended)?;
            acks.clear();
        }
        input.reserve(INPUT_CHUNK);
        if stream.read_buf(&mut input).await.map_err(ConnectError::Ended)? == 0 {
            return Err(ConnectError::Ended(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// A packet at the beginning of what was read.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    /// Bytes of the whole packet.
    length: usize,
    /// The number of its event; nothing for what is no live message.
    number: Option<u64>,
    /// With QoS 1 only.
    packet_id: Option<u16>,
}

/// The first packet of `input`; `None` when it is not there whole.
fn take(input: &[u8]) -> Result<Option<Message>, ConnectError> {
    static NUMBERED: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(message::NUMBERED.as_bytes()));
    let Some((first, header, body)) = packet::split(input)? else { return Ok(None) };
    let length = header + body.len();
    if first & 0xF0 != 0x30 {
        return Ok(Some(Message { length, number: None, packet_id: None }));
    }
    let malformed = || ConnectError::OutOfTurn;
    let (topic_length, rest) = body.split_first_chunk::<2>().ok_or_else(malformed)?;
    let topic_length = usize::from(u16::from_be_bytes(*topic_length));
    let rest = rest.get(topic_length..).ok_or_else(malformed)?;
    let (packet_id, payload) = if first & 0x06 == 0 {
        (None, rest)
    } else {
        let (packet_id, payload) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        (Some(u16::from_be_bytes(*packet_id)), payload)
    };
    let is_live = first & 1 == 0;
    let number = NUMBERED
        .find(payload)
        .filter(|_| is_live)
        .and_then(|at| message::number_at(&payload[at + message::NUMBERED.len()..]));
    Ok(Some(Message { length, number, packet_id }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_message_tells_its_number_and_what_to_acknowledge() {
        let event =
            message::event("WBY00000000000001", 4711, Timestamp::UNIX_EPOCH, message::USUAL);
        for packet_id in [None, Some(7)] {
            let wire = packet::publish("gcid/WBY00000000000001", packet_id, event.as_bytes());
            let expected = Message { length: wire.len(), number: Some(4711), packet_id };
            assert_eq!(take(&wire).unwrap(), Some(expected));
            assert_eq!(take(&wire[..wire.len() - 1]).unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_live_message_has_no_number() {
        let event =
            message::event("WBY00000000000001", 4711, Timestamp::UNIX_EPOCH, message::USUAL);
        let mut wire = packet::publish("t", None, event.as_bytes()).to_vec();
        wire[0] |= 1;
        assert_eq!(take(&wire).unwrap().unwrap().number, None, "a retained one");
        let answer = take(&[0x40, 2, 0, 1, 0x30]).unwrap();
        assert_eq!(answer, Some(Message { length: 4, number: None, packet_id: None }));
        assert!(take(&[0x32, 3, 0, 9, 0]).is_err());
    }
}
