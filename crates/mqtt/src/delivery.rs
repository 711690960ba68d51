//! Which event goes out when, and how far a client got (§4.3, §4.4 and §4.6 of both versions).
//!
//! Each vehicle that a session reads has a track: a *position* (the last event that was sent or had nothing to show) and
//! a *head* (the last one known to exist). While the two are equal the track is live and takes events as they come.
//! When it can't — the window is full, or an event went by unseen — it falls behind, and reads the journal until it has
//! caught up. So a slow client costs no queue and holds up nobody.
//!
//! A *snapshot* is one message with the newest value of each signal. It comes with a subscription, and where retention
//! was over before an event could be delivered. While it is looked up, its track takes no events: a value of the
//! snapshot must not come after a newer one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU16;
use std::ops::Bound;
use std::sync::Arc;

use cardata_domain::event::Payloads;
use cardata_domain::session::{LeftBehind, Unfinished};
use cardata_domain::{DescriptorId, Entry, Event, Gcid, Recorded, Sequence, Vin};
use jiff::Timestamp;

use crate::inflight::{Received, Window, WindowLimits};
use crate::packet::{Gap, Outgoing, Publish, Qos};
use crate::session::Action;

/// Where a session's events come from and what its client may see of them: the session's only view of the world.
pub trait Source: Send {
    /// Begins to hand over the live events of `vin`, and gives the number of the last one before them.
    fn attach(&mut self, vin: Vin) -> Sequence;
    /// Ends that.
    fn detach(&mut self, vin: Vin);
    /// What the client may see at this very moment of a recorded event of a vehicle that is `customer`'s, ready to be
    /// sent; may be empty.
    fn payloads(&self, customer: Gcid, recorded: &Recorded) -> Payloads;
    /// The same for an event that was put together from several.
    fn payloads_of_merged(&self, customer: Gcid, event: &Event) -> Payloads;
    /// Counts a message that was left out because it is larger than what the client takes.
    fn note_oversized(&mut self);
    /// Counts an event that was merged into others because the client reads too slowly.
    fn note_merged(&mut self);
    /// Counts a time of which the client may have missed events, since retention was over.
    fn note_gap(&mut self);
}

/// The deliveries of one connection.
pub struct Deliveries {
    source: Box<dyn Source>,
    /// Boxed, since a node of the map has room for eleven, and most sessions read one or two vehicles.
    tracks: BTreeMap<Vin, Box<Track>>,
    /// The vehicles whose tracks may want something of the journal, or have something merged. A fleet has thousands of
    /// tracks, and those that are live need no look.
    busy: BTreeSet<Vin>,
    /// Those that may wait for their newest values.
    awaiting_snapshot: BTreeSet<Vin>,
    /// Whether a vehicle was ever read with QoS 0, which reads on when the window is full.
    reads_fresh: bool,
    /// Whether cursors are told of QoS 0 as well: others go on where this session stops.
    shares: bool,
    window: Window,
    reading: Option<Reading>,
    /// The vehicle whose events were read last, so that the others get their turn.
    read_last: Option<Vin>,
    /// The way out is full: no message is handed over until it has drained.
    congested: bool,
    /// Deliveries of an earlier connection that are still to be sent again, of all tracks. New ones wait for them, so
    /// that no more than a window is ever unfinished, however often a client reconnects.
    begun: usize,
    /// Bytes of QoS 0 that were handed over since the driver carried out all that was wanted.
    handed_bytes: usize,
}

/// What was asked of the journal and is not there yet; `head` is the newest event that the answer will surely reach.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Events { vin: Vin, head: Sequence, limit: usize },
    Latest { vin: Vin, head: Sequence },
}

struct Track {
    customer: Gcid,
    /// `None` when nothing is read but what an earlier connection has begun to deliver [MQTT-3.10.4-3].
    qos: Option<Qos>,
    position: Sequence,
    /// When the vehicle sent the event at the position, or a later time up to which the client missed nothing.
    complete_until: Option<Timestamp>,
    head: Sequence,
    /// What was last told as acknowledged.
    cursor: Sequence,
    /// The newest value of each descriptor since the way out was full; QoS 0 only.
    merged: Option<Merged>,
    /// Deliveries of an earlier connection of this session, in order and all after the position; to be sent again or, if
    /// they are done, skipped.
    earlier: VecDeque<Unfinished>,
    /// What is not begun is due only after this.
    due_after: Sequence,
    snapshot: Option<Snapshot>,
    /// To be told with the next message.
    gap: Option<UntoldGap>,
}

struct Merged {
    at: Timestamp,
    entries: BTreeMap<DescriptorId, Entry>,
}

/// Why the newest values are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshot {
    /// A subscription brings them, as a retained message.
    Subscribed,
    /// Events were lost.
    Gap,
}

#[derive(Debug, Clone, Copy)]
struct UntoldGap {
    from: Option<Timestamp>,
    /// When the first event after it was sent, if there is one.
    to: Option<Timestamp>,
}

impl Deliveries {
    /// None yet.
    pub(crate) fn new(source: Box<dyn Source>, limits: WindowLimits) -> Self {
        Self {
            source,
            tracks: BTreeMap::new(),
            busy: BTreeSet::new(),
            awaiting_snapshot: BTreeSet::new(),
            reads_fresh: false,
            shares: false,
            window: Window::new(limits),
            reading: None,
            read_last: None,
            congested: false,
            begun: 0,
            handed_bytes: 0,
        }
    }

    /// Goes on where an earlier connection stopped: first with what the client has received and needs a PUBREL of
    /// [MQTT-4.4.0-1]. Deliveries follow with [`Deliveries::attach`] or [`Deliveries::complete`].
    pub(crate) fn resume(&mut self, left: &LeftBehind, actions: &mut VecDeque<Action>) {
        for packet_id in self.window.resume(left) {
            let release = Outgoing::PubRel { packet_id: *packet_id, known: true };
            actions.push_back(Action::Send(release));
        }
    }

    /// Notes whether others go on where this session stops, so that they have to know how far it got.
    pub(crate) fn share(&mut self, shares: bool) {
        self.shares = shares;
    }

    /// Begins to read `vin`, which is `customer`'s, with `qos`, from `cursor` if there is one and else from now on, and sends again what `left`
    /// has of it. A track that is there already changes its `qos` only. Reading begins with [`Deliveries::read_on`].
    pub(crate) fn attach(
        &mut self,
        (vin, customer): (Vin, Gcid),
        qos: Qos,
        cursor: Option<Sequence>,
        left: &LeftBehind,
    ) {
        self.reads_fresh |= qos == Qos::AtMostOnce;
        self.busy.insert(vin);
        if let Some(track) = self.tracks.get_mut(&vin) {
            if track.qos.is_none() {
                track.head = self.source.attach(vin);
                track.due_after = track.head;
            }
            track.change_qos(qos);
        } else {
            let head = self.source.attach(vin);
            let cursor = cursor.filter(|_| qos > Qos::AtMostOnce);
            self.begin((vin, customer), Some(qos), head, cursor, left);
        }
    }

    /// Sends again, like [`Deliveries::attach`], what `left` has of `vin`, which no subscription names any more [MQTT-3.10.4-3].
    pub(crate) fn complete(&mut self, (vin, customer): (Vin, Gcid), left: &LeftBehind) {
        let of_vin = left.unfinished.iter().filter(|delivery| delivery.vin == vin);
        let Some(last) = of_vin.map(|delivery| delivery.sequence).max() else { return };
        self.begin((vin, customer), None, last, None, left);
    }

    /// Gives up what `left` has of `vin`, of which the client may see nothing any more.
    pub(crate) fn give_up(&mut self, vin: Vin, left: &LeftBehind) {
        let of_vin = left.unfinished.iter().filter(|delivery| delivery.vin == vin);
        of_vin.for_each(|delivery| self.window.give_up(delivery));
    }

    fn begin(
        &mut self,
        (vin, customer): (Vin, Gcid),
        qos: Option<Qos>,
        head: Sequence,
        cursor: Option<Sequence>,
        left: &LeftBehind,
    ) {
        let earlier: VecDeque<_> =
            left.unfinished.iter().filter(|delivery| delivery.vin == vin).copied().collect();
        self.begun += earlier.len();
        // A cursor beyond the head is of a journal that was cut back; what is appended next must not be skipped.
        let due_after = cursor.unwrap_or(head).min(head);
        let first = earlier.front().map(|first| Sequence(first.sequence.0.saturating_sub(1)));
        let position = first.unwrap_or(due_after).min(due_after);
        let complete_until = left.complete_until.binary_search_by_key(&vin, |(of, _)| *of).ok();
        self.busy.insert(vin);
        let track = Track {
            customer,
            qos,
            position,
            complete_until: complete_until.map(|index| left.complete_until[index].1),
            head,
            cursor: due_after,
            merged: None,
            earlier,
            due_after,
            snapshot: None,
            gap: None,
        };
        self.tracks.insert(vin, Box::new(track));
        self.drop_earlier(vin, position);
    }

    /// Tells from where `vin` is read, for whoever goes on where this session stops.
    pub(crate) fn tell_beginning(&self, vin: Vin, actions: &mut VecDeque<Action>) {
        if let Some(track) = self.tracks.get(&vin).filter(|track| track.qos.is_some()) {
            actions.push_back(Action::MoveCursor { vin, cursor: track.cursor });
        }
    }

    /// Stops to read `vin`, but for what an earlier connection has begun to deliver. Deliveries on their way can still be
    /// acknowledged.
    pub(crate) fn detach(&mut self, vin: Vin) {
        let Some(track) = self.tracks.get_mut(&vin).filter(|track| track.qos.is_some()) else {
            return;
        };
        self.source.detach(vin);
        track.qos = None;
        (track.merged, track.snapshot, track.gap) = (None, None, None);
        if let Some(last) = track.earlier.back() {
            track.head = last.sequence;
        } else {
            self.tracks.remove(&vin);
        }
    }

    /// Ends all reading of `vin`, of which the client may see nothing any more.
    pub(crate) fn drop_vehicle(&mut self, vin: Vin) {
        self.give_up_before(vin, Sequence(u64::MAX));
        self.window.lose(vin);
        self.detach(vin);
        self.tracks.remove(&vin);
    }

    /// Sends the newest values of `vin`, if it is read. They are looked up with [`Deliveries::read_on`].
    pub(crate) fn send_snapshot(&mut self, vin: Vin) {
        if let Some(track) = self.tracks.get_mut(&vin).filter(|track| track.qos.is_some()) {
            track.snapshot = Some(Snapshot::Subscribed);
            self.busy.insert(vin);
            self.awaiting_snapshot.insert(vin);
        }
    }

    /// The vehicles that are read.
    pub(crate) fn vins(&self) -> Vec<Vin> {
        self.tracks.iter().filter(|(_, track)| track.qos.is_some()).map(|(vin, _)| *vin).collect()
    }

    /// Whether events are known to exist that were not sent.
    pub(crate) fn is_behind(&self) -> bool {
        let mut busy = self.busy.iter().filter_map(|vin| self.tracks.get(vin));
        busy.any(|track| track.position < track.head)
    }

    /// For each vehicle that is read with QoS 1 or 2: up to where everything was acknowledged.
    pub(crate) fn cursors(&self) -> Vec<(Vin, Sequence)> {
        let lasting = self.tracks.iter().filter(|(_, track)| track.is_lasting());
        lasting.map(|(vin, track)| (*vin, self.acknowledged(*vin, track))).collect()
    }

    /// What a next connection of the same session has to know.
    pub(crate) fn into_left(self) -> LeftBehind {
        let complete_until = self.tracks.iter().filter_map(|(vin, track)| {
            let waiting = self.window.first_waiting(*vin).map(|(_, at)| at);
            Some((*vin, waiting.or(track.complete_until)?))
        });
        let complete_until = complete_until.collect();
        let mut left = self.window.into_left();
        left.complete_until = complete_until;
        left.unfinished.extend(self.tracks.into_values().flat_map(|track| track.earlier));
        left
    }

    /// Takes an event that was just appended.
    pub(crate) fn offer(&mut self, recorded: &Arc<Recorded>, actions: &mut VecDeque<Action>) {
        let vin = recorded.event.vin();
        let Some(track) = self.tracks.get_mut(&vin).filter(|track| track.qos.is_some()) else {
            return;
        };
        if recorded.sequence <= track.position {
            return;
        }
        let contiguous = recorded.previous <= track.position;
        track.head = track.head.max(recorded.sequence);
        if contiguous && self.has_way(vin) {
            self.deliver(vin, recorded, actions);
        } else {
            self.busy.insert(vin);
            self.read_on(actions);
        }
    }

    /// Notes that events of `vin` up to `head` went by unseen. They are read with [`Deliveries::read_on`].
    pub(crate) fn missed(&mut self, vin: Vin, head: Sequence) {
        if let Some(track) = self.tracks.get_mut(&vin) {
            track.head = track.head.max(head);
            if track.is_busy() {
                self.busy.insert(vin);
            }
        }
    }

    /// Takes what the journal gave for an [`Action::Read`].
    pub(crate) fn read(
        &mut self,
        vin: Vin,
        events: &[Arc<Recorded>],
        actions: &mut VecDeque<Action>,
    ) {
        let Some(Reading::Events { head, limit, .. }) = self
            .reading
            .take_if(|reading| matches!(reading, Reading::Events { vin: of, .. } if *of == vin))
        else {
            return;
        };
        for recorded in events {
            if !self.has_way(vin) {
                break;
            }
            let Some(track) = self.tracks.get(&vin) else { break };
            if track.position >= recorded.sequence {
                continue;
            }
            if recorded.previous > track.position.max(track.due_after) {
                self.pass_gap(vin, recorded.previous, Some(recorded.event.at()), actions);
                break;
            }
            self.deliver(vin, recorded, actions);
        }
        let all_taken = events.last().is_none_or(|last| {
            self.tracks.get(&vin).is_none_or(|track| track.position >= last.sequence)
        });
        let is_short = all_taken && events.len() < limit;
        if is_short && self.tracks.get(&vin).is_some_and(|track| track.position < head) {
            // The journal had no more when it was asked. What is missing up to that head is past its retention.
            self.pass_gap(vin, head, None, actions);
        }
        self.read_on(actions);
    }

    /// Goes on at `position`: events before it, and perhaps that one, are past their retention. The next event that is
    /// left was sent at `to`.
    fn pass_gap(
        &mut self,
        vin: Vin,
        position: Sequence,
        to: Option<Timestamp>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        self.busy.insert(vin);
        if track.qos.is_some() && position > track.due_after {
            self.source.note_gap();
            let from = track.gap.map_or(track.complete_until, |untold| untold.from);
            track.gap = Some(UntoldGap { from, to });
            track.snapshot.get_or_insert(Snapshot::Gap);
            self.awaiting_snapshot.insert(vin);
        }
        track.position = position;
        self.drop_earlier(vin, position);
        self.tell_cursor(vin, actions);
    }

    /// Takes the newest values of `vin`, for an [`Action::ReadLatest`].
    pub(crate) fn latest(&mut self, vin: Vin, entries: &[Entry], actions: &mut VecDeque<Action>) {
        let Some(Reading::Latest { head, .. }) = self
            .reading
            .take_if(|reading| matches!(reading, Reading::Latest { vin: of, .. } if *of == vin))
        else {
            return;
        };
        if let Some(track) = self.tracks.get_mut(&vin)
            && let Some(snapshot) = track.snapshot.take_if(|_| !self.congested)
            && let Some(event) = Event::of_latest(vin, entries)
        {
            let retain = snapshot == Snapshot::Subscribed;
            for payload in self.source.payloads_of_merged(track.customer, &event).iter() {
                let gap = track.tell_gap(event.at());
                let message = Publish::new(vin, track.customer, payload.clone());
                actions.push_back(send(Publish { snapshot: true, retain, gap, ..message }));
            }
            if track.is_fresh() {
                // It has them all.
                track.position = track.position.max(head);
                track.complete_until = Some(event.at());
            }
        }
        self.read_on(actions);
    }

    /// Takes a PUBACK; one that nothing waits for is ignored.
    pub(crate) fn ack(&mut self, packet_id: NonZeroU16, actions: &mut VecDeque<Action>) {
        let vin = self.window.ack(packet_id);
        self.acknowledge(vin, actions);
    }

    /// Takes a PUBREC and answers it with a PUBREL [MQTT-4.3.3-1].
    pub(crate) fn receive(&mut self, packet_id: NonZeroU16, actions: &mut VecDeque<Action>) {
        let received = self.window.receive(packet_id);
        let release = Outgoing::PubRel { packet_id, known: received.is_some() };
        actions.push_back(Action::Send(release));
        if let Some(Received::First(vin)) = received {
            self.acknowledge(Some(vin), actions);
        }
    }

    /// Takes a PUBREC by which the client refuses the message.
    pub(crate) fn refuse(&mut self, packet_id: NonZeroU16, actions: &mut VecDeque<Action>) {
        let vin = self.window.refuse(packet_id);
        self.acknowledge(vin, actions);
    }

    /// Takes a PUBCOMP; one that nothing waits for is ignored.
    pub(crate) fn release(&mut self, packet_id: NonZeroU16, actions: &mut VecDeque<Action>) {
        if self.window.complete(packet_id) {
            self.read_on(actions);
        }
    }

    /// Leaves out a message that the client can't take: as far as the session goes, it is delivered. [MQTT-3.1.2-25]
    pub(crate) fn leave_out(
        &mut self,
        packet_id: Option<NonZeroU16>,
        actions: &mut VecDeque<Action>,
    ) {
        self.source.note_oversized();
        let vin = packet_id.and_then(|packet_id| self.window.leave_out(packet_id));
        self.acknowledge(vin, actions);
    }

    fn acknowledge(&mut self, vin: Option<Vin>, actions: &mut VecDeque<Action>) {
        if let Some(vin) = vin {
            self.tell_cursor(vin, actions);
            self.read_on(actions);
        }
    }

    /// Notes whether the way out is full.
    pub(crate) fn set_congested(&mut self, congested: bool, actions: &mut VecDeque<Action>) {
        self.congested = congested;
        if !congested {
            self.send_merged(actions);
            self.read_on(actions);
        }
    }

    /// Notes that the driver has carried out all that was wanted.
    pub(crate) fn drained(&mut self, actions: &mut VecDeque<Action>) {
        if std::mem::take(&mut self.handed_bytes) > 0 {
            self.send_merged(actions);
            self.read_on(actions);
        }
    }

    /// Sends what was merged, as much of it as may be handed over at once.
    fn send_merged(&mut self, actions: &mut VecDeque<Action>) {
        for vin in &self.busy {
            if self.congested || self.handed_bytes >= HANDED_BYTES_MAX {
                return;
            }
            let Some(track) = self.tracks.get_mut(vin) else { continue };
            let Some(merged) = track.merged.take() else { continue };
            let mut entries: Vec<_> = merged.entries.into_values().collect();
            entries.sort_by_key(Entry::at);
            let event = Event::new(*vin, merged.at, entries)
                .expect("a merged event has the entries of at least one");
            for payload in self.source.payloads_of_merged(track.customer, &event).iter() {
                let gap = track.tell_gap(merged.at);
                self.handed_bytes += payload.len();
                let message = Publish::new(*vin, track.customer, payload.clone());
                actions.push_back(send(Publish { gap, ..message }));
            }
        }
    }

    /// Whether an event of `vin` can be taken now.
    fn has_way(&self, vin: Vin) -> bool {
        self.tracks.get(&vin).is_none_or(|track| {
            let has_room = self.window.room() > 0 && !self.congested;
            self.turn().has_come(track) && (track.is_fresh() || has_room)
        })
    }

    fn turn(&self) -> Turn {
        Turn { congested: self.congested, handed_bytes: self.handed_bytes, begun: self.begun }
    }

    fn deliver(&mut self, vin: Vin, recorded: &Recorded, actions: &mut VecDeque<Action>) {
        self.give_up_before(vin, recorded.sequence);
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        track.position = recorded.sequence;
        track.complete_until = Some(recorded.event.at());
        track.head = track.head.max(recorded.sequence);
        let is_due = recorded.sequence > track.due_after;
        if track.is_fresh() {
            if is_due {
                self.send_fresh(recorded, actions);
            }
        } else {
            let (begun, goes_on) = self.take_earlier(vin, recorded.sequence);
            // What lies before a delivery that was begun was passed: acknowledged, or with nothing to show at its turn.
            let passed = begun.is_empty() && (goes_on || !is_due);
            if !passed {
                self.send_lasting(recorded, begun, actions);
            }
        }
        self.leave_earlier(vin);
        self.tell_cursor(vin, actions);
    }

    /// Sends an event with QoS 0, or merges it while the way out is full.
    fn send_fresh(&mut self, recorded: &Recorded, actions: &mut VecDeque<Action>) {
        let (vin, at) = (recorded.event.vin(), recorded.event.at());
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        if self.congested || track.merged.is_some() {
            self.source.note_merged();
            track.merge(&recorded.event);
            self.busy.insert(vin);
            return;
        }
        for payload in self.source.payloads(track.customer, recorded).iter() {
            let gap = track.tell_gap(at);
            self.handed_bytes += payload.len();
            let message = Publish::new(vin, track.customer, payload.clone());
            actions.push_back(send(Publish { gap, ..message }));
        }
    }

    /// Sends an event with QoS 1 or 2; if an earlier connection has `begun` to, what is not done.
    fn send_lasting(
        &mut self,
        recorded: &Recorded,
        mut begun: Vec<Unfinished>,
        actions: &mut VecDeque<Action>,
    ) {
        let (vin, at) = (recorded.event.vin(), recorded.event.at());
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        let wanted = track.qos.filter(|qos| *qos > Qos::AtMostOnce);
        let duplicate = !begun.is_empty();
        let payloads = self.source.payloads(track.customer, recorded);
        for payload in payloads.iter() {
            let part = if payloads.len() == 1 { 0 } else { digest(payload) };
            let begun_before = begun.iter().position(|delivery| delivery.part == part);
            let (packet_id, qos) = if let Some(index) = begun_before {
                let delivery = begun.remove(index);
                self.window.push_again(delivery, payload.len());
                if delivery.done {
                    continue;
                }
                let qos = if delivery.exactly_once { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
                (delivery.packet_id, qos)
            } else {
                let Some(qos) = wanted else { continue };
                let delivery = Unfinished {
                    packet_id: NonZeroU16::MIN,
                    vin,
                    sequence: recorded.sequence,
                    at,
                    part,
                    exactly_once: qos == Qos::ExactlyOnce,
                    done: false,
                };
                (self.window.push(delivery, payload.len()), qos)
            };
            let (packet_id, gap) = (Some(packet_id), track.tell_gap(at));
            let message = Publish::new(vin, track.customer, payload.clone());
            actions.push_back(send(Publish { qos, packet_id, duplicate, gap, ..message }));
        }
        for hidden in begun {
            self.window.give_up(&hidden);
            if payloads.is_empty() {
                // An event that may not be seen any more counts as acknowledged, so that a next connection that may see
                // it again passes it as well, instead of taking it for one that was never sent.
                self.window.push_again(Unfinished { done: true, ..hidden }, 0);
            }
        }
        self.window.drop_done();
    }

    /// Takes the earlier connection's deliveries of an event, and says whether there are later ones.
    fn take_earlier(&mut self, vin: Vin, sequence: Sequence) -> (Vec<Unfinished>, bool) {
        let Some(track) = self.tracks.get_mut(&vin) else { return (Vec::new(), false) };
        let of_event = |delivery: &mut Unfinished| delivery.sequence == sequence;
        let begun: Vec<_> = std::iter::from_fn(|| track.earlier.pop_front_if(of_event)).collect();
        self.begun -= begun.len();
        (begun, !track.earlier.is_empty())
    }

    /// Forgets the earlier connection's deliveries up to `position`, where the track stands now.
    fn drop_earlier(&mut self, vin: Vin, position: Sequence) {
        self.give_up_before(vin, Sequence(position.0 + 1));
        self.leave_earlier(vin);
    }

    /// Gives up the earlier connection's deliveries of events before `sequence`: they are no longer wanted.
    fn give_up_before(&mut self, vin: Vin, sequence: Sequence) {
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        let is_before = |delivery: &mut Unfinished| delivery.sequence < sequence;
        while let Some(delivery) = track.earlier.pop_front_if(is_before) {
            self.begun -= 1;
            self.window.give_up(&delivery);
        }
    }

    /// Once nothing of an earlier connection is left, goes on where the subscription begins, or ends the track that has
    /// none.
    fn leave_earlier(&mut self, vin: Vin) {
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        if !track.earlier.is_empty() {
            return;
        }
        if track.qos.is_none() {
            self.tracks.remove(&vin);
        } else {
            track.position = track.position.max(track.due_after);
        }
    }

    fn acknowledged(&self, vin: Vin, track: &Track) -> Sequence {
        match self.window.first_waiting(vin) {
            Some((waiting, _)) => Sequence(waiting.0.saturating_sub(1)).max(track.cursor),
            None => track.position.max(track.due_after).max(track.cursor),
        }
    }

    fn tell_cursor(&mut self, vin: Vin, actions: &mut VecDeque<Action>) {
        let Some(track) = self.tracks.get(&vin) else { return };
        if !(track.is_lasting() || self.shares && track.qos.is_some()) {
            return;
        }
        let cursor = self.acknowledged(vin, track);
        if let Some(track) = self.tracks.get_mut(&vin)
            && cursor > track.cursor
        {
            track.cursor = cursor;
            actions.push_back(Action::MoveCursor { vin, cursor });
        }
    }

    /// Asks the journal for what is wanted of it and has room; one thing at a time, snapshots first, then the vehicles
    /// in turn. QoS 0 reads on while the way is full, too: else it would go on with old events instead of the newest
    /// values.
    pub(crate) fn read_on(&mut self, actions: &mut VecDeque<Action>) {
        if self.reading.is_some() {
            return;
        }
        if !self.congested
            && let Some((vin, head)) = self.next_snapshot()
        {
            actions.push_back(Action::ReadLatest { vin });
            self.reading = Some(Reading::Latest { vin, head });
            return;
        }
        let room = self.window.is_roomy() && !self.congested;
        if !room && !self.reads_fresh {
            return;
        }
        let after = self.read_last.map_or(Bound::Unbounded, Bound::Excluded);
        let turn = self.turn();
        let due = |track: &Track| {
            turn.has_come(track) && track.position < track.head && (track.is_fresh() || room)
        };
        let next = self.next_busy(after, due).or_else(|| self.next_busy(Bound::Unbounded, due));
        let Some((vin, track)) = next.and_then(|vin| Some((vin, self.tracks.get(&vin)?))) else {
            return;
        };
        let limit = if track.is_fresh() { READ_MAX } else { self.window.room().min(READ_MAX) };
        let (after, head) = (track.position, track.head);
        actions.push_back(Action::Read { vin, after, limit });
        self.read_last = Some(vin);
        self.reading = Some(Reading::Events { vin, head, limit });
    }

    /// The first vehicle that waits for its newest values, and its head.
    fn next_snapshot(&mut self) -> Option<(Vin, Sequence)> {
        while let Some(vin) = self.awaiting_snapshot.first().copied() {
            match self.tracks.get(&vin) {
                Some(track) if track.snapshot.is_some() => return Some((vin, track.head)),
                _ => self.awaiting_snapshot.remove(&vin),
            };
        }
        // An empty one keeps the room that it had.
        self.awaiting_snapshot = BTreeSet::new();
        None
    }

    /// The first busy vehicle after `after` whose track is `wanted`; those that turn out not to be busy are left out from
    /// now on.
    fn next_busy(&mut self, after: Bound<Vin>, wanted: impl Fn(&Track) -> bool) -> Option<Vin> {
        let mut idle = Vec::new();
        let mut found = None;
        for vin in self.busy.range((after, Bound::Unbounded)) {
            match self.tracks.get(vin) {
                Some(track) if wanted(track) => {
                    found = Some(*vin);
                    break;
                }
                Some(track) if track.is_busy() => {}
                _ => idle.push(*vin),
            }
        }
        for vin in idle {
            self.busy.remove(&vin);
        }
        if self.busy.is_empty() {
            // An empty one keeps the room that it had.
            self.busy = BTreeSet::new();
        }
        found
    }
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    congested: bool,
    handed_bytes: usize,
    begun: usize,
}

impl Turn {
    /// Whether it is the turn of this vehicle's events, if there is room for them. QoS 0 needs none: when the way is
    /// full, it is merged.
    fn has_come(self, track: &Track) -> bool {
        let has_come = if track.is_fresh() {
            self.congested || self.handed_bytes < HANDED_BYTES_MAX
        } else {
            self.begun == 0 || !track.earlier.is_empty()
        };
        has_come && track.snapshot.is_none()
    }
}

/// Bytes of QoS 0 that are handed over before the driver has to say whether the way out is still free.
const HANDED_BYTES_MAX: usize = 64 * 1024;
/// Events in one read of the journal at the most.
const READ_MAX: usize = 256;

impl Track {
    fn merge(&mut self, event: &Event) {
        let merged =
            self.merged.get_or_insert_with(|| Merged { at: event.at(), entries: BTreeMap::new() });
        merged.at = merged.at.max(event.at());
        for entry in event.entries() {
            let newer = merged
                .entries
                .get(&entry.descriptor())
                .is_none_or(|known| known.at() <= entry.at());
            if newer {
                merged.entries.insert(entry.descriptor(), entry.clone());
            }
        }
    }

    fn change_qos(&mut self, qos: Qos) {
        if !self.is_lasting() {
            // What was sent before does not hold it back, even if some of it waits since an earlier change.
            self.cursor = self.position.max(self.due_after);
        }
        self.qos = Some(qos);
    }

    /// Whether it wants something of the journal, or has something merged.
    fn is_busy(&self) -> bool {
        self.position < self.head || self.snapshot.is_some() || self.merged.is_some()
    }

    /// Whether events are sent with QoS 1 or 2.
    fn is_lasting(&self) -> bool {
        self.qos.is_some_and(|qos| qos > Qos::AtMostOnce)
    }

    /// Whether nothing but the newest values matters: QoS 0, and nothing of another is left.
    fn is_fresh(&self) -> bool {
        self.qos == Some(Qos::AtMostOnce) && self.earlier.is_empty()
    }

    /// The gap that the next message, of `at`, tells.
    fn tell_gap(&mut self, at: Timestamp) -> Option<Gap> {
        self.gap.take().map(|untold| Gap { from: untold.from, to: untold.to.unwrap_or(at) })
    }
}

/// The same for equal payloads as long as the program is not replaced.
fn digest(payload: &bytes::Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

fn send(message: Publish) -> Action {
    Action::Send(Outgoing::Publish(message))
}
