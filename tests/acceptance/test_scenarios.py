"""Cars with owners: `cardata dev --scenario`, and `cardata simulate`, which needs no server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import StartDev
from harness.dev import BINARY
from harness.descriptors import LATITUDE, LONGITUDE, ODOMETER
from harness.login import log_in
from harness.rest import create_container
from harness.stream import subscriber


def simulate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(BINARY), "simulate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_scenarios_cars_are_streamed(start_dev: StartDev, tmp_path: Path) -> None:
    outing = (
        '[[car.outing]]\ndays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\n'
        'leaves = "{:02}:00"\nroute = "town"\nstay_minutes = 10\n'
    )
    # Somebody leaves every two hours, which are less than a second at this speed.
    car = '[[car]]\nname = "busy"\nmodel = "i3"\nreports = "bursts"\nposition_apart = true\n'
    mine = tmp_path / "busy.toml"
    mine.write_text(car + "".join(outing.format(hour) for hour in range(0, 24, 2)))
    dev = start_dev("--scenario", str(mine), "--speed", "10000")
    tokens = log_in(dev, dev.first)
    create_container(dev, tokens, ODOMETER, LATITUDE, LONGITUDE)
    with subscriber(dev, tokens, [dev.first.topic("WBYSCENE0X0000001")]) as stream:
        for name in (LATITUDE, LONGITUDE, ODOMETER):
            stream.wait_for_message(lambda one, name=name: name in one.data, "a drive", 30)


def test_a_shipped_scenario_is_a_file_to_begin_with(tmp_path: Path) -> None:
    names = simulate("show").stdout.split()
    assert names == ["commuter", "courier", "family", "long-trip", "seldom", "five-owners"]
    shown = simulate("show", "family")
    mine = tmp_path / "mine.toml"
    mine.write_text(shown.stdout)
    assert simulate("check", mine).stdout == "family: PHEV, 3 outings\n"
    lines = simulate("run", mine, "--days", "7").stdout.splitlines()
    assert lines[0].split()[:3] == ["car", "messages", "values"]
    assert lines[1].startswith("family")
    assert int(lines[1].split()[1]) > 100


def test_a_typo_is_answered_with_its_line_and_the_word_that_was_meant(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(simulate("show", "commuter").stdout.replace("route =", "rout =", 1))
    for command in (["simulate", "check", mine], ["dev", "--scenario", mine, "--data-dir", tmp_path / "data"]):
        ended = subprocess.run(
            [str(BINARY), *map(str, command)], capture_output=True, text=True, timeout=30, check=False
        )
        assert ended.returncode == 2, ended.stderr
        assert "mine.toml:15: unknown field `rout`" in ended.stderr
        assert "did you mean `route`?" in ended.stderr
    # Nothing was begun.
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("scenario", ["comuter", "nowhere.toml", "/dev/null"])
def test_what_is_no_scenario_is_answered(scenario: str) -> None:
    ended = simulate("check", scenario)
    assert ended.returncode != 0
    assert ended.stderr.startswith("error: ")
    assert "panicked" not in ended.stderr


def test_drives_are_compared_and_drawn(tmp_path: Path) -> None:
    rows = ["speed_kmh,elevation_m,batt_v,batt_a,batt_temp_c,soc_displayed_pct,ambient_c,cabin_c"]
    rows += [f"{min(second, 60)},500,360,-20,20,{80 - second / 100},20,20" for second in range(900)]
    (tmp_path / "drive.csv").write_text("\n".join(rows))
    (tmp_path / "other.csv").write_text("what,else\n1,2\n")
    picture = tmp_path / "plot.svg"
    ended = simulate("compare", tmp_path, "--plot", picture)
    assert ended.returncode == 0, ended.stderr
    assert "drive" in ended.stdout
    assert "within the spread" in ended.stdout
    assert "other.csv" in ended.stderr
    assert picture.read_text().startswith("<svg")
    assert "no drive to compare" in simulate("compare", tmp_path / "other.csv").stderr
