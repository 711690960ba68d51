"""Delivery: at least once and in order for those who asked for it, across disconnects, restarts and crashes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.descriptors import ODOMETER, SOC
from harness.dev import Dev
from harness.events import event, inject
from harness.login import Tokens, log_in, register_client
from harness.rest import create_container
from harness.stream import Subscriber, subscriber
from harness.wait import wait_until
from harness.wire import (
    PINGREQ,
    PINGRESP,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    Delivery,
    Peer,
    acknowledge,
    connect,
    subscribe,
)

KEPT: dict[str, Any] = {"mqtt_client_id": "kept", "clean": False}
FORGOTTEN: dict[str, Any] = {"mqtt_client_id": "kept", "clean": True}


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens; a container with the odometer is registered."""
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    return tokens


def drive(dev: Dev, first: int, last: int) -> None:
    """Puts an event in for each kilometre, into the first customer's first vehicle."""
    for kilometre in range(first, last + 1):
        inject(dev, event(dev.first.vin, kilometre, {ODOMETER: kilometre, SOC: 50}))


def kilometres(first: int, last: int) -> list[int]:
    """What must arrive of `drive`."""
    return list(range(first, last + 1))


def restart_well(dev: Dev) -> None:
    """Stops the server as an operator would and starts it again."""
    dev.stop()
    dev.start()


def crash(dev: Dev) -> None:
    """Kills the server and starts it again."""
    dev.kill()
    dev.start()


def test_qos_1_comes_acknowledged_in_order_and_once(dev: Dev, tokens: Tokens) -> None:
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=1) as stream:
        drive(dev, 1, 50)
        stream.wait_for_value(ODOMETER, 50)
        assert stream.values(ODOMETER) == kilometres(1, 50)
        assert {(one.qos, one.dup) for one in stream.seen()} == {(1, False)}


def test_qos_0_subscribers_get_qos_0(dev: Dev, tokens: Tokens) -> None:
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=0) as stream:
        drive(dev, 1, 3)
        assert stream.wait_for_value(ODOMETER, 3).qos == 0


def test_a_kept_session_gets_what_happened_while_its_client_was_away(dev: Dev, tokens: Tokens) -> None:
    first = subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, **KEPT)
    assert first.sessions_present == [False]
    drive(dev, 1, 3)
    first.wait_for_value(ODOMETER, 3)
    first.disconnect()
    drive(dev, 4, 40)
    # Nobody subscribes again: the session knows.
    with Subscriber(dev, tokens, **KEPT).connect() as back:
        assert back.sessions_present == [True]
        drive(dev, 41, 43)
        back.wait_for_value(ODOMETER, 43)
        assert back.values(ODOMETER) == kilometres(4, 43)


@pytest.mark.parametrize("interrupt", [restart_well, crash])
def test_a_kept_session_outlives_the_server(
    dev: Dev, tokens: Tokens, interrupt: Callable[[Dev], None]
) -> None:
    first = subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, **KEPT)
    drive(dev, 1, 3)
    first.wait_for_value(ODOMETER, 3)
    first.disconnect()
    drive(dev, 4, 10)
    interrupt(dev)
    drive(dev, 11, 13)
    with Subscriber(dev, tokens, **KEPT).connect() as back:
        assert back.sessions_present == [True]
        back.wait_for_value(ODOMETER, 13)
        came = back.values(ODOMETER)
        # After a crash duplicates may come first; nothing is missing and order holds.
        assert came[-10:] == kilometres(4, 13)
        assert came == sorted(came)
        if interrupt is restart_well:
            assert came == kilometres(4, 13)


def test_a_client_that_stays_through_a_crash_misses_nothing(dev: Dev, tokens: Tokens) -> None:
    with Subscriber(dev, tokens, reconnects=True, **KEPT).connect() as stream:
        stream.subscribe(dev.first.every_vehicle, qos=1)
        for round_number in range(3):
            begin = round_number * 20
            drive(dev, begin + 1, begin + 20)
            crash(dev)
        drive(dev, 61, 65)
        stream.wait_for_value(ODOMETER, 65, seconds=30)
        came = stream.values(ODOMETER)
        assert sorted(set(came)) == kilometres(1, 65)
        assert len(stream.sessions_present) > 1 and all(stream.sessions_present[1:])


def test_what_was_not_acknowledged_comes_again_marked_as_duplicate(dev: Dev, tokens: Tokens) -> None:
    mute = subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, acknowledges=False, **KEPT)
    drive(dev, 1, 3)
    mute.wait_for_value(ODOMETER, 3)
    mute.vanish()
    with Subscriber(dev, tokens, **KEPT).connect() as back:
        drive(dev, 4, 4)
        back.wait_for_value(ODOMETER, 4)
        assert back.values(ODOMETER) == kilometres(1, 4)
        assert [one.dup for one in back.seen()] == [True, True, True, False]


class Hand:
    """A kept session of MQTT 3.1.1 by hand, which sees packet ids and acknowledges what it wants to."""

    def __init__(self, dev: Dev, tokens: Tokens, session_present: bool) -> None:
        self.peer = Peer(dev)
        self.peer.send(connect(tokens.gcid, tokens.id, client_id="by-hand", flags=0b1100_0000))
        assert self.peer.read(4) == bytes([0x20, 2, session_present, 0])

    def packets(self, count: int) -> list[Delivery | tuple[int, int]]:
        """The next packets: deliveries, and first byte and packet id of others. Snapshots are left out."""
        came: list[Delivery | tuple[int, int]] = []
        while len(came) < count:
            head, body = self.peer.read_packet()
            if head & 0xF0 != PUBLISH:
                came.append((head, int.from_bytes(body[:2], "big")))
            elif not (delivery := Delivery.of(head, body)).retain:
                came.append(delivery)
        return came


@pytest.mark.parametrize("qos", [1, 2])
def test_a_stop_of_the_server_keeps_deliveries_with_their_packet_ids(dev: Dev, tokens: Tokens, qos: int) -> None:
    before = Hand(dev, tokens, session_present=False)
    before.peer.send(subscribe(dev.first.topic(), qos=qos))
    assert before.packets(1) == [(SUBACK, 1)]
    drive(dev, 1, 3)
    deliveries = [one for one in before.packets(3) if isinstance(one, Delivery)]
    assert [(one.qos, one.dup) for one in deliveries] == [(qos, False)] * 3
    assert len({one.packet_id for one in deliveries}) == 3
    restart_well(dev)

    after = Hand(dev, tokens, session_present=True)
    assert after.packets(3) == [replace(one, dup=True) for one in deliveries]
    # What comes now is new, also where it reuses nothing.
    drive(dev, 4, 4)
    (fresh,) = after.packets(1)
    assert isinstance(fresh, Delivery) and not fresh.dup
    assert fresh.packet_id not in {one.packet_id for one in deliveries}
    after.peer.close()


def test_a_stop_of_the_server_keeps_the_second_half_of_qos_2(dev: Dev, tokens: Tokens) -> None:
    before = Hand(dev, tokens, session_present=False)
    before.peer.send(subscribe(dev.first.topic(), qos=2))
    assert before.packets(1) == [(SUBACK, 1)]
    drive(dev, 1, 2)
    first, second = before.packets(2)
    assert isinstance(first, Delivery) and first.packet_id is not None and isinstance(second, Delivery)
    before.peer.send(acknowledge(PUBREC, first.packet_id))
    assert before.packets(1) == [(PUBREL, first.packet_id)]
    restart_well(dev)

    # The first one was received; it is not sent again, but its end is.
    after = Hand(dev, tokens, session_present=True)
    came = after.packets(2)
    assert (PUBREL, first.packet_id) in came and replace(second, dup=True) in came
    after.peer.send(acknowledge(PUBCOMP, first.packet_id))
    after.peer.close()


def test_a_clean_session_forgets(dev: Dev, tokens: Tokens) -> None:
    subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, **KEPT).disconnect()
    drive(dev, 1, 2)
    with Subscriber(dev, tokens, **FORGOTTEN).connect() as clean:
        assert clean.sessions_present == [False]
        clean.subscribe(dev.first.topic(), qos=1)
        drive(dev, 3, 3)
        clean.wait_for_value(ODOMETER, 3)
        assert clean.values(ODOMETER) == [3]
    with Subscriber(dev, tokens, **KEPT).connect() as back:
        assert back.sessions_present == [False]


def test_unsubscribing_stops_what_was_subscribed_and_nothing_else(dev: Dev, tokens: Tokens) -> None:
    one, two = (vehicle.vin for vehicle in dev.first.vehicles)
    with subscriber(dev, tokens, [dev.first.topic(one), dev.first.topic(two)], qos=1) as stream:
        inject(dev, event(one, 1, {ODOMETER: 1}), event(two, 1, {ODOMETER: 1001}))
        stream.wait_for_value(ODOMETER, 1001)
        stream.unsubscribe(dev.first.topic(one))
        inject(dev, event(one, 2, {ODOMETER: 2}), event(two, 2, {ODOMETER: 1002}))
        stream.wait_for_value(ODOMETER, 1002)
        assert sorted(stream.values(ODOMETER)) == [1, 1001, 1002]


def test_a_second_client_with_the_same_name_takes_over(dev: Dev, tokens: Tokens) -> None:
    old = subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, **KEPT)
    new = Subscriber(dev, tokens, **KEPT).connect()
    with new:
        old.wait_until_closed()
        assert new.sessions_present == [True]
        drive(dev, 1, 2)
        new.wait_for_value(ODOMETER, 2)
        assert not new.is_closed
        assert old.values(ODOMETER) == []


def test_clients_of_different_owners_or_programs_may_have_the_same_name(dev: Dev, tokens: Tokens) -> None:
    program = log_in(dev, dev.first, client_id=register_client(dev, dev.first))
    neighbour = log_in(dev, dev.second)
    clients = [Subscriber(dev, each, **KEPT).connect() for each in (tokens, program, neighbour)]
    drive(dev, 1, 1)
    for client in clients:
        # An answer to each shows that none was closed.
        client.subscribe(f"{client.tokens.gcid}/+", qos=1)
        assert not client.is_closed
        client.disconnect()


def test_of_six_connections_of_one_program_the_oldest_gives_way(dev: Dev, tokens: Tokens) -> None:
    clients = [subscriber(dev, tokens, [dev.first.every_vehicle]) for _ in range(6)]
    clients[0].wait_until_closed()
    drive(dev, 1, 1)
    for client in clients[1:]:
        client.wait_for_value(ODOMETER, 1)
        client.disconnect()


def test_a_peer_that_pings_stays_and_one_that_falls_silent_is_closed(dev: Dev, tokens: Tokens) -> None:
    with Peer(dev) as pinging, Peer(dev) as silent:
        for name, peer in (("pinging", pinging), ("silent", silent)):
            peer.send(connect(tokens.gcid, tokens.id, client_id=name, keep_alive=1))
            assert peer.read(4) == b"\x20\x02\x00\x00"
        begin = time.monotonic()
        for half_seconds in range(6):
            wait_until(begin + half_seconds / 2)
            pinging.send(PINGREQ)
            assert pinging.read(2) == PINGRESP
        # Three seconds are three times its keep-alive time: the other one is long gone.
        wait_until(begin + 3)
        assert silent.read_to_end(seconds=0.5) == b""


def test_a_silent_peer_is_not_closed_before_its_time(dev: Dev, tokens: Tokens) -> None:
    with Peer(dev) as peer:
        peer.send(connect(tokens.gcid, tokens.id, keep_alive=2))
        assert peer.read(4) == b"\x20\x02\x00\x00"
        begin = time.monotonic()
        peer.read_to_end(seconds=10)
        # One and a half times the keep-alive time [MQTT-3.1.2-24], and a little for the clock's tick.
        assert 2.9 <= time.monotonic() - begin <= 5


def test_an_empty_client_name_gets_one_of_the_servers_making(dev: Dev, tokens: Tokens) -> None:
    with Peer(dev) as one, Peer(dev) as two:
        for peer in (one, two):
            peer.send(connect(tokens.gcid, tokens.id, client_id=""))
            assert peer.read(4) == b"\x20\x02\x00\x00"
        # The second is no takeover of the first.
        one.send(PINGREQ)
        assert one.read(2) == PINGRESP
    with Peer(dev) as kept:
        # Without a name a session can't be found again [MQTT-3.1.3-8].
        kept.send(connect(tokens.gcid, tokens.id, client_id="", flags=0b1100_0000))
        assert kept.read_to_end() == b"\x20\x02\x00\x02"
