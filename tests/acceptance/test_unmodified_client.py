"""The PyPI package `bmw-cardata`, unmodified: base URLs, host and TLS context are parameters of its classes."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from bmw_cardata import CarDataClient, CarDataHTTPError, DeviceCodeFlowClient, StreamingClient
from bmw_cardata.models.auth import DeviceCodeResponse, TokenResponse
from bmw_cardata.models.charging import ChargingSessionDto
from bmw_cardata.models.common import Brand, ContainerState, MappingType, MileageUnit, StatusColor
from bmw_cardata.models.container import CreateContainerRequest
from bmw_cardata.models.streaming import StreamingMessage

from conftest import STILL, StartDev
from harness.browser import decide_in_browser
from harness.descriptors import (
    ALTITUDE,
    LATITUDE,
    LONGITUDE,
    MOVING,
    NOT_STREAMABLE,
    ODOMETER,
    SOC,
    TRUNK,
)
from harness.dev import Customer, Dev
from harness.events import event, inject
from harness.login import decide, register_client

TYRE_PRESSURE = "vehicle.chassis.axle.row1.wheel.left.tire.pressure"
TYRE_TARGET = f"{TYRE_PRESSURE}Target"

# When a month that begins with the tests is over, in seconds since 1970.
MONTH_END = int((datetime.now(UTC) + timedelta(days=30)).timestamp())

EVERYTHING = (SOC, ODOMETER, LATITUDE, LONGITUDE, ALTITUDE, MOVING, TRUNK)


@asynccontextmanager
async def http_session(dev: Dev) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that trusts the server's authority, as `session=` parameter of the client."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=dev.tls())) as session:
        yield session


async def log_in(
    dev: Dev,
    session: aiohttp.ClientSession,
    client_id: str,
    approve: Callable[[DeviceCodeResponse], None],
) -> TokenResponse:
    """Logs in by device code; `approve` plays the customer."""
    flow = DeviceCodeFlowClient(client_id, session=session, base_url=dev.ready.http_url)
    code = await flow.request_device_code()
    await asyncio.to_thread(approve, code)
    async with asyncio.timeout(30):
        return await flow.poll_for_token(code.device_code, interval=code.interval)


def as_operator(dev: Dev, customer: Customer) -> Callable[[DeviceCodeResponse], None]:
    """Approves through the operator's door."""
    return lambda code: decide(dev, code.user_code, "approve", customer)


def api(dev: Dev, session: aiohttp.ClientSession, token: TokenResponse) -> CarDataClient:
    """The REST client."""
    return CarDataClient(token.access_token, session=session, base_url=dev.ready.http_url)


def container(name: str, *descriptors: str) -> CreateContainerRequest:
    """A container to ask for."""
    return CreateContainerRequest(name, "acceptance test", list(descriptors))


class Reader:
    """Collects what a `StreamingClient` yields."""

    def __init__(self, client: StreamingClient) -> None:
        self.messages: list[StreamingMessage] = []
        self._task = asyncio.create_task(self._read(client))

    async def _read(self, client: StreamingClient) -> None:
        async for message in client.stream():
            self.messages.append(message)

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
        """Waits until `condition` counts as true."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self._task.done():
                        await self._task
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; came: {self.messages[-3:]}") from None

    def descriptors(self) -> set[str]:
        """Every descriptor seen."""
        return {name for message in self.messages for name in message.data}

    def numbers(self, vin: str, descriptor: str, begin: int) -> list[int]:
        """A vehicle's numbers in one descriptor, from `begin` on, in the order in which they came."""
        own = [message.data for message in self.messages if message.vin == vin]
        came: list[Any] = [data[descriptor].value for data in own if descriptor in data]
        return [number for number in came if number >= begin]

    async def end(self) -> None:
        """Stops reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@dataclass
class Integration:
    """A program of somebody's: its customer, its container, its stream."""

    customer: Customer
    wanted: frozenset[str]
    reader: Reader

    async def has_exactly_its_own(self, begin: int, end: int) -> None:
        """Waits for event `end` of each own vehicle, then checks that all from `begin` came, and nothing besides."""
        own = [vehicle.vin for vehicle in self.customer.vehicles]
        numbered = min(self.wanted - {MOVING, TRUNK})
        for vin in own:
            came = functools.partial(self.reader.numbers, vin, numbered, begin)
            await self.reader.until(functools.partial(lambda came: end in came(), came), f"event {end} of each vehicle")
            assert came() == list(range(begin, end + 1))
        assert self.reader.descriptors() == self.wanted
        for message in self.reader.messages:
            assert message.vin in own
            assert message.topic == f"{self.customer.gcid}/{message.vin}"
            assert message.raw_data["topic"] == message.vin
            assert message.raw_data.keys() == {"vin", "entityId", "topic", "timestamp", "data"}


@asynccontextmanager
async def integration(
    dev: Dev, customer: Customer, client_id: str, *wanted: str
) -> AsyncIterator[Integration]:
    """Logs in, registers a container and streams."""
    async with http_session(dev) as session:
        token = await log_in(dev, session, client_id, as_operator(dev, customer))
        await api(dev, session, token).create_container(container("its own", *wanted))
        assert token.id_token is not None
        # The MQTT client id is the GCID here, the library's default: two programs of one customer share it.
        client = StreamingClient(
            token.gcid,
            token.id_token,
            host=dev.ready.mqtt_host,
            port=dev.ready.mqtt_port,
            tls_context=dev.tls(),
        )
        async with client:
            reader = Reader(client)
            try:
                yield Integration(customer, frozenset(wanted), reader)
            finally:
                await reader.end()


def everything(vin: str, number: int) -> dict[str, object]:
    """An event with all descriptors, told apart by `number`."""
    values = dict.fromkeys(EVERYTHING, number) | {MOVING: True, TRUNK: False}
    return event(vin, number, values)


def test_each_client_gets_its_containers_descriptors_and_no_other(dev: Dev) -> None:
    async def scenario() -> None:
        owner, neighbour = dev.first, dev.second
        other_client = await asyncio.to_thread(register_client, dev, owner)
        async with (
            integration(dev, owner, owner.client_id, SOC, ODOMETER) as one,
            integration(dev, owner, other_client, LATITUDE, LONGITUDE) as two,
            integration(dev, neighbour, neighbour.client_id, SOC, TRUNK) as three,
        ):
            integrations = [one, two, three]
            vins = [vehicle.vin for customer in dev.ready.customers for vehicle in customer.vehicles]
            assert len(vins) == len(set(vins)) == 3
            # Until each has answered once, its subscription may not be there yet.
            number = 0
            while not all(each.reader.messages for each in integrations):
                number += 1
                assert number < 500, "not everybody hears"
                await asyncio.to_thread(inject, dev, *(everything(vin, number) for vin in vins))
                await asyncio.sleep(0.02)
            begin, end = number + 1, number + 30
            for number in range(begin, end + 1):
                await asyncio.to_thread(inject, dev, *(everything(vin, number) for vin in vins))

            for each in integrations:
                await each.has_exactly_its_own(begin, end)

    asyncio.run(scenario())


def test_the_rest_api_gives_what_the_client_models(dev: Dev) -> None:
    async def scenario() -> None:
        async with http_session(dev) as session:
            customer = dev.first
            token = await log_in(dev, session, customer.client_id, as_operator(dev, customer))
            assert token.gcid == customer.gcid
            cardata = api(dev, session, token)

            mappings = {mapping.vin: mapping for mapping in await cardata.get_mappings()}
            for vehicle in customer.vehicles:
                assert mappings[vehicle.vin].mapping_type is MappingType.PRIMARY
                since = mappings[vehicle.vin].mapped_since
                assert since is not None and since.utcoffset() == timedelta(0)
                basic = await cardata.get_basic_data(vehicle.vin)
                assert isinstance(basic.brand, Brand)
                assert basic.model_name is not None and vehicle.model.endswith(basic.model_name)
                assert basic.drive_train
                assert (basic.vin, basic.has_navi, basic.sim_status) == (vehicle.vin, True, "ACTIVE")
                assert basic.construction_date is not None and basic.construction_date.endswith("+0000")
                assert set(basic.charging_modes) == ({"AC", "DC"} if basic.drive_train == "BEV" else {"AC"})
                picture = await cardata.get_vehicle_image(vehicle.vin)
                assert picture.startswith(b"\x89PNG") and len(picture) > 5_000

            pressures = {TYRE_PRESSURE: (180, "kPa"), TYRE_TARGET: (250, "kPa")}
            await asyncio.to_thread(inject, dev, event(customer.vin, 10, pressures))
            tyres = await cardata.get_smart_maintenance_tyre_diagnosis(customer.vin)
            assert tyres.errors == [] and tyres.passenger_car is not None
            mounted = tyres.passenger_car.mounted_tyres
            assert mounted is not None and mounted.front_left is not None and mounted.rear_right is not None
            assert mounted.front_left.tyre_defect is not None and mounted.rear_right.tyre_defect is not None
            assert mounted.front_left.tyre_defect.status_color is StatusColor.RED
            assert mounted.rear_right.tyre_defect.status_color is None
            assert mounted.rear_right.tyre_wear is not None and mounted.rear_right.tyre_wear.label

            assert (await cardata.list_containers()).containers == []
            wanted = [ODOMETER, SOC, TRUNK, NOT_STREAMABLE]
            made = await cardata.create_container(container("Zähler: täglich", *wanted))
            assert made.container_id is not None and len(made.container_id) == 13
            assert (made.name, made.state) == ("Zähler: täglich", ContainerState.ACTIVE)
            assert made.technical_descriptors == wanted
            assert made.created is not None and made.created.utcoffset() == timedelta(0)
            assert await cardata.get_container(made.container_id) == made
            listed = (await cardata.list_containers()).containers
            assert [one.container_id for one in listed] == [made.container_id]

            newer = event(customer.vin, 60, {ODOMETER: (10489, "km"), TRUNK: True, NOT_STREAMABLE: "SECURED"})
            older = event(customer.vin, 30, {ODOMETER: (10488, "km")})
            await asyncio.to_thread(inject, dev, newer, older)
            answer = await cardata.get_telematic_data(customer.vin, made.container_id)
            told = answer.telematic_data
            assert told.keys() == set(wanted)
            # Text whatever the type on the stream, and the newest value, not the one that came last.
            assert told[ODOMETER].value == "10489"
            assert told[ODOMETER].timestamp == "2026-03-01T08:01:00.000Z"
            assert (told[TRUNK].value, told[TRUNK].unit) == ("true", None)
            assert told[NOT_STREAMABLE].value == "SECURED"
            assert (told[SOC].value, told[SOC].timestamp) == (None, None)

            await cardata.delete_container(made.container_id)
            assert (await cardata.list_containers()).containers == []
            with pytest.raises(CarDataHTTPError) as refused:
                await cardata.get_telematic_data(customer.vin, made.container_id)
            assert (refused.value.status, refused.value.error_id) == (403, "CU-105")

    asyncio.run(scenario())


async def charging_history(cardata: CarDataClient, vin: str) -> list[ChargingSessionDto]:
    """All pages of the charging history, the newest session first; also what a car that runs ahead charges tomorrow."""
    begin = datetime.now(UTC) - timedelta(days=1)
    span = {"from_": begin, "to": begin + timedelta(days=45)}
    answer = await cardata.get_charging_history(vin, **span)
    sessions = answer.data
    while answer.next_token is not None:
        assert len(answer.data) == 10
        answer = await cardata.get_charging_history(vin, next_token=answer.next_token, **span)
        sessions += answer.data
    return sessions


async def newest_start(cardata: CarDataClient, vin: str) -> int:
    """When the newest charge began, in seconds since 1970; 0 before the first."""
    begin = datetime.now(UTC) - timedelta(days=1)
    answer = await cardata.get_charging_history(vin, from_=begin, to=begin + timedelta(days=45))
    return max((charge.start_time for charge in answer.data), default=0)


def check_charge(session: ChargingSessionDto, *, is_newest: bool) -> None:
    """A charge of a simulated vehicle: about twenty minutes at one of the three places on its way."""
    assert session.start_time > 1_700_000_000
    assert session.time_zone == "Europe/Berlin"
    assert session.mileage > 0 and session.mileage_units is MileageUnit.KM
    assert 0 < session.displayed_start_soc <= session.displayed_soc <= 100
    assert session.charging_location is not None
    assert session.charging_location.map_matched_latitude == pytest.approx(48.2, abs=0.2)
    assert session.charging_location.map_matched_longitude == pytest.approx(11.7, abs=0.2)
    blocks = session.charging_blocks
    assert session.total_charging_duration_sec == sum(block.end_time - block.start_time for block in blocks)
    energy = session.energy_consumed_from_power_grid_kwh
    assert energy is not None
    if session.end_time == 0:
        assert is_newest, "only the newest session may run"
        return
    assert session.start_time == blocks[0].start_time and session.end_time == blocks[-1].end_time
    assert 0 < session.total_charging_duration_sec < 30 * 60
    assert energy > 0
    by_block = [
        (block.average_power_grid_kw or 0) * (block.end_time - block.start_time) / 3600 for block in blocks
    ]
    assert sum(by_block) == pytest.approx(energy, rel=0.01)


@pytest.mark.looked_at_last("month")
def test_the_client_models_every_answer_over_a_simulated_month(month: Dev) -> None:
    async def scenario() -> None:
        drivetrains = set()
        async with http_session(month) as session:
            for customer in month.ready.customers:
                token = await log_in(month, session, customer.client_id, as_operator(month, customer))
                cardata = api(month, session, token)
                made = await cardata.create_container(container("what cars tell", *EVERYTHING, TYRE_PRESSURE))
                assert made.container_id is not None
                for vehicle in customer.vehicles:
                    drivetrains.add(vehicle.drivetrain)
                    await look_at_charging(cardata, vehicle.vin, has_plug=vehicle.drivetrain in ("BEV", "PHEV"))
                    await look_at_values(cardata, vehicle.vin, made.container_id)
        assert drivetrains == {"BEV", "PHEV", "ICE"}

    async def look_at_values(cardata: CarDataClient, vin: str, container_id: str) -> None:
        assert vin in {mapping.vin for mapping in await cardata.get_mappings()}
        assert (await cardata.get_basic_data(vin)).vin == vin
        assert (await cardata.get_vehicle_image(vin)).startswith(b"\x89PNG")
        told = (await cardata.get_telematic_data(vin, container_id)).telematic_data
        assert float(told[ODOMETER].value or 0) > 1_000, "a month's way"
        tyres = await cardata.get_smart_maintenance_tyre_diagnosis(vin)
        assert tyres.passenger_car is not None and tyres.passenger_car.mounted_tyres is not None

    async def look_at_charging(cardata: CarDataClient, vin: str, *, has_plug: bool) -> None:
        if not has_plug:
            assert await charging_history(cardata, vin) == []
            with pytest.raises(CarDataHTTPError) as refused:
                await cardata.get_location_based_charging_settings(vin)
            assert (refused.value.status, refused.value.error_id) == (404, "CU-127")
            return
        # The server began with the first test, so that most of the month is over.
        async with asyncio.timeout(400):
            while (await newest_start(cardata, vin)) < MONTH_END:
                await asyncio.sleep(1)
        sessions = await charging_history(cardata, vin)
        for number, charge in enumerate(sessions):
            check_charge(charge, is_newest=number == 0)
        starts = [charge.start_time for charge in sessions]
        assert starts == sorted(set(starts), reverse=True)
        for newer, older in itertools.pairwise(sessions):
            assert older.end_time <= newer.start_time
        days = {start // (24 * 3600) for start in starts}
        assert len(days) >= 30, "it charges each day"

        settings = await cardata.get_location_based_charging_settings(vin)
        assert settings.next_token is None and len(settings.data) == 3, "it stops at three places"
        assert sum(place.visits or 0 for place in settings.data) >= len(sessions)
        newest = settings.data[0]
        assert newest.flap_lock in ("true", "false") and newest.charging_plug
        assert all(place.latitude and place.longitude and place.id for place in settings.data)

    asyncio.run(scenario())


def test_auto_approve_grants_a_device_code_to_the_first_customer_at_once(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--auto-approve")

    async def scenario() -> None:
        async with http_session(dev) as session:
            token = await log_in(dev, session, dev.first.client_id, lambda _: None)
            assert token.gcid == dev.first.gcid
            assert len(await api(dev, session, token).get_mappings()) >= 2

    asyncio.run(scenario())


def test_a_customer_approves_on_the_page_that_the_client_shows(dev: Dev) -> None:
    def in_browser(code: DeviceCodeResponse) -> None:
        assert code.verification_uri_complete is not None
        question, confirmation = decide_in_browser(
            dev,
            code.verification_uri_complete,
            code.user_code,
            dev.second.email,
            dev.second.password,
            ("approve", "allow", "grant"),
        )
        assert code.user_code in question.html
        for scope in ("cardata:api:read", "cardata:streaming:read"):
            assert scope in question.text, f"the page does not say what it asks for: {question.text}"
        assert confirmation.status == 200, confirmation.text

    async def scenario() -> None:
        async with http_session(dev) as session:
            token = await log_in(dev, session, dev.second.client_id, in_browser)
            assert token.gcid == dev.second.gcid

    asyncio.run(scenario())


def test_a_client_that_polls_before_the_approval_gets_its_tokens_at_its_next_poll(dev: Dev) -> None:
    async def scenario() -> None:
        async with http_session(dev) as session:
            customer = dev.first
            flow = DeviceCodeFlowClient(customer.client_id, session=session, base_url=dev.ready.http_url)
            code = await flow.request_device_code()
            polling = asyncio.create_task(flow.poll_for_token(code.device_code, interval=code.interval))
            # The pause between two polls is five seconds long; the approval falls into the first one.
            await asyncio.sleep(0.5)
            assert not polling.done()
            await asyncio.to_thread(decide, dev, code.user_code, "approve", customer)
            async with asyncio.timeout(20):
                assert (await polling).gcid == customer.gcid

    asyncio.run(scenario())


def test_a_refreshed_token_opens_the_doors_again(dev: Dev) -> None:
    async def scenario() -> None:
        async with http_session(dev) as session:
            customer = dev.first
            first = await log_in(dev, session, customer.client_id, as_operator(dev, customer))
            flow = DeviceCodeFlowClient(
                customer.client_id,
                refresh_token=first.refresh_token,
                session=session,
                base_url=dev.ready.http_url,
            )
            second = await flow.refresh()
            assert second.refresh_token != first.refresh_token
            assert second.gcid == first.gcid
            assert await api(dev, session, second).get_mappings()
            assert second.id_token is not None
            async with StreamingClient(
                second.gcid,
                second.id_token,
                host=dev.ready.mqtt_host,
                port=dev.ready.mqtt_port,
                tls_context=dev.tls(),
            ):
                pass

    asyncio.run(scenario())
