"""MQTT 5: the same stream for clients that speak the newer version."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness.descriptors import ODOMETER
from harness.dev import Dev
from harness.events import event, inject
from harness.login import Tokens, log_in
from harness.rest import create_container
from harness.wait import wait_for

SERVER_SHUTTING_DOWN = 0x8B
BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87


class Newcomer:
    """A paho client of MQTT 5 that remembers what happened to it."""

    def __init__(self, dev: Dev, tokens: Tokens, password: str | None = None, expiry: int = 0) -> None:
        self.connected: list[tuple[int, bool]] = []
        self.granted: list[list[int]] = []
        self.ended: list[int] = []
        self.messages: list[mqtt.MQTTMessage] = []
        self._expiry = expiry
        self._dev = dev
        self._changed = threading.Event()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="newcomer", protocol=mqtt.MQTTv5)
        client.tls_set(ca_certs=str(dev.ready.ca_file), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.username_pw_set(dev.first.gcid, password or tokens.id)
        client.on_connect = lambda _c, _u, flags, reason, _p: self.connected.append(
            (reason.value, flags.session_present)
        )
        client.on_subscribe = lambda _c, _u, _mid, reasons, _p: self.granted.append(
            [reason.value for reason in reasons]
        )
        client.on_disconnect = lambda _c, _u, _flags, reason, _p: self.ended.append(reason.value)
        client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client = client

    def connect(self) -> tuple[int, bool]:
        """Connects and gives reason code and whether the session was present."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._expiry
        properties.TopicAliasMaximum = 10
        self.client.connect("localhost", self._dev.ready.mqtt_port, clean_start=False, properties=properties)
        self.client.loop_start()
        wait_for(lambda: self.connected, "a CONNACK")
        return self.connected[-1]

    def subscribe(self, *filters: str) -> list[int]:
        """Subscribes with QoS 1 and gives the reason codes."""
        properties = Properties(PacketTypes.SUBSCRIBE)
        properties.SubscriptionIdentifier = 7
        self.client.subscribe([(one, SubscribeOptions(qos=1)) for one in filters], properties=properties)
        wait_for(lambda: self.granted, "a SUBACK")
        return self.granted[-1]

    def odometers(self) -> list[Any]:
        """The odometer of each message."""
        return [json.loads(one.payload)["data"][ODOMETER]["value"] for one in self.messages]

    def close(self) -> None:
        """Says good-bye and stops."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens; a container with the odometer is registered."""
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    return tokens


def test_a_client_of_mqtt_5_streams_and_resumes(dev: Dev, tokens: Tokens) -> None:
    newcomer = Newcomer(dev, tokens, expiry=600)
    assert newcomer.connect() == (0, False)
    assert newcomer.subscribe(dev.first.every_vehicle, "#") == [1, NOT_AUTHORIZED]
    for kilometre in (1, 2):
        inject(dev, event(dev.first.vin, kilometre, {ODOMETER: kilometre}))
    wait_for(lambda: len(newcomer.messages) == 2, "two messages")
    assert newcomer.odometers() == [1, 2]
    # paho puts the topic of an alias back in.
    assert {one.topic for one in newcomer.messages} <= {f"{dev.first.gcid}/{dev.first.vin}", ""}
    assert all(one.properties.SubscriptionIdentifier == [7] for one in newcomer.messages)
    newcomer.close()

    inject(dev, event(dev.first.vin, 3, {ODOMETER: 3}))
    dev.kill()
    dev.start()
    again = Newcomer(dev, tokens, expiry=600)
    assert again.connect() == (0, True)
    wait_for(lambda: again.messages, "what was missed")
    assert again.odometers()[-1] == 3
    again.close()


def test_a_client_of_mqtt_5_hears_why(dev: Dev, tokens: Tokens) -> None:
    refused = Newcomer(dev, tokens, password="garbage")
    assert refused.connect()[0] == BAD_USER_NAME_OR_PASSWORD
    refused.close()

    newcomer = Newcomer(dev, tokens)
    assert newcomer.connect()[0] == 0
    dev.stop()
    wait_for(lambda: newcomer.ended, "a DISCONNECT")
    assert newcomer.ended[0] == SERVER_SHUTTING_DOWN
    newcomer.client.loop_stop()


def test_mosquitto_sub_streams_over_mqtt_5(dev: Dev, tokens: Tokens) -> None:
    address = ["-h", "localhost", "-p", str(dev.ready.mqtt_port), "--cafile", str(dev.ready.ca_file)]
    login = ["-u", dev.first.gcid, "-P", tokens.id]
    # A persistent session, so that it is known on the way when the event comes.
    stay = ["-V", "5", "-i", "sub", "-c", "-x", "600", "-q", "1", "-t", dev.first.every_vehicle]
    subprocess.run(["mosquitto_sub", *address, *login, *stay, "-E"], check=True, timeout=20)
    inject(dev, event(dev.first.vin, 1, {ODOMETER: 4711}))
    came = subprocess.run(
        ["mosquitto_sub", *address, *login, *stay, "-C", "1", "-W", "20"],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert "4711" in came.stdout
