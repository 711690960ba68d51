//! Messages in the stream's own form, one JSON object a line.

use cardata_contract::stream::{Parsed, parse};
use cardata_domain::{Catalogue, Entry, Event, Value, Vin};

use super::timeline::{Place, RecordedTime, Timeline};
use super::trip::Odometer;
use super::{Omission, RowError};

const ODOMETER: &str = "vehicle.vehicle.travelledDistance";

/// One file of messages.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    vehicle: Option<Vin>,
    lift: OdometerLift,
}

impl JsonLines {
    /// Reads a message. Its times move together, so that each value keeps its age.
    pub(super) fn read(
        &mut self,
        line: &[u8],
        catalogue: &Catalogue,
        timeline: &Timeline,
        odometer: &mut Odometer,
    ) -> Result<(Place, Vec<Entry>, Vec<Omission>), RowError> {
        let Parsed { event, refused } = parse(line, catalogue).map_err(RowError::NotAnEvent)?;
        if self.vehicle.is_some_and(|first| first != event.vin()) {
            return Err(RowError::OtherVehicle);
        }
        // Bursts share a time, and the real service keeps no order.
        let place = timeline.place_in_any_order(RecordedTime::At(event.at()))?;
        let entries = shifted(&event, catalogue, place, odometer, &mut self.lift)?;
        self.vehicle = Some(event.vin());
        let omission = |(descriptor, error)| Omission::Entry { descriptor, error };
        Ok((place, entries, refused.into_iter().map(omission).collect()))
    }
}

/// The entries of a recorded `event`, whose times move to `place`.
///
/// # Errors
/// When a time can't be written any more; then nothing has changed.
pub(super) fn shifted(
    event: &Event,
    catalogue: &Catalogue,
    place: Place,
    odometer: &mut Odometer,
    lift: &mut OdometerLift,
) -> Result<Vec<Entry>, RowError> {
    // All times before the odometer, which a refused message must not move.
    let times: Result<Vec<_>, _> =
        event.entries().iter().map(|entry| place.also(entry.at())).collect();
    let mut entries = Vec::with_capacity(event.entries().len());
    for (entry, at) in event.entries().iter().zip(times?) {
        let value = if entry.name() == ODOMETER {
            lift.lifted(entry.value(), odometer)
        } else {
            entry.value().clone()
        };
        entries.push(Entry::new(catalogue, entry.descriptor(), at, value, entry.unit()));
    }
    Ok(entries)
}

/// How much is added to a file's odometer, so that a file which is played again goes on where it ended.
#[derive(Debug, Default)]
pub(super) struct OdometerLift {
    offset_km: Option<f64>,
}

impl OdometerLift {
    fn lifted(&mut self, recorded: &Value, odometer: &mut Odometer) -> Value {
        let Value::Number(digits) = recorded else { return recorded.clone() };
        let Some(km) = digits.parse::<f64>().ok().filter(|km| km.is_finite()) else {
            return recorded.clone();
        };
        let offset = *self.offset_km.get_or_insert_with(|| odometer.offset_for(km));
        odometer.set(km + offset);
        if offset > 0.0 {
            let decimals = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(9));
            Value::decimal(km + offset, decimals).unwrap_or_else(|| recorded.clone())
        } else {
            recorded.clone()
        }
    }
}
