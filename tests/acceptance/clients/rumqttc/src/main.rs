//! rumqttc. See `../README.md` for what goes in and out.

mod version3;
mod version5;

use std::time::Duration;

use rumqttc::{QoS, Transport};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

/// How long the program waits before it comes back; rumqttc itself would not wait at all.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages may be larger than the 10 KiB that rumqttc takes unless told otherwise.
const PACKET_MAX: u32 = 256 * 1024;
/// How many commands may wait for the connection.
const REQUESTS: usize = 16;

/// What the test wants, from the only argument.
#[derive(Deserialize)]
struct Settings {
    host: String,
    port: u16,
    ca_file: String,
    user: String,
    password: String,
    client_id: String,
    version: String,
    reconnects: bool,
    expiry_seconds: u32,
}

impl Settings {
    /// TLS that trusts the sandbox's authority and nothing else.
    fn transport(&self) -> Transport {
        let authority = std::fs::read(&self.ca_file).expect("the authority's certificate");
        Transport::tls(authority, None, None)
    }
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Subscribe { filter: String, qos: u8, identifier: Option<usize> },
    Connect { password: String },
}

/// The commands, one a line.
struct Commands(Lines<BufReader<Stdin>>);

impl Commands {
    /// The next one; after the last one, the program ends.
    async fn next(&mut self) -> Command {
        let Some(line) = self.0.next_line().await.expect("a line") else { std::process::exit(0) };
        serde_json::from_str(&line).expect("a command")
    }
}

fn tell(event: Value) {
    println!("{event}");
}

fn closed(code: Option<u8>, reason: Option<&str>) {
    tell(json!({ "event": "closed", "code": code, "reason": reason }));
}

fn level(qos: u8) -> QoS {
    rumqttc::qos(qos).expect("0, 1 or 2")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let argument = std::env::args().nth(1).expect("settings");
    let settings: Settings = serde_json::from_str(&argument).expect("settings as JSON");
    let commands = Commands(BufReader::new(tokio::io::stdin()).lines());
    if settings.version == "5" {
        version5::run(settings, commands).await;
    } else {
        version3::run(settings, commands).await;
    }
}
