"""Containers scope the stream: what they name arrives, and nothing else, from the moment they are made or deleted."""

from __future__ import annotations

from typing import Any

from harness.descriptors import LATITUDE, NOT_STREAMABLE, ODOMETER, SOC, TRUNK
from harness.dev import Dev
from harness.events import event, inject
from harness.login import log_in, register_client
from harness.rest import create_container, delete_container, telematic_data
from harness.stream import Subscriber, subscriber


def test_a_container_made_while_connected_counts_from_its_answer_on(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
        inject(dev, event(dev.first.vin, 1, {SOC: 1, ODOMETER: 1}))
        create_container(dev, tokens, ODOMETER)
        inject(dev, event(dev.first.vin, 2, {SOC: 2, ODOMETER: 2}))
        last = stream.wait_for_value(SOC, 2)
        assert last.value(ODOMETER) == 2
        assert stream.values(ODOMETER) == [2]


def test_a_container_deleted_while_connected_counts_until_its_answer(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    doomed = create_container(dev, tokens, ODOMETER)
    with subscriber(dev, tokens, [dev.first.every_vehicle], qos=1) as stream:
        inject(dev, event(dev.first.vin, 1, {SOC: 1, ODOMETER: 1}))
        stream.wait_for_value(ODOMETER, 1)
        delete_container(dev, tokens, doomed)
        inject(dev, event(dev.first.vin, 2, {SOC: 2, ODOMETER: 2}))
        inject(dev, event(dev.first.vin, 3, {ODOMETER: 3}))
        inject(dev, event(dev.first.vin, 4, {SOC: 4, ODOMETER: 4}))
        assert set(stream.wait_for_value(SOC, 4).data) == {SOC}
        assert stream.values(ODOMETER) == [1]
        # An event of which nothing may be seen leaves no trace.
        assert stream.values(SOC) == [1, 2, 4]


def test_without_a_container_a_subscription_stands_but_nothing_arrives(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
        inject(dev, event(dev.first.vin, 1, {SOC: 1}))
        create_container(dev, tokens, SOC)
        inject(dev, event(dev.first.vin, 2, {SOC: 2}))
        stream.wait_for_value(SOC, 2)
        assert len(stream.seen()) == 1


def test_an_event_comes_once_where_containers_and_subscriptions_overlap(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC, ODOMETER, name="one")
    create_container(dev, tokens, SOC, name="two")
    filters = [dev.first.topic(), dev.first.every_vehicle, f"{dev.first.gcid}/#"]
    with subscriber(dev, tokens, filters, qos=1) as stream:
        for number in range(1, 6):
            inject(dev, event(dev.first.vin, number, {SOC: number, ODOMETER: number}))
        stream.wait_for_value(SOC, 5)
        assert stream.values(SOC) == [1, 2, 3, 4, 5]


def test_a_deleted_container_stops_the_backlog_too(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    doomed = create_container(dev, tokens, ODOMETER)
    session: dict[str, Any] = {"mqtt_client_id": "sleeper", "clean": False}
    subscriber(dev, tokens, [dev.first.every_vehicle], qos=1, **session).disconnect()
    inject(dev, event(dev.first.vin, 1, {SOC: 1, ODOMETER: 1}))
    delete_container(dev, tokens, doomed)
    inject(dev, event(dev.first.vin, 2, {SOC: 2}))
    with Subscriber(dev, tokens, **session).connect() as stream:
        stream.wait_for_value(SOC, 2)
        assert stream.values(SOC) == [1, 2]
        assert stream.values(ODOMETER) == []


def test_containers_belong_to_one_client_of_one_customer(dev: Dev) -> None:
    first = log_in(dev, dev.first)
    other = log_in(dev, dev.first, client_id=register_client(dev, dev.first))
    foreign = log_in(dev, dev.second)
    container_id = create_container(dev, first, SOC)
    for stranger in (other, foreign):
        assert dev.http("GET", "/customers/containers", token=stranger.access).json == {"containers": []}
        for method in ("GET", "DELETE"):
            answer = dev.http(method, f"/customers/containers/{container_id}", token=stranger.access)
            assert (answer.status, answer.json["exveErrorId"]) == (403, "CU-105")
    assert dev.http("GET", f"/customers/containers/{container_id}", token=first.access).status == 200


def test_what_cannot_be_streamed_comes_by_rest_only(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, NOT_STREAMABLE, TRUNK)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
        inject(dev, event(dev.first.vin, 1, {NOT_STREAMABLE: "SECURED"}))
        inject(dev, event(dev.first.vin, 2, {NOT_STREAMABLE: "LOCKED", TRUNK: True}))
        stream.wait_for_value(TRUNK, True)
        assert stream.descriptors() == {TRUNK}
    told = telematic_data(dev, tokens, dev.first.vin, container_id)
    assert told[NOT_STREAMABLE]["value"] == "LOCKED"


def test_a_signal_that_no_catalogue_lists_can_be_contained_once_a_vehicle_sent_it(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    new = "vehicle.cabin.seat.row1.driver.massageLevel"
    inject(dev, event(dev.first.vin, 1, {new: 1}))
    create_container(dev, tokens, new)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as stream:
        inject(dev, event(dev.first.vin, 2, {new: 2, LATITUDE: (48.1, "degrees")}))
        assert set(stream.wait_for_value(new, 2).data) == {new}


def test_a_message_has_the_streams_form_to_the_byte(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, LATITUDE, TRUNK)
    vin, gcid = dev.first.vin, dev.first.gcid
    with subscriber(dev, tokens, [dev.first.topic()]) as stream:
        # Digits stay as the vehicle gave them; a unit is there or the key is not; fractions lose trailing zeros.
        line = (
            f'{{"vin":"{vin}","timestamp":"2026-03-01T08:00:01.610Z","data":{{'
            f'"{LATITUDE}":{{"timestamp":"2026-03-01T08:00:01Z","value":50.1234567890,"unit":"degrees"}},'
            f'"{TRUNK}":{{"timestamp":"2026-03-01T08:00:00Z","value":false,"unit":null}}}}}}'
        )
        answer = dev.http("POST", "/ingest/v1/events", token=dev.ready.admin_token, body=line.encode())
        assert answer.status < 300, answer.body
        message = stream.wait_for_value(TRUNK, False)
        assert message.topic == f"{gcid}/{vin}"
        assert message.raw.decode() == (
            f'{{"vin":"{vin}","entityId":"{gcid}","topic":"{vin}","timestamp":"2026-03-01T08:00:01.61Z","data":{{'
            f'"{LATITUDE}":{{"timestamp":"2026-03-01T08:00:01Z","value":50.1234567890,"unit":"degrees"}},'
            f'"{TRUNK}":{{"timestamp":"2026-03-01T08:00:00Z","value":false}}}}}}'
        )
