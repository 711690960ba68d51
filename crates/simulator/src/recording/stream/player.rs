//! Plays recordings of a stream: each message becomes the event that it tells of, value for value.

use std::collections::HashMap;
use std::sync::Arc;

use cardata_contract::stream::parse;
use cardata_domain::{Catalogue, Event, Vin};
use thiserror::Error;

use super::Message;
use crate::recording::jsonl::{OdometerLift, shifted};
use crate::recording::timeline::{RecordedTime, Start, Timeline};
use crate::recording::trip::Odometer;
use crate::recording::{Omission, Row, RowError};

/// Which vehicle of a recording is played as which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// The recorded one; without it, the next one that no other assignment has.
    pub recorded: Option<Vin>,
    /// The one that sends.
    pub sent: Vin,
}

/// Why the vehicles of a recording can't be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssignmentError {
    /// More or fewer than asked for.
    #[error("the recording has {recorded} vehicles, and {asked} to play them as were named")]
    Count {
        /// In the recording.
        recorded: usize,
        /// Named without saying which.
        asked: usize,
    },
    /// One that is not there.
    #[error("the recording has no vehicle {0}")]
    Unknown(Vin),
}

/// Plays one or more recordings of streams, one after the other; times move together.
#[derive(Debug)]
pub struct StreamPlayer {
    catalogue: Arc<Catalogue>,
    assigned: HashMap<Vin, Vin>,
    timeline: Timeline,
    vehicles: HashMap<Vin, (Odometer, OdometerLift)>,
}

impl StreamPlayer {
    /// Plays the vehicles in `recorded`, in the order of the recording, as `assignments` say; without any, as
    /// themselves. Where all of them name a recorded vehicle, the others are not played.
    ///
    /// # Errors
    /// [`AssignmentError`].
    pub fn new(
        catalogue: Arc<Catalogue>,
        recorded: &[Vin],
        assignments: &[Assignment],
        start: Start,
    ) -> Result<Self, AssignmentError> {
        let mut assigned = HashMap::new();
        for Assignment { recorded: vin, sent } in assignments {
            if let Some(vin) = vin {
                if !recorded.contains(vin) {
                    return Err(AssignmentError::Unknown(*vin));
                }
                assigned.insert(*vin, *sent);
            }
        }
        let next: Vec<_> =
            assignments.iter().filter(|one| one.recorded.is_none()).map(|one| one.sent).collect();
        let rest: Vec<_> = recorded.iter().filter(|vin| !assigned.contains_key(vin)).collect();
        if assignments.is_empty() {
            assigned.extend(recorded.iter().map(|vin| (*vin, *vin)));
        } else if !next.is_empty() {
            if next.len() != rest.len() {
                return Err(AssignmentError::Count { recorded: rest.len(), asked: next.len() });
            }
            assigned.extend(rest.into_iter().copied().zip(next));
        }
        let timeline = Timeline::new(start);
        Ok(Self { catalogue, assigned, timeline, vehicles: HashMap::new() })
    }

    /// Begins a recording.
    pub fn open(&mut self) {
        self.timeline.begin_file();
        for (_, lift) in self.vehicles.values_mut() {
            *lift = OdometerLift::default();
        }
    }

    /// The event of `message`, the `number`th of its file; `None` for a vehicle that is not played.
    ///
    /// Its place in time is when it was received, so that it comes in the order and pace in which it came; its own times
    /// move by as much.
    ///
    /// # Errors
    /// [`RowError`] when it is no event.
    ///
    /// # Panics
    /// Never: an event that was read has entries.
    pub fn message(
        &mut self,
        number: u64,
        message: &Message,
    ) -> Result<Option<StreamRow>, RowError> {
        let parsed = parse(&message.payload, &self.catalogue).map_err(RowError::NotAnEvent)?;
        let Some(sent) = self.assigned.get(&parsed.event.vin()) else { return Ok(None) };
        let place = self.timeline.place_in_any_order(RecordedTime::At(message.received_at))?;
        let (odometer, lift) =
            self.vehicles.entry(*sent).or_insert((Odometer::new(0.0), OdometerLift::default()));
        let entries = shifted(&parsed.event, &self.catalogue, place, odometer, lift)?;
        let at = place.also(parsed.event.at())?;
        self.timeline.commit(place);
        let omission = |(descriptor, error)| Omission::Entry { descriptor, error };
        let event = Event::new(*sent, at, entries).expect("an event that was read has entries");
        let row = Row {
            line: number,
            event,
            omitted: parsed.refused.into_iter().map(omission).collect(),
        };
        Ok(Some(StreamRow { row, due_at: place.at() }))
    }
}

/// A message that became an event.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRow {
    /// What is to be sent.
    pub row: Row,
    /// When, on the recording's line of time.
    pub due_at: jiff::Timestamp,
}
