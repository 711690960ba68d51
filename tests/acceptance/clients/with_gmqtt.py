"""gmqtt."""

from __future__ import annotations

import asyncio
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import UNLIMITED_RECONNECTS, MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from lines import IS_5, SETTINGS, commands_into, tell, tls

# gmqtt comes back as long as this is not less than the number of its failures, which starts at none.
NO_RECONNECTS = -2


def on_connect(_client: gmqtt.Client, session_present: int, _code: int, _properties: Any) -> None:
    tell("connected", session_present=bool(session_present))


def on_disconnect(client: gmqtt.Client, packet: Any, _error: Any = None) -> None:
    code = reason = None
    # gmqtt calls this for a DISCONNECT, with its bytes, and again when the connection is gone.
    if isinstance(packet, bytes) and packet:
        code = packet[0]
        properties, _ = client._package_handler._parse_properties(packet[1:])  # noqa: SLF001
        reason = (properties or {}).get("reason_string", [None])[0]
    tell("closed", code=code, reason=reason)


def on_subscribe(_client: gmqtt.Client, _mid: int, granted: Any, _properties: Any) -> None:
    tell("subscribed", granted=list(granted))


async def on_message(_client: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: Any) -> int:
    tell(
        "message",
        topic=topic,
        payload=payload.decode(),
        qos=qos,
        dup=bool(properties["dup"]),
        retain=bool(properties["retain"]),
        identifiers=properties.get("subscription_identifier", []),
        user=properties.get("user_property", []),
    )
    # The reason code of the acknowledgement, which goes out after this.
    return 0


def make() -> gmqtt.Client:
    """A client as the settings want it."""
    properties: dict[str, Any] = {}
    if IS_5:
        properties["session_expiry_interval"] = SETTINGS["expiry_seconds"]
        properties["topic_alias_maximum"] = SETTINGS["topic_aliases"]
    client = gmqtt.Client(SETTINGS["client_id"], clean_session=False, optimistic_acknowledgement=False, **properties)
    retries = UNLIMITED_RECONNECTS if SETTINGS["reconnects"] else NO_RECONNECTS
    client.set_config({"reconnect_retries": retries, "reconnect_delay": 0.2})
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    return client


async def connect(client: gmqtt.Client, password: str) -> None:
    """Connects."""
    client.set_auth_credentials(SETTINGS["user"], password)
    version = MQTTv50 if IS_5 else MQTTv311
    try:
        await client.connect(SETTINGS["host"], SETTINGS["port"], ssl=tls(), version=version)
    except MQTTConnectError as refused:
        tell("refused", code=refused._code)  # noqa: SLF001


async def main() -> None:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    commands_into(queue)
    client = make()
    await connect(client, SETTINGS["password"])
    while True:
        command = await queue.get()
        match command["do"]:
            case "subscribe":
                extra = {} if command["identifier"] is None else {"subscription_identifier": command["identifier"]}
                client.subscribe(command["filter"], qos=command["qos"], **extra)
            case "connect":
                await connect(client, command["password"])


asyncio.run(main())
