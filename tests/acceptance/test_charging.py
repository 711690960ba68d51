"""Charging sessions: those that the vehicle told, also when the server is killed in the middle of one."""

from __future__ import annotations

from typing import Any

import pytest

from harness.descriptors import LATITUDE, LONGITUDE, ODOMETER, SOC_DISPLAYED
from harness.dev import Dev
from harness.events import BEGIN, at, event, inject
from harness.login import Tokens, log_in
from harness.wait import wait_for

STATUS = "vehicle.drivetrain.electricEngine.charging.status"
POWER = "vehicle.powertrain.electric.battery.charging.power"
PLUGGED = "vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged"

# A search begins five seconds after the one before.
SEARCH_SECONDS = 30.0


@pytest.fixture
def tokens(dev: Dev) -> Tokens:
    """The first customer's tokens."""
    return log_in(dev, dev.first)


def history(dev: Dev, tokens: Tokens) -> list[dict[str, Any]]:
    """The sessions of the first vehicle in the tests' month, the oldest first."""
    path = f"/customers/vehicles/{dev.first.vin}/chargingHistory?from={at(-86400)}&to={at(30 * 86400)}"
    sessions: list[dict[str, Any]] = []
    token = ""
    while True:
        answer = dev.http("GET", path + token, token=tokens.access)
        assert answer.status == 200, answer.text
        sessions += answer.json["data"]
        if "next_token" not in answer.json:
            return sessions[::-1]
        token = f"&nextToken={answer.json['next_token']}"


def test_a_server_that_is_killed_while_a_car_charges_tells_what_it_would_have_told(dev: Dev, tokens: Tokens) -> None:
    begin = int(BEGIN.timestamp())
    minute = 60
    reports: list[tuple[int, dict[str, Any]]] = []
    # Twelve charges: two blocks of twenty minutes with five between them, at 7.2 kW.
    for number in range(12):
        start = number * 180 * minute
        place = {LATITUDE: 48.1 + number % 2, LONGITUDE: 11.5, ODOMETER: (1000 + number * 50, "km")}
        reports.append((start - minute, place | {SOC_DISPLAYED: 40, PLUGGED: True, STATUS: "INITIALIZATION"}))
        for block in (start, start + 25 * minute):
            reports.append((block, {STATUS: "CHARGINGACTIVE", POWER: (7200, "W")}))
            reports.append((block + 10 * minute, {SOC_DISPLAYED: 50}))
            reports.append((block + 20 * minute, {STATUS: "CHARGINGPAUSED", POWER: (0, "W")}))
        reports.append((start + 50 * minute, {SOC_DISPLAYED: 60, PLUGGED: False, STATUS: "NOCHARGING"}))
    for number, (second, values) in enumerate(reports):
        inject(dev, event(dev.first.vin, second, values))
        # In the middle of a block, in a pause, between two sessions.
        if number in (5, 20, 34, 61, 79):
            dev.kill()
            dev.start()
            # Some of it is searched before the next end, some is not.
            if number % 2:
                wait_for(lambda: history(dev, tokens), "a session", SEARCH_SECONDS)

    def whole() -> list[dict[str, Any]]:
        found = history(dev, tokens)
        return found if len(found) == 12 and "endTime" in found[-1] else []

    found = wait_for(whole, "twelve sessions", SEARCH_SECONDS)
    for number, session in enumerate(found):
        start = begin + number * 180 * minute
        assert (session["startTime"], session["endTime"]) == (start, start + 45 * minute)
        assert session["totalChargingDurationSec"] == 40 * minute
        assert len(session["chargingBlocks"]) == 2
        assert session["energyConsumedFromPowerGridKwh"] == pytest.approx(4.8, rel=1e-6)
        assert (session["displayedStartSoc"], session["mileage"]) == (40, 1000 + number * 50)
    dev.kill()
    dev.start()
    assert history(dev, tokens) == found

    places = f"/customers/vehicles/{dev.first.vin}/locationBasedChargingSettings"
    data = dev.http("GET", places, token=tokens.access).json["data"]
    assert [(place["latitude"], place["visits"]) for place in data] == [(49.1, 6), (48.1, 6)]
