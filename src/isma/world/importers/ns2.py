"""Traces from the movement files of ns-2 (setdest, BonnMotion, SUMO's exporter): motion in commands."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from isma.errors import DataError, short
from isma.world import inputs
from isma.world.importers.coordinates import METRES, placed
from isma.world.importers.reading import Reading

EVERY_S = 60.0
"""Longest time between two fixes made from the commands, so that no rest is taken for a gap."""
MOST_NODES, MOST_FIXES = 100_000, 20_000_000
_NUMBER = r"([-+0-9.eE]+)"
_SET = re.compile(rf"\s*\$node_\((\w+)\)\s+set\s+([XYZ])_\s+{_NUMBER}\s*;?\s*$")
_GO = re.compile(
    rf'\s*\$ns_?\s+at\s+{_NUMBER}\s+"\$node_\((\w+)\)\s+setdest\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s*"\s*$'
)
_SET_AT = re.compile(
    rf'\s*\$ns_?\s+at\s+{_NUMBER}\s+"\$node_\((\w+)\)\s+set\s+([XYZ])_\s+{_NUMBER}\s*"\s*$'
)


class _Command(NamedTuple):
    """At a moment a node sets out for a place at a speed."""

    time_s: float
    x: float
    y: float
    speed_mps: float


def read(path: Path) -> Reading:
    """Read `set X_`, `set Y_` and `setdest` commands: user_id, time_s, latitude, longitude.

    A node moves straight to its destination, rests there, and is diverted where the next command
    comes before it has arrived. All nodes are there from second 0 to the last arrival of any. Lines
    that are neither such commands nor comments are counted. Raises DataError with the line.
    """
    begins: dict[str, dict[str, float]] = {}
    commands: dict[str, list[_Command]] = {}
    others, first_other, read_lines = 0, "", 0
    with inputs.table(path, "movement file") as (file, _):
        for line, text in enumerate(file, start=1):
            stripped = text.strip()
            if not stripped or stripped.startswith("#"):
                continue
            read_lines += 1
            if match := _SET.match(text) or _SET_AT.match(text):
                *moment, node, axis, value = match.groups()
                if moment and _number(moment[0], path, line) != 0:
                    raise DataError(
                        f"{path}: line {line}: a node's place must be set at second 0, got {moment[0]}"
                    )
                begins.setdefault(node, {})[axis] = _number(value, path, line)
            elif match := _GO.match(text):
                time_s, node, x, y, speed = match.groups()
                numbers = [_number(part, path, line) for part in (time_s, x, y, speed)]
                if numbers[0] < 0 or numbers[3] < 0:
                    raise DataError(f"{path}: line {line}: time and speed must be 0 or more")
                commands.setdefault(node, []).append(_Command(*numbers))
            else:
                others += 1
                first_other = first_other or f"line {line}: {short(stripped, 40)!r}"
    _check(path, begins, commands)
    frame = _fixes(path, begins, commands)
    place = placed(np.asarray(frame.pop("x")), np.asarray(frame.pop("y")), METRES, str(path))
    frame["latitude"], frame["longitude"] = place.latitude, place.longitude
    moves = sum(map(len, commands.values()))
    doubts = (
        (f"{others:,} lines are no movement and were left out, the first {first_other}",)
        if others
        else ()
    )
    understood = (
        f"read {short(path.name)}: ns-2 movements, {read_lines:,} lines, {len(begins):,} nodes, {moves:,} "
        "setdest commands",
        "who moves: each node; x and y are metres, laid around 0 N 0 E; speed in m/s",
        "time: seconds of the simulation; its second 0 is written as 1970-01-01T00:00:00Z",
    )
    return Reading(frame, understood, doubts, "", plain=True)


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{path}: line {line}: must be a number, got {short(text)!r}")
    return value


def _check(
    path: Path, begins: dict[str, dict[str, float]], commands: dict[str, list[_Command]]
) -> None:
    if not begins:
        raise DataError(
            f"{path}: must hold ns-2 movements ($node_(0) set X_ 10.0), got none; is it another file?"
        )
    if len(begins) > MOST_NODES:
        raise DataError(f"{path}: must have at most {MOST_NODES:,} nodes, got {len(begins):,}")
    for node in (*begins, *commands):
        if not {"X", "Y"} <= set(begins.get(node, ())):
            raise DataError(
                f"{path}: node {short(node)} must have its place set (set X_, set Y_) at first"
            )


def _fixes(
    path: Path, begins: dict[str, dict[str, float]], commands: dict[str, list[_Command]]
) -> pd.DataFrame:
    paths = {
        node: _path(begin["X"], begin["Y"], sorted(commands.get(node, [])))
        for node, begin in begins.items()
    }
    end_s = max(path_points[-1][0] for path_points in paths.values())
    if len(begins) * (end_s / EVERY_S + 2) > MOST_FIXES:
        raise DataError(
            f"{path}: nodes times minutes must be at most {MOST_FIXES:,}, got {len(begins):,} nodes until "
            f"second {end_s:g}"
        )
    parts = []
    for node, path_points in paths.items():
        turn_s, x, y = np.array([*path_points, (end_s, *path_points[-1][1:])]).T
        time_s = np.unique(np.concatenate([turn_s, np.arange(0.0, end_s, EVERY_S)]))
        columns = {"x": np.interp(time_s, turn_s, x), "y": np.interp(time_s, turn_s, y)}
        parts.append(pd.DataFrame({"user_id": node, "time_s": time_s, **columns}))
    return pd.concat(parts, ignore_index=True)


def _path(x: float, y: float, commands: list[_Command]) -> list[tuple[float, float, float]]:
    """Turning points of a node's path (time, x, y): it sets out, arrives, or is diverted."""
    turns = [(0.0, x, y)]
    for index, order in enumerate(commands):
        turns.append((order.time_s, x, y))
        until_s = commands[index + 1].time_s if index + 1 < len(commands) else np.inf
        distance_m = float(np.hypot(order.x - x, order.y - y))
        if order.speed_mps == 0 or distance_m == 0:
            continue
        arrival_s = order.time_s + distance_m / order.speed_mps
        part = min(1.0, (until_s - order.time_s) / (arrival_s - order.time_s))
        x, y = x + part * (order.x - x), y + part * (order.y - y)
        turns.append((min(arrival_s, until_s), x, y))
    return turns
