"""What the real service does not have: latest values, history, trips, and events over HTTPS."""

from __future__ import annotations

import csv
import http.client
import io
import json
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from conftest import STILL, StartDev
from harness import recordings
from harness.descriptors import LATITUDE, MOVING, ODOMETER, SOC
from harness.dev import Dev, run
from harness.events import at, event, inject
from harness.login import Tokens, log_in
from harness.rest import create_container


@pytest.fixture
def dev(start_dev: StartDev) -> Dev:
    """A sandbox whose vehicles stand still."""
    return start_dev(*STILL)


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens."""
    return log_in(dev, dev.first)


class Events:
    """A reader of server-sent events, as the standard describes one."""

    def __init__(self, dev: Dev, tokens: Tokens, last: str | None = None) -> None:
        url = urlsplit(dev.ready.http_url)
        self.connection = http.client.HTTPSConnection("localhost", url.port, timeout=30, context=dev.tls())
        headers = {"Authorization": f"Bearer {tokens.access}"} | ({"Last-Event-ID": last} if last else {})
        self.connection.request("GET", "/v2/events", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.last = last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def next(self) -> tuple[str, Any] | None:
        """The next event's name and data; nothing when the stream is over."""
        name, data = "message", ""
        while line := self.answer.readline().decode():
            field, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data += value
            elif field == "id":
                self.last = value
            elif line == "\n" and data:
                return name, json.loads(data)
        return None


def test_events_go_on_after_a_kill_where_the_client_stopped(dev: Dev, tokens: Tokens) -> None:
    create_container(dev, tokens, SOC)
    vin = dev.first.vin
    with Events(dev, tokens) as events:
        inject(dev, *(event(vin, second, {SOC: second, ODOMETER: 1}) for second in range(10)))
        seen = []
        while len(seen) < 10:
            got = events.next()
            assert got is not None
            if got[0] == "telemetry":
                assert got[1]["data"].keys() == {SOC}
                seen.append(got[1]["data"][SOC]["value"])
    assert seen == list(range(10))
    inject(dev, *(event(vin, second, {SOC: second}) for second in range(10, 300)))
    dev.kill()
    dev.start()
    with Events(dev, tokens, events.last) as resumed:
        for second in range(10, 300):
            got = resumed.next()
            assert got is not None
            assert (got[0], got[1]["data"][SOC]["value"]) == ("telemetry", second)
        inject(dev, event(vin, 300, {SOC: 300}))
        got = resumed.next()
        assert got is not None
        assert got[1]["data"][SOC]["value"] == 300


def test_a_server_that_stops_says_so(dev: Dev, tokens: Tokens) -> None:
    with Events(dev, tokens) as events:
        dev.stop()
        got = events.next()
        while got is not None and got[0] == "snapshot":
            got = events.next()
        assert got is not None
        assert got[0] == "end"
        assert events.next() is None


def test_a_recorded_drive_is_a_trip_and_its_history_comes_in_three_forms(
    dev: Dev, tokens: Tokens, tmp_path: Path
) -> None:
    create_container(dev, tokens, SOC, ODOMETER, MOVING, LATITUDE)
    file = recordings.drive(tmp_path, "TripA05", 1367)
    rows = recordings.rows(file)
    start = at(0)
    command = ["replay", str(file), "--vin", dev.first.vin, "--ready-file", str(dev.ready_file)]
    ended = run(*command, "--speed", "100000", "--start", start, seconds=300)
    assert ended.returncode == 0, ended.stderr
    end = at(rows[-1].second + 86400)
    path = f"/v2/vehicles/{dev.first.vin}"
    query = f"from={start}&to={end}"

    body = dev.http("GET", f"{path}/trips?{query}", token=tokens.access).json
    driven = sum(row.speed_kmh for row in rows) / 3600
    assert sum(trip["distance"] for trip in body["trips"]) == pytest.approx(driven, abs=0.2)
    assert body["distanceUnit"] == "km"
    moving = [row.second for row in rows if row.speed_kmh > 0]
    assert body["trips"][0]["startTime"] >= at(moving[0] - 1)[:19]
    assert body["trips"][-1]["endTime"] <= at(moving[-1] + 120)

    lines, address = [], f"{path}/history?{query}&limit=1000"
    while address:
        answer = dev.http("GET", address, token=tokens.access)
        assert answer.status == 200, answer.text
        lines += [json.loads(line) for line in answer.text.splitlines()]
        link = answer.headers.get("Link", "")
        address = link.partition(">")[0].removeprefix("<")
    odometer = [line["value"] for line in lines if line["descriptor"] == ODOMETER]
    assert len(odometer) == len(rows)
    assert odometer == sorted(odometer)

    whole = f"{path}/history?{query}&limit=100000"
    table = dev.http("GET", whole, token=tokens.access, headers={"Accept": "text/csv"}).text
    records = list(csv.DictReader(io.StringIO(table)))
    assert len(records) == len(lines)
    assert [record["descriptor"] for record in records] == [line["descriptor"] for line in lines]
    parquet = dev.http("GET", f"{whole}&format=parquet", token=tokens.access).body
    assert (parquet[:4], parquet[-4:]) == (b"PAR1", b"PAR1")

    latest = dev.http("GET", f"/v2/latest?vin={dev.first.vin}", token=tokens.access).json
    assert latest["vehicles"][0]["data"][ODOMETER]["value"] == odometer[-1]
