"""Starting, stopping and starting again: what the ready file tells, what is kept, and that every end is a clean one."""

from __future__ import annotations

import signal
import socket
import ssl
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conftest import STILL, StartDev
from harness.descriptors import ODOMETER, SOC
from harness.dev import Dev, run
from harness.events import event, inject
from harness.login import log_in, refresh
from harness.rest import create_container
from harness.stream import subscriber
from harness.wire import Peer, connect


def test_the_ready_file_tells_where_everything_is(dev: Dev) -> None:
    ready = dev.ready
    http, admin = urlsplit(ready.http_url), urlsplit(ready.admin_url)
    assert (http.scheme, http.hostname, http.path) == ("https", "localhost", "")
    assert (admin.scheme, admin.hostname, admin.path) == ("http", "127.0.0.1", "")
    assert ready.mqtt_host == "localhost"
    ports = {http.port, admin.port, ready.mqtt_port, ready.vehicles_mqtt_port}
    assert len(ports) == 4 and all(isinstance(port, int) and port > 0 for port in ports)
    assert len(ready.admin_token) >= 32
    assert Path(ready.ca_file).is_absolute() and Path(ready.ca_file).name == "ca.pem"
    assert Path(ready.ca_file).is_relative_to(dev.data_dir)

    first, second = ready.customers
    assert (len(first.vehicles), len(second.vehicles)) == (2, 1)
    for customer in ready.customers:
        assert "@" in customer.email and customer.password
        assert str(uuid.UUID(customer.gcid)) == customer.gcid
        assert str(uuid.UUID(customer.client_id)) == customer.client_id
        for vehicle in customer.vehicles:
            assert len(vehicle.vin) == 17 and vehicle.vin.isupper() and not set(vehicle.vin) & set("IOQ")
            assert vehicle.model
    drivetrains = [vehicle.drivetrain for customer in ready.customers for vehicle in customer.vehicles]
    assert sorted(drivetrains) == ["BEV", "ICE", "PHEV"]


def test_everything_accepts_connections_once_the_ready_file_is_there(dev: Dev) -> None:
    assert dev.http("GET", "/.well-known/openid-configuration").status == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        assert dev.http("GET", dev.ready.admin_url + path).status == 200, path
    Peer(dev).close()
    log_in(dev, dev.first)


def test_the_stream_speaks_tls_1_3_with_a_certificate_of_its_own_authority(dev: Dev) -> None:
    address = (dev.ready.mqtt_host, dev.ready.mqtt_port)
    with dev.tls().wrap_socket(socket.create_connection(address), server_hostname="localhost") as tls:
        assert tls.version() == "TLSv1.3"
    old = dev.tls()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), socket.create_connection(address) as tcp:
        old.wrap_socket(tcp, server_hostname="localhost")
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(address) as tcp:
        stranger.wrap_socket(tcp, server_hostname="localhost")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_well_also_under_load(dev: Dev, number: signal.Signals) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    stream = subscriber(dev, tokens, [dev.first.every_vehicle], qos=1)
    idle = Peer(dev)
    inject(dev, *(event(dev.first.vin, second, {SOC: second}) for second in range(200)))
    assert dev.signal(number) == 0, dev.stderr[-2000:]
    stream.wait_until_closed()
    idle.close()
    assert "error" not in dev.stderr.lower(), dev.stderr[-2000:]


def test_a_restart_keeps_everything(dev: Dev) -> None:
    before = dev.ready
    authority = Path(before.ca_file).read_bytes()
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC, ODOMETER)
    inject(dev, event(dev.first.vin, 1, {SOC: 71}))
    path = f"/customers/vehicles/{dev.first.vin}/telematicData?containerId={container_id}"
    told = dev.http("GET", path, token=tokens.access).json
    for end in (dev.stop, dev.kill):
        end()
        dev.start()
        assert dev.ready == before
        assert Path(dev.ready.ca_file).read_bytes() == authority
        assert dev.http("GET", path, token=tokens.access).json == told
        subscriber(dev, tokens, [dev.first.every_vehicle]).disconnect()
    assert refresh(dev, dev.first.client_id, tokens.refresh).status == 200


def test_two_data_folders_have_nothing_in_common(start_dev: StartDev) -> None:
    one, two = start_dev(*STILL), start_dev(*STILL)
    assert one.ready.admin_token != two.ready.admin_token
    assert Path(one.ready.ca_file).read_bytes() != Path(two.ready.ca_file).read_bytes()
    tokens = log_in(one, one.first)
    assert two.http("GET", "/customers/vehicles/mappings", token=tokens.access).status == 401


def test_secrets_in_the_data_folder_are_for_their_owner_only(dev: Dev) -> None:
    log_in(dev, dev.first)
    assert dev.data_dir.stat().st_mode & 0o777 == 0o700
    secret = ("admin-token", "ready.json", "ca.key", "*.key", "directory.sqlite*")
    files = [dev.ready_file, *(path for pattern in secret for path in dev.data_dir.rglob(pattern))]
    assert len(files) > len(secret)
    for file in files:
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("log", ["info", "trace"])
def test_the_log_names_no_secret_and_no_whole_vin(start_dev: StartDev, log: str) -> None:
    dev = start_dev(*STILL, "--log", log)
    tokens = log_in(dev, dev.first)
    assert refresh(dev, tokens.client_id, tokens.refresh).status == 200
    create_container(dev, tokens, SOC)
    vin = dev.first.vin
    mappings = dev.http("GET", "/customers/vehicles/mappings", token=tokens.access)
    assert vin in mappings.text
    with subscriber(dev, tokens, [dev.first.topic()], qos=1) as stream:
        inject(dev, event(vin, 1, {SOC: 1}))
        stream.wait_for_value(SOC, 1)
    for refused in (f"/customers/vehicles/{dev.second.vin}/basicData", f"/customers/vehicles/{vin.lower()}/basicData"):
        assert dev.http("GET", refused, token=tokens.access).status in (400, 403)
    with Peer(dev) as peer:
        peer.send(connect(tokens.gcid, tokens.refresh))
        assert peer.read_to_end() == b"\x20\x02\x00\x04"
    dev.stop()
    secrets = [tokens.access, tokens.id, tokens.refresh, dev.ready.admin_token, dev.first.password]
    vins = [vehicle.vin for customer in dev.ready.customers for vehicle in customer.vehicles]
    for secret in [*secrets, dev.first.email, *vins]:
        assert secret.lower() not in dev.stderr.lower()
    assert "container" in dev.stderr


def test_whoever_knows_the_real_host_names_finds_them_here(start_dev: StartDev) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 443))
        except OSError as error:
            pytest.skip(f"port 443 can't be bound here: {error}")
    dev = start_dev(*STILL, "--intercept")
    doors = {
        "customer.bmwgroup.com": 443,
        "api-cardata.bmwgroup.com": 443,
        "customer.streaming-cardata.bmwgroup.com": dev.ready.mqtt_port,
    }
    for host, port in doors.items():
        with dev.tls().wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host):
            assert f"127.0.0.1 {host}\n" in dev.stdout


def test_a_port_that_is_taken_is_named_and_ends_the_start(dev: Dev, tmp_path: Path) -> None:
    taken = f"127.0.0.1:{dev.ready.mqtt_port}"
    others = [part for listener in ("--http", "--vehicles-mqtt", "--admin") for part in (listener, "127.0.0.1:0")]
    folder = str(tmp_path / "other")
    ended = run("dev", "--data-dir", folder, *STILL, "--mqtt", taken, *others)
    assert ended.returncode not in (0, 101)
    assert str(dev.ready.mqtt_port) in ended.stderr and "in use" in ended.stderr


def test_a_data_folder_in_use_is_named_and_ends_the_start(dev: Dev) -> None:
    listeners = ("--http", "--mqtt", "--vehicles-mqtt", "--admin")
    anywhere = [part for listener in listeners for part in (listener, "127.0.0.1:0")]
    ended = run("dev", "--data-dir", str(dev.data_dir), *STILL, *anywhere, seconds=30)
    assert ended.returncode not in (0, 101)
    assert str(dev.data_dir) in ended.stderr
    log_in(dev, dev.first)


def test_help_and_version_need_nothing() -> None:
    for arguments in (("--version",), ("--help",), ("dev", "--help"), ("replay", "--help"), ("token", "--help")):
        ended = run(*arguments)
        assert ended.returncode == 0 and ended.stdout, arguments
