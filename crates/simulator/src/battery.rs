//! The high-voltage battery and the fuel tank: how much is in, and what goes in and out.

use crate::model::{BatteryModel, Supply};

/// Where the cells reach their highest voltage: constant current below, constant voltage above.
const VOLTAGE_MAX_FROM_PERCENT: f64 = 80.0;
/// The voltage of an empty battery as a part of the highest one.
const VOLTAGE_EMPTY: f64 = 0.88;
/// What is left of the current at 100 %.
const TAPER_END: f64 = 0.03;
/// Warmer than this, a battery takes all the current that it can.
const WARM_CELSIUS: f64 = 15.0;
/// At this and colder, it takes [`COLD_PART`] of it.
const COLD_CELSIUS: f64 = -15.0;
const COLD_PART: f64 = 0.1;
/// Cooling begins here.
const COOLED_CELSIUS: f64 = 38.0;
/// Heat that warms each kWh of battery by a degree.
const HEAT_KWH_PER_KWH_CELSIUS: f64 = 0.0035;
/// The part of what motor or charger lose that is lost in the cells.
const CELLS_PART: f64 = 0.6;
/// How slowly a parked battery takes on the temperature of the air.
const COOLING_SECONDS: f64 = 10.0 * 3600.0;

/// A high-voltage battery.
#[derive(Debug, Clone)]
pub(crate) struct Battery {
    pub(crate) model: &'static BatteryModel,
    stored_kwh: f64,
    pub(crate) celsius: f64,
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
    pub(crate) fn new(model: &'static BatteryModel, charge_percent: f64, celsius: f64) -> Self {
        Self { model, stored_kwh: model.usable_kwh * charge_percent / 100.0, celsius }
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

    /// Kilowatts at the plug: all that `supply` gives, as far as the battery takes it.
    pub(crate) fn power_kw(&self, supply: Supply) -> f64 {
        self.power_at_kw(self.charge_percent(), supply)
    }

    /// The same at another state of charge.
    fn power_at_kw(&self, charge_percent: f64, supply: Supply) -> f64 {
        let most = self.model.charge_kw_max * voltage(charge_percent) * current(charge_percent);
        supply.power_kw().min(most * self.warmth())
    }

    /// The part of the current that the temperature allows: lithium plates out of cold cells.
    fn warmth(&self) -> f64 {
        let part = (self.celsius - COLD_CELSIUS) / (WARM_CELSIUS - COLD_CELSIUS);
        COLD_PART + (1.0 - COLD_PART) * part.clamp(0.0, 1.0)
    }

    /// One second at `supply`.
    pub(crate) fn charge(&mut self, supply: Supply) -> Charged {
        let offered_kwh = self.power_kw(supply) / 3600.0 * supply.efficiency();
        let grid_kwh = self.fill(offered_kwh) / supply.efficiency();
        let lost_kwh = grid_kwh * (1.0 - supply.efficiency());
        self.warm(lost_kwh * CELLS_PART);
        Charged { grid_kwh, lost_kwh }
    }

    /// Minutes at `supply` until `percent` is reached at the present temperature; 0 when it is.
    pub(crate) fn minutes_until(&self, percent: f64, supply: Supply) -> f64 {
        let to_go = percent - self.charge_percent();
        if to_go <= 0.0 {
            return 0.0;
        }
        let steps = (to_go / MINUTES_STEP_PERCENT).ceil();
        let step = to_go / steps;
        let kwh = self.model.usable_kwh * step / 100.0;
        let mut minutes = 0.0;
        let mut middle = self.charge_percent() + step / 2.0;
        while middle < percent {
            minutes += kwh / (self.power_at_kw(middle, supply) * supply.efficiency()) * 60.0;
            middle += step;
        }
        minutes
    }

    /// Takes in `kwh` of heat.
    pub(crate) fn warm(&mut self, kwh: f64) {
        let celsius = kwh / (self.model.usable_kwh * HEAT_KWH_PER_KWH_CELSIUS);
        self.celsius = (self.celsius + celsius).min(self.celsius.max(COOLED_CELSIUS));
    }

    /// Takes on the temperature of the air for so many seconds.
    pub(crate) fn cool(&mut self, ambient_celsius: f64, seconds: f64) {
        let left = (-seconds / COOLING_SECONDS).exp();
        self.celsius = ambient_celsius + (self.celsius - ambient_celsius) * left;
    }

    /// Notes that motor or inverter turned `kwh` to heat.
    pub(crate) fn lose(&mut self, kwh: f64) {
        self.warm(kwh * CELLS_PART);
    }
}

/// The steps in which the time of a charge is added up.
const MINUTES_STEP_PERCENT: f64 = 0.2;

/// The voltage as a part of the highest one: it rises to that with the charge, and stays.
fn voltage(charge_percent: f64) -> f64 {
    let part = (charge_percent / VOLTAGE_MAX_FROM_PERCENT).min(1.0);
    VOLTAGE_EMPTY + (1.0 - VOLTAGE_EMPTY) * part
}

/// The current as a part of the highest one: constant until the voltage is; from there on it falls as the cells' own voltage
/// comes up to that of the charger, in a straight line over the charge.
fn current(charge_percent: f64) -> f64 {
    let above = (charge_percent.clamp(VOLTAGE_MAX_FROM_PERCENT, 100.0) - VOLTAGE_MAX_FROM_PERCENT)
        / (100.0 - VOLTAGE_MAX_FROM_PERCENT);
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

    const MODEL: BatteryModel = BatteryModel {
        gross_kwh: 84.3,
        usable_kwh: 81.2,
        charge_kw_max: 150.0,
        ac_phases: 3,
        ac_ampere: 16.0,
        dc_kw: Some(120.0),
    };
    const RAPID: Supply = Supply::Direct { kw: 200.0 };

    fn battery(percent: f64) -> Battery {
        Battery::new(&MODEL, percent, 20.0)
    }

    #[test]
    fn the_power_rises_with_the_voltage_to_80_percent_and_falls_with_the_current_above() {
        let mut battery = battery(10.0);
        let mut power_kw = 0.0;
        while battery.charge_percent() < 99.9 {
            battery.charge(RAPID);
            let now_kw = battery.power_kw(RAPID);
            let rises = battery.charge_percent() <= 80.0;
            assert_eq!(now_kw > power_kw, rises, "{} %", battery.charge_percent());
            power_kw = now_kw;
        }
        assert!(power_kw < 6.0);
    }

    #[test]
    fn a_cold_battery_takes_less_warms_while_it_charges_and_is_never_overheated() {
        let power = |celsius| Battery::new(&MODEL, 30.0, celsius).power_kw(RAPID);
        assert!(power(-20.0) < 0.2 * power(20.0));
        assert!(power(0.0) < 0.6 * power(20.0));
        assert!((power(15.0) - power(30.0)).abs() < 1e-9);
        let mut battery = Battery::new(&MODEL, 5.0, -5.0);
        while battery.charge_percent() < 90.0 {
            battery.charge(RAPID);
        }
        assert!((0.0..=COOLED_CELSIUS).contains(&battery.celsius), "{} °C", battery.celsius);
    }

    #[test]
    fn a_weak_supply_is_the_limit_nearly_to_the_end() {
        let socket = Supply::Alternating { phases: 1, ampere: 16.0 };
        assert!((battery(98.0).power_kw(socket) - 3.68).abs() < 1e-9);
        let two = Supply::Alternating { phases: 2, ampere: 16.0 };
        assert!((battery(50.0).power_kw(two) - 7.36).abs() < 1e-9);
    }

    #[test]
    fn the_minutes_left_are_the_minutes_it_takes() {
        for (from, to) in [(20.0, 70.0), (50.0, 95.0), (85.0, 100.0), (90.0, 80.0)] {
            let mut battery = battery(from);
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
            let mut battery = battery(50.0);
            let mut expected = battery.stored_kwh();
            for (out, kwh) in steps {
                expected += if out { -battery.draw(kwh) } else { battery.fill(kwh) };
                prop_assert!((0.0..=100.0).contains(&battery.charge_percent()));
                prop_assert!((battery.stored_kwh() - expected).abs() < 1e-9);
            }
        }
    }
}
