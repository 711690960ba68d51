"""The PyPI package `bmw-cardata`, unmodified, for tests that drive a browser beside it.

Takes its settings as JSON in its argument, and a command for each line of its standard input: `begin`, `poll`, `read`,
`stream`. Tells what happened as JSON lines on its standard output.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

import aiohttp
from bmw_cardata import CarDataClient, CarDataHTTPError, DeviceCodeFlowClient, StreamingClient

SETTINGS: dict[str, Any] = json.loads(sys.argv[1])


def tell(event: str, **fields: Any) -> None:
    """Tells the test what happened."""
    print(json.dumps({"event": event, **fields}), flush=True)


async def stream(client: StreamingClient) -> None:
    """Tells each message, and the end."""
    try:
        async for message in client.stream():
            values = {name: entry.value for name, entry in message.data.items()}
            tell("message", vin=message.vin, values=values)
        tell("ended", why="no more messages")
    # Whatever ends the stream, the test is told.
    except Exception as error:  # noqa: BLE001
        tell("ended", why=str(error))


async def main() -> None:
    """Carries the commands out."""
    tls = ssl.create_default_context(cafile=SETTINGS["ca_file"])
    loop = asyncio.get_running_loop()
    streams = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        flow = DeviceCodeFlowClient(SETTINGS["client_id"], session=session, base_url=SETTINGS["http_url"])
        while command := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if command == "begin":
                code = await flow.request_device_code()
                tell("code", user_code=code.user_code, address=code.verification_uri_complete)
            elif command == "poll":
                token = await flow.poll_for_token(code.device_code, interval=code.interval)
                tell("token", gcid=token.gcid)
            elif command == "read":
                api = CarDataClient(token.access_token, session=session, base_url=SETTINGS["http_url"])
                try:
                    mappings = await api.get_mappings()
                    tell("read", status=200, vins=[mapping.vin for mapping in mappings])
                except CarDataHTTPError as error:
                    tell("read", status=error.status, vins=[])
            elif command == "stream":
                client = StreamingClient(
                    token.gcid,
                    token.id_token,
                    host=SETTINGS["mqtt_host"],
                    port=SETTINGS["mqtt_port"],
                    tls_context=tls,
                )
                await client.connect()
                tell("connected")
                streams.append(asyncio.create_task(stream(client)))


asyncio.run(main())
