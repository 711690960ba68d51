"""Each pain of the real service that a server can cause, on command, as clients meet it (docs/guides/faults.md)."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from conftest import STILL, StartDev
from harness import wire
from harness.descriptors import LATITUDE, LONGITUDE, ODOMETER, SOC
from harness.dev import Customer, Dev, run
from harness.events import event, inject
from harness.faults import Fault, fault
from harness.login import TOKEN, Tokens, begin, claims, log_in, refresh, register_client, tokens_of
from harness.rest import create_container, try_to_create
from harness.stream import BAD_TOKEN, NOT_AUTHORIZED, SUBSCRIPTION_REFUSED, Subscriber, subscriber
from harness.wait import wait_for
from harness.wire import Peer

MAPPINGS = "/customers/vehicles/mappings"
CONTAINERS = "/customers/containers"

_seconds = iter(range(1, 1_000_000))


@pytest.fixture(scope="module")
def dev(start_shared_dev: StartDev) -> Dev:
    """A server as strict as the real one, whose containers name what the tests send."""
    dev = start_shared_dev(*STILL, "--profile", "bmw", "--requests-per-day", "1000")
    for customer in (dev.first, dev.second):
        create_container(dev, log_in(dev, customer), SOC, ODOMETER, LATITUDE, LONGITUDE)
    return dev


@pytest.fixture(scope="module")
def tokens(dev: Dev) -> Tokens:
    """Of the first customer; tests that spoil tokens get their own."""
    return log_in(dev, dev.first)


def rest(dev: Dev, tokens: Tokens, path: str = MAPPINGS) -> requests.Response:
    """A request as a program makes it."""
    headers = {"Authorization": f"Bearer {tokens.access}", "x-version": "v1"}
    return requests.get(dev.ready.http_url + path, headers=headers, verify=dev.ready.ca_file, timeout=20)


def refused(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["exveErrorId"]


def report(dev: Dev, customer: Customer, **values: Any) -> None:
    """The customer's car reports; values are by short names."""
    names = {"soc": SOC, "odometer": ODOMETER, "latitude": LATITUDE, "longitude": LONGITUDE}
    inject(dev, event(customer.vin, next(_seconds), {names[name]: value for name, value in values.items()}))


@contextmanager
def streaming(dev: Dev, tokens: Tokens, customer: Customer | None = None, **settings: Any) -> Iterator[Subscriber]:
    """A client that reads all of a customer's vehicles."""
    customer = customer or dev.first
    with subscriber(dev, tokens, [customer.every_vehicle], **settings) as stream:
        yield stream


def test_pain_1_a_second_connection_pushes_the_first_one_out(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as first, streaming(dev, tokens) as second:
        first.wait_until_closed()
        assert not second.is_closed


def test_pains_2_and_3_the_quota_is_used_up_and_looks_like_a_missing_right(dev: Dev, tokens: Tokens) -> None:
    with fault(dev, "quota-used-up", email=dev.first.email, times=2) as used_up:
        for _ in range(2):
            answer = rest(dev, tokens)
            assert refused(answer) == (403, "CU-429")
            assert int(answer.headers["retry-after"]) > 0 and "r=0" in answer.headers["ratelimit"]
        assert rest(dev, tokens).status_code == 200
        assert [one["path"] for one in used_up.strikes()] == [MAPPINGS] * 2


def test_pain_4_tokens_expire_and_fresh_ones_are_good(dev: Dev) -> None:
    own = log_in(dev, dev.first)
    with streaming(dev, own) as stream, fault(dev, "expire-tokens", email=dev.first.email):
        stream.wait_until_closed()
        assert Subscriber(dev, own).try_to_connect() == BAD_TOKEN
        assert refused(rest(dev, own)) == (401, "CU-102")
        fresh = tokens_of(refresh(dev, own.client_id, own.refresh), own.client_id)
        with streaming(dev, fresh):
            assert rest(dev, fresh).status_code == 200


def test_pain_4_a_clock_that_is_behind_issues_tokens_that_look_expired_and_are_not(dev: Dev) -> None:
    with fault(dev, "clock-skew", client_id=dev.first.client_id, seconds=-7200):
        own = log_in(dev, dev.first)
    told = claims(own.id)
    assert told["exp"] < time.time() and told["exp"] - told["iat"] in (3599, 3600)
    with streaming(dev, own):
        pass


@pytest.mark.parametrize("error", ["invalid_request", "invalid_grant"])
def test_pain_5_the_refresh_token_is_refused(dev: Dev, error: str) -> None:
    own = log_in(dev, dev.first)
    with fault(dev, "refuse-refresh", error=error, times=1):
        answer = refresh(dev, own.client_id, own.refresh)
        assert (answer.status, answer.json["error"]) == (400, error)
        assert refresh(dev, own.client_id, own.refresh).status == 200


def test_pain_5_the_consent_is_revoked_under_an_open_stream(dev: Dev) -> None:
    client_id = register_client(dev, dev.first)
    own = log_in(dev, dev.first, client_id=client_id)
    with streaming(dev, own) as stream:
        Fault(dev, "revoke-consent", gcid=own.gcid, client_id=client_id)
        stream.wait_until_closed()
    assert Subscriber(dev, own).try_to_connect() == BAD_TOKEN
    assert refused(rest(dev, own)) == (401, "CU-101")
    assert refresh(dev, client_id, own.refresh).status == 400


def test_pain_6_the_log_in_dies_with_500_and_then_access_denied(dev: Dev) -> None:
    with fault(dev, "key-management", email=dev.first.email, times=1):
        login = begin(dev, dev.first.client_id)
        login.approve(dev.first)
        answer = login.poll()
        assert (answer.status, answer.json["fault"]["faultstring"]) == (500, "Invalid Access Token")
        assert answer.json["fault"]["detail"]["errorcode"] == "keymanagement.service.invalid_access_token"
        answer = login.poll()
        assert (answer.status, answer.json["error"]) == (403, "access_denied")
        assert log_in(dev, dev.first).access


def test_pain_7_invalid_grant_right_after_the_approval(dev: Dev) -> None:
    with fault(dev, "invalid-grant", client_id=dev.first.client_id, times=1):
        login = begin(dev, dev.first.client_id)
        login.approve(dev.first)
        for _ in range(2):
            answer = login.poll()
            assert (answer.status, answer.json["error"]) == (400, "invalid_grant")


def test_pain_8_the_client_id_has_vanished(dev: Dev) -> None:
    own = log_in(dev, dev.first)
    with fault(dev, "client-vanished", client_id=own.client_id):
        answer = refresh(dev, own.client_id, own.refresh)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        with pytest.raises(AssertionError, match="the client id is unknown"):
            begin(dev, own.client_id)
        assert log_in(dev, dev.second).access
    assert refresh(dev, own.client_id, own.refresh).status == 200


def test_pain_9_an_upper_case_client_id_breaks_the_log_in(dev: Dev) -> None:
    with fault(dev, "upper-case-client-id"):
        login = begin(dev, dev.first.client_id.upper())
        login.approve(dev.first)
        answer = login.poll()
        assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
        assert log_in(dev, dev.first).access


def test_pain_11_a_program_that_knows_tls_1_2_only_is_turned_away(dev: Dev) -> None:
    old = dev.tls()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        connect_with(dev, old)


def test_pain_11_the_certificate_has_ended_and_is_good_again(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as open_before:
        with fault(dev, "certificate-expires", minutes=0):
            with pytest.raises(requests.exceptions.SSLError, match="expired"):
                rest(dev, tokens)
            with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
                Subscriber(dev, tokens).try_to_connect()
        assert rest(dev, tokens).status_code == 200
        report(dev, dev.first, soc=11)
        open_before.wait_for_value(SOC, 11)


def test_pain_12_a_silent_client_is_dropped_before_its_keep_alive_time(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens, keep_alive=120) as stream, fault(dev, "idle-cut", seconds=1):
        stream.wait_until_closed()


def test_pain_13_connections_are_refused_with_code_5_in_a_storm(dev: Dev, tokens: Tokens) -> None:
    with fault(dev, "refuse-connect", code=5, mqtt_client_id="storm", times=2) as storm:
        with Subscriber(dev, tokens).connect():
            pass
        for expected in (NOT_AUTHORIZED, NOT_AUTHORIZED, 0):
            with Subscriber(dev, tokens, mqtt_client_id="storm") as client:
                assert client.try_to_connect() == expected
        assert len(storm.strikes()) == 2


def test_pain_13_the_connection_is_cut_again_and_again(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens, reconnects=True) as stream:
        for connections in (2, 3):
            cut = Fault(dev, "drop", email=dev.first.email)
            assert [one["mqtt_client_id"] for one in cut.strikes()] == [stream.mqtt_client_id]
            wait_for(lambda wanted=connections: len(stream.connacks) >= wanted, "a reconnect")


def test_pain_13_the_connection_is_cut_where_a_message_would_have_come(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as stream, fault(dev, "drop-at-message", vin=dev.first.vin, times=1):
        report(dev, dev.first, soc=12)
        stream.wait_until_closed()
        assert stream.seen() == []


def test_pain_13_a_frozen_connection_does_not_even_answer_pings(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens, keep_alive=1) as stream:
        with fault(dev, "freeze", email=dev.first.email):
            report(dev, dev.first, soc=13)
            stream.wait_until_closed()
            assert stream.seen() == []


def test_pains_14_and_16_connected_but_silent_and_not_to_be_told_from_a_parked_car(dev: Dev, tokens: Tokens) -> None:
    with Peer(dev) as peer:
        peer.send(wire.connect(tokens.gcid, tokens.id, client_id="silent"))
        assert peer.read_packet()[1] == b"\0\0"
        peer.send(wire.subscribe(dev.first.every_vehicle))
        assert peer.read_packet()[0] == wire.SUBACK
        with fault(dev, "stale-stream", email=dev.first.email) as stale:
            assert stale.strikes()[0]["mqtt_client_id"] == "silent"
            report(dev, dev.first, soc=14)
            for _ in range(3):
                peer.send(wire.PINGREQ)
                assert peer.read(2) == wire.PINGRESP
        head, body = peer.read_packet()
        assert wire.Delivery.of(head, body).payload["data"][SOC]["value"] == 14


def test_pain_15_a_subscription_is_refused_and_the_connection_stays(dev: Dev, tokens: Tokens) -> None:
    with Subscriber(dev, tokens).connect() as stream, fault(dev, "refuse-subscribe", times=1):
        assert stream.try_to_subscribe(dev.first.every_vehicle) == [SUBSCRIPTION_REFUSED]
        assert stream.try_to_subscribe(dev.first.every_vehicle) == [0]


def test_pain_17_nothing_of_what_was_is_told_at_the_beginning(dev: Dev, tokens: Tokens) -> None:
    report(dev, dev.first, soc=16)
    with streaming(dev, tokens) as stream:
        report(dev, dev.first, soc=17)
        stream.wait_for_value(SOC, 17)
        assert (stream.values(SOC), stream.snapshots) == ([17], [])


def test_pain_18_messages_come_late_and_only_those_of_the_customer_concerned(dev: Dev, tokens: Tokens) -> None:
    with (
        streaming(dev, tokens) as late,
        streaming(dev, log_in(dev, dev.second), dev.second) as in_time,
        fault(dev, "delay", seconds=3600, email=dev.first.email, times=1) as delay,
    ):
        report(dev, dev.first, soc=18)
        struck = delay.wait_for_strike()
        assert (struck["gcid"], struck["vin"]) == (dev.first.gcid, dev.first.vin)
        report(dev, dev.second, soc=18)
        in_time.wait_for_value(SOC, 18)
        assert late.seen() == []
    with streaming(dev, tokens) as late, fault(dev, "delay", seconds=1, email=dev.first.email):
        report(dev, dev.first, soc=19)
        report(dev, dev.first, soc=20)
        late.wait_for_value(SOC, 20)
        assert late.values(SOC) == [19, 20]


def test_pain_19_ten_containers_and_deleted_ones_count(dev: Dev) -> None:
    own = log_in(dev, dev.second)
    ids = [create_container(dev, own, SOC) for _ in range(9)]
    answer = dev.http("DELETE", f"{CONTAINERS}/{ids[0]}", token=own.access)
    assert answer.status == 204
    answer = try_to_create(dev, own, [SOC])
    assert (answer.status, answer.json["exveErrorId"]) == (403, "CU-124")


def test_pain_20_a_deprecated_key_kills_the_whole_container(dev: Dev, tokens: Tokens) -> None:
    listed = rest(dev, tokens, CONTAINERS).json()["containers"]
    path = f"/customers/vehicles/{dev.first.vin}/telematicData?containerId={listed[0]['containerId']}"
    assert rest(dev, tokens, path).status_code == 200
    with fault(dev, "deprecated-key", descriptor=ODOMETER, email=dev.first.email):
        assert refused(rest(dev, tokens, path)) == (400, "CU-402")
        answer = try_to_create(dev, tokens, [SOC, ODOMETER])
        assert (answer.status, answer.json["exveErrorId"]) == (400, "CU-402")
        assert "deprecated" in answer.json["exveNote"]


@pytest.mark.parametrize(("status", "code"), [(403, "CU-403"), (500, "CU-500"), (503, "CU-503")])
def test_pain_20_chosen_endpoints_fail(dev: Dev, tokens: Tokens, status: int, code: str) -> None:
    with fault(dev, "http-error", status=status, path=CONTAINERS):
        assert refused(rest(dev, tokens, CONTAINERS)) == (status, code)
        assert rest(dev, tokens).status_code == 200
    with fault(dev, "http-error", status=status, path=TOKEN, times=1):
        login = begin(dev, dev.first.client_id)
        answer = login.poll()
        assert answer.status == status and answer.json["error"]


def test_an_outage_makes_answers_slow(dev: Dev, tokens: Tokens) -> None:
    with fault(dev, "slow", seconds=50, path=CONTAINERS, times=1) as slow:
        headers = {"Authorization": f"Bearer {tokens.access}"}
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(dev.ready.http_url + CONTAINERS, headers=headers, verify=dev.ready.ca_file, timeout=0.5)
        assert slow.wait_for_strike()["path"] == CONTAINERS
    assert rest(dev, tokens, CONTAINERS).status_code == 200


def test_pain_21_who_authorized_too_early_lacks_a_scope_for_good(dev: Dev) -> None:
    with fault(dev, "lose-scope", scope="cardata:api:read", email=dev.first.email):
        own = log_in(dev, dev.first)
    assert "cardata:api:read" not in own.scope.split()
    assert refused(rest(dev, own)) == (403, "CU-103")
    assert "cardata:api:read" not in refresh(dev, own.client_id, own.refresh).json["scope"].split()
    with fault(dev, "lose-scope", scope="cardata:streaming:read"):
        own = log_in(dev, dev.first)
    assert Subscriber(dev, own).try_to_connect() == NOT_AUTHORIZED
    assert "dynamic_scopes" not in claims(own.id)


def test_pain_22_messages_come_twice(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as stream, fault(dev, "duplicate", email=dev.first.email, times=1):
        report(dev, dev.first, soc=22)
        report(dev, dev.first, soc=23)
        stream.wait_for_value(SOC, 23)
        assert stream.values(SOC) == [22, 22, 23]


def test_pain_22_messages_change_places(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as stream, fault(dev, "reorder", email=dev.first.email, times=1):
        for soc in (24, 25, 26):
            report(dev, dev.first, soc=soc)
        stream.wait_for_value(SOC, 26)
        assert stream.values(SOC) == [25, 24, 26]


def test_pain_22_the_halves_of_a_position_are_out_of_sync(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as stream, fault(dev, "split-position", seconds=1, email=dev.first.email):
        report(dev, dev.first, longitude=11.1, latitude=48.1)
        report(dev, dev.first, soc=27)
        stream.wait_for_value(LONGITUDE, 11.1)
        assert [name for one in stream.seen() for name in one.data] == [LATITUDE, SOC, LONGITUDE]


def test_pain_23_units_and_types_are_chaos(dev: Dev, tokens: Tokens) -> None:
    with streaming(dev, tokens) as stream, fault(dev, "odd-units", email=dev.first.email):
        report(dev, dev.first, soc=(28, "percent"), odometer=(1000, "km"))
        odometer = stream.wait_for_message(lambda one: ODOMETER in one.data, "the odometer").data[ODOMETER]
        soc = stream.wait_for_value(SOC, "28").data[SOC]
        assert (soc["unit"], odometer["unit"]) == ("%", "mi")
        assert float(odometer["value"]) == pytest.approx(621.371)


def test_pain_24_a_car_of_the_account_is_secondary_and_reports_nothing(dev: Dev, tokens: Tokens) -> None:
    vin = dev.first.vin
    data = f"/customers/vehicles/{vin}/basicData"
    with streaming(dev, tokens) as stream:
        with fault(dev, "secondary", vin=vin):
            types = {one["vin"]: one["mappingType"] for one in rest(dev, tokens).json()}
            assert types[vin] == "SECONDARY" and set(types.values()) == {"PRIMARY", "SECONDARY"}
            assert refused(rest(dev, tokens, data)) == (403, "CU-104")
            report(dev, dev.first, soc=29)
        report(dev, dev.first, soc=30)
        stream.wait_for_value(SOC, 30)
        assert stream.values(SOC) == [30]
    assert rest(dev, tokens, data).status_code == 200


def test_pain_24_a_ghost_is_in_the_list_of_vehicles(dev: Dev, tokens: Tokens) -> None:
    own = {one.vin for one in dev.first.vehicles}
    with fault(dev, "ghost-vehicle", email=dev.first.email):
        listed = {one["vin"] for one in rest(dev, tokens).json()}
        (ghost,) = listed - own
        assert refused(rest(dev, tokens, f"/customers/vehicles/{ghost}/basicData")) == (403, "CU-104")
    assert {one["vin"] for one in rest(dev, tokens).json()} == own


def test_pain_24_two_programs_with_one_refresh_token_end_each_other(dev: Dev) -> None:
    own = log_in(dev, dev.first)
    fresh = tokens_of(refresh(dev, own.client_id, own.refresh), own.client_id)
    assert refresh(dev, own.client_id, own.refresh).status == 400
    assert refresh(dev, own.client_id, fresh.refresh).status == 400


def fault_command(dev: Dev, *arguments: str) -> Any:
    """`cardata fault …`, which must end well; gives the JSON that it prints."""
    ended = run("fault", *arguments, "--json", "--ready-file", str(dev.ready_file))
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_faults_are_begun_looked_at_and_ended_from_a_terminal(dev: Dev, tokens: Tokens) -> None:
    said = ("--customer", dev.first.email, "--probability", "1", "--seed", "7", "--for", "10m")
    begun = fault_command(dev, "add", "http-error", "--status", "503", "--path", "/customers/vehicles/*/image", *said)
    assert [one["id"] for one in fault_command(dev, "list")] == [begun["id"]]
    path = f"/customers/vehicles/{dev.first.vin}/image"
    assert refused(rest(dev, tokens, path)) == (503, "CU-503")
    (struck,) = [one for one in fault_command(dev, "log") if one["fault"] == begun["id"]]
    assert (struck["path"], struck["client_id"]) == (path, dev.first.client_id)
    (ended,) = fault_command(dev, "end", "--all")
    assert (ended["id"], ended["strikes"]) == (begun["id"], 1)
    assert fault_command(dev, "list") == []


def test_a_wish_with_a_slip_of_the_pen_is_told_what_would_be_right(dev: Dev, tmp_path: Path) -> None:
    for arguments, hint in [
        (("add", "frezee"), "`freeze`"),
        (("add", "drop", "--customer", "nobody@example.com"), "names nobody"),
        (("add", "delay", "--seconds", "0"), "`seconds`"),
        (("end", "999999"), "no fault with this number"),
    ]:
        ended = run("fault", *arguments, "--ready-file", str(dev.ready_file))
        assert ended.returncode == 2 and hint in ended.stderr, ended
    ended = run("fault", "kinds", cwd=tmp_path)
    assert ended.returncode == 0 and "stale-stream\n" in ended.stdout, ended


def connect_with(dev: Dev, context: ssl.SSLContext) -> None:
    """Shakes hands with the stream's listener."""
    with socket.create_connection((dev.ready.mqtt_host, dev.ready.mqtt_port)) as plain:
        context.wrap_socket(plain, server_hostname=dev.ready.mqtt_host)
