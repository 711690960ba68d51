"""A stream is recorded, by a client as any other, and comes out of another sandbox as it was."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import STILL, StartDev
from harness.closing import Closing
from harness.descriptors import ALTITUDE, LATITUDE, LONGITUDE, MOVING, ODOMETER, SOC
from harness.dev import BINARY, Dev, environment, run
from harness.events import at, event, inject, post
from harness.login import log_in
from harness.rest import create_container
from harness.stream import Message, Subscriber
from harness.wait import wait_for

WANTED = (SOC, ODOMETER, MOVING, ALTITUDE, LATITUDE, LONGITUDE)
# Numbers that a careless reader would write otherwise.
NUMBERS = ("0", "-0.0", "1.0", "50.1234567890123456789", "1e3", "1E-7", "123456789012345678901234567890", "0.10")


class Recorder(Closing):
    """A `cardata record` that runs beside the test."""

    def __init__(self, dev: Dev, folder: Path, *flags: str, name: str = "recording.cardata") -> None:
        self.file = folder / name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(BINARY), "record", "--out", str(self.file), "--ready-file", str(dev.ready_file), *flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(),
            )

    def begun(self) -> Recorder:
        """Waits until it is subscribed."""
        wait_for(lambda: "recording into" in self.log or self._process.poll() is not None, "the recording to begin")
        assert self._process.poll() is None, self.log
        return self

    @property
    def log(self) -> str:
        """What it told."""
        return self._log.read_text()

    def ended(self, seconds: float = 20.0) -> int:
        """Waits for its end."""
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> int:
        """Ends it."""
        self._process.send_signal(number)
        return self.ended()

    def close(self) -> None:
        """Ends it, however."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def first(start_shared_dev: StartDev) -> Dev:
    """Where is recorded."""
    dev = start_shared_dev(*STILL)
    create_container(dev, log_in(dev, dev.first), *WANTED)
    return dev


@pytest.fixture(scope="module")
def second(start_shared_dev: StartDev) -> Dev:
    """Where is played."""
    dev = start_shared_dev(*STILL)
    create_container(dev, log_in(dev, dev.first), *WANTED)
    return dev


@pytest.fixture
def listening() -> Iterator[Callable[[Dev], Subscriber]]:
    """Listens to all of a server's first customer."""
    clients: list[Subscriber] = []

    def listen(dev: Dev) -> Subscriber:
        client = Subscriber(dev, log_in(dev, dev.first)).connect().subscribe(dev.first.every_vehicle, qos=1)
        clients.append(client)
        return client

    yield listen
    for client in clients:
        client.close()


def inspected(file: Path) -> dict[str, Any]:
    """What `cardata inspect` tells of a file."""
    told = run("inspect", str(file), "--json")
    assert told.returncode == 0, told.stderr
    contents: dict[str, Any] = json.loads(told.stdout)
    return contents


def entries(messages: list[Message], vin: str) -> list[bytes]:
    """Everything that a vehicle's messages say, byte for byte, but whose it is."""
    return [one.raw[one.raw.index(b'"timestamp"') :] for one in messages if one.payload["vin"] == vin]


def numbers(vin: str, begin: int) -> bytes:
    """An event for each of the numbers, in the digits that they have."""
    lines = []
    for second, digits in enumerate(NUMBERS, begin):
        odometer = f'"{ODOMETER}":{{"timestamp":"{at(second - 0.25)}","value":{digits},"unit":"km"}}'
        moving = f'"{MOVING}":{{"timestamp":"{at(second)}","value":true}}'
        lines.append(f'{{"vin":"{vin}","timestamp":"{at(second)}","data":{{{odometer},{moving}}}}}\n')
    return "".join(lines).encode()


def test_a_recorded_stream_comes_out_of_another_sandbox_byte_for_byte(
    first: Dev, second: Dev, tmp_path: Path, listening: Callable[[Dev], Subscriber]
) -> None:
    one, two = (vehicle.vin for vehicle in first.first.vehicles)
    inject(first, event(one, 0, {SOC: (71.50, "%"), ODOMETER: 5}))
    here = listening(first)
    with Recorder(first, tmp_path, "--keep-identity", "--events", str(1 + 2 * len(NUMBERS))) as recorder:
        recorder.begun()
        for vin in (one, two):
            assert post(first, numbers(vin, 10)).json["accepted"] == len(NUMBERS)
        assert recorder.ended() == 0, recorder.log
    wait_for(lambda: len(here.messages) == 2 * len(NUMBERS), "the stream itself")

    there = listening(second)
    played = run("replay", str(recorder.file), "--speed", "max", "--ready-file", str(second.ready_file))
    assert played.returncode == 0, played.stderr
    wait_for(lambda: len(there.messages) == 1 + 2 * len(NUMBERS), "the replayed stream")
    for vin in (one, two):
        assert entries(there.messages, vin) == entries(here.snapshots + here.messages, vin)
    retained = [message for message in there.messages if message.value(SOC) is not None]
    assert b'"value":71.5,"unit":"%"' in retained[0].raw


def test_a_recording_for_others_tells_neither_whose_it_is_nor_where(
    first: Dev, second: Dev, tmp_path: Path, listening: Callable[[Dev], Subscriber]
) -> None:
    vin = first.first.vin
    track = [(48.1 + 0.001 * step, 11.5 - 0.002 * step) for step in range(5)]
    here = listening(first)
    with Recorder(first, tmp_path) as recorder:
        recorder.begun()
        for second_, (latitude, longitude) in enumerate(track, 100):
            # Apart, as the real service sends them.
            inject(first, event(vin, second_, {LATITUDE: latitude}), event(vin, second_, {LONGITUDE: longitude}))
        wait_for(lambda: len(here.messages) == 10, "the stream itself")
        assert recorder.signal(signal.SIGINT) == 0, recorder.log
    shown = run("inspect", str(recorder.file))
    assert shown.returncode == 0, shown.stderr
    for secret in (vin, first.first.gcid):
        assert secret not in shown.stdout + recorder.log
        assert secret.encode() not in recorder.file.read_bytes()
    [pseudonym] = {one["vin"] for one in inspected(recorder.file)["vehicles"] if LATITUDE in one["descriptors"]}

    there = listening(second)
    flags = ("--vin", f"{pseudonym}={vin}", "--now", "--speed", "max", "--ready-file", str(second.ready_file))
    played = run("replay", str(recorder.file), *flags)
    assert played.returncode == 0, played.stderr
    wait_for(lambda: len([one for one in there.messages if LATITUDE in one.data]) >= 5, "the replayed track")

    def moved(descriptor: str, coordinate: int) -> list[float]:
        values = [one.value(descriptor) for one in there.messages if descriptor in one.data][-5:]
        return [round(value - point[coordinate], 9) for value, point in zip(values, track, strict=True)]

    for descriptor, coordinate in ((LATITUDE, 0), (LONGITUDE, 1)):
        offsets = moved(descriptor, coordinate)
        assert abs(offsets[0]) >= 0.5
        assert max(offsets) - min(offsets) < 1e-6
    years = {one.payload["timestamp"][:4] for one in there.messages}
    assert "2026" in years


def test_a_recorder_that_is_killed_leaves_a_file_that_is_read(first: Dev, tmp_path: Path) -> None:
    vin = first.first.vin
    with Recorder(first, tmp_path) as recorder:
        recorder.begun()
        begun = recorder.file.stat().st_size
        # More than a block.
        inject(first, *(event(vin, 200 + second, {SOC: second % 100, ODOMETER: second}) for second in range(1500)))
        wait_for(lambda: recorder.file.stat().st_size > begun, "a block in the file")
        recorder.signal(signal.SIGKILL)
    contents = inspected(recorder.file)
    assert contents["is_whole"] is False
    assert 500 < contents["messages"] <= 1503
    assert "cut off" in run("inspect", str(recorder.file)).stdout


def test_a_recorder_gets_what_it_missed_while_the_server_was_away(start_dev: StartDev, tmp_path: Path) -> None:
    dev = start_dev(*STILL)
    create_container(dev, log_in(dev, dev.first), SOC)
    with Recorder(dev, tmp_path, "--events", "3") as recorder:
        recorder.begun()
        inject(dev, event(dev.first.vin, 1, {SOC: 1}))
        dev.stop()
        wait_for(lambda: "trying again" in recorder.log, "the recorder to notice")
        dev.start()
        inject(dev, event(dev.first.vin, 2, {SOC: 2}), event(dev.first.vin, 3, {SOC: 3}))
        assert recorder.ended() == 0, recorder.log
    told = run("inspect", str(recorder.file), "--descriptor", SOC)
    assert [line.split("\t")[2] for line in told.stdout.splitlines()] == ["1", "2", "3"]

    with Recorder(dev, tmp_path, "--retry-for", "1", name="gone.cardata") as recorder:
        recorder.begun()
        dev.kill()
        assert recorder.ended() == 1
        assert "ended early" in recorder.log and "try:   see whether the server runs" in recorder.log
    assert inspected(recorder.file)["messages"] == 1


def test_tokens_are_renewed_while_a_recording_goes_on(start_dev: StartDev, tmp_path: Path) -> None:
    dev = start_dev(*STILL, "--token-lifetime", "3")
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    token_file = tmp_path / "token"
    token_file.write_text(tokens.id)
    flags = ("--token-file", str(token_file), "--gcid", dev.first.gcid)
    inject(dev, event(dev.first.vin, 0, {SOC: 0}))
    with (
        Recorder(dev, tmp_path, "--events", "12") as renewed,
        Recorder(dev, tmp_path, *flags, name="fixed.cardata") as fixed,
    ):
        renewed.begun()
        assert fixed.ended() == 2
        assert "0x87" in fixed.log and "try:   a fresh token" in fixed.log, fixed.log
        assert inspected(fixed.file)["messages"] >= 1
        # The other one's first token was as old, and has expired as well.
        inject(dev, *(event(dev.first.vin, second, {SOC: second}) for second in range(1, 12)))
        assert renewed.ended() == 0, renewed.log
    told = run("inspect", str(renewed.file), "--descriptor", SOC)
    assert [line.split("\t")[2] for line in told.stdout.splitlines()] == [str(number) for number in range(12)]


@pytest.fixture(scope="module")
def recorded(first: Dev, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small recording."""
    inject(first, event(first.first.vin, 5000, {SOC: 50}))
    with Recorder(first, tmp_path_factory.mktemp("recorded"), "--events", "1", "--keep-identity") as recorder:
        assert recorder.ended() == 0, recorder.log
        return recorder.file.read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda whole: whole[:-20], "cut off"),
        (lambda whole: whole[:-20], r"block 3 at byte \d+: the file ends in the middle of a block; \d+ bytes are lost"),
        (lambda whole: whole[:200] + b"?" + whole[201:], r"block 2 at byte \d+: the checksum of the block is wrong"),
        (lambda whole: whole + b"more", r"block 4 at byte \d+: no block begins there; 4 bytes are lost"),
    ],
)
def test_of_a_damaged_recording_the_rest_is_read(
    recorded: bytes, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    file = tmp_path / "damaged.cardata"
    file.write_bytes(change(recorded))
    shown = run("inspect", str(file))
    assert shown.returncode == 0, shown.stderr
    assert re.search(told, shown.stdout), shown.stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda whole: whole[:8] + b"\x02\x00" + whole[10:], "newer program"),
        (lambda whole: whole.replace(b"\r\n", b"\n", 1), "transfer as text"),
        (lambda whole: whole[:40], "without a beginning"),
        (lambda _: b"\x7fELF\x02\x01\x01", "is no recording"),
        (lambda _: b"", "it is empty"),
    ],
)
def test_what_cannot_be_read_at_all_is_named_with_the_reason(
    first: Dev, recorded: bytes, tmp_path: Path, content: Callable[[bytes], bytes], told: str
) -> None:
    file = tmp_path / "wrong.cardata"
    file.write_bytes(content(recorded))
    for command in (("inspect",), ("replay", "--ready-file", str(first.ready_file))):
        answer = run(*command, str(file))
        assert answer.returncode == 1
        assert told in answer.stderr and "try:" in answer.stderr, answer.stderr


def test_what_cannot_be_recorded_or_played_is_answered_with_advice(
    first: Dev, recorded: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "recording.cardata"
    file.write_bytes(recorded)
    token = tmp_path / "token"
    token.write_text("nonsense")
    ready = ("--ready-file", str(first.ready_file))
    out = ("--out", str(tmp_path / "new.cardata"))
    other = "00000000000000001"
    server = ("--server", f"localhost:{first.ready.mqtt_port}")
    as_anna = ("--token-file", str(token), "--gcid", first.first.gcid)
    for command, code, told in [
        (("record", *ready, "--out", str(file)), 2, "not there yet"),
        (("record", *ready, "--out", str(tmp_path / "no" / "folder")), 2, "not there yet"),
        (("record", *ready, *out, "--events", "0"), 2, "--events"),
        (("record", *ready, *out, "--for", "0s"), 2, "--for"),
        (("record", *ready, *out, "--for", "500ms", "--customer", first.second.email), 1, "nothing was recorded"),
        (("record", *out, *server), 2, "--login-url"),
        (("record", *out, *server, *as_anna), 1, "--ca"),
        (("record", *out, *server, *as_anna, "--ca", first.ready.ca_file), 2, "a fresh token"),
        (("record", *out, "--server", "localhost:1", *as_anna, "--retry-for", "0"), 1, "can be reached"),
        (("record", *out, "--bmw"), 2, "--client-id"),
        (("replay", *ready, str(file), "--vin", other, "--vin", other), 2, "--vin once for each vehicle"),
        (("replay", *ready, str(file), "--vin", f"{other}={other}"), 2, "--vin RECORDED=VIN with one of"),
        (("inspect", str(file), "--descriptor", "vehicle.nothing"), 1, "lists the descriptors"),
    ]:
        answer = run(*command)
        assert (answer.returncode, told in answer.stderr) == (code, True), f"{command}: {answer.stderr}"
        assert not (tmp_path / "new.cardata").exists()


def test_the_other_forms_are_inspected_too(tmp_path: Path) -> None:
    lines = tmp_path / "stream.jsonl"
    events = [event("WBY00000000000001", second, {SOC: 80 - second, MOVING: second > 2}) for second in range(5)]
    lines.write_text("".join(json.dumps(one) + "\n" for one in events) + "nonsense\n")
    contents = inspected(lines)
    [vehicle] = contents["vehicles"]
    soc, moving = vehicle["descriptors"][SOC], vehicle["descriptors"][MOVING]
    assert (soc["count"], soc["first"], soc["last"], soc["min"], soc["max"]) == (5, 80, 76, 76, 80)
    assert (moving["changes"], moving["distinct"]) == (1, 2)
    assert (contents["messages"], contents["unusable"]["count"]) == (5, 1)
    shown = run("inspect", str(lines)).stdout
    assert "█" in shown and max(map(len, shown.splitlines())) <= 100


def test_a_sandbox_ends_by_itself(tmp_path: Path) -> None:
    dev = Dev(tmp_path, *STILL, "--exit-after", "100ms")
    dev.launch()
    assert dev.ended() == 0
    assert not dev.ready_file.exists()
    assert "stopping" in dev.stderr
    for wrong in ("0s", "soon"):
        assert run("dev", "--exit-after", wrong).returncode == 2
