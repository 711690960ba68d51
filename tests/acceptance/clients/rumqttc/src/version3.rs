//! MQTT 3.1.1.

use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet,
    SubscribeReasonCode,
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{Command, Commands, PACKET_MAX, PAUSE, REQUESTS, Settings, closed, level, tell};

pub(crate) async fn run(settings: Settings, mut commands: Commands) {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    options.set_transport(settings.transport());
    options.set_credentials(&settings.user, &settings.password);
    options.set_clean_session(false);
    options.set_keep_alive(Duration::from_secs(60));
    options.set_max_packet_size(PACKET_MAX as usize, PACKET_MAX as usize);
    let (client, events) = AsyncClient::new(options, REQUESTS);
    let (passwords, fresh) = mpsc::channel(1);
    let commanded = async {
        loop {
            match commands.next().await {
                Command::Subscribe { filter, qos, .. } => {
                    client.subscribe(filter, level(qos)).await.expect("the event loop is there");
                }
                Command::Connect { password } => passwords.send(password).await.expect("a reader"),
            }
        }
    };
    tokio::join!(commanded, follow(&settings, events, fresh));
}

/// Tells what happens, and comes back as the settings want it.
async fn follow(settings: &Settings, mut events: EventLoop, mut fresh: mpsc::Receiver<String>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => tell_packet(packet),
            Ok(Event::Outgoing(_)) => {}
            Err(error) => {
                tell_error(&error);
                if settings.reconnects {
                    tokio::time::sleep(PAUSE).await;
                } else {
                    let password = fresh.recv().await.expect("a sender");
                    events.mqtt_options.set_credentials(&settings.user, password);
                }
            }
        }
    }
}

fn tell_packet(packet: Packet) {
    match packet {
        Packet::ConnAck(ack) => {
            tell(json!({ "event": "connected", "session_present": ack.session_present }));
        }
        Packet::SubAck(ack) => {
            let granted = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => *qos as u8,
                SubscribeReasonCode::Failure => 0x80,
            });
            tell(json!({ "event": "subscribed", "granted": granted.collect::<Vec<_>>() }));
        }
        Packet::Publish(message) => tell(json!({
            "event": "message",
            "topic": message.topic,
            "payload": String::from_utf8_lossy(&message.payload),
            "qos": message.qos as u8,
            "dup": message.dup,
            "retain": message.retain,
            "identifiers": [],
            "user": [],
        })),
        _ => {}
    }
}

fn tell_error(error: &ConnectionError) {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let code = match code {
                ConnectReturnCode::Success => 0,
                ConnectReturnCode::RefusedProtocolVersion => 1,
                ConnectReturnCode::BadClientId => 2,
                ConnectReturnCode::ServiceUnavailable => 3,
                ConnectReturnCode::BadUserNamePassword => 4,
                ConnectReturnCode::NotAuthorized => 5,
            };
            tell(json!({ "event": "refused", "code": code }));
        }
        _ => closed(None, None),
    }
}
