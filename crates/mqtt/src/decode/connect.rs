//! CONNECT (§3.1 of both specifications).

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;

use super::PacketError;
use super::properties::{self, Properties};
use super::reader::Reader;
use crate::packet::{Auth, Connect, Version};
use crate::topic;

// The bits of the connect flags; between Will and Will Retain is the Will's QoS.
const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_3: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// The protocol names that clients begin with, and where the level follows them.
const NAMES: [(&[u8], usize); 2] = [(b"\0\x04MQTT", 6), (b"\0\x06MQIsdp", 8)];

/// The version of a CONNECT whose body begins with `body`; `None` when more bytes are needed.
pub(super) fn version(body: &[u8], is_whole: bool) -> Result<Option<Version>, PacketError> {
    for (name, level_at) in NAMES {
        if body.starts_with(name)
            && let Some(level) = body.get(level_at)
        {
            return match (level_at, level) {
                (6, 4) => Ok(Some(Version::V311)),
                (6, 5) => Ok(Some(Version::V5)),
                // MQIsdp is MQTT 3.1, whatever the level says.
                _ => Err(PacketError::UnsupportedVersion),
            };
        }
        if !is_whole && (name.starts_with(body) || body == name) {
            return Ok(None);
        }
    }
    Err(PacketError::Malformed("the first packet is not a CONNECT of MQTT"))
}

/// Reads the body of a CONNECT whose version was found.
pub(super) fn read(version: Version, body: &mut Reader<'_>) -> Result<Connect, PacketError> {
    body.take(7)?; // Protocol name and level.
    let flags = body.byte()?;
    check_flags(version, flags)?;
    let keep_alive_seconds = body.two_bytes()?;
    let properties = match version {
        Version::V311 => Properties::default(),
        Version::V5 => Properties::read(body, properties::CONNECT)?,
    };
    let client_id = body.text()?;
    if flags & WILL != 0 {
        check_will(version, body)?;
    }
    let user_name = if flags & USER_NAME != 0 { Some(body.text()?) } else { None };
    let password = if flags & PASSWORD != 0 { Some(body.binary()?) } else { None };
    body.end()?;
    let clean_start = flags & CLEAN_START != 0;
    if version == Version::V311 && client_id.is_empty() && !clean_start {
        return Err(PacketError::EmptyClientId);
    }
    Ok(Connect {
        version,
        client_id: client_id.to_owned(),
        clean_start,
        keep_alive_seconds,
        session_expiry_seconds: match version {
            // Kept for ever or not at all: 3.1.1 knows nothing in between.
            Version::V311 if clean_start => 0,
            Version::V311 => u32::MAX,
            Version::V5 => properties.session_expiry_seconds.unwrap_or(0),
        },
        receive_max: properties.receive_max.unwrap_or(NonZeroU16::MAX),
        packet_size_max: properties.packet_size_max.map_or(u32::MAX, NonZeroU32::get),
        topic_alias_max: properties.topic_alias_max.unwrap_or(0),
        retained_will: flags & WILL_RETAIN != 0,
        problem_information: version == Version::V5
            && properties.problem_information.unwrap_or(true),
        user_name: user_name.map(str::to_owned),
        password: password.map(Bytes::copy_from_slice),
        auth: auth(&properties)?,
    })
}

fn check_flags(version: Version, flags: u8) -> Result<(), PacketError> {
    let why = if flags & RESERVED != 0 {
        "the reserved flag of a CONNECT is set" // [MQTT-3.1.2-3]
    } else if flags & WILL == 0 && flags & (WILL_QOS_3 | WILL_RETAIN) != 0 {
        "a CONNECT describes a Will that it does not have"
    } else if flags & WILL_QOS_3 == WILL_QOS_3 {
        "a Will of QoS 3"
    } else if version == Version::V311 && flags & (USER_NAME | PASSWORD) == PASSWORD {
        "a password without a user name" // MQTT 3.1.1 [MQTT-3.1.2-22]
    } else {
        return Ok(());
    };
    Err(PacketError::Malformed(why))
}

/// A Will is read, and goes no further: clients publish nothing here.
fn check_will(version: Version, body: &mut Reader<'_>) -> Result<(), PacketError> {
    if version == Version::V5 {
        Properties::read(body, properties::WILL)?;
    }
    if !topic::is_name(body.text()?) {
        return Err(PacketError::ProtocolError("a Will for what is no topic name"));
    }
    body.binary()?;
    Ok(())
}

/// What the properties say of authentication (MQTT 5 §3.1.2.11.9).
fn auth(properties: &Properties<'_>) -> Result<Option<Auth>, PacketError> {
    let data = properties.auth_data;
    match properties.auth_method {
        Some(method) => Ok(Some(Auth {
            method: method.to_owned(),
            data: Bytes::copy_from_slice(data.unwrap_or_default()),
        })),
        None if data.is_some() => {
            Err(PacketError::ProtocolError("authentication data without a method"))
        }
        None => Ok(None),
    }
}
