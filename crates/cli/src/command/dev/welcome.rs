//! What a newcomer reads when the sandbox is up.

use std::fmt::Write as _;

use cardata_client::ready_file::ReadyFile;

use super::{Args, REAL_HOSTS};

/// State of charge (of the battery or the tank's neighbour), odometer and position.
const FIRST_LOOK: [&str; 4] = [
    "vehicle.drivetrain.batteryManagement.header",
    "vehicle.vehicle.travelledDistance",
    "vehicle.cabin.infotainment.navigation.currentLocation.latitude",
    "vehicle.cabin.infotainment.navigation.currentLocation.longitude",
];

/// Where everything is, and two lines to paste.
pub(super) fn text(args: &Args, ready: &ReadyFile) -> String {
    let mut text = String::from("OpenCarData sandbox is ready.\n\n");
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    };
    line(format_args!(
        "  HTTPS    {}   (the portal in a browser; log-in and REST API for programs, described at /docs)",
        ready.http_url
    ));
    line(format_args!(
        "  MQTT     mqtts://{}:{}   (and {}/mqtt)",
        ready.mqtt_host,
        ready.mqtt_port,
        ready.http_url.replacen("https", "wss", 1)
    ));
    line(format_args!(
        "  vehicles mqtts://{}:{}   (client certificates in {}/vehicles)",
        ready.mqtt_host,
        ready.vehicles_mqtt_port,
        args.data_dir.display()
    ));
    line(format_args!("  operator {}   (/metrics, /healthz)", ready.admin_url));
    line(format_args!("  CA file  {}", ready.ca_file.display()));
    for customer in &ready.customers {
        line(format_args!("\n  {}   password {}", customer.email, customer.password.expose()));
        line(format_args!("    GCID      {}\n    client id {}", customer.gcid, customer.client_id));
        for vehicle in customer.vehicles.iter().take(5) {
            line(format_args!("    {}  {} ({})", vehicle.vin, vehicle.model, vehicle.drivetrain));
        }
        if customer.vehicles.len() > 5 {
            line(format_args!("    … and {} more", customer.vehicles.len() - 5));
        }
    }
    if args.intercept {
        line(format_args!(
            "\nFor clients with fixed host names, trust the CA file and add these lines to the hosts file:\n"
        ));
        for host in REAL_HOSTS {
            line(format_args!("127.0.0.1 {host}"));
        }
    }
    let program = std::env::current_exe()
        .map_or_else(|_| "cardata".to_owned(), |path| quoted(&path.display().to_string()));
    let data_dir = std::path::absolute(&args.data_dir).unwrap_or_else(|_| args.data_dir.clone());
    let data_dir = quoted(&data_dir.display().to_string());
    let first = &ready.customers[0];
    line(format_args!(
        "\nSee a car move: paste these two lines into another terminal (the second needs mosquitto-clients).\n"
    ));
    line(format_args!(
        "{program} container create --data-dir {data_dir} --name first-look --purpose demo {}",
        FIRST_LOOK.join(" ")
    ));
    line(format_args!(
        "mosquitto_sub -h {} -p {} --cafile {} -u {} -P \"$({program} token --data-dir {data_dir})\" -i first-look -q 1 -t '{}/+' -v",
        ready.mqtt_host,
        ready.mqtt_port,
        quoted(&ready.ca_file.display().to_string()),
        first.gcid,
        first.gcid
    ));
    line(format_args!(
        "\nStop with Ctrl+C. Everything stays in {} for the next start.",
        args.data_dir.display()
    ));
    text
}

/// `text` for a shell: as it is where that is safe, else in single quotes.
fn quoted(text: &str) -> String {
    let safe =
        |character: char| character.is_ascii_alphanumeric() || "/._-+=:,@".contains(character);
    if text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_a_shell_only_where_it_must_be() {
        assert_eq!(quoted("/home/me/cardata-data"), "/home/me/cardata-data");
        assert_eq!(quoted("/home/it's me"), r"'/home/it'\''s me'");
    }

    #[test]
    fn the_first_look_is_made_of_streamable_descriptors() {
        assert_eq!(
            cardata_domain::Catalogue::shipped().streamable(FIRST_LOOK).len(),
            FIRST_LOOK.len()
        );
    }
}
