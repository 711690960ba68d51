//! A charge at a stop, from opening the flap to closing it.

use rand::RngExt;

use crate::car::{Car, Chance, Charge, Electric};
use crate::model::Supply;
use crate::report::Happening;
use crate::route::Charger;
use crate::stay::{self, CONDITIONING_SECONDS};

/// Above this a driver does not pay for a rapid charger.
const RAPID_BELOW_PERCENT: f64 = 60.0;
/// How likely a charge is interrupted for a while, as by a house that needs the power itself.
const PAUSE: f64 = 0.2;

const PLUGGED_AT: u32 = 6;
const ACTIVE_AT: u32 = 15;
/// How long before its end the driver stops a charge that has not reached its target.
const STOPPED_BEFORE_END: u32 = 30;
const UNPLUGGED_BEFORE_END: u32 = 10;
const PAUSE_SECONDS: u32 = 90;

/// A charge.
#[derive(Debug)]
pub(crate) struct Session {
    seconds: u32,
    length_seconds: u32,
    paused_at: Option<u32>,
    /// The second from which the vehicle makes itself comfortable.
    conditioned_from: u32,
    is_flowing: bool,
}

impl Session {
    /// A charge of about twenty minutes at the stop where `car` stands.
    pub(crate) fn short(car: &mut Car, chance: &mut Chance) -> Self {
        let charger = car.route.stop(car.stop).charger;
        if let Some(Electric { battery, port }) = &mut car.electric {
            let now = battery.charge_percent();
            port.supply = match battery.model.dc_kw {
                Some(kw) if now < RAPID_BELOW_PERCENT => Supply::Direct { kw },
                _ => battery.model.alternating(charger.unwrap_or(Charger::Socket)),
            };
            let wanted: f64 = [80.0, 90.0, 100.0][chance.random_range(0..3)];
            port.target_percent = if wanted < now + 4.0 { 100.0 } else { wanted };
        }
        let length_seconds = chance.random_range(1080..=1320);
        let paused_at = chance.random_bool(PAUSE).then(|| chance.random_range(120..600));
        Self {
            seconds: 0,
            length_seconds,
            paused_at,
            conditioned_from: u32::MAX,
            is_flowing: false,
        }
    }

    /// A charge at `supply` to `target_percent`, with the cable in for `length_seconds`, five minutes at least.
    pub(crate) fn of(
        car: &mut Car,
        supply: Supply,
        target_percent: f64,
        length_seconds: u32,
    ) -> Self {
        if let Some(Electric { port, .. }) = &mut car.electric {
            port.supply = supply;
            port.target_percent = target_percent;
        }
        Self {
            seconds: 0,
            length_seconds: length_seconds.max(300),
            paused_at: None,
            conditioned_from: u32::MAX,
            is_flowing: false,
        }
    }

    /// The same with a warm or cool cabin at its end.
    pub(crate) fn conditioned(mut self) -> Self {
        self.conditioned_from = self.length_seconds.saturating_sub(CONDITIONING_SECONDS).max(100);
        self
    }

    /// How many seconds it takes until something happens; at least one.
    pub(crate) fn quiet(&self) -> u32 {
        if self.is_flowing || self.seconds >= self.conditioned_from {
            return 1;
        }
        let pauses = self.paused_at.map_or([u32::MAX; 2], |at| [at, at + PAUSE_SECONDS]);
        let ends = [STOPPED_BEFORE_END, UNPLUGGED_BEFORE_END, 0]
            .map(|before| self.length_seconds.saturating_sub(before));
        [2, PLUGGED_AT, ACTIVE_AT, self.conditioned_from]
            .into_iter()
            .chain(pauses)
            .chain(ends)
            .filter(|second| *second > self.seconds)
            .min()
            .map_or(1, |second| second - self.seconds)
    }

    /// So many seconds, of which nothing happens in all but the last. The charge is over when the cable is away.
    pub(crate) fn step(&mut self, car: &mut Car, seconds: u32) -> (Happening, bool) {
        self.seconds += seconds;
        let Some(Electric { battery, port }) = &mut car.electric else {
            return (Happening::Nothing, true);
        };
        let before = port.state;
        let to_go = self.length_seconds.saturating_sub(self.seconds);
        match self.seconds {
            2 => port.flap_open = true,
            PLUGGED_AT => {
                port.plugged = true;
                port.plug_events += 1;
                port.state = Charge::Initialization;
            }
            ACTIVE_AT => port.state = Charge::Active,
            _ => {}
        }
        if let Some(paused_at) = self.paused_at {
            if self.seconds == paused_at && port.state == Charge::Active {
                port.state = Charge::Paused;
            } else if self.seconds == paused_at + PAUSE_SECONDS && port.state == Charge::Paused {
                port.state = Charge::Active;
            }
        }
        if port.state == Charge::Active && battery.charge_percent() >= port.target_percent - 1e-9 {
            port.state = Charge::Ended;
            port.ended_because = "CHARGING_GOAL_REACHED";
        }
        if to_go == STOPPED_BEFORE_END && matches!(port.state, Charge::Active | Charge::Paused) {
            port.state = Charge::Ended;
            port.ended_because = "END_REQUESTED_BY_DRIVER";
        }
        if to_go == UNPLUGGED_BEFORE_END {
            port.plugged = false;
            port.state = Charge::No;
        }
        if to_go == 0 {
            port.flap_open = false;
            return (Happening::Change, true);
        }
        let changed = port.state != before || self.seconds == 2;
        self.is_flowing = port.state == Charge::Active;
        let mut happening = if changed {
            Happening::Change
        } else if self.is_flowing {
            Happening::Time
        } else {
            Happening::Nothing
        };
        if self.is_flowing {
            car.charge();
        }
        if self.seconds >= self.conditioned_from {
            happening = happening.max(stay::condition(car, to_go));
        }
        (happening, false)
    }
}
