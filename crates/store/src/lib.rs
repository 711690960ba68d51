//! What is kept: the [`Directory`] (small, relational, mutable) and the [`Journal`] (large, append-only, by sequence).
//!
//! Both are traits with an embedded implementation that needs nothing installed. One suite runs over every
//! implementation of each (`tests/`), and nobody above asks which one there is.

pub mod directory;
pub mod journal;

pub use directory::Directory;
pub use journal::Journal;
