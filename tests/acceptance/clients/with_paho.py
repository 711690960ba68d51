"""paho-mqtt."""

from __future__ import annotations

from typing import Any

import paho.mqtt.client as mqtt
from lines import IS_5, SETTINGS, commands, tell, tls
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

# What paho calls the refusals of MQTT 3.1.1, in words of MQTT 5; on the wire they were these.
REFUSALS_OF_3 = {"Unsupported protocol version": 1, "Bad user name or password": 4, "Not authorized": 5}


def on_connect(_client: Any, _userdata: Any, flags: Any, reason: Any, _properties: Any) -> None:
    if reason.is_failure:
        tell("refused", code=reason.value if IS_5 else REFUSALS_OF_3.get(str(reason), 3))
    else:
        tell("connected", session_present=bool(flags.session_present))


def on_disconnect(_client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
    told = IS_5 and flags.is_disconnect_packet_from_server
    words = getattr(properties, "ReasonString", None) if told else None
    tell("closed", code=reason.value if told else None, reason=words)


def on_subscribe(_client: Any, _userdata: Any, _mid: int, codes: Any, _properties: Any) -> None:
    tell("subscribed", granted=[code.value for code in codes])


def on_message(_client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
    properties = message.properties
    tell(
        "message",
        topic=message.topic,
        payload=message.payload.decode(),
        qos=message.qos,
        dup=message.dup,
        retain=message.retain,
        identifiers=getattr(properties, "SubscriptionIdentifier", []),
        user=getattr(properties, "UserProperty", []),
    )


def make() -> mqtt.Client:
    """A client as the settings want it."""
    websocket_path = SETTINGS["websocket_path"]
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=SETTINGS["client_id"],
        clean_session=None if IS_5 else False,
        protocol=mqtt.MQTTv5 if IS_5 else mqtt.MQTTv311,
        transport="websockets" if websocket_path else "tcp",
        reconnect_on_failure=SETTINGS["reconnects"],
    )
    if websocket_path:
        client.ws_set_options(path=websocket_path)
    # Declared as whole seconds; shorter pauses work as well.
    pause: Any = 0.2
    client.reconnect_delay_set(pause, pause)
    client.tls_set_context(tls())
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    return client


def connect(client: mqtt.Client, password: str) -> None:
    """Connects and lets paho's thread do the rest."""
    client.username_pw_set(SETTINGS["user"], password)
    if IS_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SETTINGS["expiry_seconds"]
        client.connect(SETTINGS["host"], SETTINGS["port"], clean_start=False, properties=properties)
    else:
        client.connect(SETTINGS["host"], SETTINGS["port"])
    client.loop_start()


def subscribe(client: mqtt.Client, topic_filter: str, qos: int, identifier: int | None) -> None:
    """Subscribes to one filter."""
    if not IS_5:
        client.subscribe(topic_filter, qos)
        return
    properties = Properties(PacketTypes.SUBSCRIBE)
    if identifier is not None:
        properties.SubscriptionIdentifier = identifier
    client.subscribe(topic_filter, options=SubscribeOptions(qos=qos), properties=properties)


def main() -> None:
    client = make()

    def handle(command: dict[str, Any]) -> None:
        match command["do"]:
            case "subscribe":
                subscribe(client, command["filter"], command["qos"], command["identifier"])
            case "connect":
                client.loop_stop()
                connect(client, command["password"])

    connect(client, SETTINGS["password"])
    commands(handle)


main()
