//! The two specifications read once more, as plainly as possible and without a view to speed, to compare with.

use cardata_mqtt::Version;

/// Whether a topic filter is well-formed (MQTT 3.1.1 §4.7, MQTT 5 §4.7).
pub(crate) fn is_valid_filter(filter: &str) -> bool {
    let levels: Vec<_> = filter.split('/').collect();
    let last = levels.len() - 1;
    !filter.is_empty()
        && !filter.contains('\0')
        && levels.iter().enumerate().all(|(index, level)| match *level {
            "+" => true,
            "#" => index == last,
            other => !other.contains(['+', '#']),
        })
}

/// Whether a topic name matches a filter (MQTT 3.1.1 §4.7, MQTT 5 §4.7); a malformed filter matches nothing.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    // [MQTT-4.7.2-1]
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    let filter_levels: Vec<_> = filter.split('/').collect();
    let topic_levels: Vec<_> = topic.split('/').collect();
    is_valid_filter(filter) && !hidden && levels_match(&filter_levels, &topic_levels)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        // `#` stands for the parent level, too.
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            wanted == level && levels_match(filter, topic)
        }
        _ => false,
    }
}

/// Whether `packet`, from its first byte to its last, is one that a client may send, as far as its form goes.
pub(crate) fn is_sound(version: Version, packet: &[u8]) -> bool {
    let mut reader = Reader { version, rest: packet };
    let sound = (|| {
        let first = reader.byte()?;
        let length = reader.variable()?;
        (length == reader.rest.len()).then_some(())?;
        reader.body(first)?;
        reader.rest.is_empty().then_some(())
    })();
    sound.is_some()
}

/// Reads a packet from its front; `None` where it is malformed.
struct Reader<'a> {
    version: Version,
    rest: &'a [u8],
}

/// The type of a property's value (MQTT 5 §2.2.2.2).
enum Kind {
    Flag,
    Two,
    TwoNotZero,
    Four,
    FourNotZero,
    Variable,
    Text,
    Topic,
    Binary,
    Pair,
}

const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26];
const SUBSCRIBE: &[u8] = &[0x0B, 0x26];
const ACKNOWLEDGEMENT: &[u8] = &[0x1F, 0x26];
const DISCONNECT: &[u8] = &[0x11, 0x1C, 0x1F, 0x26];
/// The reason codes of DISCONNECT, those for servers included (MQTT 5, table 3-10).
const DISCONNECTED: [u8; 30] = [
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];
const AUTH: &[u8] = &[0x15, 0x16, 0x1F, 0x26];
const USER: &[u8] = &[0x26];

fn kind(property: u8) -> Option<Kind> {
    Some(match property {
        0x01 | 0x17 | 0x19 => Kind::Flag,
        0x02 | 0x11 | 0x18 => Kind::Four,
        0x03 | 0x15 | 0x1C | 0x1F => Kind::Text,
        0x08 => Kind::Topic,
        0x09 | 0x16 => Kind::Binary,
        0x0B => Kind::Variable,
        0x21 | 0x23 => Kind::TwoNotZero,
        0x22 => Kind::Two,
        0x26 => Kind::Pair,
        0x27 => Kind::FourNotZero,
        _ => return None,
    })
}

impl<'a> Reader<'a> {
    fn body(&mut self, first: u8) -> Option<()> {
        let is_v5 = self.version == Version::V5;
        match first {
            0x10 => self.connect(),
            0x30..=0x3F => self.publish(first & 0x0F),
            0x40 | 0x50 | 0x62 | 0x70 => self.acknowledgement(first),
            0x82 => self.subscribe(),
            0xA2 => {
                self.packet_id()?;
                self.properties(USER)?;
                self.filter()?;
                while !self.rest.is_empty() {
                    self.filter()?;
                }
                Some(())
            }
            0xE0 if is_v5 => self.reason_and_properties(&DISCONNECTED, DISCONNECT),
            0xC0 | 0xE0 => Some(()),
            0xF0 if is_v5 => self.reason_and_properties(&[0x18, 0x19], AUTH),
            _ => None,
        }
    }

    fn connect(&mut self) -> Option<()> {
        let is_v5 = self.version == Version::V5;
        (self.text()? == "MQTT").then_some(())?;
        (self.byte()? == if is_v5 { 5 } else { 4 }).then_some(())?;
        let flags = self.byte()?;
        let (user_name, password, will) = (flags & 0x80 > 0, flags & 0x40 > 0, flags & 0x04 > 0);
        let reserved = flags & 1 > 0;
        let will_flags = flags & 0x38;
        let flags_are_sound = !reserved
            && (will_flags >> 3) & 3 != 3
            && (will || will_flags == 0)
            // [MQTT-3.1.2-22], which MQTT 5 does not have.
            && (is_v5 || user_name || !password);
        flags_are_sound.then_some(())?;
        self.bytes(2)?;
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
        Some(())
    }

    fn publish(&mut self, flags: u8) -> Option<()> {
        let qos = (flags >> 1) & 3;
        let duplicate = flags & 8 > 0;
        (qos < 3 && !(duplicate && qos == 0)).then_some(())?;
        // MQTT 5 allows an empty one beside a topic alias, and those are refused as such.
        self.topic()?;
        if qos > 0 {
            self.packet_id()?;
        }
        self.properties(PUBLISH)?;
        self.rest = &[];
        Some(())
    }

    fn acknowledgement(&mut self, first: u8) -> Option<()> {
        self.packet_id()?;
        if self.version == Version::V311 {
            return Some(());
        }
        let reasons: &[u8] = match first {
            0x40 | 0x50 => &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
            _ => &[0, 0x92],
        };
        self.reason_and_properties(reasons, ACKNOWLEDGEMENT)
    }

    fn subscribe(&mut self) -> Option<()> {
        self.packet_id()?;
        self.properties(SUBSCRIBE)?;
        loop {
            let filter = self.filter()?;
            let options = self.byte()?;
            let sound = match self.version {
                Version::V311 => options < 3,
                Version::V5 => {
                    let no_local = options & 4 > 0;
                    options & 0xC0 == 0
                        && options & 3 < 3
                        && (options >> 4) & 3 < 3
                        // [MQTT-3.8.3-4]
                        && !(no_local && filter.starts_with("$share/"))
                }
            };
            sound.then_some(())?;
            if self.rest.is_empty() {
                return Some(());
            }
        }
    }

    /// A reason code and properties, both or the latter of which may be missing at the end.
    fn reason_and_properties(&mut self, reasons: &[u8], allowed: &[u8]) -> Option<()> {
        if self.rest.is_empty() {
            return Some(());
        }
        let reason = self.byte()?;
        reasons.contains(&reason).then_some(())?;
        if self.rest.is_empty() { Some(()) } else { self.properties(allowed) }
    }

    fn properties(&mut self, allowed: &[u8]) -> Option<()> {
        if self.version == Version::V311 {
            return Some(());
        }
        let length = self.variable()?;
        let mut inner = Reader { version: self.version, rest: self.bytes(length)? };
        let mut seen = Vec::new();
        while !inner.rest.is_empty() {
            let property = u8::try_from(inner.variable()?).ok()?;
            allowed.contains(&property).then_some(())?;
            // All but user properties come once.
            (property == 0x26 || !seen.contains(&property)).then_some(())?;
            seen.push(property);
            inner.value(&kind(property)?)?;
        }
        // Data of a method that is not named (MQTT 5 §3.1.2.11.10).
        (!seen.contains(&0x16) || seen.contains(&0x15)).then_some(())
    }

    fn value(&mut self, kind: &Kind) -> Option<()> {
        match kind {
            Kind::Flag => (self.byte()? < 2).then_some(()),
            Kind::Two => self.bytes(2).map(drop),
            Kind::TwoNotZero => (self.bytes(2)? != [0, 0]).then_some(()),
            Kind::Four => self.bytes(4).map(drop),
            Kind::FourNotZero => (self.bytes(4)? != [0; 4]).then_some(()),
            Kind::Variable => (self.variable()? > 0).then_some(()),
            Kind::Text => self.text().map(drop),
            Kind::Topic => self.topic(),
            Kind::Binary => self.binary().map(drop),
            Kind::Pair => self.text().and_then(|_| self.text()).map(drop),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A variable byte integer, in MQTT 5 of as few bytes as possible. [MQTT-1.5.5-1]
    fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                let shortest = index == 0 || byte > 0 || self.version == Version::V311;
                return shortest.then_some(value);
            }
        }
        None
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.bytes(2)?;
        self.bytes(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    /// UTF-8 without the null character. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    fn text(&mut self) -> Option<&'a str> {
        let text = std::str::from_utf8(self.binary()?).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    /// The name of a topic: not empty, and without wildcards.
    fn topic(&mut self) -> Option<()> {
        let topic = self.text()?;
        (!topic.is_empty() && !topic.contains(['+', '#'])).then_some(())
    }

    fn filter(&mut self) -> Option<&'a str> {
        self.text().filter(|filter| !filter.is_empty())
    }

    fn packet_id(&mut self) -> Option<()> {
        (self.bytes(2)? != [0, 0]).then_some(())
    }
}
