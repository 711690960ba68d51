//! What the rules put in, numbered so that a rule can have several of a kind.

use std::error::Error;

use cardata_domain::charging::{Block, EnergySource, Session};
use cardata_domain::client::{self, Client, Kind, Services};
use cardata_domain::consent::{self, Consent, ConsentId};
use cardata_domain::customer::Customer;
use cardata_domain::device_grant::{DeviceGrant, State};
use cardata_domain::event::Sequence;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::privacy::{Zone, ZoneId};
use cardata_domain::refresh;
use cardata_domain::vehicle::{Build, Drivetrain, Mapping, MappingType, Vehicle};
use cardata_domain::{ClientId, Gcid, Vin};
use cardata_store::Directory;
use cardata_store::directory::{
    AccessToken, Channel, ChargingProgress, ChargingUpdate, ClientToken, Delivery, DirectoryError,
    IngestAnswer, RefreshToken, Source, TokenHash, VehicleCertificate,
};
use jiff::Timestamp;
use uuid::Uuid;

/// An instant, with a part below the second that a directory must keep, too.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_767_225_600_123_456 + second * 1_000_000).unwrap()
}

pub(crate) fn gcid(number: u128) -> Gcid {
    Gcid::new(Uuid::from_u128(0xaaaa << 64 | number))
}

pub(crate) fn client_id(number: u128) -> ClientId {
    ClientId::new(Uuid::from_u128(0xbbbb << 64 | number))
}

pub(crate) fn consent_id(number: u128) -> ConsentId {
    ConsentId::new(Uuid::from_u128(0xcccc << 64 | number))
}

pub(crate) fn vin(number: u32) -> Vin {
    format!("WBY{number:014}").parse().unwrap()
}

pub(crate) fn hash(text: &str) -> TokenHash {
    TokenHash(format!("{text:0>64}"))
}

/// Customer `number`, made `number` seconds late.
pub(crate) fn customer(number: u32) -> Customer {
    Customer {
        gcid: gcid(number.into()),
        email: format!("Customer.{number}@Example.com"),
        password_hash: format!("$argon2id$v=19$m=19456,t=2,p=1$salt${number}"),
        created_at: at(number.into()),
    }
}

pub(crate) fn vehicle(number: u32) -> Vehicle {
    Vehicle {
        vin: vin(number),
        drivetrain: Drivetrain::Bev,
        build: Build {
            brand: "BMW".into(),
            model_name: "i5 xDrive40".into(),
            model_key: "21FJ".into(),
            series: "5".into(),
            series_devt: "G60".into(),
            body_type: "Limousine".into(),
            number_of_doors: 4,
            colour_code: "475".into(),
            colour_description: "BLACK \"SAPPHIRE\" MÉTALLIC".into(),
            country_code: "DE".into(),
            constructed_at: at(0),
            battery_ah: Some("188.3".into()),
            has_navi: Some(true),
            charging_modes: "AC DC".into(),
            ..Build::default()
        },
    }
}

pub(crate) fn mapping(customer: u32, vehicle: u32) -> Mapping {
    Mapping {
        gcid: gcid(customer.into()),
        vin: vin(vehicle),
        mapping_type: MappingType::Primary,
        since: at(vehicle.into()),
    }
}

/// Client `number`, made `number` seconds late.
pub(crate) fn client(number: u32, owner: Option<Gcid>) -> Client {
    Client {
        id: client_id(number.into()),
        kind: owner.map_or(Kind::ThirdParty, Kind::Personal),
        name: format!("Client {number}"),
        purpose: "to test".into(),
        services: Services { api: true, stream: false },
        secret_hash: None,
        created_at: at(number.into()),
        state: client::State::Active,
    }
}

/// A grant for client 1 whose device code hashes to `hash(name)`.
pub(crate) fn grant(name: &str, state: State) -> DeviceGrant {
    DeviceGrant {
        device_code_hash: hash(name).0,
        user_code: "qYjQrQip".into(),
        client_id: client_id(1),
        scopes: "openid cardata:streaming:read".parse().unwrap(),
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
        expires_at: at(300),
        polled_at: None,
        lasts: None,
        state,
    }
}

/// A consent of customer 1 to client 1.
pub(crate) fn consent(number: u128) -> Consent {
    Consent {
        id: consent_id(number),
        gcid: gcid(1),
        client_id: client_id(1),
        scopes: "openid cardata:api:read".parse().unwrap(),
        granted_at: at(0),
        purpose: "to charge".into(),
        expires_at: None,
        state: consent::State::Active,
    }
}

/// A pair of tokens called `name` for consent `number`: for two weeks, and for an hour.
pub(crate) fn tokens(name: &str, number: u128) -> (RefreshToken, AccessToken) {
    let hash = hash(name);
    let consent_id = consent_id(number);
    let refresh = RefreshToken {
        hash: hash.clone(),
        consent_id,
        expires_at: at(14 * 86_400),
        state: refresh::State::Fresh,
    };
    (refresh, AccessToken { hash, consent_id, issued_at: at(0), expires_at: at(3600) })
}

/// A token called `name` of client `client`, good until `second`.
pub(crate) fn client_token(name: &str, client: u128, second: i64) -> ClientToken {
    ClientToken {
        hash: hash(name),
        client_id: client_id(client),
        scopes: "cardata:api:read".parse().unwrap(),
        issued_at: at(0),
        expires_at: at(second),
    }
}

pub(crate) fn zone_id(number: u128) -> ZoneId {
    ZoneId::new(Uuid::from_u128(0xdddd << 64 | number))
}

/// Zone `number`, south-west of everything.
pub(crate) fn zone(number: u32) -> Zone {
    let name = format!("Bei Müllers {number:02}");
    Zone::new(zone_id(number.into()), &name, -48.177_012, -179.559_123, 50 + number).unwrap()
}

/// A line in the account of customer 1, at `second`.
pub(crate) fn line(second: i64, act: Act) -> Record {
    Record::new(at(second), Actor::Customer, act).of(gcid(1))
}

/// Messages of vehicle 1 of customer 1 that client 1 was sent between two seconds.
pub(crate) fn delivery(first: i64, last: i64, messages: u64) -> Delivery {
    Delivery {
        gcid: gcid(1),
        client_id: client_id(1),
        vin: vin(1),
        channel: Channel::Stream,
        first_at: at(first),
        last_at: at(last),
        messages,
    }
}

/// Customers, vehicles and clients 1 and 2, for the rules that are about something else.
pub(crate) async fn populate(directory: &impl Directory) {
    for number in [1, 2] {
        directory.put_customer(&customer(number)).await.unwrap();
        directory.put_vehicle(&vehicle(number)).await.unwrap();
        directory.put_client(&client(number, None)).await.unwrap();
    }
}

/// An instant in whole seconds, as a session's are whole milliseconds.
pub(crate) fn second(number: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + number).unwrap()
}

/// A charge that begins so many seconds late.
pub(crate) fn charge(number: i64) -> Session {
    let (started_at, ended_at) = (second(number), second(number + 1));
    Session {
        started_at,
        ended_at,
        is_running: false,
        start_permille: Some(440),
        end_permille: None,
        source: EnergySource::Power,
        is_preconditioned: true,
        mileage_m: Some(22_345_400),
        place_e7: Some((481_000_000, -156_000_000)),
        blocks: vec![Block { started_at, ended_at, energy_joules: 3_600_000 }],
    }
}

/// A step of the search with vehicle `number`, from `version` on, that found these charges.
pub(crate) fn charging(
    number: u32,
    version: i64,
    settled: &[i64],
    unsettled: &[i64],
) -> ChargingUpdate {
    let sessions = |numbers: &[i64]| numbers.iter().copied().map(charge).collect();
    ChargingUpdate {
        vin: vin(number),
        progress: ChargingProgress { version, cursor: Sequence(7), ..ChargingProgress::default() },
        settled: sessions(settled),
        unsettled: sessions(unsettled),
    }
}

/// Consent `number` with its first tokens, called `name`, by way of a grant.
pub(crate) async fn consented(directory: &impl Directory, name: &str, number: u128) {
    let approved = State::Approved(gcid(1));
    let (refresh, access) = tokens(name, number);
    directory.add_device_grant(&grant(name, approved), at(0)).await.unwrap();
    let exchanged = directory
        .exchange_device_grant(&hash(name), approved, &consent(number), &refresh, &access)
        .await
        .unwrap();
    assert!(exchanged);
}

/// All that a log could show of `error` and its causes, in lower case.
pub(crate) fn full_text(error: &DirectoryError) -> String {
    let mut text = format!("{error:?}");
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text.to_lowercase()
}

/// A source that may report for vehicle 1 alone.
pub(crate) fn source(name: &str) -> Source {
    Source {
        name: name.into(),
        key_hash: hash(&format!("5ec2e7{name}")),
        vins: Some(vec![vin(1)]),
        created_at: at(0),
    }
}

/// What the request `key` of the source `name` was answered at `second`.
pub(crate) fn answer(name: &str, key: &str, second: i64) -> IngestAnswer {
    IngestAnswer {
        sender: source(name).key_hash,
        key: key.into(),
        body_hash: hash("body"),
        status: 200,
        answer: "{\"accepted\":1}".into(),
        kept_at: at(second),
    }
}

/// Certificate `number` of vehicle `of`, good for `seconds`.
pub(crate) fn certificate(number: u32, of: u32, seconds: i64) -> VehicleCertificate {
    VehicleCertificate {
        serial: format!("{number:032x}"),
        vin: vin(of),
        issued_at: at(0),
        expires_at: at(seconds),
        revoked_at: None,
    }
}
