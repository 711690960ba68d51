//! How a measurement tells how far it is.

/// Told while a measurement goes on; called often, so it should do little.
pub trait Progress: Send + Sync {
    /// A step begins that has `length` parts.
    fn begin(&self, step: &str, length: u64);
    /// So many parts of the step are done.
    fn advance(&self, parts: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}

    fn advance(&self, _: u64) {}
}
