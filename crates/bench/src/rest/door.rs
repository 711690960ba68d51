//! HTTPS as a client that is in no one's way: HTTP/1.1, one connection that is kept, one request at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::RestBenchError;

/// Where a server listens, whom its certificate has to come from, and what opens it.
#[derive(Clone)]
pub(crate) struct Door {
    authority: String,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    token: HeaderValue,
}

/// A connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: HeaderValue,
    token: HeaderValue,
    /// What moves its bytes; ends with this.
    _moving: JoinSet<()>,
}

/// Longest that is waited for a connection or an answer.
const WITHIN: Duration = Duration::from_mins(1);

impl Door {
    /// The server at `url`, such as `https://localhost:8443`.
    pub(crate) fn new(
        url: &str,
        roots: RootCertStore,
        token: &str,
    ) -> Result<Self, RestBenchError> {
        let wrong = || RestBenchError::Address(url.to_owned());
        let authority = url.strip_prefix("https://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, _) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut token = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| wrong())?;
        token.set_sensitive(true);
        Ok(Self {
            authority: authority.to_owned(),
            name: ServerName::try_from(host).map_err(|_| wrong())?,
            tls: Arc::new(tls),
            token,
        })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, RestBenchError> {
        let opening = async {
            let socket = TcpStream::connect(&self.authority).await?;
            socket.set_nodelay(true)?;
            TlsConnector::from(self.tls.clone()).connect(self.name.clone(), socket).await
        };
        let address = || self.authority.clone();
        let stream = timeout(WITHIN, opening)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| RestBenchError::Unreachable { address: address(), source })?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut moving = JoinSet::new();
        moving.spawn(async move {
            // What is wrong with it, the request tells.
            let _ = connection.await;
        });
        let authority = HeaderValue::try_from(&self.authority)
            .map_err(|_| RestBenchError::Address(address()))?;
        Ok(Connection { sender, authority, token: self.token.clone(), _moving: moving })
    }
}

/// The part of a refusal that says which one it is.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "exveErrorId", default)]
    id: String,
}

impl Connection {
    /// Gets `path` and gives the bytes of the answer.
    pub(super) async fn get(&mut self, path: &str) -> Result<Bytes, RestBenchError> {
        let mut answer = Vec::new();
        let headers = [(HeaderName::from_static("x-version"), "v1")];
        let request = self.request("GET", path, headers, Bytes::new())?;
        self.exchange(request, |part| answer.extend_from_slice(&part)).await?;
        Ok(answer.into())
    }

    /// Gets `path` and gives how many bytes the answer has.
    pub(super) async fn drain(&mut self, path: &str) -> Result<u64, RestBenchError> {
        let mut bytes = 0;
        let headers = [(HeaderName::from_static("x-version"), "v1")];
        let request = self.request("GET", path, headers, Bytes::new())?;
        self.exchange(request, |part| bytes += part.len() as u64).await?;
        Ok(bytes)
    }

    /// Posts JSON lines and gives the bytes of the answer.
    pub(crate) async fn post(&mut self, path: &str, lines: Bytes) -> Result<Bytes, RestBenchError> {
        let mut answer = Vec::new();
        let headers = [(CONTENT_TYPE, "application/x-ndjson")];
        let request = self.request("POST", path, headers, lines)?;
        self.exchange(request, |part| answer.extend_from_slice(&part)).await?;
        Ok(answer.into())
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: [(HeaderName, &'static str); 1],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, RestBenchError> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .header(HOST, self.authority.clone())
            .header(AUTHORIZATION, self.token.clone())
            .body(Full::new(body));
        request.map_err(|_| RestBenchError::Address(path.to_owned()))
    }

    /// Sends `request` and hands over the parts of the answer, which has to be a good one.
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        mut take: impl FnMut(Bytes),
    ) -> Result<(), RestBenchError> {
        let exchange = async {
            self.sender.ready().await?;
            let mut answer = self.sender.send_request(request).await?;
            let status = answer.status().as_u16();
            if status != 200 {
                let body = answer.collect().await?.to_bytes();
                let id =
                    serde_json::from_slice(&body).map_or_else(|_| String::new(), |it: Named| it.id);
                return Err(RestBenchError::Refused { status, id });
            }
            while let Some(frame) = answer.frame().await {
                if let Ok(part) = frame?.into_data() {
                    take(part);
                }
            }
            Ok(())
        };
        timeout(WITHIN, exchange).await.map_err(|_| RestBenchError::Late)?
    }
}
