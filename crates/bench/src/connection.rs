//! One client: a TCP connection, TLS, and MQTT 3.1.1.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::packet::{self, Connect, Packet, Strange};
use crate::remedy::Remedy;
use crate::target::Target;

/// How long each step of connecting may take.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

/// Why a client is not connected and subscribed.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("no TCP connection")]
    Tcp(#[source] io::Error),
    /// No local port is left for another connection.
    #[error("no local port is left for another connection")]
    Ports(#[source] io::Error),
    /// No file descriptor is left.
    #[error("no file descriptor is left for another connection")]
    Descriptors(#[source] io::Error),
    /// No TLS on it.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The CONNACK says no.
    #[error("the server refused the CONNECT (return code {0})")]
    Refused(u8),
    /// The SUBACK says no.
    #[error("the server refused the SUBSCRIBE (return code {0:#04x})")]
    NotSubscribed(u8),
    /// The server ended the connection, or it was lost.
    #[error("the connection ended")]
    Ended(#[source] io::Error),
    /// No answer.
    #[error("no answer came in {} s", STEP_PATIENCE.as_secs())]
    Late,
    /// The server said something else than it was asked.
    #[error(transparent)]
    Strange(#[from] Strange),
    /// A packet came at the wrong time.
    #[error("the server answered with another packet than was due")]
    OutOfTurn,
}

impl Remedy for ConnectError {
    fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Refused(_) | Self::Ended(_) => {
                "see the server's log for the reason; `cardata dev` limits connections, with --connections-per-client, \
                 --connections-per-address and --connects-per-minute"
            }
            Self::Descriptors(_) => "a higher `ulimit -n`, or fewer connections",
            Self::Ports(_) => {
                "wait a minute, until the ports of earlier connections are free again"
            }
            _ => return None,
        };
        Some(remedy.to_owned())
    }
}

/// How a client's socket is set up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Socket {
    /// Which of many clients this is; those that don't fit the ports of one address get another one of the loopback
    /// network.
    pub(crate) number: u64,
    /// Whether little fits between the server's write and the client's read, as for a client that is to be slow.
    pub(crate) narrow: bool,
}

/// Clients that fit one local address, well below the number of ports that Linux hands out.
pub(crate) const CLIENTS_PER_ADDRESS: u64 = 20_000;
/// A receive buffer and a segment size with which the kernel of the server's side buffers some tens of KiB, as between
/// two machines; over loopback it takes megabytes.
const NARROW_BUFFER: u32 = 4096;
const NARROW_SEGMENT: u32 = 536;
const INPUT_CHUNK: usize = 512;

/// A client that is connected.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
    /// Whether the server went on with a session that it had.
    pub(crate) session_present: bool,
}

impl Client {
    /// Connects and waits for the CONNACK.
    pub(crate) async fn connect(
        target: &Target,
        socket: Socket,
        client_id: &str,
        clean: bool,
    ) -> Result<Self, ConnectError> {
        let tcp =
            in_time(tcp(target.address, socket)).await?.map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
                    ConnectError::Ports(error)
                }
                _ if error.raw_os_error() == Some(NO_DESCRIPTOR) => {
                    ConnectError::Descriptors(error)
                }
                _ => ConnectError::Tcp(error),
            })?;
        let connector = TlsConnector::from(target.tls.clone());
        // Boxed, as handshakes are large and rare.
        let handshake = Box::pin(connector.connect(target.name.clone(), tcp));
        let stream = in_time(handshake).await?.map_err(ConnectError::Tls)?;
        let mut client = Self { stream, input: BytesMut::new(), session_present: false };
        let connect = packet::connect(Connect {
            client_id,
            user_name: &target.user_name,
            password: &target.password,
            clean,
        });
        client.send(&connect).await?;
        match in_time(client.next()).await?? {
            Packet::ConnAck { session_present, code: 0 } => {
                client.session_present = session_present;
                Ok(client)
            }
            Packet::ConnAck { code, .. } => Err(ConnectError::Refused(code)),
            _ => Err(ConnectError::OutOfTurn),
        }
    }

    /// Subscribes and waits for the SUBACK.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<(), ConnectError> {
        self.send(&packet::subscribe(filter, qos)).await?;
        match in_time(self.next_but_messages()).await?? {
            Packet::SubAck { codes } => match codes.first() {
                Some(&granted) if granted == qos => Ok(()),
                Some(&refused) => Err(ConnectError::NotSubscribed(refused)),
                None => Err(ConnectError::OutOfTurn),
            },
            _ => Err(ConnectError::OutOfTurn),
        }
    }

    /// Asks whether the server is still there.
    pub(crate) async fn ping(&mut self) -> Result<(), ConnectError> {
        self.send(&packet::PING).await?;
        match in_time(self.next_but_messages()).await?? {
            Packet::PingResp => Ok(()),
            _ => Err(ConnectError::OutOfTurn),
        }
    }

    /// Says good-bye and waits until the server has hung up, so that it is not the client's port that has to rest.
    pub(crate) async fn disconnect(mut self) -> Result<(), ConnectError> {
        self.send(&packet::DISCONNECT).await?;
        let gone = async {
            loop {
                self.input.clear();
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        in_time(gone).await
    }

    /// The next packet that is no message.
    async fn next_but_messages(&mut self) -> Result<Packet, ConnectError> {
        loop {
            match self.next().await? {
                Packet::Publish(_) => {}
                packet => return Ok(packet),
            }
        }
    }

    /// The next packet. Nothing is lost when this is dropped half-way.
    pub(crate) async fn next(&mut self) -> Result<Packet, ConnectError> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            self.input.reserve(INPUT_CHUNK);
            if self.stream.read_buf(&mut self.input).await.map_err(ConnectError::Ended)? == 0 {
                return Err(ConnectError::Ended(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// A packet that is there already.
    pub(crate) fn take(&mut self) -> Result<Option<Packet>, ConnectError> {
        Ok(packet::take(&mut self.input)?)
    }

    /// The connection itself, and what was read of it and not taken.
    pub(crate) fn into_parts(self) -> (TlsStream<TcpStream>, BytesMut) {
        (self.stream, self.input)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        self.stream.write_all(bytes).await.map_err(ConnectError::Ended)?;
        self.stream.flush().await.map_err(ConnectError::Ended)
    }
}

/// `EMFILE`: the process has as many as it may.
const NO_DESCRIPTOR: i32 = 24;

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, ConnectError> {
    timeout(STEP_PATIENCE, step).await.map_err(|_| ConnectError::Late)
}

async fn tcp(to: SocketAddr, setup: Socket) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = source(to.ip(), setup.number) {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    if setup.narrow {
        socket.set_recv_buffer_size(NARROW_BUFFER)?;
        SockRef::from(&socket).set_tcp_mss(NARROW_SEGMENT)?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address that client `number` connects from, where the system should not choose it.
fn source(to: IpAddr, number: u64) -> Option<IpAddr> {
    let (IpAddr::V4(to), block) = (to, number / CLIENTS_PER_ADDRESS) else { return None };
    let last = u8::try_from(block).ok().filter(|block| (1..250).contains(block))?;
    to.is_loopback().then(|| Ipv4Addr::new(127, 0, 1, last).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_do_not_fit_one_address_of_the_loopback_network_get_another() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(source(loopback, 19_999), None);
        assert_eq!(source(loopback, 20_000), Some([127, 0, 1, 1].into()));
        assert_eq!(source(loopback, 45_000), Some([127, 0, 1, 2].into()));
        assert_eq!(source([192, 0, 2, 1].into(), 45_000), None);
        assert_eq!(source(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 45_000), None);
    }
}
