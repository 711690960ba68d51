//! Deliveries that wait for their acknowledgement.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;

use cardata_domain::{Sequence, Vin};

/// One message of an event on its way with QoS 1. The payload is not kept: it is read and projected again if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unacked {
    /// Its packet identifier, kept over a reconnect [MQTT-4.4.0-1].
    pub packet_id: NonZeroU16,
    /// Whose.
    pub vin: Vin,
    /// Which event.
    pub sequence: Sequence,
    /// Which of the event's messages: 0 where it has one only, else a digest of its payload. Counting them would not
    /// do, since they shift when the entitlement changes.
    pub part: u64,
    /// Acknowledged, or hidden since it was sent, but one before it is not.
    pub acked: bool,
}

/// The window of deliveries without acknowledgement, in the order in which they were sent.
#[derive(Debug)]
pub struct Window {
    sent: VecDeque<Unacked>,
    max: usize,
    last_id: u16,
    /// Identifiers of an earlier connection's deliveries. They stay reserved, also when a delivery is given up: its
    /// acknowledgement may be on its way.
    reserved: BTreeSet<NonZeroU16>,
}

impl Window {
    /// An empty window in which at most `max` deliveries wait, and at least one.
    pub fn new(max: usize) -> Self {
        Self { sent: VecDeque::new(), max: max.max(1), last_id: 0, reserved: BTreeSet::new() }
    }

    /// How many more deliveries may be sent now. One that is acknowledged before its predecessor still takes its place.
    pub fn room(&self) -> usize {
        self.max.saturating_sub(self.sent.len())
    }

    /// Whether at least half of the window is free; asking the journal for less is not worth a read.
    pub fn is_roomy(&self) -> bool {
        self.room() * 2 >= self.max
    }

    /// Keeps `packet_id` from being given to a new delivery: an earlier connection's has it.
    pub fn reserve(&mut self, packet_id: NonZeroU16) {
        self.reserved.insert(packet_id);
    }

    /// Notes a delivery of an earlier connection that is now sent again, or that was acknowledged and takes its place
    /// until [`Window::drop_acked`].
    pub fn push_again(&mut self, delivery: Unacked) {
        self.sent.push_back(delivery);
    }

    /// Notes a new delivery and gives it an identifier that no other one has.
    pub fn push(&mut self, vin: Vin, sequence: Sequence, part: u64) -> NonZeroU16 {
        let packet_id = self.next_id();
        self.sent.push_back(Unacked { packet_id, vin, sequence, part, acked: false });
        packet_id
    }

    fn next_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.reserved.contains(&id)
                && !self.sent.iter().any(|delivery| delivery.packet_id == id)
            {
                return id;
            }
        }
    }

    /// Takes an acknowledgement and says for which vehicle; `None` when no delivery waits for it.
    pub fn ack(&mut self, packet_id: NonZeroU16) -> Option<Vin> {
        // Clients acknowledge in order [MQTT-4.6.0-2], so this is nearly always the first.
        let delivery = self
            .sent
            .iter_mut()
            .find(|delivery| delivery.packet_id == packet_id && !delivery.acked)?;
        delivery.acked = true;
        let vin = delivery.vin;
        self.drop_acked();
        Some(vin)
    }

    /// Lets go of what is acknowledged without a gap, event by event: of one that is acknowledged in part, a next
    /// connection has to know which part.
    pub fn drop_acked(&mut self) {
        while let Some(&Unacked { vin, sequence, .. }) = self.sent.front() {
            let of_first =
                |delivery: &&Unacked| (delivery.vin, delivery.sequence) == (vin, sequence);
            let first = self.sent.iter().take_while(of_first);
            if !first.clone().all(|delivery| delivery.acked) {
                return;
            }
            let count = first.count();
            self.sent.drain(..count);
        }
    }

    /// The first event of `vin` of which a message waits.
    pub fn first_waiting(&self, vin: Vin) -> Option<Sequence> {
        self.sent
            .iter()
            .find(|delivery| delivery.vin == vin && !delivery.acked)
            .map(|delivery| delivery.sequence)
    }

    /// What a next connection of the same session has to know.
    pub fn into_unacked(self) -> Vec<Unacked> {
        self.sent.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vin() -> Vin {
        "WBY00000000000001".parse().unwrap()
    }

    #[test]
    fn the_first_waiting_event_moves_only_past_what_is_acknowledged_without_a_gap() {
        let mut window = Window::new(10);
        let ids: Vec<_> = (1..=3).map(|number| window.push(vin(), Sequence(number), 0)).collect();
        assert_eq!(window.ack(ids[1]), Some(vin()));
        assert_eq!(window.first_waiting(vin()), Some(Sequence(1)));
        assert_eq!(window.ack(ids[0]), Some(vin()));
        assert_eq!(window.first_waiting(vin()), Some(Sequence(3)));
        assert_eq!(window.ack(ids[0]), None);
        assert_eq!(window.room(), 9);
        assert!(window.is_roomy());
    }

    #[test]
    fn an_event_leaves_the_window_whole() {
        let mut window = Window::new(4);
        let ids = [0, 1].map(|part| window.push(vin(), Sequence(1), part));
        window.ack(ids[0]);
        assert_eq!((window.room(), window.first_waiting(vin())), (2, Some(Sequence(1))));
        window.ack(ids[1]);
        assert_eq!((window.room(), window.first_waiting(vin())), (4, None));
    }

    #[test]
    fn a_window_has_room_for_one_at_least() {
        assert_eq!(Window::new(0).room(), 1);
    }

    #[test]
    fn identifiers_wrap_without_zero_and_without_one_that_is_in_use() {
        let mut window = Window::new(100);
        window.last_id = u16::MAX - 2;
        let first = window.push(vin(), Sequence(1), 0);
        let reserved = NonZeroU16::new(2).unwrap();
        window.reserve(reserved);
        let ids: Vec<_> =
            (2..6).map(|number| window.push(vin(), Sequence(number), 0).get()).collect();
        assert_eq!(first.get(), u16::MAX - 1);
        assert_eq!(ids, [u16::MAX, 1, 3, 4]);
        window.last_id = u16::MAX - 2;
        assert_eq!(window.push(vin(), Sequence(6), 0).get(), 5);
    }
}
