"""Certificates of one's own: shown to customers, taken anew while the server runs, and refused with a reason."""

from __future__ import annotations

import os
import pty
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from conftest import STILL, StartDev
from harness.certificates import name, unsigned, write_key
from harness.dev import BINARY, Dev, environment, run
from harness.metrics import total
from harness.wait import wait_for
from harness.wire import PINGREQ, PINGRESP, Peer, connect


class Authority:
    """Issues certificates for `localhost` into files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name("An authority")
        own = unsigned(self._name, self._name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        own = own.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        (folder / "root.pem").write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self) -> int:
        """Writes `server.pem` and `server.key`, and gives the certificate's number."""
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = unsigned(self._name, name("A server"), key).add_extension(identifier, False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        (self.folder / "server.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        write_key(self.folder / "server.key", key)
        return certificate.serial_number

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes a server show these."""
        files = ("--tls-cert", "server.pem"), ("--tls-key", "server.key"), ("--tls-ca", "root.pem")
        return tuple(part for flag, name in files for part in (flag, str(self.folder / name)))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority in a folder of its own."""
    return Authority(tmp_path)


def numbers(dev: Dev) -> set[int]:
    """The numbers of the certificates that customers are shown: over MQTT, and over HTTPS."""
    seen = set()
    for port in (dev.ready.mqtt_port, urlsplit(dev.ready.http_url).port):
        tcp = socket.create_connection(("127.0.0.1", port), timeout=10)
        with dev.tls().wrap_socket(tcp, server_hostname="localhost") as tls:
            shown = tls.getpeercert(binary_form=True)
            assert shown
            seen.add(x509.load_der_x509_certificate(shown).serial_number)
    return seen


def test_files_replace_the_sandboxs_own_certificate_and_are_taken_anew(
    start_dev: StartDev, authority: Authority
) -> None:
    first = authority.issue()
    dev = start_dev(*STILL, *authority.flags, "--auto-approve")
    assert Path(dev.ready.ca_file) == authority.folder / "root.pem"
    assert numbers(dev) == {first}
    # The commands trust what the ready file names.
    token = run("token", "--ready-file", str(dev.ready_file)).stdout.strip()
    with Peer(dev) as earlier:
        earlier.send(connect(dev.first.gcid, token))
        assert earlier.read(4) == b"\x20\x02\x00\x00"

        second = authority.issue()
        os.kill(dev.pid, signal.SIGHUP)
        wait_for(lambda: numbers(dev) == {second}, "the new certificate, on SIGHUP")

        third = authority.issue()
        wait_for(lambda: numbers(dev) == {third}, "the new certificate, since the files changed", 40)

        (authority.folder / "server.key").write_text("nothing of use")
        os.kill(dev.pid, signal.SIGHUP)
        reloads = "cardata_tls_reloads_total"
        wait_for(lambda: total(dev, reloads, outcome="refused") == 1, "the broken key to be refused")
        assert f"{authority.folder / 'server.key'} holds no private key" in dev.stderr
        assert numbers(dev) == {third}

        earlier.send(PINGREQ)
        assert earlier.read(2) == PINGRESP
    # Vehicles trust the sandbox's own authority further on.
    tls = ssl.create_default_context(cafile=str(dev.data_dir / "ca.pem"))
    tls.load_cert_chain(*dev.certificate(dev.first.vin))
    tcp = socket.create_connection(("127.0.0.1", dev.ready.vehicles_mqtt_port), timeout=10)
    tls.wrap_socket(tcp, server_hostname="localhost").close()


def test_the_sandbox_makes_its_own_certificate_anew_when_asked(dev: Dev) -> None:
    before = numbers(dev)
    os.kill(dev.pid, signal.SIGHUP)
    wait_for(lambda: len(numbers(dev)) == 1 and numbers(dev) != before, "a new certificate")


def test_what_can_not_be_shown_is_said_at_once(authority: Authority, tmp_path: Path) -> None:
    authority.issue()
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    other.issue()
    certificate, key = str(authority.folder / "server.pem"), str(authority.folder / "server.key")
    foreign = str(other.folder / "server.key")
    cases = {
        (certificate, foreign): f"the private key in {foreign} is not that of the first certificate in {certificate}",
        (key, key): f"{key} holds no certificate in PEM form",
        (certificate, certificate): f"{certificate} holds no private key in PEM form",
        (certificate, "/nonexistent.key"): "/nonexistent.key can't be read",
    }
    start = ("dev", "--data-dir", str(tmp_path / "data"))
    listen = [part for flag in ("http", "mqtt", "vehicles-mqtt", "admin") for part in (f"--{flag}", "127.0.0.1:0")]
    for (one, other_file), expected in cases.items():
        ended = run(*start, *listen, "--tls-cert", one, "--tls-key", other_file)
        assert ended.returncode == 1 and expected in ended.stderr, ended.stderr
    ended = run(*start, *listen, "--tls-cert", certificate)
    assert ended.returncode == 2 and "--tls-key" in ended.stderr


def test_tls_1_2_is_spoken_where_it_is_allowed(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--tls-min", "1.2")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = dev.tls()
        tls.maximum_version = version
        tcp = socket.create_connection(("127.0.0.1", dev.ready.mqtt_port), timeout=10)
        with tls.wrap_socket(tcp, server_hostname="localhost") as connection:
            assert connection.version() == version.name.replace("_", ".")


def test_a_sandbox_ends_with_its_terminal(tmp_path: Path) -> None:
    terminal, inner = pty.openpty()
    ready = tmp_path / "ready.json"
    listen = [part for flag in ("http", "mqtt", "vehicles-mqtt", "admin") for part in (f"--{flag}", "127.0.0.1:0")]
    process = subprocess.Popen(
        [str(BINARY), "dev", "--data-dir", str(tmp_path / "data"), "--ready-file", str(ready), *listen],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment(),
        start_new_session=True,
    )
    os.close(inner)
    try:
        wait_for(ready.exists, "the ready file", 30)
        os.close(terminal)
        os.kill(process.pid, signal.SIGHUP)
        assert process.wait(15) == 0
        assert not ready.exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
