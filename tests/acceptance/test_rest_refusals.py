"""What the REST API refuses, with the error ids, texts and statuses that clients know."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from conftest import STILL, StartDev
from harness.descriptors import ODOMETER, SOC
from harness.dev import Dev
from harness.http import Response
from harness.login import LOGIN, STREAM, Tokens, claims, log_in
from harness.rest import CONTAINERS, create_container, delete_container, try_to_create
from harness.wait import wait_for

MAPPINGS = "/customers/vehicles/mappings"


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens."""
    return log_in(dev, dev.first)


def refusal(answer: Response) -> tuple[int, str, str]:
    """Status, id and text of a refused request, whose body has the four keys and nothing else."""
    body: dict[str, Any] = answer.json
    assert body.keys() == {"exveErrorId", "exveErrorMsg", "exveErrorRef", "exveNote"}
    assert all(isinstance(value, str) for value in body.values())
    assert body["exveErrorRef"] and body["exveNote"], "a refusal says why"
    return answer.status, body["exveErrorId"], body["exveErrorMsg"]


FORBIDDEN = (403, "TP-403", "Bad Request. Forbidden")
AUTHENTICATION = (401, "CU-101", "Authentication error")
EXPIRED = (401, "CU-102", "Token expired")
NO_VIN = (403, "CU-104", "No permission for specified VIN")
NO_CONTAINER = (403, "CU-105", "No permission for specified containerId")
BAD_VIN = (400, "CU-120", "Format of parameter VIN is invalid")
BAD_CONTAINER = (400, "CU-121", "Format of parameter containerId is invalid")
FULL = (403, "CU-124", "Maximum number of containers reached")


def test_without_a_token_the_gateway_forbids(dev: Dev) -> None:
    for method, path in (
        ("GET", MAPPINGS),
        ("GET", CONTAINERS),
        ("POST", CONTAINERS),
        ("DELETE", f"{CONTAINERS}/W00J000D000AB"),
        ("GET", f"/customers/vehicles/{dev.first.vin}/basicData"),
        ("GET", f"/customers/vehicles/{dev.first.vin}/telematicData?containerId=W00J000D000AB"),
    ):
        assert refusal(dev.http(method, path)) == FORBIDDEN, path


def test_an_unknown_path_is_forbidden_with_or_without_a_token(dev: Dev, tokens: Tokens) -> None:
    for path in ("/customers/vehicles", "/customers", "/customers/nothing", "/customers/vehicles/x/y/z"):
        assert refusal(dev.http("GET", path)) == FORBIDDEN
        assert refusal(dev.http("GET", path, token=tokens.access)) == FORBIDDEN


def test_a_token_that_was_never_issued_fails_to_authenticate(dev: Dev, tokens: Tokens) -> None:
    for token in ("garbage", tokens.refresh, tokens.access[:-1], f"{tokens.access}x"):
        assert refusal(dev.http("GET", MAPPINGS, token=token)) == AUTHENTICATION
    for header in ("Basic dXNlcjpwYXNzd29yZA==", "Bearer", "", "Bearer \xe4"):
        status, error_id, _ = refusal(dev.http("GET", MAPPINGS, headers={"Authorization": header}))
        assert (status, error_id) in ((401, "CU-101"), (401, "CU-100"), (403, "TP-403"))


def test_an_expired_token_is_told_from_a_wrong_one(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--token-lifetime", "2")
    tokens = log_in(dev, dev.first)
    # The id token's time has whole seconds, the access token's has not.
    expires_at = claims(tokens.id)["exp"] + 1
    assert dev.http("GET", MAPPINGS, token=tokens.access).status == 200
    wait_for(lambda: time.time() > expires_at, "the token to expire")
    assert refusal(dev.http("GET", MAPPINGS, token=tokens.access)) == EXPIRED


def test_a_token_without_the_api_scope_opens_no_door(dev: Dev) -> None:
    tokens = log_in(dev, dev.first, f"{LOGIN} {STREAM}")
    status, error_id, message = refusal(dev.http("GET", MAPPINGS, token=tokens.access))
    assert (status, error_id) == (403, "CU-103")
    assert "token-scope is not CarData" in message


def test_a_vehicle_of_somebody_else_or_of_nobody_gives_nothing(dev: Dev, tokens: Tokens) -> None:
    container_id = create_container(dev, tokens, SOC)
    for vin in (dev.second.vin, "WBY99999999999999"):
        for path in ("basicData", f"telematicData?containerId={container_id}"):
            answer = dev.http("GET", f"/customers/vehicles/{vin}/{path}", token=tokens.access)
            assert refusal(answer) == NO_VIN


def test_a_vin_of_the_wrong_form_is_named(dev: Dev, tokens: Tokens) -> None:
    vin = dev.first.vin
    for wrong in (vin.lower(), vin[:-1], f"{vin}0", "WBY0000000000000I", "%C3%A4", "undefined"):
        answer = dev.http("GET", f"/customers/vehicles/{wrong}/basicData", token=tokens.access)
        assert refusal(answer) == BAD_VIN, wrong


def test_a_container_that_is_foreign_deleted_or_unknown_gives_nothing(dev: Dev, tokens: Tokens) -> None:
    foreign = create_container(dev, log_in(dev, dev.second), SOC)
    deleted = create_container(dev, tokens, SOC)
    delete_container(dev, tokens, deleted)
    for container_id in (foreign, deleted, "W00J000D000AB"):
        path = f"/customers/vehicles/{dev.first.vin}/telematicData?containerId={container_id}"
        assert refusal(dev.http("GET", path, token=tokens.access)) == NO_CONTAINER
    for container_id in (foreign, "W00J000D000AB"):
        for method in ("GET", "DELETE"):
            answer = dev.http(method, f"{CONTAINERS}/{container_id}", token=tokens.access)
            assert refusal(answer) == NO_CONTAINER


def test_a_container_id_of_the_wrong_form_is_named(dev: Dev, tokens: Tokens) -> None:
    for wrong in ("undefined", "w00j000d000ab", "W00J000D000A", "%00", "W00J000D000A%C3%A4"):
        for method in ("GET", "DELETE"):
            answer = dev.http(method, f"{CONTAINERS}/{wrong}", token=tokens.access)
            assert refusal(answer) == BAD_CONTAINER, wrong
    path = f"/customers/vehicles/{dev.first.vin}/telematicData"
    for query in ("", "?containerId=", "?containerId=short"):
        status, error_id, _ = refusal(dev.http("GET", path + query, token=tokens.access))
        assert status in (400, 403) and error_id in ("CU-121", "CU-400", "CU-105"), query


def test_deleting_twice_is_no_failure_of_the_server(dev: Dev, tokens: Tokens) -> None:
    container_id = create_container(dev, tokens, SOC)
    delete_container(dev, tokens, container_id)
    again = dev.http("DELETE", f"{CONTAINERS}/{container_id}", token=tokens.access)
    # Clients take 404 and 208 for "already gone".
    assert (again.status, again.json["exveErrorId"]) == (208, "CU-122")


def test_the_eleventh_container_is_refused_until_one_is_deleted(dev: Dev, tokens: Tokens) -> None:
    made = [create_container(dev, tokens, SOC) for _ in range(10)]
    assert refusal(try_to_create(dev, tokens, [SOC])) == FULL
    assert refusal(try_to_create(dev, tokens, [SOC])) == FULL
    # Another customer has ten of his own.
    create_container(dev, log_in(dev, dev.second), SOC)
    delete_container(dev, tokens, made[0])
    create_container(dev, tokens, SOC)


def test_in_the_strict_profile_a_deleted_container_still_counts(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--profile", "bmw")
    tokens = log_in(dev, dev.first)
    made = [create_container(dev, tokens, SOC) for _ in range(10)]
    delete_container(dev, tokens, made[0])
    assert refusal(try_to_create(dev, tokens, [SOC])) == FULL


def test_an_unknown_descriptor_refuses_the_whole_container_by_name(dev: Dev, tokens: Tokens) -> None:
    answer = try_to_create(dev, tokens, [SOC, "vehicle.warp.drive", ODOMETER])
    status, error_id, _ = refusal(answer)
    assert (status, error_id) == (400, "CU-402")
    assert "vehicle.warp.drive" in answer.text
    assert dev.http("GET", CONTAINERS, token=tokens.access).json == {"containers": []}


def test_a_container_request_that_cannot_be_read_is_a_bad_request(dev: Dev, tokens: Tokens) -> None:
    bodies = [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"{}",
        b'{"name":"a","purpose":"b"}',
        b'{"name":"a","purpose":"b","technicalDescriptors":[]}',
        b'{"name":"a","purpose":"b","technicalDescriptors":"vehicle.isMoving"}',
        b'{"name":7,"purpose":"b","technicalDescriptors":["vehicle.isMoving"]}',
        b'{"name":"","purpose":"b","technicalDescriptors":["vehicle.isMoving"]}',
        b'{"name":"\xff","purpose":"b","technicalDescriptors":["vehicle.isMoving"]}',
        b"[" * 100_000,
    ]
    for body in bodies:
        answer = dev.http(
            "POST", CONTAINERS, token=tokens.access, body=body, headers={"Content-Type": "application/json"}
        )
        status, error_id, _ = refusal(answer)
        assert (status, error_id) == (400, "CU-400"), body[:80]
    huge = b'{"name":"' + b"x" * 20_000_000 + b'"}'
    # The server may stop listening to it.
    with contextlib.suppress(OSError):
        answer = dev.http("POST", CONTAINERS, token=tokens.access, body=huge)
        assert 400 <= answer.status < 500
    assert dev.http("GET", CONTAINERS, token=tokens.access).json == {"containers": []}


def test_what_clients_send_otherwise_is_accepted(dev: Dev, tokens: Tokens) -> None:
    body = {"name": "a", "purpose": "b", "technicalDescriptors": [SOC], "extra": 1}
    headers = {"x-version": "v1", "Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}
    answer = dev.http("POST", f"{CONTAINERS}/", token=tokens.access, json_body=body, headers=headers)
    assert answer.status == 201, answer.body
    assert dev.http("GET", f"{CONTAINERS}/", token=tokens.access).status == 200
    assert refusal(dev.http("GET", CONTAINERS, token=tokens.access, headers={"x-version": "v9"}))[:2] == (400, "CU-400")
