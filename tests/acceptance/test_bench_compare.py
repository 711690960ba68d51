"""`scripts/bench-compare`: what it makes of reports, and of the page that it writes into."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/bench-compare"


def load() -> Any:
    """The script as a module, though its name is no module's."""
    loader = SourceFileLoader("bench_compare", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


compare = load()


def work(name: str) -> Any:
    (found,) = [work for work in compare.works(compare.Size()) if work.name == name]
    return found


def fanout(speed: float, lost: int = 0, *, limited: bool = False) -> dict[str, Any]:
    return {
        "rounds": [{"messages_per_second": speed, "server_cpu_us_each": 2.5}],
        "lost": lost,
        "generator_was_the_limit": limited,
    }


def test_a_ratio_is_that_of_the_medians() -> None:
    reports = {
        "cardata": [fanout(speed) for speed in (700, 100, 650)],
        "mosquitto": [fanout(speed) for speed in (100, 90, 900)],
        "floor": [fanout(speed) for speed in (800, 1000, 900)],
    }
    outcome = compare.Outcome(work("fanout-qos0"), reports)
    assert outcome.measured() == 6.5 and outcome.is_met() and outcome.remarks() == []
    outcome = compare.Outcome(work("fanout-one"), reports)
    assert outcome.measured() == 650 / 900 and not outcome.is_met()


def test_less_is_better_of_latency_and_memory() -> None:
    reports = {"cardata": [{"rss_bytes_each": 8192.0}], "mosquitto": [{"rss_bytes_each": 10240.0}]}
    outcome = compare.Outcome(work("idle"), reports)
    assert outcome.measured() == 0.8 and outcome.is_met()
    assert compare.range_cell(outcome, "cardata", "rss_bytes_each", "KiB") == "8.0"


def test_a_target_without_a_rival_is_absolute() -> None:
    for speed, met in ((49_999, False), (50_000, True)):
        assert compare.Outcome(work("replay"), {"cardata": [{"events_per_second": speed}]}).is_met() is met


def test_speed_that_loses_messages_meets_nothing_and_is_remarked() -> None:
    reports = {"cardata": [fanout(700, lost=3)], "mosquitto": [fanout(100, limited=True)]}
    outcome = compare.Outcome(work("fanout-qos0"), reports)
    assert not outcome.is_met()
    assert outcome.remarks() == [
        "OpenCarData lost 3 messages",
        "the generator was the limit of Mosquitto in 1 of 1 rounds",
    ]


def test_the_page_keeps_what_is_outside_of_the_marks() -> None:
    page = f"before\n{compare.BEGIN}\nold\n{compare.END}\nafter\n"
    once = compare.replace_section(page, "new")
    assert once == f"before\n{compare.BEGIN}\nnew\n{compare.END}\nafter\n"
    assert compare.replace_section(once, "new") == once
    with pytest.raises(compare.Failed):
        compare.replace_section("no marks", "new")
    # The page that there is has them.
    assert compare.replace_section(compare.PAGE.read_text(), "new") != ""


def test_every_work_has_a_line_in_the_section() -> None:
    size = compare.Size()
    report = {work.figure: 1e4 for work in compare.works(size)}
    outcomes = [
        compare.Outcome(work, {server: [report] for server in work.servers}) for work in compare.works(size)
    ]
    section = compare.section(outcomes, compare.Setting("2026-01-01", "a machine", "versions", size))
    assert all(f"| {work.title} ({work.unit}) | " in section for work in compare.works(size))
    table = [line for line in section.splitlines() if line.startswith("| ")]
    assert {line.count(" |") for line in table} == {4, 7}, "a row has other columns than its heading"
