//! WebSocket clients over real connections, without TLS.

use std::net::SocketAddr;
use std::time::Duration;

use axum_server::Handle;
use bytes::BytesMut;
use cardata_mqtt::Version;
use futures_util::future::poll_fn;
use http_body_util::Empty;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{WebSocketStream, client_async};
use tungstenite::protocol::Role;
use tungstenite::{ClientRequestBuilder, Message};

use super::super::test_peer::{
    ANNAS, Connect, Delivery, Packet, Peer, SOC, add_container, id_token, packet, put_text, report,
    soc, take_length, world,
};
use super::*;
use crate::crowd::{Crowd, Doorkeeper};
use crate::profile::Profile;
use crate::serve::{Patience, impatient, request_timeout};
use crate::test_platform::{LIMITS, Person, World};

/// Shorter than some tests take, so that they show what it does not end.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(1), request: Duration::from_millis(300) };

/// An HTTP listener with nothing but `/mqtt`.
struct Site {
    world: World,
    address: SocketAddr,
    /// Who has a connection that is no WebSocket.
    visitors: Crowd,
    _serving: JoinSet<()>,
}

impl Site {
    async fn new() -> Self {
        let world = world(Profile::open()).await;
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let visitors = Crowd::new("test", 10, 10);
        let app = routes().with_state(world.platform.clone()).layer(request_timeout(PATIENCE));
        let server = axum_server::from_tcp(socket).unwrap().acceptor(Doorkeeper(visitors.clone()));
        let serving = impatient(server, PATIENCE)
            .handle(Handle::new())
            .serve(app.into_make_service_with_connect_info::<SocketAddr>());
        let mut task = JoinSet::new();
        task.spawn(async move { serving.await.unwrap() });
        Self { world, address, visitors, _serving: task }
    }

    /// A WebSocket without a word of MQTT.
    async fn open(&self) -> Client<TcpStream> {
        let uri = format!("ws://{}/mqtt", self.address).parse().unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("mqtt");
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (socket, _) = client_async(request, stream).await.unwrap();
        Client { socket, received: BytesMut::new() }
    }

    /// Anna, let in and subscribed to all of her vehicles.
    async fn subscribed(&self) -> Client<TcpStream> {
        let mut client = self.open().await;
        client.connect(&self.world).await;
        client.subscribe().await;
        client
    }

    /// What a request that is no WebSocket's is answered.
    async fn answer(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{head}\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

struct Client<S> {
    socket: WebSocketStream<S>,
    received: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, message: Message) {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await.unwrap();
        Pin::new(&mut self.socket).start_send(message).unwrap();
        // The server may have closed already; the test then sees that at its next read.
        let _ = poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
    }

    /// The next message; `None` when the connection is over.
    async fn message(&mut self) -> Option<Message> {
        let next = poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx));
        let next = timeout(Duration::from_secs(20), next).await;
        next.expect("the server answers or closes")?.ok()
    }

    /// The next packet: its first byte and what follows its length.
    async fn packet(&mut self) -> Packet {
        loop {
            if let [first, rest @ ..] = &*self.received
                && rest.iter().take(4).any(|byte| byte & 0x80 == 0)
            {
                let mut rest = rest;
                let length = usize::try_from(take_length(&mut rest)).unwrap();
                if let Some(body) = rest.get(..length) {
                    let packet = (*first, body.to_vec());
                    self.received.advance(self.received.len() - rest.len() + length);
                    return packet;
                }
            }
            match self.message().await {
                Some(Message::Binary(bytes)) => self.received.extend(bytes),
                other => panic!("a packet is expected, not {other:?}"),
            }
        }
    }

    /// The code with which the server closes.
    async fn close_code(&mut self) -> u16 {
        match self.message().await {
            Some(Message::Close(Some(frame))) => frame.code.into(),
            other => panic!("a closing handshake is expected, not {other:?}"),
        }
    }

    async fn connect(&mut self, world: &World) {
        let token = id_token(world, Person::Anna).await;
        self.send_bytes(&packet(0x10, &anna(&token))).await;
        assert_eq!(self.packet().await, (0x20, vec![0, 0]));
    }

    async fn subscribe(&mut self) {
        self.send_bytes(&packet(0x82, &filters(1))).await;
        assert_eq!(self.packet().await, (0x90, vec![0, 1, 0]));
    }

    /// Whether the session answers.
    async fn is_alive(&mut self) -> bool {
        self.send_bytes(&packet(0xC0, &[])).await;
        self.packet().await == (0xD0, Vec::new())
    }
}

fn anna(token: &str) -> Vec<u8> {
    Connect::new(Version::V311, Person::Anna, token).body()
}

/// A SUBSCRIBE's body with the filter for all of Anna's vehicles, so many times.
fn filters(times: usize) -> Vec<u8> {
    let mut body = vec![0, 1];
    for _ in 0..times {
        put_text(&format!("{}/+", Person::Anna.gcid()), &mut body);
        body.push(0);
    }
    body
}

/// Waits until `is_so`.
async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it becomes so");
}

#[tokio::test]
async fn mqtt_6_0_0_2_packets_share_a_message_or_span_several() {
    let site = Site::new().await;
    let world = &site.world;
    add_container(world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(world, Person::Anna).await;
    let mut all = packet(0x10, &anna(&token));
    all.extend(packet(0x82, &filters(1)));
    all.extend(packet(0xC0, &[]));
    let answers = [(0x20, vec![0, 0]), (0x90, vec![0, 1, 0]), (0xD0, Vec::new())];

    let mut at_once = site.open().await;
    at_once.send_bytes(&all).await;
    let mut byte_by_byte = site.open().await;
    for byte in &all {
        byte_by_byte.send_bytes(&[*byte]).await;
    }
    for client in [&mut at_once, &mut byte_by_byte] {
        for answer in &answers {
            assert_eq!(&client.packet().await, answer);
        }
    }
    // The first one was taken over: both have the same session.
    report(world, ANNAS, 42).await;
    let message = byte_by_byte.message().await.unwrap().into_data();
    assert!(message.starts_with(&[0x30]) && message.ends_with(b"}}}"), "{message:?}");
}

#[tokio::test]
async fn mqtt_6_0_0_1_a_text_message_ends_the_connection_and_no_other() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let site = Site::new().await;
    let mut bystander = site.subscribed().await;
    let mut offender = site.open().await;
    offender.send(Message::text("hello")).await;
    assert_eq!(offender.close_code().await, 1003);
    assert_eq!(offender.message().await, None);
    assert!(bystander.is_alive().await);
    let metrics = recorder.handle().render();
    assert!(metrics.contains("cardata_websocket_violations_total{rule=\"text\"} 1"), "{metrics}");
}

#[tokio::test]
async fn mqtt_6_0_0_3_mqtt_6_0_0_4_client_and_server_agree_to_speak_mqtt() {
    let site = Site::new().await;
    let upgrade = "Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for offer in ["", "\r\nSec-WebSocket-Protocol: mqttv3.1"] {
        let answer = site.answer(&format!("GET /mqtt HTTP/1.1\r\n{upgrade}{offer}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("offer the WebSocket subprotocol `mqtt`"), "{answer}");
    }
    let answer = site.answer("GET /mqtt HTTP/1.1\r\nConnection: close").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");

    let uri = format!("ws://{}/mqtt", site.address).parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_sub_protocol("mqttv3.1");
    let request = request.with_sub_protocol("mqtt");
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (_, response) = client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
}

#[tokio::test]
async fn a_message_has_a_size_before_and_after_its_client_was_let_in() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let site = Site::new().await;
    let mut stranger = site.open().await;
    stranger.send_bytes(&vec![0x10; OPENING_MESSAGE_MAX + 1]).await;
    assert_eq!(stranger.close_code().await, 1009);

    let mut client = site.open().await;
    client.connect(&site.world).await;
    let large = packet(0x82, &filters(500));
    assert!(large.len() > OPENING_MESSAGE_MAX && large.len() < MESSAGE_MAX);
    client.send_bytes(&large).await;
    let answer = client.message().await.unwrap().into_data();
    assert_eq!((answer[0], answer.len()), (0x90, 3 + 2 + 500));
    client.send_bytes(&vec![0xC0; MESSAGE_MAX + 1]).await;
    assert_eq!(client.close_code().await, 1009);

    // Not even begun: a frame of 16 MiB after its header, and a message in parts that never ends.
    let mut begun = site.open().await;
    let header = [0x82, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    begun.socket.get_mut().write_all(&header).await.unwrap();
    assert_eq!(begun.close_code().await, 1009);
    let mut endless = site.open().await;
    for opcode in [2, 0, 0, 0, 0] {
        // 16 KiB, masked with zeros.
        let mut part = vec![opcode, 0xFE, 0x40, 0, 0, 0, 0, 0];
        part.extend([0; 0x4000]);
        endless.socket.get_mut().write_all(&part).await.unwrap();
    }
    assert_eq!(endless.close_code().await, 1009);
    let metrics = recorder.handle().render();
    assert!(metrics.contains("violations_total{rule=\"too_large\"} 4"), "{metrics}");
}

#[tokio::test]
async fn a_broken_frame_ends_the_connection() {
    let site = Site::new().await;
    let mut client = site.open().await;
    // The reserved opcode 3, masked with zeros.
    client.socket.get_mut().write_all(&[0x83, 0x81, 0, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(client.close_code().await, 1002);
}

#[tokio::test]
async fn a_ping_is_answered_and_a_closing_handshake_ends_the_session() {
    let site = Site::new().await;
    let mut client = site.subscribed().await;
    client.send(Message::Ping(Bytes::from_static(b"there?"))).await;
    assert_eq!(client.message().await, Some(Message::Pong(Bytes::from_static(b"there?"))));
    client.send(Message::Close(None)).await;
    assert!(matches!(client.message().await, Some(Message::Close(_))));
    assert_eq!(client.message().await, None);
    until(|| site.world.platform.router.connections() == 0).await;
}

#[tokio::test]
async fn a_session_takes_a_place_among_the_streams_and_outlives_what_a_request_may_take() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let site = Site::new().await;
    let mut client = site.subscribed().await;
    until(|| site.visitors.size() == 0).await;
    assert_eq!(site.world.platform.door.crowd().size(), 1);
    let begin = Instant::now();
    while begin.elapsed() < 2 * PATIENCE.head {
        assert!(client.is_alive().await);
    }
    drop(client);
    until(|| site.world.platform.door.crowd().size() == 0).await;

    // Of all connections that were let in, whatever became of them.
    for _ in 1..4 * LIMITS.connects_per_minute {
        drop(site.open().await);
    }
    let refused = client_async(
        ClientRequestBuilder::new(format!("ws://{}/mqtt", site.address).parse().unwrap())
            .with_sub_protocol("mqtt"),
        TcpStream::connect(site.address).await.unwrap(),
    );
    let Err(tungstenite::Error::Http(response)) = refused.await else { panic!("it is refused") };
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "60");
    let metrics = recorder.handle().render();
    assert!(metrics.contains("websocket_refused_total{reason=\"no_room\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_session_goes_on_over_a_websocket_where_it_stopped_without_one() {
    let site = Site::new().await;
    let world = &site.world;
    add_container(world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(world, Person::Anna).await;
    let (mut before, present) = Peer::connected(world, Person::Anna, &token, "keeper", false).await;
    assert!(!present);
    assert_eq!(before.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await, 1);
    report(world, ANNAS, 1).await;
    report(world, ANNAS, 2).await;
    let first = before.delivery().await;
    let second = before.delivery().await;
    before.ack(&first).await;
    assert!(before.is_quiet().await);
    before.leave().await;
    report(world, ANNAS, 3).await;

    let mut client = site.open().await;
    let connect = Connect::new(Version::V311, Person::Anna, &token).client_id("keeper");
    client.send_bytes(&packet(0x10, &connect.clean(false).body())).await;
    assert_eq!(client.packet().await, (0x20, vec![1, 0]), "the session is present");
    let again = Delivery::of(Version::V311, &client.packet().await);
    assert_eq!(again, Delivery { duplicate: true, ..second });
    let missed = Delivery::of(Version::V311, &client.packet().await);
    assert_eq!((missed.values, missed.qos, missed.duplicate), (soc(3), 1, false));
    report(world, ANNAS, 4).await;
    assert_eq!(Delivery::of(Version::V311, &client.packet().await).values, soc(4));
    assert!(client.is_alive().await);
}

#[tokio::test]
async fn a_stopping_server_says_so_in_mqtt_and_then_closes() {
    let site = Site::new().await;
    let token = id_token(&site.world, Person::Anna).await;
    let mut client = site.open().await;
    client.send_bytes(&packet(0x10, &Connect::new(Version::V5, Person::Anna, &token).body())).await;
    assert_eq!(client.packet().await.0, 0x20);
    let stopping = site.world.platform.tasks.drain(Duration::from_secs(10));
    let told = async {
        let (first, body) = client.packet().await;
        assert_eq!((first, body[0]), (0xE0, 0x8B));
        assert_eq!(client.close_code().await, 1000);
        assert_eq!(client.message().await, None);
    };
    tokio::join!(stopping, told);
    assert_eq!(site.world.platform.router.connections(), 0);
}

#[tokio::test]
async fn several_sessions_share_a_connection_of_http_2() {
    let site = Site::new().await;
    add_container(&site.world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let stream = TokioIo::new(TcpStream::connect(site.address).await.unwrap());
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut requests, connection) = builder.handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async move { connection.await.unwrap() });
    let mut clients = Vec::new();
    for id in ["one", "other"] {
        let request = axum::http::Request::connect(format!("http://{}/mqtt", site.address))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "mqtt")
            .body(Empty::new())
            .unwrap();
        let response = requests.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
        let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        let mut client = Client { socket, received: BytesMut::new() };
        let token = id_token(&site.world, Person::Anna).await;
        let connect = Connect::new(Version::V311, Person::Anna, &token).client_id(id);
        client.send_bytes(&packet(0x10, &connect.body())).await;
        assert_eq!(client.packet().await, (0x20, vec![0, 0]));
        client.subscribe().await;
        clients.push(client);
    }
    assert_eq!(site.world.platform.door.crowd().size(), 2);
    report(&site.world, ANNAS, 42).await;
    for client in &mut clients {
        assert_eq!(client.message().await.unwrap().into_data()[0], 0x30);
    }
}
