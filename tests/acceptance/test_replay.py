"""Recorded drives go through the same path as any vehicle, whole, also when the server dies on the way."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import STILL, StartDev
from harness import recordings
from harness.descriptors import ALTITUDE, MOVING, ODOMETER, SOC, SOC_DISPLAYED
from harness.dev import BINARY, Dev, run
from harness.events import at, event
from harness.login import Tokens, log_in
from harness.rest import create_container
from harness.stream import Message, Subscriber
from harness.wait import wait_for

START = datetime(2026, 5, 4, 6, 30, tzinfo=UTC)
AS_FAST = ("--speed", "600", "--start", f"{START:%Y-%m-%dT%H:%M:%SZ}")
WANTED = (SOC, SOC_DISPLAYED, ODOMETER, ALTITUDE, MOVING)


def replay(dev: Dev, *files: Path, flags: tuple[str, ...] = ()) -> list[str]:
    """The arguments of a replay into the first customer's first vehicle."""
    command = ["replay", *map(str, files), "--vin", dev.first.vin, "--ready-file", str(dev.ready_file)]
    return [*command, *flags]


def start_replay(dev: Dev, file: Path, *flags: str) -> subprocess.Popen[str]:
    """Starts a replay that the test does other things beside."""
    return subprocess.Popen(
        [str(BINARY), *replay(dev, file, flags=flags)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def listener(dev: Dev, tokens: Tokens) -> Subscriber:
    """A client of QoS 1 that keeps its session and comes back by itself."""
    client = Subscriber(dev, tokens, mqtt_client_id="listener", clean=False, reconnects=True).connect()
    return client.subscribe(dev.first.topic(), qos=1)


def instant(row: recordings.Row) -> str:
    """When a row's values held, in the stream's form."""
    return f"{START + timedelta(seconds=row.second):%Y-%m-%dT%H:%M:%SZ}"


def assert_complete(messages: list[Message], wanted: list[recordings.Row]) -> None:
    """Every row has its message, with the file's values at the file's times; the same ones twice are no harm."""
    by_time: dict[str, dict[str, Any]] = {}
    for message in messages:
        by_time.setdefault(message.payload["timestamp"], message.data)
        assert by_time[message.payload["timestamp"]] == message.data, "a duplicate differs"
    missing = [row.second for row in wanted if instant(row) not in by_time]
    assert missing == [], f"{len(missing)} of {len(wanted)} rows did not arrive"
    assert len(by_time) == len(wanted), "rows arrived that the file does not have"
    odometer = []
    for row in wanted:
        data = by_time[instant(row)]
        assert data.keys() == set(WANTED)
        assert {entry["timestamp"] for entry in data.values()} == {instant(row)}
        assert data[SOC_DISPLAYED]["value"] == row.soc_displayed_pct
        assert abs(data[SOC]["value"] - row.soc_displayed_pct) <= 0.5
        assert data[SOC]["value"] == int(data[SOC]["value"])
        assert data[ALTITUDE]["value"] == row.elevation_m
        assert data[MOVING]["value"] is (row.speed_kmh > 0)
        odometer.append(data[ODOMETER]["value"])
    assert odometer == sorted(odometer)
    driven = sum(row.speed_kmh for row in wanted) / 3600
    assert abs(odometer[-1] - odometer[0] - driven) < 0.1


def reached(mark: str) -> Callable[[Message], bool]:
    """Whether a message is of that time or later."""
    return lambda one: str(one.payload["timestamp"]) >= mark


@pytest.fixture
def short_drive(tmp_path: Path) -> Path:
    """A drive of 23 minutes: 2.3 seconds at speed 600."""
    return recordings.drive(tmp_path, "TripA05", 1367)


@pytest.fixture
def long_drive(tmp_path: Path) -> Path:
    """A drive of 53 minutes: 5.3 seconds at speed 600, so that there is time for crashes."""
    return recordings.drive(tmp_path, "TripA06", 3165)


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens; a container with what the tests compare is registered."""
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, *WANTED)
    return tokens


def test_a_replayed_drive_arrives_whole_with_its_values_and_times(
    dev: Dev, tokens: Tokens, short_drive: Path
) -> None:
    wanted = recordings.rows(short_drive)
    with listener(dev, tokens) as stream:
        begin = time.monotonic()
        ended = run(*replay(dev, short_drive, flags=AS_FAST))
        assert ended.returncode == 0, ended.stderr
        # 600 times as fast, neither all at once nor slower than it says.
        assert 0.8 * wanted[-1].second / 600 < time.monotonic() - begin < 20
        stream.wait_for_message(reached(instant(wanted[-1])), "the last row", seconds=30)
        assert_complete(stream.seen(), wanted)
        assert len(stream.seen()) == len(wanted), "without a crash nothing comes twice"


def test_a_replayed_drive_arrives_whole_though_the_server_is_killed_three_times(
    dev: Dev, tokens: Tokens, long_drive: Path
) -> None:
    wanted = recordings.rows(long_drive)
    with listener(dev, tokens) as stream:
        replaying = start_replay(dev, long_drive, *AS_FAST)
        try:
            for eighth in (1, 3, 5):
                mark = instant(wanted[len(wanted) * eighth // 8])
                stream.wait_for_message(reached(mark), f"row {mark}", seconds=60)
                assert replaying.poll() is None, "the replay is over before the server was killed"
                dev.kill()
                dev.start()
            output, _ = replaying.communicate(timeout=120)
            assert replaying.returncode == 0, output
        finally:
            replaying.kill()
            replaying.wait()
        stream.wait_for_message(reached(instant(wanted[-1])), "the last row", seconds=60)
        assert len(stream.connacks) >= 2 and all(stream.sessions_present[1:])
        assert_complete(stream.seen(), wanted)


def test_stream_messages_replay_as_they_are(dev: Dev, tokens: Tokens, tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    # As recorded from another car: the VIN is the one that --vin names, whatever the file says.
    lines = [event("WBY00000000000001", second, {SOC: second, MOVING: True}) for second in range(1, 6)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with listener(dev, tokens) as stream:
        ended = run(*replay(dev, file, flags=("--speed", "1000", "--start", at(0))))
        assert ended.returncode == 0, ended.stderr
        stream.wait_for_value(SOC, 5)
        assert stream.values(SOC) == [1, 2, 3, 4, 5]
        assert {one.payload["vin"] for one in stream.seen()} == {dev.first.vin}


def test_rows_that_cannot_be_used_are_counted_by_reason(dev: Dev, tokens: Tokens, tmp_path: Path) -> None:
    file = recordings.made(tmp_path / "holes.csv", seconds=20)
    lines = file.read_text().splitlines()
    lines[5] = "4,fast" + lines[5][lines[5].index(",", 2) :]
    lines[8] = "7,1.0"
    lines[11] = "NaN" + lines[11][lines[11].index(",") :]
    file.write_text("\n".join(lines) + "\n")
    with listener(dev, tokens) as stream:
        ended = run(*replay(dev, file, flags=("--speed", "1000", "--start", at(0))))
        told = ended.stdout + ended.stderr
        assert ended.returncode == 0, told
        stream.wait_for_message(reached(at(19)), "the last row")
        assert len(stream.seen()) == 17
    assert "17" in told and "3" in told, told
    assert "speed_kmh" in told and "columns" in told and "t_s" in told, told


def test_a_file_that_is_no_recording_is_named_with_what_is_wrong(dev: Dev, tmp_path: Path) -> None:
    contents = {
        "shopping.csv": b"milk,2\nbread,1\n",
        "empty.csv": b"",
        "picture.csv": bytes(range(256)) * 40,
        "half.csv": b"t_s,speed_kmh\n0,1\n",
        "header_only.csv": recordings.HEADER.encode() + b"\n",
        "hopeless.csv": recordings.HEADER.encode() + b"\nx,y\n,,\n",
        "one_line.csv": b"t_s," + b"x" * 3_000_000,
    }
    for name, content in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        ended = run(*replay(dev, file))
        assert ended.returncode not in (0, 101), f"{name}: {ended.stdout}{ended.stderr}"
        assert name in ended.stderr, ended.stderr
        assert "panicked" not in ended.stderr
        assert len(ended.stderr) < 4000, "a whole file is no message"
    log_in(dev, dev.first)


def test_a_replay_that_cannot_begin_says_what_to_do(dev: Dev, tmp_path: Path) -> None:
    file = recordings.made(tmp_path / "short.csv", seconds=3)
    wrong: dict[str, list[str]] = {
        "missing.csv": replay(dev, tmp_path / "missing.csv"),
        "VIN": ["replay", str(file), "--vin", "short", "--ready-file", str(dev.ready_file)],
        "no-such-ready-file": ["replay", str(file), "--vin", dev.first.vin, "--ready-file", "no-such-ready-file"],
        "--speed": replay(dev, file, flags=("--speed", "-1")),
        "--start": replay(dev, file, flags=("--start", "yesterday")),
    }
    for word, arguments in wrong.items():
        ended = run(*arguments)
        assert ended.returncode not in (0, 101), word
        assert word in ended.stderr, ended.stderr
        assert "panicked" not in ended.stderr


def test_a_vehicle_that_the_server_does_not_know_is_refused(dev: Dev, tmp_path: Path) -> None:
    file = recordings.made(tmp_path / "short.csv", seconds=3)
    unknown = "WBY99999999999999"
    ended = run("replay", str(file), "--vin", unknown, "--ready-file", str(dev.ready_file), "--speed", "1000")
    assert ended.returncode not in (0, 101), ended.stdout
    assert "vehicle" in ended.stderr.lower()


def test_a_loop_goes_on_with_later_times_until_it_is_stopped(dev: Dev, tokens: Tokens, tmp_path: Path) -> None:
    file = recordings.made(tmp_path / "short.csv", seconds=5)
    with listener(dev, tokens) as stream:
        replaying = start_replay(dev, file, "--speed", "200", "--start", at(0), "--loop")
        try:
            wait_for(lambda: len(stream.seen()) >= 20, "four rounds", seconds=30)
            assert replaying.poll() is None
        finally:
            replaying.terminate()
            replaying.wait(10)
        times = [one.payload["timestamp"] for one in stream.seen()]
        assert times == sorted(set(times))


def test_a_server_that_is_gone_for_good_ends_the_replay_with_a_reason(
    start_dev: StartDev, tmp_path: Path
) -> None:
    dev = start_dev(*STILL)
    file = recordings.made(tmp_path / "short.csv", seconds=3)
    dev.stop()
    ended = run(*replay(dev, file, flags=("--speed", "1000")), seconds=120)
    assert ended.returncode not in (0, 101)
    assert "panicked" not in ended.stderr and ended.stderr
