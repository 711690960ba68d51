//! What must hold whatever bytes come: each module has one function `check`, which takes any input and panics where a
//! promise is broken.
//!
//! `scripts/fuzz` lets libFuzzer choose the inputs, guided by the code that they reach; `tests/corpus.rs` runs those that
//! are kept in `corpus/`. See `docs/reference/fuzzing.md`.

pub mod packet;
mod reference;
mod seeds;
pub mod session;
pub mod token;
pub mod topic;

pub use seeds::{Seed, seeds};
