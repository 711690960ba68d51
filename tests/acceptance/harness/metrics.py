"""The operator's counters."""

from __future__ import annotations

from harness.dev import Dev


def total(dev: Dev, name: str, **labels: str) -> float:
    """The sum of a metric's rows that have these labels; nothing counted yet is zero."""
    answer = dev.http("GET", f"{dev.ready.admin_url}/metrics")
    assert answer.status == 200, answer.status
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    rows = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if line and line[0] != "#"]
    own = [(row, value) for row, value in rows if row.split("{")[0] == name]
    return sum(float(value) for row, value in own if all(label in row for label in wanted))
