//! A charge at a stop, from opening the flap to closing it.

use rand::RngExt;

use crate::car::{Car, Chance, Charge, Electric};
use crate::model::Supply;
use crate::report::Scope;
use crate::route;

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
    report_in_seconds: u32,
}

impl Session {
    /// A charge at the stop where `car` stands.
    pub(crate) fn new(car: &mut Car, chance: &mut Chance) -> Self {
        if let Some(Electric { battery, port }) = &mut car.electric {
            let now = battery.charge_percent();
            port.supply = match battery.model.dc_kw {
                Some(kw) if now < RAPID_BELOW_PERCENT => Supply::Direct { kw },
                _ => battery.model.alternating(route::charger(car.stop)),
            };
            let wanted: f64 = [80.0, 90.0, 100.0][chance.random_range(0..3)];
            port.target_percent = if wanted < now + 4.0 { 100.0 } else { wanted };
        }
        let length_seconds = chance.random_range(1080..=1320);
        Self {
            seconds: 0,
            length_seconds,
            paused_at: chance.random_bool(PAUSE).then(|| chance.random_range(120..600)),
            report_in_seconds: 0,
        }
    }

    /// One second. The charge is over when the cable is away.
    pub(crate) fn step(&mut self, car: &mut Car, chance: &mut Chance) -> (Scope, bool) {
        self.seconds += 1;
        car.warm();
        let Some(Electric { battery, port }) = &mut car.electric else {
            return (Scope::Nothing, true);
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
            return (Scope::All, true);
        }
        let changed = port.state != before || self.seconds == 2;
        if port.state == Charge::Active {
            car.charge();
        }
        (self.scope(changed, chance), false)
    }

    fn scope(&mut self, changed: bool, chance: &mut Chance) -> Scope {
        if changed {
            self.report_in_seconds = chance.random_range(15..=30);
            return Scope::All;
        }
        self.report_in_seconds = self.report_in_seconds.saturating_sub(1);
        if self.report_in_seconds > 0 {
            return Scope::Nothing;
        }
        self.report_in_seconds = chance.random_range(15..=30);
        Scope::Slow
    }
}
