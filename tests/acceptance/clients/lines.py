"""What the programs in Python share: settings, commands and events."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

SETTINGS: dict[str, Any] = json.loads(sys.argv[1])
IS_5 = SETTINGS["version"] == "5"

_lock = threading.Lock()


def tell(event: str, **fields: Any) -> None:
    """Tells the test what happened."""
    with _lock:
        print(json.dumps({"event": event, **fields}), flush=True)


def tls() -> ssl.SSLContext:
    """Trusts the sandbox's authority and nothing else, and checks host names."""
    return ssl.create_default_context(cafile=SETTINGS["ca_file"])


def commands(handle: Callable[[dict[str, Any]], None]) -> None:
    """Hands each command on, and ends the process after the last one."""
    for line in sys.stdin:
        handle(json.loads(line))
    os._exit(0)


def commands_into(queue: asyncio.Queue[dict[str, Any]]) -> None:
    """Collects the commands in a queue of the running loop."""
    loop = asyncio.get_running_loop()

    def put(command: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, command)

    threading.Thread(target=commands, args=(put,), daemon=True).start()
