//! OAuth clients: the programs that a customer lets at the data.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;
use uuid::Uuid;

use crate::customer::Gcid;
use crate::token::{Scope, Scopes};

/// An OAuth client's id, a UUID; compared without regard to case, since people paste it in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Uuid);

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a client id is a UUID")]
pub struct ClientIdError;

impl ClientId {
    /// A client id made from a UUID that the caller drew.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, ClientIdError> {
        Uuid::try_parse(text.trim()).map(Self).map_err(|_| ClientIdError)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The services that a client is subscribed to; they decide which scopes can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Services {
    /// The REST API.
    pub api: bool,
    /// The stream over MQTT.
    pub stream: bool,
}

/// A registered OAuth client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The public id.
    pub id: ClientId,
    /// The customer who made it; `None` for a third party's client, which many customers may use.
    pub owner: Option<Gcid>,
    /// What people call it.
    pub name: String,
    /// What it is subscribed to.
    pub services: Services,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Client {
    /// The scopes that a grant for this client gets of those that were `requested`: each that its services cover.
    ///
    /// `None` when it is subscribed to no service at all, or when CarData scopes were requested and none is
    /// covered (wire §1.2, §1.9).
    pub fn grantable(&self, requested: Scopes) -> Option<Scopes> {
        let covered = |scope: &Scope| match scope {
            Scope::AuthenticateUser | Scope::OpenId => true,
            Scope::ApiRead => self.services.api,
            Scope::StreamingRead => self.services.stream,
        };
        if !self.services.api && !self.services.stream {
            return None;
        }
        let granted: Scopes = requested.iter().filter(covered).collect();
        let cardata = |scopes: Scopes| {
            scopes.contains(Scope::ApiRead) || scopes.contains(Scope::StreamingRead)
        };
        (cardata(granted) || !cardata(requested)).then_some(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(services: Services) -> Client {
        Client {
            id: "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            owner: None,
            name: "test".into(),
            services,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_client_id_is_the_same_in_both_cases() {
        let lower: ClientId = "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap();
        assert_eq!("31C357A0-7A1D-4590-AA99-33B97244D048".parse(), Ok(lower));
    }

    #[test]
    fn a_scope_is_granted_only_with_its_service() {
        let all: Scopes = "openid cardata:api:read cardata:streaming:read".parse().unwrap();
        let granted = client(Services { api: true, stream: false }).grantable(all).unwrap();
        assert_eq!(granted.to_string(), "openid cardata:api:read");
        assert_eq!(client(Services::default()).grantable(all), None);
        let streaming: Scopes = "openid cardata:streaming:read".parse().unwrap();
        assert_eq!(client(Services { api: true, stream: false }).grantable(streaming), None);
    }
}
