"""Who is not let in, to which topics, and that the reason is told in MQTT's own words."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from conftest import STILL, StartDev
from harness.descriptors import SOC
from harness.dev import Dev
from harness.events import event, inject
from harness.login import API, LOGIN, STREAM, Tokens, claims, log_in
from harness.rest import create_container
from harness.stream import BAD_TOKEN, NOT_AUTHORIZED, SUBSCRIPTION_REFUSED, Subscriber, subscriber
from harness.wait import wait_for
from harness.wire import Peer, connect, packet, text


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for all who are only refused."""
    dev = Dev(tmp_path_factory.mktemp("refusing"), *STILL).start()
    yield dev
    dev.close()


@pytest.fixture
def tokens(refusing: Dev) -> Tokens:
    """Good tokens of the first customer."""
    return log_in(refusing, refusing.first)


def code_for(dev: Dev, tokens: Tokens, **settings: Any) -> int:
    """The CONNACK's code for one attempt, which the server follows by closing when it is a refusal."""
    client = Subscriber(dev, tokens, **settings)
    code = client.try_to_connect()
    if code == 0:
        client.disconnect()
    else:
        client.wait_until_closed()
    return code


def unsigned(id_token: str) -> str:
    """The same claims under the header `alg: none`."""
    header = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{id_token.split('.')[1]}."


def signed_by_a_stranger(id_token: str) -> str:
    """The same claims and key id, signed with another key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = jwt.get_unverified_header(id_token)["kid"]
    return jwt.encode(claims(id_token), key, algorithm="RS256", headers={"kid": kid})


def signed_with_the_public_key(dev: Dev, id_token: str) -> str:
    """The same claims under HS256, with the published key as the secret."""
    kid = jwt.get_unverified_header(id_token)["kid"]
    discovery = dev.http("GET", "/.well-known/openid-configuration").json
    keys = dev.http("GET", discovery["jwks_uri"]).json["keys"]
    secret = base64.urlsafe_b64decode(keys[0]["n"] + "==")
    return jwt.encode(claims(id_token), secret, algorithm="HS256", headers={"kid": kid})


def with_other_claims(id_token: str, **changes: Any) -> str:
    """The token with changed claims and its old signature."""
    header, _, signature = id_token.split(".")
    changed = json.dumps(claims(id_token) | changes).encode()
    return f"{header}.{base64.urlsafe_b64encode(changed).rstrip(b'=').decode()}.{signature}"


def test_both_tokens_open_the_stream(refusing: Dev, tokens: Tokens) -> None:
    assert code_for(refusing, tokens, password=tokens.id) == 0
    assert code_for(refusing, tokens, password=tokens.access) == 0


def test_a_forged_or_foreign_token_is_a_bad_password(refusing: Dev, tokens: Tokens) -> None:
    other = refusing.second.gcid
    forged = {
        "garbage": "garbage",
        "three empty parts": "..",
        "not even ASCII": "pässwörd",
        "another customer's claims": with_other_claims(tokens.id, gcid=other, sub=other),
        "a longer life": with_other_claims(tokens.id, exp=claims(tokens.id)["exp"] + 3600),
        "alg none": unsigned(tokens.id),
        "a stranger's signature": signed_by_a_stranger(tokens.id),
        "the public key as a secret": signed_with_the_public_key(refusing, tokens.id),
        "a refresh token": tokens.refresh,
        "the operator's token": refusing.ready.admin_token,
        "cut short": tokens.id[:-8],
    }
    codes = {name: code_for(refusing, tokens, password=token) for name, token in forged.items()}
    assert codes == dict.fromkeys(forged, BAD_TOKEN)
    assert code_for(refusing, tokens) == 0


def test_a_token_without_the_streaming_scope_is_not_authorized(refusing: Dev) -> None:
    tokens = log_in(refusing, refusing.first, f"{LOGIN} {API}")
    assert code_for(refusing, tokens, password=tokens.id) == NOT_AUTHORIZED
    assert code_for(refusing, tokens, password=tokens.access) == NOT_AUTHORIZED


def test_a_stream_only_client_needs_no_other_scope(refusing: Dev) -> None:
    tokens = log_in(refusing, refusing.first, f"{LOGIN} {STREAM}")
    assert code_for(refusing, tokens) == 0


def test_another_customers_user_name_is_not_authorized(refusing: Dev, tokens: Tokens) -> None:
    assert code_for(refusing, tokens, user=refusing.second.gcid) == NOT_AUTHORIZED
    assert code_for(refusing, tokens, user="somebody") == NOT_AUTHORIZED


def test_a_connect_without_user_name_and_password_is_refused(refusing: Dev) -> None:
    body = text("MQTT") + bytes([4, 0b10, 0, 30]) + text("nobody")
    with Peer(refusing) as peer:
        peer.send(packet(0x10, body))
        answer = peer.read_to_end()
    assert answer in (b"\x20\x02\x00\x04", b"\x20\x02\x00\x05")


def test_an_expired_token_is_a_bad_password_and_ends_the_connection_it_opened(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--token-lifetime", "3")
    tokens = log_in(dev, dev.first)
    expires_at = claims(tokens.id)["exp"]
    stream = Subscriber(dev, tokens).connect()
    stream.wait_until_closed(seconds=15)
    assert time.time() >= expires_at - 0.1, "closed before the token expired"
    assert time.time() <= expires_at + 5
    wait_for(lambda: time.time() > expires_at, "the token to expire")
    assert code_for(dev, tokens) == BAD_TOKEN
    # A new login is all it takes.
    assert code_for(dev, log_in(dev, dev.first)) == 0


def test_only_filters_below_the_own_customer_are_granted(refusing: Dev, tokens: Tokens) -> None:
    own, other = refusing.first, refusing.second
    refused = [
        other.topic(),
        other.every_vehicle,
        f"{other.gcid}/#",
        "#",
        "+/#",
        "+/+",
        f"+/{own.vin}",
        own.vin,
        "$SYS/#",
        f"$share/group/{own.gcid}/+",
        own.topic(other.vin),
        own.topic("WBY99999999999999"),
        own.topic("not-a-vin"),
        own.gcid,
        f"{own.gcid}/+/speed",
        f"{own.gcid.upper()}/+",
        f"/{own.gcid}/+",
    ]
    granted = [own.topic(), own.every_vehicle, f"{own.gcid}/#", own.topic(own.vehicles[1].vin)]
    with Subscriber(refusing, tokens).connect() as client:
        codes = {one: client.try_to_subscribe(one)[0] for one in refused}
        assert codes == dict.fromkeys(refused, SUBSCRIPTION_REFUSED)
        # In one packet each filter gets its own answer, in order; the connection stays.
        mixed = [refused[0], granted[0], refused[3], granted[1]]
        assert client.try_to_subscribe(*mixed, qos=1) == [0x80, 1, 0x80, 1]
        codes = {one: client.try_to_subscribe(one)[0] for one in granted}
        assert codes == dict.fromkeys(granted, 0)


def test_a_secondary_driver_gets_nothing_of_the_vehicle(dev: Dev) -> None:
    mappings = {customer.email: log_in(dev, customer) for customer in dev.ready.customers}
    secondary = [
        (customer, mapping["vin"])
        for customer in dev.ready.customers
        for mapping in dev.http("GET", "/customers/vehicles/mappings", token=mappings[customer.email].access).json
        if mapping["mappingType"] == "SECONDARY"
    ]
    assert secondary, "the demo has no SECONDARY mapping to try with"
    for customer, vin in secondary:
        tokens = mappings[customer.email]
        container_id = create_container(dev, tokens, SOC)
        with Subscriber(dev, tokens).connect() as client:
            assert client.try_to_subscribe(customer.topic(vin)) == [SUBSCRIPTION_REFUSED]
            client.subscribe(customer.every_vehicle)
            inject(dev, event(vin, 1, {SOC: 1}))
            inject(dev, event(customer.vin, 2, {SOC: 2}))
            client.wait_for_value(SOC, 2)
            assert client.values(SOC) == [2]
        for path in ("basicData", f"telematicData?containerId={container_id}"):
            answer = dev.http("GET", f"/customers/vehicles/{vin}/{path}", token=tokens.access)
            assert (answer.status, answer.json["exveErrorId"]) == (403, "CU-104")


@pytest.mark.parametrize("qos", [0, 1])
def test_a_publish_closes_the_connection_and_reaches_nobody(dev: Dev, qos: int) -> None:
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, SOC)
    with subscriber(dev, tokens, [dev.first.every_vehicle]) as witness:
        forged = json.dumps(event(dev.first.vin, 1, {SOC: 1}))
        writer = Subscriber(dev, tokens).connect()
        writer.publish(dev.first.topic(), forged, qos=qos)
        writer.wait_until_closed()
        inject(dev, event(dev.first.vin, 2, {SOC: 2}))
        witness.wait_for_value(SOC, 2)
        assert witness.values(SOC) == [2]


def test_connect_versions_that_are_not_spoken_are_refused_by_code(refusing: Dev, tokens: Tokens) -> None:
    with Peer(refusing) as peer:
        peer.send(connect(tokens.gcid, tokens.id, level=99))
        assert peer.read_to_end() == b"\x20\x02\x00\x01"
    assert code_for(refusing, tokens) == 0
