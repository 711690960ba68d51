"""MQTT 5: the same stream for clients that speak the newer version."""

from __future__ import annotations

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


def test_a_client_of_mqtt_5_hears_why_and_comes_back(dev: Dev, tokens: Tokens) -> None:
    with Subscriber5(dev, tokens, password="garbage") as refused:
        assert refused.connect()[0] == BAD_USER_NAME_OR_PASSWORD

    with Subscriber5(dev, tokens, mqtt_client_id="keeper", expiry=600) as keeper:
        assert keeper.connect() == (0, False)
        assert keeper.subscribe(dev.first.every_vehicle) == [1]
        inject(dev, event(dev.first.vin, 1, {ODOMETER: 1}))
        keeper.wait_for_value(ODOMETER, 1)
        dev.stop()
        wait_for(lambda: keeper.ended, "a DISCONNECT")
        code, why = keeper.ended[0]
        assert code == SERVER_SHUTTING_DOWN and why and "connect again" in why

    # So it does, and nothing is lost on the way.
    dev.start()
    inject(dev, event(dev.first.vin, 2, {ODOMETER: 2}))
    with Subscriber5(dev, tokens, mqtt_client_id="keeper", expiry=600) as again:
        assert again.connect() == (0, True)
        again.wait_for_value(ODOMETER, 2)
        # The first acknowledgement may not have been there before the end.
        assert again.values(ODOMETER) in ([2], [1, 2])
