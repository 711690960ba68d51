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

/// Who may use a client, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A customer made it in the portal, and it sees that customer's data alone.
    Personal(Gcid),
    /// The operator registered it, and each customer may let it in.
    ThirdParty,
    /// A program of the operator's that asks whether tokens are good (RFC 7662), and gets none itself.
    ResourceServer,
}

/// Whether a client can still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can.
    Active,
    /// It was deleted, and its id is never given again.
    Deleted {
        /// When.
        at: Timestamp,
    },
}

/// A client is deleted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client was deleted before")]
pub struct AlreadyDeleted;

/// Characters that a client's name may have; customers see it when they consent.
pub const NAME_LENGTH_MAX: usize = 100;

/// A name can't be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a client's name has 1 to {NAME_LENGTH_MAX} characters and no control characters")]
pub struct NameError;

/// `text` without spaces around it, if it can be a client's name.
///
/// # Errors
/// [`NameError`] when it is empty, too long, or holds what would break a page or a log.
pub fn name(text: &str) -> Result<String, NameError> {
    let name = text.trim();
    let is_sound = (1..=NAME_LENGTH_MAX).contains(&name.chars().count())
        && !name.chars().any(char::is_control);
    is_sound.then(|| name.to_owned()).ok_or(NameError)
}

/// Why a client gets no token for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OwnScopesError {
    /// It is personal, public, deleted, or a resource server.
    #[error("only a third party's client with a secret acts for itself")]
    NotForThisClient,
    /// Nothing is left of what it asked for.
    #[error("the client is not subscribed to the service of any CarData scope that it asks for")]
    NoScope,
}

/// A registered OAuth client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The public id.
    pub id: ClientId,
    /// Who may use it.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// What a third party wants the data for, in words for customers; may be empty.
    pub purpose: String,
    /// What it is subscribed to.
    pub services: Services,
    /// The SHA-256 of its secret, in lower-case hexadecimal; `None` for a public client, which has none.
    pub secret_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it can still be used.
    pub state: State,
}

impl Client {
    /// Whether it can still be used.
    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// The state after it was deleted.
    ///
    /// # Errors
    /// [`AlreadyDeleted`] when it was before.
    pub fn delete(&self, at: Timestamp) -> Result<State, AlreadyDeleted> {
        match self.state {
            State::Active => Ok(State::Deleted { at }),
            State::Deleted { .. } => Err(AlreadyDeleted),
        }
    }

    /// Whether `gcid` may let it in, or turn it away.
    pub fn is_open_to(&self, gcid: Gcid) -> bool {
        match self.kind {
            Kind::Personal(owner) => owner == gcid,
            Kind::ThirdParty => true,
            Kind::ResourceServer => false,
        }
    }

    /// The scopes that a grant for this client gets of those that were `requested`: each that its services cover.
    ///
    /// `None` when it was deleted, is subscribed to no service at all, or when CarData scopes were requested and none is
    /// covered (wire §1.2, §1.9).
    pub fn grantable(&self, requested: Scopes) -> Option<Scopes> {
        let covered = |scope: &Scope| match scope {
            Scope::AuthenticateUser | Scope::OpenId => true,
            Scope::ApiRead => self.services.api,
            Scope::StreamingRead => self.services.stream,
        };
        let has_service = self.services.api || self.services.stream;
        if !has_service || !self.is_active() || self.kind == Kind::ResourceServer {
            return None;
        }
        let granted: Scopes = requested.iter().filter(covered).collect();
        let cardata = |scopes: Scopes| {
            scopes.contains(Scope::ApiRead) || scopes.contains(Scope::StreamingRead)
        };
        (cardata(granted) || !cardata(requested)).then_some(granted)
    }

    /// The scopes that it gets when it acts for itself (RFC 6749 §4.4): of those that were `requested`, or of all when
    /// none were named, each CarData scope that its services cover.
    ///
    /// # Errors
    /// [`OwnScopesError`]; there is no token then.
    pub fn own_scopes(&self, requested: Option<Scopes>) -> Result<Scopes, OwnScopesError> {
        let may = self.kind == Kind::ThirdParty && self.secret_hash.is_some() && self.is_active();
        if !may {
            return Err(OwnScopesError::NotForThisClient);
        }
        // No person is there who could log in, so the other two scopes mean nothing.
        let cardata = [Scope::ApiRead, Scope::StreamingRead].into_iter();
        let wanted = cardata.filter(|scope| requested.is_none_or(|all| all.contains(*scope)));
        let scopes = self.grantable(wanted.collect()).unwrap_or_default();
        if scopes.is_empty() { Err(OwnScopesError::NoScope) } else { Ok(scopes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(services: Services) -> Client {
        Client {
            id: "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            kind: Kind::ThirdParty,
            name: "test".into(),
            purpose: String::new(),
            services,
            secret_hash: None,
            created_at: Timestamp::UNIX_EPOCH,
            state: State::Active,
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

    #[test]
    fn a_deleted_client_is_granted_nothing_and_is_deleted_once() {
        let mut client = client(Services { api: true, stream: true });
        client.state = client.delete(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(client.grantable("openid".parse().unwrap()), None);
        assert_eq!(client.delete(Timestamp::UNIX_EPOCH), Err(AlreadyDeleted));
    }

    #[test]
    fn a_personal_client_is_open_to_its_owner_alone_and_a_resource_server_to_nobody() {
        let [owner, other]: [Gcid; 2] = ["aa", "bb"]
            .map(|first| format!("{first}111192-d570-4d3d-8835-656ee00edcd7").parse().unwrap());
        let open_to = |kind, gcid| Client { kind, ..client(Services::default()) }.is_open_to(gcid);
        assert!(open_to(Kind::Personal(owner), owner) && !open_to(Kind::Personal(owner), other));
        assert!(open_to(Kind::ThirdParty, other) && !open_to(Kind::ResourceServer, owner));
    }

    #[test]
    fn a_third_party_with_a_secret_gets_for_itself_what_its_services_cover() {
        let secret_hash = Some("hash".to_owned());
        let both = Services { api: true, stream: true };
        let own = Client { secret_hash: secret_hash.clone(), ..client(both) };
        let asked = |client: &Client, scopes: &str| {
            client.own_scopes(Some(scopes.parse().unwrap())).map(|scopes| scopes.to_string())
        };
        let told = |client: &Client| client.own_scopes(None).map(|scopes| scopes.to_string());
        assert_eq!(told(&own).unwrap(), "cardata:api:read cardata:streaming:read");
        assert_eq!(asked(&own, "openid cardata:api:read").unwrap(), "cardata:api:read");
        assert_eq!(asked(&own, "openid"), Err(OwnScopesError::NoScope));
        let streams = Client { services: Services { api: false, stream: true }, ..own.clone() };
        assert_eq!(told(&streams).unwrap(), "cardata:streaming:read");
        assert_eq!(asked(&streams, "cardata:api:read"), Err(OwnScopesError::NoScope));
        assert_eq!(
            told(&Client { services: Services::default(), ..own.clone() }),
            Err(OwnScopesError::NoScope)
        );
        let owner = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap();
        for other in [
            client(both),
            Client { kind: Kind::Personal(owner), ..own.clone() },
            Client { kind: Kind::ResourceServer, ..own.clone() },
            Client { state: State::Deleted { at: Timestamp::UNIX_EPOCH }, ..own.clone() },
        ] {
            assert_eq!(told(&other), Err(OwnScopesError::NotForThisClient));
        }
    }

    #[test]
    fn a_name_is_trimmed_and_has_no_control_characters() {
        assert_eq!(name("  my hub "), Ok("my hub".to_owned()));
        for wrong in ["", "  ", "a\nb", &"x".repeat(NAME_LENGTH_MAX + 1)] {
            assert_eq!(name(wrong), Err(NameError), "{wrong:?}");
        }
    }
}
