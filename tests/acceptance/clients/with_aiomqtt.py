"""aiomqtt: a context manager for each connection, and the loop around it that its documentation shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import paho.mqtt.client as mqtt
from lines import IS_5, SETTINGS, commands_into, tell, tls
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PAUSE_SECONDS = 0.2


class Client(aiomqtt.Client):
    """Tells what aiomqtt keeps to itself: whether the session was present, why it ended, and DUP."""

    def __init__(self, password: str) -> None:
        properties = None
        if IS_5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = SETTINGS["expiry_seconds"]
        self.end: tuple[int | None, str | None] = (None, None)
        self.dups: list[bool] = []
        super().__init__(
            SETTINGS["host"],
            SETTINGS["port"],
            username=SETTINGS["user"],
            password=password,
            identifier=SETTINGS["client_id"],
            protocol=aiomqtt.ProtocolVersion.V5 if IS_5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if IS_5 else False,
            clean_start=False if IS_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
            tls_context=tls(),
        )

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        if not reason.is_failure:
            tell("connected", session_present=bool(flags.session_present))
        super()._on_connect(client, userdata, flags, reason, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        if flags.is_disconnect_packet_from_server:
            self.end = (reason.value, getattr(properties, "ReasonString", None))
        super()._on_disconnect(client, userdata, flags, reason, properties)

    def _on_message(self, client: Any, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self.dups.append(message.dup)
        super()._on_message(client, userdata, message)


async def read(client: Client) -> None:
    """Tells each message until the connection ends."""
    async for message in client.messages:
        tell(
            "message",
            topic=message.topic.value,
            payload=bytes(message.payload).decode(),
            qos=message.qos,
            dup=client.dups.pop(0),
            retain=message.retain,
            identifiers=getattr(message.properties, "SubscriptionIdentifier", []),
            user=getattr(message.properties, "UserProperty", []),
        )


async def subscribe(client: Client, command: dict[str, Any]) -> None:
    """Subscribes to one filter."""
    if IS_5:
        properties = Properties(PacketTypes.SUBSCRIBE)
        if command["identifier"] is not None:
            properties.SubscriptionIdentifier = command["identifier"]
        granted = await client.subscribe(
            command["filter"], options=SubscribeOptions(qos=command["qos"]), properties=properties
        )
    else:
        granted = await client.subscribe(command["filter"], command["qos"])
    tell("subscribed", granted=[getattr(code, "value", code) for code in granted])


@asynccontextmanager
async def running(queue: asyncio.Queue[dict[str, Any]], client: Client) -> AsyncIterator[None]:
    """Carries out commands while a connection is there."""

    async def carry_out() -> None:
        while True:
            await subscribe(client, await queue.get())

    task = asyncio.create_task(carry_out())
    try:
        yield
    finally:
        task.cancel()


async def main() -> None:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    commands_into(queue)
    password = SETTINGS["password"]
    # The same object again, so that it remembers what it began to receive with QoS 2.
    client = Client(password)
    while True:
        try:
            async with client, running(queue, client):
                await read(client)
        except aiomqtt.exceptions.MqttConnectError as refused:
            tell("refused", code=getattr(refused.rc, "value", refused.rc))
        except aiomqtt.MqttError:
            code, reason = client.end
            client.end = (None, None)
            tell("closed", code=code, reason=reason)
        if SETTINGS["reconnects"]:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            password = (await queue.get())["password"]
            client = Client(password)


asyncio.run(main())
