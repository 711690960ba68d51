//! The high-voltage battery and the fuel tank: how much is in, and what goes in and out.

use crate::model::{BatteryModel, Supply};

/// Above this state of charge a battery takes less and less.
const TAPER_FROM_PERCENT: f64 = 80.0;
/// What is left of the full power at 100 %.
const TAPER_END: f64 = 0.1;

/// A high-voltage battery.
#[derive(Debug, Clone)]
pub(crate) struct Battery {
    pub(crate) model: &'static BatteryModel,
    stored_kwh: f64,
}

/// What one second at the plug did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Charged {
    /// Taken from the grid.
    pub(crate) grid_kwh: f64,
    /// Turned to heat in cable and charger.
    pub(crate) lost_kwh: f64,
}

impl Battery {
    pub(crate) fn new(model: &'static BatteryModel, charge_percent: f64) -> Self {
        Self { model, stored_kwh: model.usable_kwh * charge_percent / 100.0 }
    }

    /// From 0 to 100.
    pub(crate) fn charge_percent(&self) -> f64 {
        self.stored_kwh / self.model.usable_kwh * 100.0
    }

    /// From 0 to the model's usable energy.
    pub(crate) fn stored_kwh(&self) -> f64 {
        self.stored_kwh
    }

    /// Takes out `kwh`, or what is left; gives what it took.
    pub(crate) fn draw(&mut self, kwh: f64) -> f64 {
        let drawn = kwh.min(self.stored_kwh);
        self.stored_kwh -= drawn;
        drawn
    }

    /// Takes in `kwh`, or as much as there is room for; gives what went in.
    pub(crate) fn fill(&mut self, kwh: f64) -> f64 {
        let filled = kwh.min(self.model.usable_kwh - self.stored_kwh);
        self.stored_kwh += filled;
        filled
    }

    /// Kilowatts at the plug: all that `supply` gives up to 80 %, then falling to a tenth of it.
    pub(crate) fn power_kw(&self, supply: Supply) -> f64 {
        supply.power_kw() * taper(self.charge_percent())
    }

    /// One second at `supply`.
    pub(crate) fn charge(&mut self, supply: Supply) -> Charged {
        let offered_kwh = self.power_kw(supply) / 3600.0 * supply.efficiency();
        let grid_kwh = self.fill(offered_kwh) / supply.efficiency();
        Charged { grid_kwh, lost_kwh: grid_kwh * (1.0 - supply.efficiency()) }
    }

    /// Minutes at `supply` until `percent` is reached; 0 when it is.
    pub(crate) fn minutes_until(&self, percent: f64, supply: Supply) -> f64 {
        let percent_per_minute =
            supply.power_kw() * supply.efficiency() / self.model.usable_kwh * 100.0 / 60.0;
        let now = self.charge_percent();
        let even = (percent.min(TAPER_FROM_PERCENT) - now).max(0.0);
        // The integral of 1 / taper, which falls in a straight line.
        let slope = (1.0 - TAPER_END) / (100.0 - TAPER_FROM_PERCENT);
        let tapered = if percent > now.max(TAPER_FROM_PERCENT) {
            (taper(now) / taper(percent)).ln() / slope
        } else {
            0.0
        };
        (even + tapered) / percent_per_minute
    }
}

/// The part of its full power that a battery takes.
fn taper(charge_percent: f64) -> f64 {
    let above = (charge_percent.clamp(TAPER_FROM_PERCENT, 100.0) - TAPER_FROM_PERCENT)
        / (100.0 - TAPER_FROM_PERCENT);
    1.0 - above * (1.0 - TAPER_END)
}

/// A fuel tank.
#[derive(Debug, Clone)]
pub(crate) struct Tank {
    pub(crate) capacity_l: f64,
    pub(crate) left_l: f64,
}

impl Tank {
    /// Chemical energy of petrol.
    pub(crate) const KWH_PER_L: f64 = 8.9;

    pub(crate) fn percent(&self) -> f64 {
        self.left_l / self.capacity_l * 100.0
    }

    /// Burns `kwh` of fuel, or what is left; gives what it burnt.
    pub(crate) fn burn(&mut self, kwh: f64) -> f64 {
        let burnt_l = (kwh / Self::KWH_PER_L).min(self.left_l);
        self.left_l -= burnt_l;
        burnt_l * Self::KWH_PER_L
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: BatteryModel =
        BatteryModel { gross_kwh: 84.3, usable_kwh: 81.2, ac_kw: 11.0, dc_kw: Some(120.0) };
    const RAPID: Supply = Supply::Direct { kw: 120.0 };

    #[test]
    fn above_80_percent_a_battery_takes_less_and_less() {
        let mut battery = Battery::new(&MODEL, 60.0);
        let mut power_kw = battery.power_kw(RAPID);
        while battery.charge_percent() < 99.9 {
            battery.charge(RAPID);
            let now_kw = battery.power_kw(RAPID);
            if battery.charge_percent() <= 80.0 {
                assert!((now_kw - 120.0).abs() < 1e-9);
            } else {
                assert!(now_kw < power_kw);
            }
            power_kw = now_kw;
        }
        assert!(power_kw < 13.0);
    }

    #[test]
    fn the_minutes_left_are_the_minutes_it_takes() {
        for (from, to) in [(20.0, 70.0), (50.0, 95.0), (85.0, 100.0), (90.0, 80.0)] {
            let mut battery = Battery::new(&MODEL, from);
            let told = battery.minutes_until(to, RAPID);
            let mut seconds = 0.0;
            while battery.charge_percent() < to - 1e-9 {
                battery.charge(RAPID);
                seconds += 1.0;
            }
            assert!(
                (told - seconds / 60.0).abs() < 0.1,
                "{from} to {to}: {told} told, {seconds} s"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_drawn_and_filled_stays_between_empty_and_full(
            steps in prop::collection::vec((any::<bool>(), 0.0..20.0), 1..50)
        ) {
            let mut battery = Battery::new(&MODEL, 50.0);
            let mut expected = battery.stored_kwh();
            for (out, kwh) in steps {
                expected += if out { -battery.draw(kwh) } else { battery.fill(kwh) };
                prop_assert!((0.0..=100.0).contains(&battery.charge_percent()));
                prop_assert!((battery.stored_kwh() - expected).abs() < 1e-9);
            }
        }
    }
}
