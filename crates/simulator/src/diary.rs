//! What a vehicle really did at the plug, beside what it tells of it.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::car::{self, Car};

/// Charges that are remembered until somebody takes them.
const CHARGES_MAX: usize = 1000;

/// A charge as it was, to the second: for tests that compare what was found in the events with what happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// Begin and end of each time in which current flowed; at least one.
    pub blocks: Vec<(Timestamp, Timestamp)>,
    /// Taken from the grid.
    pub energy_kwh: f64,
    /// The state of charge at the begin, from 0 to 100.
    pub start_percent: f64,
    /// The state of charge at the end, from 0 to 100.
    pub end_percent: f64,
    /// The odometer.
    pub mileage_km: f64,
    /// Where, in degrees north and east.
    pub position: (f64, f64),
}

/// Writes down charges.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    charges: VecDeque<Charge>,
    /// The charge under way.
    present: Option<Charge>,
    is_flowing: bool,
    charged_kwh: f64,
}

impl Diary {
    /// Looks at the car at the end of the second that ends `now`.
    pub(crate) fn note(&mut self, car: &Car, now: Timestamp) {
        let Some(electric) = &car.electric else { return };
        let charged_kwh = car.energy().charged_kwh;
        let flowed_kwh = charged_kwh - std::mem::replace(&mut self.charged_kwh, charged_kwh);
        let percent = electric.battery.charge_percent();
        let is_flowing = electric.port.state == car::Charge::Active;
        if is_flowing && !self.is_flowing {
            let charge = self.present.get_or_insert_with(|| Charge {
                blocks: Vec::new(),
                energy_kwh: 0.0,
                start_percent: percent,
                end_percent: percent,
                mileage_km: car.odometer_m / 1000.0,
                position: (car.place.latitude, car.place.longitude),
            });
            charge.blocks.push((now, now));
        }
        if let Some(charge) = &mut self.present {
            // What flows at other times warms the cabin and not the battery.
            if (is_flowing || self.is_flowing)
                && let Some((_, end)) = charge.blocks.last_mut()
            {
                charge.energy_kwh += flowed_kwh;
                // What flows in the second that begins now is over a second later.
                let later = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
                *end = if is_flowing { later } else { now };
                charge.end_percent = percent;
            }
            if !electric.port.plugged {
                self.charges.extend(self.present.take());
                self.charges.drain(..self.charges.len().saturating_sub(CHARGES_MAX));
            }
        }
        self.is_flowing = is_flowing;
    }

    /// The charges that are over, oldest first; each once.
    pub(crate) fn take(&mut self) -> Vec<Charge> {
        self.charges.drain(..).collect()
    }
}
