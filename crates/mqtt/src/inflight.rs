//! Deliveries on their way, from PUBLISH to their last acknowledgement (§4.3 and §4.4 of both versions), and how many of
//! them there may be (MQTT 5 §4.9).
//!
//! ```text
//! QoS 1    PUBLISH ──► PUBACK                          sent, done
//! QoS 2    PUBLISH ──► PUBREC ──► PUBREL ──► PUBCOMP   sent, done and releasing, forgotten
//! ```
//!
//! With its PUBREC, a message is the client's: it counts as delivered, and only its packet identifier is still in use.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;

use cardata_domain::session::{LeftBehind, Unfinished};
use cardata_domain::{Sequence, Vin};
use jiff::Timestamp;

use crate::packet::Qos;

/// The deliveries of one connection that are not finished, in the order in which they were sent.
#[derive(Debug)]
pub struct Window {
    sent: VecDeque<Sent>,
    limits: WindowLimits,
    /// Of all that was sent.
    bytes: usize,
    last_id: u16,
    /// Identifiers of QoS 2 between PUBREC and PUBCOMP, in the order of their PUBRECs.
    releasing: VecDeque<NonZeroU16>,
    /// Identifiers of QoS 2 whose messages are not sent again, though the client may have received them. They stay in
    /// use as long as the session: the client would take another message for a duplicate.
    given_up: BTreeSet<NonZeroU16>,
    /// Identifiers of an earlier connection's deliveries. They stay reserved, also when a delivery is given up: its
    /// acknowledgement may be on its way.
    reserved: BTreeSet<NonZeroU16>,
}

/// How much may be on its way at a time. One delivery may always be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// Deliveries.
    pub deliveries_max: usize,
    /// Bytes of their payloads; the delivery that passes this is the last one.
    pub bytes_max: usize,
}

#[derive(Debug)]
struct Sent {
    delivery: Unfinished,
    size_bytes: usize,
    /// Whether the client may see nothing of its vehicle any more: it is never sent again.
    lost: bool,
}

/// Identifiers of deliveries that were given up; beyond that, the oldest is free again.
const GIVEN_UP_MAX: usize = 4096;

impl Window {
    /// An empty window.
    pub fn new(limits: WindowLimits) -> Self {
        Self {
            sent: VecDeque::new(),
            limits,
            bytes: 0,
            last_id: 0,
            releasing: VecDeque::new(),
            given_up: BTreeSet::new(),
            reserved: BTreeSet::new(),
        }
    }

    /// How many more deliveries may be sent now. One that is acknowledged before its predecessor still takes its place,
    /// and one of QoS 2 up to its PUBCOMP (MQTT 5 §4.9).
    pub fn room(&self) -> usize {
        let taken = self.sent.len() + self.releasing.len();
        let room = self.limits.deliveries_max.max(1).saturating_sub(taken);
        if self.bytes < self.limits.bytes_max { room } else { room.min(usize::from(taken == 0)) }
    }

    /// Whether at least half of the window is free, or nothing is on its way; asking the journal for less is not worth a
    /// read.
    pub fn is_roomy(&self) -> bool {
        let (room, idle) = (self.room(), self.sent.is_empty() && self.releasing.is_empty());
        room > 0 && (idle || room * 2 >= self.limits.deliveries_max)
    }

    /// Notes what an earlier connection left behind, but for its deliveries: each is sent again in its turn. Gives the
    /// identifiers of which the client needs a PUBREL.
    pub fn resume(&mut self, left: &LeftBehind) -> &VecDeque<NonZeroU16> {
        self.reserved.extend(left.unfinished.iter().map(|delivery| delivery.packet_id));
        self.releasing.extend(&left.releasing);
        self.given_up.extend(&left.given_up);
        &self.releasing
    }

    /// Notes a delivery of an earlier connection that is now sent again, or that was acknowledged and takes its place
    /// until [`Window::drop_done`].
    pub fn push_again(&mut self, delivery: Unfinished, size_bytes: usize) {
        self.bytes += size_bytes;
        self.sent.push_back(Sent { delivery, size_bytes, lost: false });
    }

    /// Notes a new delivery and gives it an identifier that no other one has; `delivery` comes without.
    ///
    /// # Panics
    /// Never: limits leave identifiers free.
    pub fn push(&mut self, delivery: Unfinished, size_bytes: usize) -> NonZeroU16 {
        let packet_id = self.next_id();
        self.push_again(Unfinished { packet_id, ..delivery }, size_bytes);
        packet_id
    }

    fn next_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.is_in_use(id)
            {
                return id;
            }
        }
    }

    fn is_in_use(&self, id: NonZeroU16) -> bool {
        self.reserved.contains(&id)
            || self.given_up.contains(&id)
            || self.releasing.contains(&id)
            || self.sent.iter().any(|sent| sent.delivery.packet_id == id)
    }

    /// Takes a PUBACK and says for which vehicle; `None` when no delivery of QoS 1 waits for it.
    pub fn ack(&mut self, packet_id: NonZeroU16) -> Option<Vin> {
        self.finish(packet_id, Qos::AtLeastOnce)
    }

    /// Takes a PUBREC; `None` when it belongs to nothing that was sent. Else a PUBREL is the answer.
    pub fn receive(&mut self, packet_id: NonZeroU16) -> Option<Received> {
        if self.releasing.contains(&packet_id) {
            return Some(Received::Again);
        }
        let received = match self.finish(packet_id, Qos::ExactlyOnce) {
            Some(vin) => Received::First(vin),
            None if self.given_up.remove(&packet_id) => Received::Again,
            None => return None,
        };
        self.releasing.push_back(packet_id);
        Some(received)
    }

    /// Takes a PUBREC by which the client refuses the message (MQTT 5 §3.5.2.1): it is done with, and so is its
    /// identifier. Says for which vehicle.
    pub fn refuse(&mut self, packet_id: NonZeroU16) -> Option<Vin> {
        self.given_up.remove(&packet_id);
        self.finish(packet_id, Qos::ExactlyOnce)
    }

    /// Takes a PUBCOMP: the identifier is free. Whether it was awaited.
    pub fn complete(&mut self, packet_id: NonZeroU16) -> bool {
        let index = self.releasing.iter().position(|id| *id == packet_id);
        index.is_some_and(|index| self.releasing.remove(index).is_some())
    }

    /// Takes back a delivery that is not sent after all, and says of which vehicle.
    pub fn leave_out(&mut self, packet_id: NonZeroU16) -> Option<Vin> {
        let of_id = |sent: &&mut Sent| sent.delivery.packet_id == packet_id;
        let sent = self.sent.iter_mut().find(of_id)?;
        sent.delivery.done = true;
        let delivery = sent.delivery;
        // An earlier connection may have got it through.
        if self.reserved.contains(&packet_id) {
            self.give_up(&delivery);
        }
        self.drop_done();
        Some(delivery.vin)
    }

    /// Notes that nothing of `vin` is sent again. What is on its way can still be acknowledged.
    pub fn lose(&mut self, vin: Vin) {
        let of_vin = self.sent.iter_mut().filter(|sent| sent.delivery.vin == vin);
        of_vin.for_each(|sent| sent.lost = true);
    }

    /// Notes that an earlier connection's delivery is not sent again.
    pub fn give_up(&mut self, delivery: &Unfinished) {
        if !delivery.exactly_once || delivery.done {
            return;
        }
        if self.given_up.len() >= GIVEN_UP_MAX {
            self.given_up.pop_first();
        }
        self.given_up.insert(delivery.packet_id);
    }

    fn finish(&mut self, packet_id: NonZeroU16, qos: Qos) -> Option<Vin> {
        // Clients acknowledge in order [MQTT-4.6.0-2] [MQTT-4.6.0-3], so this is nearly always the first.
        let sent = self.sent.iter_mut().find(|sent| {
            let Unfinished { packet_id: id, exactly_once, done, .. } = sent.delivery;
            id == packet_id && !done && exactly_once == (qos == Qos::ExactlyOnce)
        })?;
        sent.delivery.done = true;
        let vin = sent.delivery.vin;
        self.drop_done();
        Some(vin)
    }

    /// Lets go of what is done without a gap, event by event: of one that is acknowledged in part, a next connection
    /// has to know which part.
    pub fn drop_done(&mut self) {
        while let Some(first) = self.sent.front() {
            let event = (first.delivery.vin, first.delivery.sequence);
            let of_first = |sent: &&Sent| (sent.delivery.vin, sent.delivery.sequence) == event;
            let parts = self.sent.iter().take_while(of_first);
            if !parts.clone().all(|sent| sent.delivery.done) {
                return;
            }
            let count = parts.count();
            let sizes = self.sent.drain(..count).map(|sent| sent.size_bytes);
            self.bytes -= sizes.sum::<usize>();
        }
    }

    /// The first event of `vin` of which a message waits that may be sent again, and when the vehicle sent it.
    pub fn first_waiting(&self, vin: Vin) -> Option<(Sequence, Timestamp)> {
        let mut deliveries = self.sent.iter().filter(|sent| !sent.lost).map(|sent| sent.delivery);
        let first = deliveries.find(|delivery| delivery.vin == vin && !delivery.done)?;
        Some((first.sequence, first.at))
    }

    /// What a next connection of the same session has to know.
    pub fn into_left(mut self) -> LeftBehind {
        let sent = std::mem::take(&mut self.sent);
        let (lost, sent): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.lost);
        for lost in lost {
            self.give_up(&lost.delivery);
        }
        LeftBehind {
            unfinished: sent.into_iter().map(|sent| sent.delivery).collect(),
            releasing: self.releasing.into(),
            given_up: self.given_up.into_iter().collect(),
            complete_until: Vec::new(),
        }
    }
}

/// A PUBREC that belongs to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message of this vehicle, which is the client's now.
    First(Vin),
    /// One that was the client's before.
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vin() -> Vin {
        "WBY00000000000001".parse().unwrap()
    }

    fn window(deliveries_max: usize) -> Window {
        Window::new(WindowLimits { deliveries_max, bytes_max: 1000 })
    }

    fn push(window: &mut Window, number: u64, part: u64, qos: Qos) -> NonZeroU16 {
        let delivery = Unfinished {
            packet_id: NonZeroU16::MIN,
            vin: vin(),
            sequence: Sequence(number),
            at: Timestamp::from_second(number.cast_signed()).unwrap(),
            part,
            exactly_once: qos == Qos::ExactlyOnce,
            done: false,
        };
        window.push(delivery, 10)
    }

    fn first_waiting(window: &Window) -> Option<u64> {
        window.first_waiting(vin()).map(|(sequence, _)| sequence.0)
    }

    #[test]
    fn the_first_waiting_event_moves_only_past_what_is_acknowledged_without_a_gap() {
        let mut window = window(10);
        let ids: Vec<_> =
            (1..=3).map(|number| push(&mut window, number, 0, Qos::AtLeastOnce)).collect();
        assert_eq!(window.ack(ids[1]), Some(vin()));
        assert_eq!(first_waiting(&window), Some(1));
        assert_eq!(window.ack(ids[0]), Some(vin()));
        assert_eq!(first_waiting(&window), Some(3));
        assert_eq!(window.ack(ids[0]), None);
        assert_eq!(window.room(), 9);
        assert!(window.is_roomy());
    }

    #[test]
    fn an_event_leaves_the_window_whole() {
        let mut window = window(4);
        let ids = [0, 1].map(|part| push(&mut window, 1, part, Qos::AtLeastOnce));
        window.ack(ids[0]);
        assert_eq!((window.room(), first_waiting(&window)), (2, Some(1)));
        window.ack(ids[1]);
        assert_eq!((window.room(), first_waiting(&window)), (4, None));
    }

    #[test]
    fn a_message_of_qos_2_takes_its_place_until_pubcomp_and_waits_until_pubrec() {
        let mut window = window(2);
        let id = push(&mut window, 1, 0, Qos::ExactlyOnce);
        assert_eq!(window.ack(id), None, "a PUBACK is no answer to QoS 2");
        assert!(!window.complete(id), "nor is a PUBCOMP before the PUBREC");
        assert_eq!(window.receive(id), Some(Received::First(vin())));
        assert_eq!(window.receive(id), Some(Received::Again));
        assert_eq!((window.room(), first_waiting(&window)), (1, None));
        window.last_id = u16::MAX;
        assert_ne!(push(&mut window, 2, 0, Qos::AtLeastOnce), id, "it is still in use");
        assert!(window.complete(id));
        assert!(!window.complete(id));
        assert_eq!(window.receive(id), None);
    }

    #[test]
    fn a_message_of_qos_2_that_is_refused_is_done_with() {
        let mut window = window(2);
        let id = push(&mut window, 1, 0, Qos::ExactlyOnce);
        assert_eq!(window.refuse(id), Some(vin()));
        assert_eq!((window.room(), window.receive(id)), (2, None));
    }

    #[test]
    fn an_identifier_that_was_given_up_is_in_use_until_the_client_releases_it() {
        let mut earlier = window(4);
        let ids = [1, 2].map(|number| push(&mut earlier, number, 0, Qos::ExactlyOnce));
        earlier.receive(ids[1]);
        let left = earlier.into_left();
        assert_eq!(left.releasing, [ids[1]]);

        let mut window = window(4);
        assert_eq!(*window.resume(&left), [ids[1]]);
        window.give_up(&left.unfinished[0]);
        let left = window.into_left();
        assert_eq!((left.given_up.as_slice(), left.releasing.as_slice()), (&ids[..1], &ids[1..]));

        let mut window = self::window(4);
        window.resume(&left);
        assert_ne!(push(&mut window, 3, 0, Qos::AtLeastOnce), ids[0]);
        assert_eq!(window.receive(ids[0]), Some(Received::Again));
        assert!(window.complete(ids[0]));
        assert!(!window.is_in_use(ids[0]));
    }

    #[test]
    fn bytes_on_their_way_are_limited_but_for_one_delivery() {
        let mut window = Window::new(WindowLimits { deliveries_max: 8, bytes_max: 15 });
        let first = push(&mut window, 1, 0, Qos::AtLeastOnce);
        assert_eq!(window.room(), 7);
        push(&mut window, 2, 0, Qos::AtLeastOnce);
        assert_eq!(window.room(), 0);
        window.ack(first);
        assert_eq!(window.room(), 7);
        let mut window = Window::new(WindowLimits { deliveries_max: 8, bytes_max: 0 });
        assert_eq!((window.room(), window.is_roomy()), (1, true));
        push(&mut window, 1, 0, Qos::AtLeastOnce);
        assert_eq!((window.room(), window.is_roomy()), (0, false));
    }

    #[test]
    fn a_window_has_room_for_one_at_least() {
        assert_eq!(window(0).room(), 1);
    }

    #[test]
    fn identifiers_wrap_without_zero_and_without_one_that_is_in_use() {
        let mut window = window(100);
        window.last_id = u16::MAX - 2;
        let first = push(&mut window, 1, 0, Qos::AtLeastOnce);
        window.reserved.insert(NonZeroU16::new(2).unwrap());
        let ids: Vec<_> =
            (2..6).map(|number| push(&mut window, number, 0, Qos::AtLeastOnce).get()).collect();
        assert_eq!(first.get(), u16::MAX - 1);
        assert_eq!(ids, [u16::MAX, 1, 3, 4]);
        window.last_id = u16::MAX - 2;
        assert_eq!(push(&mut window, 6, 0, Qos::AtLeastOnce).get(), 5);
    }
}
