//! The ready file: where everything is, for scripts and tests.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_client::Secret;
use cardata_client::ready_file::{DemoCustomer, DemoVehicle, ReadyFile};
use cardata_server::Platform;

use super::Args;
use super::certificates::Certificates;
use super::demo::Demo;
use super::sockets::Bound;

/// What the file says.
pub(super) fn describe(
    args: &Args,
    sockets: &Bound,
    platform: &Platform,
    demo: &Demo,
    certificates: &Certificates,
) -> ReadyFile {
    let customers = demo.customers.iter().map(|customer| DemoCustomer {
        email: customer.email.to_owned(),
        password: Secret::new(customer.password),
        gcid: customer.gcid.to_string(),
        client_id: customer.client_id.to_string(),
        vehicles: customer
            .vehicles
            .iter()
            .map(|vehicle| DemoVehicle {
                vin: vehicle.vin.as_str().to_owned(),
                model: format!("{} {}", vehicle.build.brand, vehicle.build.model_name),
                drivetrain: vehicle.drivetrain.to_string(),
            })
            .collect(),
    });
    let host = args.tls.local_name();
    ReadyFile {
        http_url: sockets.http_url(host),
        mqtt_host: host.to_owned(),
        mqtt_port: sockets.mqtt.port(),
        vehicles_mqtt_port: sockets.vehicles_mqtt.port(),
        admin_url: format!("http://{}", sockets.admin),
        admin_token: Secret::new(platform.admin_token.clone()),
        ca_file: certificates.ca_file(),
        customers: customers.collect(),
    }
}

/// Writes the file into the data folder, and where `--ready-file` says. It is there whole or not at all.
pub(super) fn write(args: &Args, ready: &ReadyFile) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(ready)?;
    for file in files(args) {
        let written = write_whole(&file, &json);
        written.with_context(|| format!("the ready file {} can't be written", file.display()))?;
    }
    Ok(())
}

/// Takes the files away: nothing is ready any more.
pub(super) fn remove(args: &Args) {
    for file in files(args) {
        // A file that is gone already is as good.
        let _ = std::fs::remove_file(file);
    }
}

fn files(args: &Args) -> impl Iterator<Item = PathBuf> {
    [args.data_dir.join(ReadyFile::NAME)].into_iter().chain(args.ready_file.clone())
}

/// The file holds passwords and the operator's token, so only its owner may read it.
fn write_whole(file: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let unfinished = file.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?
        .write_all(content)?;
    std::fs::rename(unfinished, file)
}
