use std::io::Write as _;
use std::sync::Arc;

use cardata_domain::{Catalogue, Vin};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::recording::timeline::Start;

const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";
const ANNAS: &str = "WBY00000000000001";
const BENS: &str = "WBY00000000000002";
const NOON: &str = "2026-11-23T12:00:00Z";
const LATITUDE: &str = cardata_domain::privacy::LATITUDE;
const LONGITUDE: &str = cardata_domain::privacy::LONGITUDE;

fn header() -> Header {
    Header {
        created_at: NOON.parse().unwrap(),
        program: "cardata 0.1.0".to_owned(),
        identity: Identity::Kept,
    }
}

/// A message of `vin`, received so many seconds after noon, with these entries in JSON.
fn message(vin: &str, second: i64, data: &str) -> Message {
    let at = "2026-11-23T11:59:58.5Z";
    let json = format!(
        r#"{{"vin":"{vin}","entityId":"{GCID}","topic":"{vin}","timestamp":"{at}","data":{{{data}}}}}"#
    );
    Message {
        received_at: NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second),
        topic: format!("{GCID}/{vin}").into(),
        qos: 1,
        retain: second == 0,
        duplicate: false,
        payload: json.into(),
    }
}

fn entry(name: &str, value: &str) -> String {
    format!(r#""{name}":{{"timestamp":"2026-11-23T11:59:58Z","value":{value},"unit":"km"}}"#)
}

/// A recording of one block for each of `messages`, and where each block begins.
fn file(messages: &[Message]) -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    let mut begins = Vec::new();
    for message in messages {
        begins.push(usize::try_from(writer.bytes()).unwrap());
        writer.message(message).unwrap();
        writer.flush().unwrap();
    }
    begins.push(usize::try_from(writer.bytes()).unwrap());
    (writer.finish().unwrap(), begins)
}

fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut reader = Reader::new(bytes).unwrap();
    std::iter::from_fn(|| reader.next_part().unwrap()).collect()
}

fn messages_of(parts: &[Part]) -> Vec<Message> {
    let message = |part: &Part| match part {
        Part::Message(message) => Some(message.clone()),
        _ => None,
    };
    parts.iter().filter_map(message).collect()
}

fn three() -> Vec<Message> {
    (0..3)
        .map(|second| message(ANNAS, second, &entry("vehicle.vehicle.travelledDistance", "12.50")))
        .collect()
}

#[test]
fn a_recording_gives_back_each_message_and_tells_what_occurs() {
    let mut messages = three();
    messages.push(message(BENS, -3, &entry("vehicle.isMoving", "true")));
    messages.push(Message { payload: b"\xff no event".as_slice().into(), ..messages[0].clone() });
    let (bytes, _) = file(&messages);
    let mut read = parts(&bytes);
    let Some(Part::End(end)) = read.pop() else { panic!("no end") };
    assert_eq!(messages_of(&read), messages);
    assert_eq!(end.messages, 5);
    assert_eq!(end.topics, [format!("{GCID}/{ANNAS}"), format!("{GCID}/{BENS}")]);
    let described: Vec<_> = end.descriptors.iter().map(|one| (&*one.name, one.kind)).collect();
    assert_eq!(
        described,
        [("vehicle.vehicle.travelledDistance", Kind::Number), ("vehicle.isMoving", Kind::Boolean)]
    );
    assert_eq!(Reader::new(&*bytes).unwrap().header(), &header());
}

#[test]
fn wherever_a_recording_is_cut_off_the_whole_blocks_before_are_read() {
    let messages = three();
    let (bytes, begins) = file(&messages);
    for length in begins[0]..bytes.len() {
        let read = parts(&bytes[..length]);
        let whole = begins[1..].iter().filter(|end| **end <= length).count();
        assert_eq!(messages_of(&read), messages[..whole], "{length}");
        let damage: Vec<_> = read.iter().filter(|part| matches!(part, Part::Damage(_))).collect();
        assert_eq!(damage.is_empty(), begins.contains(&length), "{length}");
        if let [Part::Damage(damage)] = damage[..] {
            assert_eq!(damage.fault, Fault::CutOff);
            assert_eq!(damage.at, begins[whole] as u64);
            assert_eq!(damage.length, (length - begins[whole]) as u64);
        }
        assert!(!read.iter().any(|part| matches!(part, Part::End(_))));
    }
}

#[test]
fn a_damaged_block_costs_its_own_messages_and_is_told_with_its_place() {
    let messages = three();
    let (mut bytes, begins) = file(&messages);
    bytes[begins[1] + 25] ^= 1;
    let read = parts(&bytes);
    assert_eq!(messages_of(&read), [messages[0].clone(), messages[2].clone()]);
    let (at, length) = (begins[1] as u64, (begins[2] - begins[1]) as u64);
    let damage = Damage { block: 3, at, length, fault: Fault::Checksum };
    assert_eq!(read[1], Part::Damage(damage));

    let (mut bytes, begins) = file(&messages);
    bytes.splice(begins[1]..begins[1], *b"something else \xC5BL");
    let read = parts(&bytes);
    assert_eq!(messages_of(&read), messages);
    assert!(
        matches!(read[1], Part::Damage(Damage { fault: Fault::NoBlock, length: 18, .. })),
        "{read:?}"
    );
}

#[test]
fn what_is_no_recording_or_a_later_one_is_refused() {
    let (bytes, begins) = file(&three());
    for foreign in [&b""[..], b"{\"vin\":1}", b"\x89CDR\n\x1a\n\n\n\n\n", &bytes[1..]] {
        assert!(matches!(Reader::new(foreign), Err(ReadError::Foreign)), "{foreign:?}");
    }
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert!(matches!(Reader::new(&*newer), Err(ReadError::Newer { found: 2 })));
    for length in 9..begins[0] {
        let cut = Reader::new(&bytes[..length]);
        assert!(matches!(cut, Err(ReadError::Header(Fault::CutOff))), "{length}");
    }
    let mut damaged = bytes.clone();
    damaged[begins[0] - 1] ^= 1;
    assert!(matches!(Reader::new(&*damaged), Err(ReadError::Header(Fault::Checksum))));
}

/// A recording whose second block holds `plain`, and says that it has `length` bytes.
fn with_block(plain: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = Writer::new(Vec::new(), &header()).unwrap().finish().unwrap();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    let packed = encoder.finish().unwrap();
    let packed_length = u32::try_from(packed.len()).unwrap();
    bytes.extend(BLOCK_MARK);
    bytes.push(BlockKind::Messages as u8);
    bytes.extend(packed_length.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(checksum(BlockKind::Messages as u8, packed_length, length, &packed).to_le_bytes());
    bytes.extend(packed);
    bytes
}

#[test]
fn a_block_that_says_less_than_it_holds_is_not_unpacked() {
    let zeros = vec![0; 64 << 20];
    for (plain, length, fault) in [
        (&zeros[..], 10, Fault::Content),
        (&zeros[..100], u32::MAX, Fault::Length),
        (b"\x02{}\x00", 4, Fault::Content),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, Fault::Content),
    ] {
        let read = parts(&with_block(plain, length));
        let Some(Part::Damage(damage)) = read.last() else { panic!("{read:?}") };
        assert_eq!(damage.fault, fault);
    }
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    let long = Message { payload: vec![b' '; PAYLOAD_LENGTH_MAX + 1].into(), ..three()[0].clone() };
    assert!(writer.message(&long).is_err());
    let longest = Message { payload: vec![7; PAYLOAD_LENGTH_MAX].into(), ..three()[0].clone() };
    writer.message(&three()[0]).unwrap();
    writer.message(&longest).unwrap();
    assert_eq!(messages_of(&parts(&writer.finish().unwrap())), [three()[0].clone(), longest]);
}

#[test]
fn names_of_any_length_leave_blocks_that_can_be_read() {
    let messages: Vec<_> = (0..40)
        .map(|number| {
            let name = format!("{number}").repeat(if number == 9 { 1_000_000 } else { 30_000 });
            let long = message(ANNAS, number, &entry(&name, "1"));
            Message { topic: name[..30_000].into(), ..long }
        })
        .collect();
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    for message in &messages {
        writer.message(message).unwrap();
    }
    let mut read = parts(&writer.finish().unwrap());
    assert!(matches!(read.pop(), Some(Part::End(_))));
    assert_eq!(messages_of(&read), messages);
}

/// A disk with room for so many bytes.
struct Disk(Vec<u8>, usize);

impl std::io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.1 - self.0.len();
        if room == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = room.min(bytes.len());
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_keeps_the_blocks_that_it_took() {
    let (whole, begins) = file(&three());
    for room in 0..whole.len() {
        let mut disk = Disk(Vec::new(), room);
        let Ok(mut writer) = Writer::new(&mut disk, &header()) else {
            assert!(room < begins[0], "{room}");
            continue;
        };
        let written = three().iter().try_for_each(|message| {
            writer.message(message)?;
            writer.flush()
        });
        let ended = written.and_then(|()| writer.finish().map(drop));
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        let taken = begins[1..].iter().filter(|end| **end <= room).count();
        assert_eq!(messages_of(&parts(&disk.0)), three()[..taken], "{room}");
    }
}

fn some_message() -> impl Strategy<Value = Message> {
    let received = -1_000_000_000_000_000_i64..4_000_000_000_000_000;
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    (received, "[a-z/]{0,9}", 0_u8..3, any::<[bool; 2]>(), payload).prop_map(
        |(received_us, topic, qos, [retain, duplicate], payload)| Message {
            received_at: Timestamp::from_microsecond(received_us).unwrap(),
            topic: topic.into(),
            qos,
            retain,
            duplicate,
            payload: payload.into(),
        },
    )
}

proptest! {
    #[test]
    fn whatever_was_written_is_read(messages in prop::collection::vec(some_message(), 0..20)) {
        let mut read = parts(&file(&messages).0);
        prop_assert!(matches!(read.pop(), Some(Part::End(_))));
        prop_assert_eq!(messages_of(&read), messages);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
    ) {
        let _ = Reader::new(&*bytes);
        let (mut bytes, begins) = file(&three());
        let end = bytes.len();
        for (at, byte) in changes {
            bytes[begins[0] + at.index(end - begins[0])] = byte;
        }
        bytes.truncate(begins[0] + length.index(end - begins[0] + 1));
        let mut reader = Reader::new(&*bytes).unwrap();
        let mut covered = begins[0] as u64;
        while let Some(part) = reader.next_part().unwrap() {
            if let Part::Damage(damage) = part {
                prop_assert!(damage.length > 0 && damage.at >= covered);
                covered = damage.at + damage.length;
            }
        }
        prop_assert_eq!(reader.position(), bytes.len() as u64);
    }

    #[test]
    fn a_sound_block_of_any_content_is_read_to_its_end(plain in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut content = b"\x22{\"topics\":[\"a\"],\"descriptors\":[]} ".to_vec();
        content.extend(plain);
        let length = u32::try_from(content.len()).unwrap();
        parts(&with_block(&content, length));
    }
}

fn anonymiser() -> Anonymiser {
    Anonymiser::new(Arc::new(Catalogue::shipped()), [7; 16])
}

fn payload(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}

/// What is left of `value` for the descriptor `name`.
fn left(anonymiser: &mut Anonymiser, name: &str, value: &str) -> Option<String> {
    let made = anonymiser.message(&message(ANNAS, 0, &entry(name, value))).unwrap()?;
    let start = payload(&made).find("\"value\":").unwrap() + 8;
    Some(payload(&made)[start..].split(",\"unit\"").next().unwrap().to_owned())
}

#[test]
fn a_vehicle_and_its_customer_have_the_same_pseudonyms_everywhere() {
    let mut anonymiser = anonymiser();
    let text = format!("\"{BENS} of {GCID}\"");
    let one =
        message(BENS, 0, &entry("vehicle.drivetrain.electricEngine.charging.profile.mode", &text));
    let made = anonymiser.message(&one).unwrap().unwrap();
    let (customer, vehicle) = ("00000000-0000-4000-8000-000000000001", "REC00000000000001");
    assert_eq!(&*made.topic, format!("{customer}/{vehicle}"));
    let expected = payload(&one).replace(BENS, vehicle).replace(GCID, customer);
    assert_eq!(payload(&made), expected);
    let other = anonymiser.message(&three()[0]).unwrap().unwrap();
    assert_eq!(&*other.topic, format!("{customer}/REC00000000000002"));
    assert_eq!(anonymiser.message(&one).unwrap().unwrap(), made);
    assert!(vehicle.parse::<Vin>().is_ok());
}

#[test]
fn what_tells_nothing_of_a_person_stays_byte_for_byte() {
    let mut anonymiser = anonymiser();
    for (name, value) in [
        ("vehicle.vehicle.travelledDistance", "12345.600"),
        ("vehicle.isMoving", "true"),
        ("vehicle.cabin.infotainment.navigation.currentLocation.altitude", "520.50"),
        ("vehicle.drivetrain.electricEngine.charging.status", "\"CHARGING\\u0041CTIVE\""),
        ("vehicle.some.newSignal", "-1.0e-3"),
        ("vehicle.some.newTime", "\"2026-11-23T11:59:58+01:00\""),
        ("vehicle.some.newFlag", "false"),
    ] {
        assert_eq!(left(&mut anonymiser, name, value).as_deref(), Some(value), "{name}");
    }
    assert_eq!(anonymiser.left_out(), &LeftOut::default());
}

#[test]
fn what_could_tell_of_a_person_is_left_out_and_counted() {
    let mut anonymiser = anonymiser();
    let cases = [
        ("vehicle.sevice.preferredSevicePartner", "\"Autohaus Nord\""),
        ("vehicle.vehicleIdentification.basicVehicleData", "\"x\""),
        ("vehicle.body.chargingPort.isoSessionId", "123"),
        ("vehicle.some.newText", "\"Anna Muster\""),
        ("vehicle.some.postalCode", "80809"),
        ("vehicle.some.ownerName", "\"2026-11-23T11:59:58Z\""),
        ("vehicle.some.homePhone", "\"+49 89 1234567\""),
        ("vehicle.some.object", "{\"street\":\"x\"}"),
    ];
    for (name, value) in cases {
        assert_eq!(left(&mut anonymiser, name, value), None, "{name}");
    }
    let left_out = anonymiser.left_out();
    assert_eq!(left_out.messages, 8);
    assert_eq!(left_out.values.values().sum::<u64>(), 8);
    let both =
        format!("{},{}", entry("vehicle.isMoving", "true"), entry("vehicle.userName", "\"a\""));
    let made = anonymiser.message(&message(ANNAS, 0, &both)).unwrap().unwrap();
    assert!(payload(&made).contains("isMoving") && !payload(&made).contains("userName"));
}

#[test]
fn members_beside_the_known_ones_are_left_out() {
    let json = payload(&three()[0]).replacen('{', r#"{"owner":"Anna","topic":"elsewhere","#, 1);
    let made = anonymiser().message(&Message { payload: json.into(), ..three()[0].clone() });
    let made = made.unwrap().unwrap();
    assert!(!payload(&made).contains("Anna") && !payload(&made).contains("elsewhere"));
}

#[test]
fn positions_move_by_one_offset_also_when_they_come_apart() {
    let mut anonymiser = anonymiser();
    let track = [("48.100000", "11.500000"), ("48.100250", "11.500500"), ("48.2", "11")];
    let mut moved = Vec::new();
    for (latitude, longitude) in track {
        let latitude = left(&mut anonymiser, LATITUDE, latitude).unwrap();
        moved.push((latitude, left(&mut anonymiser, LONGITUDE, longitude).unwrap()));
    }
    let number = |text: &String| text.parse::<f64>().unwrap();
    let (north, east) = (number(&moved[0].0) - 48.1, number(&moved[0].1) - 11.5);
    assert!((0.5..2.0).contains(&north.abs()) && (3.0..30.0).contains(&east.abs()));
    assert!((number(&moved[1].0) - number(&moved[0].0) - 0.000_25).abs() < 1e-9);
    assert!((number(&moved[1].1) - number(&moved[0].1) - 0.000_5).abs() < 1e-9);
    // Zeros at the end may have been left away.
    assert!((number(&moved[2].0) - number(&moved[0].0) - 0.1).abs() < 1e-9);
    assert!((number(&moved[2].1) - number(&moved[0].1) + 0.5).abs() < 1e-9);
    assert_eq!(left(&mut anonymiser, LATITUDE, "48.12345678").unwrap().len(), 11);
    let text = left(&mut anonymiser, LATITUDE, "\"48.100000\"").unwrap();
    assert_eq!(text, format!("\"{}\"", moved[0].0));
    let destination = "vehicle.cabin.infotainment.navigation.destinationSet.latitude";
    assert_eq!(left(&mut anonymiser, destination, "48.100000").as_ref(), Some(&moved[0].0));
    let unlisted = left(&mut anonymiser, "vehicle.parking.lastLat", "48.100000");
    assert_eq!(unlisted.as_ref(), Some(&moved[0].0));
}

#[test]
fn what_is_no_position_does_not_tell_the_offset() {
    let mut anonymiser = anonymiser();
    for (name, value) in [(LATITUDE, "0"), (LATITUDE, "0.000"), (LONGITUDE, "-2147483.648")] {
        assert_eq!(left(&mut anonymiser, name, value).as_deref(), Some(value));
    }
    let east = left(&mut anonymiser, LONGITUDE, "179.999").unwrap().parse::<f64>().unwrap();
    let west = left(&mut anonymiser, LONGITUDE, "-179.999").unwrap().parse::<f64>().unwrap();
    assert!(east.abs() <= 180.0 && west.abs() <= 180.0);
    let poles = ["90", "-90"].map(|pole| left(&mut anonymiser, LATITUDE, pole));
    assert_eq!(poles.iter().filter(|pole| pole.is_none()).count(), 1);
    assert_eq!(left(&mut anonymiser, LATITUDE, "\"at home\""), None);
}

#[test]
fn a_message_that_cannot_be_made_anonymous_is_refused() {
    let good = three()[0].clone();
    for payload in ["", "[]", "{}", r#"{"vin":"short"}"#, "\u{1}"] {
        let message = Message { payload: payload.into(), ..good.clone() };
        assert_eq!(anonymiser().message(&message), Err(Unreadable), "{payload}");
    }
    for topic in ["", "a/b", GCID, "x/y/z"] {
        let message = Message { topic: topic.into(), ..good.clone() };
        assert_eq!(anonymiser().message(&message), Err(Unreadable), "{topic}");
    }
}

fn vins<const N: usize>(texts: [&str; N]) -> [Vin; N] {
    texts.map(|text| text.parse().unwrap())
}

fn player(
    assignments: &[(Option<&str>, &str)],
    start: Start,
) -> Result<StreamPlayer, AssignmentError> {
    let vin = |text: &str| text.parse().unwrap();
    let assignments: Vec<_> = assignments
        .iter()
        .map(|(recorded, sent)| Assignment { recorded: recorded.map(vin), sent: vin(sent) })
        .collect();
    StreamPlayer::new(Arc::new(Catalogue::shipped()), &vins([ANNAS, BENS]), &assignments, start)
}

fn recorded() -> Start {
    Start::Recorded { otherwise: Timestamp::UNIX_EPOCH }
}

const SENT: [&str; 2] = ["WBA00000000000001", "WBA00000000000002"];

#[test]
fn vehicles_are_played_in_their_order_or_as_named() {
    let anna = three()[0].clone();
    let ben = message(BENS, 1, &entry("vehicle.isMoving", "true"));
    for (assignments, expected) in [
        (&[][..], [Some(ANNAS), Some(BENS)]),
        (&[(None, SENT[0]), (None, SENT[1])], [Some(SENT[0]), Some(SENT[1])]),
        (&[(Some(BENS), SENT[0])], [None, Some(SENT[0])]),
        (&[(Some(BENS), SENT[0]), (None, SENT[1])], [Some(SENT[1]), Some(SENT[0])]),
    ] {
        let mut player = player(assignments, recorded()).unwrap();
        let heard = [&anna, &ben].map(|one| player.message(1, one).unwrap());
        let heard = heard.map(|row| row.map(|row| row.row.event.vin()));
        assert_eq!(heard, expected.map(|vin| vin.map(|vin| vin.parse().unwrap())));
    }
    let few = player(&[(None, SENT[0])], recorded()).unwrap_err();
    assert_eq!(few, AssignmentError::Count { recorded: 2, asked: 1 });
    let [unknown] = vins([SENT[0]]);
    let error = player(&[(Some(SENT[0]), SENT[1])], recorded()).unwrap_err();
    assert_eq!(error, AssignmentError::Unknown(unknown));
}

#[test]
fn a_message_is_played_value_for_value_at_its_own_times() {
    let odometer = "vehicle.vehicle.travelledDistance";
    let one = message(ANNAS, 5, &entry(odometer, "12.50"));
    let row = player(&[], recorded()).unwrap().message(7, &one).unwrap().unwrap();
    assert_eq!((row.row.line, row.due_at), (7, one.received_at));
    assert_eq!(row.row.event.at().to_string(), "2026-11-23T11:59:58.5Z");
    assert_eq!(row.row.event.entries()[0].fragment(), entry(odometer, "12.50"));

    let start = Start::At("2027-01-01T00:00:00Z".parse().unwrap());
    let mut player = player(&[], start).unwrap();
    let row = player.message(1, &one).unwrap().unwrap();
    // It was received at noon and five seconds; its own times are 6.5 s and 7 s before that.
    assert_eq!(row.due_at.to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(row.row.event.at().to_string(), "2026-12-31T23:59:53.5Z");
    assert_eq!(row.row.event.entries()[0].at().to_string(), "2026-12-31T23:59:53Z");
    player.open();
    let again = player.message(1, &one).unwrap().unwrap();
    assert!(again.due_at > row.due_at);
}
