"""Vehicles are enrolled and revoked while the server runs, by its own authority or by one that the operator brings."""

from __future__ import annotations

import datetime
import json
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from conftest import STILL, StartDev
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from harness.certificates import DAY, name, unsigned, write_key
from harness.descriptors import SOC
from harness.dev import Dev, run
from harness.events import event
from harness.metrics import total
from harness.wait import wait_for

SECONDS = 20.0


@pytest.fixture(scope="module")
def dev(start_shared_dev: StartDev) -> Dev:
    """A server that all these tests share; each has a vehicle of its own."""
    return start_shared_dev(*STILL)


class Car:
    """A vehicle's connection with paho."""

    def __init__(self, dev: Dev, vin: str, certificate: Path, key: Path) -> None:
        self.vin = vin
        self.refused = False
        self.closed = threading.Event()
        self._connected = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=vin, reconnect_on_failure=False)
        tls = dev.tls()
        tls.load_cert_chain(certificate, key)
        self._client.tls_set_context(tls)
        self._client.on_connect = lambda *_: self._connected.set()
        self._client.on_disconnect = lambda *_: self.closed.set()
        try:
            self._client.connect("localhost", dev.ready.vehicles_mqtt_port)
        except (ssl.SSLError, ConnectionError):
            self.refused = True
            return
        self._client.loop_start()
        wait_for(lambda: self._connected.is_set() or self.closed.is_set(), "an answer to the CONNECT", SECONDS)
        # With TLS 1.3 a client learns only after its handshake that its certificate was refused.
        self.refused = not self._connected.is_set()

    def publish(self, second: float, value: Any) -> None:
        """Publishes with QoS 1 and waits for the acknowledgement."""
        payload = json.dumps(event(self.vin, second, {SOC: value}))
        self._client.publish(f"vehicles/{self.vin}/telemetry", payload, qos=1).wait_for_publish(SECONDS)

    def close(self) -> None:
        """Ends the connection."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def car(dev: Dev, vin: str, certificate: Path, key: Path) -> Iterator[Car]:
    """A vehicle that has tried to connect."""
    one = Car(dev, vin, certificate, key)
    try:
        yield one
    finally:
        one.close()


def admin(dev: Dev, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `cardata admin vehicle`."""
    return run("admin", "vehicle", *arguments, "--data-dir", str(dev.data_dir))


def ask(dev: Dev, *arguments: str) -> Any:
    """The same, which must succeed; gives its JSON."""
    ended = admin(dev, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_vehicle_is_enrolled_publishes_and_is_shut_out_while_it_is_connected(dev: Dev, tmp_path: Path) -> None:
    vin = "WBYENR0LL00000001"
    ask(dev, "add", vin, "BEV")
    issued = ask(dev, "enroll", vin, "--out", str(tmp_path), "--days", "7")
    certificate, key = Path(issued["certificate_file"]), Path(issued["key_file"])
    assert key.stat().st_mode & 0o777 == 0o600
    assert Path(issued["authority_file"]).read_text() == Path(dev.ready.ca_file).read_text()
    again = admin(dev, "enroll", vin, "--out", str(tmp_path))
    assert again.returncode == 2 and "no key is written over" in again.stderr, again.stderr
    with car(dev, vin, certificate, key) as one:
        one.publish(1, 1)
        ended = ask(dev, "revoke", vin, "--serial", issued["serial"], "--yes")
        assert (ended["serials"], ended["connections_closed"]) == ([issued["serial"]], 1)
        assert one.closed.wait(SECONDS)
    with car(dev, vin, certificate, key) as one:
        assert one.refused
    listed = ask(dev, "certificates", vin)
    assert [(row["serial"], row["state"]) for row in listed] == [(issued["serial"], "REVOKED")]
    revoked = x509.load_pem_x509_crl((dev.data_dir / "vehicles.crl").read_bytes())
    assert revoked.get_revoked_certificate_by_serial_number(int(issued["serial"], 16)) is not None
    # Not for this start alone.
    dev.stop()
    dev.start()
    with car(dev, vin, certificate, key) as one:
        assert one.refused
    assert total(dev, "cardata_vehicle_certificates_refused_total", reason="revoked") == 1


def test_a_vehicle_that_made_its_own_key_sends_a_request(dev: Dev, tmp_path: Path) -> None:
    vin = "WBYENR0LL00000002"
    ask(dev, "add", vin, "ICE")
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(tmp_path / "own.key", key)

    def request(common_name: str) -> str:
        built = x509.CertificateSigningRequestBuilder().subject_name(name(common_name)).sign(key, hashes.SHA256())
        path = tmp_path / f"{common_name}.csr"
        path.write_bytes(built.public_bytes(Encoding.PEM))
        return str(path)

    foreign = admin(dev, "enroll", vin, "--csr", request(dev.first.vin), "--out", str(tmp_path))
    assert foreign.returncode == 2 and "not the vehicle's VIN" in foreign.stderr, foreign.stderr
    issued = ask(dev, "enroll", vin, "--csr", request(vin), "--out", str(tmp_path))
    assert "key_file" not in issued
    with car(dev, vin, Path(issued["certificate_file"]), tmp_path / "own.key") as one:
        one.publish(1, 1)


def test_an_operators_own_authority_is_followed_with_its_list(start_dev: StartDev, tmp_path: Path) -> None:
    own, other = Issuer("fleet CA"), Issuer("another CA")
    authority, revocations = tmp_path / "fleet-ca.pem", tmp_path / "fleet.crl"
    authority.write_bytes(own.certificate.public_bytes(Encoding.PEM))
    revocations.write_bytes(own.revoked())
    dev = start_dev(*STILL, "--vehicles-ca", str(authority), "--vehicles-crl", str(revocations))
    vin = dev.first.vin
    good = own.issue(tmp_path / "good", vin, DAY)
    expired = own.issue(tmp_path / "expired", vin, -DAY)
    foreign = other.issue(tmp_path / "foreign", vin, DAY)
    refused = admin(dev, "enroll", vin, "--out", str(tmp_path))
    assert refused.returncode == 2 and "authority of the operator's own" in refused.stderr, refused.stderr
    for files in (expired, foreign):
        with car(dev, vin, *files) as one:
            assert one.refused
    with car(dev, vin, *good) as one:
        one.publish(1, 1)
        revocations.write_bytes(own.revoked(good[0]))
        assert not one.closed.is_set()
        os.kill(dev.pid, signal.SIGHUP)
        assert one.closed.wait(SECONDS)
    with car(dev, vin, *good) as one:
        assert one.refused
    for reason in ("expired", "foreign"):
        assert total(dev, "cardata_vehicle_certificates_refused_total", reason=reason) == 1


class Issuer:
    """An authority of somebody else."""

    def __init__(self, common_name: str) -> None:
        self._name, self._key = name(common_name), ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        own = unsigned(self._name, self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = own.sign(self._key, hashes.SHA256())

    def issue(self, stem: Path, vin: str, left: datetime.timedelta) -> tuple[Path, Path]:
        """The files of a certificate for `vin` and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = unsigned(self._name, name(vin), key, left).sign(self._key, hashes.SHA256())
        files = stem.with_suffix(".pem"), stem.with_suffix(".key")
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        write_key(files[1], key)
        return files

    def revoked(self, *certificates: Path) -> bytes:
        """A list of revoked certificates in PEM form."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now)
            .next_update(now + DAY)
            # Lists of version 1, which have no extensions, are not read.
            .add_extension(x509.CRLNumber(len(certificates) + 1), critical=False)
        )
        for path in certificates:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(one)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
