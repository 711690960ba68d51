"""Clients that others wrote, unmodified: each subscribes, receives, is dropped, comes back and misses nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from conftest import STILL, StartDev
from harness.clients import KINDS, V5, Client, Kind, client
from harness.descriptors import ODOMETER
from harness.dev import Dev
from harness.line import Line
from harness.login import Tokens, claims, log_in, refresh, register_client, tokens_of
from harness.metrics import total
from harness.rest import create_container
from harness.road import Road
from harness.together import Scenario, Together
from harness.wait import wait_for

NOT_AUTHORIZED = 0x87
# Long enough for all of them to connect at once, on a machine that is busy.
TOKEN_SECONDS = 12
# So long before its end a token is exchanged for a fresh one.
FRESH_SECONDS = 4

of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)

_numbers = itertools.count(1)


def a_program(dev: Dev) -> Tokens:
    """A further program of the first customer, with a container for the odometer."""
    tokens = log_in(dev, dev.first, client_id=register_client(dev, dev.first, f"program {next(_numbers)}"))
    create_container(dev, tokens, ODOMETER)
    return tokens


def refreshed(dev: Dev, tokens: Tokens) -> Tokens:
    """Fresh tokens of the same consent."""
    return tokens_of(refresh(dev, tokens.client_id, tokens.refresh), tokens.client_id)


def wanted_kinds(request: pytest.FixtureRequest) -> list[Kind]:
    """The kinds whose tests of this module were chosen to run."""
    items = [item for item in request.session.items if item.path == request.path]
    chosen = {item.callspec.params.get("kind") for item in items if isinstance(item, pytest.Function)}
    return [kind for kind in KINDS if kind in chosen]


@pytest.fixture(scope="module")
def road(start_shared_dev: StartDev) -> Road:
    """A server that the tests of one client at a time share."""
    return Road(start_shared_dev(*STILL))


def in_order_and_complete(one: Client, driven: list[int]) -> None:
    """Everything arrived, first arrivals in order; what came again says so."""
    seen: list[int] = []
    for message in one.heard.messages:
        kilometre = message.value(ODOMETER)
        if kilometre in seen:
            assert message.dup, f"{kilometre} came again without DUP"
        else:
            seen.append(kilometre)
    assert seen == driven


@of_each_kind
@pytest.mark.parametrize("qos", [1, 2])
def test_a_client_that_was_killed_comes_back_and_gets_what_it_missed(road: Road, kind: Kind, qos: int) -> None:
    dev = road.dev
    name = f"killed-{kind.name}-{qos}"
    identifier = 7 if kind.version == V5 else None
    # MQTT.js loses the topic that an alias stands for between the two halves of QoS 2.
    settings = {"topic_aliases": 10 if qos == 1 else 0}
    with Line(kind.port(dev)) as line, client(kind, dev, a_program(dev), name, port=line.port, **settings) as one:
        one.connect().subscribe(dev.first.every_vehicle, qos, identifier)
        if qos == 2 and kind.forgets_qos_2:
            line.hold()
        seen = road.drive(3)
        one.wait_for_value(ODOMETER, seen[-1])
        assert one.values(ODOMETER) == seen
        assert {(message.qos, message.dup) for message in one.heard.messages} == {(qos, False)}
        if kind.tells_session:
            assert one.heard.sessions_present == [False]

        sent = total(dev, "cardata_mqtt_messages_total", qos=str(qos))
        line.hold()
        unacknowledged = road.drive(3)
        wait_for(lambda: total(dev, "cardata_mqtt_messages_total", qos=str(qos)) >= sent + 3, "three more messages")
        one.kill()
        line.cut()
        missed = road.drive(15)
        one.resume()
        if kind.tells_session:
            assert one.heard.sessions_present == [True]
        live = road.drive(3)
        one.wait_for_value(ODOMETER, live[-1])
        expected = unacknowledged + missed + live
        came = one.values(ODOMETER)
        # The line may have held acknowledgements of what was seen before, too.
        held = len(came) - len(expected)
        assert came == seen[len(seen) - held :] + expected
        dups = [message.dup for message in one.heard.messages]
        assert dups == [True] * (held + len(unacknowledged)) + [False] * len(missed + live)
        # Nobody subscribed again, and what was said about the subscription still holds.
        own = {(message.qos, message.topic, message.identifiers) for message in one.heard.messages}
        assert own == {(qos, dev.first.topic(), () if identifier is None else (identifier,))}


@of_each_kind
@pytest.mark.parametrize("qos", [1, 2])
def test_a_client_whose_connection_is_cut_comes_back_by_itself(road: Road, kind: Kind, qos: int) -> None:
    dev = road.dev
    name = f"cut-{kind.name}-{qos}"
    with Line(kind.port(dev)) as line, client(kind, dev, a_program(dev), name, port=line.port, reconnects=True) as one:
        one.connect().subscribe(dev.first.every_vehicle, qos)
        driven = []
        if qos == 2 and kind.delivers_qos_2_once and not kind.over_websocket:
            # The server hears that the message arrived, but not that the client knows it did: it was delivered, and
            # must not be once more.
            line.hold(after=1)
            driven += road.drive(1)
            one.wait_for_value(ODOMETER, driven[-1])
            line.cut()
            driven += road.drive(5)
            one.wait_for_value(ODOMETER, driven[-1])
        if not (qos == 2 and kind.forgets_qos_2):
            driven += road.drive(10)
            # Somewhere in the middle of messages and their acknowledgements.
            one.wait_for_value(ODOMETER, driven[-7])
            line.cut()
            driven += road.drive(5)
            one.wait_for_value(ODOMETER, driven[-1])
        line.hold()
        driven += road.drive(10)
        line.cut()
        driven += road.drive(5)
        one.wait_for_value(ODOMETER, driven[-1])
        in_order_and_complete(one, driven)
        if qos == 2 and kind.delivers_qos_2_once:
            assert one.values(ODOMETER) == driven
        if kind.tells_session:
            assert one.heard.sessions_present[0] is False
            assert set(one.heard.sessions_present[1:]) == {True}


@pytest.fixture(scope="module")
def crashed(request: pytest.FixtureRequest, start_shared_dev: StartDev) -> Iterator[Together[tuple[Kind, int]]]:
    """What each client had of a server that was killed under all of them, with each quality of service."""
    road = Road(start_shared_dev(*STILL))
    driven: list[int] = []
    each = itertools.product(wanted_kinds(request), (1, 2))
    with Together({(kind, qos): through_a_crash(kind, qos, road, driven) for kind, qos in each}) as together:
        together.step()
        driven += road.drive(50)
        road.dev.kill()
        road.dev.start()
        driven += road.drive(50)
        together.step()
        yield together


def through_a_crash(kind: Kind, qos: int, road: Road, driven: list[int]) -> Scenario:
    """Subscribes before the crash, is back after it without help, and has everything."""
    dev = road.dev
    with client(kind, dev, a_program(dev), f"crash-{qos}", reconnects=True) as one:
        one.connect().subscribe(dev.first.every_vehicle, qos)
        yield
        # Where a delivery of QoS 2 stood is lost. The client is told so, and has to subscribe again, as some always do.
        session_present = qos == 1
        if kind.takes_commands:
            one.wait(lambda: len(one.heard.sessions_present) > 1, "a second CONNACK")
            assert one.heard.sessions_present == [False, session_present]
            if not session_present:
                one.subscribe(dev.first.every_vehicle, qos)
        one.wait_for_value(ODOMETER, driven[-1])
        # What was not acknowledged comes again after a crash, with new packet ids and so without DUP.
        assert list(dict.fromkeys(one.values(ODOMETER))) == driven


@of_each_kind
@pytest.mark.parametrize("qos", [1, 2])
def test_a_client_outlives_a_server_that_is_killed(crashed: Together[tuple[Kind, int]], kind: Kind, qos: int) -> None:
    crashed.outcome((kind, qos))


@pytest.fixture(scope="module")
def expired(request: pytest.FixtureRequest, start_shared_dev: StartDev) -> Iterator[Together[tuple[Kind, bool]]]:
    """What each client had when the time of its token was over; and those that sent a fresh one in time."""
    road = Road(start_shared_dev(*STILL, "--token-lifetime", str(TOKEN_SECONDS)))
    driven: list[int] = []
    kinds = wanted_kinds(request)
    scenarios = {(kind, False): through_an_expiry(kind, road, driven) for kind in kinds}
    scenarios |= {(kind, True): past_an_expiry(kind, road, driven) for kind in kinds if kind.reauthenticates}
    with Together(scenarios) as together:
        together.step()
        driven += road.drive(3)
        together.step()
        driven += road.drive(20)
        together.step()
        yield together


def through_an_expiry(kind: Kind, road: Road, driven: list[int]) -> Scenario:
    """Hears of the end, as far as its version knows words for it, and comes back with a fresh token."""
    dev = road.dev
    tokens = a_program(dev)
    with client(kind, dev, tokens, "expiry") as one:
        one.connect().subscribe(dev.first.every_vehicle, 1)
        yield
        end = one.wait_until_closed(TOKEN_SECONDS + 10)
        assert end.code == (NOT_AUTHORIZED if kind.version == V5 else None)
        if kind.tells_reason:
            assert end.reason and "token" in end.reason, end
        yield
        fresh = refreshed(dev, tokens)
        before: list[int] = []
        if kind.takes_commands:
            one.connect_again(fresh.id)
            assert one.heard.sessions_present == [False, True]
        else:
            before = one.values(ODOMETER)
            one.resume(fresh.id)
        one.wait_for_value(ODOMETER, driven[-1])
        assert before + one.values(ODOMETER) == driven


def past_an_expiry(kind: Kind, road: Road, driven: list[int]) -> Scenario:
    """Sends a fresh token over the open connection, which then outlives the first one."""
    dev = road.dev
    tokens = a_program(dev)
    with client(kind, dev, tokens, "past expiry", reauthenticates=True) as one:
        one.connect().subscribe(dev.first.every_vehicle, 1)
        yield
        # Late, so that the fresh token is good for longer than everybody's first one.
        end = claims(tokens.id)["exp"]
        wait_for(lambda: time.time() > end - FRESH_SECONDS, "the time for a fresh token", TOKEN_SECONDS)
        one.reauthenticate(refreshed(dev, tokens).id)
        yield
        one.wait_for_value(ODOMETER, driven[-1])
        assert one.values(ODOMETER) == driven
        assert (one.heard.sessions_present, one.heard.ends) == ([False], [])


@of_each_kind
def test_a_client_whose_token_expires_comes_back_with_a_fresh_one(
    expired: Together[tuple[Kind, bool]], kind: Kind
) -> None:
    expired.outcome((kind, False))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.reauthenticates], ids=lambda kind: kind.name)
def test_a_client_that_sends_a_fresh_token_stays_connected(expired: Together[tuple[Kind, bool]], kind: Kind) -> None:
    expired.outcome((kind, True))
