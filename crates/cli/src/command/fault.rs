//! `cardata fault`: what a sandbox does wrong on purpose, over the operator's API.

use cardata_client::operator::Method;
use cardata_server::faults::kind::{ALL, Manner, Parameter};
use serde_json::{Map, Value, json};

use super::admin::{Server, ServerArgs};
use crate::output;

/// Let a sandbox go wrong on purpose: drop, delay, refuse, expire, and see how a client takes it
///
/// Finds the running `cardata dev` by its data folder. A fault strikes everybody, at each occasion, until it is ended,
/// unless told otherwise. Each time that one strikes stands in a log. A restart of the sandbox ends all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata fault kinds\n  \
    cardata fault add stale-stream --customer anna@example.com --for 90s\n  \
    cardata fault add refuse-connect --code 5 --times 3\n  \
    cardata fault add duplicate --vin WBY00000000000001 --probability 0.1 --seed 7\n  \
    cardata fault log --follow\n  \
    cardata fault end --all")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(Box<Add>),
    /// Print the faults that are there
    List,
    /// End faults; what they held back goes out
    #[command(after_help = "Examples:\n  cardata fault end 3\n  cardata fault end --all")]
    End {
        /// The fault's number, as `add` and `list` print it
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
        id: Option<u64>,
        /// All that are there
        #[arg(long)]
        all: bool,
    },
    /// Print each time that a fault struck, the oldest first
    #[command(
        after_help = "Examples:\n  cardata fault log\n  cardata fault log --since 40 --json\n  \
        cardata fault log --follow"
    )]
    Log {
        /// Only strikes after the one with this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        since: u64,
        /// Go on with those that come
        #[arg(long, short)]
        follow: bool,
    },
    /// Explain each kind of fault, and which pain of real life it re-enacts
    Kinds,
}

/// Begin a fault; prints its number
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata fault add drop --customer anna@example.com\n  \
    cardata fault add delay --seconds 20 --for 5m\n  \
    cardata fault add http-error --status 503 --path /customers/containers --times 2\n  \
    cardata fault add expire-tokens --token id\n\n\
    `cardata fault kinds` explains the kinds, and which of these flags each takes.")]
struct Add {
    /// What is to go wrong
    #[arg(value_name = "KIND")]
    kind: String,
    /// Only this customer (GCID or e-mail address)
    #[arg(long, value_name = "CUSTOMER", help_heading = "For whom")]
    customer: Option<String>,
    /// Only this OAuth client
    #[arg(long, value_name = "ID", help_heading = "For whom")]
    client: Option<String>,
    /// Only connections with this MQTT client identifier
    #[arg(long, value_name = "ID", help_heading = "For whom")]
    mqtt_client: Option<String>,
    /// Only this vehicle
    #[arg(long, value_name = "VIN", help_heading = "For whom")]
    vin: Option<String>,
    /// Only requests to this path and below; `*` stands for any one segment
    #[arg(long, value_name = "PATH", help_heading = "For whom")]
    path: Option<String>,
    /// Strike so often, then no more
    #[arg(long, value_name = "N", conflicts_with = "lasts", help_heading = "How long")]
    times: Option<u32>,
    /// Last so long, such as `30s`, `5m` or `1h`
    #[arg(long = "for", id = "lasts", value_name = "TIME", value_parser = parse_time, help_heading = "How long")]
    lasts: Option<u64>,
    /// Strike at this part of the occasions, such as 0.1
    #[arg(long, value_name = "PART", help_heading = "How long")]
    probability: Option<f64>,
    /// Decides at which of them: the same seed, the same ones
    #[arg(long, value_name = "N", requires = "probability", help_heading = "How long")]
    seed: Option<u64>,
    #[command(flatten)]
    told: Told,
}

/// What can be said of kinds.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What exactly")]
struct Told {
    /// Seconds of a delay, a silence or a skew
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    seconds: Option<i64>,
    /// Minutes until the certificate ends
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Code with which a CONNECT is refused
    #[arg(long, value_name = "CODE")]
    code: Option<u8>,
    /// HTTP status with which requests fail
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// Which tokens expire: all, access or id
    #[arg(long, value_name = "WHICH")]
    token: Option<String>,
    /// OAuth error with which a refresh is refused
    #[arg(long, value_name = "ERROR")]
    error: Option<String>,
    /// Scope that is lost
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Descriptor that is deprecated
    #[arg(long, value_name = "DESCRIPTOR")]
    descriptor: Option<String>,
}

/// Seconds of a time such as `30s`.
fn parse_time(text: &str) -> Result<u64, String> {
    let wrong = || "a time is a whole number and a unit: 30s, 5m or 1h".to_owned();
    let (number, seconds) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).ok_or_else(wrong)
}

impl Add {
    fn body(&self) -> Value {
        let customer = self.customer.as_deref();
        let is_email = customer.is_some_and(|customer| customer.contains('@'));
        let Told { seconds, minutes, code, status, token, error, scope, descriptor } = &self.told;
        let mut body = Map::new();
        for (name, value) in [
            ("kind", json!(self.kind)),
            (if is_email { "email" } else { "gcid" }, json!(customer)),
            ("client_id", json!(self.client)),
            ("mqtt_client_id", json!(self.mqtt_client)),
            ("vin", json!(self.vin)),
            ("path", json!(self.path)),
            ("times", json!(self.times)),
            ("for_seconds", json!(self.lasts)),
            ("probability", json!(self.probability)),
            ("seed", json!(self.seed)),
            ("seconds", json!(seconds)),
            ("minutes", json!(minutes)),
            ("code", json!(code)),
            ("status", json!(status)),
            ("token", json!(token)),
            ("error", json!(error)),
            ("scope", json!(scope)),
            ("descriptor", json!(descriptor)),
        ] {
            if !value.is_null() {
                body.insert(name.to_owned(), value);
            }
        }
        body.into()
    }
}

const LISTED: [(&str, &str); 11] = [
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("STRIKES", "/strikes"),
    ("TIMES", "/times"),
    ("UNTIL", "/until"),
    ("PART", "/probability"),
    ("CUSTOMER", "/gcid"),
    ("CLIENT", "/client_id"),
    ("MQTT CLIENT", "/mqtt_client_id"),
    ("VIN", "/vin"),
    ("PATH", "/path"),
];

const LOGGED: [(&str, &str); 9] = [
    ("NUMBER", "/number"),
    ("AT", "/at"),
    ("FAULT", "/fault"),
    ("KIND", "/kind"),
    ("CUSTOMER", "/gcid"),
    ("CLIENT", "/client_id"),
    ("MQTT CLIENT", "/mqtt_client_id"),
    ("VIN", "/vin"),
    ("PATH", "/path"),
];

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    if let Command::Kinds = args.command {
        explain(args.server.json());
        return Ok(());
    }
    let server = args.server.connect()?;
    match args.command {
        Command::Add(add) => {
            let what = "cannot begin the fault";
            let begun =
                server.call(what, Method::Post, &["faults"], &[], Some(&add.body())).await?;
            server
                .print_one(&begun, &[("fault", "/id"), ("kind", "/kind"), ("strikes", "/strikes")]);
        }
        Command::List => {
            let rows = rows(server.get("cannot list the faults", &["faults"]).await?, "faults");
            server.print_rows(rows, &LISTED);
        }
        Command::End { id, .. } => {
            let number = id.map(|id| id.to_string());
            let segments: Vec<_> = std::iter::once("faults").chain(number.as_deref()).collect();
            let what = "cannot end the fault";
            let mut ended = server.call(what, Method::Delete, &segments, &[], None).await?;
            let ended = if id.is_some() { vec![ended] } else { rows(ended.take(), "ended") };
            server.print_rows(ended, &LISTED);
        }
        Command::Log { since, follow } => log(&server, since, follow).await?,
        Command::Kinds => {}
    }
    Ok(())
}

fn rows(mut answer: Value, name: &str) -> Vec<Value> {
    match answer[name].take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

/// Prints the log; one that goes on is printed line by line, each as JSON where that is wanted.
async fn log(server: &Server, mut since: u64, follow: bool) -> anyhow::Result<()> {
    let mut all = Vec::new();
    loop {
        let after = since.to_string();
        let wait = if follow { "20" } else { "0" };
        let query = [("since", after.as_str()), ("wait", wait), ("limit", "1000")];
        let what = "cannot read the log of faults";
        let page = server.call(what, Method::Get, &["faults", "log"], &query, None).await?;
        since = page["next"].as_u64().unwrap_or(since);
        let strikes = rows(page, "strikes");
        if follow {
            for strike in &strikes {
                server.print_line(strike, &LOGGED);
            }
        } else if strikes.is_empty() {
            server.print_rows(all, &LOGGED);
            return Ok(());
        } else {
            all.extend(strikes);
        }
    }
}

fn explain(as_json: bool) {
    if as_json {
        let kinds: Vec<_> = ALL
            .iter()
            .map(|kind| json!({"kind": kind.name, "what": kind.what, "pain": kind.pain}))
            .collect();
        output::data(&format!("{:#}", Value::from(kinds)));
        return;
    }
    for kind in &ALL {
        output::data(&format!("{}\n    {}.\n    Real life: {}.", kind.name, kind.what, kind.pain));
        if let Some(Parameter { name, values, default, .. }) = kind.parameter {
            let unless_told = default.map(|default| format!("; {default} unless told"));
            output::data(&format!("    --{name}: {values}{}", unless_told.unwrap_or_default()));
        }
        let narrowed: Vec<_> = kind.narrowings.iter().map(|one| flag(one.member())).collect();
        let takes = match kind.manner {
            Manner::AtOnce => "strikes once, at once",
            Manner::Throughout => "takes --for",
            Manner::Occasions | Manner::Lasting => "takes --times, --for, --probability",
        };
        let narrowed =
            if narrowed.is_empty() { "strikes everybody".to_owned() } else { narrowed.join(" ") };
        output::data(&format!("    {narrowed}; {takes}\n"));
    }
}

/// The flag for a member of the API.
fn flag(member: &str) -> &str {
    match member {
        "gcid" => "--customer",
        "client_id" => "--client",
        "mqtt_client_id" => "--mqtt-client",
        "vin" => "--vin",
        _ => "--path",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("fault").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    fn body(line: &str) -> Value {
        match parse(line).unwrap().command {
            Command::Add(add) => add.body(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_says_what_the_api_is_sent() {
        assert_eq!(
            body(
                "add delay --seconds 5 --customer anna@example.com --for 2m --probability 0.1 --seed 7"
            ),
            json!({"kind": "delay", "seconds": 5, "email": "anna@example.com", "for_seconds": 120,
                   "probability": 0.1, "seed": 7})
        );
        let line = "add clock-skew --seconds -60 --customer aa111192 --client c --times 2";
        assert_eq!(
            body(line),
            json!({"kind": "clock-skew", "seconds": -60, "gcid": "aa111192", "client_id": "c", "times": 2})
        );
    }

    #[test]
    fn each_parameter_has_its_flag() {
        for parameter in ALL.iter().filter_map(|kind| kind.parameter) {
            let line = format!("add x --{} 1", parameter.name);
            assert!(body(&line).get(parameter.name).is_some(), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_refused_by_its_word() {
        for (line, word) in [
            ("add", "<KIND>"),
            ("add delay --for 5", "--for"),
            ("add delay --for ms", "--for"),
            ("add delay --times 1 --for 5s", "--times"),
            ("add delay --seed 1", "--probability"),
            ("end", "<ID>"),
            ("end 1 --all", "--all"),
            ("log --since x", "--since"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
    }
}
