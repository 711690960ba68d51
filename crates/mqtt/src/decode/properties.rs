//! Properties (MQTT 5 §2.2.2): which packet of a client may have which, and what they say.

use std::num::{NonZeroU16, NonZeroU32};

use super::PacketError;
use super::reader::Reader;
use crate::property::{
    AUTHENTICATION_DATA, AUTHENTICATION_METHOD, CONTENT_TYPE, CORRELATION_DATA,
    MAXIMUM_PACKET_SIZE, MESSAGE_EXPIRY_INTERVAL, PAYLOAD_FORMAT_INDICATOR, REASON_STRING,
    RECEIVE_MAXIMUM, REQUEST_PROBLEM_INFORMATION, REQUEST_RESPONSE_INFORMATION, RESPONSE_TOPIC,
    SERVER_REFERENCE, SESSION_EXPIRY_INTERVAL, SUBSCRIPTION_IDENTIFIER, TOPIC_ALIAS,
    TOPIC_ALIAS_MAXIMUM, USER_PROPERTY, WILL_DELAY_INTERVAL,
};
use crate::topic;

/// What the properties of a packet say. Those that change nothing here are checked, and not kept.
#[derive(Default)]
pub(super) struct Properties<'a> {
    pub(super) session_expiry_seconds: Option<u32>,
    pub(super) receive_max: Option<NonZeroU16>,
    pub(super) packet_size_max: Option<NonZeroU32>,
    pub(super) topic_alias_max: Option<u16>,
    pub(super) problem_information: Option<bool>,
    pub(super) auth_method: Option<&'a str>,
    pub(super) auth_data: Option<&'a [u8]>,
    pub(super) topic_alias: Option<u16>,
    pub(super) subscription_identifier: Option<NonZeroU32>,
}

/// The identifiers that a kind of packet may have (MQTT 5, table 2-4).
pub(super) type Allowed = &'static [u8];

pub(super) const CONNECT: Allowed = &[
    SESSION_EXPIRY_INTERVAL,
    AUTHENTICATION_METHOD,
    AUTHENTICATION_DATA,
    REQUEST_PROBLEM_INFORMATION,
    REQUEST_RESPONSE_INFORMATION,
    RECEIVE_MAXIMUM,
    TOPIC_ALIAS_MAXIMUM,
    USER_PROPERTY,
    MAXIMUM_PACKET_SIZE,
];
pub(super) const WILL: Allowed = &[
    PAYLOAD_FORMAT_INDICATOR,
    MESSAGE_EXPIRY_INTERVAL,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    WILL_DELAY_INTERVAL,
    USER_PROPERTY,
];
pub(super) const PUBLISH: Allowed = &[
    PAYLOAD_FORMAT_INDICATOR,
    MESSAGE_EXPIRY_INTERVAL,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    SUBSCRIPTION_IDENTIFIER,
    TOPIC_ALIAS,
    USER_PROPERTY,
];
pub(super) const ACKNOWLEDGEMENT: Allowed = &[REASON_STRING, USER_PROPERTY];
pub(super) const SUBSCRIBE: Allowed = &[SUBSCRIPTION_IDENTIFIER, USER_PROPERTY];
pub(super) const UNSUBSCRIBE: Allowed = &[USER_PROPERTY];
pub(super) const DISCONNECT: Allowed =
    &[SESSION_EXPIRY_INTERVAL, SERVER_REFERENCE, REASON_STRING, USER_PROPERTY];
pub(super) const AUTH: Allowed =
    &[AUTHENTICATION_METHOD, AUTHENTICATION_DATA, REASON_STRING, USER_PROPERTY];

impl<'a> Properties<'a> {
    /// Takes the properties that `body` begins with.
    pub(super) fn read(body: &mut Reader<'a>, allowed: Allowed) -> Result<Self, PacketError> {
        let length = body.variable()?;
        let mut reader = Reader::new(body.take(usize::try_from(length).unwrap_or(usize::MAX))?);
        let mut properties = Self::default();
        let mut seen = 0_u64;
        while !reader.is_empty() {
            let identifier = reader.byte()?;
            if !allowed.contains(&identifier) {
                return Err(FOREIGN);
            }
            let bit = 1 << identifier;
            if seen & bit != 0 && identifier != USER_PROPERTY {
                return Err(PacketError::ProtocolError("a property that is there twice"));
            }
            seen |= bit;
            properties.take(identifier, &mut reader)?;
        }
        Ok(properties)
    }

    fn take(&mut self, identifier: u8, reader: &mut Reader<'a>) -> Result<(), PacketError> {
        match identifier {
            SESSION_EXPIRY_INTERVAL => self.session_expiry_seconds = Some(reader.four_bytes()?),
            RECEIVE_MAXIMUM => {
                let receive_max = NonZeroU16::new(reader.two_bytes()?);
                self.receive_max = Some(receive_max.ok_or(ZERO)?);
            }
            MAXIMUM_PACKET_SIZE => {
                let packet_size_max = NonZeroU32::new(reader.four_bytes()?);
                self.packet_size_max = Some(packet_size_max.ok_or(ZERO)?);
            }
            TOPIC_ALIAS_MAXIMUM => self.topic_alias_max = Some(reader.two_bytes()?),
            REQUEST_PROBLEM_INFORMATION => self.problem_information = Some(flag(reader)?),
            REQUEST_RESPONSE_INFORMATION | PAYLOAD_FORMAT_INDICATOR => {
                flag(reader)?;
            }
            AUTHENTICATION_METHOD => self.auth_method = Some(reader.text()?),
            AUTHENTICATION_DATA => self.auth_data = Some(reader.binary()?),
            TOPIC_ALIAS => self.topic_alias = Some(reader.two_bytes()?),
            SUBSCRIPTION_IDENTIFIER => {
                let identifier = NonZeroU32::new(reader.variable()?);
                self.subscription_identifier = Some(identifier.ok_or(ZERO)?);
            }
            RESPONSE_TOPIC => {
                // [MQTT-3.3.2-14]
                if !topic::is_name(reader.text()?) {
                    return Err(PacketError::ProtocolError(
                        "a response topic that is no topic name",
                    ));
                }
            }
            MESSAGE_EXPIRY_INTERVAL | WILL_DELAY_INTERVAL => {
                reader.four_bytes()?;
            }
            CONTENT_TYPE | SERVER_REFERENCE | REASON_STRING => {
                reader.text()?;
            }
            CORRELATION_DATA => {
                reader.binary()?;
            }
            USER_PROPERTY => {
                reader.text()?;
                reader.text()?;
            }
            _ => return Err(FOREIGN),
        }
        Ok(())
    }
}

const FOREIGN: PacketError = PacketError::Malformed("a property that this packet does not have");
const ZERO: PacketError = PacketError::ProtocolError("a property that may not be 0");

fn flag(reader: &mut Reader<'_>) -> Result<bool, PacketError> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(PacketError::ProtocolError("a property that may be 0 or 1 only")),
    }
}
