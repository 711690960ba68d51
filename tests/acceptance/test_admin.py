"""The operator adds and ends customers, vehicles, mappings, clients, consents and keys; open streams follow."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from harness.descriptors import SOC
from harness.dev import Customer, Dev, Vehicle, run
from harness.events import event, inject
from harness.login import Tokens, log_in, refresh
from harness.rest import create_container, telematic_data
from harness.stream import BAD_TOKEN, Subscriber, subscriber

FIRST, SECOND = "WBYADMNT0X0000001", "WBYADMNT0X0000002"


def admin(dev: Dev, *arguments: str) -> CompletedProcess[str]:
    """Runs `cardata admin`, which finds the server by its data folder."""
    return run("admin", *arguments, "--data-dir", str(dev.data_dir))


def ask(dev: Dev, *arguments: str) -> Any:
    """The same, as a program does it: it must succeed, and its answer is JSON."""
    ended = admin(dev, *arguments, "--json")
    assert ended.returncode == 0, f"{arguments}: {ended.stderr}"
    return json.loads(ended.stdout)


def refused(dev: Dev, *arguments: str) -> str:
    """The same, where another command line would be needed; gives what was said."""
    ended = admin(dev, *arguments)
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert ended.stderr.startswith("error: ") and "\ntry: " in ended.stderr, ended.stderr
    return ended.stderr


def add_customer(dev: Dev, email: str) -> Customer:
    """A customer with a client of their own, without vehicles."""
    added = ask(dev, "customer", "add", email)
    client = ask(dev, "client", "add", "hub", "--owner", email)
    return Customer(email, added["password"], added["gcid"], client["client_id"], ())


def add_vehicle(dev: Dev, vin: str) -> Vehicle:
    """A vehicle that is nobody's."""
    added = ask(dev, "vehicle", "add", vin, "BEV", "--model-name", "i4", "--doors", "4")
    return Vehicle(added["vin"], added["model_name"], added["drivetrain"])


def stream_of(dev: Dev, customer: Customer, tokens: Tokens) -> Subscriber:
    """A stream of all of the customer's vehicles, with QoS 1, that shows the state of charge."""
    create_container(dev, tokens, SOC)
    return subscriber(dev, tokens, [customer.every_vehicle], qos=1)


def ledger(dev: Dev, *filters: str) -> list[dict[str, Any]]:
    """Lines of the ledger, the newest first."""
    ended = admin(dev, "ledger", "export", *filters)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def detail(dev: Dev, act: str, *filters: str) -> dict[str, Any]:
    """What the newest line about `act` says; it must be the operator's."""
    line = next(line for line in ledger(dev, *filters) if line["act"] == act)
    assert line["actor"] == "OPERATOR", line
    found: dict[str, Any] = line["detail"]
    return found


def test_a_new_customers_stream_follows_their_mappings_without_a_reconnect(dev: Dev) -> None:
    carla = add_customer(dev, "carla@example.com")
    for vin in (FIRST, SECOND):
        add_vehicle(dev, vin)
    ask(dev, "mapping", "set", carla.email, SECOND)
    with stream_of(dev, carla, log_in(dev, carla)) as stream:
        inject(dev, event(FIRST, 1, {SOC: 1}), event(SECOND, 1, {SOC: 2}))
        stream.wait_for_value(SOC, 2)
        linked = ask(dev, "mapping", "set", carla.email, FIRST)
        assert (linked["change"], linked["type"]) == ("added", "PRIMARY")
        inject(dev, event(FIRST, 2, {SOC: 3}))
        assert stream.wait_for_value(SOC, 3).topic == carla.topic(FIRST)

        ended = ask(dev, "mapping", "end", carla.gcid, FIRST, "--yes")
        assert ended["streams_closed"] == 1 and ended["took_ms"] >= 0
        inject(dev, event(FIRST, 3, {SOC: 4}), event(SECOND, 3, {SOC: 5}))
        stream.wait_for_value(SOC, 5)
        assert stream.values(SOC) == [2, 3, 5]
        assert not stream.is_closed and stream.connacks == [0]
    ended_line = detail(dev, "MAPPING_ENDED", "--customer", carla.email)
    assert ended_line["vin"] == FIRST and ended_line["took_ms"] >= 0


def test_a_vehicle_is_handed_over_without_what_it_sent_before(dev: Dev) -> None:
    dora = add_customer(dev, "dora@example.com")
    vin = dev.first.vin
    tokens = log_in(dev, dora)
    container_id = create_container(dev, tokens, SOC)
    inject(dev, event(vin, 1, {SOC: 11}))
    with stream_of(dev, dev.first, log_in(dev, dev.first)) as before:
        assert dev.first.gcid in refused(dev, "mapping", "set", dora.email, vin)
        told = refused(dev, "mapping", "set", dora.email, vin, "--hand-over")
        assert "--yes" in told
        linked = ask(dev, "mapping", "set", dora.email, vin, "--hand-over", "--yes")
        assert linked["ended"]["gcid"] == dev.first.gcid
        assert telematic_data(dev, tokens, vin, container_id)[SOC]["value"] is None
        with subscriber(dev, tokens, [dora.every_vehicle], qos=1) as after:
            inject(dev, event(vin, 2, {SOC: 12}), event(dev.first.vehicles[1].vin, 2, {SOC: 13}))
            after.wait_for_value(SOC, 12)
            assert after.descriptors() == {SOC} and after.values(SOC) == [12]
        before.wait_for_value(SOC, 13)
        assert 12 not in before.values(SOC)
    # The sandbox makes up what is missing of its demo; it must not take the vehicle back.
    dev.stop()
    dev.start()
    links = ask(dev, "vehicle", "show", vin)["mappings"]
    assert [(link["gcid"], link["type"]) for link in links] == [(dora.gcid, "PRIMARY")]


def test_an_ended_consent_closes_its_stream_at_once(dev: Dev) -> None:
    client = ask(dev, "client", "add", "Charge planner", "--purpose", "charges when the sun shines")
    tokens = log_in(dev, dev.first, client_id=client["client_id"])
    others = log_in(dev, dev.first)
    with stream_of(dev, dev.first, tokens) as stream, stream_of(dev, dev.first, others) as other:
        consents = ask(dev, "consent", "list", dev.first.email)
        of_client = [one for one in consents if one["client_id"] == client["client_id"]]
        assert [one["state"] for one in of_client] == ["ACTIVE"]
        assert of_client[0]["purpose"] == "Charge planner: charges when the sun shines"
        consent_id = of_client[0]["consent_id"]
        assert "--yes" in refused(dev, "consent", "end", consent_id)
        assert not stream.is_closed
        assert ask(dev, "consent", "end", consent_id, "--yes")["streams_closed"] == 1
        stream.wait_until_closed()
        assert not other.is_closed
    line = detail(dev, "CONSENT_ENDED", "--customer", dev.first.email, "--consents")
    assert line["took_ms"] >= 0, line
    assert (line["consent_id"], line["why"], line["streams_closed"]) == (consent_id, "OPERATOR", 1)
    assert Subscriber(dev, tokens).try_to_connect() == BAD_TOKEN
    answer = refresh(dev, tokens.client_id, tokens.refresh)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    assert "ended at" in refused(dev, "consent", "end", consent_id, "--yes")


def test_a_client_that_loses_the_stream_or_is_deleted_streams_no_longer(dev: Dev) -> None:
    client = ask(dev, "client", "add", "Fleet view", "--confidential")
    assert client["client_secret"]
    public = ask(dev, "client", "add", "Public view")["client_id"]
    with stream_of(dev, dev.first, log_in(dev, dev.first, client_id=public)) as stream:
        changed = ask(dev, "client", "change", public, "--stream", "off", "--yes")
        assert changed["services"] == {"api": True, "stream": False}
        stream.wait_until_closed()
    with stream_of(dev, dev.second, log_in(dev, dev.second)) as stream:
        deleted = ask(dev, "client", "delete", dev.second.client_id, "--yes")
        assert deleted["took_ms"] >= 0
        stream.wait_until_closed()
    assert ask(dev, "client", "show", dev.second.client_id)["deleted_at"]


def test_a_new_password_ends_what_was_let_in_with_the_old_one(dev: Dev, tmp_path: Path) -> None:
    tokens = log_in(dev, dev.first)
    password = tmp_path / "password"
    password.write_text("a password from a file\n")
    with stream_of(dev, dev.first, tokens) as stream:
        kept = ("--password-file", str(password), "--keep-clients", "--yes")
        assert ask(dev, "customer", "password", dev.first.email, *kept)["consents_ended"] == 0
        assert not stream.is_closed
        changed = ask(dev, "customer", "password", dev.first.email, "--yes")
        assert changed["consents_ended"] == 1 and len(changed["password"]) >= 20
        stream.wait_until_closed()
    assert detail(dev, "PASSWORD_CHANGED")["consents_ended"] == 1
    assert changed["password"] not in dev.stderr + json.dumps(ledger(dev))


def test_a_deleted_customer_is_gone_with_stream_and_account(dev: Dev) -> None:
    tokens = log_in(dev, dev.second)
    with stream_of(dev, dev.second, tokens) as stream:
        assert dev.second.email in refused(dev, "customer", "delete", dev.second.email)
        ended = admin(dev, "customer", "delete", dev.second.email, "--yes")
        assert ended.returncode == 0, ended.stderr
        stream.wait_until_closed()
    assert "no customer" in refused(dev, "customer", "show", dev.second.email)
    assert all(line["gcid"] != dev.second.gcid for line in ledger(dev))
    assert Subscriber(dev, tokens).try_to_connect() == BAD_TOKEN


def test_a_fleet_is_imported_once_however_often_it_is_sent(dev: Dev, tmp_path: Path) -> None:
    def sheet(name: str, *lines: str) -> str:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    people = sheet("people.csv", "email,password", "emil@example.com,", "frida@example.com,frida likes trains")
    cars = sheet("cars.csv", "vin;drivetrain;model_name", f"{FIRST};BEV;i4", f"{SECOND};ICE;")
    links = sheet(
        "links.csv", "email,vin,type", f"emil@example.com,{FIRST},PRIMARY", f"frida@example.com,{FIRST},PRIMARY"
    )
    tried = ask(dev, "import", "customers", people, "--dry-run")
    assert (tried["added"], tried["passwords"]) == (2, [])
    ended = admin(dev, "import", "customers", people)
    assert ended.returncode == 0 and "2 added" in ended.stderr, ended
    rows = list(csv.DictReader(ended.stdout.splitlines()))
    assert [row["email"] for row in rows] == ["emil@example.com"] and rows[0]["password"]
    again = ask(dev, "import", "customers", people)
    assert (again["added"], again["unchanged"], again["passwords"]) == (0, 2, [])
    assert ask(dev, "import", "vehicles", cars)["added"] == 2

    for dry_run in (("--dry-run",), ()):
        ended = admin(dev, "import", "mappings", links, *dry_run)
        assert ended.returncode == 2, ended
        assert "LINE  COLUMN  REASON\n3     type" in ended.stderr
    assert ask(dev, "customer", "show", "emil@example.com")["mappings"] == []
    links = sheet(
        "links.csv", "email,vin,type", f"emil@example.com,{FIRST},PRIMARY", f"frida@example.com,{FIRST},SECONDARY"
    )
    assert ask(dev, "import", "mappings", links)["added"] == 2

    emil = Customer("emil@example.com", rows[0]["password"], rows[0]["gcid"], "", (Vehicle(FIRST, "i4", "BEV"),))
    client = ask(dev, "client", "add", "hub", "--owner", emil.email)["client_id"]
    with stream_of(dev, emil, log_in(dev, emil, client_id=client)) as stream:
        inject(dev, event(FIRST, 1, {SOC: 21}))
        stream.wait_for_value(SOC, 21)


def test_a_key_changes_while_clients_are_connected(dev: Dev) -> None:
    def kids() -> list[str]:
        return [key["kid"] for key in dev.http("GET", "/.well-known/jwks.json").json["keys"]]

    tokens = log_in(dev, dev.first)
    (old,) = kids()
    with stream_of(dev, dev.first, tokens) as stream:
        new = ask(dev, "key", "rotate")["kid"]
        assert set(kids()) == {old, new}
        keys = ask(dev, "key", "list")
        assert [(key["kid"], key["signs"]) for key in keys] == [(new, True), (old, False)]
        inject(dev, event(dev.first.vin, 1, {SOC: 31}))
        stream.wait_for_value(SOC, 31)
        assert not stream.is_closed
    # The old key's token is good for as long as it says, the new one's as well, also after a restart.
    for _ in range(2):
        for each in (tokens, log_in(dev, dev.first)):
            with Subscriber(dev, each).connect():
                pass
        dev.stop()
        dev.start()
    assert detail(dev, "KEY_ROTATED")["kid"] == new
    for kid in (new, old):
        told = refused(dev, "key", "remove", kid, "--yes")
        assert kid in told, told
    assert "no signing key" in refused(dev, "key", "remove", "x", "--yes")


def test_who_is_no_operator_is_told_so(dev: Dev, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    url = ("--admin-url", dev.ready.admin_url)
    ended = admin(dev, "customer", "list", *url, "--admin-token-file", str(token))
    assert ended.returncode == 2 and "HTTP 401" in ended.stderr, ended
    ended = admin(dev, "customer", "list", *url)
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[1] for line in ended.stdout.splitlines()] == ["E-MAIL", "anna@example.com", "ben@example.com"]
    ended = run("admin", "customer", "list", "--data-dir", str(tmp_path))
    assert ended.returncode == 1 and "found no running server" in ended.stderr, ended


@pytest.mark.parametrize("noun", ["customer", "vehicle", "mapping", "client", "consent", "source", "key", "ledger", "import"])
def test_each_noun_explains_itself(noun: str) -> None:
    ended = run("admin", noun, "--help")
    assert ended.returncode == 0 and "Usage: cardata admin" in ended.stdout, ended
