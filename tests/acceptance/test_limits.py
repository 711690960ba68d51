"""What the flags that limit connections do, and that the operator can see it."""

from __future__ import annotations

import socket

from conftest import STILL, StartDev
from harness.dev import Dev
from harness.login import log_in
from harness.metrics import total
from harness.wait import wait_for
from harness.wire import PINGREQ, PINGRESP, Peer, connect

LET_IN, TOO_OFTEN = b"\x20\x02\x00\x00", b"\x20\x02\x00\x03"


def is_closed_at_once(dev: Dev) -> bool:
    """Whether a further connection of this machine ends before anything was said."""
    with socket.create_connection((dev.ready.mqtt_host, dev.ready.mqtt_port), timeout=2) as tcp:
        try:
            return tcp.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def test_an_address_that_connects_too_often_is_told_so_and_then_closed_at_once(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connects-per-minute", "3")
    tokens = log_in(dev, dev.first)
    good = connect(tokens.gcid, tokens.id)
    for expected in [LET_IN] * 3 + [TOO_OFTEN] * 9:
        with Peer(dev) as peer:
            peer.send(good)
            assert peer.read(4) == expected
    assert is_closed_at_once(dev)
    assert total(dev, "cardata_mqtt_rate_limited_total", at="connect") == 9
    assert total(dev, "cardata_mqtt_rate_limited_total", at="accept") == 1


def test_an_address_has_as_many_connections_as_set(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-address", "2", "--connects-per-minute", "0")
    tokens = log_in(dev, dev.first)
    with Peer(dev) as first:
        with Peer(dev) as second:
            for number, peer in enumerate((first, second)):
                peer.send(connect(tokens.gcid, tokens.id, client_id=f"{number}"))
                assert peer.read(4) == LET_IN
            assert is_closed_at_once(dev)
            assert total(dev, "cardata_connections_refused_total", listener="mqtt") == 1
            # HTTPS has limits of its own.
            assert dev.http("GET", "/.well-known/jwks.json").status == 200
        wait_for(lambda: not is_closed_at_once(dev), "the place of the one that is gone")
        first.send(PINGREQ)
        assert first.read(2) == PINGRESP
