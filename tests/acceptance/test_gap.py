"""Retention passed a client by: it hears of it, and gets what holds now."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from conftest import STILL, StartDev
from harness.descriptors import ODOMETER, SOC
from harness.dev import Dev
from harness.events import at, event, inject
from harness.login import Tokens, log_in
from harness.metrics import total
from harness.rest import create_container
from harness.stream import Message, Subscriber, subscriber
from harness.stream5 import Subscriber5
from harness.wait import wait_for, wait_until

GAP = "cardata-gap"
KEPT: dict[str, Any] = {"mqtt_client_id": "away", "clean": False}


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens; a container with what the tests send is registered."""
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER, SOC)
    return tokens


def forget_what_was(dev: Dev) -> None:
    """Starts the server with a retention that is over for everything so far; it looks once when it starts."""
    newest = time.monotonic()
    dev.stop()
    dev.flags += ["--retention", "1"]
    wait_until(newest + 1.1)
    dev.start()
    wait_for(lambda: total(dev, "cardata_journal_retired_events_total") > 0, "events to leave the journal", 20)


def drive(dev: Dev, first: int, last: int) -> None:
    """Puts an event in for each kilometre and second."""
    inject(dev, *(event(dev.first.vin, number, {ODOMETER: number}) for number in range(first, last + 1)))


def gaps(messages: list[Message]) -> list[str | None]:
    """What each message says of a gap before it."""
    return [dict(message.user).get(GAP) for message in messages]


def test_a_client_of_mqtt_5_is_told_what_time_it_missed(dev: Dev, tokens: Tokens) -> None:
    with Subscriber5(dev, tokens, mqtt_client_id="away", expiry=600) as first:
        assert first.connect() == (0, False)
        assert first.subscribe(dev.first.topic()) == [1]
        drive(dev, 1, 3)
        first.wait_for_value(ODOMETER, 3)
    inject(dev, event(dev.first.vin, 4, {SOC: 4}))
    drive(dev, 5, 30)
    forget_what_was(dev)
    with Subscriber5(dev, tokens, mqtt_client_id="away", expiry=600) as back:
        assert back.connect() == (0, True)
        drive(dev, 31, 33)
        back.wait_for_value(ODOMETER, 33)
        # What holds comes first, whichever flag it has, with times of its own and the news of the gap.
        came = sorted([*back.snapshots, *back.messages], key=lambda message: message.arrived_at)
        told = [gap for gap in gaps(came) if gap is not None]
        assert len(told) == 1 and gaps(came)[0] == told[0], gaps(came)
        begin, end = told[0].split("/")
        assert begin == ".." or datetime.fromisoformat(begin) >= datetime.fromisoformat(at(0))
        assert datetime.fromisoformat(end) >= datetime.fromisoformat(at(30))
        snapshot = came[0]
        assert snapshot.data[SOC]["timestamp"] == at(4)
        assert (snapshot.value(SOC), snapshot.value(ODOMETER)) == (4, 30)
        assert [message.value(ODOMETER) for message in came[1:]] == [31, 32, 33]
        assert total(dev, "cardata_mqtt_gaps_total") == 1


def test_a_client_of_3_1_1_gets_what_holds_after_a_gap(dev: Dev, tokens: Tokens) -> None:
    first = subscriber(dev, tokens, [dev.first.topic()], qos=1, **KEPT)
    drive(dev, 1, 3)
    first.wait_for_value(ODOMETER, 3)
    first.disconnect()
    inject(dev, event(dev.first.vin, 4, {SOC: 4}))
    drive(dev, 5, 30)
    forget_what_was(dev)
    with Subscriber(dev, tokens, **KEPT).connect() as back:
        assert back.sessions_present == [True]
        drive(dev, 31, 33)
        back.wait_for_value(ODOMETER, 33)
        came = sorted([*back.snapshots, *back.messages], key=lambda message: message.arrived_at)
        assert (came[0].value(SOC), came[0].value(ODOMETER)) == (4, 30)
        assert [message.value(ODOMETER) for message in came[1:]] == [31, 32, 33]


def test_a_client_that_missed_nothing_hears_of_no_gap(start_dev: StartDev) -> None:
    dev = start_dev(*STILL)
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    with Subscriber5(dev, tokens, mqtt_client_id="away", expiry=600) as first:
        assert first.connect() == (0, False)
        assert first.subscribe(dev.first.topic()) == [1]
        drive(dev, 1, 30)
        first.wait_for_value(ODOMETER, 30)
    forget_what_was(dev)
    with Subscriber5(dev, tokens, mqtt_client_id="away", expiry=600) as back:
        assert back.connect() == (0, True)
        drive(dev, 31, 33)
        back.wait_for_value(ODOMETER, 33)
        # The acknowledgement of the last one may have been on its way when the client left.
        assert [value for value in back.values(ODOMETER) if value != 30] == [31, 32, 33]
        assert (set(gaps(back.seen())), back.snapshots) == ({None}, [])
