"""A CarData sandbox for your tests. Copy this file beside them; it needs pytest and the program `cardata`.

The fixture `cardata` uses the sandbox that CARDATA_READY_FILE names, where that is set, and else starts one of its own
for the whole run, on free ports and in a folder that is gone afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 30


@dataclass(frozen=True)
class Sandbox:
    """A running `cardata dev`: what its ready file tells, and what tests need of it."""

    program: str
    ready_file: Path
    ready: dict[str, Any]

    @property
    def customer(self) -> dict[str, Any]:
        """The first demo customer: email, password, gcid, client_id and vehicles."""
        customer: dict[str, Any] = self.ready["customers"][0]
        return customer

    @property
    def vin(self) -> str:
        """The customer's first vehicle."""
        return str(self.customer["vehicles"][0]["vin"])

    def run(self, *arguments: str) -> str:
        """Runs a command of `cardata` against this sandbox and gives what it prints."""
        command = [self.program, *arguments, "--ready-file", str(self.ready_file)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()

    def token(self, kind: str = "id") -> str:
        """A fresh token of the customer: `id` is the password on the stream, `access` opens the REST API."""
        return self.run("token", "--kind", kind)

    def container(self, *descriptors: str) -> str:
        """Lets the customer's client see these signals, and gives the container's id."""
        return self.run("container", "create", "--name", "tests", "--purpose", "tests", *descriptors)

    def tls(self) -> ssl.SSLContext:
        """Trusts the sandbox and nothing else."""
        return ssl.create_default_context(cafile=self.ready["ca_file"])

    def send(self, values: dict[str, Any], vin: str | None = None) -> None:
        """Lets a vehicle say these values, now. When this returns, they are on their way to all who may see them."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = {name: {"timestamp": at, "value": value} for name, value in values.items()}
        event = json.dumps({"vin": vin or self.vin, "timestamp": at, "data": data})
        request = urllib.request.Request(
            f"{self.ready['http_url']}/ingest/v1/events",
            event.encode(),
            {"Authorization": f"Bearer {self.ready['admin_token']}", "Content-Type": "application/x-ndjson"},
        )
        with urllib.request.urlopen(request, context=self.tls(), timeout=30) as answer:
            told = json.load(answer)
        assert told["accepted"] == 1, told


@pytest.fixture(scope="session")
def cardata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox in which vehicles say only what tests let them say."""
    program = os.environ.get("CARDATA", "cardata")
    assert shutil.which(program), f"{program} is not there: put it on the PATH, or name it in CARDATA"
    running = os.environ.get("CARDATA_READY_FILE")
    if running:
        ready_file = Path(running)
        yield Sandbox(program, ready_file, json.loads(ready_file.read_text()))
        return
    folder = tmp_path_factory.mktemp("cardata")
    ready_file = folder / "ready.json"
    listeners = [f"--{name}=127.0.0.1:0" for name in ("http", "mqtt", "vehicles-mqtt", "admin")]
    # --exit-after: should this process be killed, the sandbox does not stay for ever.
    command = [program, "dev", "--data-dir", str(folder / "data"), "--ready-file", str(ready_file), *listeners]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--vehicles", "0", "--exit-after", "1h"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sandbox did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield Sandbox(program, ready_file, json.loads(ready_file.read_text()))
    finally:
        process.terminate()
        process.wait(30)
