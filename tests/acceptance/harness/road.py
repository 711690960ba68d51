"""A vehicle's road: each event has a kilometre of its own, so that none can be taken for another."""

from __future__ import annotations

import itertools

from harness.descriptors import ODOMETER
from harness.dev import Dev
from harness.events import event, inject


class Road:
    """Drives the first customer's first vehicle, farther with each event."""

    def __init__(self, dev: Dev) -> None:
        self.dev = dev
        self._kilometres = itertools.count(1)

    def drive(self, count: int) -> list[int]:
        """Puts so many events in, durable when this returns; gives their kilometres."""
        driven = [next(self._kilometres) for _ in range(count)]
        vin = self.dev.first.vin
        inject(self.dev, *(event(vin, kilometre, {ODOMETER: kilometre}) for kilometre in driven))
        return driven
