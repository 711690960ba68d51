//! On which threads a connection is served.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use cardata_mqtt::Version;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::report_many;
use crate::profile::Profile;
use crate::stream::catch_up::CatchUp;
use crate::stream::test_peer::{
    ANNAS, Connect, Peer, SOC, add_container, id_token, report, soc, with_vehicles,
};
use crate::test_platform::{Person, World};

/// A stream that notes on which thread each byte is written.
struct Watched {
    stream: DuplexStream,
    writers: Arc<Mutex<Vec<String>>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.writers.lock().unwrap().push(name);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn world_with_threads() -> World {
    let adjusted = World::adjusted(Profile::open(), |platform| {
        platform.catch_up = CatchUp::start().unwrap();
    });
    with_vehicles(adjusted.await).await
}

#[tokio::test]
async fn a_session_catches_up_on_threads_of_their_own_and_comes_back_to_live_events() {
    let world = world_with_threads().await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let connect = Connect::new(Version::V311, Person::Anna, &token).client_id("a").clean(false);
    let (mut peer, _) = Peer::connect_with(&world, &connect).await;
    peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    peer.leave().await;
    report_many(&world, ANNAS, 1000).await;

    let writers = Arc::new(Mutex::new(Vec::new()));
    let here = std::thread::current().name().unwrap().to_owned();
    let written_on = |name: &str| writers.lock().unwrap().iter().filter(|on| *on == name).count();
    let (client, stream) = tokio::io::duplex(1 << 12);
    let watched = Watched { stream, writers: writers.clone() };
    let mut peer = Peer::over(&world, client, watched, [192, 0, 2, 1]);
    assert_eq!(peer.introduce(&connect).await.unwrap().flags, 1);
    for number in 1..=1000 {
        let delivery = peer.delivery().await;
        assert_eq!(delivery.values, soc(number));
        peer.ack(&delivery).await;
    }
    assert!(written_on("catch-up") > 0);
    // It comes back once all is sent, also the answer to this.
    assert!(peer.is_quiet().await);
    writers.lock().unwrap().clear();
    report(&world, ANNAS, 1001).await;
    assert_eq!(peer.values().await, soc(1001));
    assert_eq!((written_on("catch-up"), written_on(&here) > 0), (0, true));
}

#[tokio::test]
async fn a_server_that_stops_also_closes_those_who_catch_up() {
    let world = world_with_threads().await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let connect = Connect::new(Version::V5, Person::Anna, &token).client_id("a").clean(false);
    let connect = connect.property(0x11, &100_u32.to_be_bytes());
    let (mut peer, _) = Peer::connect_with(&world, &connect).await;
    peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    peer.send(0xE0, &[]).await;
    assert_eq!(peer.receive().await, None);
    report_many(&world, ANNAS, 1000).await;

    let (mut peer, connack) = Peer::connect_with(&world, &connect).await;
    assert_eq!(connack.flags, 1);
    let first = peer.delivery().await;
    assert_eq!(first.values, soc(1));
    let stopping = world.platform.tasks.drain(Duration::from_secs(20));
    let reading = async {
        let mut last = None;
        while let Some(packet) = peer.receive().await {
            last = Some(packet);
        }
        last
    };
    let ((), last) = tokio::join!(stopping, reading);
    let (first, body) = last.unwrap();
    assert_eq!((first, body[0]), (0xE0, 0x8B));
}
