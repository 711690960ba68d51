//! How fast the REST API answers: the latest values of a vehicle, and a page of its history.
//!
//! A few clients ask as fast as they are answered (a closed loop), each over a connection that it keeps. The server and a
//! bare handler take turns, which returns the same bytes from memory over the same kind of TLS and HTTP; so the ratio
//! between them says what the service itself costs, whatever else the machine does.

mod bare;
pub(crate) mod door;
mod fill;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cardata_client::http::{TrustError, trusted_roots};
use cardata_client::ready_file::ReadyFile;
use cardata_client::rest::{Rest, RestError};
use hdrhistogram::Histogram;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::bare::Bare;
use self::door::Door;
use crate::progress::Progress;
use crate::remedy::Remedy;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Clients, each with a connection.
    pub clients: u64,
    /// Rounds of each endpoint at the server, and as many at the bare handler.
    pub rounds: u32,
    /// How long each round is.
    pub duration: Duration,
    /// Values on the page of history.
    pub values: u64,
    /// Events that are sent before anything is measured.
    pub fill: u64,
    /// The time of day at the start.
    pub now: Timestamp,
}

/// Whose data is asked for.
pub struct Source {
    /// Where the service is.
    pub ready: ReadyFile,
    /// The customer's vehicles; the first is asked for.
    pub vins: Vec<String>,
    /// The customer's REST API, for a container.
    pub rest: Rest,
    /// What opens it.
    pub access_token: String,
    /// What the vehicles report and the container names.
    pub descriptors: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub target: String,
    /// Clients.
    pub clients: u64,
    /// Seconds of each round.
    pub seconds: f64,
    /// Events that were sent before.
    pub filled: u64,
    /// Each of what was asked for.
    pub endpoints: Vec<Endpoint>,
}

/// What came of one endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// `telematicData` or `history`.
    pub name: &'static str,
    /// Values of an answer.
    pub values: u64,
    /// Bytes of an answer.
    pub body_bytes: usize,
    /// The rounds in their order.
    pub rounds: Vec<Round>,
    /// Requests a second as a share of the bare handler's: the median of the rounds.
    pub ratio: f64,
}

/// A round at the server, and the one at the bare handler that follows it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    /// The server.
    pub server: Speed,
    /// The bare handler.
    pub bare: Speed,
}

/// How fast answers came.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Speed {
    /// Answers.
    pub requests: u64,
    /// Answers a second.
    pub requests_per_second: f64,
    /// Millions of bytes of bodies a second.
    pub megabytes_per_second: f64,
    /// Half of the answers took so many microseconds or fewer, to their last byte.
    pub p50_us: u64,
    /// 99 % did.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum RestBenchError {
    /// No address of an HTTPS server.
    #[error("`{0}` is not an address such as https://localhost:8443")]
    Address(String),
    /// Nobody listens there, or who does is not trusted.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The CA file gives no CA.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// TLS can't be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The bare handler has no certificate.
    #[error("cannot make a certificate for the bare handler")]
    Certificate(#[from] rcgen::Error),
    /// The bare handler can't listen.
    #[error("the bare handler cannot be started")]
    Bare {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A connection ended.
    #[error("a request was not answered")]
    Http(#[from] hyper::Error),
    /// No answer came.
    #[error("a request was not answered within a minute")]
    Late,
    /// The service refused.
    #[error("a request was refused: HTTP {status} {id}")]
    Refused {
        /// The status.
        status: u16,
        /// Such as `CU-429`, where there is one.
        id: String,
    },
    /// The container can't be made or removed.
    #[error("the container for the measurement can't be made or removed")]
    Container(#[from] RestError),
    /// The customer has nothing to ask for.
    #[error("the customer has no vehicle")]
    NoVehicle,
    /// The history is too short.
    #[error("the vehicle's history has {found} values of the {wanted} that are to be read")]
    TooFew {
        /// That there are.
        found: u64,
        /// That are asked for.
        wanted: u64,
    },
}

impl Remedy for RestBenchError {
    fn remedy(&self) -> Option<String> {
        let quota = "start `cardata dev` with --requests-per-day 0";
        match self {
            Self::Refused { id, .. } if id == "CU-429" => Some(quota.to_owned()),
            Self::Container(RestError::Refused(refusal)) => match &*refusal.id {
                "CU-429" => Some(quota.to_owned()),
                "CU-124" => Some("cardata container list, then delete one of them".to_owned()),
                _ => None,
            },
            Self::Refused { status: 401, .. } => {
                Some("the same again: the token's hour was over, or make --fill smaller".to_owned())
            }
            Self::TooFew { wanted, .. } => {
                Some(format!("the same with --fill {} or more", wanted.saturating_mul(10)))
            }
            _ => None,
        }
    }
}

/// Sends `plan.fill` events of the customer's vehicles.
///
/// # Errors
/// [`RestBenchError`].
pub async fn fill(
    source: &Source,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<(), RestBenchError> {
    let vin = source.vins.first().ok_or(RestBenchError::NoVehicle)?;
    let ready = &source.ready;
    let roots = trusted_roots(&ready.ca_file)?;
    let ingest = Door::new(&ready.http_url, roots, ready.admin_token.expose())?;
    if plan.fill > 0 {
        fill::fill(&ingest, &source.vins, &source.descriptors, plan.fill, plan.now, progress)
            .await?;
    }
    // Whether or not it was filled: all that the container names was reported.
    fill::report(&ingest, vin, &source.descriptors, plan.now).await
}

/// Measures.
///
/// # Errors
/// [`RestBenchError`].
pub async fn run(
    source: &Source,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, RestBenchError> {
    let purpose = "measures how fast the API answers; can be deleted";
    let container =
        source.rest.create_container("cardata bench", purpose, &source.descriptors).await?;
    let id = container.summary.container_id;
    let measured = measure(source, &id, plan, progress).await;
    // Whether or not that went well; the container is of no use to anybody else.
    let removed = source.rest.delete_container(&id).await;
    let report = measured?;
    removed?;
    Ok(report)
}

const BARE: [(&str, &str); 2] =
    [("/telematicData", "application/json"), ("/history", "application/x-ndjson")];
/// How far back history is read.
const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn measure(
    source: &Source,
    container: &str,
    plan: Plan,
    progress: &Arc<dyn Progress>,
) -> Result<Report, RestBenchError> {
    let vin = source.vins.first().ok_or(RestBenchError::NoVehicle)?;
    let ready = &source.ready;
    let server = Door::new(&ready.http_url, trusted_roots(&ready.ca_file)?, &source.access_token)?;
    let from = plan.now.checked_sub(DAY).unwrap_or(plan.now);
    let to = plan.now.checked_add(DAY).unwrap_or(plan.now);
    let paths = [
        format!("/customers/vehicles/{vin}/telematicData?containerId={container}"),
        format!("/v2/vehicles/{vin}/history?from={from}&to={to}&limit={}", plan.values),
    ];
    progress.begin("asking for what is measured", 0);
    let mut connection = server.connect().await?;
    let latest = connection.get(&paths[0]).await?;
    let history = connection.get(&paths[1]).await?;
    let found = lines(&history);
    // The next event may have been too large for the page.
    if found + source.descriptors.len() as u64 <= plan.values {
        return Err(RestBenchError::TooFew { found, wanted: plan.values });
    }
    let values = [source.descriptors.len() as u64, found];
    let bodies = [latest, history];
    let kept = BARE.iter().zip(&bodies).map(|((path, media), body)| (*path, *media, body.clone()));
    let bare = Bare::start(kept.collect())?;

    let mut rounds = [Vec::new(), Vec::new()];
    progress.begin("measuring", u64::from(plan.rounds) * 4);
    for _ in 0..plan.rounds {
        for ((path, (bare_path, _)), rounds) in paths.iter().zip(BARE).zip(&mut rounds) {
            let server = ask(&server, path, plan).await?;
            progress.advance(1);
            let bare = ask(&bare.door, bare_path, plan).await?;
            progress.advance(1);
            rounds.push(Round { server, bare });
        }
    }
    let names = ["telematicData", "history"];
    let endpoints = names.into_iter().zip(values).zip(bodies).zip(rounds);
    let endpoints = endpoints.map(|(((name, values), body), rounds)| Endpoint {
        name,
        values,
        body_bytes: body.len(),
        ratio: ratio(&rounds),
        rounds,
    });
    Ok(Report {
        target: ready.http_url.clone(),
        clients: plan.clients,
        seconds: plan.duration.as_secs_f64(),
        filled: plan.fill,
        endpoints: endpoints.collect(),
    })
}

/// Asks `door` for `path` until the round is over, with all clients.
async fn ask(door: &Door, path: &str, plan: Plan) -> Result<Speed, RestBenchError> {
    let mut connections = Vec::new();
    for _ in 0..plan.clients {
        connections.push(door.connect().await?);
    }
    let began = Instant::now();
    let over = began + plan.duration;
    let mut clients = JoinSet::new();
    for mut connection in connections {
        let path = path.to_owned();
        clients.spawn(async move {
            let (mut took, mut bytes) = (latencies(), 0);
            let mut asked = Instant::now();
            // A last answer may come after the end; what counts is the time until then.
            while asked < over {
                bytes += connection.drain(&path).await?;
                let answered = Instant::now();
                took.saturating_record(micros(answered - asked));
                asked = answered;
            }
            Ok::<_, RestBenchError>((took, bytes))
        });
    }
    let (mut took, mut bytes) = (latencies(), 0);
    while let Some(done) = clients.join_next().await {
        match done {
            Ok(done) => {
                let (own, own_bytes) = done?;
                bytes += own_bytes;
                // Both have the same bounds.
                let _ = took.add(own);
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    Ok(speed(&took, bytes, began.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn speed(took: &Histogram<u64>, bytes: u64, elapsed: Duration) -> Speed {
    let seconds = elapsed.as_secs_f64();
    Speed {
        requests: took.len(),
        requests_per_second: took.len() as f64 / seconds,
        megabytes_per_second: bytes as f64 / 1e6 / seconds,
        p50_us: took.value_at_quantile(0.5),
        p99_us: took.value_at_quantile(0.99),
        max_us: took.max(),
    }
}

fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("constant bounds that are in order")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The median of the rounds' ratios; the upper one of two.
fn ratio(rounds: &[Round]) -> f64 {
    let ratio = |round: &Round| round.server.requests_per_second / round.bare.requests_per_second;
    let mut ratios: Vec<_> = rounds.iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or_default()
}

fn lines(body: &Bytes) -> u64 {
    body.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            clients: 2,
            rounds: 1,
            duration: Duration::from_millis(50),
            values: 1,
            fill: 0,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn the_bare_handler_returns_the_bytes_that_it_was_given() {
        let body = Bytes::from_static(b"{}\n{}\n");
        let bare = Bare::start(vec![("/x", "application/x-ndjson", body.clone())]).unwrap();
        let mut connection = bare.door.connect().await.unwrap();
        assert_eq!(connection.get("/x").await.unwrap(), body);
        assert_eq!(connection.drain("/x").await.unwrap(), 6);
        assert_eq!(lines(&body), 2);
        let speed = ask(&bare.door, "/x", plan()).await.unwrap();
        // Each client asks at least once.
        assert!(speed.requests >= 2, "{speed:?}");
        assert!(speed.p50_us <= speed.p99_us && speed.p99_us <= speed.max_us, "{speed:?}");
    }

    #[tokio::test]
    async fn what_is_not_answered_well_ends_the_measurement() {
        let bare = Bare::start(Vec::new()).unwrap();
        let refused = ask(&bare.door, "/x", plan()).await;
        assert!(matches!(refused, Err(RestBenchError::Refused { status: 404, .. })), "{refused:?}");
    }

    #[test]
    fn the_quota_and_a_short_history_have_remedies() {
        let quota = RestBenchError::Refused { status: 403, id: "CU-429".to_owned() };
        assert!(quota.remedy().unwrap().contains("--requests-per-day 0"));
        let short = RestBenchError::TooFew { found: 3, wanted: 100_000 };
        assert!(short.remedy().unwrap().contains("--fill 1000000"));
        assert!(RestBenchError::Late.remedy().is_none());
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        let speed = |requests_per_second| Speed {
            requests: 1,
            requests_per_second,
            megabytes_per_second: 0.0,
            p50_us: 1,
            p99_us: 1,
            max_us: 1,
        };
        let round = |server, bare| Round { server: speed(server), bare: speed(bare) };
        let rounds = [round(1.0, 2.0), round(9.0, 10.0), round(1.0, 10.0)];
        assert!((ratio(&rounds) - 0.5).abs() < 1e-9);
        assert!(ratio(&[]).abs() < 1e-9);
    }
}
