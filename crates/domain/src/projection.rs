//! What a client may see of an event.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::customer::Gcid;
use crate::descriptor::DescriptorSet;
use crate::event::{Entry, Event, Payloads};
use crate::privacy::LocationPrivacy;

/// The entries of `event` that a client entitled to `entitled` may see, in the event's order, with places as exact as
/// `privacy` allows.
///
/// `None` when nothing is left: the wire has no empty event, and one would betray a hidden reading.
pub fn project<'a>(
    event: &'a Event,
    entitled: &DescriptorSet,
    privacy: Option<&LocationPrivacy>,
) -> Option<Vec<Cow<'a, Entry>>> {
    let visible = visible(event.entries(), entitled, privacy);
    (!visible.is_empty()).then_some(visible)
}

/// The same of any `entries` that were told together, in their order; may be empty.
pub fn visible<'a>(
    entries: &'a [Entry],
    entitled: &DescriptorSet,
    privacy: Option<&LocationPrivacy>,
) -> Vec<Cow<'a, Entry>> {
    let visible = entries.iter().filter(|entry| entitled.contains(entry.descriptor()));
    match privacy {
        None => visible.map(Cow::Borrowed).collect(),
        Some(privacy) => privacy.apply(visible.collect(), entries),
    }
}

/// How entries are put into messages (wire §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// All visible entries of an event in one message.
    Event,
    /// A message for each entry, as the real service sends them.
    Entry,
}

/// Whose eyes an event is encoded for: the customer, what the client is entitled to, and how it is packed.
///
/// Two clients with equal views get the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    /// The customer; stands in each message.
    pub gcid: Gcid,
    /// What may be seen.
    pub entitled: DescriptorSet,
    /// How exactly places may be known; `None` exactly.
    pub privacy: Option<Arc<LocationPrivacy>>,
    /// How it is packed.
    pub packing: Packing,
}

impl View {
    /// The view of a client that may see nothing.
    pub fn nothing(gcid: Gcid, packing: Packing) -> Self {
        Self { gcid, entitled: DescriptorSet::new(), privacy: None, packing }
    }

    /// What of `event` is visible, encoded message by message; empty when nothing is.
    pub fn payloads(
        &self,
        event: &Event,
        mut encode: impl FnMut(&Event, &[&Entry]) -> Bytes,
    ) -> Payloads {
        let visible = project(event, &self.entitled, self.privacy.as_deref());
        let Some(visible) = visible else { return Payloads::default() };
        let visible: Vec<&Entry> = visible.iter().map(AsRef::as_ref).collect();
        match self.packing {
            Packing::Event => [encode(event, &visible)].into(),
            Packing::Entry => visible.chunks(1).map(|entry| encode(event, entry)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Catalogue, Value};

    #[test]
    fn a_client_sees_the_entries_of_its_set_and_no_other() {
        let catalogue = Catalogue::shipped();
        let [soc, range, odometer] = ["vehicle.soc", "vehicle.range", "vehicle.odometer"]
            .map(|name| catalogue.intern(name).unwrap());
        let entry = |id| Entry::new(&catalogue, id, Timestamp::UNIX_EPOCH, Value::integer(1), None);
        let vin = "WBY00000000000001".parse().unwrap();
        let event = Event::new(vin, Timestamp::UNIX_EPOCH, vec![entry(soc), entry(range)]).unwrap();

        let seen = |ids: &[_]| {
            let set = ids.iter().copied().collect();
            project(&event, &set, None)
                .map(|entries| entries.iter().map(|entry| entry.descriptor()).collect::<Vec<_>>())
        };
        assert_eq!(seen(&[range, odometer]), Some(vec![range]));
        assert_eq!(seen(&[soc, range]), Some(vec![soc, range]));
        assert_eq!(seen(&[odometer]), None);
        assert_eq!(seen(&[]), None);
    }
}
