//! How strict the server is: each a setting of its own, a profile sets them together (README, "Profiles").

use std::time::Duration;

use cardata_domain::projection::Packing;
use cardata_mqtt::session::Limits;
use jiff::{SignedDuration, Timestamp};

use cardata_store::directory::{ContainerLimit, SESSIONS_MAX};

/// Settings in which an open platform and the real service differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How many connections at a time, and who gives way.
    pub connections: Connections,
    /// How many connections of a client that reads for itself what many customers let it see; the oldest gives way.
    pub connections_per_fleet: usize,
    /// How many persistent sessions for each customer and client; those of which nothing was heard longest go first.
    pub sessions_per_client: u32,
    /// How many containers.
    pub containers: Containers,
    /// How many REST requests.
    pub requests: Requests,
    /// How an event's entries are packed into messages.
    pub packing: Packing,
    /// Whether QoS 1 is delivered as granted, or everything with QoS 0.
    pub delivery: Delivery,
    /// Whether a subscription brings the newest values.
    pub snapshots: bool,
    /// What one MQTT session may use.
    pub session: Limits,
    /// For how long a refresh token is still good after it was exchanged; zero refuses it at once.
    pub refresh_grace: SignedDuration,
}

/// How many connections at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// So many for each customer and client; the oldest gives way.
    PerClient(usize),
    /// One for each customer; the older one gives way.
    OnePerCustomerEvict,
    /// One for each customer; a second one is refused.
    OnePerCustomerRefuse,
}

/// How many containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// So many ACTIVE ones for each customer and client.
    ActivePerClient(u32),
    /// So many for each customer; a deleted one counts for this long.
    PerCustomer {
        /// How many.
        max: u32,
        /// How long a deleted one counts.
        deleted_count_for: SignedDuration,
    },
}

/// How many REST requests in a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// As many as come.
    Unlimited,
    /// So many for each customer and client.
    PerClient(u32),
    /// So many for each customer, over all clients.
    PerCustomer(u32),
}

impl Requests {
    /// The same with another number; 0 is no limit.
    #[must_use]
    pub fn with_max(self, max: u32) -> Self {
        match (self, max) {
            (_, 0) => Self::Unlimited,
            (Self::PerCustomer(_), _) => Self::PerCustomer(max),
            (Self::PerClient(_) | Self::Unlimited, _) => Self::PerClient(max),
        }
    }
}

impl Containers {
    /// The limit as the directory wants it at `now`.
    pub fn limit(self, now: Timestamp) -> ContainerLimit {
        match self {
            Self::ActivePerClient(max) => ContainerLimit::ActivePerClient(max),
            Self::PerCustomer { max, deleted_count_for } => ContainerLimit::PerCustomer {
                max,
                deleted_count_since: now.checked_sub(deleted_count_for).unwrap_or(Timestamp::MIN),
            },
        }
    }
}

/// With which quality of service messages go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As granted; persistent sessions get their backlog.
    AsGranted,
    /// QoS 0 whatever was granted, and no backlog.
    AtMostOnce,
}

/// More than a customer's client has: to share the load is what they are for.
const CONNECTIONS_PER_FLEET: usize = 20;

impl Profile {
    /// The default: what users of the real service wish for.
    pub fn open() -> Self {
        Self {
            connections: Connections::PerClient(5),
            connections_per_fleet: CONNECTIONS_PER_FLEET,
            sessions_per_client: SESSIONS_MAX,
            containers: Containers::ActivePerClient(10),
            requests: Requests::PerClient(5000),
            packing: Packing::Event,
            delivery: Delivery::AsGranted,
            snapshots: true,
            session: Limits::default(),
            refresh_grace: SignedDuration::from_secs(60),
        }
    }

    /// The real service, as it is documented and was observed.
    pub fn bmw() -> Self {
        Self {
            connections: Connections::OnePerCustomerEvict,
            connections_per_fleet: CONNECTIONS_PER_FLEET,
            // No session outlives its connection there.
            sessions_per_client: SESSIONS_MAX,
            containers: Containers::PerCustomer {
                max: 10,
                deleted_count_for: SignedDuration::from_hours(29 * 24),
            },
            requests: Requests::PerCustomer(50),
            packing: Packing::Entry,
            delivery: Delivery::AtMostOnce,
            snapshots: false,
            session: Limits { idle_max: Some(Duration::from_mins(1)), ..Limits::default() },
            refresh_grace: SignedDuration::ZERO,
        }
    }
}
