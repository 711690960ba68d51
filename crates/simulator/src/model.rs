//! The kinds of vehicle that are simulated: their physics, and what was fixed when they were built.

use cardata_domain::vehicle::{Build, Drivetrain};
use serde::Deserialize;

use crate::report::Reports;
use crate::route::Charger;

/// What the physics needs to know of a kind of vehicle.
#[derive(Debug)]
pub(crate) struct Model {
    /// With a driver, and with what turns counted as what moves.
    pub(crate) mass_kg: f64,
    /// Drag coefficient times frontal area.
    pub(crate) drag_area_m2: f64,
    /// Rolling resistance as a part of the weight.
    pub(crate) rolling_resistance: f64,
    pub(crate) battery: Option<BatteryModel>,
    /// The 48 V battery of a mild hybrid, which takes in what braking gives and gives it back to the wheels.
    pub(crate) mild_kwh: Option<f64>,
    pub(crate) tank_l: Option<f64>,
    /// At 20 °C.
    pub(crate) front_tyre_kpa: f64,
    /// At 20 °C.
    pub(crate) rear_tyre_kpa: f64,
}

/// A high-voltage battery and what it is charged with.
#[derive(Debug)]
pub(crate) struct BatteryModel {
    pub(crate) gross_kwh: f64,
    pub(crate) usable_kwh: f64,
    /// What it takes at the plug at the end of constant current, at the right temperature.
    pub(crate) charge_kw_max: f64,
    /// The phases that the charger on board uses, from 1 to 3, and the current that it takes on each.
    pub(crate) ac_phases: u8,
    pub(crate) ac_ampere: f64,
    /// `None` where it takes no direct current.
    pub(crate) dc_kw: Option<f64>,
}

/// What flows at the plug.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Supply {
    /// Alternating current at 230 V.
    Alternating { phases: u8, ampere: f64 },
    /// Direct current.
    Direct { kw: f64 },
}

impl Supply {
    pub(crate) const VOLT: f64 = 230.0;

    /// At most, in kW.
    pub(crate) fn power_kw(self) -> f64 {
        match self {
            Self::Alternating { phases, ampere } => {
                f64::from(phases) * ampere * Self::VOLT / 1000.0
            }
            Self::Direct { kw } => kw,
        }
    }

    /// The part that reaches the battery.
    pub(crate) fn efficiency(self) -> f64 {
        match self {
            Self::Alternating { .. } => 0.90,
            Self::Direct { .. } => 0.95,
        }
    }
}

impl BatteryModel {
    /// Alternating current as far as `charger` gives it and the vehicle takes it.
    pub(crate) fn alternating(&self, charger: Charger) -> Supply {
        let (phases, ampere) = match charger {
            Charger::Socket => (1, 16.0),
            Charger::TwoPhases => (2, 16.0),
            Charger::WallBox => (3, 32.0),
        };
        Supply::Alternating {
            phases: self.ac_phases.min(phases),
            ampere: self.ac_ampere.min(ampere),
        }
    }
}

static BEV: Model = Model {
    mass_kg: 2300.0,
    drag_area_m2: 0.56,
    rolling_resistance: 0.010,
    battery: Some(BatteryModel {
        gross_kwh: 84.3,
        usable_kwh: 81.2,
        charge_kw_max: 137.0,
        ac_phases: 3,
        ac_ampere: 16.0,
        dc_kw: Some(120.0),
    }),
    mild_kwh: None,
    tank_l: None,
    front_tyre_kpa: 250.0,
    rear_tyre_kpa: 290.0,
};
/// The i3 of 2013 to 2016 with the battery of 60 Ah: 1,195 kg empty, here with two people, a drag coefficient of 0.29 on
/// 2.38 m², 18.8 of 21.6 kWh usable.
static I3: Model = Model {
    mass_kg: 1370.0,
    drag_area_m2: 0.69,
    rolling_resistance: 0.0105,
    battery: Some(BatteryModel {
        gross_kwh: 21.6,
        usable_kwh: 18.8,
        charge_kw_max: 50.0,
        ac_phases: 1,
        ac_ampere: 32.0,
        dc_kw: Some(50.0),
    }),
    mild_kwh: None,
    tank_l: None,
    front_tyre_kpa: 230.0,
    rear_tyre_kpa: 280.0,
};
static PHEV: Model = Model {
    mass_kg: 1950.0,
    drag_area_m2: 0.58,
    rolling_resistance: 0.010,
    battery: Some(BatteryModel {
        gross_kwh: 22.1,
        usable_kwh: 19.4,
        charge_kw_max: 24.0,
        ac_phases: 1,
        ac_ampere: 16.0,
        dc_kw: None,
    }),
    mild_kwh: None,
    tank_l: Some(50.0),
    front_tyre_kpa: 240.0,
    rear_tyre_kpa: 270.0,
};
static MHEV: Model = Model {
    mass_kg: 1800.0,
    drag_area_m2: 0.56,
    rolling_resistance: 0.010,
    battery: None,
    mild_kwh: Some(0.4),
    tank_l: Some(60.0),
    front_tyre_kpa: 230.0,
    rear_tyre_kpa: 250.0,
};
static ICE: Model = Model {
    mass_kg: 1620.0,
    drag_area_m2: 0.58,
    rolling_resistance: 0.010,
    battery: None,
    mild_kwh: None,
    tank_l: Some(59.0),
    front_tyre_kpa: 220.0,
    rear_tyre_kpa: 240.0,
};

/// The kinds of car that a scenario may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// A battery electric saloon of 81 kWh.
    #[serde(rename = "i5")]
    I5,
    /// The same battery in a smaller body.
    #[serde(rename = "i4")]
    I4,
    /// A small battery electric car of 60 Ah.
    #[serde(rename = "i3")]
    I3,
    /// A plug-in hybrid.
    #[serde(rename = "330e")]
    Plugin330e,
    /// A petrol engine with a 48 V battery.
    #[serde(rename = "520i")]
    Mild520i,
    /// A petrol engine alone.
    #[serde(rename = "320i")]
    Petrol320i,
}

impl Kind {
    /// The one that stands for `drivetrain`.
    pub fn usual(drivetrain: Drivetrain) -> Self {
        match drivetrain {
            Drivetrain::Bev => Self::I5,
            Drivetrain::Phev => Self::Plugin330e,
            Drivetrain::Mhev => Self::Mild520i,
            Drivetrain::Ice => Self::Petrol320i,
        }
    }

    /// What drives it.
    pub fn drivetrain(self) -> Drivetrain {
        match self {
            Self::I5 | Self::I4 | Self::I3 => Drivetrain::Bev,
            Self::Plugin330e => Drivetrain::Phev,
            Self::Mild520i => Drivetrain::Mhev,
            Self::Petrol320i => Drivetrain::Ice,
        }
    }

    /// How it reports, unless a scenario says otherwise: the older and the simpler, the less.
    pub(crate) fn reports(self) -> Reports {
        match self {
            Self::I5 => Reports::Regular,
            Self::I4 | Self::Plugin330e => Reports::Distance,
            Self::Mild520i => Reports::Bursts,
            Self::I3 | Self::Petrol320i => Reports::TripEnd,
        }
    }

    pub(crate) fn model(self) -> &'static Model {
        match self {
            Self::I5 | Self::I4 => &BEV,
            Self::I3 => &I3,
            Self::Plugin330e => &PHEV,
            Self::Mild520i => &MHEV,
            Self::Petrol320i => &ICE,
        }
    }

    /// What vehicle number `n` of this kind was built as.
    pub fn build(self, n: u64) -> Build {
        let build = demo_build(self.drivetrain(), n);
        let named =
            |model_name: &str, model_key: &str, series: &str, series_devt: &str, body: &str| {
                Build {
                    model_name: model_name.to_owned(),
                    model_key: model_key.to_owned(),
                    series: series.to_owned(),
                    series_devt: series_devt.to_owned(),
                    body_type: body.to_owned(),
                    ..build.clone()
                }
            };
        match self {
            Self::I5 => named("i5 eDrive40", "11FJ", "5", "G60", "Limousine"),
            Self::I4 => named("i4 eDrive40", "71AW", "4", "G26", "Gran Coupé"),
            Self::I3 => Build {
                brand: "BMWi".to_owned(),
                battery_ah: Some("60.0".to_owned()),
                ..named("i3", "1Z21", "i", "I01", "Hatch")
            },
            Self::Plugin330e => named("330e", "31FH", "3", "G20", "Limousine"),
            Self::Mild520i => named("520i", "41FJ", "5", "G60", "Limousine"),
            Self::Petrol320i => {
                Build { brand: "BMW".to_owned(), ..named("320i", "31FF", "3", "G20", "Limousine") }
            }
        }
    }
}

struct Variant {
    brand: &'static str,
    model_name: &'static str,
    model_key: &'static str,
    series: &'static str,
    series_devt: &'static str,
    body_type: &'static str,
    battery_ah: Option<&'static str>,
}

/// Three for each drivetrain, close enough to each other to share its physics.
fn variants(drivetrain: Drivetrain) -> [Variant; 3] {
    let variant = |brand, model_name, model_key, series, series_devt, body_type, battery_ah| {
        Variant { brand, model_name, model_key, series, series_devt, body_type, battery_ah }
    };
    match drivetrain {
        Drivetrain::Bev => [
            variant("BMW", "i5 eDrive40", "11FJ", "5", "G60", "Limousine", Some("210.6")),
            variant("BMWi", "i4 eDrive40", "71AW", "4", "G26", "Gran Coupé", Some("210.6")),
            variant("BMW", "i5 eDrive40", "21GX", "5", "G61", "Touring", Some("210.6")),
        ],
        Drivetrain::Phev => [
            variant("BMW", "330e", "31FH", "3", "G20", "Limousine", Some("63.0")),
            variant("BMW", "530e", "51FK", "5", "G60", "Limousine", Some("63.0")),
            variant("BMW", "330e", "61FS", "3", "G21", "Touring", Some("63.0")),
        ],
        Drivetrain::Mhev => [
            variant("BMW", "520i", "41FJ", "5", "G60", "Limousine", None),
            variant("BMW", "520d", "81FJ", "5", "G60", "Limousine", None),
            variant("BMW", "520d", "21GY", "5", "G61", "Touring", None),
        ],
        Drivetrain::Ice => [
            variant("BMW", "320i", "31FF", "3", "G20", "Limousine", None),
            variant("MINI", "Cooper S", "61GD", "MINI", "F65", "Hatch", None),
            variant("BMW", "318i", "11FS", "3", "G21", "Touring", None),
        ],
    }
}

const COLOURS: [(&str, &str); 5] = [
    ("475", "BLACK SAPPHIRE METALLIC"),
    ("300", "ALPINE WHITE"),
    ("A96", "MINERAL WHITE METALLIC"),
    ("C1M", "PHYTONIC BLUE METALLIC"),
    ("C36", "DRAVIT GREY METALLIC"),
];

/// What a demo vehicle number `n` of `drivetrain` was built as; numbers that follow each other differ.
///
/// # Panics
/// Never: the remainder of a small number fits, and its dates are sound.
pub fn demo_build(drivetrain: Drivetrain, n: u64) -> Build {
    let pick = |count: u64| usize::try_from(n % count).expect("less than the count");
    let Variant { brand, model_name, model_key, series, series_devt, body_type, battery_ah } =
        &variants(drivetrain)[pick(3)];
    let (colour_code, colour_description) = COLOURS[pick(5)];
    let (engine, charging_modes) = match drivetrain {
        Drivetrain::Bev => ("HA0001N0", "AC DC"),
        Drivetrain::Phev => ("B48B20O1", "AC"),
        Drivetrain::Mhev => ("B48B20O2", ""),
        Drivetrain::Ice => ("B48A20O1", ""),
    };
    let month = n % 12 + 1;
    Build {
        brand: (*brand).to_owned(),
        model_name: (*model_name).to_owned(),
        model_key: (*model_key).to_owned(),
        series: (*series).to_owned(),
        series_devt: (*series_devt).to_owned(),
        body_type: (*body_type).to_owned(),
        number_of_doors: 4,
        colour_code: colour_code.to_owned(),
        colour_description: colour_description.to_owned(),
        country_code: "DE".to_owned(),
        constructed_at: format!("2025-{month:02}-01T00:00:00Z")
            .parse()
            .expect("the first of a month is a date"),
        battery_ah: battery_ah.map(str::to_owned),
        has_navi: Some(true),
        has_sun_roof: Some(n.is_multiple_of(2)),
        head_unit: "MGU_02_A".to_owned(),
        steering: "LL".to_owned(),
        engine: engine.to_owned(),
        charging_modes: charging_modes.to_owned(),
        equipment_codes: "01CE,0205,02VB,0316,0322,03AG,0430,0431,0493,0508,0544,06AE,06U3"
            .to_owned(),
        sim_status: "ACTIVE".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_a_brand_that_clients_know_and_a_battery_where_there_is_one() {
        for drivetrain in [Drivetrain::Bev, Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice] {
            for n in (0..30).chain([u64::MAX]) {
                let build = demo_build(drivetrain, n);
                assert!(["BMW", "BMWi", "MINI"].contains(&&*build.brand));
                let model = Kind::usual(drivetrain).model();
                assert_eq!(build.battery_ah.is_some(), model.battery.is_some());
            }
            assert_ne!(demo_build(drivetrain, 0), demo_build(drivetrain, 1));
        }
    }
}
