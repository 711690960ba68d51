//! The inputs that are made by hand: a sample of each packet, filter, token and course of a session, sound ones and
//! broken ones. `scripts/fuzz --seeds` writes them to `corpus/`.

use crate::packet::{AFTER_V5, AFTER_V311, CONNECT_V5, CONNECT_V311, OPENING, OUTGOING};

/// An input to begin with.
pub struct Seed {
    /// For which target.
    pub target: &'static str,
    /// The name of its file.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| {
        seeds.push(Seed { target, name: name.replace(' ', "-"), bytes });
    };
    for (name, bytes) in openings() {
        add("packet", &format!("opening {name}"), [&[OPENING, 7, 1][..], &bytes].concat());
    }
    for (name, first, body) in BOTH.iter().chain(V311) {
        let bytes = [&[AFTER_V311, 5, 2][..], &packet(*first, body)].concat();
        add("packet", &format!("v311 {name}"), bytes);
    }
    for (name, first, body) in BOTH.iter().chain(V5) {
        let bytes = [&[AFTER_V5, 5, 2][..], &packet(*first, body)].concat();
        add("packet", &format!("v5 {name}"), bytes);
    }
    for kind in 0..=10_u8 {
        for version in 0..2 {
            let bytes = [&[OUTGOING, version, 1, 1, kind][..], &[1; 40]].concat();
            add("packet", &format!("outgoing {kind} {version}"), bytes);
        }
    }
    for (name, filter) in FILTERS {
        add("topic", name, filter.to_vec());
    }
    for (name, words) in SESSIONS {
        add("session", name, words.split(' ').flat_map(step).collect());
    }
    for number in 1..=TOKENS {
        add("token", &format!("token {number:02}"), vec![number]);
        let end_cut = vec![number, 2, 0xFF, 0xFF, 1, 4, 0, 0, b'A'];
        add("token", &format!("token {number:02} changed"), end_cut);
    }
    add("token", "access token", b"\0bm90IGFuIGlkIHRva2Vu".to_vec());
    add("token", "dots only", b"\0..".to_vec());
    seeds
}

/// The tokens in `fixtures/tokens.json`.
const TOKENS: u8 = 21;

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80);
    [&[first, length.expect("short")][..], body].concat()
}

fn openings() -> Vec<(&'static str, Vec<u8>)> {
    let connect = |body: &[u8]| packet(0x10, body);
    let will = b"\0\x04MQTT\x05\xce\0\x1e\x05\x11\0\0\0\x64\0\x04abcd\x07\x18\0\0\0\x01\x01\x01\0\x01w\0\x01m\0\x04user\0\x04pass";
    let properties = b"\0\x04MQTT\x05\x02\0\x1e\x31\x11\0\0\0\x64\x15\0\x0dcardata-token\x16\0\x03x.y\x17\x01\x19\0\x21\0\x05\x22\0\x07\x26\0\x01k\0\x01v\x27\0\0\x10\0\0\x04abcd";
    vec![
        ("v311", CONNECT_V311.to_vec()),
        ("v5", CONNECT_V5.to_vec()),
        ("v311 user", connect(b"\0\x04MQTT\x04\xc0\0\0\0\x04abcd\0\x04user\0\x04pass")),
        (
            "v311 will",
            connect(b"\0\x04MQTT\x04\xf6\0\x1e\0\x04abcd\0\x01t\0\x01m\0\x04user\0\x04pass"),
        ),
        ("v5 will", connect(will)),
        ("v5 properties", connect(properties)),
        (
            "v5 property twice",
            connect(b"\0\x04MQTT\x05\x02\0\x1e\x06\x21\0\x05\x21\0\x05\0\x04abcd"),
        ),
        ("v5 no client id", connect(b"\0\x04MQTT\x05\0\0\x1e\x05\x11\0\0\0\x64\0\0")),
        ("v5 long lengths", b"\x10\x91\0\0\x04MQTT\x05\x02\0\x1e\0\0\x04abcd".to_vec()),
        ("v311 no client id", connect(b"\0\x04MQTT\x04\0\0\x1e\0\0")),
        ("v311 null", connect(b"\0\x04MQTT\x04\x02\0\x1e\0\x04a\0cd")),
        ("v311 more", connect(b"\0\x04MQTT\x04\x02\0\x1e\0\x04abcdmore")),
        ("v311 then subscribe", [CONNECT_V311, b"\x82\x06\0\x01\0\x01a\x01\xc0\0\xe0\0"].concat()),
        ("v5 then subscribe", [CONNECT_V5, b"\x82\x07\0\x01\0\0\x01a\x01\xc0\0\xe0\0"].concat()),
        ("v311 then connect", [CONNECT_V311, CONNECT_V311].concat()),
        ("v5 then connect", [CONNECT_V5, CONNECT_V5].concat()),
        (
            "v311 then v31",
            [CONNECT_V311, &connect(b"\0\x06MQIsdp\x03\x02\0\x1e\0\x04abcd")].concat(),
        ),
        ("v31", connect(b"\0\x06MQIsdp\x03\x02\0\x1e\0\x04abcd")),
        ("v9", connect(b"\0\x04MQTT\x09\x02\0\x1e\0\x04abcd")),
        ("long", b"\x10\xff\xff\x03\0\x04MQTT\x04\x02\0\x1e".to_vec()),
        ("five length bytes", b"\x10\xff\xff\xff\xff\x01".to_vec()),
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ]
}

const BOTH: &[(&str, u8, &[u8])] = &[
    ("puback", 0x40, b"\0\x01"),
    ("pubrec", 0x50, b"\0\x01"),
    ("pubrel", 0x62, b"\0\x01"),
    ("pubcomp", 0x70, b"\0\x01"),
    ("puback 0", 0x40, b"\0\0"),
    ("pubrel without its flag", 0x60, b"\0\x01"),
    ("pingreq", 0xC0, b""),
    ("pingreq with more", 0xC0, b"\0"),
    ("disconnect", 0xE0, b""),
    ("connack", 0x20, b"\0\0"),
    ("suback", 0x90, b"\0\x01\0"),
    ("type 0", 0x00, b""),
    ("publish of qos 3", 0x36, b"\0\x01t\0\x01x"),
];

const V311: &[(&str, u8, &[u8])] = &[
    ("subscribe", 0x82, b"\0\x01\0\x03a/+\0\0\x01b\x02"),
    ("subscribe to nothing", 0x82, b"\0\x01"),
    ("subscribe with reserved bits", 0x82, b"\0\x01\0\x01a\x81"),
    ("unsubscribe", 0xA2, b"\0\x01\0\x01a\0\x01b"),
    ("publish", 0x30, b"\0\x01tpx"),
    ("publish of qos 1", 0x3B, b"\0\x01t\0\x01x"),
    ("publish to a wildcard", 0x30, b"\0\x01+x"),
    ("type 15", 0xF0, b""),
];

const V5: &[(&str, u8, &[u8])] = &[
    ("subscribe", 0x82, b"\0\x01\0\0\x03a/+\x2d\0\x01b\x02"),
    ("subscribe with properties", 0x82, b"\0\x01\x0a\x0b\x80\x01\x26\0\x01k\0\x01v\0\x01a\x01"),
    ("subscribe with identifier 0", 0x82, b"\0\x01\x02\x0b\0\0\x01a\x01"),
    ("subscribe to nothing", 0x82, b"\0\x01\0"),
    ("subscribe to an empty filter", 0x82, b"\0\x01\0\0\0\x01"),
    ("subscribe shared without local", 0x82, b"\0\x01\0\0\x0a$share/a/b\x04"),
    ("retain handling 3", 0x82, b"\0\x01\0\0\x01a\x30"),
    ("unsubscribe", 0xA2, b"\0\x01\0\0\x01a\0\x01b"),
    ("publish", 0x30, b"\0\x01t\0px"),
    (
        "publish with properties",
        0x32,
        b"\0\x01t\0\x01\x14\x01\x01\x02\0\0\0\x05\x03\0\x01j\x08\0\x01r\x09\0\x02cdpx",
    ),
    ("publish with an alias", 0x30, b"\0\0\x03\x23\0\x01"),
    ("publish with an identifier", 0x30, b"\0\x01t\x02\x0b\x01"),
    ("puback with reason", 0x40, b"\0\x01\x10"),
    ("puback with properties", 0x40, b"\0\x01\x80\x05\x1f\0\x02no"),
    ("pubrec with a wrong reason", 0x50, b"\0\x01\x92"),
    ("pubcomp with reason", 0x70, b"\0\x01\x92\0"),
    ("disconnect with expiry", 0xE0, b"\0\x05\x11\0\0\0\x64"),
    ("disconnect as a server", 0xE0, b"\x8b"),
    ("disconnect with a long length", 0xE0, b"\0\x81\0\0"),
    ("auth", 0xF0, b"\x19\x15\x15\0\x0dcardata-token\x16\0\x02xy"),
    ("auth without method", 0xF0, b"\x19\x05\x16\0\x02xy"),
    ("auth without anything", 0xF0, b""),
];

/// In which 1 is the own GCID, 2 another's, 3 to 5 vehicles.
const FILTERS: &[(&str, &[u8])] = &[
    ("all", b"\x01/+"),
    ("everything", b"\x01/#"),
    ("all and below", b"\x01/+/#"),
    ("one", b"\x01/\x03"),
    ("one and below", b"\x01/\x03/#"),
    ("below one", b"\x01/\x03/+"),
    ("below all", b"\x01/+/+"),
    ("foreign", b"\x02/+"),
    ("foreign vehicle", b"\x02/\x04"),
    ("any customer", b"+/\x03"),
    ("any", b"#"),
    ("any one", b"+/+"),
    ("shared", b"$share/group/\x01/+"),
    ("system", b"$SYS/#"),
    ("own level only", b"\x01"),
    ("empty", b""),
    ("empty level", b"\x01//\x03"),
    ("slash at the end", b"\x01/\x03/"),
    ("null", b"\x01/\0"),
    ("wildcard in a level", b"\x01/WBY+"),
    ("hash in the middle", b"\x01/#/\x03"),
    ("no utf-8", b"\x01/\xff"),
    ("lower case", b"\x01/wby00000000000001"),
    ("another vehicle", b"\x01/WBA00000000000009"),
];

/// Courses of sessions in the words of [`step`]; a number is a byte of a step that has no word.
const SESSIONS: &[(&str, &str)] = &[
    ("live", "open v311 all-1 append take ack ack ack foreign take"),
    ("live v5", "open v5 all-1 one-1 append take ack ack ack"),
    ("qos 0", "open v5 all-0 append take"),
    ("bmw", "bmw v5 all-1 append take"),
    ("window full", "open v5-small all-1 many take acks read acks read"),
    ("missed", "open v311 all-1 append lose miss read take acks"),
    ("resumed", "open v311 all-1 many take cut append v311 read acks read"),
    ("resumed v5", "open v5 all-1 many take ack cut v5-small read acks"),
    ("resumed after a crash", "open v311 all-1 many take cut 23 2 2 v311 read"),
    ("resumed with less", "open v311 all-1 many take cut 16 1 v311 read acks"),
    ("resumed past retention", "open v311 all-1 cut many 22 2 v311 read"),
    ("resumed without a vehicle", "open v311 all-1 cut 23 0 3 many v311 read"),
    ("resumed foreign", "open v311 cut 23 3 12 1 v311 append take"),
    ("clean after kept", "open v311 all-1 cut v311-clean append take"),
    ("congested", "open v311 all-0 17 1 many take 17 0"),
    ("congested upgrade", "open v311 all-0 17 1 append take all-1 17 0"),
    ("entitlement", "open v311 all-1 append 16 2 take 16 0 append take"),
    ("unsubscribed", "open v5 all-1 append take unsubscribe ack append take"),
    ("expired", "open v5-small all-1 append 18 7 take"),
    ("silent", "open v5 all-1 18 5"),
    ("token again", "open v5-small 18 6 15 2 0 1 18 6 18 6"),
    ("bad token again", "open v5-small 15 2 0 0"),
    ("other method", "open v5-small 15 2 1 1"),
    ("published", "open v5 15 3 1 1 0 15 3 2 2 0 15 3 0"),
    ("second connect", "open v311 15 5 0 1 0 0"),
    ("no connect", "open no-connect 15 0"),
    ("fleet", "fleet v5 all-1 append take acks foreign take"),
    ("fleet resumed", "fleet v5 all-2 many take ack cut append v5-small read acks"),
    ("fleet loses", "fleet v5 all-1 many take one-stays append take acks"),
    (
        "fleet loses and gains",
        "fleet v5-small all-2 many take one-stays append all-stay append take acks read",
    ),
    (
        "fleet gains and resumes",
        "fleet v5 all-1 many take one-stays all-stay append take cut v5 read acks",
    ),
    (
        "fleet loses while away",
        "fleet v311 all-1 many take cut one-stays append all-stay append v311 read acks",
    ),
    ("fleet congested", "fleet v5 all-0 17 1 many take one-stays 17 0 all-stay append take"),
    ("refused", "open refused"),
    ("pending", "open pending 15 0 18 3"),
    ("store fails", "open store-fails all-1 append take"),
    ("good bye", "open v5 all-1 15 1 1 0 0 0 0"),
    ("stopping", "open v5 all-1 append take 19 19"),
    ("unreadable", "open v5 all-1 24 0"),
    ("unreadable first", "open no-connect 24 2"),
    ("qos 2", "open v5 all-2 read read read append take acks ack ack"),
    ("qos 2 resumed", "open v5 all-2 many take ack cut v5 read acks acks acks read"),
    ("qos 2 refused", "open v5 all-2 append take 15 7 1 1 15 8 2 0 15 9 2 15 7 9 0"),
    ("qos 2 after a crash", "open v5 all-2 many take cut 23 1 v5 all-2"),
    ("qos 2 hidden", "open v5 all-2 many take cut 16 0 v5 read cut v5"),
    ("snapshot", "open v5 append all-1 read read read 12 1 0 0 0 1 1 0"),
    ("no snapshot", "quiet v5 append all-1 append take ack read ack"),
    ("gap", "open v5 all-1 read read read cut many 22 1 v5 read read read"),
    ("unsubscribed and resumed", "open v5 all-1 many take unsubscribe cut v5 read ack ack all-1"),
    ("released for nothing", "open v5 15 4 9 0 15 9 3"),
    ("foreign filters", "open v5 12 1 0 0 3 1 0 10 1 0 12 1 0 13 1 0 11"),
    ("many filters", "open v5 12 1 0 1 3 1 0 0 1 1 3 1 2 4 0 1 0 4 1 12 1 0 1 1 2 0 8 2 0 0 4 2"),
];

/// The bytes of a word, as `session.rs` reads them.
fn step(word: &str) -> Vec<u8> {
    let bytes: &[u8] = match word {
        // First of all: packing, window - 1, bytes, subscriptions - 1, idle cut, QoS, snapshots, keeps sessions.
        "open" => &[0, 3, 0, 4, 0, 0, 1, 1],
        "quiet" => &[0, 3, 1, 4, 0, 0, 0, 1],
        "bmw" => &[1, 3, 0, 4, 1, 1, 0, 1],
        // A client that reads for many customers.
        "fleet" => &[2, 3, 0, 4, 0, 0, 0, 1],
        "v311" => &[20, 0, 1, 0, 0, 2, 1, 1],
        "v311-clean" => &[20, 0, 0, 0, 0, 2, 1, 1],
        "v5" => &[20, 1, 1, 0, 0, 0, 3, 0, 0, 1, 0, 2, 1, 1],
        // Window 2, packets of 70 bytes, one alias, authentication by method.
        "v5-small" => &[20, 1, 1, 0, 0, 0, 1, 4, 1, 1, 1, 0, 1, 2, 1, 1],
        "refused" => &[20, 0, 1, 0, 0, 0, 1, 1],
        "pending" => &[20, 0, 1, 0, 0, 1, 1, 1],
        "store-fails" => &[20, 0, 1, 0, 0, 2, 0, 1],
        "no-connect" => &[20, 0, 1, 0, 0, 2, 1, 0],
        // QoS 2, 1 or 0 for all vehicles; QoS 1 for one, without its newest values.
        "all-2" => &[12, 1, 0, 1, 0, 2, 0, 0],
        "all-1" => &[12, 1, 0, 1, 0, 1, 0, 0],
        "all-0" => &[12, 1, 0, 0, 0, 0, 0, 0],
        "one-1" => &[12, 1, 0, 2, 0, 1, 2, 4, 1],
        "unsubscribe" => &[14, 1, 0, 0, 0],
        // Of a fleet: the first vehicle alone, or all three.
        "one-stays" => &[23, 0, 1],
        "all-stay" => &[23, 0, 7],
        // Events of three vehicles, and of one that is another customer's.
        "append" => &[0, 0, 6, 0, 1, 0, 0, 2, 3],
        "many" => return step("append").repeat(6),
        "foreign" => &[0, 3, 6],
        "take" => &[4, 63],
        "ack" => &[10, 0],
        "acks" => return step("ack").repeat(4),
        "read" => &[8, 1],
        "miss" => &[6],
        "lose" => &[7],
        "cut" => &[19, 1],
        number => return vec![number.parse().expect("a word or a number")],
    };
    bytes.to_vec()
}
