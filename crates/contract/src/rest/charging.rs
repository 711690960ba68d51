//! Bodies of the charging history (wire §4.11) and of the location-based charging settings (wire §4.12).

use cardata_domain::charging::{self, Place, Session};
use cardata_domain::privacy::Position;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::milliseconds;

/// The body of `GET …/chargingHistory`: a page of sessions, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChargingHistory {
    /// At most a page.
    pub data: Vec<ChargingSession>,
    /// Gets the next page as `nextToken`; missing on the last one. The real service writes it like this here alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A charge. Times are whole seconds since 1970; a client reads integers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargingSession {
    /// When current flowed first.
    pub start_time: i64,
    /// When it flowed last; missing while the session runs, since null breaks a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<i64>,
    /// The name of a time zone, such as `Europe/Vienna`.
    pub time_zone: String,
    /// Whole percent at the start; missing where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayed_start_soc: Option<u8>,
    /// Whole percent at the end, or now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayed_soc: Option<u8>,
    /// How long current flowed; without the pauses.
    pub total_charging_duration_sec: i64,
    /// With all digits that a float has.
    pub energy_consumed_from_power_grid_kwh: f64,
    /// Whether the cabin was heated or cooled meanwhile.
    pub is_preconditioning_activated: bool,
    /// Whole kilometres on the odometer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mileage: Option<u64>,
    /// Always kilometres.
    pub mileage_units: MileageUnits,
    /// Where it was; missing where that is not known, or the client may not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charging_location: Option<ChargingLocation>,
    /// The times in which current flowed, the oldest first.
    pub charging_blocks: Vec<ChargingBlock>,
    /// Which public charging point it may have been.
    pub public_charging_point: PublicChargingPoint,
    /// What the real service could not find out; always empty here.
    pub business_errors: Vec<BusinessError>,
}

/// The unit of the odometer. The real service says this, and not what its description has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MileageUnits {
    /// Kilometres.
    Km,
}

/// Where a charge was. This server has no map, so that addresses are empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.11")]
pub struct ChargingLocation {
    pub municipality: String,
    pub formatted_address: String,
    pub street_address: String,
    pub map_matched_latitude: f64,
    pub map_matched_longitude: f64,
}

/// A time in which current flowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargingBlock {
    /// Its begin.
    pub start_time: i64,
    /// Its end; of one that runs, until when that is known.
    pub end_time: i64,
    /// The mean power at the grid.
    pub average_power_grid_kw: f64,
}

/// Which public charging point it may have been. This server knows none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicChargingPoint {
    /// Those that are near.
    pub potential_charging_point_matches: Vec<ChargingPointMatch>,
}

/// A public charging point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.11")]
pub struct ChargingPointMatch {
    pub provider_name: String,
    pub street_address: String,
    pub postal_code: String,
    pub city: String,
}

/// Something that could not be found out about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.11")]
pub struct BusinessError {
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub creation_time: Timestamp,
    pub hint: String,
}

impl ChargingSession {
    /// `session` as a client sees it who may know `position`.
    pub fn new(session: &Session, position: Option<Position>, time_zone: &str) -> Self {
        let blocks: Vec<_> = session.blocks.iter().map(ChargingBlock::from).collect();
        let (started, ended) = (session.started_at.as_second(), session.ended_at.as_second());
        Self {
            start_time: started,
            end_time: (!session.is_running).then_some(ended),
            time_zone: time_zone.to_owned(),
            displayed_start_soc: session.start_permille.and_then(percent),
            displayed_soc: session.end_permille.and_then(percent),
            // Of the whole seconds that the blocks show, so that clients which add up get the same.
            total_charging_duration_sec: blocks
                .iter()
                .map(|block| block.end_time - block.start_time)
                .sum(),
            energy_consumed_from_power_grid_kwh: session.energy_kwh(),
            is_preconditioning_activated: session.is_preconditioned,
            mileage: session.mileage_m.map(|metres| metres / 1000),
            mileage_units: MileageUnits::Km,
            charging_location: position.map(|position| ChargingLocation {
                municipality: String::new(),
                formatted_address: String::new(),
                street_address: String::new(),
                map_matched_latitude: position.latitude,
                map_matched_longitude: position.longitude,
            }),
            charging_blocks: blocks,
            public_charging_point: PublicChargingPoint::default(),
            business_errors: Vec::new(),
        }
    }
}

impl From<&charging::Block> for ChargingBlock {
    fn from(block: &charging::Block) -> Self {
        Self {
            start_time: block.started_at.as_second(),
            end_time: block.ended_at.as_second(),
            average_power_grid_kw: block.average_kw(),
        }
    }
}

/// Whole percent, as a dashboard shows them.
fn percent(permille: u16) -> Option<u8> {
    u8::try_from((permille + 5) / 10).ok()
}

/// The body of `GET …/locationBasedChargingSettings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargingSettings {
    /// Gets the next page as `nextToken`; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// A place each, the one visited last first.
    pub data: Vec<PlaceSettings>,
}

/// A place where the vehicle charges, and how it is set to charge there. What is not known is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceSettings {
    /// Names the place among those of its vehicle; the same as `clusterLocationId`.
    pub id: String,
    /// When it was last found to be so.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub last_updated: Timestamp,
    /// Names the place among those of its vehicle.
    pub cluster_location_id: String,
    /// In degrees.
    pub latitude: f64,
    /// In degrees.
    pub longitude: f64,
    /// When the vehicle charged there last.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub last_visit: Timestamp,
    /// How often it charged there.
    pub visits: u32,
    /// The vehicle with its customer.
    pub vehicle_id_with_gcid: String,
    /// When it may charge; always empty, since no descriptor tells it.
    pub charging_time_windows: Vec<ChargingTimeWindow>,
    /// What the vehicle reports of its settings; only for the place where it charged last.
    #[serde(flatten)]
    pub reported: ReportedSettings,
}

/// A time of day at which a vehicle may charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.12")]
pub struct ChargingTimeWindow {
    pub start_charging_time_period_hour: u8,
    pub start_charging_time_period_minute: u8,
    pub stop_charging_time_period_hour: u8,
    pub stop_charging_time_period_minute: u8,
}

/// Settings that descriptors tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the members have the names and meanings of wire §4.12")]
pub struct ReportedSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charging_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimized_charging_preference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ac_current_limit_flag: Option<String>,
    /// In ampere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ac_current_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acoustic_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap_lock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charging_plug: Option<String>,
}

impl PlaceSettings {
    /// `place` of the vehicle and customer that `vehicle_id_with_gcid` names.
    pub fn new(place: &Place, vehicle_id_with_gcid: String) -> Self {
        let id = format!("{:x}", place.first_visit_at.as_millisecond());
        Self {
            cluster_location_id: id.clone(),
            id,
            last_updated: place.last_visit_at,
            latitude: place.position.latitude,
            longitude: place.position.longitude,
            last_visit: place.last_visit_at,
            visits: place.visits,
            vehicle_id_with_gcid,
            charging_time_windows: Vec::new(),
            reported: ReportedSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardata_domain::charging::{Block, EnergySource};

    fn keeps<T: Serialize + serde::de::DeserializeOwned>(text: &str) -> T {
        let read: T = serde_json::from_str(text).unwrap();
        let printed = serde_json::to_string_pretty(&read).unwrap();
        assert_eq!(printed.trim(), text.trim());
        read
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_754_900_000_000 + millisecond).unwrap()
    }

    fn session(is_running: bool) -> Session {
        let block =
            |from, to| Block { started_at: at(from), ended_at: at(to), energy_joules: 3_600_000 };
        Session {
            started_at: at(100),
            ended_at: at(5_160_900),
            is_running,
            start_permille: Some(444),
            end_permille: Some(615),
            source: EnergySource::Power,
            is_preconditioned: false,
            mileage_m: Some(22_345_900),
            place_e7: None,
            blocks: vec![block(100, 1_800_900), block(3_600_500, 5_160_900)],
        }
    }

    #[test]
    fn the_published_samples_read_and_print_back_the_same() {
        let history = keeps::<ChargingHistory>(include_str!("../../samples/charging_history.json"));
        assert_eq!(history.next_token.as_deref(), Some("opaque"));
        keeps::<ChargingSettings>(include_str!("../../samples/charging_settings.json"));
    }

    #[test]
    fn a_session_is_shown_in_whole_seconds_that_add_up() {
        let shown = ChargingSession::new(&session(false), None, "Europe/Vienna");
        assert_eq!((shown.start_time, shown.end_time), (1_754_900_000, Some(1_754_905_160)));
        assert_eq!(shown.total_charging_duration_sec, 1800 + 1560);
        assert_eq!((shown.displayed_start_soc, shown.displayed_soc), (Some(44), Some(62)));
        assert_eq!(shown.mileage, Some(22_345));
        assert!((shown.energy_consumed_from_power_grid_kwh - 2.0).abs() < 1e-9);
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["mileageUnits"], "KM");
        assert!(json.get("chargingLocation").is_none());
    }

    #[test]
    fn a_session_that_runs_has_no_end_not_even_null() {
        let shown = ChargingSession::new(&session(true), None, "Europe/Vienna");
        let json = serde_json::to_value(&shown).unwrap();
        assert!(json.get("endTime").is_none());
        assert_eq!(json["chargingBlocks"][1]["endTime"], 1_754_905_160);
    }
}
