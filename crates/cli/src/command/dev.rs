//! `cardata dev`: the whole service on one machine, with demo customers and vehicles that move.

mod authority;
mod certificates;
mod demo;
mod idp;
mod open_files;
mod ready;
mod signals;
mod simulation;
mod sockets;
mod vehicles;
mod welcome;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardata_domain::Catalogue;
use cardata_server::door::{self, Door};
use cardata_server::entitlements::Entitlements;
use cardata_server::faults::{CertificateWish, Faults};
use cardata_server::gcdm::keys::Keys;
use cardata_server::ingest::Ingest;
use cardata_server::ingest::certificates::Certificates as VehicleCertificates;
use cardata_server::portal::login::Visitors;
use cardata_server::profile::Connections;
use cardata_server::quota::Quota;
use cardata_server::serve;
use cardata_server::stream::catch_up::CatchUp;
use cardata_server::stream::cursors::Cursors;
use cardata_server::stream::groups::Groups;
use cardata_server::stream::router::Router;
use cardata_server::tally::Tally;
use cardata_server::tasks::Tasks;
use cardata_server::{Clock as _, Platform, Profile};
use cardata_simulator::Scenario;
use cardata_store::directory::sqlite::SqliteDirectory;
use cardata_store::journal::Retention;
use cardata_store::journal::embedded::{EmbeddedJournal, Limits};
use cardata_store::{Directory, Journal as _};
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, sleep};

use self::authority::Authority;
use self::certificates::{Certificates, TlsArgs};
use self::demo::Demo;
use self::idp::IdpArgs;
use self::signals::{Request, Signals};
use self::sockets::Bound;
use super::duration::parse_duration;
use super::simulate;
use crate::clock::SystemClock;
use crate::output::{self, Advice};

/// Start a sandbox: the whole service on this machine, with demo customers and vehicles that move
///
/// Needs no account, no configuration and no other service. Everything is kept in the data folder between runs; delete
/// the folder to begin anew.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cardata dev\n  cardata dev --speed 10 --auto-approve\n  cardata dev --http 127.0.0.1:0 \
                        --mqtt 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file /tmp/ready.json"
)]
pub(crate) struct Args {
    /// Folder for certificates, accounts and events; made when it is missing
    #[arg(long, value_name = "DIR", default_value = "./cardata-data", env = "CARDATA_DATA_DIR")]
    data_dir: PathBuf,
    /// Where HTTPS listens: log-in, REST API, pages; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443", env = "CARDATA_HTTP")]
    http: String,
    /// Where the customers' MQTT over TLS listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000", env = "CARDATA_MQTT")]
    mqtt: String,
    /// Where the vehicles' MQTT over TLS with client certificates listens
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8883",
        env = "CARDATA_VEHICLES_MQTT"
    )]
    vehicles_mqtt: String,
    /// Where the operator's door listens: metrics, health, approving codes; keep it on this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001", env = "CARDATA_ADMIN")]
    admin: String,
    /// How many vehicles are simulated; those above three go to the first demo customer
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100_000), env = "CARDATA_VEHICLES")]
    vehicles: u32,
    /// Simulate the cars of this scenario instead, with their owners' habits: a file in TOML, or the name of a shipped one
    /// (`cardata simulate show` prints them); they go to the first demo customer
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "vehicles", env = "CARDATA_SCENARIO")]
    scenario: Option<String>,
    /// How much faster than real time the vehicles live
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = simulation::parse_speed, env = "CARDATA_SPEED")]
    speed: f64,
    /// Seed of the simulation: the same seed drives the same drives
    #[arg(long, value_name = "N", default_value_t = 1, env = "CARDATA_SEED")]
    seed: u64,
    /// How strict to be: `open` is what users wish for, `bmw` is the real service as documented and observed
    #[arg(long, value_enum, default_value_t = ProfileName::Open, env = "CARDATA_PROFILE")]
    profile: ProfileName,
    /// Connections to the stream that a client may have at a time for each customer; one more closes the oldest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), env = "CARDATA_CONNECTIONS_PER_CLIENT")]
    connections_per_client: Option<u32>,
    /// Connections at a time of a third party's client that streams for all customers who let it in; one more closes the
    /// oldest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), env = "CARDATA_CONNECTIONS_PER_FLEET")]
    connections_per_fleet: Option<u32>,
    /// REST requests in a day (UTC): 5000 for each client and customer, or 50 for each customer with `--profile bmw`,
    /// unless told; 0 is no limit
    #[arg(long, value_name = "N", env = "CARDATA_REQUESTS_PER_DAY")]
    requests_per_day: Option<u32>,
    /// What becomes of a second connection where a customer has one at a time, as with `--profile bmw`: it takes the place
    /// of the first one, or is refused; `evict` unless told
    #[arg(
        long,
        value_enum,
        value_name = "POLICY",
        conflicts_with = "connections_per_client",
        env = "CARDATA_SECOND_CONNECTION"
    )]
    second_connection: Option<SecondConnection>,
    /// Persistent sessions that are kept of a client for each customer; one more ends the one that was renewed longest ago
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000), env = "CARDATA_SESSIONS_PER_CLIENT")]
    sessions_per_client: Option<u32>,
    /// How many CONNECTs of one address are looked at in a minute, and four times as many connections; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 600, env = "CARDATA_CONNECTS_PER_MINUTE")]
    connects_per_minute: u32,
    /// How many connections each of the two MQTT listeners has at a time; 100000 unless told, as far as the system
    /// allows so many open files
    #[arg(long, value_name = "N", env = "CARDATA_CONNECTIONS")]
    connections: Option<usize>,
    /// How many of them may come from one address
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        env = "CARDATA_CONNECTIONS_PER_ADDRESS"
    )]
    connections_per_address: usize,
    /// Stand in for the real service: the certificate carries its three host names, and HTTPS also listens on port 443
    #[arg(long)]
    intercept: bool,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    idp: IdpArgs,
    /// Grant every device code at once: a personal client's to its owner, any other's to the first demo customer
    #[arg(long)]
    auto_approve: bool,
    /// Write where everything is into this file, as JSON, once everything accepts connections
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// End by itself after so long, such as 60s or 10m, for a CI that must not hang
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    exit_after: Option<Duration>,
    /// Seconds that access and id tokens live, to see in a test what happens when they expire
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(i64).range(1..=3600), hide = true)]
    token_lifetime: i64,
    /// Seconds that events are kept, to see in a test what happens to readers who come later
    #[arg(long, value_name = "SECONDS", default_value_t = 7 * 24 * 3600, value_parser = clap::value_parser!(i64).range(1..=7 * 24 * 3600), hide = true)]
    retention: i64,
}

impl Args {
    fn limits(&self) -> door::Limits {
        door::Limits {
            connects_per_minute: self.connects_per_minute,
            connections_max: self.connections.unwrap_or(CONNECTIONS_MAX),
            connections_each_max: self.connections_per_address,
        }
    }
}

/// The names of the profiles (README, "Profiles").
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProfileName {
    Open,
    Bmw,
}

/// What becomes of a customer's second connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SecondConnection {
    /// It takes the place of the first one
    Evict,
    /// It is refused
    Refuse,
}

impl From<SecondConnection> for Connections {
    fn from(policy: SecondConnection) -> Self {
        match policy {
            SecondConnection::Evict => Self::OnePerCustomerEvict,
            SecondConnection::Refuse => Self::OnePerCustomerRefuse,
        }
    }
}

/// Who lives in the sandbox.
enum Fleet {
    /// So many demo vehicles, which never rest.
    Demo(u32),
    /// The cars of a scenario.
    Scenario(Scenario),
}

impl Fleet {
    fn of(args: &Args) -> anyhow::Result<Self> {
        Ok(match &args.scenario {
            Some(name) => Self::Scenario(simulate::scenario(name)?),
            None => Self::Demo(args.vehicles),
        })
    }
}

/// The three host names that clients of the real service know.
const REAL_HOSTS: [&str; 3] = [
    "customer.bmwgroup.com",
    "api-cardata.bmwgroup.com",
    "customer.streaming-cardata.bmwgroup.com",
];

/// Connections at a time of an MQTT listener, unless told.
const CONNECTIONS_MAX: usize = 100_000;

/// What a sandbox keeps of its events, by their size.
const RETENTION_BYTES_MAX: u64 = 2 << 30;

/// How often the certificate's files are looked at; they are taken at the second look that finds the same.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until SIGINT or SIGTERM, or until its terminal is closed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    // Before anything is made: the command line may contradict itself.
    let profile = profile(&args)?;
    let fleet = Fleet::of(&args)?;
    let mut signals = Signals::listen()?;
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .context("the metrics recorder was installed before")?;

    make_folder(&args.data_dir)
        .with_context(|| format!("the data folder {} can't be made", args.data_dir.display()))?;
    open_files::raise_limit(args.connections);
    let sockets = Bound::bind(&args)?;
    let authority = Authority::open(&args.data_dir, SystemClock.now())?;
    let mut certificates =
        Certificates::open(&args.tls, authority, certificate_names(&args)).await?;
    let of_vehicles = certificates.of_vehicles()?;
    let tls = certificates.tls(&of_vehicles)?;
    let (certificate_wishes, mut wished) = mpsc::channel(1);
    let faults = Faults::new(certificate_wishes);
    let (platform, demo) = platform(&args, profile, &fleet, &sockets, of_vehicles, faults).await?;
    // Before anybody can connect.
    platform
        .vehicle_certificates
        .publish(&*platform.directory, SystemClock.now())
        .await
        .context("the list of revoked certificates can't be made")?;
    vehicles::enroll(&platform, &demo, &args.data_dir)
        .await
        .context("the demo vehicles' certificates can't be made")?;

    let ready = ready::describe(&args, &sockets, &platform, &demo, &certificates);
    let welcome = welcome::text(&args, &ready);
    simulation::start(&platform, &demo, &fleet, args.speed, args.seed).await?;
    let retention = Retention {
        age_max: SignedDuration::from_secs(args.retention),
        size_bytes_max: RETENTION_BYTES_MAX,
    };
    let server = serve::start(platform.clone(), sockets.into_sockets(), tls, retention, metrics)
        .context("the listeners can't be started")?;
    ready::write(&args, &ready)?;
    output::data(&welcome);

    let end = async {
        match args.exit_after {
            Some(length) => sleep(length).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = run_until_stopped(&mut signals, &mut certificates, &mut wished, &platform) => {}
        () = end => {}
    }
    output::note("stopping …");
    ready::remove(&args);
    server.stop().await;
    Ok(())
}

/// Keeps the certificates fresh meanwhile, or shows others where faults on purpose want that.
async fn run_until_stopped(
    signals: &mut Signals,
    certificates: &mut Certificates,
    wished: &mut mpsc::Receiver<CertificateWish>,
    platform: &Platform,
) {
    let vehicles = &platform.vehicle_certificates;
    let mut looks = tokio::time::interval(CERTIFICATE_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => return,
                Request::Renew => certificates.renew(vehicles).await,
            },
            Some(wish) = wished.recv() => {
                let is_shown = certificates.show(wish.expires_in, vehicles).await;
                // Whoever wished for it may be gone.
                let _ = wish.done.send(is_shown);
            }
            _ = looks.tick() => certificates.look(vehicles).await,
        }
    }
}

async fn platform(
    args: &Args,
    profile: Profile,
    fleet: &Fleet,
    sockets: &Bound,
    vehicle_certificates: VehicleCertificates,
    faults: Faults,
) -> anyhow::Result<(Arc<Platform>, Demo)> {
    let catalogue = Arc::new(Catalogue::shipped());
    let router = Arc::new(Router::default());
    let directory = SqliteDirectory::open(&args.data_dir.join("directory.sqlite"))
        .await
        .with_context(|| format!("the accounts in {} can't be opened", args.data_dir.display()))?;
    let directory: Arc<dyn Directory> =
        Arc::new(directory.with_sessions_max(profile.sessions_per_client));
    let folder = args.data_dir.join("journal");
    let (known, feed) = (catalogue.clone(), router.clone());
    let journal = tokio::task::spawn_blocking(move || {
        EmbeddedJournal::open(&folder, known, feed, Limits::default())
    })
    .await?
    .with_context(|| {
        format!(
            "the events in {} can't be opened; does another `cardata dev` use the folder?",
            args.data_dir.display()
        )
    })?;

    let now = SystemClock.now();
    let demo = demo::seed(&*directory, fleet, now).await?;
    directory
        .recover_sessions(journal.synced(), now)
        .await
        .context("the sessions can't be opened")?;
    let keys = Keys::open(&*directory, now).await.context("the signing keys can't be opened")?;
    let quota = Quota::open(&*directory, profile.requests, now)
        .await
        .context("the count of requests can't be read")?;
    let public_url = public_url(args, sockets);
    let outside = args.idp.provider(&public_url, now).await?;
    let platform = Platform {
        entitlements: Entitlements::new(directory.clone(), catalogue.clone(), profile.packing),
        directory,
        journal: Arc::new(journal),
        catalogue,
        clock: Arc::new(SystemClock),
        profile,
        public_url,
        stream_address: format!("{}:{}", args.tls.public_name(), sockets.mqtt.port()),
        keys,
        outside,
        router,
        catch_up: CatchUp::start().context("no threads can be started")?,
        cursors: Cursors::default(),
        groups: Groups::default(),
        door: Arc::new(Door::new("mqtt", args.limits())),
        // Vehicles have shown a certificate before they connect, and many share a mobile network's address.
        vehicles_door: Arc::new(Door::new(
            "vehicles_mqtt",
            door::Limits { connects_per_minute: 0, ..args.limits() },
        )),
        vehicle_certificates,
        ingest: Ingest::new(now),
        auto_approve: args.auto_approve.then(|| demo.first().gcid),
        access_lifetime: SignedDuration::from_secs(args.token_lifetime),
        admin_token: authority::admin_token(&args.data_dir)?,
        visitors: Visitors::default(),
        tally: Tally::default(),
        quota,
        faults: Some(faults),
        tasks: Tasks::default(),
    };
    Ok((Arc::new(platform), demo))
}

/// The profile, with what flags say otherwise.
fn profile(args: &Args) -> anyhow::Result<Profile> {
    let mut profile = match args.profile {
        ProfileName::Open => Profile::open(),
        ProfileName::Bmw => Profile::bmw(),
    };
    if let Some(max) = args.connections_per_client {
        profile.connections = Connections::PerClient(max.try_into()?);
    }
    if let Some(max) = args.connections_per_fleet {
        profile.connections_per_fleet = max.try_into()?;
    }
    if let Some(policy) = args.second_connection {
        if let Connections::PerClient(_) = profile.connections {
            let what = "--second-connection says nothing where a customer has several connections";
            let remedy = "add --profile bmw, or leave --second-connection out";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        }
        profile.connections = policy.into();
    }
    if let Some(max) = args.requests_per_day {
        profile.requests = profile.requests.with_max(max);
    }
    if let Some(max) = args.sessions_per_client {
        profile.sessions_per_client = max;
    }
    Ok(profile)
}

/// Makes the data folder for its owner alone: it holds positions, accounts and keys.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// How clients and people reach HTTPS: by the first `--tls-name`, else by `localhost`.
fn public_url(args: &Args, sockets: &Bound) -> String {
    sockets.http_url(args.tls.public_name())
}

fn certificate_names(args: &Args) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if args.intercept {
        names.extend(REAL_HOSTS.map(str::to_owned));
    }
    names.extend(args.tls.names.iter().cloned());
    names
}

#[cfg(test)]
mod tests {
    use cardata_server::profile::Requests;
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: Args,
    }

    /// Who gives way, as `line` says; or why it says nothing.
    fn connections(line: &str) -> Result<Connections, String> {
        let words = ["dev"].into_iter().chain(line.split_whitespace());
        let parsed = CommandLine::try_parse_from(words).map_err(|error| error.to_string())?;
        profile(&parsed.args).map(|profile| profile.connections).map_err(|error| error.to_string())
    }

    #[test]
    fn a_days_requests_are_those_of_the_profile_unless_told() {
        for (line, expected) in [
            ("", Requests::PerClient(5000)),
            ("--profile bmw", Requests::PerCustomer(50)),
            ("--requests-per-day 7", Requests::PerClient(7)),
            ("--profile bmw --requests-per-day 7", Requests::PerCustomer(7)),
            ("--profile bmw --requests-per-day 0", Requests::Unlimited),
        ] {
            let words = ["dev"].into_iter().chain(line.split_whitespace());
            let args = CommandLine::try_parse_from(words).unwrap().args;
            assert_eq!(profile(&args).unwrap().requests, expected, "{line}");
        }
    }

    #[test]
    fn a_second_connection_is_decided_as_told_where_a_customer_has_one() {
        for (line, expected) in [
            ("", Connections::PerClient(5)),
            ("--profile bmw", Connections::OnePerCustomerEvict),
            ("--profile bmw --second-connection evict", Connections::OnePerCustomerEvict),
            ("--profile bmw --second-connection refuse", Connections::OnePerCustomerRefuse),
            ("--profile bmw --connections-per-client 2", Connections::PerClient(2)),
        ] {
            assert_eq!(connections(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_second_connection_is_not_decided_where_a_customer_has_several() {
        for line in ["--second-connection refuse", "--profile open --second-connection evict"] {
            let why = connections(line).unwrap_err();
            assert!(why.contains("a customer has several connections"), "{line}: {why}");
        }
        let both = "--profile bmw --connections-per-client 1 --second-connection refuse";
        let why = connections(both).unwrap_err();
        assert!(why.contains("cannot be used with"), "{why}");
        assert!(connections("--profile bmw --second-connection both").is_err());
    }
}
