"""One scenario for many clients at the same time, where what happens to the server happens to all of them."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from harness.closing import Closing

Key = TypeVar("Key", bound=Hashable)

# A scenario yields wherever it waits for what happens to all.
Scenario = Generator[None, None, None]


class Together(Closing, Generic[Key]):
    """Takes scenarios from one `yield` to the next, all at once. What fails in one is kept for its own test."""

    def __init__(self, scenarios: Mapping[Key, Scenario]) -> None:
        self._scenarios = scenarios
        self._failures: dict[Key, BaseException] = {}

    def step(self) -> None:
        """Lets each scenario run to its next `yield`, or its end."""
        with ThreadPoolExecutor(max_workers=max(len(self._scenarios), 1)) as pool:
            list(pool.map(self._advance, self._scenarios))

    def outcome(self, key: Key) -> None:
        """Fails as the scenario did, if it did."""
        if key in self._failures:
            raise self._failures[key]

    def close(self) -> None:
        """Ends what did not come to its end."""
        for scenario in self._scenarios.values():
            scenario.close()

    def _advance(self, key: Key) -> None:
        try:
            next(self._scenarios[key], None)
        except BaseException as error:  # noqa: BLE001 - told by `outcome`
            self._failures.setdefault(key, error)
