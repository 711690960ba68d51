//! Which event goes out when, and how far a client got.
//!
//! Each vehicle that a session reads has a track: a *position* (the last event that was sent or had nothing to show) and
//! a *head* (the last one known to exist). While the two are equal the track is live and takes events as they come.
//! When it can't — the window is full, or an event went by unseen — it falls behind, and reads the journal until it has
//! caught up. So a slow client costs no queue and holds up nobody.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU16;
use std::ops::Bound;
use std::sync::Arc;

use cardata_domain::event::Payloads;
use cardata_domain::{DescriptorId, Entry, Event, Recorded, Sequence, Vin};
use jiff::Timestamp;

use crate::inflight::{Unacked, Window};
use crate::packet::{Outgoing, Publish, Qos};
use crate::session::Action;

/// Where a session's events come from and what its client may see of them: the session's only view of the world.
pub trait Source: Send {
    /// Begins to hand over the live events of `vin`, and gives the number of the last one before them.
    fn attach(&mut self, vin: Vin) -> Sequence;
    /// Ends that.
    fn detach(&mut self, vin: Vin);
    /// What the client may see of a recorded event at this very moment, ready to be sent; may be empty.
    fn payloads(&self, recorded: &Recorded) -> Payloads;
    /// The same for an event that was put together from several.
    fn payloads_of_merged(&self, event: &Event) -> Payloads;
    /// Counts a message that was left out because it is larger than what the client takes.
    fn note_oversized(&mut self);
    /// Counts an event that was merged into others because the client reads too slowly.
    fn note_merged(&mut self);
}

/// The deliveries of one connection.
pub struct Deliveries {
    source: Box<dyn Source>,
    tracks: BTreeMap<Vin, Track>,
    window: Window,
    /// The read that is on its way: of which vehicle, up to which event it will surely reach, and how many at the most.
    reading: Option<Reading>,
    /// The vehicle that was read last, so that the others get their turn.
    read_last: Option<Vin>,
    /// The way out is full: no message is handed over until it has drained.
    congested: bool,
}

struct Reading {
    vin: Vin,
    head: Sequence,
    limit: usize,
}

struct Track {
    qos: Qos,
    position: Sequence,
    head: Sequence,
    /// What was last told as acknowledged.
    cursor: Sequence,
    /// The newest value of each descriptor since the way out was full; QoS 0 only.
    merged: Option<Merged>,
    /// Deliveries of an earlier connection of this session, in order and all after the position; to be sent again or, if
    /// acknowledged, skipped. Empty with QoS 0.
    earlier: VecDeque<Unacked>,
}

struct Merged {
    at: Timestamp,
    entries: BTreeMap<DescriptorId, Entry>,
}

impl Deliveries {
    /// None yet; at most `inflight_max` wait for their acknowledgement.
    pub(crate) fn new(source: Box<dyn Source>, inflight_max: usize) -> Self {
        Self {
            source,
            tracks: BTreeMap::new(),
            window: Window::new(inflight_max),
            reading: None,
            read_last: None,
            congested: false,
        }
    }

    /// Begins to read `vin` with `qos`, from `cursor` if there is one and else from now on. `earlier` are the deliveries
    /// of the session's last connection, in order. A track that is there already changes its `qos` only.
    pub(crate) fn attach(
        &mut self,
        vin: Vin,
        qos: Qos,
        cursor: Option<Sequence>,
        earlier: VecDeque<Unacked>,
        actions: &mut VecDeque<Action>,
    ) {
        if let Some(track) = self.tracks.get_mut(&vin) {
            track.change_qos(qos);
        } else {
            let head = self.source.attach(vin);
            // A cursor beyond the head is of a journal that was cut back; what is appended next must not be skipped.
            let position = cursor.map_or(head, |cursor| cursor.min(head));
            for delivery in &earlier {
                self.window.reserve(delivery.packet_id);
            }
            let mut track = Track { qos, position, head, cursor: position, merged: None, earlier };
            track.drop_earlier(position);
            self.tracks.insert(vin, track);
        }
        self.read_on(actions);
    }

    /// Stops to read `vin`. Deliveries on their way can still be acknowledged.
    pub(crate) fn detach(&mut self, vin: Vin) {
        if self.tracks.remove(&vin).is_some() {
            self.source.detach(vin);
        }
    }

    /// The vehicles that are read.
    pub(crate) fn vins(&self) -> Vec<Vin> {
        self.tracks.keys().copied().collect()
    }

    /// For each vehicle that is read with QoS 1: up to where everything was acknowledged.
    pub(crate) fn cursors(&self) -> Vec<(Vin, Sequence)> {
        let lasting = self.tracks.iter().filter(|(_, track)| track.qos > Qos::AtMostOnce);
        lasting.map(|(vin, track)| (*vin, self.acknowledged(*vin, track))).collect()
    }

    /// Deliveries that a next connection of the same session sends again or has to skip; those of one vehicle in the
    /// order in which they were sent first.
    pub(crate) fn into_unacked(self) -> Vec<Unacked> {
        let mut unacked = self.window.into_unacked();
        unacked.extend(self.tracks.into_values().flat_map(|track| track.earlier));
        unacked
    }

    /// Takes an event that was just appended.
    pub(crate) fn offer(&mut self, recorded: &Arc<Recorded>, actions: &mut VecDeque<Action>) {
        let vin = recorded.event.vin();
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        if recorded.sequence <= track.position {
            return;
        }
        let contiguous = recorded.previous <= track.position;
        track.head = track.head.max(recorded.sequence);
        if contiguous && self.has_way(vin) {
            self.deliver(vin, recorded, actions);
        } else {
            self.read_on(actions);
        }
    }

    /// Notes that events of `vin` up to `head` went by unseen.
    pub(crate) fn missed(&mut self, vin: Vin, head: Sequence, actions: &mut VecDeque<Action>) {
        if let Some(track) = self.tracks.get_mut(&vin) {
            track.head = track.head.max(head);
            self.read_on(actions);
        }
    }

    /// Takes what the journal gave for an [`Action::Read`].
    pub(crate) fn read(
        &mut self,
        vin: Vin,
        events: &[Arc<Recorded>],
        actions: &mut VecDeque<Action>,
    ) {
        let Some(reading) = self.reading.take_if(|reading| reading.vin == vin) else { return };
        for recorded in events {
            if !self.has_way(vin) {
                break;
            }
            if self.tracks.get(&vin).is_some_and(|track| track.position < recorded.sequence) {
                self.deliver(vin, recorded, actions);
            }
        }
        let all_taken = events.last().is_none_or(|last| {
            self.tracks.get(&vin).is_none_or(|track| track.position >= last.sequence)
        });
        if all_taken
            && events.len() < reading.limit
            && let Some(track) = self.tracks.get_mut(&vin)
        {
            // The journal had no more when it was asked. What is missing up to that head is past its retention.
            track.position = track.position.max(reading.head);
            track.drop_earlier(reading.head);
            self.tell_cursor(vin, actions);
        }
        self.read_on(actions);
    }

    /// Takes an acknowledgement of QoS 1; one that nothing waits for is ignored.
    pub(crate) fn ack(&mut self, packet_id: NonZeroU16, actions: &mut VecDeque<Action>) {
        if let Some(vin) = self.window.ack(packet_id) {
            self.tell_cursor(vin, actions);
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
        if let Some(packet_id) = packet_id {
            self.ack(packet_id, actions);
        }
    }

    /// Notes whether the way out is full.
    pub(crate) fn set_congested(&mut self, congested: bool, actions: &mut VecDeque<Action>) {
        self.congested = congested;
        if congested {
            return;
        }
        for (vin, track) in &mut self.tracks {
            let Some(merged) = track.merged.take() else { continue };
            let mut entries: Vec<_> = merged.entries.into_values().collect();
            entries.sort_by_key(Entry::at);
            let event = Event::new(*vin, merged.at, entries)
                .expect("a merged event has the entries of at least one");
            let payloads = self.source.payloads_of_merged(&event);
            actions.extend(payloads.iter().map(|payload| publish(*vin, payload, None, false)));
        }
        self.read_on(actions);
    }

    /// Whether an event of `vin` can be taken now. QoS 0 always can: when the way is full, it is merged.
    fn has_way(&self, vin: Vin) -> bool {
        let lasting = self.tracks.get(&vin).is_some_and(|track| track.qos > Qos::AtMostOnce);
        !lasting || (self.window.room() > 0 && !self.congested)
    }

    fn deliver(&mut self, vin: Vin, recorded: &Recorded, actions: &mut VecDeque<Action>) {
        let Some(track) = self.tracks.get_mut(&vin) else { return };
        track.position = recorded.sequence;
        track.head = track.head.max(recorded.sequence);
        if track.qos == Qos::AtMostOnce {
            if self.congested {
                self.source.note_merged();
                track.merge(&recorded.event);
            } else {
                let payloads = self.source.payloads(recorded);
                actions.extend(payloads.iter().map(|payload| publish(vin, payload, None, false)));
            }
            return;
        }
        let begun = track.take_earlier(recorded.sequence);
        // What lies before a delivery that was begun was passed: acknowledged, or with nothing to show at its turn.
        let passed = begun.is_empty() && !track.earlier.is_empty();
        if !passed {
            self.send_lasting(recorded, begun, actions);
        }
        self.tell_cursor(vin, actions);
    }

    /// Sends an event with QoS 1; if an earlier connection has `begun` to, what was not acknowledged.
    fn send_lasting(
        &mut self,
        recorded: &Recorded,
        mut begun: Vec<Unacked>,
        actions: &mut VecDeque<Action>,
    ) {
        let vin = recorded.event.vin();
        let duplicate = !begun.is_empty();
        let payloads = self.source.payloads(recorded);
        for payload in payloads.iter() {
            let part = if payloads.len() == 1 { 0 } else { digest(payload) };
            let packet_id = match begun.iter().position(|delivery| delivery.part == part) {
                Some(index) => {
                    let delivery = begun.remove(index);
                    self.window.push_again(delivery);
                    if delivery.acked {
                        continue;
                    }
                    delivery.packet_id
                }
                None => self.window.push(vin, recorded.sequence, part),
            };
            actions.push_back(publish(vin, payload, Some(packet_id), duplicate));
        }
        if payloads.is_empty() {
            // An event that may not be seen any more counts as acknowledged, so that a next connection that may see it
            // again passes it as well, instead of taking it for one that was never sent.
            for hidden in begun {
                self.window.push_again(Unacked { acked: true, ..hidden });
            }
        }
        self.window.drop_acked();
    }

    fn acknowledged(&self, vin: Vin, track: &Track) -> Sequence {
        match self.window.first_waiting(vin) {
            Some(Sequence(waiting)) => Sequence(waiting - 1).max(track.cursor),
            None => track.position,
        }
    }

    fn tell_cursor(&mut self, vin: Vin, actions: &mut VecDeque<Action>) {
        let Some(track) = self.tracks.get(&vin).filter(|track| track.qos > Qos::AtMostOnce) else {
            return;
        };
        let cursor = self.acknowledged(vin, track);
        if let Some(track) = self.tracks.get_mut(&vin)
            && cursor > track.cursor
        {
            track.cursor = cursor;
            actions.push_back(Action::MoveCursor { vin, cursor });
        }
    }

    /// Asks for the journal if a track is behind and there is room; one read at a time, the vehicles in turn. QoS 0 reads
    /// on while the way is full, too: else it would go on with old events instead of the newest values.
    fn read_on(&mut self, actions: &mut VecDeque<Action>) {
        if self.reading.is_some() {
            return;
        }
        let room = self.window.is_roomy() && !self.congested;
        let due = |(_, track): &(&Vin, &Track)| {
            track.position < track.head && (track.qos == Qos::AtMostOnce || room)
        };
        let after = self.read_last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.tracks.range((after, Bound::Unbounded)).chain(&self.tracks).find(due);
        let Some((vin, track)) = next else { return };
        let limit =
            if track.qos == Qos::AtMostOnce { READ_MAX } else { self.window.room().min(READ_MAX) };
        actions.push_back(Action::Read { vin: *vin, after: track.position, limit });
        self.read_last = Some(*vin);
        self.reading = Some(Reading { vin: *vin, head: track.head, limit });
    }
}

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
        if qos == Qos::AtMostOnce {
            // What was sent before is not sent again, acknowledged or not.
            let last = self.earlier.back().map(|delivery| delivery.sequence);
            self.position = self.position.max(last.unwrap_or_default());
            self.earlier.clear();
        } else if self.qos == Qos::AtMostOnce {
            // Neither is what was sent before QoS 1 begins, even if some of it waits since an earlier change.
            self.cursor = self.position;
        }
        self.qos = qos;
    }

    /// Takes the earlier connection's deliveries of an event. Those before it are no longer wanted.
    fn take_earlier(&mut self, sequence: Sequence) -> Vec<Unacked> {
        self.drop_earlier(Sequence(sequence.0 - 1));
        let of_event = |delivery: &mut Unacked| delivery.sequence == sequence;
        std::iter::from_fn(|| self.earlier.pop_front_if(of_event)).collect()
    }

    /// Forgets the earlier connection's deliveries up to `sequence`.
    fn drop_earlier(&mut self, sequence: Sequence) {
        while self.earlier.pop_front_if(|delivery| delivery.sequence <= sequence).is_some() {}
    }
}

/// The same for equal payloads as long as the process runs.
fn digest(payload: &bytes::Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

fn publish(
    vin: Vin,
    payload: &bytes::Bytes,
    packet_id: Option<NonZeroU16>,
    duplicate: bool,
) -> Action {
    Action::Send(Outgoing::Publish(Publish {
        vin,
        payload: payload.clone(),
        packet_id,
        duplicate,
        alias: None,
        identifiers: Vec::new(),
    }))
}
