"""Streets of a SUMO network (.net.xml), packed or not."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from isma.errors import DataError, short
from isma.world.importers import sumo_fcd
from isma.world.importers.coordinates import METRES, placed

Line = Float[np.ndarray, "points 2"]


def streets(net: Path, degrees: bool) -> list[Line]:
    """Lines of a network's streets, one for each direction: longitude and latitude, or its own metres.

    Degrees are those of the importer of its traces. Raises DataError.
    """
    lines: list[Line] = []
    street = False

    def start(tag: str, given: Mapping[str, str], number: int) -> None:
        nonlocal street
        if tag == "edge":
            street = given.get("function", "normal") == "normal"
        elif tag == "lane" and street:
            street = False  # One lane stands for all.
            lines.append(_line(given.get("shape", ""), f"{net}: line {number}"))

    sumo_fcd.parse(net, "SUMO network", start)
    if not lines or not degrees:
        return lines
    places = np.concatenate(lines)
    grid = sumo_fcd.network_grid(net)
    x, y = places[:, 0], places[:, 1]
    found = placed(x, y, METRES, str(net)) if grid is None else grid.to_degrees(x, y)
    there = np.stack([found.longitude, found.latitude], axis=1)
    return np.split(there, np.cumsum([len(line) for line in lines])[:-1])


def _line(shape: str, where: str) -> Line:
    """Points of a shape; SUMO may give them a height. Raises DataError."""
    try:
        points = [tuple(map(float, point.split(",")[:2])) for point in shape.split()]
        line = np.array(points, float).reshape(-1, 2)
    except ValueError:
        line = np.empty((0, 2))
    if len(line) < 2 or not np.isfinite(line).all():
        raise DataError(f"{where}: a lane's shape must be points x,y, got {short(shape)!r}")
    return line
