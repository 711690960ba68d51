use proptest::prelude::*;

use super::*;

const I3: &str =
    "t_s,speed_kmh,elevation_m,throttle_pct,batt_v,batt_a,soc_displayed_pct,heating_kw,aircon_kw";
const TWIZY: &str = "time_local,soc_pct,speed_kmh,gear,lat,lon,alt_m";
const CHARGING: &str = "t_s,batt_v,display_soc_pct,chg_status,time_to_soc_s,batt_power_kw";
const VIN: &str = "WBY00000000000001";
const NOW: &str = "2026-11-23T12:00:00Z";

const HEADER: &str = "vehicle.drivetrain.batteryManagement.header";
const DISPLAYED: &str = "vehicle.powertrain.electric.battery.stateOfCharge.displayed";
const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
const TRIP_END: &str = "vehicle.trip.segment.end.drivetrain.batteryManagement.hvSoc";
const LOCATION: &str = "vehicle.cabin.infotainment.navigation.currentLocation";

fn player() -> Player {
    let start = Start::Recorded { otherwise: NOW.parse().unwrap() };
    Player::new(Arc::new(Catalogue::shipped()), VIN.parse().unwrap(), start, TimeZone::UTC, 0.0)
}

type Played = (Vec<Row>, Vec<(u64, RowError)>);

fn play(player: &mut Player, lines: &[&[u8]]) -> Played {
    let layout = Layout::recognise(lines[0]).unwrap();
    player.open(&layout);
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(lines).skip(usize::from(layout.has_header())) {
        match player.line(number, line) {
            Ok(row) => rows.extend(row),
            Err(error) => refused.push((number, error)),
        }
    }
    rows.extend(player.close());
    (rows, refused)
}

fn play_text(lines: &[&str]) -> Played {
    play(&mut player(), &lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>())
}

/// A row's values as JSON with their units, by descriptor.
fn value(row: &Row, name: &str) -> Option<String> {
    let catalogue = Catalogue::shipped();
    let id = catalogue.find(name).unwrap();
    let entry = row.event.entries().iter().find(|entry| entry.descriptor() == id)?;
    assert_eq!(entry.at(), row.event.at());
    Some(format!("{} {}", entry.value().to_json(), entry.unit().unwrap_or("-")))
}

fn values<const N: usize>(row: &Row, names: [&str; N]) -> [String; N] {
    names.map(|name| value(row, name).unwrap_or_else(|| "absent".to_owned()))
}

#[test]
fn a_drive_gives_for_each_row_its_values_at_its_time() {
    let (rows, refused) = play_text(&[
        I3,
        "0,0.0,520.0,0,390.0,-1.0,78.5,0.5,1.5",
        "1,36.0,520.5,9,400.0,-50.0,78.04,0.5,1.5",
        "2,36.0,521.0,9,400.0,25.0,78.0,0.5,1.5",
    ]);
    assert_eq!(refused, []);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4]);
    let times: Vec<_> = rows.iter().map(|row| row.event.at().to_string()).collect();
    assert_eq!(times, [NOW, "2026-11-23T12:00:01Z", "2026-11-23T12:00:02Z"]);
    assert_eq!(rows[0].event.vin().as_str(), VIN);
    let altitude = format!("{LOCATION}.altitude");
    let names = [HEADER, DISPLAYED, "vehicle.isMoving", ODOMETER, &altitude];
    assert_eq!(
        values(&rows[0], names),
        ["79 percent", "78.5 percent", "false -", "0.000 km", "520.0 m"]
    );
    assert_eq!(
        values(&rows[1], names),
        ["78 percent", "78.04 percent", "true -", "0.005 km", "520.5 m"]
    );
    assert_eq!(
        values(&rows[2], names),
        ["78 percent", "78.0 percent", "true -", "0.015 km", "521.0 m"]
    );
    let sums = [
        "vehicle.vehicle.avgSpeed",
        "vehicle.vehicle.avgAuxPower",
        "vehicle.trip.segment.accumulated.drivetrain.electricEngine.energyConsumptionComfort",
    ];
    assert_eq!(values(&rows[2], sums), ["27 km/h", "2.00 kW", "0.001 kWh"]);
}

#[test]
fn only_the_last_row_of_a_drive_tells_the_charge_at_its_end() {
    let (rows, _) = play_text(&[
        I3,
        "0,9,520,0,390,-1,80.0,0,0",
        "1,9,520,0,390,-1,79.5,0,0",
        "2,9,520,0,390,-1,nonsense,0,0",
    ]);
    assert_eq!(value(&rows[0], TRIP_END), None);
    assert_eq!(value(&rows[1], TRIP_END).as_deref(), Some("79.5 percent"));
}

#[test]
fn consumption_is_told_once_there_is_a_distance_to_divide_by() {
    let lines: Vec<String> = (0..=60)
        .map(|second| {
            let amperes = if second <= 30 { -45 } else { 9 };
            format!("{second},90,500,0,400,{amperes},70,0,0")
        })
        .collect();
    let mut all = vec![I3];
    all.extend(lines.iter().map(String::as_str));
    let (rows, _) = play_text(&all);
    let consumed = "vehicle.drivetrain.avgElectricRangeConsumption";
    let recuperated =
        "vehicle.trip.segment.accumulated.drivetrain.electricEngine.recuperationTotal";
    assert_eq!(value(&rows[3], consumed), None);
    // 18 kW at 90 km/h are 20 kWh each 100 km.
    assert_eq!(value(&rows[30], consumed).as_deref(), Some("20.00 kWh/100 km"));
    assert_eq!(value(&rows[30], recuperated).as_deref(), Some("0.00 kWh/100 km"));
    // Then 3.6 kW come back for half a minute, with a second in between.
    assert_eq!(value(&rows[60], consumed).as_deref(), Some("8.20 kWh/100 km"));
    assert_eq!(value(&rows[60], recuperated).as_deref(), Some("1.97 kWh/100 km"));
}

#[test]
fn a_heading_comes_from_changes_of_the_fix_and_a_blank_fix_is_noted() {
    let (rows, refused) = play_text(&[
        TWIZY,
        "2021-03-29T11:13:45,87.54,0.0,N,33.986225,-6.725523,140",
        "2021-03-29T11:13:46,87.54,10.0,D,33.986225,-6.725523,140",
        "2021-03-29T11:13:47,87.5,10.0,D,33.986225,-6.724523,0",
        "2021-03-29T11:13:48,87.5,10.0,D,,,141",
        "2021-03-29T11:13:49,87.5,10.0,D,33.986225,-6.724523,141",
    ]);
    assert_eq!(refused, []);
    assert_eq!(rows[0].event.at().to_string(), "2021-03-29T11:13:45Z");
    let names =
        ["latitude", "longitude", "altitude", "heading"].map(|key| format!("{LOCATION}.{key}"));
    let position = |row| values(row, names.each_ref().map(String::as_str));
    assert_eq!(position(&rows[1]), ["33.986225 degrees", "-6.725523 degrees", "140 m", "absent"]);
    assert_eq!(position(&rows[2]), ["33.986225 degrees", "-6.724523 degrees", "0 m", "90 degrees"]);
    assert_eq!(position(&rows[3]), ["absent", "absent", "141 m", "90 degrees"]);
    assert_eq!(rows[3].omitted, [Omission::Blank("lat"), Omission::Blank("lon")]);
    assert_eq!(position(&rows[4])[3], "90 degrees");
    assert_eq!(
        values(&rows[2], [HEADER, DISPLAYED, ODOMETER]),
        ["88 percent", "87.5 percent", "0.004 km"]
    );
}

#[test]
fn a_local_time_is_one_of_the_zone_and_a_time_with_a_zone_needs_none() {
    let start = Start::Recorded { otherwise: NOW.parse().unwrap() };
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let catalogue = Arc::new(Catalogue::shipped());
    let mut player = Player::new(catalogue, VIN.parse().unwrap(), start, zone, 0.0);
    let lines = [
        TWIZY,
        "2021-03-29T11:13:45,87,0,N,33,-6,1",
        "2021-03-29T09:13:46Z,87,0,N,33,-6,1",
        "2021-03-29 11:13:47,87,0,N,33,-6,1",
        "29.03.2021 11:13:48,87,0,N,33,-6,1",
    ];
    let (rows, refused) = play(&mut player, &lines.map(str::as_bytes));
    let times: Vec<_> = rows.iter().map(|row| row.event.at().to_string()).collect();
    assert_eq!(times, ["2021-03-29T09:13:45Z", "2021-03-29T09:13:46Z", "2021-03-29T09:13:47Z"]);
    assert_eq!(refused, [(5, RowError::NotATime("time_local"))]);
}

#[test]
fn a_charge_gives_status_power_and_time_left() {
    let (rows, refused) = play_text(&[
        CHARGING,
        "1,371.6,50.5,No_charge,0,-0.26",
        "2,371.6,,Init,,",
        "3,372.2,50.5,Charge_active,69360,0.97",
        "4,372.2,50.5,Sleeping,69300,0.97",
        "5,372.2,,,,",
    ]);
    let names = [
        HEADER,
        "vehicle.drivetrain.electricEngine.charging.status",
        "vehicle.powertrain.electric.battery.charging.power",
        "vehicle.drivetrain.electricEngine.charging.timeToFullyCharged",
    ];
    assert_eq!(values(&rows[0], names), ["51 percent", "\"NOCHARGING\" -", "-260 W", "0 min"]);
    assert_eq!(values(&rows[1], names), ["absent", "\"INITIALIZATION\" -", "absent", "absent"]);
    assert_eq!(rows[1].omitted.len(), 3);
    assert_eq!(
        values(&rows[2], names),
        ["51 percent", "\"CHARGINGACTIVE\" -", "970 W", "1156 min"]
    );
    assert_eq!(rows[3].omitted, [Omission::UnknownWord("chg_status")]);
    assert_eq!(refused, [(6, RowError::NothingMapped)]);
}

fn message(vin: &str, at: &str, km: &str) -> String {
    format!(
        r#"{{"vin":"{vin}","entityId":"x","topic":"{vin}","timestamp":"{at}","data":{{"{ODOMETER}":{{"timestamp":"{at}","value":{km},"unit":"km"}},"vehicle.speed":7}}}}"#
    )
}

#[test]
fn stream_messages_are_played_under_the_vin_that_was_asked_for() {
    let (first, late) = ("2025-10-18T19:09:05.091Z", "2025-10-18T19:09:04Z");
    let lines = [
        message("WBA00000000000002", first, "87897"),
        message("WBA00000000000002", first, "87897"),
        message("WBA00000000000002", late, "87896"),
        message("WBA00000000000003", first, "5"),
        r#"{"vin":"WBA00000000000002","timestamp":"2025-10-18T19:09"#.to_owned(),
    ];
    let (rows, refused) = play_text(&lines.each_ref().map(String::as_str));
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.event.vin().as_str() == VIN && row.omitted.len() == 1));
    assert_eq!(rows[0].event.at().to_string(), first);
    assert_eq!(rows[2].event.at().to_string(), late);
    assert_eq!(values(&rows[2], [ODOMETER]), ["87896 km"]);
    assert!(matches!(
        refused[..],
        [(4, RowError::OtherVehicle), (5, RowError::NotAnEvent(EventError::Shape(_)))]
    ));
}

#[test]
fn a_recording_played_twice_goes_on_in_time_and_distance() {
    let drive = [I3, "0,36,1,0,1,0,70,0,0", "10,36,1,0,1,0,70,0,0"].map(str::as_bytes);
    let mut first = player();
    let [(one, _), (two, _)] = [play(&mut first, &drive), play(&mut first, &drive)];
    assert_eq!(values(&one[1], [ODOMETER]), ["0.100 km"]);
    assert_eq!(two[0].event.at().to_string(), "2026-11-23T12:00:11Z");
    assert_eq!(values(&two[0], [ODOMETER]), ["0.100 km"]);
    assert_eq!(values(&two[1], [ODOMETER]), ["0.200 km"]);

    let lines = [("2025-10-18T19:09:00Z", "500.5"), ("2025-10-18T19:10:00Z", "510.0")]
        .map(|(at, km)| message("WBA00000000000002", at, km));
    let lines = lines.each_ref().map(String::as_bytes);
    let mut second = player();
    let [(one, _), (two, _)] = [play(&mut second, &lines), play(&mut second, &lines)];
    assert_eq!(values(&one[1], [ODOMETER]), ["510.0 km"]);
    assert_eq!(two[0].event.at().to_string(), "2025-10-18T19:10:01Z");
    assert_eq!(values(&two[0], [ODOMETER]), ["510.0 km"]);
    assert_eq!(values(&two[1], [ODOMETER]), ["519.5 km"]);
}

#[test]
fn the_odometer_begins_where_it_was_told_to() {
    let start = Start::At(NOW.parse().unwrap());
    let catalogue = Arc::new(Catalogue::shipped());
    let mut player = Player::new(catalogue, VIN.parse().unwrap(), start, TimeZone::UTC, 12_345.6);
    let (rows, _) = play(&mut player, &[I3.as_bytes(), b"0,36,1,0,1,0,70,0,0"]);
    assert_eq!(values(&rows[0], [ODOMETER]), ["12345.600 km"]);
}

#[test]
fn a_row_that_cannot_be_used_says_why_and_changes_nothing() {
    let good = "0,36,1,0,400,-9,70,0,0";
    let next = "10,36,1,0,400,-9,70,0,0";
    for (bad, reason) in [
        ("", RowError::Empty),
        ("  ", RowError::Empty),
        ("5,36,1", RowError::Columns { expected: 9, found: 3 }),
        ("5,36,1,0,400,-9,70,0,0,0", RowError::Columns { expected: 9, found: 10 }),
        ("5,fast,1,0,400,-9,70,0,0", RowError::NotANumber("speed_kmh")),
        ("5,NaN,1,0,400,-9,70,0,0", RowError::NotANumber("speed_kmh")),
        ("5,36,1,0,400,-9,inf,0,0", RowError::NotANumber("soc_displayed_pct")),
        ("5,36,1,0,400,-9,70,0,x", RowError::NotANumber("aircon_kw")),
        ("5,-1,1,0,400,-9,70,0,0", RowError::OutOfRange("speed_kmh")),
        ("1e99,36,1,0,400,-9,70,0,0", RowError::OutOfRange("t_s")),
        (",36,1,0,400,-9,70,0,0", RowError::NotATime("t_s")),
        (good, RowError::TimeNotRising),
        ("5,,,0,,,,,", RowError::NothingMapped),
        ("t_s,speed_kmh,1,1,1,1,1,1,1", RowError::NotANumber("t_s")),
        ("\"5,36,1,0,400,-9,70,0,0", RowError::Columns { expected: 9, found: 1 }),
    ] {
        let (rows, refused) = play_text(&[I3, good, bad, next]);
        assert_eq!(refused, [(3, reason)], "{bad}");
        assert_eq!(values(&rows[1], [ODOMETER]), ["0.100 km"], "{bad}");
    }
    let (_, refused) = play(&mut player(), &[I3.as_bytes(), &[0, 255, 254, 7, 44, 200]]);
    assert_eq!(refused, [(2, RowError::NotText)]);
    let (rows, _) = play_text(&[I3, "\"0\",\" 36\",1,\"a,b\",400,-9,\"70\",0,0"]);
    assert_eq!(values(&rows[0], [HEADER]), ["70 percent"]);
}

#[test]
fn an_unread_column_may_hold_anything() {
    let (rows, refused) = play_text(&[I3, "0,36,1,full throttle,400,-9,70,0,0"]);
    assert_eq!((rows.len(), refused.len()), (1, 0));
}

#[test]
fn a_form_is_told_by_its_header_in_any_order() {
    let form = |line: &str| Layout::recognise(line.as_bytes()).map(|layout| layout.form());
    assert_eq!(form(I3), Ok(Form::BmwI3));
    assert_eq!(form(TWIZY), Ok(Form::Twizy));
    assert_eq!(form(CHARGING), Ok(Form::BmwI3Charging));
    assert_eq!(form(" {\"vin\":"), Ok(Form::JsonLines));
    assert_eq!(
        form(
            "aircon_kw,\"heating_kw\", soc_displayed_pct,batt_a,batt_v,elevation_m,speed_kmh,t_s,x"
        ),
        Ok(Form::BmwI3)
    );
    assert_eq!(
        form("t_s,speed_kmh,elevation_m,batt_v,batt_a,soc_displayed_pct"),
        Err(LayoutError::Columns { form: Form::BmwI3, missing: vec!["heating_kw", "aircon_kw"] })
    );
    for unknown in ["0,0.0,520.0", "", "trip,start_local", "\u{0}\u{1}"] {
        assert_eq!(form(unknown), Err(LayoutError::Unknown), "{unknown:?}");
    }
    assert_eq!(Layout::recognise(&[0xff, 0xfe, 0x00]).unwrap_err(), LayoutError::Unknown);
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-100_i32..1000).prop_map(|number| number.to_string()),
        2 => (-1e6_f64..1e6).prop_map(|number| number.to_string()),
        1 => "[ -~]{0,6}",
        1 => prop_oneof![Just(""), Just("NaN"), Just("Init"), Just("2021-03-29T11:13:45")]
            .prop_map(str::to_owned),
    ]
}

/// Lines of which some are rows of the form, some nearly, and some noise.
fn line(width: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(cell(), width).prop_map(|cells| cells.join(",").into_bytes()),
        1 => prop::collection::vec(cell(), 0..12).prop_map(|cells| cells.join(",").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ]
}

fn file() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![Just(I3), Just(TWIZY), Just(CHARGING), Just("{}")].prop_flat_map(|header| {
        prop::collection::vec(line(header.split(',').count()), 0..30).prop_map(move |mut lines| {
            lines.insert(0, header.as_bytes().to_vec());
            lines
        })
    })
}

proptest! {
    #[test]
    fn every_row_is_either_an_event_or_refused(file in file()) {
        let lines: Vec<_> = file.iter().map(Vec::as_slice).collect();
        let rows = lines.len() - usize::from(lines[0] != b"{}");
        let mut player = player();
        let mut latest = None;
        let mut odometer_km = 0.0;
        for _ in 0..2 {
            let (played, refused) = play(&mut player, &lines);
            prop_assert_eq!(played.len() + refused.len(), rows);
            for row in &played {
                prop_assert!(Some(row.event.at()) > latest);
                latest = Some(row.event.at());
                if let Some(km) = value(row, ODOMETER) {
                    let km: f64 = km.trim_end_matches(" km").parse().unwrap();
                    prop_assert!(km >= odometer_km);
                    odometer_km = km;
                }
            }
        }
    }
}
