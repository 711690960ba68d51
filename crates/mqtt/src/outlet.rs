//! The last step before a message leaves: what MQTT 5 adds to it, and whether the client takes one of its size.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};

use cardata_domain::{Gcid, Vin};

use crate::encode::Encoder;
use crate::packet::{Connect, Publish, TopicAlias};

/// Topic aliases of one connection, and the limits that its client set.
pub(crate) struct Outlet {
    encoder: Encoder,
    packet_size_max: usize,
    alias_max: u16,
    aliases: HashMap<(Gcid, Vin), NonZeroU16>,
}

impl Outlet {
    pub(crate) fn new(connect: &Connect) -> Self {
        Self {
            encoder: Encoder::new(connect.version),
            packet_size_max: usize::try_from(connect.packet_size_max).unwrap_or(usize::MAX),
            alias_max: connect.topic_alias_max,
            aliases: HashMap::new(),
        }
    }

    /// `publish` with the identifiers of the subscriptions that matched and with its topic's alias; `None` when it is
    /// larger than what the client takes, and must not be sent. [MQTT-3.1.2-24]
    pub(crate) fn prepare(
        &mut self,
        publish: Publish,
        identifiers: Vec<NonZeroU32>,
    ) -> Option<Publish> {
        let topic = (publish.customer, publish.vin);
        let alias = self.alias(topic);
        let prepared = Publish { alias, identifiers, ..publish };
        if self.encoder.publish_size(&prepared) > self.packet_size_max {
            return None;
        }
        if let Some(TopicAlias { number, known: false }) = alias {
            self.aliases.insert(topic, number);
        }
        Some(prepared)
    }

    /// The alias of a vehicle's topic: the one that the client knows, a new one while there are some, or none.
    fn alias(&self, topic: (Gcid, Vin)) -> Option<TopicAlias> {
        if let Some(number) = self.aliases.get(&topic) {
            return Some(TopicAlias { number: *number, known: true });
        }
        let next =
            u16::try_from(self.aliases.len() + 1).ok().filter(|next| *next <= self.alias_max)?;
        NonZeroU16::new(next).map(|number| TopicAlias { number, known: false })
    }
}
