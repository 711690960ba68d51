//! A PUBLISH becomes bytes. The buffer is the connection's own and keeps its room, as a connection's does that sends one
//! message after the other.

use std::hint::black_box;
use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use cardata_domain::{Gcid, Vin};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{Outgoing, Publish, TopicAlias};
use cardata_mqtt::{Qos, Version};
use criterion::{Criterion, Throughput};

/// The bytes of a message with five entries.
const PAYLOAD_BYTES: usize = 720;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let gcid: Gcid = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().expect("it is a GCID");
    let vin: Vin = "WBY00000000000001".parse().expect("it is a VIN");
    let fresh = Publish::new(vin, gcid, Bytes::from(vec![b'x'; PAYLOAD_BYTES]));
    let lasting =
        Publish { qos: Qos::AtLeastOnce, packet_id: Some(NonZeroU16::MIN), ..fresh.clone() };
    let known = TopicAlias { number: NonZeroU16::MIN, known: true };
    let aliased = Publish { alias: Some(known), ..lasting.clone() };

    let mut group = criterion.benchmark_group("publish");
    for (name, version, publish) in [
        ("MQTT 3.1.1, QoS 0", Version::V311, fresh.clone()),
        ("MQTT 3.1.1, QoS 1", Version::V311, lasting.clone()),
        ("MQTT 5, QoS 0", Version::V5, fresh),
        ("MQTT 5, QoS 1", Version::V5, lasting),
        ("MQTT 5, QoS 1, known topic alias", Version::V5, aliased),
    ] {
        let encoder = Encoder::new(version);
        group.throughput(Throughput::Bytes(encoder.publish_size(&publish) as u64));
        let packet = Outgoing::Publish(publish);
        let mut output = BytesMut::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                output.clear();
                encoder.encode(black_box(&packet), &mut output)
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
