"""Waiting for conditions, never for time alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def wait_for(
    condition: Callable[[], T | None],
    what: str | Callable[[], str],
    seconds: float = 10.0,
) -> T:
    """The first result of `condition` that counts as true; fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            description = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds} s in vain for {description}")
        time.sleep(POLL_SECONDS)


def wait_until(instant: float) -> None:
    """Lets the monotonic clock pass `instant`; for rules that are about time itself."""
    wait_for(lambda: time.monotonic() >= instant, "the clock", max(instant - time.monotonic(), 0) + 1)
