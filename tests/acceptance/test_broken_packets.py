"""Packets that MQTT 3.1.1 forbids close the connection that sent them, and the server goes on serving the others."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from harness.descriptors import ODOMETER
from harness.dev import Dev
from harness.events import event, inject
from harness.login import log_in
from harness.rest import create_container
from harness.stream import subscriber
from harness.wire import PINGREQ, Peer, connect, packet, subscribe, text

# By what is wrong with the first packet of a connection.
FIRST = {
    "not a CONNECT": PINGREQ,
    "a PUBLISH": packet(0x30, text("topic") + b"payload"),
    "a SUBSCRIBE": subscribe("#"),
    "the reserved type 0": b"\x00\x00",
    "the reserved type 15": b"\xf0\x00",
    "a length of five bytes": b"\x10\xff\xff\xff\xff\x7f",
    "a length of 256 MiB": b"\x10\xff\xff\xff\x7f" + b"x" * 1000,
    "reserved bits in the first byte": packet(0x1F, text("MQTT") + b"\x04\x02\x00\x1e" + text("x")),
    "another protocol": connect("user", "password", protocol="HTTP"),
    "the reserved connect flag": connect("user", "password", flags=0b1100_0011),
    "a password without a user name": connect("user", "password", flags=0b0100_0010),
    "a will of QoS 3": connect("user", "password", flags=0b1101_1110),
    "an empty CONNECT": packet(0x10, b""),
    "a CONNECT that ends in its protocol's name": packet(0x10, b"\x00\x04MQ"),
    "a CONNECT that ends before its client id": packet(0x10, text("MQTT") + b"\x04\xc2\x00\x1e"),
    "a string longer than its packet": packet(0x10, text("MQTT") + b"\x04\x02\x00\x1e\xff\xffx"),
    "a client id that is not UTF-8": connect("user", "password", client_id=b"\xff\xfe\xfd"),
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": b"\x00" * 5000,
    "noise": bytes((value * 7919 + 13) % 256 for value in range(5000)),
}

# By what is wrong with a packet after a good CONNECT.
LATER = {
    "a second CONNECT": connect("user", "password"),
    "the reserved type 15": b"\xf0\x00",
    "a SUBSCRIBE with wrong flags": subscribe("x/y", head=0x80),
    "a SUBSCRIBE without a filter": packet(0x82, b"\x00\x01"),
    "a SUBSCRIBE with packet id 0": subscribe("x/y", packet_id=0),
    "a SUBSCRIBE for QoS 3": subscribe("x/y", qos=3),
    "a SUBSCRIBE with reserved QoS bits": subscribe("x/y", qos=0b1000_0000),
    "a SUBSCRIBE that is cut short": packet(0x82, b"\x00\x01\x00\x09x/y"),
    "a filter that is not UTF-8": subscribe(b"\xc3\x28"),
    "an UNSUBSCRIBE without a filter": packet(0xA2, b"\x00\x01"),
    "a CONNACK": b"\x20\x02\x00\x00",
    "a SUBACK": b"\x90\x03\x00\x01\x00",
    "a PINGRESP": b"\xd0\x00",
    "a PUBACK without an id": b"\x40\x00",
    "a PUBLISH of QoS 3": packet(0x36, text("x/y") + b"\x00\x01payload"),
    "a length of five bytes": b"\xc0\xff\xff\xff\xff\x7f",
    "a length of 256 MiB": b"\x30\xff\xff\xff\x7f" + b"x" * 1000,
    "a PINGREQ with reserved bits": b"\xcf\x00",
}

# The longest that a peer may stay without saying who it is.
HANDSHAKE_SECONDS_MAX = 30.0


def test_a_broken_packet_closes_its_own_connection_only(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    good = connect(tokens.gcid, tokens.id)
    still_open = []
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=1) as witness:
        attempts = [(name, b"", bad) for name, bad in FIRST.items()]
        attempts += [(f"{name}, later", good, bad) for name, bad in LATER.items()]
        for number, (name, before, bad) in enumerate(attempts, 1):
            with Peer(dev) as peer:
                if before:
                    peer.send(before)
                    assert peer.read(4) == b"\x20\x02\x00\x00", name
                peer.send(bad)
                try:
                    peer.read_to_end(seconds=5)
                except AssertionError:
                    still_open.append(name)
            inject(dev, event(dev.first.vin, number, {ODOMETER: number}))
            witness.wait_for_value(ODOMETER, number)
        assert witness.values(ODOMETER) == list(range(1, len(attempts) + 1))
        assert not witness.is_closed
    assert still_open == [], f"of {len(attempts)} attempts these were left open: {still_open}"


def test_a_packet_that_comes_byte_by_byte_is_as_good_as_any(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    with Peer(dev) as peer:
        for byte in connect(tokens.gcid, tokens.id) + subscribe(dev.first.every_vehicle, qos=1):
            peer.send(bytes([byte]))
        assert peer.read(4) == b"\x20\x02\x00\x00"
        assert peer.read(5) == b"\x90\x03\x00\x01\x01"


@pytest.mark.parametrize("listener", ["mqtt", "http"])
def test_what_is_not_tls_is_closed_and_harms_nobody(dev: Dev, listener: str) -> None:
    port = dev.ready.mqtt_port if listener == "mqtt" else int(dev.ready.http_url.rsplit(":", 1)[1])
    for noise in (b"\x10\x10\x00\x04MQTT\x04\x02\x00\x1e\x00\x04wire", b"\x16\x03\x01\xff\xff" + b"x" * 4000):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as tcp:
            tcp.sendall(noise)
            tcp.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                while tcp.recv(4096):
                    pass
    assert log_in(dev, dev.first)


def test_a_peer_that_says_nothing_is_closed_at_the_handshake_deadline(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    with (
        socket.create_connection(("127.0.0.1", dev.ready.mqtt_port), timeout=10) as before_tls,
        Peer(dev) as after_tls,
        Peer(dev) as dripping,
        Peer(dev) as known,
    ):
        known.send(connect(tokens.gcid, tokens.id, client_id="known"))
        assert known.read(4) == b"\x20\x02\x00\x00"
        begin = time.monotonic()
        dripping.send(connect(tokens.gcid, tokens.id, client_id="dripping")[:-1])
        assert after_tls.read_to_end(HANDSHAKE_SECONDS_MAX) == b""
        assert dripping.read_to_end(HANDSHAKE_SECONDS_MAX) == b""
        before_tls.settimeout(HANDSHAKE_SECONDS_MAX)
        with contextlib.suppress(ConnectionResetError):
            assert before_tls.recv(1) == b""
        assert 1 <= time.monotonic() - begin <= HANDSHAKE_SECONDS_MAX
        # Whoever said who it is may be as quiet as its keep-alive time permits.
        known.send(PINGREQ)
        assert known.read(2) == b"\xd0\x00"


def test_many_peers_that_say_nothing_keep_nobody_out(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER)
    idle = [socket.create_connection(("127.0.0.1", dev.ready.mqtt_port), timeout=10) for _ in range(100)]
    try:
        with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
            inject(dev, event(dev.first.vin, 1, {ODOMETER: 1}))
            stream.wait_for_value(ODOMETER, 1)
    finally:
        for one in idle:
            one.close()
