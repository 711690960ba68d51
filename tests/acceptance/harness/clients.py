"""MQTT clients that others wrote, each a process of its own that tests can command, question and kill.

`clients/README.md` has the protocol that the processes speak with the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from harness.closing import Closing
from harness.dev import PROJECT, Dev
from harness.login import Tokens
from harness.wait import wait_for

PROGRAMS = Path(__file__).resolve().parents[1] / "clients"
# Where `scripts/test` puts what it builds and installs for them.
BUILT = Path(os.environ.get("CARDATA_CLIENTS", PROJECT / "target" / "clients"))

# The connection of a persistent session may be away for so long.
EXPIRY_SECONDS = 600
AUTH_METHOD = "cardata-token"
SECONDS = 20.0

V3, V5 = "3.1.1", "5"


@dataclass(frozen=True)
class Kind:
    """A library with a version of MQTT and a transport, and what can be asked of it."""

    library: str
    version: str
    command: tuple[str, ...]
    over_websocket: bool = False
    # Whether it tells the CONNACK's flag, and what a DISCONNECT says.
    tells_session: bool = True
    tells_reason: bool = True
    # Whether a message of QoS 2 that comes again after a drop stays hidden from the application.
    delivers_qos_2_once: bool = True
    # Whether a drop makes it forget what it began to receive with QoS 2. Then it takes the second half of such a
    # message for a fault of the server, and ends each connection on which it comes.
    forgets_qos_2: bool = False
    # Whether it can send AUTH.
    reauthenticates: bool = False
    # One that takes no commands subscribes anew whenever it connects.
    takes_commands: bool = True

    @property
    def name(self) -> str:
        """A name for the test report."""
        return f"{self.library}-{self.version}" + ("-wss" if self.over_websocket else "")

    def port(self, dev: Dev) -> int:
        """Where it finds the server."""
        https = urlsplit(dev.ready.http_url).port
        assert https is not None
        return https if self.over_websocket else dev.ready.mqtt_port


@dataclass(frozen=True)
class Message:
    """A PUBLISH as the application got it."""

    topic: str
    payload: dict[str, Any]
    qos: int
    dup: bool
    retain: bool
    identifiers: tuple[int, ...] = ()
    user: tuple[tuple[str, str], ...] = ()

    def value(self, descriptor: str) -> Any:
        """A descriptor's value, `None` when it is not there."""
        return self.payload["data"].get(descriptor, {}).get("value")


@dataclass(frozen=True)
class End:
    """What the client knows of the end of a connection: nothing, or what DISCONNECT said."""

    code: int | None
    reason: str | None


@dataclass
class Heard:
    """What a process has told so far."""

    sessions_present: list[bool] = field(default_factory=list)
    refusals: list[int | None] = field(default_factory=list)
    granted: list[list[int]] = field(default_factory=list)
    # In the order of their arrival; snapshots apart.
    messages: list[Message] = field(default_factory=list)
    snapshots: list[Message] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    reauthentications: int = 0
    # What it told that nobody understands.
    fault: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Notes one event."""
        match event.pop("event"):
            case "connected":
                self.sessions_present.append(event["session_present"])
            case "refused":
                self.refusals.append(event["code"])
            case "subscribed":
                self.granted.append(event["granted"])
            case "message":
                message = Message(
                    topic=event["topic"],
                    payload=json.loads(event["payload"]),
                    qos=event["qos"],
                    dup=event["dup"],
                    retain=event["retain"],
                    identifiers=tuple(event["identifiers"]),
                    user=tuple((name, value) for name, value in event["user"]),
                )
                (self.snapshots if message.retain else self.messages).append(message)
            case "closed":
                self.ends.append(End(event["code"], event["reason"]))
            case "reauthenticated":
                self.reauthentications += 1
            case other:
                raise AssertionError(f"a client told {other!r}")


class Client(Closing):
    """One client of a kind: connects, subscribes, collects; is killed, and comes back as a new process."""

    def __init__(
        self,
        kind: Kind,
        dev: Dev,
        tokens: Tokens,
        name: str,
        *,
        port: int | None = None,
        reconnects: bool = False,
        reauthenticates: bool = False,
        topic_aliases: int = 0,
    ) -> None:
        self.kind = kind
        self.heard = Heard()
        self.stderr = dev.folder / f"{kind.name} {name}.log"
        self._settings: dict[str, Any] = {
            "host": dev.ready.mqtt_host,
            "port": port or kind.port(dev),
            "websocket_path": "/mqtt" if kind.over_websocket else None,
            "ca_file": dev.ready.ca_file,
            "user": tokens.gcid,
            "password": tokens.id,
            "client_id": name,
            "version": kind.version,
            "reconnects": reconnects,
            "expiry_seconds": EXPIRY_SECONDS,
            "auth_method": AUTH_METHOD if reauthenticates else None,
            "topic_aliases": topic_aliases,
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    # Its life.

    def connect(self) -> Self:
        """Starts the process and waits until the client is let in."""
        self.heard = Heard()
        self._start([json.dumps(self._settings)])
        self.wait(lambda: self.heard.sessions_present or self.heard.refusals, "a CONNACK")
        assert not self.heard.refusals, f"{self.kind.name} was refused with {self.heard.refusals}"
        return self

    def kill(self) -> None:
        """Ends the process as `kill -9` does; what the client had not acknowledged, it never will."""
        if self._process is None:
            return
        process, self._process = self._process, None
        # With all that it started.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert self._reader is not None
        self._reader.join()

    def resume(self, password: str | None = None) -> Self:
        """A new process under the same client identifier; `heard` begins anew."""
        self.kill()
        if password is not None:
            self._settings["password"] = password
        return self.connect()

    def connect_again(self, password: str) -> None:
        """The same process connects again after an end; `heard` goes on."""
        before = len(self.heard.sessions_present)
        self._command(do="connect", password=password)
        self.wait(lambda: len(self.heard.sessions_present) > before, "a second CONNACK")

    # What it does.

    def subscribe(self, topic_filter: str, qos: int = 1, identifier: int | None = None) -> Self:
        """Subscribes; less than was asked for is a failure."""
        before = len(self.heard.granted)
        self._command(do="subscribe", filter=topic_filter, qos=qos, identifier=identifier)
        self.wait(lambda: len(self.heard.granted) > before, "a SUBACK")
        assert self.heard.granted[-1] == [qos], f"{topic_filter} was granted {self.heard.granted[-1]}"
        return self

    def reauthenticate(self, token: str) -> None:
        """Sends a fresh token over the connection that is there, and waits for the answer."""
        before = self.heard.reauthentications
        self._command(do="reauthenticate", token=token)
        self.wait(lambda: self.heard.reauthentications > before, "AUTH with success")

    # What it can be asked.

    def values(self, descriptor: str) -> list[Any]:
        """All values of a descriptor so far, in order of arrival; those of snapshots are left out."""
        return [one.value(descriptor) for one in list(self.heard.messages)]

    def wait_for_value(self, descriptor: str, value: Any, seconds: float = SECONDS) -> None:
        """Waits until a value has come. Values tell events apart, so tests use each value once."""
        self.wait(lambda: value in self.values(descriptor), f"{descriptor} = {value}", seconds)

    def wait_until_closed(self, seconds: float = SECONDS) -> End:
        """Waits until the client knows that its connection has ended, and gives what it knows."""
        self.wait(lambda: self.heard.ends, "the end of the connection", seconds)
        return self.heard.ends[0]

    def wait(self, condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Waits until `condition` counts as true; a failure tells what the client heard and said."""

        def is_there() -> object:
            assert self.heard.fault is None, self.heard.fault
            return condition()

        wait_for(
            is_there,
            lambda: f"{what} at {self.kind.name}; heard: {self.heard}; said: {self.stderr.read_text()[-2000:]}",
            seconds,
        )

    # How it speaks with its process.

    def _start(self, arguments: list[str]) -> None:
        with self.stderr.open("ab") as err:
            self._process = subprocess.Popen(
                [*self._program(), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                start_new_session=True,
                # Node looks for MQTT.js there.
                env={**os.environ, "NODE_PATH": str(BUILT / "mqttjs" / "node_modules")},
            )
        self._reader = threading.Thread(target=self._read, args=(self._process, self.heard), daemon=True)
        self._reader.start()

    def _program(self) -> tuple[str, ...]:
        return self.kind.command

    def _read(self, process: subprocess.Popen[str], heard: Heard) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                # The last one of a process that was killed may be torn.
                if line.endswith("\n"):
                    self._take(line, heard)
        except Exception as error:  # noqa: BLE001 - told by `wait`
            heard.fault = f"{error!r} at {line!r}"

    def _take(self, line: str, heard: Heard) -> None:
        heard.take(json.loads(line))

    def _command(self, **command: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Kills it."""
        self.kill()


class MosquittoSub(Client):
    """mosquitto_sub, which takes no commands: it subscribes as soon as it is connected, each time anew.

    What it does not print is in its debug lines, but for the CONNACK's flag and reason strings. It comes back by itself
    only from some ends, so a loop starts it again, as a script of its user would.
    """

    LOOP = ("bash", "-c", 'while kill -0 $PPID; do "$@"; sleep 0.2; done', "again")

    PUBLISH = re.compile(r"Client \S+ received PUBLISH \(d(?P<dup>\d), q(?P<qos>\d), r\d, m(?P<mid>\d+),")
    SUBACK = re.compile(r"Subscribed \(mid: \d+\): (?P<granted>[\d, ]+)")
    DISCONNECT = re.compile(r"Received DISCONNECT \((?P<code>\d+)\)")
    REFUSED = re.compile(r"Connection error: ")

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._subscription: tuple[str, int, int | None] | None = None
        self._dups: dict[int, bool] = {}

    def connect(self) -> Self:
        """The process starts with the subscription; after a kill, with the one that it had."""
        self.heard = Heard()
        if self._subscription is not None:
            self._run(*self._subscription)
        return self

    def subscribe(self, topic_filter: str, qos: int = 1, identifier: int | None = None) -> Self:
        self._subscription = (topic_filter, qos, identifier)
        self._run(topic_filter, qos, identifier)
        assert self.heard.granted[-1] == [qos], f"{topic_filter} was granted {self.heard.granted[-1]}"
        return self

    def _program(self) -> tuple[str, ...]:
        return (*self.LOOP, *self.kind.command) if self._settings["reconnects"] else self.kind.command

    def _run(self, topic_filter: str, qos: int, identifier: int | None) -> None:
        of = self._settings
        arguments = ["-h", of["host"], "-p", str(of["port"]), "--cafile", of["ca_file"]]
        arguments += ["-u", of["user"], "-P", of["password"], "-i", of["client_id"], "-c"]
        arguments += ["-q", str(qos), "-t", topic_filter, "-d", "-F", "%j"]
        if self.kind.version == V5:
            arguments += ["-V", "mqttv5", "-x", str(of["expiry_seconds"])]
            if identifier is not None:
                arguments += ["-D", "subscribe", "subscription-identifier", str(identifier)]
        self._start(arguments)
        self.wait(lambda: self.heard.granted or self.heard.refusals, "a SUBACK")
        assert not self.heard.refusals, self.stderr.read_text()

    def _read(self, process: subprocess.Popen[str], heard: Heard) -> None:
        super()._read(process, heard)
        heard.ends.append(End(None, None))

    def _take(self, line: str, heard: Heard) -> None:
        if line.startswith("{"):
            self._take_message(json.loads(line), heard)
        elif publish := self.PUBLISH.match(line):
            self._dups[int(publish["mid"])] = publish["dup"] == "1"
        elif suback := self.SUBACK.match(line):
            heard.granted.append([int(code) for code in suback["granted"].split(",")])
        elif disconnect := self.DISCONNECT.match(line):
            heard.ends.append(End(int(disconnect["code"]), None))
        elif self.REFUSED.match(line):
            heard.refusals.append(None)

    def _take_message(self, printed: dict[str, Any], heard: Heard) -> None:
        properties = printed.get("properties", {})
        identifier = properties.get("subscription-identifier")
        heard.take(
            {
                "event": "message",
                "topic": printed["topic"],
                "payload": printed["payload"],
                "qos": printed["qos"],
                "dup": self._dups[printed.get("mid", 0)],
                "retain": bool(printed["retain"]),
                "identifiers": [] if identifier is None else [identifier],
                "user": list(properties.get("user-properties", {}).items()),
            }
        )


def _python(program: str) -> tuple[str, ...]:
    return (sys.executable, str(PROGRAMS / program))


_PAHO = _python("with_paho.py")
_AIOMQTT = _python("with_aiomqtt.py")
_GMQTT = _python("with_gmqtt.py")
_MQTT_JS = ("node", str(PROGRAMS / "mqttjs" / "client.js"))
_RUMQTTC = (str(BUILT / "debug" / "client-rumqttc"),)
# Line by line, also into a pipe.
_MOSQUITTO = ("stdbuf", "-oL", "mosquitto_sub")

KINDS = (
    Kind("paho-mqtt", V3, _PAHO, tells_reason=False),
    Kind("paho-mqtt", V5, _PAHO),
    Kind("paho-mqtt", V5, _PAHO, over_websocket=True),
    Kind("aiomqtt", V3, _AIOMQTT, tells_reason=False),
    Kind("aiomqtt", V5, _AIOMQTT),
    Kind("gmqtt", V5, _GMQTT, delivers_qos_2_once=False),
    Kind("MQTT.js", V3, _MQTT_JS, tells_reason=False),
    Kind("MQTT.js", V5, _MQTT_JS, reauthenticates=True),
    Kind("MQTT.js", V3, _MQTT_JS, over_websocket=True, tells_reason=False),
    Kind("MQTT.js", V5, _MQTT_JS, over_websocket=True, reauthenticates=True),
    Kind("mosquitto_sub", V3, _MOSQUITTO, tells_session=False, tells_reason=False, takes_commands=False),
    Kind("mosquitto_sub", V5, _MOSQUITTO, tells_session=False, tells_reason=False, takes_commands=False),
    Kind("rumqttc", V3, _RUMQTTC, tells_reason=False, delivers_qos_2_once=False, forgets_qos_2=True),
    Kind("rumqttc", V5, _RUMQTTC, delivers_qos_2_once=False, forgets_qos_2=True),
)


def client(kind: Kind, *arguments: Any, **settings: Any) -> Client:
    """A client of that kind, not yet connected."""
    made = MosquittoSub if kind.library == "mosquitto_sub" else Client
    return made(kind, *arguments, **settings)
