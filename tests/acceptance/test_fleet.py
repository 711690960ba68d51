"""A third party's client streams for all customers who let it in, alone and shared by several connections."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.descriptors import SOC
from harness.dev import Customer, Dev
from harness.events import event, inject
from harness.login import ALL_SCOPES, GRANT_DEVICE, STREAM, Tokens, decide, pkce, tokens_of
from harness.rest import create_container
from harness.stream5 import Subscriber5
from harness.wait import wait_for

EVERYTHING = "+/+"
GROUP = "$share/workers/+/+"
NOT_AUTHORIZED = 0x87


@dataclass(frozen=True)
class Fleet:
    """A third party's client with its secret."""

    dev: Dev
    client_id: str
    secret: str

    def form(self, **fields: str) -> dict[str, str]:
        """Fields of a request by which the client proves itself."""
        return {"client_id": self.client_id, "client_secret": self.secret, **fields}

    def consent(self, customer: Customer) -> Tokens:
        """`customer` lets the client in, and it asks for the state of charge."""
        verifier, challenge = pkce()
        form = self.form(scope=ALL_SCOPES, code_challenge=challenge, code_challenge_method="S256")
        begun = self.dev.http("POST", "/gcdm/oauth/device/code", form=form).json
        decide(self.dev, begun["user_code"], "approve", customer)
        form = self.form(grant_type=GRANT_DEVICE, device_code=begun["device_code"], code_verifier=verifier)
        tokens = tokens_of(self.dev.http("POST", "/gcdm/oauth/token", form=form), self.client_id)
        create_container(self.dev, tokens, SOC)
        return tokens

    def token(self) -> Tokens:
        """What it connects with: its id as user name, its own token as password."""
        form = self.form(grant_type="client_credentials", scope=STREAM)
        answer = self.dev.http("POST", "/gcdm/oauth/token", form=form)
        assert answer.status == 200, answer.body
        own = answer.json["access_token"]
        return Tokens(self.client_id, self.client_id, own, own, "", answer.json["scope"])

    def connected(self, name: str, filter_: str) -> Subscriber5:
        """A connection that reads `filter_` with QoS 1 and a session that is kept."""
        stream = Subscriber5(self.dev, self.token(), mqtt_client_id=name, expiry=600)
        assert stream.connect()[0] == 0
        assert stream.subscribe(filter_) == [1]
        return stream


@pytest.fixture
def fleet(dev: Dev) -> Fleet:
    """A client that nobody has let in yet."""
    asked = {"name": "Fleet Watch", "kind": "THIRD_PARTY", "confidential": True}
    answer = dev.admin("POST", "/admin/v1/clients", asked)
    assert answer.status == 201, answer.body
    return Fleet(dev, answer.json["client_id"], answer.json["client_secret"])


def report(dev: Dev, vins: list[str], number: int) -> None:
    """Each vehicle reports `number` as its state of charge."""
    inject(dev, *[event(vin, number, {SOC: number}) for vin in vins])


def seen(stream: Subscriber5, number: int) -> list[str]:
    """The topics of the messages with this state of charge."""
    return [one.topic for one in stream.seen() if one.value(SOC) == number]


def test_one_connection_follows_customers_who_come_and_go(dev: Dev, fleet: Fleet) -> None:
    anna, ben = dev.first, dev.second
    vins = [anna.vin, ben.vin]
    fleet.consent(anna)
    with fleet.connected("watch", EVERYTHING) as stream:
        assert stream.connack_properties[0]["SharedSubscriptionAvailable"] == 1
        assert stream.subscribe("#") == [NOT_AUTHORIZED]
        report(dev, vins, 1)
        stream.wait_for_value(SOC, 1)
        # While it is connected, Ben lets it in, and Anna ends it.
        tokens = fleet.consent(ben)
        report(dev, vins, 2)
        wait_for(lambda: len(seen(stream, 2)) == 2, "both customers' vehicles")
        assert {one.topic for one in stream.seen()} == {anna.topic(), ben.topic()}
        assert all(one.payload["entityId"] in one.topic for one in stream.seen())
        consents = dev.admin("GET", f"/admin/v1/customers/{anna.email}/consents").json["consents"]
        of_anna = [one["consent_id"] for one in consents if one["client_id"] == fleet.client_id]
        assert dev.admin("DELETE", f"/admin/v1/consents/{of_anna[0]}").status == 200
        report(dev, vins, 3)
        stream.wait_for_value(SOC, 3)
        assert seen(stream, 1) == [anna.topic()] and seen(stream, 3) == [ben.topic()]
        assert not stream.ended

    # What came while it was away comes, of Ben alone, also after a crash.
    dev.kill()
    dev.start()
    report(dev, vins, 4)
    again = Subscriber5(dev, fleet.token(), mqtt_client_id="watch", expiry=600)
    with again:
        assert again.connect() == (0, True)
        again.wait_for_value(SOC, 4)
        assert seen(again, 4) == [ben.topic()]
        # The client gives its token back.
        form = fleet.form(token=tokens.refresh)
        assert dev.http("POST", "/gcdm/oauth/revoke", form=form).status == 200
        report(dev, vins, 5)
        assert not again.ended
    assert seen(again, 5) == []


def test_a_group_shares_the_vehicles_and_loses_nothing_when_members_come_and_go(
    dev: Dev, fleet: Fleet
) -> None:
    more = [f"WBYFLEET{number:09}" for number in range(12)]
    for vin in more:
        vehicle = {"vin": vin, "drivetrain": "BEV"}
        assert dev.admin("POST", "/admin/v1/vehicles", vehicle).status == 201
        link = {"email": dev.first.email, "vin": vin, "type": "PRIMARY"}
        assert dev.admin("PUT", "/admin/v1/mappings", link).status == 201
    fleet.consent(dev.first)
    fleet.consent(dev.second)
    topics = {dev.first.topic(vin) for vin in more} | {dev.second.topic()}
    vins = [*more, dev.second.vin]

    with fleet.connected("worker-1", GROUP) as one, fleet.connected("worker-2", GROUP) as two:
        # Until they have agreed who has what: the second one takes all that is its own at once.
        number = 0
        while not seen(two, number):
            number += 1
            report(dev, vins, number)
            wait_for(lambda at=number: set(seen(one, at) + seen(two, at)) == topics, "every vehicle")
        number += 1
        report(dev, vins, number)
        wait_for(lambda: len(seen(one, number) + seen(two, number)) >= len(vins), "every message")
        assert sorted(seen(one, number) + seen(two, number)) == sorted(topics), "each goes to one of them"
        assert seen(one, number) and seen(two, number)
        two.close()
        report(dev, vins, 1000)
        wait_for(lambda: set(seen(one, 1000) + seen(two, 1000)) == topics, "all of them at the other one")

    # Nobody is there, and the server dies. Whoever comes gets what all missed.
    report(dev, vins, 1001)
    dev.kill()
    dev.start()
    with fleet.connected("worker-3", GROUP) as three:
        wait_for(lambda: set(seen(three, 1001)) == topics, "the group's backlog")
        assert not three.snapshots
