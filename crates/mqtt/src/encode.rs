//! Packets to bytes (MQTT 3.1.1 §2 and §3). PUBLISH is the hot path: no allocation but the buffer's own growth.

use bytes::{BufMut, BytesMut};
use cardata_domain::Gcid;

use crate::packet::{Outgoing, Publish, Qos};

/// Writes `packet` for a connection of `customer` to the end of `buffer`.
///
/// # Panics
/// Never: lengths are made of what the types allow.
pub fn encode(packet: &Outgoing, customer: &CustomerTopic, buffer: &mut BytesMut) {
    match packet {
        Outgoing::ConnAck { session_present } => {
            buffer.put_slice(&[0x20, 2, u8::from(*session_present), 0]);
        }
        Outgoing::ConnRefused(refusal) => buffer.put_slice(&[0x20, 2, 0, refusal.return_code()]),
        Outgoing::SubAck { packet_id, granted } => {
            buffer.put_u8(0x90);
            put_remaining_length(2 + granted.len(), buffer);
            buffer.put_u16(packet_id.get());
            buffer.extend(granted.iter().map(|qos| qos.map_or(0x80, Qos::level)));
        }
        Outgoing::UnsubAck(packet_id) => {
            buffer.put_slice(&[0xB0, 2]);
            buffer.put_u16(packet_id.get());
        }
        Outgoing::PingResp => buffer.put_slice(&[0xD0, 0]),
        Outgoing::Publish(publish) => put_publish(publish, customer, buffer),
    }
}

/// The first level of a customer's topics with its slash, ready to be copied.
#[derive(Debug, Clone)]
pub struct CustomerTopic([u8; 37]);

impl CustomerTopic {
    /// `{gcid}/`.
    ///
    /// # Panics
    /// Never: a GCID prints as 36 characters.
    pub fn new(gcid: Gcid) -> Self {
        let text = format!("{gcid}/");
        Self(text.as_bytes().try_into().expect("a GCID has 36 characters"))
    }
}

fn put_publish(publish: &Publish, customer: &CustomerTopic, buffer: &mut BytesMut) {
    let vin = publish.vin.as_bytes();
    let topic_length = customer.0.len() + vin.len();
    let packet_id_length = if publish.packet_id.is_some() { 2 } else { 0 };
    let remaining = 2 + topic_length + packet_id_length + publish.payload.len();
    buffer.reserve(5 + remaining);
    let qos = u8::from(publish.packet_id.is_some()) << 1;
    buffer.put_u8(0x30 | u8::from(publish.duplicate) << 3 | qos);
    put_remaining_length(remaining, buffer);
    buffer.put_u16(u16::try_from(topic_length).expect("a topic of this service has 54 bytes"));
    buffer.put_slice(&customer.0);
    buffer.put_slice(vin);
    if let Some(packet_id) = publish.packet_id {
        buffer.put_u16(packet_id.get());
    }
    buffer.put_slice(&publish.payload);
}

/// MQTT 3.1.1 §2.2.3: seven bits a byte, the lowest first.
fn put_remaining_length(mut length: usize, buffer: &mut BytesMut) {
    loop {
        let bits = u8::try_from(length % 128).expect("seven bits fit a byte");
        length /= 128;
        buffer.put_u8(if length > 0 { bits | 0x80 } else { bits });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ConnectRefusal;

    const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";

    fn bytes(packet: &Outgoing) -> Vec<u8> {
        let mut buffer = BytesMut::new();
        encode(packet, &CustomerTopic::new(GCID.parse().unwrap()), &mut buffer);
        buffer.to_vec()
    }

    #[test]
    fn a_publish_of_qos_1_has_its_topic_packet_id_and_payload() {
        let publish = Publish {
            vin: "WBY00000000000001".parse().unwrap(),
            payload: Bytes::from(vec![b'x'; 100]),
            packet_id: std::num::NonZeroU16::new(0x0102),
            duplicate: true,
        };
        let mut expected = vec![0x3A, 0x9E, 1, 0, 54];
        expected.extend(format!("{GCID}/WBY00000000000001").bytes());
        expected.extend([1, 2]);
        expected.extend([b'x'; 100]);
        assert_eq!(bytes(&Outgoing::Publish(publish)), expected);
    }

    #[test]
    fn a_publish_of_qos_0_has_no_packet_id() {
        let vin = "WBY00000000000001".parse().unwrap();
        let publish =
            Publish { vin, payload: Bytes::from_static(b"{}"), packet_id: None, duplicate: false };
        let encoded = bytes(&Outgoing::Publish(publish));
        assert_eq!(encoded[..4], [0x30, 58, 0, 54]);
        assert_eq!(encoded[58..], *b"{}");
    }

    #[test]
    fn answers_have_the_bytes_of_the_specification() {
        let packet_id = std::num::NonZeroU16::new(10).unwrap();
        assert_eq!(bytes(&Outgoing::ConnAck { session_present: true }), [0x20, 2, 1, 0]);
        assert_eq!(
            bytes(&Outgoing::ConnRefused(ConnectRefusal::BadUserNameOrPassword)),
            [0x20, 2, 0, 4]
        );
        let granted = vec![Some(Qos::AtLeastOnce), None];
        assert_eq!(bytes(&Outgoing::SubAck { packet_id, granted }), [0x90, 4, 0, 10, 1, 0x80]);
        assert_eq!(bytes(&Outgoing::UnsubAck(packet_id)), [0xB0, 2, 0, 10]);
        assert_eq!(bytes(&Outgoing::PingResp), [0xD0, 0]);
    }
}
