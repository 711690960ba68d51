//! What a person can do about a measurement that was not made.

use std::error::Error;

/// An error with advice.
pub trait Remedy: Error {
    /// What to try next, if something is known to help.
    fn remedy(&self) -> Option<String>;
}
