"""The operator's door for events: what is accepted is durable, what is not is named."""

from __future__ import annotations

import gzip
import json

from harness.descriptors import ODOMETER, SOC, TRUNK
from harness.dev import Dev
from harness.events import event, inject, post
from harness.http import Response
from harness.login import log_in
from harness.metrics import total
from harness.rest import create_container, telematic_data
from harness.stream import subscriber


def test_an_accepted_event_survives_a_kill_right_after_the_answer(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, ODOMETER)
    for kilometre in range(1, 4):
        inject(dev, event(dev.first.vin, kilometre, {ODOMETER: (kilometre, "km")}))
        dev.kill()
        dev.start()
        told = telematic_data(dev, tokens, dev.first.vin, container_id)
        assert told[ODOMETER]["value"] == str(kilometre)


def test_a_stranger_puts_nothing_in(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC)
    line = json.dumps(event(dev.first.vin, 1, {SOC: 1})).encode()
    for token in ("", "wrong", tokens.access, tokens.id):
        assert post(dev, line, token).status in (401, 403), token
    assert dev.http("POST", "/ingest/v1/events", body=line).status in (401, 403)
    told = telematic_data(dev, tokens, dev.first.vin, container_id)
    assert told[SOC]["value"] is None


def test_an_entry_that_cannot_be_used_is_named_and_the_rest_counts(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC, ODOMETER)
    bad = event(dev.first.vin, 1, {SOC: 50, ODOMETER: None, "no descriptor": 1})
    answer = post(dev, json.dumps(bad).encode())
    assert answer.status < 300, answer.body
    assert ODOMETER in answer.text and "no descriptor" in answer.text
    told = telematic_data(dev, tokens, dev.first.vin, container_id)
    assert (told[SOC]["value"], told[ODOMETER]["value"]) == ("50", None)


def test_a_line_that_is_no_event_is_refused_by_number_and_the_others_count(dev: Dev) -> None:
    vin = dev.first.vin.encode()
    good = json.dumps(event(dev.first.vin, 1, {SOC: 1})).encode()
    for bad in (
        b"not json",
        b"[]",
        b'{"vin":"short","timestamp":"2026-03-01T08:00:00Z","data":{}}',
        b'{"vin":"%s","timestamp":"noon","data":{}}' % vin,
        b'{"vin":"%s","timestamp":"2026-03-01T08:00:00Z","data":{}}' % vin,
        b"\xff\xfe",
        b"[" * 100_000,
    ):
        alone = post(dev, bad)
        assert alone.status == 400, bad[:80]
        mixed = post(dev, good + b"\n" + bad + b"\n" + good)
        assert mixed.status == 200, bad[:80]
        assert mixed.json["accepted"] == 2
        assert [line["line"] for line in mixed.json["refused"]] == [2]
    assert post(dev, b"").status == 400
    inject(dev, event(dev.first.vin, 2, {SOC: 2}))


def test_an_older_value_never_replaces_a_newer_one(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC, TRUNK)
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=1) as stream:
        inject(dev, event(dev.first.vin, 100, {SOC: 60}))
        inject(dev, event(dev.first.vin, 50, {SOC: 61, TRUNK: True}))
        # The stream shows what came, in the order in which it came, with the vehicle's times.
        stream.wait_for_value(SOC, 61)
        assert stream.values(SOC) == [60, 61]
    told = telematic_data(dev, tokens, dev.first.vin, container_id)
    assert (told[SOC]["value"], told[SOC]["timestamp"]) == ("60", "2026-03-01T08:01:40.000Z")
    assert told[TRUNK]["value"] == "true"


def test_a_vehicle_that_is_nobodys_reaches_nobody(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    with subscriber(dev, tokens, [f"{dev.first.gcid}/#"], qos=1) as stream:
        post(dev, json.dumps(event("WBY99999999999999", 1, {SOC: 1})).encode())
        inject(dev, event(dev.second.vin, 2, {SOC: 2}))
        inject(dev, event(dev.first.vin, 3, {SOC: 3}))
        stream.wait_for_value(SOC, 3)
        assert stream.values(SOC) == [3]


def test_a_source_reports_with_its_own_key_and_what_it_sends_again_counts_once(dev: Dev) -> None:
    added = dev.admin("POST", "/admin/v1/sources", {"name": "back office", "vins": [dev.first.vin]})
    assert added.status == 201, added.body
    key = added.json["key"]
    lines = [event(dev.first.vin, 1, {SOC: 1}), event(dev.second.vin, 1, {SOC: 9}), event(dev.first.vin, 2, {SOC: 2})]
    body = gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in lines))

    def send(name: str, content: bytes = body) -> Response:
        headers = {"Content-Encoding": "gzip", "Idempotency-Key": name}
        return dev.http("POST", "/ingest/v1/events", token=key, headers=headers, body=content)

    first = send("a")
    assert (first.status, first.json["accepted"], first.json["repeated"]) == (200, 2, 0), first.body
    assert [line["line"] for line in first.json["refused"]] == [2]
    dev.kill()
    dev.start()
    again = send("a")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (first.body, "true")
    # Without its name it is judged anew; the events are known from before the crash.
    assert (send("b").json["accepted"], send("b").json["repeated"]) == (2, 2)
    assert send("a", gzip.compress(b"another")).status == 422
    assert send("c", body[: len(body) // 2]).status == 422
    assert send("d", gzip.compress(bytes(16 << 20))).status == 413
    assert total(dev, "cardata_ingest_events_total", source="https", outcome="accepted") == 0
    assert total(dev, "cardata_ingest_events_total", source="https", outcome="repeated") == 2
    assert dev.admin("DELETE", "/admin/v1/sources/back%20office").status == 200
    assert send("e").status == 401
