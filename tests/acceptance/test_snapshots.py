"""The newest values at subscribe: what a client would otherwise wait hours for, with the vehicles' own times."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import STILL, StartDev
from harness.descriptors import NOT_STREAMABLE, ODOMETER, SOC, TRUNK
from harness.dev import Dev
from harness.events import at, event, inject
from harness.login import Tokens, log_in
from harness.rest import create_container, delete_container
from harness.stream import Message, Subscriber, subscriber
from harness.stream5 import RETAIN_ALWAYS, RETAIN_IF_NEW, RETAIN_NEVER, Subscriber5
from harness.wait import wait_for


@pytest.fixture(scope="module")
def shared(start_shared_dev: StartDev) -> Dev:
    """A server whose first vehicle has sent at three times; its second one never."""
    dev = start_shared_dev(*STILL)
    one = dev.first.vin
    inject(
        dev,
        event(one, 10, {ODOMETER: (10, "km"), SOC: 70, TRUNK: True}),
        event(one, 30, {ODOMETER: (30, "km"), NOT_STREAMABLE: "SECURED"}),
        # Older than what is known: it changes nothing.
        event(one, 20, {ODOMETER: (20, "km"), TRUNK: False}),
    )
    return dev


@pytest.fixture
def tokens(shared: Dev) -> Tokens:
    """The first customer's tokens."""
    return log_in(shared, shared.first)


NEWEST: dict[str, Any] = {
    ODOMETER: {"timestamp": at(30), "value": 30, "unit": "km"},
    TRUNK: {"timestamp": at(20), "value": False},
}


def has_the_newest(dev: Dev, message: Message) -> None:
    """It is the snapshot of the first vehicle, with the container's descriptors and nothing else."""
    assert (message.topic, message.qos, message.dup) == (dev.first.topic(), 0, False)
    assert message.payload["vin"] == dev.first.vin
    assert message.data == NEWEST


@pytest.fixture
def container(shared: Dev, tokens: Tokens) -> str:
    """A container with what the snapshots of these tests show."""
    return create_container(shared, tokens, ODOMETER, TRUNK, NOT_STREAMABLE)


@pytest.fixture
def entitled(shared: Dev, tokens: Tokens, container: str) -> Any:
    """The tokens with that container; it is gone afterwards."""
    yield tokens
    delete_container(shared, tokens, container)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_new_subscriber_gets_the_newest_values_with_their_own_times(shared: Dev, entitled: Tokens, qos: int) -> None:
    with subscriber(shared, entitled, [shared.first.every_vehicle], qos=qos) as stream:
        wait_for(lambda: stream.snapshots, "a snapshot")
        # One message of the stream shows that there is no second snapshot, also none of the silent vehicle.
        inject(shared, event(shared.first.vin, 5 + qos / 10, {ODOMETER: 5}))
        stream.wait_for_value(ODOMETER, 5)
        assert len(stream.snapshots) == 1
        has_the_newest(shared, stream.snapshots[0])
        assert [one.value(ODOMETER) for one in stream.seen()] == [5]


def test_each_subscription_of_3_1_1_brings_a_snapshot_of_its_vehicles(shared: Dev, entitled: Tokens) -> None:
    with subscriber(shared, entitled, [shared.first.topic()]) as stream:
        wait_for(lambda: len(stream.snapshots) == 1, "a snapshot")
        stream.subscribe(shared.first.topic())
        wait_for(lambda: len(stream.snapshots) == 2, "another one")
        # The second vehicle has nothing to show.
        stream.subscribe(shared.first.topic(shared.first.vehicles[1].vin))
        stream.subscribe(shared.first.topic())
        wait_for(lambda: len(stream.snapshots) == 3, "a third one")
        for message in stream.snapshots:
            has_the_newest(shared, message)


def test_a_resumed_session_gets_no_snapshot_unless_it_subscribes(shared: Dev, entitled: Tokens) -> None:
    kept: dict[str, Any] = {"mqtt_client_id": "resumed", "clean": False}
    with subscriber(shared, entitled, [shared.first.every_vehicle], qos=1, **kept) as first:
        wait_for(lambda: first.snapshots, "a snapshot")
    with Subscriber(shared, entitled, **kept).connect() as back:
        inject(shared, event(shared.first.vin, 6, {ODOMETER: 6}))
        back.wait_for_value(ODOMETER, 6)
        assert (back.sessions_present, back.snapshots) == ([True], [])
        back.subscribe(shared.first.every_vehicle, qos=1)
        wait_for(lambda: back.snapshots, "a snapshot")


def test_mqtt_5_chooses_when_a_subscription_brings_a_snapshot(shared: Dev, entitled: Tokens) -> None:
    with Subscriber5(shared, entitled) as stream:
        assert stream.connect() == (0, False)
        topic, everything = shared.first.topic(), shared.first.every_vehicle
        wanted = [
            # Filter, retain handling, and how many snapshots there are then.
            (topic, RETAIN_NEVER, 0),
            (topic, RETAIN_IF_NEW, 0),
            (everything, RETAIN_IF_NEW, 1),
            (everything, RETAIN_IF_NEW, 1),
            (topic, RETAIN_ALWAYS, 2),
            (everything, RETAIN_NEVER, 2),
        ]
        for number, (topic_filter, retain_handling, snapshots) in enumerate(wanted):
            assert stream.subscribe(topic_filter, retain_handling=retain_handling) == [1]
            # A message of the stream comes after all that the subscription brought.
            inject(shared, event(shared.first.vin, 7, {ODOMETER: -number}))
            stream.wait_for_value(ODOMETER, -number)
            assert len(stream.snapshots) == snapshots, wanted[number]
        assert {message.retain for message in stream.seen()} == {False}


def test_a_snapshot_holds_what_the_client_is_entitled_to_and_no_more(shared: Dev, tokens: Tokens) -> None:
    nothing = create_container(shared, tokens, SOC)
    with subscriber(shared, tokens, [shared.first.topic()]) as stream:
        wait_for(lambda: stream.snapshots, "a snapshot")
        assert [one.data.keys() for one in stream.snapshots] == [{SOC}]
        delete_container(shared, tokens, nothing)
        stream.subscribe(shared.first.topic())
        wider = create_container(shared, tokens, ODOMETER)
        stream.subscribe(shared.first.topic())
        wait_for(lambda: len(stream.snapshots) == 2, "another snapshot")
        # Nothing came while nothing was entitled.
        assert [one.data.keys() for one in stream.snapshots] == [{SOC}, {ODOMETER}]
        delete_container(shared, tokens, wider)


def test_the_profile_bmw_sends_no_snapshot(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--profile", "bmw")
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    inject(dev, event(dev.first.vin, 1, {ODOMETER: 1}))
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=1) as stream:
        inject(dev, event(dev.first.vin, 2, {ODOMETER: 2}))
        stream.wait_for_value(ODOMETER, 2)
        assert (stream.values(ODOMETER), stream.snapshots) == ([2], [])
    with Subscriber5(dev, tokens) as stream5:
        assert stream5.connect() == (0, False)
        # Asking for it changes nothing; the CONNACK has said so.
        assert stream5.subscribe(dev.first.every_vehicle, retain_handling=RETAIN_ALWAYS) == [1]
        inject(dev, event(dev.first.vin, 3, {ODOMETER: 3}))
        stream5.wait_for_value(ODOMETER, 3)
        assert (stream5.values(ODOMETER), stream5.snapshots) == ([3], [])
        assert stream5.connack_properties[0].get("RetainAvailable") == 0
