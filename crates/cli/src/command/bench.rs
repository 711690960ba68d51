//! `cardata bench`: what a server costs, how fast it delivers, and how fast it answers.

mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardata_bench::delivery::{Load, Sandbox, Shape};
use cardata_bench::latency::{Others, Source};
use cardata_bench::process::Process;
use cardata_bench::target::Handshakes;
use cardata_bench::{
    Remedy, Target, connects, cpu, delivery, idle, ingest, latency, rest, sessions,
};
use cardata_client::operator::Operator;
use cardata_client::rest::Rest;
use cardata_domain::Catalogue;
use cardata_server::Clock as _;
use clap::Subcommand;
use clap::builder::RangedU64ValueParser;

use super::sandbox::SandboxArgs;
use super::sign_in::{SignInArgs, SignedIn};
use crate::clock::SystemClock;
use crate::output::{self, Advice, Progress};

/// Measure a running server: connections, memory, delivery, latency, replay, the REST API, and ingest
///
/// Connects as a demo customer to the `cardata dev` that runs, or to any MQTT broker that takes everybody, so that the
/// figures can stand side by side. Figures of memory need a server on this machine; they are what the system counts for
/// its process.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata dev --vehicles 0 --connections-per-client 20000 --sessions-per-client 200000 \\\n      \
        --connections-per-address 20000 --connects-per-minute 0     (in another terminal)\n  \
    cardata bench connect --connections 5000\n  \
    cardata bench fanout --subscribers 500 --qos 1\n  \
    cardata bench fanout --subscribers 500 --entitlements 50 --cpu 1\n  \
    cardata bench pairs --pairs 1000 --rate 5000\n  \
    cardata bench replay --sessions 1 --events 100000\n  \
    cardata bench idle --connections 10000\n  \
    cardata bench sessions --count 100000\n  \
    cardata bench latency --clients 100 --slow 50 --rate 100 --seconds 10\n  \
    cardata bench latency --clients 100 --resuming 50 --backlog 2000 --rate 100 --seconds 10\n  \
    cardata bench idle --connections 10000 --as plain --target mqtts://localhost:8884 --ca-file ca.pem\n  \
    cardata dev --vehicles 0 --requests-per-day 0     (in another terminal)\n  \
    cardata bench rest --fill 10000000\n  \
    cardata bench ingest --target mqtts://localhost:8884 --ca-file ca.pem")]
pub(crate) struct Args {
    /// Bind the generator to this processor, from 0
    #[arg(long, global = true, value_name = "CPU")]
    cpu: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect and leave again as often as it goes, and tell how many clients the server lets in within a second
    ///
    /// Each connection is a full one: TCP, a TLS handshake, CONNECT, and the CONNACK of a server that has checked who it is.
    Connect {
        /// Connections that are measured
        #[arg(long, value_name = "N", default_value_t = 5000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
        connections: u64,
        /// Connections at a time
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        at_once: u64,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Let one vehicle's events go to many readers, and tell how many messages arrive in a second
    Fanout {
        /// Readers
        #[arg(long, value_name = "N", default_value_t = 500, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
        subscribers: u64,
        /// Different selections of values among them; a plain broker knows of one only
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=delivery::ENTITLEMENTS_MAX))]
        entitlements: u64,
        /// Events that have not arrived everywhere, at the most; with 1, each message is a write of its own
        #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=1000))]
        window: u32,
        #[command(flatten)]
        rounds: RoundsArgs,
    },
    /// Let many vehicles send to a reader of their own each, and tell how many messages arrive in a second
    Pairs {
        /// Vehicles, and as many readers
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
        pairs: u64,
        /// Events that have not arrived, at the most, of all vehicles together
        #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        window: u32,
        #[command(flatten)]
        rounds: RoundsArgs,
    },
    /// Let persistent sessions of QoS 1 come back for what they have missed, and tell how many events they get in a second
    Replay {
        /// Sessions that come back, all at once
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        sessions: u64,
        /// Events that each of them has missed
        #[arg(long, value_name = "E", default_value_t = 100_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
        events: u64,
        /// Rounds
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Open many connections that say nothing, and tell what each costs the server
    Idle {
        /// Connections that are measured
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
        connections: u64,
        /// Quality of service of their subscriptions
        #[arg(long, value_name = "QOS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
        qos: u8,
        /// Connections that are opened at a time
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        at_once: u64,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Leave many persistent sessions behind, and tell what each costs the server while its client is away
    Sessions {
        /// Sessions that are measured
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
        count: u64,
        /// Connections at a time
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        at_once: u64,
        /// Then wait for so long until somebody has started the server anew on the same ports, and look again
        #[arg(long, value_name = "SECONDS")]
        restart_within: Option<u64>,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Send events and tell how long they take to their readers, with and without others that read slowly, or that come
    /// back for what they have missed
    Latency {
        /// Readers whose latency is measured
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
        clients: u64,
        /// Slow readers: half of them with QoS 0, half with QoS 1
        #[arg(long, value_name = "M", default_value_t = 0)]
        slow: u64,
        /// Persistent sessions that come back for a backlog while latency is measured
        #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "slow")]
        resuming: u64,
        /// Events that each of them has missed
        #[arg(long, value_name = "E", default_value_t = 1000, requires = "resuming", value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
        backlog: u64,
        /// Events a second, of all vehicles together; each goes to every reader
        #[arg(long, value_name = "R", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        /// Seconds that each round is measured; a client that reads nothing for a minute is closed, hence the limit
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = RangedU64ValueParser::<u64>::new().range(1..=30))]
        seconds: u64,
        /// Rounds without slow readers or sessions that come back, and as many with them, in turn
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Quality of service of the measured readers' subscriptions
        #[arg(long, value_name = "QOS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
        qos: u8,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Ask the REST API for latest values and for history, in turns with a bare handler that returns the same bytes
    ///
    /// Clients ask for `telematicData` of a container with 50 descriptors, and for a page of `/v2` history as JSON lines,
    /// each again as soon as it is answered. After each round the same clients ask a handler of this program, which has
    /// the answer in memory and threads of its own, over the same kind of TLS; the ratio is that of requests a second.
    Rest(RestArgs),
    Ingest(IngestArgs),
}

/// Send events as fast as they are acknowledged, over MQTT and HTTPS, in turns with the journal alone and another broker
///
/// Enrolls vehicles of its own at the `cardata dev` that runs, which stay, and adds a source, which goes again. An event
/// is acknowledged when it is on disk. The journal alone is one of this program's own, on the same disk and with the same
/// syncs, that is handed as many events at a time. The ratios are those of events a second.
#[derive(Debug, clap::Args)]
struct IngestArgs {
    /// Vehicles that publish at a time, each over its own connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = RangedU64ValueParser::<u64>::new().range(1..=200))]
    vehicles: u64,
    /// Events that each of them may have unacknowledged
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    window: u16,
    /// Events of a request over HTTPS; each vehicle has one request at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    lines: u16,
    /// Rounds of each kind
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=60))]
    seconds: u64,
    /// Let a broker that takes everybody have the same publishes, in turns
    #[arg(long, value_name = "mqtts://HOST:PORT", requires = "ca_file")]
    target: Option<String>,
    /// CA that vouches for that broker
    #[arg(long, value_name = "FILE", requires = "target")]
    ca_file: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// What to ask for, and how often.
#[derive(Debug, clap::Args)]
struct RestArgs {
    /// Clients that ask at a time, each over its own connection
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = RangedU64ValueParser::<u64>::new().range(1..=200))]
    clients: u64,
    /// Rounds of each kind
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=60))]
    seconds: u64,
    /// Values on the page of history
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
    values: u64,
    /// First send so many events of the customer's vehicles, with one value each; they stay
    #[arg(long, value_name = "E", default_value_t = 0, value_parser = RangedU64ValueParser::<u64>::new().range(..=100_000_000))]
    fill: u64,
    /// Send the events and measure nothing
    #[arg(long, requires = "fill")]
    fill_only: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
}

/// How messages are delivered, and for how long.
#[derive(Debug, clap::Args)]
struct RoundsArgs {
    /// Quality of service of events and subscriptions
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Send so many events a second at fixed times, instead of as soon as others have arrived
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=600))]
    seconds: u64,
    #[command(flatten)]
    target: TargetArgs,
}

/// What to measure, and how to tell.
#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// What it is: a `cardata dev`, or any broker that takes everybody
    #[arg(long = "as", value_enum, value_name = "KIND", default_value_t = Kind::Cardata)]
    kind: Kind,
    /// Where a plain broker listens
    #[arg(long, value_name = "mqtts://HOST:PORT", required_if_eq("kind", "plain"))]
    target: Option<String>,
    /// CA that vouches for a plain broker
    #[arg(long, value_name = "FILE", required_if_eq("kind", "plain"))]
    ca_file: Option<PathBuf>,
    /// The server's process; the one that listens on its port unless told
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Let connections go on with TLS tickets of earlier ones
    #[arg(long)]
    resume: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Cardata,
    Plain,
}

/// Measures.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    // Where that is not enough, the measurement says so before it begins.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    args.cpu.map_or(Ok(()), cpu::bind).map_err(advise)?;
    let progress: Arc<dyn cardata_bench::Progress> = Arc::new(Bar(Progress::of_steps()));
    match args.command {
        Command::Connect { connections, at_once, target: to } => {
            let (target, _) = to.find().await?;
            let plan = connects::Plan { connections, at_once };
            let process = to.process_if_local(&target)?;
            let report = connects::run(&target, process, plan, &progress).await;
            drop(progress);
            tell(to.json, &report.map_err(advise)?, table::connects)
        }
        Command::Fanout { subscribers, entitlements, window, rounds } => {
            let work = (Shape::FanOut, subscribers, entitlements, window);
            run_delivery(work, rounds, progress).await
        }
        Command::Pairs { pairs, window, rounds } => {
            run_delivery((Shape::Pairs, pairs, 1, window), rounds, progress).await
        }
        Command::Replay { sessions, events, rounds, target: to } => {
            let (target, signed_in) = to.find().await?;
            let source = signed_in.map_or(Source::Publishers(PUBLISHERS), vehicles);
            let now = SystemClock.now();
            let plan = latency::ReplayPlan { sessions, events, rounds, now };
            let report = latency::replay(&target, &source, plan, &progress).await;
            drop(progress);
            let report = report.map_err(advise)?;
            tell(to.json, &report, table::replay)?;
            lost(report.lost)
        }
        Command::Idle { connections, qos, at_once, target: to } => {
            let (target, _) = to.find().await?;
            let plan = idle::Plan { connections, at_once, qos };
            let report = idle::run(&target, to.process(&target)?, plan, &progress).await;
            drop(progress);
            tell(to.json, &report.map_err(advise)?, table::idle)
        }
        Command::Sessions { count, at_once, restart_within, target: to } => {
            let (target, _) = to.find().await?;
            let name = SystemClock.now().as_millisecond().to_string();
            let restart = restart_within.map(Duration::from_secs);
            let plan = sessions::Plan { sessions: count, at_once, name: &name, restart };
            let report = sessions::run(&target, to.process(&target)?, plan, &progress).await;
            drop(progress);
            tell(to.json, &report.map_err(advise)?, table::sessions)
        }
        Command::Latency {
            clients,
            slow,
            resuming,
            backlog,
            rate,
            seconds,
            rounds,
            qos,
            target: to,
        } => {
            let (target, signed_in) = to.find().await?;
            let process = to.process_if_local(&target)?;
            let duration = Duration::from_secs(seconds);
            let now = SystemClock.now();
            let others = match (slow, resuming) {
                (0, 0) => Others::Nobody,
                (0, sessions) => Others::Resuming { sessions, backlog },
                (readers, _) => Others::Slow(readers),
            };
            let plan = latency::Plan { clients, others, rate, duration, rounds, qos, now };
            let source = signed_in.map_or(Source::Publishers(PUBLISHERS), vehicles);
            let report = latency::run(&target, process, &source, plan, &progress).await;
            drop(progress);
            let report = report.map_err(advise)?;
            tell(to.json, &report, table::latency)?;
            lost(report.lost)
        }
        Command::Rest(args) => run_rest(args, progress).await,
        Command::Ingest(args) => run_ingest(args, progress).await,
    }
}

/// Publishers on a plain broker; a demo customer has as many vehicles.
const PUBLISHERS: usize = 2;

impl TargetArgs {
    async fn find(&self) -> anyhow::Result<(Target, Option<SignedIn>)> {
        let handshakes = if self.resume { Handshakes::Resumed } else { Handshakes::Full };
        match (self.kind, &self.target, &self.ca_file) {
            (Kind::Cardata, None, None) => {
                let signed_in = self.sign_in.sign_in().await?;
                let tokens = &signed_in.tokens;
                let token = tokens.id_token.expose();
                let target = Target::cardata(&signed_in.ready, &tokens.gcid, token, handshakes);
                let target = target.await.context(Advice::new("cannot reach the stream"))?;
                Ok((target, Some(signed_in)))
            }
            (Kind::Plain, Some(url), Some(ca_file)) => {
                let target = Target::plain(url, ca_file, handshakes).await;
                Ok((target.context(Advice::new("cannot reach the broker").usage())?, None))
            }
            _ => Err(Advice::new("--target and --ca-file are for a plain broker")
                .remedy("--as plain with them, or neither of them")
                .usage()
                .into()),
        }
    }

    /// The server's process where it can be looked at.
    fn process_if_local(&self, target: &Target) -> anyhow::Result<Option<Process>> {
        target.is_local().then(|| self.process(target)).transpose()
    }

    fn process(&self, target: &Target) -> anyhow::Result<Process> {
        if !target.is_local() {
            let what = "the memory of a server on another machine can't be measured from here";
            let remedy = "the same command on the server's machine";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        }
        Process::listening(target.port(), self.pid).map_err(advise)
    }
}

/// Measures how messages are delivered.
async fn run_delivery(
    (shape, readers, entitlements, window): (Shape, u64, u64, u32),
    args: RoundsArgs,
    progress: Arc<dyn cardata_bench::Progress>,
) -> anyhow::Result<()> {
    let to = &args.target;
    if to.kind == Kind::Plain && entitlements > 1 {
        let what = "a plain broker gives all readers the same";
        return Err(Advice::new(what).remedy("leave --entitlements out").usage().into());
    }
    let (target, signed_in) = to.find().await?;
    let sandbox = signed_in.map(|signed_in| {
        let SignedIn { tokens, http, http_url, ready, email, .. } = signed_in;
        let rest = Rest::new(http.clone(), &http_url, tokens.access_token);
        Sandbox { ready, http, email, rest }
    });
    let plan = delivery::Plan {
        shape,
        readers,
        qos: args.qos,
        load: args.rate.map_or(Load::Window(window), Load::Rate),
        entitlements,
        rounds: args.rounds,
        duration: Duration::from_secs(args.seconds),
        now: SystemClock.now(),
    };
    let process = to.process_if_local(&target)?;
    let report = delivery::run(&target, process, sandbox.as_ref(), plan, &progress).await;
    drop(progress);
    let report = report.map_err(advise)?;
    tell(to.json, &report, table::delivery)?;
    // Of QoS 0 a server may leave something out; the table tells.
    lost(if args.qos > 0 { report.lost } else { 0 })
}

/// An error where messages of QoS 1 were lost.
fn lost(messages: u64) -> anyhow::Result<()> {
    if messages == 0 {
        return Ok(());
    }
    Err(Advice::new(format!("{messages} messages of QoS 1 were lost")).into())
}

/// The vehicles of the customer who signed in, as the source of events.
fn vehicles(signed_in: SignedIn) -> Source {
    let SignedIn { tokens, http, http_url, ready, .. } = signed_in;
    let customer = ready.customers.iter().find(|customer| customer.gcid == tokens.gcid);
    let folder = ready.ca_file.with_file_name("vehicles");
    let vins = customer.into_iter().flat_map(|customer| &customer.vehicles);
    let vins = vins.map(|vehicle| vehicle.vin.clone());
    let vins = vins.filter(|vin| folder.join(format!("{vin}.pem")).exists()).collect();
    let rest = Rest::new(http.clone(), &http_url, tokens.access_token);
    let operator = Operator::new(http, &ready);
    Source::Vehicles { ready: Box::new(ready), vins, rest, operator }
}

/// Measures the REST API.
async fn run_rest(
    args: RestArgs,
    progress: Arc<dyn cardata_bench::Progress>,
) -> anyhow::Result<()> {
    let source = rest_source(args.sign_in.sign_in().await?);
    let plan = rest::Plan {
        clients: args.clients,
        rounds: args.rounds,
        duration: Duration::from_secs(args.seconds),
        values: args.values,
        fill: args.fill,
        now: SystemClock.now(),
    };
    rest::fill(&source, plan, &progress).await.map_err(advise)?;
    if args.fill_only {
        return Ok(());
    }
    let report = rest::run(&source, plan, &progress).await;
    drop(progress);
    tell(args.json, &report.map_err(advise)?, table::rest)
}

/// Measures how many events are taken.
async fn run_ingest(
    args: IngestArgs,
    progress: Arc<dyn cardata_bench::Progress>,
) -> anyhow::Result<()> {
    let ready = args.sandbox.look()?;
    let broker = match (&args.target, &args.ca_file) {
        (Some(url), Some(ca_file)) => {
            let target = Target::plain(url, ca_file, Handshakes::Full).await;
            Some(target.context(Advice::new("cannot reach the broker").usage())?)
        }
        _ => None,
    };
    let plan = ingest::Plan {
        vehicles: args.vehicles,
        window: args.window,
        lines: args.lines,
        rounds: args.rounds,
        duration: Duration::from_secs(args.seconds),
        now: SystemClock.now(),
    };
    let report = ingest::run(&ready, broker.as_ref(), plan, &progress).await;
    drop(progress);
    tell(args.json, &report.map_err(advise)?, table::ingest)
}

/// Descriptors of the container that is asked for.
const ASKED_FOR: usize = 50;

fn rest_source(signed_in: SignedIn) -> rest::Source {
    let SignedIn { tokens, http, http_url, ready, .. } = signed_in;
    let customer = ready.customers.iter().find(|customer| customer.gcid == tokens.gcid);
    let vins = customer.into_iter().flat_map(|customer| &customer.vehicles);
    let vins = vins.map(|vehicle| vehicle.vin.clone()).collect();
    let access_token = tokens.access_token.expose().to_owned();
    let rest = Rest::new(http, &http_url, tokens.access_token);
    rest::Source { vins, rest, access_token, descriptors: reported(), ready }
}

/// Streamable descriptors of the catalogue that are numbers. Those about charging and places are left out: the server
/// looks for more in them.
fn reported() -> Vec<String> {
    let catalogue = Catalogue::shipped();
    let plain = catalogue.listed().filter(|(_, known)| {
        let is_number = known.datatype.as_deref().is_some_and(|datatype| {
            ["int", "uint", "float", "double"].iter().any(|kind| datatype.starts_with(kind))
        });
        let name = known.name.to_lowercase();
        let is_special =
            ["charging", "location", "navigation"].iter().any(|part| name.contains(part));
        known.streamable && known.endpoint.is_none() && is_number && !is_special
    });
    plain.map(|(_, known)| known.name.to_string()).take(ASKED_FOR).collect()
}

fn tell<R: serde::Serialize>(
    json: bool,
    report: &R,
    table: fn(&R) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        output::data(&serde_json::to_string_pretty(report)?);
    } else {
        output::data(&table(report).join("\n"));
    }
    Ok(())
}

struct Bar(Progress);

impl cardata_bench::Progress for Bar {
    fn begin(&self, step: &str, length: u64) {
        self.0.begin(step, length);
    }

    fn advance(&self, parts: u64) {
        self.0.advance(parts);
    }
}

/// Adds what to do about an error.
fn advise(error: impl Remedy + Send + Sync + 'static) -> anyhow::Error {
    let advice = Advice::new("nothing was measured");
    let advice = match error.remedy() {
        Some(remedy) => advice.remedy(remedy),
        None => advice,
    };
    anyhow::Error::new(error).context(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_as_many_descriptors_as_are_asked_for() {
        assert_eq!(reported().len(), ASKED_FOR);
    }
}
