//! The body of `GET …/smartMaintenanceTyreDiagnosis` (wire §4.10).
//!
//! Each part has its label always, and the rest only where something is known.

use cardata_domain::{Catalogue, Entry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The whole body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TyreDiagnosis {
    /// The only kind of vehicle that has one.
    pub passenger_car: PassengerCar,
    /// Always empty here.
    pub errors: Vec<DiagnosisError>,
}

/// Both sets of tyres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PassengerCar {
    /// Those on the vehicle.
    pub mounted_tyres: TyreSet,
    /// The other ones.
    pub unmounted_tyres: TyreSet,
}

/// A fault of the service that makes the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisError {
    /// Its id.
    pub event_id: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says, by language.
    #[schema(value_type = Object)]
    pub message: serde_json::Map<String, serde_json::Value>,
}

/// Four tyres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TyreSet {
    /// What it is, for people.
    pub label: String,
    /// The worst of the four.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregated_quality_status: Option<Quality>,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_left: Option<Tyre>,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_right: Option<Tyre>,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rear_left: Option<Tyre>,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rear_right: Option<Tyre>,
}

/// One tyre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tyre {
    /// Where it is, for people.
    pub label: String,
    /// Its size.
    pub dimension: Part,
    /// Since when it is on.
    pub mounting_date: Part,
    /// Whether the maker of the vehicle had a say in it.
    pub optimized_for_oem: Part,
    /// Its number.
    pub part_number: Part,
    /// How good it is.
    pub quality_status: Quality,
    /// Whether it can be driven without air.
    pub run_flat: Part,
    /// For which season.
    pub season: Part,
    /// Its tread.
    pub tread: Part,
    /// Whether it loses air.
    pub tyre_defect: Defect,
    /// When it was made.
    pub tyre_production_date: Part,
    /// How worn it is.
    pub tyre_wear: Part,
}

/// A part of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// What it is, for people.
    pub label: String,
}

/// How good a tyre or a set of them is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// What it is, for people.
    pub label: String,
    /// `OK` or `ACTION_REQUIRED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_status: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Whether a tyre loses air.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Defect {
    /// What it is, for people.
    pub label: String,
    /// `NO_DEFECT` or `PRESSURE_LOSS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How urgent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_color: Option<StatusColor>,
    /// The status for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// How urgent something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatusColor {
    /// At once.
    Red,
    /// Soon.
    Yellow,
    /// Not at all.
    Green,
    /// Nobody knows.
    Grey,
}

/// A tyre below this part of its target pressure loses air. Cold takes a tenth at the most.
const PRESSURE_MIN: f64 = 0.8;

/// Whether a tyre loses air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Good,
    LosesAir,
}

impl TyreDiagnosis {
    /// What a vehicle's `latest` values tell of its tyres: whether each has most of its target pressure. Of the other
    /// set, and of what else there may be to know, vehicles tell nothing.
    pub fn new(latest: &[Entry], catalogue: &Catalogue) -> Self {
        let number = |name: &str| {
            let id = catalogue.find(name)?;
            let entry = latest.iter().find(|entry| entry.descriptor() == id)?;
            entry.value().as_plain().parse::<f64>().ok()
        };
        let health = |place: &str| {
            let stem = format!("vehicle.chassis.axle.{place}.tire");
            let pressure = number(&format!("{stem}.pressure"))?;
            let target =
                number(&format!("{stem}.pressureTarget")).filter(|target| *target > 0.0)?;
            let is_good = pressure >= PRESSURE_MIN * target;
            Some(if is_good { Health::Good } else { Health::LosesAir })
        };
        let places = ["row1.wheel.left", "row1.wheel.right", "row2.wheel.left", "row2.wheel.right"];
        let [front_left, front_right, rear_left, rear_right] = places.map(health);
        let worst = [front_left, front_right, rear_left, rear_right].into_iter().flatten().max();
        let mounted_tyres = TyreSet {
            label: "Mounted tyres".to_owned(),
            aggregated_quality_status: Some(Quality::new(worst)),
            front_left: Some(Tyre::new("Front left", front_left)),
            front_right: Some(Tyre::new("Front right", front_right)),
            rear_left: Some(Tyre::new("Rear left", rear_left)),
            rear_right: Some(Tyre::new("Rear right", rear_right)),
        };
        let unmounted_tyres = TyreSet {
            label: "Unmounted tyres".to_owned(),
            aggregated_quality_status: None,
            front_left: None,
            front_right: None,
            rear_left: None,
            rear_right: None,
        };
        let passenger_car = PassengerCar { mounted_tyres, unmounted_tyres };
        Self { passenger_car, errors: Vec::new() }
    }
}

impl Tyre {
    fn new(label: &str, health: Option<Health>) -> Self {
        let part = |label: &str| Part { label: label.to_owned() };
        Self {
            label: label.to_owned(),
            dimension: part("Dimension"),
            mounting_date: part("Mounting date"),
            optimized_for_oem: part("Optimised for the vehicle"),
            part_number: part("Part number"),
            quality_status: Quality::new(health),
            run_flat: part("Run-flat"),
            season: part("Season"),
            tread: part("Tread"),
            tyre_defect: Defect::new(health),
            tyre_production_date: part("Production date"),
            tyre_wear: part("Wear"),
        }
    }
}

impl Quality {
    fn new(health: Option<Health>) -> Self {
        let told = health.map(|health| match health {
            Health::Good => ("OK", "OK"),
            Health::LosesAir => ("ACTION_REQUIRED", "Action required"),
        });
        Self {
            label: "Quality".to_owned(),
            quality_status: told.map(|(status, _)| status.to_owned()),
            value: told.map(|(_, value)| value.to_owned()),
        }
    }
}

impl Defect {
    fn new(health: Option<Health>) -> Self {
        let told = health.map(|health| match health {
            Health::Good => ("NO_DEFECT", StatusColor::Green, "No defect"),
            Health::LosesAir => ("PRESSURE_LOSS", StatusColor::Red, "Pressure loss"),
        });
        Self {
            label: "Defect".to_owned(),
            status: told.map(|(status, _, _)| status.to_owned()),
            status_color: told.map(|(_, color, _)| color),
            value: told.map(|(_, _, value)| value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cardata_domain::Value;
    use serde_json::json;

    use super::*;

    fn diagnosis(told: &[(&str, Value)]) -> serde_json::Value {
        let catalogue = Catalogue::shipped();
        let entries: Vec<_> = told
            .iter()
            .map(|(name, value)| {
                let id = catalogue.find(&format!("vehicle.chassis.axle.{name}")).unwrap();
                let at = "2025-10-06T06:08:13Z".parse().unwrap();
                Entry::new(&catalogue, id, at, value.clone(), Some("kPa"))
            })
            .collect();
        serde_json::to_value(TyreDiagnosis::new(&entries, &catalogue)).unwrap()
    }

    #[test]
    fn of_a_vehicle_that_told_nothing_there_are_labels_only() {
        let told = diagnosis(&[]);
        assert_eq!(told["errors"], json!([]));
        let sets = &told["passengerCar"];
        assert_eq!(sets["unmountedTyres"], json!({"label": "Unmounted tyres"}));
        let mounted = &sets["mountedTyres"];
        assert_eq!(mounted["aggregatedQualityStatus"], json!({"label": "Quality"}));
        for place in ["frontLeft", "frontRight", "rearLeft", "rearRight"] {
            let tyre = mounted[place].as_object().unwrap();
            assert_eq!(tyre.len(), 12, "{place}");
            let parts = tyre.values().filter_map(serde_json::Value::as_object);
            assert!(parts.clone().all(|part| part.keys().eq(["label"])), "{place}");
            assert_eq!(parts.count(), 11);
        }
    }

    #[test]
    fn a_tyre_that_lost_a_fifth_of_its_pressure_is_named_and_decides_for_all() {
        let told = diagnosis(&[
            ("row1.wheel.left.tire.pressure", Value::integer(200)),
            ("row1.wheel.left.tire.pressureTarget", Value::integer(250)),
            ("row1.wheel.right.tire.pressure", Value::integer(199)),
            ("row1.wheel.right.tire.pressureTarget", Value::integer(250)),
            ("row2.wheel.left.tire.pressure", Value::text("flat")),
            ("row2.wheel.left.tire.pressureTarget", Value::integer(290)),
            ("row2.wheel.right.tire.pressure", Value::integer(290)),
            ("row2.wheel.right.tire.pressureTarget", Value::integer(0)),
        ]);
        let mounted = &told["passengerCar"]["mountedTyres"];
        assert_eq!(mounted["aggregatedQualityStatus"]["qualityStatus"], "ACTION_REQUIRED");
        let defect = |place: &str| &mounted[place]["tyreDefect"];
        assert_eq!(
            *defect("frontLeft"),
            json!({"label": "Defect", "status": "NO_DEFECT", "statusColor": "GREEN", "value": "No defect"})
        );
        assert_eq!(defect("frontRight")["statusColor"], "RED");
        assert_eq!(*defect("rearLeft"), json!({"label": "Defect"}));
        assert_eq!(*defect("rearRight"), json!({"label": "Defect"}));
        assert!(!told.to_string().contains("250"), "no pressures");
    }
}
