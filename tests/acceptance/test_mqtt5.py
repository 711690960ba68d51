"""MQTT 5: the same stream for clients that speak the newer version."""

from __future__ import annotations

import subprocess

import pytest

from harness.descriptors import ODOMETER
from harness.dev import Dev
from harness.events import event, inject
from harness.login import Tokens, log_in
from harness.rest import create_container
from harness.stream5 import Subscriber5
from harness.wait import wait_for

SERVER_SHUTTING_DOWN = 0x8B
BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens; a container with the odometer is registered."""
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    return tokens


def test_a_client_of_mqtt_5_streams_and_resumes(dev: Dev, tokens: Tokens) -> None:
    with Subscriber5(dev, tokens, mqtt_client_id="newcomer", expiry=600) as newcomer:
        assert newcomer.connect() == (0, False)
        assert newcomer.subscribe(dev.first.every_vehicle, "#", identifier=7) == [1, NOT_AUTHORIZED]
        for kilometre in (1, 2):
            inject(dev, event(dev.first.vin, kilometre, {ODOMETER: kilometre}))
        newcomer.wait_for_value(ODOMETER, 2)
        assert newcomer.values(ODOMETER) == [1, 2]
        assert {one.topic for one in newcomer.seen()} == {dev.first.topic()}
        assert {one.identifiers for one in newcomer.seen()} == {(7,)}

    inject(dev, event(dev.first.vin, 3, {ODOMETER: 3}))
    dev.kill()
    dev.start()
    with Subscriber5(dev, tokens, mqtt_client_id="newcomer", expiry=600) as again:
        assert again.connect() == (0, True)
        again.wait_for_value(ODOMETER, 3)


def test_a_client_of_mqtt_5_hears_why(dev: Dev, tokens: Tokens) -> None:
    with Subscriber5(dev, tokens, password="garbage") as refused:
        assert refused.connect()[0] == BAD_USER_NAME_OR_PASSWORD

    with Subscriber5(dev, tokens) as newcomer:
        assert newcomer.connect()[0] == 0
        dev.stop()
        wait_for(lambda: newcomer.ended, "a DISCONNECT")
        assert newcomer.ended[0][0] == SERVER_SHUTTING_DOWN


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
