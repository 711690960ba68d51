//! The demo customers, their clients and vehicles: the same in every sandbox, so that a client's settings outlive it.

use anyhow::Context as _;
use cardata_domain::client::{Client, Kind, Services, State};
use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Drivetrain, Mapping, MappingType, Vehicle};
use cardata_domain::{ClientId, Gcid, Vin};
use cardata_server::portal::login::password_hash;
use cardata_simulator::demo_build;
use cardata_store::Directory;
use jiff::Timestamp;

use super::Fleet;

/// A demo customer with what the person at the keyboard needs to know.
pub(super) struct DemoCustomer {
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) gcid: Gcid,
    pub(super) client_id: ClientId,
    pub(super) vehicles: Vec<Vehicle>,
}

/// All of them; the first is the one that examples use.
pub(super) struct Demo {
    pub(super) customers: Vec<DemoCustomer>,
    /// The vehicles that are simulated: as many as were asked for, or the cars of the scenario in its order.
    pub(super) simulated: Vec<Vehicle>,
}

/// E-mail, password, GCID, client id.
const CUSTOMERS: [[&str; 4]; 2] = [
    [
        "anna@example.com",
        "anna-drives-electric",
        "a11a0000-0000-4000-8000-000000000001",
        "c11e0000-0000-4000-8000-000000000001",
    ],
    [
        "ben@example.com",
        "ben-drives-a-classic",
        "be110000-0000-4000-8000-000000000002",
        "c11e0000-0000-4000-8000-000000000002",
    ],
];

/// Owner (index into the customers), drivetrain; further vehicles are like the first.
const VEHICLES: [(usize, Drivetrain); 3] =
    [(0, Drivetrain::Bev), (0, Drivetrain::Phev), (1, Drivetrain::Ice)];

impl Demo {
    pub(super) fn first(&self) -> &DemoCustomer {
        &self.customers[0]
    }

    /// Every vehicle, in the order in which they are simulated.
    pub(super) fn vehicles(&self) -> Vec<&Vehicle> {
        let mut vehicles: Vec<_> =
            self.customers.iter().flat_map(|customer| &customer.vehicles).collect();
        vehicles.sort_by_key(|vehicle| number_of(vehicle.vin));
        vehicles
    }
}

/// The number of the `number`th demo vehicle, from 1: `WBYSANDB0X` is no real maker's pattern.
fn vin(number: u32) -> Vin {
    format!("WBYSANDB0X{number:07}").parse().expect("the demo vehicles' numbers are VINs")
}

/// The number of the `number`th car of a scenario, from 1.
fn scenario_vin(number: u32) -> Vin {
    format!("WBYSCENE0X{number:07}").parse().expect("the numbers of a scenario's cars are VINs")
}

fn is_of_scenario(vin: Vin) -> bool {
    vin.as_str().starts_with("WBYSCENE0X")
}

fn number_of(vin: Vin) -> u32 {
    vin.as_str()[10..].parse().unwrap_or(u32::MAX)
}

/// Adds what is missing. The demo vehicles are there even where fewer are simulated.
pub(super) async fn seed(
    directory: &dyn Directory,
    fleet: &Fleet,
    now: Timestamp,
) -> anyhow::Result<Demo> {
    let mut customers = Vec::new();
    for [email, password, gcid, client_id] in CUSTOMERS {
        let gcid: Gcid = gcid.parse()?;
        let client_id: ClientId = client_id.parse()?;
        if directory.customer(gcid).await?.is_none() {
            let password_hash =
                tokio::task::spawn_blocking(move || password_hash(password)).await?;
            directory
                .put_customer(&Customer {
                    gcid,
                    email: email.to_owned(),
                    password_hash,
                    created_at: now,
                })
                .await?;
        }
        if directory.client(client_id).await?.is_none() {
            let services = Services { api: true, stream: true };
            let name = "Demo client".to_owned();
            directory
                .put_client(&Client {
                    id: client_id,
                    kind: Kind::Personal(gcid),
                    name,
                    purpose: String::new(),
                    services,
                    secret_hash: None,
                    created_at: now,
                    state: State::Active,
                })
                .await?;
        }
        customers.push(DemoCustomer { email, password, gcid, client_id, vehicles: Vec::new() });
    }

    let wanted = match fleet {
        Fleet::Demo(count) => *count,
        Fleet::Scenario(_) => 0,
    };
    let count = wanted.max(u32::try_from(VEHICLES.len())?);
    for number in 1..=count {
        let (owner, drivetrain) = *VEHICLES.get(number as usize - 1).unwrap_or(&VEHICLES[0]);
        let vehicle =
            Vehicle { vin: vin(number), drivetrain, build: demo_build(drivetrain, number.into()) };
        let customer = &mut customers[owner];
        add(directory, &vehicle, customer.gcid, MappingType::Primary, now).await?;
        customer.vehicles.push(vehicle);
    }
    // A second driver, as in many families: sees in the mappings that there is a car, and may read nothing of it.
    let shared = customers[0].vehicles[1].clone();
    add(directory, &shared, customers[1].gcid, MappingType::Secondary, now).await?;
    let mut demo = Demo { customers, simulated: Vec::new() };
    demo.simulated = match fleet {
        Fleet::Demo(count) => demo.vehicles().into_iter().take(*count as usize).cloned().collect(),
        Fleet::Scenario(scenario) => {
            let mut vehicles = Vec::new();
            for (car, number) in scenario.cars.iter().zip(1..) {
                let build = car.model.build(number.into());
                let drivetrain = car.drivetrain();
                let vehicle = Vehicle { vin: scenario_vin(number), drivetrain, build };
                // An earlier run may have had another car in this place.
                directory.put_vehicle(&vehicle).await.context("a scenario's car can't be added")?;
                add(directory, &vehicle, demo.customers[0].gcid, MappingType::Primary, now).await?;
                vehicles.push(vehicle);
            }
            vehicles
        }
    };
    let own = demo.simulated.iter().filter(|vehicle| is_of_scenario(vehicle.vin));
    let own: Vec<_> = own.cloned().collect();
    // Those that move come first, since that is where people look.
    demo.customers[0].vehicles.splice(0..0, own);
    Ok(demo)
}

async fn add(
    directory: &dyn Directory,
    vehicle: &Vehicle,
    gcid: Gcid,
    mapping_type: MappingType,
    now: Timestamp,
) -> anyhow::Result<()> {
    let context = "a demo vehicle can't be added";
    if directory.vehicle(vehicle.vin).await.context(context)?.is_none() {
        directory.put_vehicle(vehicle).await.context(context)?;
    }
    let links = directory.mappings_of_vehicle(vehicle.vin).await.context(context)?;
    let is_linked = links.iter().any(|link| link.gcid == gcid);
    // The operator may have handed it over.
    let is_taken = mapping_type == MappingType::Primary
        && links.iter().any(|link| link.mapping_type == MappingType::Primary);
    if !is_linked && !is_taken {
        let mapping = Mapping { gcid, vin: vehicle.vin, mapping_type, since: now };
        directory.put_mapping(&mapping).await.context(context)?;
    }
    Ok(())
}
