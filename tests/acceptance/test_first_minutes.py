"""A newcomer's first minutes: the lines that `cardata dev` prints work as they are, and a car is seen moving."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import StartDev
from harness.descriptors import LATITUDE, LONGITUDE, ODOMETER, SOC
from harness.dev import Dev, run
from harness.login import claims, log_in
from harness.rest import create_container
from harness.stream import subscriber
from harness.wait import wait_for

SHOWN = {SOC, ODOMETER, LATITUDE, LONGITUDE}


def printed_lines(dev: Dev) -> tuple[str, str]:
    """The line that registers a container, and the one that streams, as a person would copy them."""
    lines = [line.strip() for line in dev.stdout.splitlines()]
    registering = [line for line in lines if " container create " in line]
    streaming = [line for line in lines if line.startswith("mosquitto_sub ")]
    assert len(registering) == len(streaming) == 1, dev.stdout
    return registering[0], streaming[0]


class Terminal:
    """Another terminal: a shell in another folder, into which one line is pasted."""

    def __init__(self, line: str, folder: Path) -> None:
        self._output = folder / "terminal.log"
        with self._output.open("wb") as out:
            self._shell = subprocess.Popen(
                ["bash", "-c", line],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        """What it shows."""
        return self._output.read_text()

    def messages(self) -> list[dict[str, Any]]:
        """The stream messages in it, one a line, with or without their topics in front."""
        found = [line[line.index("{") :] for line in self.output().splitlines() if "{" in line]
        return [json.loads(line) for line in found if line.endswith("}")]

    def has_ended(self) -> bool:
        """Whether the command is over."""
        return self._shell.poll() is not None

    def close(self) -> None:
        """Presses Ctrl-C as often as it takes."""
        if not self.has_ended():
            os.killpg(self._shell.pid, 9)
            self._shell.wait()


def test_the_printed_lines_register_a_container_and_show_a_car_that_moves(
    start_dev: StartDev, tmp_path: Path
) -> None:
    dev = start_dev("--speed", "60")
    registering, streaming = printed_lines(dev)
    registered = subprocess.run(
        ["bash", "-c", registering],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert registered.returncode == 0, registered.stdout + registered.stderr
    terminal = Terminal(streaming, tmp_path)
    try:

        def places() -> list[tuple[str, float]]:
            assert not terminal.has_ended(), terminal.output()
            messages = terminal.messages()
            return [(one["vin"], one["data"][LATITUDE]["value"]) for one in messages if LATITUDE in one["data"]]

        wait_for(
            lambda: any(len({place for vin, place in places() if vin == own}) >= 3 for own, _ in places()),
            lambda: f"a car at three places; the terminal shows {terminal.output()[-2000:]}",
            seconds=60,
        )
        messages = terminal.messages()
    finally:
        terminal.close()
    assert {name for one in messages for name in one["data"]} <= SHOWN
    assert {one["vin"] for one in messages} <= {vehicle.vin for vehicle in dev.first.vehicles}


def test_what_is_printed_names_everything_that_a_newcomer_needs(dev: Dev) -> None:
    told = dev.stdout
    ready = dev.ready
    for word in [ready.http_url, str(ready.mqtt_port), ready.ca_file, ready.admin_url]:
        assert word in told, f"{word} is missing: {told}"
    for customer in ready.customers:
        for word in (customer.email, customer.password, customer.gcid, customer.client_id):
            assert word in told, f"{word} is missing: {told}"
        for vehicle in customer.vehicles:
            assert vehicle.vin in told


def test_the_token_command_prints_a_fresh_token_and_nothing_else(dev: Dev) -> None:
    for customer in (dev.first, dev.second):
        ended = run("token", "--data-dir", str(dev.data_dir), "--email", customer.email)
        assert ended.returncode == 0, ended.stderr
        assert claims(ended.stdout.strip())["gcid"] == customer.gcid
        assert len(ended.stdout.split()) == 1
    ended = run("token", "--data-dir", str(dev.data_dir), "--email", "nobody@example.com")
    assert ended.returncode not in (0, 101) and ended.stdout == ""
    assert dev.first.email in ended.stderr, "it does not say whom there is"


def test_mosquitto_sub_is_refused_with_a_reason_when_the_token_is_wrong(dev: Dev, tmp_path: Path) -> None:
    ended = subprocess.run(
        ["mosquitto_sub", "--cafile", dev.ready.ca_file, "-h", "localhost", "-p", str(dev.ready.mqtt_port)]
        + ["-u", dev.first.gcid, "-P", "wrong", "-t", dev.first.every_vehicle],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 4, ended.stderr
    assert "bad user name or password" in ended.stderr.lower()


@pytest.mark.parametrize("vehicles", [1, 20])
def test_so_many_vehicles_drive_as_were_asked_for(start_dev: StartDev, vehicles: int) -> None:
    dev = start_dev("--vehicles", str(vehicles), "--speed", "100", "--seed", "7")
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC, ODOMETER)
    with subscriber(dev, tokens, [dev.first.topic()]) as stream:
        stream.wait_for_message(lambda one: ODOMETER in one.data or SOC in one.data, "a report", 30)
