//! How numbers, texts and bytes stand in a packet (MQTT 5 §1.5, MQTT 3.1.1 §1.5).

use super::PacketError;

/// What is left of a packet's body. Nothing can be taken that is not there.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PacketError> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(PacketError::Malformed("the packet ends too early"));
        };
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Refuses what follows where nothing may.
    pub(super) fn end(self) -> Result<(), PacketError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(PacketError::Malformed("the packet has more bytes than its fields"))
        }
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], PacketError> {
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(self.take(LENGTH)?);
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PacketError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn two_bytes(&mut self) -> Result<u16, PacketError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn four_bytes(&mut self) -> Result<u32, PacketError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form. [MQTT-1.5.5-1]
    pub(super) fn variable(&mut self) -> Result<u32, PacketError> {
        let Some(integer) = VariableByteInteger::read(self.0)? else {
            return Err(PacketError::Malformed("the packet ends within a length"));
        };
        integer.check_form()?;
        self.take(integer.length)?;
        Ok(integer.value)
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], PacketError> {
        let length = self.two_bytes()?;
        self.take(length.into())
    }

    /// A UTF-8 encoded string. A byte order mark is a character like any other, and stays. [MQTT-1.5.4-3]
    pub(super) fn text(&mut self) -> Result<&'a str, PacketError> {
        // Surrogates have no place in Rust's UTF-8 either. [MQTT-1.5.4-1]
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| PacketError::Malformed("a text is not UTF-8"))?;
        if text.contains('\0') {
            // [MQTT-1.5.4-2]
            return Err(PacketError::Malformed("a text has the character U+0000"));
        }
        Ok(text)
    }
}

/// Seven bits a byte, the lowest first (MQTT 5 §1.5.5, MQTT 3.1.1 §2.2.3).
pub(super) struct VariableByteInteger {
    pub(super) value: u32,
    /// How many bytes it takes.
    pub(super) length: usize,
    is_shortest: bool,
}

impl VariableByteInteger {
    /// The one that `bytes` begin with; `None` when more bytes are needed.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, PacketError> {
        let mut value = 0;
        for (index, byte) in bytes.iter().take(4).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                let is_shortest = index == 0 || *byte > 0;
                return Ok(Some(Self { value, length: index + 1, is_shortest }));
            }
        }
        if bytes.len() < 4 {
            Ok(None)
        } else {
            Err(PacketError::Malformed("a length has more than four bytes"))
        }
    }

    /// Refuses more bytes than the value needs. MQTT 3.1.1 does not ask for that.
    pub(super) fn check_form(&self) -> Result<(), PacketError> {
        if self.is_shortest {
            Ok(())
        } else {
            Err(PacketError::Malformed("a length takes more bytes than it needs"))
        }
    }
}
