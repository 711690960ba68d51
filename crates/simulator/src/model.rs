//! The kinds of vehicle that are simulated: their physics, and what was fixed when they were built.

use cardata_domain::vehicle::{Build, Drivetrain};

use crate::route::Charger;

/// What the physics needs to know of a kind of vehicle.
#[derive(Debug)]
pub(crate) struct Model {
    /// With a driver.
    pub(crate) mass_kg: f64,
    /// Drag coefficient times frontal area.
    pub(crate) drag_area_m2: f64,
    pub(crate) battery: Option<BatteryModel>,
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
    /// What the charger on board takes.
    pub(crate) ac_kw: f64,
    /// `None` where it takes no direct current.
    pub(crate) dc_kw: Option<f64>,
}

/// What flows at the plug.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Supply {
    /// Alternating current at 230 V and 16 A on each phase.
    Alternating { phases: u8 },
    /// Direct current.
    Direct { kw: f64 },
}

impl Supply {
    pub(crate) const AMPERE: f64 = 16.0;
    pub(crate) const VOLT: f64 = 230.0;

    /// At most, in kW.
    pub(crate) fn power_kw(self) -> f64 {
        match self {
            Self::Alternating { phases } => f64::from(phases) * Self::AMPERE * Self::VOLT / 1000.0,
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
        match charger {
            Charger::WallBox if self.ac_kw > 7.4 => Supply::Alternating { phases: 3 },
            Charger::WallBox | Charger::Socket => Supply::Alternating { phases: 1 },
        }
    }
}

static BEV: Model = Model {
    mass_kg: 2300.0,
    drag_area_m2: 0.56,
    battery: Some(BatteryModel {
        gross_kwh: 84.3,
        usable_kwh: 81.2,
        ac_kw: 11.0,
        dc_kw: Some(120.0),
    }),
    tank_l: None,
    front_tyre_kpa: 250.0,
    rear_tyre_kpa: 290.0,
};
static PHEV: Model = Model {
    mass_kg: 1950.0,
    drag_area_m2: 0.58,
    battery: Some(BatteryModel { gross_kwh: 22.1, usable_kwh: 19.4, ac_kw: 3.7, dc_kw: None }),
    tank_l: Some(50.0),
    front_tyre_kpa: 240.0,
    rear_tyre_kpa: 270.0,
};
static MHEV: Model = Model {
    mass_kg: 1800.0,
    drag_area_m2: 0.56,
    battery: None,
    tank_l: Some(60.0),
    front_tyre_kpa: 230.0,
    rear_tyre_kpa: 250.0,
};
static ICE: Model = Model {
    mass_kg: 1620.0,
    drag_area_m2: 0.58,
    battery: None,
    tank_l: Some(59.0),
    front_tyre_kpa: 220.0,
    rear_tyre_kpa: 240.0,
};

/// The physics of `drivetrain`.
pub(crate) fn model(drivetrain: Drivetrain) -> &'static Model {
    match drivetrain {
        Drivetrain::Bev => &BEV,
        Drivetrain::Phev => &PHEV,
        Drivetrain::Mhev => &MHEV,
        Drivetrain::Ice => &ICE,
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
                assert_eq!(build.battery_ah.is_some(), model(drivetrain).battery.is_some());
            }
            assert_ne!(demo_build(drivetrain, 0), demo_build(drivetrain, 1));
        }
    }
}
