//! The form of packets from clients (MQTT 3.1.1 and 5.0, §2 and §3 of each), which the library checks in part only: it
//! takes what follows a packet's end, null characters, lengths of too many bytes and others.

use cardata_mqtt::Version;

use super::codec::PacketError;

/// Checks the packet with the first byte `first` and the whole `body`.
pub(super) fn check(version: Version, first: u8, body: &[u8]) -> Result<(), PacketError> {
    let mut body = Body { version, rest: body };
    let (packet_type, flags) = (first >> 4, first & 0x0F);
    let flags_are_sound = match packet_type {
        3 => flags & 0x06 != 0x06 && (flags & 0x08 == 0 || flags & 0x06 != 0),
        6 | 8 | 10 => flags == 2,
        _ => flags == 0,
    };
    sound(flags_are_sound)?;
    match packet_type {
        1 => body.connect()?,
        3 => return body.publish(flags),
        4..=7 => body.acknowledgement(packet_type)?,
        8 => body.subscribe()?,
        10 => body.unsubscribe()?,
        12 => {}
        14 if version == Version::V311 => {}
        14 => body.reason_and_properties(DISCONNECT_REASONS, DISCONNECT)?,
        15 if version == Version::V5 => body.reason_and_properties(AUTH_REASONS, AUTH)?,
        // Only a server sends these.
        2 | 9 | 11 | 13 => return Err(PacketError::Forbidden),
        _ => return Err(PacketError::Malformed),
    }
    sound(body.rest.is_empty())
}

/// What is left of a packet's body.
struct Body<'a> {
    version: Version,
    rest: &'a [u8],
}

fn sound(is_sound: bool) -> Result<(), PacketError> {
    if is_sound { Ok(()) } else { Err(PacketError::Malformed) }
}

fn allowed(is_allowed: bool) -> Result<(), PacketError> {
    if is_allowed { Ok(()) } else { Err(PacketError::Forbidden) }
}

/// Which properties a packet may have (MQTT 5 §2.2.2.2).
type Properties = &'static [u8];

const CONNECT: Properties = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
const WILL: Properties = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
/// A subscription identifier is for servers. [MQTT-3.3.4-6]
const PUBLISH: Properties = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26];
const ACKNOWLEDGEMENT: Properties = &[0x1F, 0x26];
const SUBSCRIBE: Properties = &[0x0B, 0x26];
const UNSUBSCRIBE: Properties = &[USER_PROPERTY];
const DISCONNECT: Properties = &[0x11, 0x1F, 0x26];
const AUTH: Properties = &[0x15, 0x16, 0x1F, 0x26];

const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const USER_PROPERTY: u8 = 0x26;

/// The reason codes that a client may give (MQTT 5 §3.4.2.1, §3.5.2.1; §3.6.2.1, §3.7.2.1; §3.14.2.1; §3.15.2.1).
const RECEIVED_REASONS: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const COMPLETED_REASONS: &[u8] = &[0, 0x92];
const DISCONNECT_REASONS: &[u8] =
    &[0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const AUTH_REASONS: &[u8] = &[0x18, 0x19];

const SHARED: &[u8] = b"$share/";

impl<'a> Body<'a> {
    /// A later one must not pretend to be of another version than the first.
    fn connect(&mut self) -> Result<(), PacketError> {
        let level = if self.version == Version::V5 { 5 } else { 4 };
        sound(self.binary()? == b"MQTT" && self.byte()? == level)?;
        let flags = self.byte()?;
        let (user_name, password, will) = (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x04 != 0);
        sound(flags & 0x01 == 0 && flags & 0x18 != 0x18)?;
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15]
        sound(will || flags & 0x38 == 0)?;
        // [MQTT-3.1.2-22] of 3.1.1; MQTT 5 allows it.
        sound(user_name || !password || self.version == Version::V5)?;
        self.take(2)?;
        self.properties(CONNECT)?;
        self.text()?;
        if will {
            self.properties(WILL)?;
            self.topic()?;
            self.binary()?;
        }
        if user_name {
            self.text()?;
        }
        if password {
            self.binary()?;
        }
        Ok(())
    }

    /// The payload may be anything.
    fn publish(&mut self, flags: u8) -> Result<(), PacketError> {
        let topic = self.text()?;
        // Beside a topic alias it may be empty; this server refuses either.
        sound(!has_wildcard(topic) && (!topic.is_empty() || self.version == Version::V5))?;
        if flags & 0x06 != 0 {
            self.packet_id()?;
        }
        self.properties(PUBLISH)
    }

    fn acknowledgement(&mut self, packet_type: u8) -> Result<(), PacketError> {
        self.packet_id()?;
        match (self.version, packet_type) {
            (Version::V311, _) => Ok(()),
            (Version::V5, 4 | 5) => self.reason_and_properties(RECEIVED_REASONS, ACKNOWLEDGEMENT),
            (Version::V5, _) => self.reason_and_properties(COMPLETED_REASONS, ACKNOWLEDGEMENT),
        }
    }

    fn subscribe(&mut self) -> Result<(), PacketError> {
        self.packet_id()?;
        self.properties(SUBSCRIBE)?;
        // [MQTT-3.8.3-3] of 3.1.1, [MQTT-3.8.3-2] of MQTT 5
        allowed(!self.rest.is_empty())?;
        while !self.rest.is_empty() {
            let filter = self.filter()?;
            let options = self.byte()?;
            match self.version {
                // [MQTT-3-8.3-4]
                Version::V311 => sound(options <= 2)?,
                Version::V5 => {
                    // [MQTT-3.8.3-5]
                    sound(options & 0xC0 == 0 && options & 0x03 != 3)?;
                    allowed(options & 0x30 != 0x30)?;
                    // [MQTT-3.8.3-4]
                    allowed(options & 0x04 == 0 || !filter.starts_with(SHARED))?;
                }
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self) -> Result<(), PacketError> {
        self.packet_id()?;
        self.properties(UNSUBSCRIBE)?;
        // [MQTT-3.10.3-2]
        allowed(!self.rest.is_empty())?;
        while !self.rest.is_empty() {
            self.filter()?;
        }
        Ok(())
    }

    /// The end of a packet that may leave out its properties, or its reason code, too.
    fn reason_and_properties(
        &mut self,
        reasons: &[u8],
        properties: Properties,
    ) -> Result<(), PacketError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let reason = self.byte()?;
        sound(reasons.contains(&reason))?;
        if self.rest.is_empty() { Ok(()) } else { self.properties(properties) }
    }

    fn properties(&mut self, properties: Properties) -> Result<(), PacketError> {
        if self.version == Version::V311 {
            return Ok(());
        }
        let length = self.variable()?;
        let mut values = Body { version: self.version, rest: self.take(length)? };
        let mut seen = 0_u64;
        while !values.rest.is_empty() {
            let property = values.byte()?;
            sound(properties.contains(&property))?;
            let bit = 1 << property;
            allowed(property == USER_PROPERTY || seen & bit == 0)?;
            seen |= bit;
            values.value(property)?;
        }
        // MQTT 5 §3.1.2.11.10
        let has = |property: u8| seen & (1 << property) != 0;
        allowed(has(AUTHENTICATION_METHOD) || !has(AUTHENTICATION_DATA))
    }

    fn value(&mut self, property: u8) -> Result<(), PacketError> {
        match property {
            0x01 | 0x17 | 0x19 => allowed(self.byte()? <= 1),
            0x02 | 0x11 | 0x18 => self.take(4).map(drop),
            0x03 | 0x15 | 0x1F => self.text().map(drop),
            0x08 => self.topic(),
            0x09 | 0x16 => self.binary().map(drop),
            0x0B => allowed(self.variable()? != 0),
            0x21 | 0x23 => allowed(self.take(2)? != [0; 2]),
            0x22 => self.take(2).map(drop),
            0x27 => allowed(self.take(4)? != [0; 4]),
            USER_PROPERTY => self.text().and_then(|_| self.text()).map(drop),
            _ => Err(PacketError::Malformed),
        }
    }

    fn packet_id(&mut self) -> Result<(), PacketError> {
        sound(self.take(2)? != [0; 2])
    }

    /// [MQTT-4.7.3-1]
    fn filter(&mut self) -> Result<&'a [u8], PacketError> {
        let filter = self.text()?;
        sound(!filter.is_empty())?;
        Ok(filter)
    }

    /// [MQTT-3.1.3-11] [MQTT-3.3.2-14] [MQTT-4.7.3-1]
    fn topic(&mut self) -> Result<(), PacketError> {
        let topic = self.text()?;
        sound(!topic.is_empty() && !has_wildcard(topic))
    }

    /// UTF-8 without the null character. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    fn text(&mut self) -> Result<&'a [u8], PacketError> {
        let text = self.binary()?;
        sound(std::str::from_utf8(text).is_ok() && !text.contains(&0))?;
        Ok(text)
    }

    fn binary(&mut self) -> Result<&'a [u8], PacketError> {
        let length = self.take(2)?;
        self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    /// A variable byte integer of as few bytes as possible. [MQTT-1.5.5-1]
    fn variable(&mut self) -> Result<usize, PacketError> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                sound(index == 0 || byte != 0)?;
                return Ok(value);
            }
        }
        Err(PacketError::Malformed)
    }

    fn byte(&mut self) -> Result<u8, PacketError> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PacketError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(PacketError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn has_wildcard(topic: &[u8]) -> bool {
    topic.contains(&b'+') || topic.contains(&b'#')
}
