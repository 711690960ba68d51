//! The wire, byte for byte: bodies of the stream, the REST API and OAuth, and their error codes.
//!
//! Written after the public descriptions and recorded messages of the real service; "wire §3.1" in a comment is a
//! section of `docs/reference/wire.md`. No input or output here.

pub mod error_code;
pub mod oauth;
pub mod rest;
pub mod stream;
pub mod tyres;
