//! Containers: named sets of descriptors that a client registered for a customer.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::catalogue::Catalogue;
use crate::client::ClientId;
use crate::customer::Gcid;

/// A container's id: 13 characters, A–Z and 0–9 (wire §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId([u8; Self::LENGTH]);

/// The text is not a container's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a container id has 13 characters, A to Z and 0 to 9")]
pub struct ContainerIdError;

impl ContainerId {
    /// Characters in an id.
    pub const LENGTH: usize = 13;

    /// An id made from random bytes that the caller drew; the first byte chooses the first character, and so on.
    pub fn from_random(bytes: [u8; Self::LENGTH]) -> Self {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        Self(bytes.map(|byte| ALPHABET[usize::from(byte % 32)]))
    }

    /// The id as it stands on the wire.
    ///
    /// # Panics
    /// Never: an id is made of ASCII characters only.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a container id is made of ASCII characters only")
    }
}

impl FromStr for ContainerId {
    type Err = ContainerIdError;

    fn from_str(text: &str) -> Result<Self, ContainerIdError> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| ContainerIdError)?;
        let allowed = bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        allowed.then_some(Self(bytes)).ok_or(ContainerIdError)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client wants to register; holding one is the proof that every descriptor is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRequest {
    name: String,
    purpose: String,
    descriptors: Vec<String>,
}

/// Why a container can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContainerError {
    /// The name is missing or too long.
    #[error("`name` must have 1 to {TEXT_LENGTH_MAX} characters")]
    Name,
    /// The purpose is missing or too long.
    #[error("`purpose` must have 1 to {TEXT_LENGTH_MAX} characters")]
    Purpose,
    /// There is no descriptor.
    #[error("`technicalDescriptors` must name at least one descriptor")]
    NoDescriptor,
    /// A descriptor that neither the catalogue nor any vehicle knows.
    #[error("the descriptor `{0}` is not found or deprecated")]
    UnknownDescriptor(String),
}

/// Characters that a name or purpose may have.
pub const TEXT_LENGTH_MAX: usize = 255;

impl ContainerRequest {
    /// Checks what a client wants against the catalogue. Repeated descriptors count once; the order is kept.
    ///
    /// # Errors
    /// [`ContainerError`] names the first thing that is wrong; nothing is registered then.
    pub fn new(
        name: &str,
        purpose: &str,
        wanted: &[String],
        catalogue: &Catalogue,
    ) -> Result<Self, ContainerError> {
        let sound = |text: &str| (1..=TEXT_LENGTH_MAX).contains(&text.chars().count());
        if !sound(name) {
            return Err(ContainerError::Name);
        }
        if !sound(purpose) {
            return Err(ContainerError::Purpose);
        }
        let mut descriptors: Vec<String> = Vec::new();
        let mut seen = crate::DescriptorSet::new();
        for name in wanted {
            let id = catalogue
                .find(name)
                .ok_or_else(|| ContainerError::UnknownDescriptor(name.clone()))?;
            if !seen.contains(id) {
                seen.insert(id);
                descriptors.push(name.clone());
            }
        }
        if descriptors.is_empty() {
            return Err(ContainerError::NoDescriptor);
        }
        Ok(Self { name: name.to_owned(), purpose: purpose.to_owned(), descriptors })
    }

    /// The container that comes of it.
    pub fn register(
        self,
        id: ContainerId,
        gcid: Gcid,
        client_id: ClientId,
        now: Timestamp,
    ) -> Container {
        let Self { name, purpose, descriptors } = self;
        Container {
            id,
            gcid,
            client_id,
            name,
            purpose,
            descriptors: descriptors.into(),
            created_at: now,
            state: State::Active,
        }
    }
}

/// A named set of descriptors, registered by one client for one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Whose data it scopes.
    pub gcid: Gcid,
    /// For which client.
    pub client_id: ClientId,
    /// A name for people.
    pub name: String,
    /// What the client wants the data for, in its own words.
    pub purpose: String,
    /// The descriptors' names, in the order given, none twice.
    pub descriptors: Arc<[String]>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// ACTIVE or DELETED.
    pub state: State,
}

/// A container's state (wire §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its descriptors count.
    Active,
    /// They no longer do.
    Deleted {
        /// Since when.
        at: Timestamp,
    },
}

/// A container is deleted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the container was deleted before")]
pub struct AlreadyDeleted;

impl Container {
    /// Whether it counts towards the entitlement.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOC: &str = "vehicle.drivetrain.batteryManagement.header";

    fn request(name: &str, descriptors: &[&str]) -> Result<ContainerRequest, ContainerError> {
        let wanted: Vec<_> = descriptors.iter().map(|text| (*text).to_owned()).collect();
        ContainerRequest::new(name, "purpose", &wanted, &Catalogue::shipped())
    }

    #[test]
    fn a_container_of_known_descriptors_keeps_their_order_without_repeats() {
        let container =
            request("evcc.io", &["vehicle.vehicle.travelledDistance", SOC, SOC]).unwrap();
        assert_eq!(container.descriptors, ["vehicle.vehicle.travelledDistance", SOC]);
    }

    #[test]
    fn one_unknown_descriptor_refuses_the_whole_container_and_is_named() {
        let refused = request("x", &[SOC, "vehicle.nonsense"]);
        assert_eq!(refused, Err(ContainerError::UnknownDescriptor("vehicle.nonsense".into())));
        assert_eq!(request("x", &[]), Err(ContainerError::NoDescriptor));
        assert_eq!(request("", &[SOC]), Err(ContainerError::Name));
        assert_eq!(request(&"x".repeat(256), &[SOC]), Err(ContainerError::Name));
    }

    #[test]
    fn a_container_id_is_13_capitals_and_digits() {
        let id = ContainerId::from_random([0, 31, 32, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(id.as_str().parse(), Ok(id));
        for wrong in ["undefined", "", "w00J029D733HA", "W00J029D733HAX", "W00J029D733H-"] {
            assert_eq!(wrong.parse::<ContainerId>(), Err(ContainerIdError), "{wrong}");
        }
    }
}
