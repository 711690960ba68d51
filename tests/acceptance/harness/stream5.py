"""An MQTT 5 client (paho-mqtt) that remembers what happened to it, so that tests can ask."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness.closing import Closing
from harness.dev import Dev
from harness.login import Tokens
from harness.stream import Message
from harness.wait import wait_for

# When a subscription brings the newest values.
RETAIN_ALWAYS, RETAIN_IF_NEW, RETAIN_NEVER = 0, 1, 2

_numbers = itertools.count(1)


class Subscriber5(Closing):
    """One MQTT 5 client; connects, subscribes and collects."""

    def __init__(
        self,
        dev: Dev,
        tokens: Tokens,
        *,
        mqtt_client_id: str | None = None,
        password: str | None = None,
        expiry: int = 0,
        keep_alive: int = 30,
        acknowledges: bool = True,
    ) -> None:
        self.connacks: list[tuple[int, bool]] = []
        self.connack_properties: list[dict[str, Any]] = []
        # Of each DISCONNECT that came: its code and its reason string.
        self.ended: list[tuple[int, str | None]] = []
        # Snapshots apart: they say what holds, and no event.
        self.messages: list[Message] = []
        self.snapshots: list[Message] = []
        self._granted: dict[int, list[int]] = {}
        self._dev = dev
        self._expiry = expiry
        self._keep_alive = keep_alive
        self._lock = threading.Lock()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=mqtt_client_id or f"acceptance-5-{next(_numbers)}",
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=not acknowledges,
        )
        client.tls_set_context(dev.tls())
        client.username_pw_set(tokens.gcid, password or tokens.id)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    # What paho's thread calls.

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            self.connack_properties.append(vars(properties) if properties else {})
            self.connacks.append((reason.value, bool(flags.session_present)))

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            with self._lock:
                self.ended.append((reason.value, getattr(properties, "ReasonString", None)))

    def _on_subscribe(self, _client: Any, _userdata: Any, mid: int, codes: Any, _properties: Any) -> None:
        with self._lock:
            self._granted[mid] = [code.value for code in codes]

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        received = Message.of(message)
        with self._lock:
            (self.snapshots if received.retain else self.messages).append(received)

    # What tests call.

    def connect(self) -> tuple[int, bool]:
        """Connects and gives reason code and whether the session was present."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._expiry
        self._client.connect(
            self._dev.ready.mqtt_host,
            self._dev.ready.mqtt_port,
            self._keep_alive,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()
        wait_for(lambda: self.connacks, "a CONNACK")
        return self.connacks[-1]

    def subscribe(
        self, *filters: str, qos: int = 1, identifier: int | None = None, retain_handling: int = RETAIN_ALWAYS
    ) -> list[int]:
        """Subscribes and gives the SUBACK's codes."""
        properties = Properties(PacketTypes.SUBSCRIBE)
        if identifier is not None:
            properties.SubscriptionIdentifier = identifier
        options = SubscribeOptions(qos=qos, retainHandling=retain_handling)
        result, mid = self._client.subscribe([(one, options) for one in filters], properties=properties)
        assert result == mqtt.MQTT_ERR_SUCCESS and mid is not None, result
        return wait_for(lambda: self._granted.get(mid), f"the SUBACK for {filters}")

    def seen(self) -> list[Message]:
        """All messages so far, without snapshots."""
        with self._lock:
            return list(self.messages)

    def values(self, descriptor: str) -> list[Any]:
        """All values of a descriptor so far, in order of arrival."""
        return [one.value(descriptor) for one in self.seen() if descriptor in one.data]

    def wait_for_value(self, descriptor: str, value: Any, seconds: float = 10.0) -> Message:
        """Waits until a value has come. Values tell events apart, so tests use each value once."""
        found = wait_for(
            lambda: [one for one in self.seen() if one.value(descriptor) == value],
            lambda: f"{descriptor} = {value}; came: {self.messages}",
            seconds,
        )
        return found[0]

    def close(self) -> None:
        """Says goodbye and ends the thread."""
        self._client.disconnect()
        self._client.loop_stop()
