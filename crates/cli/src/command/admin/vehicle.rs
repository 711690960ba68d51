//! `cardata admin vehicle`.

mod certificate;

use cardata_client::operator::Method;
use serde_json::{Map, Value};

use super::Server;
use crate::output;

/// List and add vehicles, and let them in: certificates for publishing over MQTT
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print all vehicles, one a line
    List,
    /// Print one vehicle, and whose it is
    Show {
        /// The vehicle's number
        #[arg(value_name = "VIN")]
        vin: String,
    },
    /// Add a vehicle; what is not told of it is not known
    #[command(after_help = "Example:\n  \
        cardata admin vehicle add WBY00000000000001 BEV --brand BMWi --model-name 'i4 eDrive40' --doors 4")]
    Add(Box<AddArgs>),
    Enroll(certificate::EnrollArgs),
    Revoke(certificate::RevokeArgs),
    /// Print the certificates of a vehicle, or of all
    Certificates {
        /// The vehicle's number
        #[arg(value_name = "VIN")]
        vin: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The vehicle's number
    #[arg(value_name = "VIN")]
    vin: String,
    /// BEV, PHEV, MHEV or ICE
    #[arg(value_name = "DRIVETRAIN")]
    drivetrain: String,
    /// BMW (unless told), `BMWi`, `BMW Motorrad`, Toyota-Supra, MINI or Rolls-Royce
    #[arg(long)]
    brand: Option<String>,
    /// Such as `i5 xDrive40`
    #[arg(long)]
    model_name: Option<String>,
    /// Such as 21FJ
    #[arg(long)]
    model_key: Option<String>,
    /// Such as 5
    #[arg(long)]
    series: Option<String>,
    /// The series' development code, such as G60
    #[arg(long)]
    series_devt: Option<String>,
    /// Such as Limousine
    #[arg(long)]
    body_type: Option<String>,
    /// Doors, the boot lid not counted
    #[arg(long, value_name = "N")]
    doors: Option<String>,
    /// Such as 475
    #[arg(long)]
    colour_code: Option<String>,
    /// Such as `BLACK SAPPHIRE METALLIC`
    #[arg(long)]
    colour_description: Option<String>,
    /// Two letters, such as DE
    #[arg(long)]
    country_code: Option<String>,
    /// A day, such as 2025-10-01
    #[arg(long, value_name = "DAY")]
    constructed_at: Option<String>,
    /// The battery's capacity in ampere-hours
    #[arg(long, value_name = "AH")]
    battery_ah: Option<String>,
    /// Whether it has a navigation system
    #[arg(long, value_name = "true|false")]
    has_navi: Option<String>,
    /// Whether it has a sun roof
    #[arg(long, value_name = "true|false")]
    has_sun_roof: Option<String>,
    /// Such as `MGU_02_A`
    #[arg(long)]
    head_unit: Option<String>,
    /// LL or RL: the side of the steering wheel
    #[arg(long, value_name = "SIDE")]
    steering: Option<String>,
    /// Such as `HA0001N0`
    #[arg(long)]
    engine: Option<String>,
    /// AC, DC or `AC DC`
    #[arg(long, value_name = "MODES")]
    charging_modes: Option<String>,
    /// Such as `01CE,0205`
    #[arg(long, value_name = "CODES")]
    equipment_codes: Option<String>,
    /// Such as ACTIVE
    #[arg(long)]
    sim_status: Option<String>,
}

impl AddArgs {
    fn body(self) -> Value {
        let members = [
            ("vin", Some(self.vin)),
            ("drivetrain", Some(self.drivetrain)),
            ("brand", self.brand),
            ("model_name", self.model_name),
            ("model_key", self.model_key),
            ("series", self.series),
            ("series_devt", self.series_devt),
            ("body_type", self.body_type),
            ("number_of_doors", self.doors),
            ("colour_code", self.colour_code),
            ("colour_description", self.colour_description),
            ("country_code", self.country_code),
            ("constructed_at", self.constructed_at),
            ("battery_ah", self.battery_ah),
            ("has_navi", self.has_navi),
            ("has_sun_roof", self.has_sun_roof),
            ("head_unit", self.head_unit),
            ("steering", self.steering),
            ("engine", self.engine),
            ("charging_modes", self.charging_modes),
            ("equipment_codes", self.equipment_codes),
            ("sim_status", self.sim_status),
        ];
        let told = members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        told.map(|(name, text)| (name, Value::String(text))).collect::<Map<_, _>>().into()
    }
}

const LINES: [(&str, &str); 22] = [
    ("VIN", "/vin"),
    ("drivetrain", "/drivetrain"),
    ("brand", "/brand"),
    ("model", "/model_name"),
    ("model key", "/model_key"),
    ("series", "/series"),
    ("development code", "/series_devt"),
    ("body", "/body_type"),
    ("doors", "/number_of_doors"),
    ("colour code", "/colour_code"),
    ("colour", "/colour_description"),
    ("country", "/country_code"),
    ("built", "/constructed_at"),
    ("battery in Ah", "/battery_ah"),
    ("navigation", "/has_navi"),
    ("sun roof", "/has_sun_roof"),
    ("head unit", "/head_unit"),
    ("steering", "/steering"),
    ("engine", "/engine"),
    ("charges with", "/charging_modes"),
    ("equipment", "/equipment_codes"),
    ("SIM", "/sim_status"),
];

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let vehicles = server.list("cannot list the vehicles", &["vehicles"]).await?;
            let columns = [
                ("VIN", "/vin"),
                ("DRIVETRAIN", "/drivetrain"),
                ("BRAND", "/brand"),
                ("MODEL", "/model_name"),
            ];
            server.print_rows(vehicles, &columns);
        }
        Command::Show { vin } => {
            let found = server.get("cannot show the vehicle", &["vehicles", &vin]).await?;
            server.print_one(&found, &LINES);
            let links = found["mappings"].as_array().filter(|all| !all.is_empty());
            if let Some(links) = links.filter(|_| !server.json) {
                output::data("");
                let columns = [("CUSTOMER", "/gcid"), ("TYPE", "/type"), ("SINCE", "/since")];
                server.print_rows(links.clone(), &columns);
            }
        }
        Command::Add(args) => {
            let body = args.body();
            let what = "cannot add the vehicle";
            let added = server.call(what, Method::Post, &["vehicles"], &[], Some(&body)).await?;
            server.print_one(&added, &LINES);
        }
        Command::Enroll(args) => certificate::enroll(server, args).await?,
        Command::Revoke(args) => certificate::revoke(server, args).await?,
        Command::Certificates { vin } => certificate::list(server, vin.as_deref()).await?,
    }
    Ok(())
}
