//! One file for each command, and what several of them share.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod container;
pub(crate) mod dev;
pub(crate) mod fault;
pub(crate) mod inspect;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod simulate;
pub(crate) mod token;

mod duration;
mod recordings;
mod sandbox;
mod sign_in;
