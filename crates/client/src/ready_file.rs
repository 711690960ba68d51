//! The file in which `cardata dev` tells scripts where it is and who its demo customers are.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Secret;

/// What a running `cardata dev` tells. Members that are not listed here are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyFile {
    /// Where REST, login and ingest are, without a slash at the end.
    pub http_url: String,
    /// The host of the customers' MQTT.
    pub mqtt_host: String,
    /// Its port.
    pub mqtt_port: u16,
    /// The port of the vehicles' MQTT, on the same host.
    pub vehicles_mqtt_port: u16,
    /// Where the operator's API is, without a slash at the end.
    pub admin_url: String,
    /// What opens the operator's API.
    pub admin_token: Secret,
    /// The CA that vouches for all of these, in PEM form.
    pub ca_file: PathBuf,
    /// The demo customers.
    pub customers: Vec<DemoCustomer>,
}

/// A customer that `cardata dev` makes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoCustomer {
    /// Logs in with this.
    pub email: String,
    /// And this.
    pub password: Secret,
    /// The customer's id.
    pub gcid: String,
    /// The customer's personal client.
    pub client_id: String,
    /// The customer's vehicles.
    pub vehicles: Vec<DemoVehicle>,
}

/// A vehicle that `cardata dev` simulates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoVehicle {
    /// Its number.
    pub vin: String,
    /// Its model's name.
    pub model: String,
    /// `BEV`, `PHEV`, …
    pub drivetrain: String,
}

/// Why nothing was learnt from the file.
#[derive(Debug, Error)]
pub enum ReadyFileError {
    /// There is none: nothing runs, or it has another folder.
    #[error("there is no ready file {}", .0.display())]
    Missing(PathBuf),
    /// It can't be read.
    #[error("cannot read the ready file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no ready file", .path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl ReadyFile {
    /// What the file is called in the data folder.
    pub const NAME: &str = "ready.json";

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ReadyFileError`] when it is not there or is something else.
    pub fn read(path: &Path) -> Result<Self, ReadyFileError> {
        let json = std::fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadyFileError::Missing(path.to_owned()),
            _ => ReadyFileError::Read { path: path.to_owned(), source },
        })?;
        serde_json::from_slice(&json)
            .map_err(|source| ReadyFileError::Shape { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{"http_url":"https://localhost:8443","mqtt_host":"localhost","mqtt_port":9000,"vehicles_mqtt_port":8883,"admin_url":"http://127.0.0.1:9001","admin_token":"t0ken","ca_file":"/data/ca.pem","customers":[{"email":"anna@example.com","password":"pa55word","gcid":"aa111192-d570-4d3d-8835-656ee00edcd7","client_id":"31c3b263-1234-4d3d-8835-656ee00edcd7","vehicles":[{"vin":"WBY00000000000001","model":"i4","drivetrain":"BEV"}]}]}"#;

    #[test]
    fn the_documented_file_reads_and_prints_back_the_same() {
        let ready: ReadyFile = serde_json::from_str(EXAMPLE).unwrap();
        assert_eq!(ready.customers[0].vehicles[0].drivetrain, "BEV");
        assert_eq!(serde_json::to_string(&ready).unwrap(), EXAMPLE);
    }

    #[test]
    fn secrets_do_not_print() {
        let ready: ReadyFile = serde_json::from_str(EXAMPLE).unwrap();
        let printed = format!("{ready:?}");
        assert!(!printed.contains("t0ken") && !printed.contains("pa55word"), "{printed}");
    }

    #[test]
    fn a_missing_file_is_told_from_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.json");
        assert!(matches!(ReadyFile::read(&path), Err(ReadyFileError::Missing(_))));
        std::fs::write(&path, &EXAMPLE[..100]).unwrap();
        assert!(matches!(ReadyFile::read(&path), Err(ReadyFileError::Shape { .. })));
        assert!(matches!(ReadyFile::read(folder.path()), Err(ReadyFileError::Read { .. })));
    }
}
