//! A CarData sandbox for your tests. Copy this file into `tests/`, say `mod cardata_sandbox;`, and add `serde_json` to the
//! dev-dependencies; besides it needs only the program `cardata`.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

/// How long a sandbox may take to start: so many times a tenth of a second.
const START_TENTHS: u32 = 300;

/// A running `cardata dev` on free ports, in a folder of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    process: Child,
    folder: PathBuf,
    /// The ready file: `http_url`, `mqtt_host`, `mqtt_port`, `ca_file`, `admin_token`, `customers`, …
    pub ready: Value,
}

impl Sandbox {
    /// Starts `program`, usually `"cardata"`, in which vehicles say only what a test lets them say, and waits until
    /// everything accepts connections.
    ///
    /// # Errors
    /// When it does not start; says what it logged.
    pub fn start(program: impl AsRef<Path>) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("cardata-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(program.as_ref());
        command.arg("dev").arg("--data-dir").arg(folder.join("data"));
        command.arg("--ready-file").arg(folder.join("ready.json")).args(["--vehicles", "0"]);
        for listener in ["--http", "--mqtt", "--vehicles-mqtt", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        // Should this process be killed, the sandbox does not stay for ever.
        command.args(["--exit-after", "1h"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn()?;
        let program = program.as_ref().to_owned();
        // From here on it is ended, whatever happens.
        let mut sandbox = Self { program, process, folder, ready: Value::Null };
        sandbox.ready = sandbox.wait()?;
        Ok(sandbox)
    }

    fn wait(&mut self) -> Result<Value> {
        for _ in 0..START_TENTHS {
            // The file is there when it is whole.
            if let Ok(json) = std::fs::read(self.ready_file()) {
                return Ok(serde_json::from_slice(&json)?);
            }
            if self.process.try_wait()?.is_some() {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(self.folder.join("log"))?;
        Err(Error::other(format!("the sandbox did not start: {log}")))
    }

    /// Where the ready file is.
    pub fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    /// A text of the ready file, such as `/http_url` or `/customers/0/gcid`; empty where it has none.
    pub fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Where the stream is: host and port.
    pub fn stream(&self) -> (&str, u16) {
        let port = self.ready["mqtt_port"].as_u64().and_then(|port| port.try_into().ok());
        (self.text("/mqtt_host"), port.unwrap_or_default())
    }

    /// Runs a command of `cardata` against this sandbox, and gives what it prints: `["token"]` an id token,
    /// `["token", "--kind", "access"]` an access token, `["container", "create", …]` a container's id.
    ///
    /// # Errors
    /// When it fails; says what it told.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        let output = command.args(arguments).arg("--ready-file").arg(self.ready_file()).output()?;
        if !output.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // What is gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
