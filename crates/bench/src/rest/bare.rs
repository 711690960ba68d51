//! The measure: a handler that does nothing but return bytes that it has, on threads of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::runtime::{Builder, Runtime};

use super::RestBenchError;
use super::door::Door;

/// A server that runs until this is dropped.
pub(super) struct Bare {
    pub(super) door: Door,
    handle: Handle<SocketAddr>,
    runtime: Option<Runtime>,
}

impl Bare {
    /// Serves `bodies` by their paths, each with its content type, over the TLS that the real server has.
    pub(super) fn start(
        bodies: Vec<(&'static str, &'static str, Bytes)>,
    ) -> Result<Self, RestBenchError> {
        let own = |source| RestBenchError::Bare { source };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())?;

        let mut routes = Router::new();
        for (path, content_type, body) in bodies {
            let handler = move || {
                let answer = ([(CONTENT_TYPE, content_type)], body.clone());
                async move { answer }
            };
            routes = routes.route(path, get(handler));
        }
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(own)?;
        socket.set_nonblocking(true).map_err(own)?;
        let port = socket.local_addr().map_err(own)?.port();
        let door = Door::new(&format!("https://localhost:{port}"), roots, "none")?;
        let runtime = Builder::new_multi_thread().thread_name("bare").enable_all().build();
        let runtime = runtime.map_err(own)?;
        let handle = Handle::new();
        let serving = {
            let _within = runtime.enter();
            axum_server::from_tcp_rustls(socket, RustlsConfig::from_config(Arc::new(tls)))
                .map_err(own)?
                .handle(handle.clone())
                .serve(routes.into_make_service())
        };
        runtime.spawn(serving);
        Ok(Self { door, handle, runtime: Some(runtime) })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.handle.shutdown();
        // Waiting for its end is not allowed where others run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
