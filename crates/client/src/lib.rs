//! A client of the CarData services: login, REST and the stream, and what an operator's scripts need of `cardata dev`.
//!
//! It knows the wire and nothing of the server behind it, so it works as any client of the real service does.

pub mod http;
pub mod login;
pub mod operator;
pub mod ready_file;
pub mod rest;
pub mod stream;

mod secret;

pub use secret::Secret;
