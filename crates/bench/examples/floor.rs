//! The least that a broker can do: a yardstick for what the machine, the runtime and TLS cost by themselves.
//!
//! It is no broker. Whoever connects is let in, packets are forwarded and forgotten, queues have no bounds, and whoever
//! sends nonsense is cut off. `scripts/bench-compare` measures it beside real ones.
//!
//! ```console
//! $ cargo run --release -p cardata-bench --example floor -- --port 8884 --cert server.pem --key server.key
//! ```

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// As much as a TLS record holds.
const INPUT: usize = 16 * 1024;

#[tokio::main(flavor = "local")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (port, cert, key) = arguments().ok_or("usage: floor --port PORT --cert FILE --key FILE")?;
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let tls = TlsAcceptor::from(Arc::new(tls));
    let hub = Rc::new(Hub::default());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let (tls, hub) = (tls.clone(), hub.clone());
        spawn_local(async move {
            let reader = Rc::new(Reader::default());
            let mut keys = Vec::new();
            // However a connection ends, nobody asks.
            let _ = serve(tcp, &tls, &hub, &reader, &mut keys).await;
            hub.forget(&reader, &keys);
        });
    }
}

/// The port, and the files of the certificate and of its key.
fn arguments() -> Option<(u16, PathBuf, PathBuf)> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.get(words.iter().position(|word| word == name)? + 1);
    Some((value("--port")?.parse().ok()?, value("--cert")?.into(), value("--key")?.into()))
}

async fn serve(
    tcp: TcpStream,
    tls: &TlsAcceptor,
    hub: &Hub,
    reader: &Rc<Reader>,
    keys: &mut Vec<Box<[u8]>>,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    // Boxed, as handshakes are large and rare.
    let mut stream = Box::pin(tls.accept(tcp)).await?;
    let mut input = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = reader.filled.notified() => {
                // All that has come together since the last time, in one write.
                let output = reader.output.take();
                stream.write_all(&output).await?;
                stream.flush().await?;
            }
            read = std::future::poll_fn(|cx| hub.poll_read(cx, &mut stream, &mut input)) => {
                if read? == 0 {
                    return Ok(());
                }
                let mut rest = &input[..];
                while let Some((first, body)) = packet(&mut rest) {
                    hub.handle(first, body, reader, keys).ok_or(io::ErrorKind::InvalidData)?;
                }
                let taken = input.len() - rest.len();
                input.drain(..taken);
                if input.is_empty() {
                    // Who is idle keeps no buffer.
                    input = Vec::new();
                }
            }
        }
    }
}

/// What waits to be written to a connection.
#[derive(Default)]
struct Reader {
    output: RefCell<Vec<u8>>,
    filled: Notify,
    packet_id: Cell<u16>,
}

impl Reader {
    fn send(&self, parts: &[&[u8]]) {
        let mut output = self.output.borrow_mut();
        output.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            output.extend_from_slice(part);
        }
        self.filled.notify_one();
    }

    fn next_packet_id(&self) -> [u8; 2] {
        self.packet_id.set(self.packet_id.get().checked_add(1).unwrap_or(1));
        self.packet_id.get().to_be_bytes()
    }
}

struct Subscription {
    reader: Rc<Reader>,
    qos: u8,
}

/// Who wants what, by a topic or by all of it up to a closing `+`.
struct Hub {
    subscriptions: RefCell<HashMap<Box<[u8]>, Vec<Subscription>>>,
    /// All connections read into it, so that none needs one of its own.
    input: RefCell<Box<[u8]>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { subscriptions: RefCell::default(), input: RefCell::new(vec![0; INPUT].into()) }
    }
}

impl Hub {
    /// Appends what has come to `input`; how much, and zero at the end.
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        stream: &mut TlsStream<TcpStream>,
        input: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.input.borrow_mut();
        let mut buffer = ReadBuf::new(&mut shared);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// `None` at the end: the client says good-bye, or nothing that is understood.
    fn handle(
        &self,
        first: u8,
        mut body: &[u8],
        reader: &Rc<Reader>,
        keys: &mut Vec<Box<[u8]>>,
    ) -> Option<()> {
        match first >> 4 {
            // CONNECT
            1 => reader.send(&[&[0x20, 2, 0, 0]]),
            // PUBLISH
            3 => self.publish((first >> 1) & 1, body, reader)?,
            // PUBACK
            4 => {}
            // SUBSCRIBE
            8 => {
                let packet_id = body.split_off(..2)?;
                let filter = text(&mut body)?;
                let qos = (*body.split_off_first()?).min(1);
                let subscription = Subscription { reader: reader.clone(), qos };
                let key: Box<[u8]> = filter.strip_suffix(b"+").unwrap_or(filter).into();
                self.subscriptions.borrow_mut().entry(key.clone()).or_default().push(subscription);
                keys.push(key);
                reader.send(&[&[0x90, 3], packet_id, &[qos]]);
            }
            // PINGREQ
            12 => reader.send(&[&[0xD0, 0]]),
            _ => return None,
        }
        Some(())
    }

    fn publish(&self, qos: u8, mut body: &[u8], sender: &Reader) -> Option<()> {
        let topic = text(&mut body)?;
        if qos == 1 {
            sender.send(&[&[0x40, 2], body.split_off(..2)?]);
        }
        let payload = body;
        let starts = [start(0, topic, payload), start(1, topic, payload)];
        let above = &topic[..topic.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1)];
        let subscriptions = self.subscriptions.borrow();
        for wanted in [topic, above] {
            for Subscription { reader, qos: granted } in
                subscriptions.get(wanted).into_iter().flatten()
            {
                let qos = qos.min(*granted);
                match qos {
                    0 => reader.send(&[&starts[0], payload]),
                    _ => reader.send(&[&starts[1], &reader.next_packet_id(), payload]),
                }
            }
        }
        Some(())
    }

    fn forget(&self, reader: &Rc<Reader>, keys: &[Box<[u8]>]) {
        for key in keys {
            let mut subscriptions = self.subscriptions.borrow_mut();
            if let Some(readers) = subscriptions.get_mut(key) {
                readers.retain(|subscription| !Rc::ptr_eq(&subscription.reader, reader));
                if readers.is_empty() {
                    subscriptions.remove(key);
                }
            }
        }
    }
}

/// A PUBLISH as far as its topic, which is the same for all readers.
#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits at a time; a topic came with two bytes of length"
)]
fn start(qos: u8, topic: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut start = vec![0x30 | (qos << 1)];
    let mut length = 2 + topic.len() + 2 * usize::from(qos) + payload.len();
    while length >= 0x80 {
        start.push(0x80 | (length & 0x7F) as u8);
        length >>= 7;
    }
    start.push(length as u8);
    start.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    start.extend_from_slice(topic);
    start
}

/// The first packet's first byte and body; `None` until it is there whole.
fn packet<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let mut rest = *input;
    let first = *rest.split_off_first()?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let digit = *rest.split_off_first()?;
        length |= usize::from(digit & 0x7F) << shift;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let body = rest.split_off(..length)?;
    *input = rest;
    Some((first, body))
}

/// A string or name: two bytes with its length, and its bytes.
fn text<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(body.split_off(..2)?.try_into().ok()?);
    body.split_off(..usize::from(length))
}
