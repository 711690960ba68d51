"""Faults on purpose, as a test begins them, waits for their strikes, and ends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.dev import Dev

FAULTS = "/admin/v1/faults"


class Fault:
    """A fault that was begun."""

    def __init__(self, dev: Dev, kind: str, **said: Any) -> None:
        self.dev = dev
        self.since = 0
        # Earlier strikes are others'.
        while page := self._log(0)["strikes"]:
            self.since = page[-1]["number"]
        answer = dev.admin("POST", FAULTS, {"kind": kind, **said})
        assert answer.status == 201, f"{answer.status}: {answer.body!r}"
        self.id: int = answer.json["id"]

    def _log(self, wait: int) -> dict[str, Any]:
        path = f"{FAULTS}/log?since={self.since}&limit=1000&wait={wait}"
        answer = self.dev.admin("GET", path)
        assert answer.status == 200, f"{answer.status}: {answer.body!r}"
        log: dict[str, Any] = answer.json
        return log

    def strikes(self) -> list[dict[str, Any]]:
        """Whom it has struck, the first one first."""
        return [one for one in self._log(0)["strikes"] if one["fault"] == self.id]

    def wait_for_strike(self) -> dict[str, Any]:
        """Waits until it has struck; the log itself does the waiting."""
        self._log(20)
        strikes = self.strikes()
        assert strikes, "it did not strike in time"
        return strikes[0]

    def end(self) -> None:
        """Ends it; one that is over already may be ended, too."""
        answer = self.dev.admin("DELETE", f"{FAULTS}/{self.id}")
        assert answer.status in (200, 404), f"{answer.status}: {answer.body!r}"


@contextmanager
def fault(dev: Dev, kind: str, **said: Any) -> Iterator[Fault]:
    """A fault that ends with the block."""
    begun = Fault(dev, kind, **said)
    try:
        yield begun
    finally:
        begun.end()
