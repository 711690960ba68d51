"""A recorded drive for replay: the data folder's, where there is one, or one of the same form that is made here."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path

from harness.dev import PROJECT

HEADER = (
    "t_s,speed_kmh,elevation_m,throttle_pct,motor_torque_nm,batt_v,batt_a,batt_temp_c,soc_pct,soc_displayed_pct,"
    "heating_kw,aircon_kw,ambient_c,cabin_c"
)


@dataclass(frozen=True)
class Row:
    """What a row of a BMW i3 drive says that can be read on the stream without calculation."""

    second: int
    speed_kmh: float
    elevation_m: float
    soc_displayed_pct: float


def drive(folder: Path, trip: str, seconds: int) -> Path:
    """The file of a drive of so many seconds; `folder` is for one that has to be made."""
    recordings = Path(os.environ.get("CARDATA_RECORDINGS", PROJECT.parent / "shared" / "data"))
    recorded = recordings / "bmw_i3" / f"{trip}.csv"
    return recorded if recorded.exists() else made(folder / f"{trip}.csv", seconds)


def made(path: Path, seconds: int) -> Path:
    """Writes a drive of so many rows, one a second, in the form of the recorded ones."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER.split(","))
        for second in range(seconds):
            speed = max(0.0, 60 * math.sin(second / 40))
            charge = 78.5 - round(second / 150) / 2
            current = -speed if second % 7 else speed / 3
            writer.writerow(
                [second, f"{speed:.2f}", 570.0 + second % 50, 0.0, 0.0, 380.6, f"{current:.2f}", 27.0]
                + [charge - 10, charge, 1.52, 0.2, 24.5, 22.0]
            )
    return path


def rows(path: Path) -> list[Row]:
    """Reads the columns that the tests compare."""
    with path.open(newline="") as file:
        return [
            Row(
                int(row["t_s"]),
                float(row["speed_kmh"]),
                float(row["elevation_m"]),
                float(row["soc_displayed_pct"]),
            )
            for row in csv.DictReader(file)
        ]
