//! The generator against a broker of a few lines, whose faults it has to notice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cardata_bench::idle::{self, IdleError};
use cardata_bench::latency::{self, LatencyError, Others, Source};
use cardata_bench::process::Process;
use cardata_bench::progress::Silent;
use cardata_bench::sessions::{self, SessionsError};
use cardata_bench::target::Handshakes;
use cardata_bench::{ConnectError, Progress, Target};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the broker does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It refuses every CONNECT.
    Refuses,
    /// It closes the third connection when that has subscribed.
    Closes,
    /// It keeps every tenth message from a subscriber.
    Loses,
}

struct Broker {
    address: SocketAddr,
    folder: TempDir,
    /// Ends with this.
    _serving: JoinSet<()>,
}

impl Broker {
    async fn start(fault: Fault) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &ca).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (messages, _) = broadcast::channel(10_000);
            let subscribers = Arc::new(AtomicUsize::new(0));
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, messages) = (acceptor.clone(), messages.clone());
                let subscribers = subscribers.clone();
                clients.spawn(async move {
                    let served = serve(acceptor, stream, fault, messages, &subscribers).await;
                    // Whatever ended it, the client sees that.
                    drop(served);
                });
            }
        });
        Self { address, folder, _serving: serving }
    }

    async fn target(&self) -> Target {
        let url = format!("mqtts://localhost:{}", self.address.port());
        let ca_file = self.folder.path().join("ca.pem");
        Target::plain(&url, &ca_file, Handshakes::Resumed).await.unwrap()
    }

    fn process(&self) -> Process {
        Process::listening(self.address.port(), None).unwrap()
    }
}

/// As much of a broker as the generator needs: all subscribers get all messages with QoS 1, and no session is kept.
async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    fault: Fault,
    messages: broadcast::Sender<Vec<u8>>,
    subscribers: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut arriving: Option<broadcast::Receiver<Vec<u8>>> = None;
    let mut count: u16 = 0;
    loop {
        let next = async {
            match &mut arriving {
                Some(arriving) => arriving.recv().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = next => {
                count += 1;
                if fault == Fault::Loses && count % 10 == 3 {
                    continue;
                }
                let mut message = message.expect("the channel has room for all");
                let topic_end = usize::from(u16::from_be_bytes([message[0], message[1]])) + 2;
                message[topic_end..topic_end + 2].copy_from_slice(&count.to_be_bytes());
                let length = u16::try_from(message.len()).unwrap();
                let digits = [u8::try_from(length % 128).unwrap() | 0x80, u8::try_from(length / 128).unwrap()];
                stream.write_all(&[&[0x32][..], &digits, &message].concat()).await?;
            }
            // Whole packets come in one record each.
            first = stream.read_u8() => {
                let body = body(&mut stream).await?;
                match first? {
                    0x10 if fault == Fault::Refuses => stream.write_all(&[0x20, 2, 0, 5]).await?,
                    0x10 => stream.write_all(&[0x20, 2, 0, 0]).await?,
                    0x82 => {
                        arriving = Some(messages.subscribe());
                        stream.write_all(&[0x90, 3, body[0], body[1], 1]).await?;
                        let number = subscribers.fetch_add(1, Ordering::Relaxed) + 1;
                        if fault == Fault::Closes && number == 3 {
                            return Ok(());
                        }
                    }
                    0x32 => {
                        let topic_end = usize::from(u16::from_be_bytes([body[0], body[1]])) + 2;
                        stream.write_all(&[0x40, 2, body[topic_end], body[topic_end + 1]]).await?;
                        // Nobody may have subscribed.
                        let _ = messages.send(body);
                    }
                    0x40 => {}
                    0xC0 => stream.write_all(&[0xD0, 0]).await?,
                    0xE0 => return stream.shutdown().await,
                    unexpected => panic!("a packet that begins with {unexpected:#x}"),
                }
                stream.flush().await?;
            }
        }
    }
}

async fn body(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let digit = stream.read_u8().await?;
        length |= usize::from(digit & 0x7F) << shift;
        shift += 7;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}

const IDLE: idle::Plan = idle::Plan { connections: 10, at_once: 3, qos: 1 };

fn latency_plan() -> latency::Plan {
    latency::Plan {
        clients: 3,
        others: Others::Nobody,
        rate: 100,
        duration: Duration::from_secs(1),
        rounds: 1,
        qos: 1,
        now: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn idle_connections_of_any_broker_are_measured() {
    let broker = Broker::start(Fault::None).await;
    let target = broker.target().await;
    let report = idle::run(&target, broker.process(), IDLE, &silent()).await.unwrap();
    assert_eq!((report.connections, report.warm_up), (10, 1));
    assert_eq!(report.process.pid, std::process::id());
    assert!(report.before.rss_kib > 0 && report.connects_per_second > 0.0);
}

#[tokio::test]
async fn a_refusal_ends_the_measurement_with_its_code() {
    let broker = Broker::start(Fault::Refuses).await;
    let target = broker.target().await;
    let error = idle::run(&target, broker.process(), IDLE, &silent()).await.unwrap_err();
    let refused = IdleError::Connect { number: 1, source: ConnectError::Refused(5) };
    assert_eq!(format!("{error:?}"), format!("{refused:?}"));
}

#[tokio::test]
async fn connections_that_do_not_stay_are_no_idle_connections() {
    let broker = Broker::start(Fault::Closes).await;
    let target = broker.target().await;
    let error = idle::run(&target, broker.process(), IDLE, &silent()).await.unwrap_err();
    assert!(matches!(error, IdleError::NotIdle { lost: 1, connections: 11, .. }), "{error:?}");
}

#[tokio::test]
async fn sessions_that_are_not_kept_are_no_sessions() {
    let broker = Broker::start(Fault::None).await;
    let target = broker.target().await;
    let plan = sessions::Plan { sessions: 10, at_once: 3, name: "test", restart: None };
    let error = sessions::run(&target, broker.process(), plan, &silent()).await.unwrap_err();
    assert!(matches!(error, SessionsError::Forgotten { .. }), "{error:?}");
}

#[tokio::test]
async fn sessions_that_do_not_come_back_have_no_replay() {
    let broker = Broker::start(Fault::None).await;
    let target = broker.target().await;
    let others = Others::Resuming { sessions: 2, backlog: 10 };
    let plan = latency::Plan { others, ..latency_plan() };
    let error = latency::run(&target, None, &Source::Publishers(2), plan, &silent()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LatencyError::Forgotten { .. }), "{error:?}");
}

#[tokio::test]
async fn each_reader_gets_each_event_and_its_latency_counts() {
    let broker = Broker::start(Fault::None).await;
    let target = broker.target().await;
    let source = Source::Publishers(2);
    let report = latency::run(&target, None, &source, latency_plan(), &silent()).await.unwrap();
    let [round] = &report.rounds[..] else { panic!("{report:?}") };
    assert_eq!((round.events, round.latency.messages, round.lost), (100, 300, 0));
    assert!(round.latency.p50_us > 0 && round.latency.max_us < 10_000_000);
    assert_eq!((report.lost, report.verdict), (0, None));
}

#[tokio::test]
async fn a_lost_message_is_noticed() {
    let broker = Broker::start(Fault::Loses).await;
    let target = broker.target().await;
    // One vehicle, so that an event follows each that is lost, and tells of it.
    let source = Source::Publishers(1);
    let report = latency::run(&target, None, &source, latency_plan(), &silent()).await.unwrap();
    // A tenth of what was sent before the measurement and in it.
    let sent = (report.rounds[0].flood + report.rounds[0].events) * 3;
    assert_eq!(report.lost, report.rounds[0].lost);
    assert!(report.lost.abs_diff(sent / 10) <= 3, "{} of {sent}", report.lost);
}

#[tokio::test]
async fn without_senders_there_is_no_latency() {
    let broker = Broker::start(Fault::None).await;
    let target = broker.target().await;
    let none = Source::Publishers(0);
    let outcome = latency::run(&target, None, &none, latency_plan(), &silent()).await;
    assert!(matches!(outcome, Err(LatencyError::NoVehicle)));
}
