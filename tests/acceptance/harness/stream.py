"""An MQTT 3.1.1 client (paho-mqtt) that remembers what happened to it, so that tests can ask."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from harness.closing import Closing
from harness.dev import Dev
from harness.login import Tokens
from harness.wait import wait_for

# What paho calls the return codes of MQTT 3.1.1, by the numbers on the wire.
_CONNACK = {
    "Success": 0,
    "Unsupported protocol version": 1,
    "Client identifier not valid": 2,
    "Server unavailable": 3,
    "Bad user name or password": 4,
    "Not authorized": 5,
}

BAD_TOKEN = 4
NOT_AUTHORIZED = 5
SUBSCRIPTION_REFUSED = 0x80

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Message:
    """A PUBLISH as it came."""

    topic: str
    payload: dict[str, Any]
    qos: int
    dup: bool
    retain: bool
    raw: bytes
    arrived_at: float
    packet_id: int
    # MQTT 5.
    identifiers: tuple[int, ...] = ()
    user: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(message: mqtt.MQTTMessage) -> Message:
        """What paho gives."""
        return Message(
            topic=message.topic,
            payload=json.loads(message.payload),
            qos=message.qos,
            dup=message.dup,
            retain=message.retain,
            raw=bytes(message.payload),
            arrived_at=time.monotonic(),
            packet_id=message.mid,
            identifiers=tuple(getattr(message.properties, "SubscriptionIdentifier", ())),
            user=tuple(getattr(message.properties, "UserProperty", ())),
        )

    @property
    def data(self) -> dict[str, Any]:
        """The entries by descriptor."""
        data: dict[str, Any] = self.payload["data"]
        return data

    def value(self, descriptor: str) -> Any:
        """A descriptor's value, `None` when it is not there."""
        return self.data.get(descriptor, {}).get("value")


class Subscriber(Closing):
    """One MQTT client; connects, subscribes and collects."""

    def __init__(
        self,
        dev: Dev,
        tokens: Tokens,
        *,
        user: str | None = None,
        password: str | None = None,
        mqtt_client_id: str | None = None,
        clean: bool = True,
        keep_alive: int = 30,
        reconnects: bool = False,
        acknowledges: bool = True,
    ) -> None:
        self.dev = dev
        self.tokens = tokens
        self.mqtt_client_id = mqtt_client_id or f"acceptance-{next(_numbers)}"
        # Snapshots apart: they say what holds, and no event.
        self.messages: list[Message] = []
        self.snapshots: list[Message] = []
        self.connacks: list[int] = []
        self.sessions_present: list[bool] = []
        self.closes: list[float] = []
        self._granted: dict[int, list[int]] = {}
        self._unsubscribed: set[int] = set()
        self._keep_alive = keep_alive
        self._lock = threading.Lock()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.mqtt_client_id,
            clean_session=clean,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=reconnects,
            manual_ack=not acknowledges,
        )
        # Declared as whole seconds; shorter pauses work as well, and a crash should not be over before it is noticed.
        pause: Any = 0.05
        self._client.reconnect_delay_set(pause, pause)
        self._client.username_pw_set(
            tokens.gcid if user is None else user, tokens.id if password is None else password
        )
        self._client.tls_set_context(dev.tls())
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe

    # What paho's thread calls.

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, _props: Any) -> None:
        with self._lock:
            self.sessions_present.append(bool(flags.session_present))
            self.connacks.append(_CONNACK[str(reason)])

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, _reason: Any, _props: Any) -> None:
        with self._lock:
            self.closes.append(time.monotonic())

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        received = Message.of(message)
        with self._lock:
            (self.snapshots if received.retain else self.messages).append(received)

    def _on_subscribe(self, _client: Any, _userdata: Any, mid: int, codes: Any, _props: Any) -> None:
        with self._lock:
            self._granted[mid] = [code.value for code in codes]

    def _on_unsubscribe(self, _client: Any, _userdata: Any, mid: int, _codes: Any, _props: Any) -> None:
        with self._lock:
            self._unsubscribed.add(mid)

    # What tests call.

    def try_to_connect(self) -> int:
        """Connects and gives the CONNACK's return code."""
        before = len(self.connacks)
        self._client.connect(
            self.dev.ready.mqtt_host, self.dev.ready.mqtt_port, keepalive=self._keep_alive
        )
        self._client.loop_start()
        wait_for(lambda: len(self.connacks) > before, "a CONNACK")
        return self.connacks[-1]

    def connect(self) -> Self:
        """Connects; a refusal is a failure."""
        code = self.try_to_connect()
        assert code == 0, f"CONNACK {code}"
        return self

    def subscribe(self, *filters: str, qos: int = 0) -> Self:
        """Subscribes; a refusal, or less than was asked for, is a failure."""
        granted = self.try_to_subscribe(*filters, qos=qos)
        assert granted == [qos] * len(filters), f"{filters} was granted {granted}"
        return self

    def try_to_subscribe(self, *filters: str, qos: int = 0) -> list[int]:
        """Subscribes and gives the SUBACK's codes."""
        result, mid = self._client.subscribe([(one, qos) for one in filters])
        assert result == mqtt.MQTT_ERR_SUCCESS and mid is not None, result
        return wait_for(lambda: self._granted.get(mid), f"the SUBACK for {filters}")

    def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribes and waits for the UNSUBACK."""
        result, mid = self._client.unsubscribe(topic_filter)
        assert result == mqtt.MQTT_ERR_SUCCESS and mid is not None, result
        wait_for(lambda: mid in self._unsubscribed, "the UNSUBACK")

    def publish(self, topic: str, payload: str, qos: int = 0) -> None:
        """Sends a PUBLISH, which the server refuses by closing."""
        self._client.publish(topic, payload, qos=qos)

    def disconnect(self) -> None:
        """Says goodbye and ends the thread; a clean end of this connection, not of the session."""
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Drops the connection without a word, as a laptop that goes to sleep."""
        self._client._reconnect_on_failure = False  # noqa: SLF001 - paho has no public way
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._client.loop_stop()

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended since it was last made."""
        with self._lock:
            return len(self.closes) >= len(self.connacks)

    def wait_until_closed(self, seconds: float = 10.0) -> float:
        """Waits until the server has closed; gives the instant."""
        wait_for(lambda: self.is_closed, "the server to close the connection", seconds)
        return self.closes[-1]

    def seen(self) -> list[Message]:
        """All messages so far, without snapshots."""
        with self._lock:
            return list(self.messages)

    def values(self, descriptor: str) -> list[Any]:
        """All values of a descriptor so far, in order of arrival."""
        return [one.value(descriptor) for one in self.seen() if descriptor in one.data]

    def descriptors(self) -> set[str]:
        """Every descriptor seen so far, also in snapshots."""
        with self._lock:
            seen = [*self.messages, *self.snapshots]
        return {name for one in seen for name in one.data}

    def wait_for_message(
        self, wanted: Callable[[Message], bool], what: str, seconds: float = 10.0
    ) -> Message:
        """Waits until a message that is wanted has come."""
        found = wait_for(
            lambda: [one for one in self.seen() if wanted(one)],
            lambda: f"{what}; {len(self.messages)} other messages came",
            seconds,
        )
        return found[0]

    def wait_for_value(self, descriptor: str, value: Any, seconds: float = 10.0) -> Message:
        """Waits until a value has come. Values tell events apart, so tests use each value once."""
        return self.wait_for_message(
            lambda one: one.value(descriptor) == value, f"{descriptor} = {value}", seconds
        )

    def close(self) -> None:
        """Disconnects."""
        self.disconnect()


def subscriber(dev: Dev, tokens: Tokens, filters: Iterable[str], qos: int = 0, **settings: Any) -> Subscriber:
    """A client that is connected and has subscribed."""
    client = Subscriber(dev, tokens, **settings).connect()
    client.subscribe(*filters, qos=qos)
    return client
