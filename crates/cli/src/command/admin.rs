//! `cardata admin`: customers, vehicles, mappings, clients, consents, sources, keys and the ledger, over the operator's API.

mod client;
mod consent;
mod customer;
mod import;
mod key;
mod ledger;
mod mapping;
mod source;
mod table;
mod vehicle;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_client::Secret;
use cardata_client::http::Http;
use cardata_client::operator::{Admin, AdminError, Method};
use serde_json::Value;

use super::sandbox::SandboxArgs;
use crate::output::{self, Advice};

/// Keep the accounts: customers, vehicles, whose is whose, clients, consents, sources, keys, the ledger
///
/// Finds the running `cardata dev` by its data folder, as `cardata token` does, or another server by --admin-url. A
/// customer is named by GCID or e-mail address. Changes take effect at once, also on open streams, and each leaves a line
/// in the ledger.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata admin customer add carla@example.com\n  \
    cardata admin vehicle add WBY00000000000001 BEV --model-name 'i4 eDrive40'\n  \
    cardata admin mapping set carla@example.com WBY00000000000001\n  \
    cardata admin import mappings fleet.csv --dry-run\n  \
    cardata admin ledger export --customer carla@example.com --consents")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    #[command(subcommand)]
    Customer(customer::Command),
    #[command(subcommand)]
    Vehicle(vehicle::Command),
    #[command(subcommand)]
    Mapping(mapping::Command),
    #[command(subcommand)]
    Client(client::Command),
    #[command(subcommand)]
    Consent(consent::Command),
    #[command(subcommand)]
    Source(source::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Ledger(ledger::Command),
    Import(import::Args),
}

/// Which server, and how to print what it says.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// Where the operator's API of another server than the sandbox is, such as `http://127.0.0.1:9001`
    #[arg(long, value_name = "URL", global = true, env = "CARDATA_ADMIN_URL")]
    admin_url: Option<String>,
    /// File with the operator's token, instead of `admin-token` in the data folder
    #[arg(long, value_name = "FILE", global = true, env = "CARDATA_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// CA that vouches for --admin-url, where that is https (PEM)
    #[arg(long, value_name = "FILE", global = true, env = "CARDATA_ADMIN_CA_FILE")]
    admin_ca_file: Option<PathBuf>,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

/// Says yes to an act that ends something.
#[derive(Debug, clap::Args)]
struct Yes {
    /// Do it without asking; needed where there is no terminal to ask at
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Goes on only with a yes; `question` says what would be lost.
    fn to(&self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        match output::ask(question) {
            Some(true) => Ok(()),
            Some(false) => Err(Advice::new("nothing was changed").usage().into()),
            None => {
                let what = format!("nobody is there to ask: {question}");
                Err(Advice::new(what).remedy("the same command with --yes").usage().into())
            }
        }
    }
}

/// The server that was found.
pub(super) struct Server {
    admin: Admin,
    json: bool,
}

impl ServerArgs {
    /// Whether JSON is wanted.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    pub(super) fn connect(&self) -> anyhow::Result<Server> {
        let (url, token) = if let Some(url) = &self.admin_url {
            (url.clone(), None)
        } else {
            let ready = self.sandbox.look()?;
            (ready.admin_url, Some(ready.admin_token))
        };
        let token = match (&self.admin_token_file, token) {
            (Some(file), _) => read_token(file)?,
            (None, Some(token)) => token,
            (None, None) => read_token(&self.sandbox.admin_token_file())?,
        };
        let http = match &self.admin_ca_file {
            Some(file) => Http::trusting_only(file),
            None => Http::without_tls(),
        };
        let http = http.with_context(|| {
            Advice::new("the operator's API can't be reached")
                .remedy("another --admin-ca-file")
                .usage()
        })?;
        Ok(Server { admin: Admin::new(http, &url, token), json: self.json })
    }
}

fn read_token(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| {
        Advice::new(format!("cannot read the operator's token in {}", file.display()))
            .remedy("--admin-token-file with the file `admin-token` of the server's data folder")
            .usage()
    })?;
    Ok(Secret::new(text.trim()))
}

impl Server {
    pub(super) async fn call(
        &self,
        what: &str,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.admin.call(method, segments, query, body).await;
        answer.map_err(|error| advise(error, what))
    }

    pub(super) async fn get(&self, what: &str, segments: &[&str]) -> anyhow::Result<Value> {
        self.call(what, Method::Get, segments, &[], None).await
    }

    async fn list(&self, what: &str, segments: &[&str]) -> anyhow::Result<Vec<Value>> {
        self.admin.list(segments).await.map_err(|error| advise(error, what))
    }

    /// Prints rows: as a table, or as a JSON array.
    pub(super) fn print_rows(&self, rows: Vec<Value>, columns: &[(&str, &str)]) {
        if self.json {
            print_json(&Value::Array(rows));
        } else {
            for line in table::rows(&rows, columns) {
                output::data(&line);
            }
        }
    }

    /// Prints one of many things that come one after the other: its cells, or JSON, on one line.
    pub(super) fn print_line(&self, one: &Value, columns: &[(&str, &str)]) {
        if self.json {
            output::data(&one.to_string());
        } else if let Some(line) = table::rows(std::slice::from_ref(one), columns).last() {
            output::data(line);
        }
    }

    /// Prints one thing: line by line, or as JSON.
    pub(super) fn print_one(&self, one: &Value, lines: &[(&str, &str)]) {
        if self.json {
            print_json(one);
        } else {
            for line in table::one(one, lines) {
                output::data(&line);
            }
        }
    }
}

fn print_json(value: &Value) {
    output::data(&format!("{value:#}"));
}

/// Says on standard error that a secret on standard output comes once.
fn once(secret: &str) {
    output::note(&format!("The {secret} is shown this once; only its hash is kept."));
}

/// What was ended, in words.
fn describe_end(ended: &Value) -> String {
    let number = |name: &str| ended[name].as_u64().unwrap_or_default();
    format!(
        "ended {} consents and {} streams in {} ms",
        number("consents_ended"),
        number("streams_closed"),
        number("took_ms")
    )
}

fn advise(error: AdminError, what: &str) -> anyhow::Error {
    let mut advice = Advice::new(what);
    match &error {
        AdminError::Transport(_) => {
            advice = advice.remedy("see whether the server runs, and where its operator's API is");
        }
        AdminError::Refused { status: 401, .. } => {
            advice = advice
                .remedy(
                    "--admin-token-file with the file `admin-token` of the server's data folder",
                )
                .usage();
        }
        AdminError::Refused { status, remedy, .. } => {
            if !remedy.is_empty() {
                advice = advice.remedy(output::harmless(remedy));
            }
            if *status < 500 {
                advice = advice.usage();
            }
        }
        AdminError::Unexpected(_) => {
            advice = advice.remedy("see whether --admin-url is that of a server of this version");
        }
    }
    anyhow::Error::new(error).context(advice)
}

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let server = args.server.connect()?;
    match args.command {
        Command::Customer(command) => customer::run(&server, command).await,
        Command::Vehicle(command) => vehicle::run(&server, command).await,
        Command::Mapping(command) => mapping::run(&server, command).await,
        Command::Client(command) => client::run(&server, command).await,
        Command::Consent(command) => consent::run(&server, command).await,
        Command::Source(command) => source::run(&server, command).await,
        Command::Key(command) => key::run(&server, command).await,
        Command::Ledger(command) => ledger::run(&server, command).await,
        Command::Import(args) => import::run(&server, args).await,
    }
}

#[cfg(test)]
mod tests;
