//! How many connections a listener has at a time, in all and from one address, so that nobody can take every file
//! descriptor and all memory.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tower::Layer as _;

use crate::attempts::Peer;
use crate::socket;

/// Counts the connections of a listener, and has a place for so many.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Counted>);

struct Counted {
    listener: &'static str,
    in_all_max: usize,
    each_max: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    in_all: usize,
    by_peer: HashMap<Peer, usize>,
}

/// A connection's place, free again when this is dropped.
pub(crate) struct Place {
    crowd: Arc<Counted>,
    peer: Peer,
}

impl Crowd {
    /// Has places for `in_all_max` connections, and `each_max` of one address; `listener` labels the metric of those for
    /// whom there is none.
    pub(crate) fn new(listener: &'static str, in_all_max: usize, each_max: usize) -> Self {
        Self(Arc::new(Counted { listener, in_all_max, each_max, inside: Mutex::default() }))
    }

    /// A place for a connection of `peer`, if there is one.
    pub(crate) fn enter(&self, peer: Peer) -> Option<Place> {
        let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let here = inside.by_peer.get(&peer).copied().unwrap_or_default();
        if inside.in_all >= self.0.in_all_max || here >= self.0.each_max {
            metrics::counter!("cardata_connections_refused_total", "listener" => self.0.listener)
                .increment(1);
            return None;
        }
        inside.in_all += 1;
        inside.by_peer.insert(peer, here + 1);
        Some(Place { crowd: self.0.clone(), peer })
    }

    /// How many connections have a place.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner).in_all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.in_all -= 1;
        match inside.by_peer.get_mut(&self.peer) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(inside.by_peer.remove(&self.peer)),
        }
    }
}

/// Lets HTTPS connections in while there is room, before anything is spent on them.
#[derive(Clone)]
pub(crate) struct Doorkeeper(pub(crate) Crowd);

impl<S> Accept<TcpStream, S> for Doorkeeper {
    type Stream = TcpStream;
    type Service = AddExtension<S, Arc<Place>>;
    type Future = Ready<io::Result<(TcpStream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|address| {
            let place = self.0.enter(Peer::new(address.ip()));
            let place = place.ok_or_else(|| io::Error::other("too many connections"))?;
            socket::prepare(&stream);
            // The connection drops its service when it ends, and with it the place.
            Ok((stream, Extension(Arc::new(place)).layer(service)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::task::JoinSet;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let crowd = Crowd::new("test", 3, 2);
        let peer = |last| Peer::new([192, 0, 2, last].into());
        let first = crowd.enter(peer(1)).unwrap();
        let _second = crowd.enter(peer(1)).unwrap();
        assert!(crowd.enter(peer(1)).is_none());
        let third = crowd.enter(peer(2)).unwrap();
        assert!(crowd.enter(peer(3)).is_none());
        drop(third);
        assert!(crowd.enter(peer(1)).is_none());
        drop(first);
        assert!(crowd.enter(peer(1)).is_some());
        assert_eq!((crowd.size(), crowd.0.inside.lock().unwrap().by_peer.len()), (1, 1));
    }

    /// A connection from `from` that was answered, or nothing when it was let go.
    async fn visit(from: [u8; 4], to: std::net::SocketAddr) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.ok()?;
        assert_eq!(&status, b"HTTP/1.1 200");
        Some(stream)
    }

    #[tokio::test]
    async fn one_address_takes_no_more_than_its_share_of_the_connections() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let to = socket.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "here"));
        let door = Doorkeeper(Crowd::new("test", 10, 2));
        let server = axum_server::from_tcp(socket).unwrap().acceptor(door);
        let mut serving = JoinSet::new();
        serving.spawn(server.serve(routes.into_make_service()));

        let one = visit([127, 0, 0, 1], to).await.unwrap();
        let _other = visit([127, 0, 0, 1], to).await.unwrap();
        assert!(visit([127, 0, 0, 1], to).await.is_none());
        assert!(visit([127, 0, 0, 2], to).await.is_some());
        drop(one);
        let again = async { while visit([127, 0, 0, 1], to).await.is_none() {} };
        tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    }
}
