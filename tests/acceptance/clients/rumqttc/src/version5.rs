//! MQTT 5.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Packet, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{Command, Commands, PACKET_MAX, PAUSE, REQUESTS, Settings, closed, tell};

pub(crate) async fn run(settings: Settings, mut commands: Commands) {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    options.set_transport(settings.transport());
    options.set_credentials(&settings.user, &settings.password);
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(settings.expiry_seconds));
    options.set_keep_alive(Duration::from_secs(60));
    options.set_max_packet_size(Some(PACKET_MAX));
    let (client, events) = AsyncClient::new(options, REQUESTS);
    let (passwords, fresh) = mpsc::channel(1);
    let commanded = async {
        loop {
            match commands.next().await {
                Command::Subscribe { filter, qos, identifier } => {
                    let qos = rumqttc::v5::mqttbytes::qos(qos).expect("0, 1 or 2");
                    let properties =
                        SubscribeProperties { id: identifier, user_properties: Vec::new() };
                    client
                        .subscribe_with_properties(filter, qos, properties)
                        .await
                        .expect("the event loop is there");
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
                    events.options.set_credentials(&settings.user, password);
                }
            }
        }
    }
}

fn tell_packet(packet: Packet) {
    match packet {
        Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => {
            tell(json!({ "event": "connected", "session_present": ack.session_present }));
        }
        Packet::SubAck(ack) => {
            let granted = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => *qos as u8,
                SubscribeReasonCode::NotAuthorized => 0x87,
                _ => 0x80,
            });
            tell(json!({ "event": "subscribed", "granted": granted.collect::<Vec<_>>() }));
        }
        Packet::Publish(message) => {
            let properties = message.properties.unwrap_or_default();
            tell(json!({
                "event": "message",
                "topic": String::from_utf8_lossy(&message.topic),
                "payload": String::from_utf8_lossy(&message.payload),
                "qos": message.qos as u8,
                "dup": message.dup,
                "retain": message.retain,
                "identifiers": properties.subscription_identifiers,
                "user": properties.user_properties,
            }));
        }
        _ => {}
    }
}

fn tell_error(error: &ConnectionError) {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let code = match code {
                ConnectReturnCode::BadUserNamePassword => Some(0x86),
                ConnectReturnCode::NotAuthorized => Some(0x87),
                _ => None,
            };
            tell(json!({ "event": "refused", "code": code }));
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            closed(Some(*reason_code as u8), reason_string.as_deref());
        }
        _ => closed(None, None),
    }
}
