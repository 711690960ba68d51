//! What happened to a customer's account and data, line by line; lines are added, and never changed.
//!
//! Lines on consents ([`Act::is_on_consent`]) are the record of who let whom see what, for which purpose, from when until
//! when. They stay as long as the account.

use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::client::ClientId;
use crate::customer::Gcid;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The customer, in the portal.
    Customer,
    /// The client, over OAuth or REST.
    Client,
    /// The operator, through the admin API.
    Operator,
    /// This service by itself, as when time was over.
    Service,
}

impl Actor {
    /// Every actor.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Client, Self::Operator, Self::Service];

    /// The word in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Client => "CLIENT",
            Self::Operator => "OPERATOR",
            Self::Service => "SERVICE",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// A client got access. Detail: `consent_id`, `scopes`, `purpose`, `containers`, `until`.
    ConsentGranted,
    /// A client was turned away. Detail: `scopes`.
    ConsentRefused,
    /// Access ended. Detail: `consent_id`, `why`, `streams_closed`, `took_ms`.
    ConsentEnded,
    /// A container counts from now on. Detail: `container_id`, `name`, `purpose`, `descriptors`.
    ContainerAdded,
    /// A container counts no longer. Detail: `container_id`, `took_ms`.
    ContainerDeleted,
    /// The customer changed what a client is sent. Detail: `added`, `removed`, `descriptors`, `took_ms`.
    StreamConfigured,
    /// The customer changed how exactly a client may know places. Detail: `precision`, `hides_zones`.
    PrivacyChanged,
    /// A zone was added. Detail: `name`.
    ZoneAdded,
    /// A zone was removed. Detail: `name`.
    ZoneRemoved,
    /// Somebody logged in to the portal.
    LoggedIn,
    /// Somebody tried to log in to the portal with a wrong password.
    LogInRefused,
    /// Somebody logged out of the portal.
    LoggedOut,
    /// The password was changed. Detail: `consents_ended`.
    PasswordChanged,
    /// A client was made. Detail: `name`.
    ClientCreated,
    /// A client got another name. Detail: `name`.
    ClientRenamed,
    /// A client was subscribed to services, or lost one. Detail: `api`, `stream`.
    ServicesChanged,
    /// A client got another secret; the one before is good no longer.
    SecretRenewed,
    /// A client was deleted. Detail: `name`, `consents_ended`, `took_ms`.
    ClientDeleted,
    /// A client read data over REST. Detail: `endpoint`, `vin`, `times`.
    DataRead,
    /// Data was exported.
    DataExported,
    /// A customer was added.
    CustomerAdded,
    /// A customer and everything about them was deleted. Detail: nothing that names them.
    CustomerDeleted,
    /// A vehicle was added. Detail: `vin`.
    VehicleAdded,
    /// What is known of a vehicle was changed. Detail: `vin`.
    VehicleChanged,
    /// A vehicle got a certificate. Detail: `vin`, `serial`, `until`.
    CertificateIssued,
    /// Certificates of a vehicle are good no longer. Detail: `vin`, `serials`, `connections_closed`, `took_ms`.
    CertificatesRevoked,
    /// A program may report events. Detail: `name`, `vins` where it may for some alone.
    SourceAdded,
    /// A program may report events no longer. Detail: `name`.
    SourceRemoved,
    /// A mapping was added or changed. Detail: `vin`, `type`.
    MappingChanged,
    /// A mapping was ended. Detail: `vin`, `took_ms`.
    MappingEnded,
    /// A new key signs. Detail: `kid`.
    KeyRotated,
    /// A key that signed nothing any more was removed. Detail: `kid`.
    KeyRetired,
    /// A fault on purpose begins, in a sandbox. Detail: `kind`, `fault`.
    FaultBegun,
    /// A fault on purpose was ended. Detail: `kind`, `fault`, `strikes`.
    FaultEnded,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 34] = [
        Self::ConsentGranted,
        Self::ConsentRefused,
        Self::ConsentEnded,
        Self::ContainerAdded,
        Self::ContainerDeleted,
        Self::StreamConfigured,
        Self::PrivacyChanged,
        Self::ZoneAdded,
        Self::ZoneRemoved,
        Self::LoggedIn,
        Self::LogInRefused,
        Self::LoggedOut,
        Self::PasswordChanged,
        Self::ClientCreated,
        Self::ClientRenamed,
        Self::ServicesChanged,
        Self::SecretRenewed,
        Self::ClientDeleted,
        Self::DataRead,
        Self::DataExported,
        Self::CustomerAdded,
        Self::CustomerDeleted,
        Self::VehicleAdded,
        Self::VehicleChanged,
        Self::CertificateIssued,
        Self::CertificatesRevoked,
        Self::SourceAdded,
        Self::SourceRemoved,
        Self::MappingChanged,
        Self::MappingEnded,
        Self::KeyRotated,
        Self::KeyRetired,
        Self::FaultBegun,
        Self::FaultEnded,
    ];

    /// The word in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsentGranted => "CONSENT_GRANTED",
            Self::ConsentRefused => "CONSENT_REFUSED",
            Self::ConsentEnded => "CONSENT_ENDED",
            Self::ContainerAdded => "CONTAINER_ADDED",
            Self::ContainerDeleted => "CONTAINER_DELETED",
            Self::StreamConfigured => "STREAM_CONFIGURED",
            Self::PrivacyChanged => "PRIVACY_CHANGED",
            Self::ZoneAdded => "ZONE_ADDED",
            Self::ZoneRemoved => "ZONE_REMOVED",
            Self::LoggedIn => "LOGGED_IN",
            Self::LogInRefused => "LOG_IN_REFUSED",
            Self::LoggedOut => "LOGGED_OUT",
            Self::PasswordChanged => "PASSWORD_CHANGED",
            Self::ClientCreated => "CLIENT_CREATED",
            Self::ClientRenamed => "CLIENT_RENAMED",
            Self::ServicesChanged => "SERVICES_CHANGED",
            Self::SecretRenewed => "SECRET_RENEWED",
            Self::ClientDeleted => "CLIENT_DELETED",
            Self::DataRead => "DATA_READ",
            Self::DataExported => "DATA_EXPORTED",
            Self::CustomerAdded => "CUSTOMER_ADDED",
            Self::CustomerDeleted => "CUSTOMER_DELETED",
            Self::VehicleAdded => "VEHICLE_ADDED",
            Self::VehicleChanged => "VEHICLE_CHANGED",
            Self::CertificateIssued => "CERTIFICATE_ISSUED",
            Self::CertificatesRevoked => "CERTIFICATES_REVOKED",
            Self::SourceAdded => "SOURCE_ADDED",
            Self::SourceRemoved => "SOURCE_REMOVED",
            Self::MappingChanged => "MAPPING_CHANGED",
            Self::MappingEnded => "MAPPING_ENDED",
            Self::KeyRotated => "KEY_ROTATED",
            Self::KeyRetired => "KEY_RETIRED",
            Self::FaultBegun => "FAULT_BEGUN",
            Self::FaultEnded => "FAULT_ENDED",
        }
    }

    /// Whether it belongs to the record of consents: who may see what, since when, until when.
    pub fn is_on_consent(self) -> bool {
        matches!(
            self,
            Self::ConsentGranted
                | Self::ConsentRefused
                | Self::ConsentEnded
                | Self::ContainerAdded
                | Self::ContainerDeleted
                | Self::StreamConfigured
                | Self::PrivacyChanged
        )
    }
}

/// The text is no actor, or no act.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` stands in no ledger")]
pub struct UnknownWord(String);

impl FromStr for Actor {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|actor| actor.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

impl FromStr for Act {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|act| act.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// To whose account; `None` where it is no customer's.
    pub gcid: Option<Gcid>,
    /// With which client, where one is concerned.
    pub client_id: Option<ClientId>,
    /// What.
    pub act: Act,
    /// More, as the act says; never a secret.
    pub detail: Map<String, Value>,
}

impl Record {
    /// A line without detail.
    pub fn new(at: Timestamp, actor: Actor, act: Act) -> Self {
        Self { at, actor, gcid: None, client_id: None, act, detail: Map::new() }
    }

    /// The same in the account of `gcid`.
    #[must_use]
    pub fn of(self, gcid: Gcid) -> Self {
        Self { gcid: Some(gcid), ..self }
    }

    /// The same with `client_id`.
    #[must_use]
    pub fn with_client(self, client_id: ClientId) -> Self {
        Self { client_id: Some(client_id), ..self }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_none_stands_twice() {
        for actor in Actor::ALL {
            assert_eq!(actor.as_str().parse(), Ok(actor));
        }
        let mut words = std::collections::HashSet::new();
        for act in Act::ALL {
            assert_eq!(act.as_str().parse(), Ok(act));
            assert!(words.insert(act.as_str()), "{act:?}");
        }
    }
}
