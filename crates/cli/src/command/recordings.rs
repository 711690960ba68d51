//! Recordings of every form that can be read, for those who play them and those who look into them.

mod files;
mod lines;

pub(crate) use self::files::{Form, Recording, recognise};
pub(crate) use self::lines::Line;

use cardata_contract::stream::EVENT_LENGTH_MAX;

/// Bytes of a line that is read; longer ones are no events.
pub(crate) const LINE_LENGTH_MAX: usize = EVENT_LENGTH_MAX;
