//! Customers: who owns data, and how they are named on the wire.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;
use uuid::Uuid;

/// A customer's id: a UUID, written in lower case; the MQTT user name and the first topic level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gcid(Uuid);

/// The text is not a UUID with hyphens in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a GCID is a UUID in lower case, such as aa111192-d570-4d3d-8835-656ee00edcd7")]
pub struct GcidError;

impl Gcid {
    /// A customer's id made from a UUID that the caller drew.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Characters of its text.
    pub const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

    /// Its text as bytes, for where it is written for each message.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut text = [0; Self::LENGTH];
        self.0.as_hyphenated().encode_lower(&mut text);
        text
    }
}

impl FromStr for Gcid {
    type Err = GcidError;

    fn from_str(text: &str) -> Result<Self, GcidError> {
        let uuid = Uuid::try_parse(text).map_err(|_| GcidError)?;
        let gcid = Self(uuid);
        // Topics are compared byte by byte, so only the canonical form may pass.
        if gcid.to_string() == text { Ok(gcid) } else { Err(GcidError) }
    }
}

impl fmt::Display for Gcid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Gcid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gcid({self})")
    }
}

/// Characters that an e-mail address may have (RFC 5321 §4.5.3.1.3, without the brackets).
pub const EMAIL_LENGTH_MAX: usize = 254;
/// A text can't be an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an e-mail address has one `@` with something on both sides, no spaces, and at most {EMAIL_LENGTH_MAX} characters"
)]
pub struct EmailError;

/// `text` without spaces around it, if it can be an e-mail address.
///
/// # Errors
/// [`EmailError`]; whether somebody reads mail there is not asked.
pub fn email(text: &str) -> Result<String, EmailError> {
    let email = text.trim();
    let breaks = |character: char| character.is_whitespace() || character.is_control();
    let is_sound = email.chars().count() <= EMAIL_LENGTH_MAX
        && !email.chars().any(breaks)
        && email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        });
    is_sound.then(|| email.to_owned()).ok_or(EmailError)
}

/// A person who owns vehicles and decides who sees their data.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// The id, for ever.
    pub gcid: Gcid,
    /// The name for log-in, unique without regard to case.
    pub email: String,
    /// The password's argon2 hash in PHC form.
    pub password_hash: String,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer").field("gcid", &self.gcid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_gcid() {
        let text = "aa111192-d570-4d3d-8835-656ee00edcd7";
        assert_eq!(text.parse::<Gcid>().unwrap().to_string(), text);
        for wrong in
            ["AA111192-d570-4d3d-8835-656ee00edcd7", "aa111192d5704d3d8835656ee00edcd7", "+", ""]
        {
            assert_eq!(wrong.parse::<Gcid>(), Err(GcidError), "{wrong}");
        }
    }

    #[test]
    fn an_email_address_is_trimmed_and_has_two_sides() {
        assert_eq!(email(" anna@example.com "), Ok("anna@example.com".to_owned()));
        let long = format!("{}@example.com", "x".repeat(EMAIL_LENGTH_MAX));
        for wrong in ["", "anna", "@example.com", "anna@", "a@b@c", "an na@example.com", &long] {
            assert_eq!(email(wrong), Err(EmailError), "{wrong}");
        }
    }
}
