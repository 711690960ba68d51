//! Sessions under any sequence of packets, events, reads, container changes, congestion, time, closes and resumes.
//!
//! The input is a list of steps, of a few bytes each. This carries out what the session wants as the server's connection
//! does, plays a client that keeps to no rule, and checks each thing that the session does.

mod promises;
mod world;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use cardata_domain::projection::Packing;
use cardata_domain::session::{StoredSession, StoredSubscription};
use cardata_domain::{Entry, Recorded, Sequence, Vin};
use cardata_mqtt::decode::PacketError;
use cardata_mqtt::packet::{Auth, Connect, RetainHandling, Wanted};
use cardata_mqtt::session::Limits;
use cardata_mqtt::{
    Action, Admission, CloseReason, ConnectRefusal, Packet, Qos, Reader, Session, Version,
};

use self::promises::Promises;
use self::world::{FuzzSource, Shared, World, gcid, other_gcid, vin};
use crate::packet::REASONS;

/// Events of one input at the most; more would only be slow.
const EVENTS_MAX: usize = 300;
/// What the server's connection takes at once.
const EVENTS_AT_ONCE: usize = 64;

/// What can be wrong with bytes.
const UNREADABLE: [PacketError; 7] = [
    PacketError::Malformed("why"),
    PacketError::ProtocolError("why"),
    PacketError::TooLarge,
    PacketError::UnsupportedVersion,
    PacketError::EmptyClientId,
    PacketError::TopicFilterInvalid,
    PacketError::TopicAliasInvalid,
];

static START: LazyLock<Instant> = LazyLock::new(start);

#[expect(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

/// Takes the steps in `input`.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    let mut input = Unstructured::new(input);
    // An input that ends early ends the steps.
    let Ok(mut run) = Run::new(&mut input) else { return };
    while !input.is_empty() && run.step(&mut input).is_ok() {}
    run.settle();
}

/// A customer's client and its connections, one after the other.
struct Run {
    now: Instant,
    limits: Limits,
    qos_max: Qos,
    snapshots: bool,
    keeps_sessions: bool,
    /// The customer's, as a mask; a change counts from the next connection on, with a fleet at once.
    vehicles: u8,
    reader: Reader,
    world: Shared,
    kept: Option<StoredSession>,
    open: Option<Open>,
}

struct Open {
    session: Session,
    promises: Promises,
    verdict: Verdict,
    store_fails: bool,
    read: Option<Read>,
}

/// How a CONNECT is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Admit,
    Refuse,
    /// Not yet.
    Pend,
}

/// What was asked of the journal, and what it had then.
enum Read {
    Events { vin: Vin, after: Sequence, limit: usize, at_first: Vec<Arc<Recorded>> },
    Latest { vin: Vin, at_first: Vec<Entry> },
}

impl Run {
    fn new(input: &mut Unstructured<'_>) -> Result<Self> {
        let of_customer = Reader::Customer(gcid());
        let (packing, reader) = *input.choose(&[
            (Packing::Event, of_customer),
            (Packing::Entry, of_customer),
            (Packing::Event, Reader::Fleet),
            (Packing::Entry, Reader::Fleet),
        ])?;
        Ok(Self {
            now: *START,
            limits: Limits {
                inflight_max: input.int_in_range(1..=8)?,
                inflight_bytes_max: *input.choose(&[1 << 20, 0, 5])?,
                subscriptions_max: input.int_in_range(1..=5)?,
                idle_max: *input.choose(&[None, Some(Duration::from_mins(1))])?,
                ..Limits::default()
            },
            qos_max: *input.choose(&[Qos::ExactlyOnce, Qos::AtMostOnce])?,
            snapshots: !input.ratio(1, 4)?,
            keeps_sessions: !input.ratio(1, 8)?,
            vehicles: 0b111,
            reader,
            world: Shared::new(World::new(packing, reader)),
            kept: None,
            open: None,
        })
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=24_u8)? {
            0..=3 => {
                let (index, signals) = (input.int_in_range(0..=3)?, input.int_in_range(1..=7)?);
                let mut world = self.world.lock();
                if world.events() < EVENTS_MAX {
                    world.append(vin(index), signals);
                }
            }
            4 | 5 => self.take_events(input.int_in_range(1..=EVENTS_AT_ONCE)?),
            6 => self.miss(),
            7 => {
                self.world.lock().arrivals.pop_front();
            }
            8 | 9 => self.finish_read(input.arbitrary()?),
            10 | 11 => {
                let index = input.int_in_range(0..=8)?;
                let answer = self.open.as_ref().and_then(|open| open.promises.answer(index));
                self.packet(answer.unwrap_or(Packet::PubAck(NonZeroU16::MIN)));
            }
            12 | 13 => {
                let subscribe = subscribe(self.reader, input)?;
                self.packet(subscribe);
            }
            14 => {
                let (packet_id, count) = (input.arbitrary()?, input.int_in_range(1..=3)?);
                let filters =
                    (0..count).map(|_| filter(self.reader, input)).collect::<Result<_>>()?;
                self.packet(Packet::Unsubscribe { packet_id, filters });
            }
            15 => {
                let packet = other_packet(input)?;
                self.packet(packet);
            }
            24 => self.unreadable(*input.choose(&UNREADABLE)?),
            16 => self.world.lock().entitled = input.int_in_range(0..=7)?,
            17 => self.congest(input.arbitrary()?),
            18 => {
                let seconds = *input.choose(&[0, 1, 9, 11, 44, 46, 1000, 4000, 100_000])?;
                self.pass(Duration::from_secs(seconds));
            }
            19 => self.close(*input.choose(&REASONS)?),
            20 | 21 => self.connect(input)?,
            22 => self.world.lock().retain(input.int_in_range(0..=20)?),
            _ => self.change_what_was_kept(input)?,
        }
        Ok(())
    }

    /// What a crash, a change of mappings, or another version of this program leaves.
    fn change_what_was_kept(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let choice = input.int_in_range(0..=3_u8)?;
        if choice == 0 {
            self.vehicles = input.int_in_range(0..=7)?;
            if self.reader == Reader::Fleet {
                self.change_fleet();
            }
        }
        let Some(kept) = &mut self.kept else { return Ok(()) };
        match choice {
            0 => {}
            1 => kept.left = None,
            2 => {
                kept.left = None;
                let lost: u64 = input.int_in_range(0..=3)?;
                let world = self.world.lock();
                for (vin, cursor) in &mut kept.cursors {
                    // What is written when a vehicle comes to a fleet is not lost.
                    let written = world.seen_after.get(vin).copied().unwrap_or_default();
                    *cursor = Sequence(cursor.0.saturating_sub(lost)).max(written);
                }
            }
            _ => {
                let (filter, qos) = (filter(self.reader, input)?, input.int_in_range(0..=4)?);
                kept.subscriptions.retain(|known| known.filter != filter);
                kept.subscriptions.push(StoredSubscription { filter, qos, identifier: None });
            }
        }
        Ok(())
    }

    /// Customers come and go; with one who goes, also what waits for the client.
    fn change_fleet(&mut self) {
        let lost = self.world.lock().change_own(self.vehicles);
        if let Some(kept) = &mut self.kept {
            kept.cursors.retain(|(vin, _)| !lost.contains(vin));
            if let Some(left) = &mut kept.left {
                left.give_up(&lost);
            }
        }
        let Some(open) = &mut self.open else { return };
        open.promises.lost(&lost);
        let vehicles = self.world.lock().vehicles();
        open.session.change_vehicles(vehicles);
        self.act();
    }

    /// Opens a connection; an earlier one is taken over.
    fn connect(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let connect = connect(input)?;
        let verdict = match input.int_in_range(0..=9_u8)? {
            0 => Verdict::Refuse,
            1 => Verdict::Pend,
            _ => Verdict::Admit,
        };
        let store_fails = input.ratio(1, 16)?;
        self.close(CloseReason::TakenOver);
        self.open = Some(Open {
            session: Session::new(self.limits, self.now),
            promises: Promises::new(
                &connect,
                self.limits,
                self.qos_max,
                self.snapshots,
                self.world.clone(),
            ),
            verdict,
            store_fails,
            read: None,
        });
        // Some peers begin with another packet.
        if !input.ratio(1, 16)? {
            self.packet(Packet::Connect(Box::new(connect)));
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet) {
        let now = self.now;
        let Some(open) = &mut self.open else { return };
        if open.promises.is_pending() {
            // The server reads no packet while it asks who this is.
            return;
        }
        open.promises.packet(&packet);
        if let Err(error) = open.session.handle(packet, now) {
            open.session.close(error.into());
        }
        self.act();
    }

    /// The client sends what is no packet.
    fn unreadable(&mut self, error: PacketError) {
        let Some(open) = self.open.as_mut().filter(|open| !open.promises.is_pending()) else {
            return;
        };
        open.session.handle_error(error);
        self.act();
        assert!(self.open.is_none(), "still open after {error:?}");
    }

    fn take_events(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.world.lock().arrivals.pop_front() else { break };
            if let Some(open) = &mut self.open {
                open.session.handle_event(&event);
            }
        }
        self.act();
    }

    fn miss(&mut self) {
        let Some(open) = &mut self.open else { return };
        let world = self.world.clone();
        open.session.handle_missed(|vin| world.lock().head(vin));
        self.act();
    }

    fn finish_read(&mut self, late: bool) {
        let Some(open) = &mut self.open else { return };
        match open.read.take() {
            Some(Read::Events { vin, after, limit, at_first }) => {
                let now = || self.world.lock().read(vin, after, limit);
                open.session.handle_read(vin, &if late { now() } else { at_first });
            }
            Some(Read::Latest { vin, at_first }) => {
                let now = || self.world.lock().latest(vin);
                let latest = if late { now() } else { at_first };
                open.session.handle_latest(vin, &latest);
            }
            None => {}
        }
        self.act();
    }

    fn congest(&mut self, congested: bool) {
        let Some(open) = &mut self.open else { return };
        open.promises.congest(congested);
        open.session.handle_congestion(congested);
        self.act();
        if let Some(open) = &mut self.open {
            open.promises.drained();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        let Some(open) = &mut self.open else { return };
        open.session.handle_timeout(now);
        if let Some(due) = open.session.poll_timeout() {
            assert!(due > now, "a timeout that is handled stays due");
        }
        self.act();
    }

    fn close(&mut self, reason: CloseReason) {
        let Some(open) = &mut self.open else { return };
        open.session.close(reason);
        open.promises.closing = Some(reason);
        self.act();
        assert!(self.open.is_none(), "still open after {reason:?}");
    }

    /// Carries out what the session wants.
    fn act(&mut self) {
        let events = self.world.lock().events();
        // An event has at most three messages and moves one cursor; besides there are answers and snapshots.
        let actions_max = 4 * (events + 1) + 40;
        for _ in 0..=actions_max {
            let Some(open) = &mut self.open else { return };
            let Some(action) = open.session.poll_action() else { return };
            match action {
                Action::Authenticate(connect) => self.authenticate(&connect),
                Action::Reauthenticate(auth) => {
                    if auth.data.is_empty() {
                        open.session.close(CloseReason::Reauthentication);
                    } else {
                        let vehicles = self.world.lock().vehicles();
                        open.session.change_vehicles(vehicles);
                        open.session.reauthenticated(self.now + Duration::from_hours(1));
                    }
                }
                Action::Send(packet) => {
                    if !open.promises.sent(&packet) {
                        open.session.close(CloseReason::AnswerTooLarge);
                    }
                }
                Action::Store(stored) => {
                    open.promises.stored(&stored);
                    if open.store_fails {
                        open.session.close(CloseReason::StoreFailed);
                    }
                }
                Action::MoveCursor { vin, cursor } => open.promises.moved(vin, cursor),
                Action::Read { vin, after, limit } => {
                    assert!(open.read.is_none(), "two reads at once");
                    assert!((1..=256).contains(&limit), "a read of {limit} events");
                    let at_first = self.world.lock().read(vin, after, limit);
                    open.read = Some(Read::Events { vin, after, limit, at_first });
                }
                Action::ReadLatest { vin } => {
                    assert!(open.read.is_none(), "two reads at once");
                    let at_first = self.world.lock().latest(vin);
                    open.read = Some(Read::Latest { vin, at_first });
                }
                Action::Join { .. } | Action::LeaveGroup => {
                    panic!("nothing is shared here")
                }
                Action::Close(_) => self.finish(),
            }
        }
        panic!("more than {actions_max} actions at once");
    }

    fn authenticate(&mut self, connect: &Connect) {
        let Some(open) = &mut self.open else { return };
        open.promises.asked();
        match open.verdict {
            Verdict::Pend => {}
            Verdict::Refuse => {
                open.session.refuse(ConnectRefusal::NotAuthorized, "no".to_owned());
            }
            Verdict::Admit => {
                let mut world = self.world.lock();
                world.change_own(self.vehicles);
                if self.reader != Reader::Fleet {
                    // What a customer's other sessions miss meanwhile is the directory's to say.
                    world.seen_after.clear();
                }
                let vehicles = world.vehicles();
                drop(world);
                let kept = self.kept.take();
                open.promises.admitted(kept.as_ref().filter(|_| !connect.clean_start));
                open.session.admit(Admission {
                    reader: self.reader,
                    assigned_client_id: connect.client_id.is_empty().then(|| "assigned".to_owned()),
                    vehicles,
                    expires_at: self.now + Duration::from_hours(1),
                    qos_max: self.qos_max,
                    snapshots: self.snapshots,
                    keeps_sessions: self.keeps_sessions,
                    kept,
                    source: Box::new(FuzzSource(self.world.clone())),
                });
            }
        }
    }

    /// The connection is over: keeps what its successor needs.
    fn finish(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let after = open.session.poll_action();
        assert!(after.is_none(), "after the end of the connection: {after:?}");
        assert_eq!(open.session.poll_timeout(), None, "a closed session waits for time");
        let was_admitted = open.promises.was_admitted();
        let kept = open.session.into_kept();
        if let Some(kept) = &kept {
            open.promises.kept(kept);
        }
        if was_admitted {
            self.kept = kept;
        }
    }

    /// Lets everything happen that is under way; an open session must come to rest, and have caught up.
    fn settle(&mut self) {
        self.congest(false);
        let mut rounds = 0;
        while let Some(open) = &self.open {
            rounds += 1;
            assert!(rounds < 10_000, "this never comes to rest");
            if let Some(answer) = open.promises.answer(0) {
                self.packet(answer);
            } else if open.read.is_some() {
                self.finish_read(true);
            } else if !self.world.lock().arrivals.is_empty() {
                self.take_events(EVENTS_AT_ONCE);
            } else {
                self.miss();
                let rests = |open: &Open| open.read.is_none() && open.promises.answer(0).is_none();
                if self.open.as_ref().is_none_or(rests) {
                    break;
                }
            }
        }
        let lasting = self.open.as_ref().map(|open| open.promises.lasting()).unwrap_or_default();
        self.close(CloseReason::ServerStopping);
        let Some(kept) = &self.kept else { return };
        for vin in lasting {
            let cursor = kept.cursors.iter().find(|(of, _)| *of == vin).map(|(_, cursor)| *cursor);
            let head = self.world.lock().head(vin);
            assert_eq!(cursor, Some(head), "how far {} got", vin.as_str());
        }
    }
}

fn connect(input: &mut Unstructured<'_>) -> Result<Connect> {
    let version = *input.choose(&[Version::V311, Version::V5])?;
    let clean_start = input.ratio(1, 4)?;
    let keep_alive_seconds = *input.choose(&[30, 0, 1, u16::MAX])?;
    let mut connect = Connect {
        version,
        client_id: (*input.choose(&["client", ""])?).to_owned(),
        clean_start,
        keep_alive_seconds,
        session_expiry_seconds: if clean_start { 0 } else { u32::MAX },
        receive_max: NonZeroU16::MAX,
        packet_size_max: u32::MAX,
        topic_alias_max: 0,
        retained_will: false,
        problem_information: false,
        user_name: None,
        password: None,
        auth: None,
    };
    if version == Version::V5 {
        connect.session_expiry_seconds = *input.choose(&[u32::MAX, 0, 100])?;
        connect.receive_max =
            *input.choose(&[1, 2, 3, u16::MAX].map(|max| NonZeroU16::new(max).expect("not 0")))?;
        connect.packet_size_max = *input.choose(&[u32::MAX, 1, 20, 66, 70])?;
        connect.topic_alias_max = *input.choose(&[0, 1, 2, u16::MAX])?;
        connect.problem_information = input.arbitrary()?;
        connect.retained_will = input.ratio(1, 8)?;
        connect.auth = if input.arbitrary()? { Some(auth(input)?) } else { None };
    }
    Ok(connect)
}

fn auth(input: &mut Unstructured<'_>) -> Result<Auth> {
    let method = (*input.choose(&["cardata-token", "other"])?).to_owned();
    let data = Bytes::from_static(if input.arbitrary()? { b"token" } else { b"" });
    Ok(Auth { method, data })
}

fn subscribe(reader: Reader, input: &mut Unstructured<'_>) -> Result<Packet> {
    let packet_id = input.arbitrary()?;
    let identifier = NonZeroU32::new(input.int_in_range(0..=3)?);
    let count = input.int_in_range(1..=4)?;
    let one = |input: &mut Unstructured<'_>| {
        let qos = Qos::from_level(input.int_in_range(0..=2)?).expect("0 to 2");
        let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
        let retain_handling = *input.choose(&handling)?;
        Ok(Wanted { filter: filter(reader, input)?, qos, retain_handling })
    };
    let filters = (0..count).map(|_| one(input)).collect::<Result<_>>()?;
    Ok(Packet::Subscribe { packet_id, filters, identifier })
}

/// Mostly one that may be granted. What a fleet shares is left to others' tests.
fn filter(reader: Reader, input: &mut Unstructured<'_>) -> Result<String> {
    let customer = gcid();
    let chosen = match input.int_in_range(0..=15_u8)? {
        0 | 1 if reader == Reader::Fleet => "+/+".to_owned(),
        0..=2 => format!("{customer}/+"),
        3 => format!("{customer}/#"),
        4..=7 => format!("{customer}/{}", vin(input.int_in_range(0..=3)?).as_str()),
        8 | 9 => format!("{customer}/{}/#", vin(input.int_in_range(0..=3)?).as_str()),
        10 => "#".to_owned(),
        11 => format!("$share/group/{customer}/+"),
        12 => format!("{}/+", other_gcid()),
        13 => format!("{customer}/+/+"),
        _ => input.arbitrary()?,
    };
    let is_shared = reader == Reader::Fleet && chosen.starts_with("$share/");
    Ok(if is_shared { "+/#".to_owned() } else { chosen })
}

/// Everything else that a client can send, wanted or not.
fn other_packet(input: &mut Unstructured<'_>) -> Result<Packet> {
    Ok(match input.int_in_range(0..=9_u8)? {
        0 => Packet::PingReq,
        1 => Packet::Disconnect { session_expiry_seconds: input.arbitrary()? },
        2 => Packet::Auth(auth(input)?),
        3 => {
            let qos = Qos::from_level(input.int_in_range(0..=2)?).expect("0 to 2");
            let packet_id = if qos == Qos::AtMostOnce { None } else { Some(input.arbitrary()?) };
            Packet::Publish { packet_id, qos }
        }
        4 => Packet::PubRel(input.arbitrary()?),
        5 => Packet::Connect(Box::new(connect(input)?)),
        6 => Packet::PubAck(packet_id(input)?),
        7 | 8 => Packet::PubRec { packet_id: packet_id(input)?, refused: input.arbitrary()? },
        _ => Packet::PubComp(packet_id(input)?),
    })
}

/// Mostly one that may be in use.
fn packet_id(input: &mut Unstructured<'_>) -> Result<NonZeroU16> {
    let small = input.int_in_range(0..=32)?;
    NonZeroU16::new(small).map_or_else(|| input.arbitrary(), Ok)
}
