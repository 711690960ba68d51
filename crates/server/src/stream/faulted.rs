//! What faults on purpose do to one connection: how it is as a whole, and its messages on their way out.
//!
//! A message that is held back was delivered for the session, and not for the client: with QoS 1 or 2 it waits in the
//! window for its acknowledgement, and comes again if the connection ends before; so no cursor passes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cardata_domain::projection::View;
use cardata_domain::{Gcid, Vin};
use cardata_mqtt::packet::{Publish, Qos, TopicAlias};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::entitlements::ViewCell;
use crate::faults::kind::Manner;
use crate::faults::{Faults, Kind, Whom};

/// How long a message waits at the most for the one that is to come before it.
const REORDER_PATIENCE: Duration = Duration::from_secs(2);
/// How the name of a longitude ends.
const LONGITUDE: &str = ".longitude";

/// What faults do to a connection, and the messages that they hold back.
#[derive(Default)]
pub(super) struct Faulted {
    /// Which faults the connection was looked at for: those up to this number.
    looked_at: u64,
    /// Those that have struck it as a whole.
    lasting: Vec<(u64, Kind)>,
    /// Messages in their order.
    queue: VecDeque<Held>,
    /// Messages that others may pass.
    aside: Vec<Held>,
}

/// An encoded message that waits.
struct Held {
    bytes: Bytes,
    due: Instant,
    /// Whether it goes out behind the next message, if one comes before it is due.
    after_next: bool,
    seen: Seen,
}

/// What the client was entitled to when a message was made for it.
#[derive(Clone)]
pub(super) struct Seen {
    vin: Vin,
    cell: Arc<ViewCell>,
    view: Arc<View>,
}

impl Seen {
    /// Of `vin`, as it is now.
    pub(super) fn now(vin: Vin, cell: Arc<ViewCell>) -> Self {
        let view = cell.load_full();
        Self { vin, cell, view }
    }

    fn holds(&self) -> bool {
        Arc::ptr_eq(&self.cell.load(), &self.view)
    }
}

/// What was held back may not be sent any more: the client may see something else now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outdated;

impl Faulted {
    /// Looks which faults have come that strike the connection as a whole, and which are gone.
    pub(super) fn look(&mut self, faults: &Faults, whom: Whom<'_>, now: Timestamp) {
        self.lasting.retain(|(id, _)| faults.has(*id, now));
        let looked_at = self.looked_at;
        let is_new = |fault: &crate::faults::Fault| {
            let lasts = fault.kind.description().manner == Manner::Lasting;
            (lasts && fault.id > looked_at).then(|| (fault.id, fault.kind.clone()))
        };
        self.lasting.extend(faults.strike(whom, now, is_new));
        self.looked_at = faults.newest();
    }

    /// Whether nothing at all goes out.
    pub(super) fn is_frozen(&self) -> bool {
        self.lasting.iter().any(|(_, kind)| *kind == Kind::Freeze)
    }

    fn is_stale(&self) -> bool {
        self.lasting.iter().any(|(_, kind)| *kind == Kind::StaleStream)
    }

    /// How long the client may be silent, where a fault says so.
    pub(super) fn idle_max(&self) -> Option<Duration> {
        let times = self.lasting.iter().filter_map(|(_, kind)| match kind {
            Kind::IdleCut(time) => Some(*time),
            _ => None,
        });
        times.min()
    }

    /// Whether the connection is as any other.
    pub(super) fn is_well(&self) -> bool {
        self.lasting.is_empty() && self.queue.is_empty() && self.aside.is_empty()
    }

    /// Whether a message waits for the next one.
    pub(super) fn waits_for_next(&self) -> bool {
        self.aside.iter().any(|held| held.after_next)
    }

    /// Bytes that are held back.
    pub(super) fn held_bytes(&self) -> usize {
        self.queue.iter().chain(&self.aside).map(|held| held.bytes.len()).sum()
    }

    /// Whether a message is held back of a vehicle and customer that are not `still` what they were.
    pub(super) fn holds_other_than(&self, still: impl Fn(Vin, Gcid) -> bool) -> bool {
        self.queue.iter().chain(&self.aside).any(|held| !still(held.seen.vin, held.seen.view.gcid))
    }

    /// When [`Faulted::release`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_stale() {
            return None;
        }
        let first = self.queue.front().map(|held| held.due);
        self.aside.iter().map(|held| held.due).chain(first).min()
    }

    /// Takes a message on its way; what may go at once is put into `output`.
    pub(super) fn put(
        &mut self,
        bytes: &Bytes,
        step: Step,
        seen: &Seen,
        now: Instant,
        output: &mut BytesMut,
    ) {
        let held =
            |due, after_next| Held { bytes: bytes.clone(), due, after_next, seen: seen.clone() };
        match step {
            Step::Aside(time) => return self.aside.push(held(now + time, false)),
            Step::AfterNext => return self.aside.push(held(now + REORDER_PATIENCE, true)),
            Step::After(time) => {
                let behind = self.queue.back().map_or(now, |last| last.due);
                let due = behind.max(now + time);
                if due > now || !self.queue.is_empty() || self.is_stale() {
                    self.queue.push_back(held(due, false));
                } else {
                    output.extend_from_slice(bytes);
                }
            }
        }
        let (passed, aside) = std::mem::take(&mut self.aside)
            .into_iter()
            .partition::<Vec<_>, _>(|held| held.after_next);
        self.aside = aside;
        for Held { bytes, seen, .. } in passed {
            self.put(&bytes, Step::After(Duration::ZERO), &seen, now, output);
        }
    }

    /// Puts what is due into `output`.
    ///
    /// # Errors
    /// [`Outdated`]: the connection must end, so that the client gets what it may still see when it comes back.
    pub(super) fn release(&mut self, now: Instant, output: &mut BytesMut) -> Result<(), Outdated> {
        if self.is_stale() {
            return Ok(());
        }
        while let Some(held) = self.queue.pop_front_if(|held| held.due <= now) {
            held.go(output)?;
        }
        let (due, aside) = std::mem::take(&mut self.aside)
            .into_iter()
            .partition::<Vec<_>, _>(|held| held.due <= now);
        self.aside = aside;
        due.into_iter().try_for_each(|held| held.go(output))
    }
}

impl Held {
    fn go(self, output: &mut BytesMut) -> Result<(), Outdated> {
        if !self.seen.holds() {
            return Err(Outdated);
        }
        output.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// How a message goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Behind all before it, and not before so long.
    After(Duration),
    /// So much later, while others pass it.
    Aside(Duration),
    /// Behind the next one.
    AfterNext,
}

/// What faults do to one message: those that have struck it.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Kind>);

impl Plan {
    /// What is drawn for a message to `whom`.
    pub(super) fn draw(
        faults: &Faults,
        whom: Whom<'_>,
        now: Timestamp,
        payload: &[u8],
        may_wait_for_next: bool,
    ) -> Self {
        let entries = entries(payload).unwrap_or_default();
        let concerned = |kind: &Kind| match kind {
            Kind::DropAtMessage | Kind::Delay(_) | Kind::Duplicate | Kind::OddUnits => true,
            Kind::Reorder => may_wait_for_next,
            Kind::SplitPosition(_) => has_longitude(&entries),
            Kind::OneEntry => entries.len() > 1,
            _ => false,
        };
        Self(faults.strike(whom, now, |fault| concerned(&fault.kind).then(|| fault.kind.clone())))
    }

    /// Whether the connection ends in the message's place.
    pub(super) fn cuts(&self) -> bool {
        self.has(&Kind::DropAtMessage)
    }

    fn has(&self, kind: &Kind) -> bool {
        self.0.contains(kind)
    }

    fn delay(&self) -> Duration {
        let delays = self.0.iter().filter_map(|kind| match kind {
            Kind::Delay(time) => Some(*time),
            _ => None,
        });
        delays.max().unwrap_or_default()
    }

    fn longitude_later(&self) -> Option<Duration> {
        let times = self.0.iter().filter_map(|kind| match kind {
            Kind::SplitPosition(time) => Some(*time),
            _ => None,
        });
        times.max()
    }

    /// The messages that come of `publish`, in the order in which they set out. All but the last one have QoS 0, so that the
    /// client's acknowledgement is for the whole.
    pub(super) fn carry_out(&self, publish: Publish) -> Vec<(Publish, Step)> {
        // Whatever overtakes the message that would have made it known.
        let alias = publish.alias.map(|alias| TopicAlias { known: false, ..alias });
        let publish = Publish { alias, ..publish };
        let copies = if self.has(&Kind::Duplicate) { 2 } else { 1 };
        let payloads = self.payloads(&publish.payload);
        let mut made: Vec<_> = payloads
            .into_iter()
            .flat_map(|payload| std::iter::repeat_n(payload, copies))
            .map(|payload| {
                let step = self.step(&payload);
                let qos = Qos::AtMostOnce;
                let (packet_id, duplicate, gap) = (None, false, None);
                (Publish { payload, qos, packet_id, duplicate, gap, ..publish.clone() }, step)
            })
            .collect();
        if let Some((last, _)) = made.last_mut() {
            *last = Publish { payload: last.payload.clone(), ..publish };
        }
        made
    }

    fn step(&self, payload: &[u8]) -> Step {
        match self.longitude_later() {
            Some(time) if entries(payload).is_some_and(|all| has_longitude(&all)) => {
                Step::Aside(time)
            }
            _ if self.has(&Kind::Reorder) => Step::AfterNext,
            _ => Step::After(self.delay()),
        }
    }

    fn payloads(&self, payload: &Bytes) -> Vec<Bytes> {
        let Some(mut entries) = entries(payload) else { return vec![payload.clone()] };
        let is_odd = self.has(&Kind::OddUnits);
        if is_odd {
            entries.values_mut().for_each(make_odd);
        }
        let groups: Vec<Map<String, Value>> = if self.has(&Kind::OneEntry) {
            entries.into_iter().map(|entry| Map::from_iter([entry])).collect()
        } else if self.longitude_later().is_some() && entries.len() > 1 {
            let (longitude, rest): (Map<_, _>, Map<_, _>) =
                entries.into_iter().partition(|(name, _)| name.ends_with(LONGITUDE));
            vec![rest, longitude]
        } else if is_odd {
            vec![entries]
        } else {
            return vec![payload.clone()];
        };
        groups.into_iter().map(|entries| with_entries(payload, entries)).collect()
    }
}

fn has_longitude(entries: &Map<String, Value>) -> bool {
    entries.keys().any(|name| name.ends_with(LONGITUDE))
}

/// The entries of a message, by their names.
fn entries(payload: &[u8]) -> Option<Map<String, Value>> {
    let mut message: Value = serde_json::from_slice(payload).ok()?;
    match message.get_mut("data")?.take() {
        Value::Object(entries) => Some(entries),
        _ => None,
    }
}

/// The message with other entries.
fn with_entries(payload: &[u8], entries: Map<String, Value>) -> Bytes {
    let mut message: Value = serde_json::from_slice(payload).unwrap_or_default();
    message["data"] = Value::Object(entries);
    message.to_string().into()
}

/// Numbers become texts, and units are called otherwise than the catalogue says.
fn make_odd(entry: &mut Value) {
    const MILES_IN_A_KILOMETRE: f64 = 0.621_371;
    let unit = entry.get("unit").and_then(Value::as_str).unwrap_or_default().to_owned();
    if unit == "km" {
        entry["unit"] = "mi".into();
        if let Some(kilometres) = entry["value"].as_f64() {
            entry["value"] = (kilometres * MILES_IN_A_KILOMETRE).into();
        }
    } else if unit == "percent" {
        entry["unit"] = "%".into();
    }
    if entry["value"].is_number() {
        entry["value"] = entry["value"].to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use cardata_domain::projection::Packing;
    use serde_json::json;

    use super::*;

    fn seen() -> Seen {
        let view =
            View::nothing("aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(), Packing::Event);
        let vin = "WBY00000000000001".parse().unwrap();
        Seen::now(vin, Arc::new(ArcSwap::from_pointee(view)))
    }

    fn publish(payload: &Value) -> Publish {
        let gcid = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap();
        let vin = "WBY00000000000001".parse().unwrap();
        let qos = Qos::AtLeastOnce;
        let packet_id = std::num::NonZeroU16::new(7);
        Publish { qos, packet_id, ..Publish::new(vin, gcid, payload.to_string().into()) }
    }

    fn position() -> Value {
        json!({"vin": "x", "data": {
            "a.latitude": {"value": 48.1},
            "a.longitude": {"value": 11.5},
            "a.mileage": {"value": 100, "unit": "km"},
            "a.soc": {"value": 5, "unit": "percent"},
        }})
    }

    /// What goes out at once, and what at each of the following seconds.
    fn told(puts: &[(&'static str, Step)], seconds: u64) -> Vec<String> {
        let (mut faulted, seen, now) = (Faulted::default(), seen(), Instant::now());
        let mut output = BytesMut::new();
        for (bytes, step) in puts {
            faulted.put(&Bytes::from_static(bytes.as_bytes()), *step, &seen, now, &mut output);
        }
        let mut told = vec![String::from_utf8(output.split().to_vec()).unwrap()];
        for second in 1..=seconds {
            let later = now + Duration::from_secs(second);
            faulted.release(later, &mut output).unwrap();
            told.push(String::from_utf8(output.split().to_vec()).unwrap());
        }
        assert_eq!((faulted.due(), faulted.held_bytes()), (None, 0));
        told
    }

    const AT_ONCE: Step = Step::After(Duration::ZERO);

    #[tokio::test]
    async fn what_is_delayed_keeps_its_order_with_all_behind_it() {
        let after = Step::After(Duration::from_secs(2));
        assert_eq!(told(&[("a", AT_ONCE), ("b", after), ("c", AT_ONCE)], 2), ["a", "", "bc"]);
    }

    #[tokio::test]
    async fn what_is_put_aside_is_passed_by_others() {
        let aside = Step::Aside(Duration::from_secs(1));
        assert_eq!(told(&[("a", aside), ("b", AT_ONCE)], 1), ["b", "a"]);
        assert_eq!(told(&[("a", Step::AfterNext), ("b", AT_ONCE), ("c", AT_ONCE)], 0), ["bac"]);
        assert_eq!(told(&[("a", Step::AfterNext)], 2), ["", "", "a"]);
    }

    /// A step, as a number says.
    fn step(number: u64) -> Step {
        let time = Duration::from_secs(number / 4 % 4);
        match number % 4 {
            0 | 1 => Step::After(time),
            2 => Step::Aside(time),
            _ => Step::AfterNext,
        }
    }

    #[tokio::test]
    async fn whatever_faults_do_each_message_goes_out_once_and_what_is_in_order_stays_so() {
        let mut numbers = (1..).map(|number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33);
        for run in 0..200 {
            let (mut faulted, seen) = (Faulted::default(), seen());
            let (mut output, mut now) = (BytesMut::new(), Instant::now());
            let mut ordered = Vec::new();
            for message in 0..50_u8 {
                let step = step(numbers.next().unwrap());
                if matches!(step, Step::After(_)) {
                    ordered.push(message);
                }
                faulted.put(&Bytes::copy_from_slice(&[message]), step, &seen, now, &mut output);
                now += Duration::from_millis(numbers.next().unwrap() % 1000);
                faulted.release(now, &mut output).unwrap();
                assert_eq!(output.len() + faulted.held_bytes(), usize::from(message) + 1, "{run}");
            }
            while let Some(due) = faulted.due() {
                faulted.release(due, &mut output).unwrap();
            }
            let mut all = output.to_vec();
            all.retain(|message| ordered.contains(message));
            assert_eq!(all, ordered, "{run}");
            output.sort_unstable();
            assert_eq!(output, (0..50).collect::<Vec<u8>>(), "{run}");
        }
    }

    #[tokio::test]
    async fn what_the_client_may_see_no_longer_is_not_sent() {
        let (mut faulted, seen, now) = (Faulted::default(), seen(), Instant::now());
        let mut output = BytesMut::new();
        let later = Step::After(Duration::from_secs(1));
        faulted.put(&Bytes::from_static(b"a"), later, &seen, now, &mut output);
        seen.cell.store(Arc::new(View::clone(&seen.view)));
        let released = faulted.release(now + Duration::from_secs(1), &mut output);
        assert_eq!((released, output.len()), (Err(Outdated), 0));
    }

    #[test]
    fn a_message_that_comes_in_parts_is_acknowledged_with_the_last_one() {
        let plan = Plan(vec![Kind::OneEntry]);
        let parts = plan.carry_out(publish(&position()));
        let ids: Vec<_> = parts.iter().map(|(part, _)| part.packet_id.is_some()).collect();
        assert_eq!(ids, [false, false, false, true]);
        let names: Vec<_> = parts
            .iter()
            .map(|(part, _)| entries(&part.payload).unwrap().keys().next().unwrap().clone())
            .collect();
        assert_eq!(names, ["a.latitude", "a.longitude", "a.mileage", "a.soc"]);
    }

    #[test]
    fn a_longitude_comes_later_than_its_latitude() {
        let time = Duration::from_secs(5);
        let plan = Plan(vec![Kind::SplitPosition(time)]);
        let parts = plan.carry_out(publish(&position()));
        assert_eq!(
            parts.iter().map(|(_, step)| *step).collect::<Vec<_>>(),
            [AT_ONCE, Step::Aside(time)]
        );
        assert_eq!(entries(&parts[1].0.payload).unwrap().len(), 1);
        let alone = json!({"data": {"a.longitude": {"value": 11.5}}});
        let parts = plan.carry_out(publish(&alone));
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].1, Step::Aside(time));
    }

    #[test]
    fn what_comes_twice_is_the_message_and_a_copy() {
        let plan = Plan(vec![Kind::Duplicate]);
        let parts = plan.carry_out(publish(&position()));
        let ids: Vec<_> = parts.iter().map(|(part, _)| part.packet_id.is_some()).collect();
        assert_eq!((ids, parts[0].0.payload == parts[1].0.payload), (vec![false, true], true));
    }

    #[test]
    fn units_are_odd() {
        let plan = Plan(vec![Kind::OddUnits]);
        let parts = plan.carry_out(publish(&position()));
        let entries = entries(&parts[0].0.payload).unwrap();
        assert_eq!(entries["a.soc"], json!({"value": "5", "unit": "%"}));
        assert_eq!(entries["a.mileage"]["unit"], "mi");
        assert!(entries["a.mileage"]["value"].as_str().unwrap().starts_with("62.137"));
        assert_eq!(entries["a.latitude"], json!({"value": "48.1"}));
    }
}
