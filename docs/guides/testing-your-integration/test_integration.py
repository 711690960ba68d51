"""An example: a client of the stream gets what a vehicle says, and nothing that its container does not name."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt

if TYPE_CHECKING:
    from conftest import Sandbox

ODOMETER = "vehicle.vehicle.travelledDistance"


def test_the_odometer_arrives(cardata: Sandbox) -> None:
    cardata.container(ODOMETER)
    gcid = cardata.customer["gcid"]
    subscribed: queue.Queue[None] = queue.Queue()
    messages: queue.Queue[dict[str, Any]] = queue.Queue()

    # Your own client would stand here, with host, port and CA from the sandbox.
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="test")
    client.username_pw_set(gcid, cardata.token())
    client.tls_set_context(cardata.tls())
    client.on_connect = lambda *_: client.subscribe(f"{gcid}/+", qos=1)
    client.on_subscribe = lambda *_: subscribed.put(None)
    client.on_message = lambda _client, _data, message: messages.put(json.loads(message.payload))
    client.connect(cardata.ready["mqtt_host"], cardata.ready["mqtt_port"])
    client.loop_start()
    try:
        subscribed.get(timeout=10)
        cardata.send({ODOMETER: 12345, "vehicle.isMoving": True})
        message = messages.get(timeout=10)
        assert message["vin"] == cardata.vin
        assert message["data"][ODOMETER]["value"] == 12345
        assert "vehicle.isMoving" not in message["data"]
    finally:
        client.disconnect()
        client.loop_stop()
