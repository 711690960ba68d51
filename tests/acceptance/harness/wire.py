"""MQTT 3.1.1 byte by byte, for packets that no client library would send, and for what libraries hide."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

from harness.closing import Closing
from harness.dev import Dev

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x00"
# First bytes, without flags where there are any.
PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK = 0x30, 0x40, 0x50, 0x62, 0x70, 0x90


def packet(head: int, body: bytes) -> bytes:
    """A control packet: its first byte, the length of `body`, and `body`."""
    length = len(body)
    digits = bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([head]) + bytes(digits) + body


def text(value: str | bytes) -> bytes:
    """A string with its length in front."""
    encoded = value.encode() if isinstance(value, str) else value
    return len(encoded).to_bytes(2, "big") + encoded


def connect(
    user: str,
    password: str,
    *,
    client_id: str | bytes = "wire",
    protocol: str = "MQTT",
    level: int = 4,
    flags: int = 0b1100_0010,
    keep_alive: int = 30,
) -> bytes:
    """CONNECT with user name, password and a clean session."""
    head = text(protocol) + bytes([level, flags]) + keep_alive.to_bytes(2, "big")
    return packet(0x10, head + text(client_id) + text(user) + text(password))


def subscribe(topic_filter: str | bytes, *, qos: int = 0, packet_id: int = 1, head: int = 0x82) -> bytes:
    """SUBSCRIBE to one filter."""
    return packet(head, packet_id.to_bytes(2, "big") + text(topic_filter) + bytes([qos]))


def acknowledge(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC or PUBCOMP."""
    return packet(kind, packet_id.to_bytes(2, "big"))


@dataclass(frozen=True)
class Delivery:
    """A PUBLISH as it is on the wire."""

    qos: int
    dup: bool
    retain: bool
    packet_id: int | None
    payload: dict[str, Any]

    @staticmethod
    def of(head: int, body: bytes) -> Delivery:
        """Reads a PUBLISH."""
        qos = head >> 1 & 3
        rest = body[2 + int.from_bytes(body[:2], "big") :]
        packet_id = None
        if qos:
            packet_id, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        return Delivery(qos, bool(head & 8), bool(head & 1), packet_id, json.loads(rest))


class Peer(Closing):
    """A TLS connection that sends and reads bytes: to the stream, or to the vehicles' door with a certificate."""

    def __init__(self, dev: Dev, vehicle: str | None = None) -> None:
        tls, port = dev.tls(), dev.ready.mqtt_port
        if vehicle is not None:
            port = dev.ready.vehicles_mqtt_port
            tls.load_cert_chain(*dev.certificate(vehicle))
        tcp = socket.create_connection((dev.ready.mqtt_host, port), timeout=10)
        self._tls: ssl.SSLSocket = tls.wrap_socket(tcp, server_hostname=dev.ready.mqtt_host)

    def send(self, data: bytes) -> None:
        """Sends all of `data`; that the server may have closed already is for `read_to_end` to find."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self._tls.sendall(data)

    def read(self, length: int, seconds: float = 10.0) -> bytes:
        """Exactly so many bytes."""
        self._tls.settimeout(seconds)
        data = b""
        while len(data) < length:
            more = self._tls.recv(length - len(data))
            assert more, f"closed after {data!r}"
            data += more
        return data

    def read_packet(self, seconds: float = 10.0) -> tuple[int, bytes]:
        """The next packet: its first byte, and what follows its length."""
        head = self.read(1, seconds)[0]
        length = shift = 0
        while True:
            digit = self.read(1, seconds)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return head, self.read(length, seconds)

    def read_to_end(self, seconds: float = 10.0) -> bytes:
        """All bytes until the server closes, which it must do in time."""
        deadline = time.monotonic() + seconds
        data = b""
        while True:
            self._tls.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                more = self._tls.recv(4096)
            except TimeoutError:
                raise AssertionError(f"still open after {seconds} s; came: {data!r}") from None
            except (ConnectionResetError, ssl.SSLError):
                return data
            if not more:
                return data
            data += more

    def close(self) -> None:
        """Ends the connection without a word."""
        self._tls.close()
