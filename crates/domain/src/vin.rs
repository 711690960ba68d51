//! The vehicle identification number.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A vehicle identification number: 17 characters, A–Z without I, O and Q, and 0–9 (ISO 3779).
///
/// `Display` and `Debug` show only the first three and the last three characters, since a VIN tells who owns
/// the car and logs travel far; [`Vin::as_str`] gives all of it, for the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vin([u8; Self::LENGTH]);

/// Why a text is not a [`Vin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VinError {
    /// Shorter or longer than 17 characters.
    #[error("a VIN has 17 characters, this text has {0}")]
    Length(usize),
    /// A character outside A–Z without I, O, Q, and 0–9; lower case is outside, too.
    #[error("character {0} of the VIN is none of A to Z without I, O and Q, and 0 to 9")]
    Character(usize),
}

impl Vin {
    /// Characters in a VIN.
    pub const LENGTH: usize = 17;

    /// The whole number, for the wire and for storage; never for a log.
    ///
    /// # Panics
    /// Never: a VIN is made of ASCII characters only.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a VIN is made of ASCII characters only")
    }

    /// The whole number as bytes, for storage keys.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl FromStr for Vin {
    type Err = VinError;

    fn from_str(text: &str) -> Result<Self, VinError> {
        let bytes: [u8; Self::LENGTH] =
            text.as_bytes().try_into().map_err(|_| VinError::Length(text.chars().count()))?;
        let allowed = |byte: &u8| match byte {
            b'I' | b'O' | b'Q' => false,
            other => other.is_ascii_uppercase() || other.is_ascii_digit(),
        };
        match bytes.iter().position(|byte| !allowed(byte)) {
            Some(position) => Err(VinError::Character(position + 1)),
            None => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for Vin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        write!(f, "{}…{}", &text[..3], &text[Self::LENGTH - 3..])
    }
}

impl fmt::Debug for Vin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vin({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vin_is_shown_without_its_middle() {
        let vin: Vin = "WBY00000000000001".parse().unwrap();
        assert_eq!(format!("{vin} {vin:?}"), "WBY…001 Vin(WBY…001)");
        assert_eq!(vin.as_str(), "WBY00000000000001");
    }

    #[test]
    fn what_is_wrong_with_a_vin_is_named() {
        assert_eq!("WBY".parse::<Vin>(), Err(VinError::Length(3)));
        assert_eq!("WBY0000000000000I".parse::<Vin>(), Err(VinError::Character(17)));
        assert_eq!("wBY00000000000001".parse::<Vin>(), Err(VinError::Character(1)));
        // Seventeen bytes, so the length passes; the first byte of `é` does not.
        assert_eq!("WBY000000000000é".parse::<Vin>(), Err(VinError::Character(16)));
    }
}
