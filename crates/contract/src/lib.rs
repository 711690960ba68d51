//! The wire, byte for byte: bodies of the stream, the REST API and OAuth, and their error codes.
//!
//! Written after the public descriptions and recorded messages of the real service. No input or output here.

pub mod error_code;
pub mod oauth;
pub mod rest;
pub mod stream;
