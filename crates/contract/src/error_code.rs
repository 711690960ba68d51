//! The REST API's error codes: id, text and HTTP status of each, in one place (wire §4.2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a REST request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The gateway lets nothing through: no bearer token, or a path that does not exist.
    Forbidden,
    /// The documented code for a missing token; the real gateway answers [`Self::Forbidden`] before it.
    NoToken,
    /// The token is none of ours, or was revoked.
    Authentication,
    /// The token's time is over; the client should refresh it.
    TokenExpired,
    /// The token lacks `cardata:api:read`.
    TokenScope,
    /// The VIN is not mapped to the token's customer as PRIMARY.
    Vin,
    /// The container is unknown, deleted, or of another customer or client.
    Container,
    /// The VIN is not 17 characters of the right kind.
    VinFormat,
    /// The container's id is not 13 characters of the right kind.
    ContainerFormat,
    /// The container was deleted before.
    ContainerDeleted,
    /// There are as many containers as allowed.
    ContainerLimit,
    /// The pagination token is too old.
    PageExpired,
    /// There is no picture of the vehicle.
    NoImage,
    /// There are no location-based charging settings.
    NoChargingSettings,
    /// The request can't be read.
    BadRequest,
    /// The path exists, but not for this method.
    Method,
    /// A parameter is out of its range.
    Parameter,
    /// A descriptor that the catalogue does not have.
    Descriptor,
    /// The back end refuses.
    Refused,
    /// The quota of requests is used up.
    Quota,
    /// The server is at fault, and trying again won't help.
    Internal,
    /// The server is at fault, and trying again may help.
    Unavailable,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 22] = [
        Self::Forbidden,
        Self::NoToken,
        Self::Authentication,
        Self::TokenExpired,
        Self::TokenScope,
        Self::Vin,
        Self::Container,
        Self::VinFormat,
        Self::ContainerFormat,
        Self::ContainerDeleted,
        Self::ContainerLimit,
        Self::PageExpired,
        Self::NoImage,
        Self::NoChargingSettings,
        Self::BadRequest,
        Self::Method,
        Self::Parameter,
        Self::Descriptor,
        Self::Refused,
        Self::Quota,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The id on the wire, such as `CU-105`.
    pub fn id(self) -> &'static str {
        self.row().1
    }

    /// The text on the wire. Clients search it for words, so it is the same for all causes; the note tells them apart.
    pub fn message(self) -> &'static str {
        self.row().2
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        self.row().0
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Forbidden => (403, "TP-403", "Bad Request. Forbidden"),
            Self::NoToken => (401, "CU-100", "No token sent"),
            Self::Authentication => (401, "CU-101", "Authentication error"),
            Self::TokenExpired => (401, "CU-102", "Token expired"),
            // The guide's label lacks the article that production sends.
            Self::TokenScope => (403, "CU-103", "The token-scope is not CarData"),
            Self::Vin => (403, "CU-104", "No permission for specified VIN"),
            Self::Container => (403, "CU-105", "No permission for specified containerId"),
            Self::VinFormat => (400, "CU-120", "Format of parameter VIN is invalid"),
            Self::ContainerFormat => (400, "CU-121", "Format of parameter containerId is invalid"),
            // "Already reported": what the caller wanted is so. Clients that know the case take 404 or 208 for success
            // and 400 for a failure; those that don't, raise an error or try again from 400 on, 404 included.
            Self::ContainerDeleted => (208, "CU-122", "Container already set for deletion"),
            // Clients take 403 with this id for a full list; it was seen in production.
            Self::ContainerLimit => (403, "CU-124", "Maximum number of containers reached"),
            Self::PageExpired => (400, "CU-125", "Pagination-Token expired"),
            Self::NoImage => (404, "CU-126", "No vehicle image found"),
            Self::NoChargingSettings => (404, "CU-127", "No LBCS data found"),
            Self::BadRequest => (400, "CU-400", "Bad request"),
            // The real service has no code for this that we know of; the status says it, the id says whose mistake it
            // is.
            Self::Method => (405, "CU-400", "Bad request"),
            Self::Parameter => (400, "CU-401", "Parameter Invalid"),
            Self::Descriptor => (400, "CU-402", "Telematic key is invalid"),
            Self::Refused => (403, "CU-403", "Forbidden"),
            Self::Quota => (403, "CU-429", "API rate limit reached"),
            Self::Internal => (500, "CU-500", "Internal server error"),
            Self::Unavailable => (503, "CU-503", "Service temporarily unavailable"),
        }
    }
}

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Such as `CU-105`.
    #[serde(rename = "exveErrorId")]
    pub id: String,
    /// The text that belongs to the id.
    #[serde(rename = "exveErrorMsg")]
    pub message: String,
    /// Names this one refusal, in the answer and in the server's log; clients must not read anything into it.
    #[serde(rename = "exveErrorRef")]
    pub reference: String,
    /// What exactly was wrong, and what to do about it.
    #[serde(rename = "exveNote")]
    pub note: String,
}

impl ErrorBody {
    /// The body for `code`.
    pub fn new(code: ErrorCode, reference: String, note: String) -> Self {
        Self { id: code.id().to_owned(), message: code.message().to_owned(), reference, note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &str = include_str!("../samples/errors.jsonl");

    #[test]
    fn every_sample_of_a_refusal_reads_and_prints_back_the_same() {
        assert!(SAMPLES.lines().count() >= 2);
        for line in SAMPLES.lines() {
            let body: ErrorBody = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&body).unwrap(), line);
            let code = ErrorCode::ALL.into_iter().find(|code| code.id() == body.id).unwrap();
            assert_eq!(body.message, code.message());
        }
    }

    #[test]
    fn only_a_wrong_method_shares_its_id_with_another_code() {
        for (number, code) in ErrorCode::ALL.into_iter().enumerate() {
            let same =
                ErrorCode::ALL[..number].iter().find(|earlier| earlier.id() == code.id()).copied();
            let expected = (code == ErrorCode::Method).then_some(ErrorCode::BadRequest);
            assert_eq!(same, expected, "{}", code.id());
        }
    }
}
