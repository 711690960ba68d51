//! OpenCarData.
fn main() {}
