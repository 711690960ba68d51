//! Descriptors by number, and sets of them.

use std::fmt;

use thiserror::Error;

/// A descriptor's number in the [`Catalogue`](crate::Catalogue) of this process.
///
/// Numbers are dense from 0, so that a set is a bit set. Those of descriptors that no catalogue lists depend on the
/// order in which they were first seen: keep names, not numbers, outside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorId(pub(crate) u16);

/// A text is not a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// It does not have the form of one.
    #[error(
        "`{0}` has not the form of a descriptor: `vehicle.` and names of letters, digits and `_`, joined by dots"
    )]
    Form(String),
    /// It has the form of one, but this process knows too many unlisted ones already.
    #[error("`{0}` is not in the catalogue, which holds its limit of {limit} unlisted descriptors", limit = crate::catalogue::UNLISTED_MAX)]
    TooMany(String),
}

/// Bytes that a descriptor's name may have; the longest listed one has 103.
pub const NAME_LENGTH_MAX: usize = 200;

/// Whether `name` has the form of a descriptor: `vehicle.` followed by names of ASCII letters, digits and `_`, each
/// beginning with a letter, joined by dots.
pub fn has_form(name: &str) -> bool {
    let segment = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.len() <= NAME_LENGTH_MAX
        && name.strip_prefix("vehicle.").is_some_and(|rest| rest.split('.').all(segment))
}

/// A set of descriptors, as bits.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct DescriptorSet {
    /// Without trailing zero words, so that equal sets are equal.
    words: Vec<u64>,
}

impl DescriptorSet {
    /// The set without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `id`.
    pub fn insert(&mut self, id: DescriptorId) {
        let (word, bit) = place(id);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Whether `id` is a member.
    pub fn contains(&self, id: DescriptorId) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The members that `other` has, too.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut words: Vec<_> =
            self.words.iter().zip(&other.words).map(|(one, other)| one & other).collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }
}

fn place(id: DescriptorId) -> (usize, u64) {
    (usize::from(id.0) / 64, 1 << (id.0 % 64))
}

impl FromIterator<DescriptorId> for DescriptorSet {
    fn from_iter<T: IntoIterator<Item = DescriptorId>>(ids: T) -> Self {
        let mut set = Self::new();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl fmt::Debug for DescriptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DescriptorSet({} members)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: DescriptorSet = [0, 63, 64, 300].map(DescriptorId).into_iter().collect();
        let members: Vec<u16> =
            (0..400).filter(|number| set.contains(DescriptorId(*number))).collect();
        assert_eq!(members, [0, 63, 64, 300]);
        assert_eq!(set.len(), 4);
        assert!(!set.contains(DescriptorId(u16::MAX)));
    }

    #[test]
    fn a_descriptor_is_dotted_names_below_vehicle() {
        assert!(has_form("vehicle.drivetrain.batteryManagement.header"));
        assert!(has_form("vehicle.new_signal2"));
        for wrong in [
            "vehicle",
            "vehicle.",
            "vehicle..x",
            "vehicle.x.",
            "cabin.door",
            "vehicle.2x",
            "vehicle.a b",
            "",
        ] {
            assert!(!has_form(wrong), "{wrong}");
        }
        assert!(!has_form(&format!("vehicle.{}", "x".repeat(NAME_LENGTH_MAX))));
    }
}
