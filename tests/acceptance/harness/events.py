"""Events as a vehicle would send them, put in through the operator's ingest door."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.dev import Dev
from harness.http import Response

BEGIN = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)


def at(second: float) -> str:
    """An instant, `second` seconds after the tests' zero, in the stream's form."""
    instant = BEGIN + timedelta(seconds=second)
    digits = f".{instant.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{instant:%Y-%m-%dT%H:%M:%S}{digits}Z"


def event(vin: str, second: float, values: dict[str, Any]) -> dict[str, Any]:
    """An event with a value for each descriptor; a pair is a value with its unit."""
    data: dict[str, Any] = {}
    for descriptor, value in values.items():
        entry: dict[str, Any] = {"timestamp": at(second)}
        if isinstance(value, tuple):
            entry["value"], entry["unit"] = value
        else:
            entry["value"] = value
        data[descriptor] = entry
    return {"vin": vin, "timestamp": at(second), "data": data}


def post(dev: Dev, lines: bytes, token: str | None = None) -> Response:
    """Sends JSON lines to ingest, as the operator unless told otherwise."""
    return dev.http(
        "POST",
        "/ingest/v1/events",
        token=dev.ready.admin_token if token is None else token,
        headers={"Content-Type": "application/x-ndjson"},
        body=lines,
    )


def inject(dev: Dev, *events: dict[str, Any]) -> None:
    """Puts events in; when this returns, they are durable."""
    answer = post(dev, b"".join(json.dumps(one).encode() + b"\n" for one in events))
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    told = answer.json
    # The same event a second time would reach nobody.
    assert (told["accepted"], told["repeated"]) == (len(events), 0), told
    assert (told["refused"], told["entries_refused"]) == ([], []), told
