//! What can go wrong below, before it is said what the directory was about to do.

use sqlx::migrate::MigrateError;

use crate::directory::DirectoryError;

/// Bytes of a damaged value that an error shows.
const SHOWN_MAX: usize = 40;

/// Why a query gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Store(Box<dyn std::error::Error + Send + Sync>),
    Damaged { expected: &'static str, value: String },
}

impl Failure {
    /// `value` stands where `expected` belongs, and may be shown.
    pub(super) fn damaged(expected: &'static str, value: &str) -> Self {
        Self::Damaged { expected, value: value.chars().take(SHOWN_MAX).collect() }
    }

    /// A value that may name a vehicle or a person stands where `expected` belongs; only its length is shown.
    pub(super) fn damaged_private(expected: &'static str, value: &str) -> Self {
        Self::Damaged { expected, value: format!("a text of {} characters", value.chars().count()) }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // The source would show the value.
            sqlx::Error::ColumnDecode { index, .. } => Self::Damaged {
                expected: "value of the column's type",
                value: format!("something else in column {index}"),
            },
            other => Self::Store(other.into()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        Self::Store(error.into())
    }
}

/// Says what the directory failed to do.
pub(super) trait FailingTo<T> {
    /// The same, where a failure tells that the directory was to do `action`.
    fn failing_to(self, action: &'static str) -> Result<T, DirectoryError>;
}

impl<T, E: Into<Failure>> FailingTo<T> for Result<T, E> {
    fn failing_to(self, action: &'static str) -> Result<T, DirectoryError> {
        self.map_err(|error| match error.into() {
            Failure::Store(source) => DirectoryError::Store { action, source },
            Failure::Damaged { expected, value } => DirectoryError::Damaged { expected, value },
        })
    }
}
