//! Bodies of the REST API (wire §4.4 to §4.8).

pub mod charging;
pub mod v2;

use std::borrow::Cow;
use std::collections::BTreeMap;

use cardata_domain::container::Container;
use cardata_domain::vehicle::{Drivetrain, Mapping, MappingType, Vehicle};
use cardata_domain::{Catalogue, Entry};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One element of `GET /customers/vehicles/mappings`, which is a bare array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VehicleMapping {
    /// The vehicle's number.
    pub vin: String,
    /// Since when, with milliseconds and `Z`.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub mapped_since: Timestamp,
    /// What the customer is to the vehicle.
    pub mapping_type: MappingKind,
}

/// What a customer is to a vehicle, as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MappingKind {
    /// May read the vehicle's data.
    Primary,
    /// May not.
    Secondary,
}

impl From<&Mapping> for VehicleMapping {
    fn from(mapping: &Mapping) -> Self {
        Self {
            vin: mapping.vin.as_str().to_owned(),
            mapped_since: mapping.since,
            mapping_type: match mapping.mapping_type {
                MappingType::Primary => MappingKind::Primary,
                MappingType::Secondary => MappingKind::Secondary,
            },
        }
    }
}

/// The body of `POST /customers/containers`. Other members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateContainer {
    /// A name for people.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What the client wants the data for.
    #[schema(min_length = 1, max_length = 255)]
    pub purpose: String,
    /// The descriptors' names.
    #[schema(min_items = 1)]
    pub technical_descriptors: Vec<String>,
}

/// The body of `GET /customers/containers`: an object, also when there is no container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerList {
    /// The ACTIVE ones. Some clients count these towards the limit, others take the first of a name without a look at
    /// its state, so deleted ones would mislead both.
    pub containers: Vec<ContainerSummary>,
}

/// A container without its descriptors, as it stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSummary {
    /// Its id, 13 characters.
    pub container_id: String,
    /// A name for people.
    pub name: String,
    /// What the client wants the data for.
    pub purpose: String,
    /// Whether it is in use.
    pub state: ContainerState,
    /// When it was registered, with milliseconds and `Z`.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

/// A container with its descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDetails {
    /// All but the descriptors.
    #[serde(flatten)]
    pub summary: ContainerSummary,
    /// The descriptors' names, in the order in which they were registered.
    pub technical_descriptors: Vec<String>,
}

/// A container's state, as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerState {
    /// In use.
    Active,
    /// Not in use; the real service's guide has this word for a deleted one.
    Inactive,
    /// Deleted.
    Deleted,
}

impl From<&Container> for ContainerSummary {
    fn from(container: &Container) -> Self {
        let active = container.is_active();
        Self {
            container_id: container.id.to_string(),
            name: container.name.clone(),
            purpose: container.purpose.clone(),
            state: if active { ContainerState::Active } else { ContainerState::Deleted },
            created: container.created_at,
        }
    }
}

impl From<&Container> for ContainerDetails {
    fn from(container: &Container) -> Self {
        Self { summary: container.into(), technical_descriptors: container.descriptors.to_vec() }
    }
}

/// The body of `GET …/telematicData`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelematicData<'a> {
    /// The latest values by descriptor.
    pub telematic_data: BTreeMap<Cow<'a, str>, TelematicEntry<'a>>,
}

/// A descriptor's latest value. Unlike on the stream, all members are always there and the value is text (wire §3.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelematicEntry<'a> {
    /// The time of the value, with milliseconds and `Z`; null when it was never reported.
    #[serde(with = "milliseconds_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub timestamp: Option<Timestamp>,
    /// The unit that came with the value, or the catalogue's where it was never reported.
    #[schema(required)]
    pub unit: Option<Cow<'a, str>>,
    /// The value as text; a JSON number would break clients.
    #[schema(required)]
    pub value: Option<Cow<'a, str>>,
}

impl<'a> TelematicData<'a> {
    /// What a container with `descriptors` shows of a vehicle's `latest` values, which are in the order of the catalogue.
    ///
    /// Each descriptor is there, reported or not, except for those that an endpoint of their own serves.
    pub fn new(descriptors: &'a [String], latest: &'a [Entry], catalogue: &'a Catalogue) -> Self {
        debug_assert!(latest.is_sorted_by_key(Entry::descriptor));
        let shown = descriptors.iter().filter_map(|name| {
            // A name that no catalogue lists is known here only after a vehicle sent it.
            let Some(id) = catalogue.find(name) else {
                return Some((name.into(), TelematicEntry::unreported(None)));
            };
            let descriptor = catalogue.descriptor(id);
            if descriptor.endpoint.is_some() {
                return None;
            }
            let place = latest.binary_search_by_key(&id, Entry::descriptor).ok();
            let entry = if let Some(entry) = place.map(|place| &latest[place]) {
                TelematicEntry {
                    timestamp: Some(entry.at()),
                    unit: entry.unit().map(Cow::Borrowed),
                    value: Some(entry.value().as_plain().into()),
                }
            } else {
                let unit = descriptor.unit.as_deref();
                TelematicEntry::unreported(unit.map(|unit| unit.to_owned().into()))
            };
            Some((name.into(), entry))
        });
        Self { telematic_data: shown.collect() }
    }
}

impl<'a> TelematicEntry<'a> {
    fn unreported(unit: Option<Cow<'a, str>>) -> Self {
        Self { timestamp: None, unit, value: None }
    }
}

/// The body of `GET …/basicData`. The real service leaves out what it does not know of a vehicle, and so does this one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.7")]
pub struct BasicData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vin: Option<String>,
    /// One of `BMW`, `BMWi`, `BMW Motorrad`, `Toyota-Supra`, `MINI`, `Rolls-Royce`; others break a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// The series' development code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_devt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_doors: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_navi: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_sun_roof: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_unit: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// `LL` or `RL`: the side of the steering wheel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// `BEV`, `PHEV` or `CONV`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drive_train: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charging_modes: Option<Vec<String>>,
    /// `BEV`, `PHEV`, or `BE` for a combustion engine: not "battery electric".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propulsion_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour_code_raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour_description: Option<String>,
    /// With milliseconds and, alone of all instants, `+0000` instead of `Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub construction_date: Option<String>,
    #[serde(rename = "fullSAList", skip_serializing_if = "Option::is_none")]
    pub full_sa_list: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim_status: Option<String>,
    /// The high-voltage battery's nominal gross capacity in Ah.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reess_nominal_capacity_gross: Option<String>,
}

impl From<Vehicle> for BasicData {
    fn from(Vehicle { vin, drivetrain, build }: Vehicle) -> Self {
        // What was recorded of a petrol car: CONV and BE. The wire has no word for a mild hybrid.
        let (drive_train, propulsion_type) = match drivetrain {
            Drivetrain::Bev => ("BEV", "BEV"),
            Drivetrain::Phev => ("PHEV", "PHEV"),
            Drivetrain::Mhev | Drivetrain::Ice => ("CONV", "BE"),
        };
        let known = |text: String| (!text.is_empty()).then_some(text);
        let constructed_at = format!("{:.3}", build.constructed_at).replace('Z', "+0000");
        let is_dated = build.constructed_at != Timestamp::UNIX_EPOCH;
        Self {
            vin: Some(vin.as_str().to_owned()),
            brand: known(build.brand),
            model_name: known(build.model_name),
            model_key: known(build.model_key),
            series: known(build.series),
            series_devt: known(build.series_devt),
            body_type: known(build.body_type),
            number_of_doors: (build.number_of_doors > 0).then_some(build.number_of_doors),
            has_navi: build.has_navi,
            has_sun_roof: build.has_sun_roof,
            head_unit: known(build.head_unit),
            country_code: known(build.country_code),
            steering: known(build.steering),
            engine: known(build.engine),
            drive_train: Some(drive_train.to_owned()),
            charging_modes: known(build.charging_modes).map(|modes| words(&modes)),
            propulsion_type: Some(propulsion_type.to_owned()),
            colour_code_raw: known(build.colour_code),
            colour_description: known(build.colour_description),
            construction_date: is_dated.then_some(constructed_at),
            full_sa_list: known(build.equipment_codes),
            sim_status: known(build.sim_status),
            reess_nominal_capacity_gross: build.battery_ah,
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// One element of `GET /v2/consents`, which is a bare array: who has let the client in, to what, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientConsent {
    /// Its id; the `sid` of its id tokens.
    pub consent_id: String,
    /// Who let the client in.
    pub gcid: String,
    /// To what.
    pub scopes: Vec<String>,
    /// Since when, with milliseconds and `Z`.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub granted_at: Timestamp,
    /// Until when, exclusively; null until somebody ends it.
    #[serde(with = "milliseconds_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub expires_at: Option<Timestamp>,
    /// The numbers of the customer's vehicles that the client may read now.
    pub vehicles: Vec<String>,
}

/// Instants with exactly three digits after the seconds, and `Z`: the form in which every client reads them.
mod milliseconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{at:.3}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(from)
    }
}

mod milliseconds_or_null {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the member by reference")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::milliseconds::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use cardata_domain::Value;
    use cardata_domain::vehicle::Build;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Checks that `sample` reads as a `T` and that this prints the same again.
    fn keeps<T: DeserializeOwned + Serialize>(sample: &str) -> T {
        let body: T = serde_json::from_str(sample).unwrap();
        let as_is: serde_json::Value = serde_json::from_str(sample).unwrap();
        assert_eq!(serde_json::to_value(&body).unwrap(), as_is);
        body
    }

    #[test]
    fn every_sample_reads_and_prints_back_the_same() {
        keeps::<Vec<VehicleMapping>>(include_str!("../samples/mappings.json"));
        keeps::<ContainerList>(include_str!("../samples/container_list.json"));
        keeps::<ContainerDetails>(include_str!("../samples/container_details.json"));
        keeps::<CreateContainer>(include_str!("../samples/create_container.json"));
        keeps::<BasicData>(include_str!("../samples/basic_data.json"));
        let data = keeps::<TelematicData>(include_str!("../samples/telematic_data.json"));
        assert_eq!(data.telematic_data.len(), 5);
    }

    const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
    const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
    const BATTERY: &str = "vehicle.drivetrain.batteryManagement.batterySizeMax";

    #[test]
    fn each_descriptor_comes_back_as_text_or_null_but_for_those_with_an_endpoint_of_their_own() {
        let catalogue = Catalogue::shipped();
        let entry = |name, at: &str, value, unit| {
            let id = catalogue.intern(name).unwrap();
            Entry::new(&catalogue, id, at.parse().unwrap(), value, unit)
        };
        let latest = [
            entry(ODOMETER, "2025-10-06T06:08:13Z", Value::integer(10489), None),
            entry(
                "vehicle.isMoving",
                "2025-10-06T06:08:13.5214Z",
                Value::Boolean(false),
                Some("u"),
            ),
            entry(BATTERY, "2025-10-06T06:08:13Z", Value::text("0.0"), None),
            entry("vehicle.notAsked", "2025-10-06T06:08:13Z", Value::integer(1), None),
        ];
        let descriptors =
            [ODOMETER, SOC, "vehicle.isMoving", BATTERY, "vehicle.sim.status", "vehicle.unseen"]
                .map(str::to_owned);
        let shown = TelematicData::new(&descriptors, &latest, &catalogue);
        assert_eq!(
            serde_json::to_value(&shown).unwrap(),
            serde_json::json!({"telematicData": {
                ODOMETER: {"timestamp": "2025-10-06T06:08:13.000Z", "unit": null, "value": "10489"},
                SOC: {"timestamp": null, "unit": "%", "value": null},
                "vehicle.isMoving":
                    {"timestamp": "2025-10-06T06:08:13.521Z", "unit": "u", "value": "false"},
                "vehicle.unseen": {"timestamp": null, "unit": null, "value": null},
            }})
        );
    }

    #[test]
    fn the_construction_date_alone_has_an_offset_in_figures() {
        let vehicle = |drivetrain| Vehicle {
            vin: "WBY00000000000001".parse().unwrap(),
            drivetrain,
            build: Build {
                brand: "BMWi".into(),
                model_name: "i3".into(),
                model_key: "7Z41".into(),
                series: "i".into(),
                series_devt: "I01".into(),
                body_type: "Limousine".into(),
                number_of_doors: 4,
                colour_code: "475".into(),
                colour_description: "BLACK".into(),
                country_code: "DE".into(),
                constructed_at: "2025-10-01T00:00:00Z".parse().unwrap(),
                charging_modes: "AC DC".into(),
                ..Build::default()
            },
        };
        let bev = BasicData::from(vehicle(Drivetrain::Bev));
        assert_eq!(bev.construction_date.as_deref(), Some("2025-10-01T00:00:00.000+0000"));
        let json = serde_json::to_value(&bev).unwrap();
        assert_eq!((&json["driveTrain"], &json["propulsionType"]), (&"BEV".into(), &"BEV".into()));
        assert_eq!(json["chargingModes"], serde_json::json!(["AC", "DC"]));
        assert!(!json.to_string().contains("null"));
        let ice = BasicData::from(vehicle(Drivetrain::Ice));
        assert_eq!(ice.drive_train.as_deref(), Some("CONV"));
        assert_eq!(ice.propulsion_type.as_deref(), Some("BE"));
    }

    #[test]
    fn what_is_not_known_of_a_vehicle_is_left_out() {
        let build = Build::unknown(Drivetrain::Bev);
        let vin = "WBY00000000000001".parse().unwrap();
        let vehicle = Vehicle { vin, drivetrain: Drivetrain::Bev, build };
        assert_eq!(
            serde_json::to_value(BasicData::from(vehicle)).unwrap(),
            serde_json::json!({"vin": "WBY00000000000001", "brand": "BMW", "modelName": "BEV", "driveTrain": "BEV",
                "propulsionType": "BEV"})
        );
    }
}
