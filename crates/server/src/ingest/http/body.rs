//! The body of a request, which may be compressed, and what else can be wrong with how it is sent.

use std::io::{self, Read};

use axum::body::Bytes;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::BODY_LENGTH_MAX;

/// The largest window that a zstd frame may ask for: 8 MiB, as RFC 9659 has it for HTTP. It is memory that the frame's
/// first bytes ask for.
const WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a request is not looked at any further.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error("`Content-Encoding` must be gzip or zstd, or be left out")]
    UnknownEncoding,
    #[error("`Idempotency-Key` must be there once, with 1 to 255 ASCII characters")]
    BadKey,
    #[error("a request may have at most {BODY_LENGTH_MAX} bytes, also when it is unpacked")]
    TooLarge,
    #[error("the request ended too early")]
    Ended,
    #[error("the body can't be unpacked: {0}")]
    Damaged(io::Error),
}

impl RequestError {
    /// Status and code.
    pub(super) fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding"),
            Self::BadKey => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_invalid"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Ended | Self::Damaged(_) => (StatusCode::UNPROCESSABLE_ENTITY, "body_unreadable"),
        }
    }
}

impl Encoding {
    /// What the header says.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, RequestError> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self::Identity),
            (Some(value), None) => value.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Err(RequestError::UnknownEncoding),
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(RequestError::UnknownEncoding),
        }
    }

    /// The bytes before they were compressed. Takes long where there are many.
    pub(super) fn unpack(self, body: Bytes) -> Result<Bytes, RequestError> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => bounded(MultiGzDecoder::new(&*body)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(&*body)
                    .map_err(RequestError::Damaged)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(RequestError::Damaged)?;
                bounded(decoder)
            }
        }
    }
}

fn bounded(decoder: impl Read) -> Result<Bytes, RequestError> {
    let mut unpacked = Vec::new();
    let limit = BODY_LENGTH_MAX as u64 + 1;
    decoder.take(limit).read_to_end(&mut unpacked).map_err(RequestError::Damaged)?;
    if unpacked.len() > BODY_LENGTH_MAX { Err(RequestError::TooLarge) } else { Ok(unpacked.into()) }
}
