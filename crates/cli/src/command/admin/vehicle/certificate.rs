//! `cardata admin vehicle enroll`, `revoke` and `certificates`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_client::operator::Method;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::command::admin::{Server, Yes, print_json};
use crate::output::{self, Advice};
use crate::secret_file;

/// Issue a certificate with which a vehicle may publish over MQTT
///
/// Makes a key on this machine, which never leaves it, and lets the server's authority sign it. Writes VIN.key, VIN.pem and
/// VIN.ca.pem, who vouches for the server. With --csr the vehicle has made its key itself, and only the others are written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata admin vehicle enroll WBY00000000000001\n  \
    cardata admin vehicle enroll WBY00000000000001 --csr from-the-vehicle.csr --days 90 --out issued")]
pub(in crate::command::admin) struct EnrollArgs {
    /// The vehicle's number
    #[arg(value_name = "VIN")]
    vin: String,
    /// Certificate signing request of the vehicle's own key (PKCS #10, PEM); its common name, if it has one, is the VIN
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Days that the certificate is good
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// Revoke certificates of a vehicle: they are refused, and connections that they opened are closed
#[derive(Debug, clap::Args)]
pub(in crate::command::admin) struct RevokeArgs {
    /// The vehicle's number
    #[arg(value_name = "VIN")]
    vin: String,
    /// The serial number of one certificate; all of the vehicle's unless told
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    #[command(flatten)]
    yes: Yes,
}

const COLUMNS: [(&str, &str); 5] = [
    ("SERIAL", "/serial"),
    ("VIN", "/vin"),
    ("STATE", "/state"),
    ("SINCE", "/issued_at"),
    ("UNTIL", "/expires_at"),
];

pub(super) async fn list(server: &Server, vin: Option<&str>) -> anyhow::Result<()> {
    let segments = match vin {
        Some(vin) => vec!["vehicles", vin, "certificates"],
        None => vec!["certificates"],
    };
    let rows = server.list("cannot list the certificates", &segments).await?;
    server.print_rows(rows, &COLUMNS);
    Ok(())
}

pub(super) async fn enroll(server: &Server, args: EnrollArgs) -> anyhow::Result<()> {
    let what = "cannot enroll the vehicle";
    let file = |ending: &str| args.out.join(format!("{}.{ending}", args.vin));
    // It becomes a file's name.
    if !args.vin.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Advice::new(what)
            .remedy("see which vehicles there are: cardata admin vehicle list")
            .usage()
            .into());
    }
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("the folder {} can't be made", args.out.display()))?;
    let (request, key_file) = match &args.csr {
        Some(path) => (read(path)?, None),
        None => made(&args.vin, file("key"), what)?,
    };
    let body = json!({"csr": request, "days": args.days});
    let segments = ["vehicles", args.vin.as_str(), "certificates"];
    let issued = server.call(what, Method::Post, &segments, &[], Some(&body)).await;
    let issued = issued.inspect_err(|_| {
        // A key without a certificate is of no use, and would be in the way of the next attempt.
        if let Some(key_file) = &key_file {
            let _ = std::fs::remove_file(key_file);
        }
    })?;
    let (certificate_file, authority_file) = (file("pem"), file("ca.pem"));
    write(&certificate_file, &issued["certificate"])?;
    write(&authority_file, &issued["authority"])?;
    let shown = |path: &Path| Value::from(path.display().to_string());
    let mut told = json!({
        "vin": issued["vin"],
        "serial": issued["serial"],
        "expires_at": issued["expires_at"],
        "certificate_file": shown(&certificate_file),
        "authority_file": shown(&authority_file),
    });
    if let Some(key_file) = &key_file {
        told["key_file"] = shown(key_file);
    }
    let lines = [
        ("VIN", "/vin"),
        ("serial", "/serial"),
        ("until", "/expires_at"),
        ("certificate", "/certificate_file"),
        ("key", "/key_file"),
        ("server's CA", "/authority_file"),
    ];
    server.print_one(&told, &lines);
    Ok(())
}

/// A request of a new key, and the file that the key is in.
fn made(vin: &str, file: PathBuf, what: &str) -> anyhow::Result<(String, Option<PathBuf>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, vin);
    let request = params.serialize_request(&key)?.pem()?;
    secret_file::write_new(&file, &key.serialize_pem()).with_context(|| {
        Advice::new(what).remedy("another folder with --out: no key is written over").usage()
    })?;
    Ok((request, Some(file)))
}

pub(super) async fn revoke(server: &Server, args: RevokeArgs) -> anyhow::Result<()> {
    args.yes.to("The vehicle can't publish with what is revoked any more. Go on?")?;
    let mut segments = vec!["vehicles", args.vin.as_str(), "certificates"];
    segments.extend(args.serial.as_deref());
    let what = "cannot revoke the certificates";
    let ended = server.call(what, Method::Delete, &segments, &[], None).await?;
    if server.json {
        print_json(&ended);
    } else {
        output::note(&format!(
            "revoked {} certificates and closed {} connections in {} ms",
            ended["serials"].as_array().map_or(0, Vec::len),
            ended["connections_closed"],
            ended["took_ms"]
        ));
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| {
        Advice::new(format!("cannot read {}", path.display())).remedy("another --csr").usage()
    })
}

fn write(path: &Path, content: &Value) -> anyhow::Result<()> {
    let content = content.as_str().unwrap_or_default();
    std::fs::write(path, content).with_context(|| format!("{} can't be written", path.display()))
}
