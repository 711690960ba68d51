//! Passwords that the operator gives to customers, or lets be made up.

use super::refusal::Refusal;
use crate::portal::login::{PASSWORD_LENGTH, password_hash};
use crate::secret;

/// Without characters that are mistaken for one another when they are read aloud.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Groups of five characters; together 100 random bits.
const GROUPS: usize = 4;

/// A password, and whether nobody knows it yet but us.
pub(super) struct Password {
    pub(super) text: String,
    pub(super) is_generated: bool,
}

impl Password {
    /// The one that was given, or a new one.
    ///
    /// # Errors
    /// [`Refusal::Field`] when the one that was given can't be one.
    pub(super) fn given_or_new(given: Option<String>) -> Result<Self, Refusal> {
        match given {
            None => Ok(Self { text: generate(), is_generated: true }),
            Some(text) => match check(&text) {
                Ok(()) => Ok(Self { text, is_generated: false }),
                Err(reason) => Err(Refusal::field("password", reason)
                    .or_else("send another one, or none to have one made up")),
            },
        }
    }

    /// The one that a sheet gives, which was checked, or a new one.
    pub(super) fn of_sheet(given: Option<&str>) -> Self {
        let text = given.map_or_else(generate, str::to_owned);
        Self { text, is_generated: given.is_none() }
    }

    /// What is kept of it. Takes some ten milliseconds of a processor, and is done where nobody waits.
    pub(super) async fn hash(&self) -> Result<String, Refusal> {
        let text = self.text.clone();
        Ok(tokio::task::spawn_blocking(move || password_hash(&text)).await?)
    }

    /// The text, if it has to be told: nobody will know it else.
    pub(super) fn to_tell(&self) -> Option<&str> {
        self.is_generated.then_some(self.text.as_str())
    }
}

/// Whether `text` can be a new password; else the rest of a sentence that begins with its field.
pub(super) fn check(text: &str) -> Result<(), String> {
    let (min, max) = (PASSWORD_LENGTH.start(), PASSWORD_LENGTH.end());
    let fits = PASSWORD_LENGTH.contains(&text.chars().count());
    fits.then_some(()).ok_or_else(|| format!("must have {min} to {max} characters"))
}

/// A new password such as `x7k2m-9pqra-…`.
pub(super) fn generate() -> String {
    let random = secret::random::<{ GROUPS * 5 }>();
    let group = |bytes: &[u8]| -> String {
        bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
    };
    random.chunks(5).map(group).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_can_be_one_and_comes_once() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert_eq!(one.len(), 23);
        assert!(check(&one).is_ok());
        assert!(Password::given_or_new(None).unwrap().to_tell().is_some());
        assert!(
            Password::given_or_new(Some("long enough now".into())).unwrap().to_tell().is_none()
        );
        assert!(Password::given_or_new(Some("short".into())).is_err());
    }
}
