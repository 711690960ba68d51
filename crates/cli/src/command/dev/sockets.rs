//! The sockets of a sandbox, bound before anything else is done, so that a port in use is told at once.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use anyhow::{Context as _, bail};
use cardata_server::serve::Sockets;

use super::Args;

/// Sockets with their ports.
pub(super) struct Bound {
    sockets: Sockets,
    pub(super) http: SocketAddr,
    pub(super) mqtt: SocketAddr,
    pub(super) vehicles_mqtt: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Bound {
    /// Binds what the flags name; with `--intercept` also port 443 beside the HTTPS address.
    pub(super) fn bind(args: &Args) -> anyhow::Result<Self> {
        let (http_socket, http) = bind("--http", &args.http)?;
        let (mqtt_socket, mqtt) = bind("--mqtt", &args.mqtt)?;
        let (vehicles_socket, vehicles_mqtt) = bind("--vehicles-mqtt", &args.vehicles_mqtt)?;
        let (admin_socket, admin) = bind("--admin", &args.admin)?;
        if !admin.ip().is_loopback() {
            bail!(
                "--admin {admin} would let other machines at the operator's door; use an address of this machine"
            );
        }
        let mut https = vec![http_socket];
        if args.intercept && http.port() != 443 {
            let beside = SocketAddr::new(http.ip(), 443);
            https.push(TcpListener::bind(beside).with_context(|| {
                format!("--intercept needs {beside}, which can't be bound; run as root, or allow low ports for this user")
            })?);
        }
        let sockets = Sockets {
            http: https,
            mqtt: mqtt_socket,
            vehicles_mqtt: vehicles_socket,
            admin: admin_socket,
        };
        Ok(Self { sockets, http, mqtt, vehicles_mqtt, admin })
    }

    /// Where HTTPS is reached under the name `host`.
    pub(super) fn http_url(&self, host: &str) -> String {
        match self.http.port() {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        }
    }

    pub(super) fn into_sockets(self) -> Sockets {
        self.sockets
    }
}

fn bind(flag: &str, address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let addresses = address.to_socket_addrs().with_context(|| {
        format!("{flag} {address} is not an address; write it as 127.0.0.1:8443")
    })?;
    let listener = TcpListener::bind(&*addresses.collect::<Vec<_>>()).with_context(|| {
        format!("{flag} {address} can't be bound; choose another one, or port 0 for any free port")
    })?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
