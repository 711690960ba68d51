"""The real binary: `cardata dev` in a data folder of its own, on free ports of the loopback interface."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.http import Response, request
from harness.wait import wait_for

PROJECT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("CARDATA_BINARY", PROJECT / "target" / "debug" / "cardata"))

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Vehicle:
    """A vehicle as the ready file tells it."""

    vin: str
    model: str
    drivetrain: str


@dataclass(frozen=True)
class Customer:
    """A demo customer as the ready file tells it."""

    email: str
    password: str
    gcid: str
    client_id: str
    vehicles: tuple[Vehicle, ...]

    @property
    def vin(self) -> str:
        """The first vehicle's number."""
        return self.vehicles[0].vin

    @property
    def every_vehicle(self) -> str:
        """The topic filter for all of the customer's vehicles."""
        return f"{self.gcid}/+"

    def topic(self, vin: str | None = None) -> str:
        """The topic of one vehicle, the first one unless told."""
        return f"{self.gcid}/{vin or self.vin}"


@dataclass(frozen=True)
class Ready:
    """The ready file, with every field that it promises."""

    http_url: str
    mqtt_host: str
    mqtt_port: int
    vehicles_mqtt_port: int
    admin_url: str
    admin_token: str
    ca_file: str
    customers: tuple[Customer, ...]

    @staticmethod
    def parse(text: str) -> Ready:
        """Reads the file's text; a missing field is an error, further ones are not."""
        fields: dict[str, Any] = json.loads(text)
        customers = tuple(
            Customer(
                email=customer["email"],
                password=customer["password"],
                gcid=customer["gcid"],
                client_id=customer["client_id"],
                vehicles=tuple(
                    Vehicle(vehicle["vin"], vehicle["model"], vehicle["drivetrain"])
                    for vehicle in customer["vehicles"]
                ),
            )
            for customer in fields["customers"]
        )
        return Ready(
            http_url=fields["http_url"],
            mqtt_host=fields["mqtt_host"],
            mqtt_port=fields["mqtt_port"],
            vehicles_mqtt_port=fields["vehicles_mqtt_port"],
            admin_url=fields["admin_url"],
            admin_token=fields["admin_token"],
            ca_file=fields["ca_file"],
            customers=customers,
        )


class Dev:
    """One `cardata dev`: started, stopped, killed and started again on the same ports."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.flags = list(flags)
        self.data_dir = folder / "data"
        self.ready_file = folder / "ready.json"
        self._addresses = dict.fromkeys(("http", "mqtt", "vehicles-mqtt", "admin"), "127.0.0.1:0")
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None

    @property
    def ready(self) -> Ready:
        """What the ready file told."""
        assert self._ready is not None, "the server was not started"
        return self._ready

    @property
    def first(self) -> Customer:
        """The first demo customer, with two vehicles."""
        return self.ready.customers[0]

    @property
    def second(self) -> Customer:
        """The second demo customer, with one vehicle."""
        return self.ready.customers[1]

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Dev:
        """Starts the server and waits until it says that everything accepts connections."""
        self.launch()
        wait_for(self._read_ready, "the ready file", START_SECONDS)
        return self

    def launch(self) -> None:
        """Starts the server without waiting."""
        assert self._process is None, "it runs already"
        self.ready_file.unlink(missing_ok=True)
        command = [str(BINARY), "dev", "--data-dir", str(self.data_dir)]
        for listener, address in self._addresses.items():
            command += [f"--{listener}", address]
        command += ["--ready-file", str(self.ready_file), *self.flags]
        with self._log("stdout").open("ab") as out, self._log("stderr").open("ab") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(),
                cwd=self.folder,
            )

    def _read_ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"cardata dev ended with {code} at once: {self.stderr[-2000:]}"
        if not self.ready_file.exists():
            return False
        self._ready = Ready.parse(self.ready_file.read_text())
        self._addresses = {
            "http": _loopback(urlsplit(self._ready.http_url).port),
            "mqtt": _loopback(self._ready.mqtt_port),
            "vehicles-mqtt": _loopback(self._ready.vehicles_mqtt_port),
            "admin": _loopback(urlsplit(self._ready.admin_url).port),
        }
        return True

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the end; gives the exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"still there {STOP_SECONDS} s after {number.name}") from None

    def ended(self) -> int:
        """Waits for the server to end by itself; gives the exit code."""
        assert self._process is not None
        code = self._process.wait(START_SECONDS + STOP_SECONDS)
        self._process = None
        return code

    def stop(self) -> None:
        """Ends the server as an operator would; it must end well and in time."""
        assert self.signal(signal.SIGTERM) == 0, self.stderr[-2000:]

    def kill(self) -> None:
        """Ends the server as a power cut would."""
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        """Ends whatever still runs, however."""
        if self._process is not None:
            self.kill()

    @property
    def stdout(self) -> str:
        """What it told the person at the terminal, over all starts."""
        return self._log("stdout").read_text()

    @property
    def stderr(self) -> str:
        """Its log, over all starts."""
        return self._log("stderr").read_text()

    def _log(self, stream: str) -> Path:
        return self.folder / f"{stream}.log"

    def tls(self) -> ssl.SSLContext:
        """Trusts this server's own authority and nothing else, and checks host names."""
        return ssl.create_default_context(cafile=self.ready.ca_file)

    def certificate(self, vin: str) -> tuple[str, str]:
        """The files of a demo vehicle's certificate and key."""
        own = self.data_dir / "vehicles" / vin
        return f"{own}.pem", f"{own}.key"

    def http(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json_body: Any = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """A request to the public HTTPS listener; `path` may be a whole address."""
        url = path if "://" in path else self.ready.http_url + path
        return request(
            method, url, self.tls(), token=token, json_body=json_body, form=form, headers=headers, body=body
        )

    def admin(self, method: str, path: str, json_body: Any = None) -> Response:
        """A request to the operator's listener, as the operator."""
        return request(
            method, self.ready.admin_url + path, None, token=self.ready.admin_token, json_body=json_body
        )


def run(*arguments: str, cwd: Path | None = None, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Runs another command of the binary to its end."""
    return subprocess.run(
        [str(BINARY), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=cwd,
        check=False,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    ours = ("CARDATA_", "RUST_LOG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _loopback(port: int | None) -> str:
    assert port, "the ready file tells a port"
    return f"127.0.0.1:{port}"
