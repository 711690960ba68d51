"""Vehicles that publish over MQTT: who they are stands in their certificate, and what is acknowledged is durable."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from harness.descriptors import SOC
from harness.dev import Customer, Dev
from harness.events import event
from harness.login import log_in
from harness.rest import create_container, telematic_data
from harness.stream import subscriber
from harness.wait import wait_for
from harness.wire import DISCONNECT, Peer, packet, text


def topic(vin: str) -> str:
    """Where a vehicle publishes."""
    return f"vehicles/{vin}/telemetry"


def publish(
    dev: Dev, vin: str, payload: Any, *, to: str | None = None, qos: int = 1, certified: bool = True
) -> subprocess.CompletedProcess[str]:
    """Publishes one message as a vehicle would, with Debian's `mosquitto_pub`."""
    certificate, key = dev.certificate(vin)
    proof = ["--cert", certificate, "--key", key] if certified else []
    text = payload if isinstance(payload, str) else json.dumps(payload)
    port = str(dev.ready.vehicles_mqtt_port)
    return subprocess.run(
        ["mosquitto_pub", "-h", "localhost", "-p", port, "--cafile", dev.ready.ca_file, *proof]
        + ["-t", to or topic(vin), "-q", str(qos), "-m", text],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("qos", [0, 1])
def test_what_a_vehicle_publishes_reaches_its_customer(dev: Dev, qos: int) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
        for number in range(1, 4):
            ended = publish(dev, dev.first.vin, event(dev.first.vin, number, {SOC: number}), qos=qos)
            assert ended.returncode == 0, ended.stderr
        stream.wait_for_value(SOC, 3)
        assert stream.values(SOC) == [1, 2, 3]


def test_what_a_vehicle_says_right_before_its_goodbye_counts(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC)
    hello = packet(0x10, text("MQTT") + bytes([4, 0b10, 0, 30]) + text("vehicle"))
    message = text(topic(dev.first.vin)) + json.dumps(event(dev.first.vin, 1, {SOC: 1})).encode()
    with Peer(dev, vehicle=dev.first.vin) as vehicle:
        vehicle.send(hello)
        assert vehicle.read(4) == b"\x20\x02\x00\x00"
        # In one piece, as it comes over a slow network.
        vehicle.send(packet(0x30, message) + DISCONNECT)
        assert vehicle.read_to_end() == b""
    assert telematic_data(dev, tokens, dev.first.vin, container_id)[SOC]["value"] == "1"


def test_an_acknowledged_publish_survives_a_kill_right_afterwards(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC)
    assert publish(dev, dev.first.vin, event(dev.first.vin, 1, {SOC: 41})).returncode == 0
    dev.kill()
    dev.start()
    assert telematic_data(dev, tokens, dev.first.vin, container_id)[SOC]["value"] == "41"


def test_a_vehicle_speaks_for_itself_only(dev: Dev) -> None:
    tokens = {customer.gcid: log_in(dev, customer) for customer in dev.ready.customers}
    containers = {gcid: create_container(dev, each, SOC) for gcid, each in tokens.items()}

    def latest(customer: Customer) -> Any:
        token, container_id = tokens[customer.gcid], containers[customer.gcid]
        return telematic_data(dev, token, customer.vin, container_id)[SOC]["value"]

    own, other = dev.first.vin, dev.second.vin
    # Another's topic, another's number in the message, and what is no message at all.
    publish(dev, own, event(other, 1, {SOC: 1}), to=topic(other))
    publish(dev, own, event(other, 2, {SOC: 2}))
    publish(dev, own, event(own, 3, {SOC: 3}), to="vehicles/+/telemetry")
    publish(dev, own, "not json")
    publish(dev, own, "")
    assert publish(dev, own, event(own, 5, {SOC: 5})).returncode == 0
    wait_for(lambda: latest(dev.first) == "5", "the vehicle's own value")
    assert latest(dev.second) is None


def test_without_a_certificate_nobody_is_a_vehicle(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC)
    ended = publish(dev, dev.first.vin, event(dev.first.vin, 1, {SOC: 1}), certified=False)
    assert ended.returncode != 0
    assert telematic_data(dev, tokens, dev.first.vin, container_id)[SOC]["value"] is None
