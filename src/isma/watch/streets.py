"""Streets behind a replay: lines of a GeoJSON file or a SUMO network, in the scenario's metres."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isma.errors import DataError
from isma.world import inputs, sites
from isma.world.importers import sumo_net
from isma.world.scenario import Scenario

_MOST_POINTS = 200_000
_STEP_M = 1.0
_MARGIN = 0.15
"""Margin around the stations that is drawn too, as a part of their extent."""


def lines_of(path: Path, scenario: Scenario) -> list[list[tuple[float, float]]]:
    """Lines near a scenario's stations. Raises DataError or ScenarioError.

    Places of GeoJSON are WGS84 degrees where stations come from a table of degrees, else the
    scenario's metres; a SUMO network says itself where it lies.
    """
    layout = sites.layout(scenario.sites)
    with inputs.unpacked(path, "streets") as file:
        xml = file.read(1 << 10).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    degrees = layout.projection is not None
    found = sumo_net.streets(path, degrees) if xml else _geojson(path)
    low, high = layout.position_m.min(0), layout.position_m.max(0)
    margin = _MARGIN * float((high - low).max())
    near_lines: list[list[tuple[float, float]]] = []
    for line in found:
        at = np.asarray(line, float)
        if layout.projection is not None:
            at = layout.projection.to_metres(at[:, 1], at[:, 0])
        near = np.all((at > low - margin) & (at < high + margin), axis=1)
        if near.any():
            near_lines.append([(float(x), float(y)) for x, y in np.round(at / _STEP_M) * _STEP_M])
    points = sum(map(len, near_lines))
    if points > _MOST_POINTS:
        raise DataError(
            f"{path}: must hold at most {_MOST_POINTS:,} points near the stations, got {points:,}: "
            "leave small streets out"
        )
    if not near_lines:
        raise DataError(f"{path}: must hold lines near the scenario's stations, got none")
    return near_lines


def _geojson(path: Path) -> Iterator[list[tuple[float, float]]]:
    """Lines of a GeoJSON file. Raises DataError."""
    try:
        tree = json.loads(inputs.content(path, "streets"))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: must be GeoJSON or a SUMO network, got something else") from None
    yield from _lines(tree, path)


def _lines(tree: Any, path: Path) -> Iterator[list[tuple[float, float]]]:
    """Every line of a GeoJSON tree; outlines of areas too."""
    if not isinstance(tree, dict):
        raise DataError(f"{path}: must be GeoJSON, got something else")
    match tree.get("type"):
        case "FeatureCollection":
            for feature in tree.get("features") or []:
                yield from _lines(feature, path)
        case "Feature" if tree.get("geometry") is not None:
            yield from _lines(tree["geometry"], path)
        case "GeometryCollection":
            for geometry in tree.get("geometries") or []:
                yield from _lines(geometry, path)
        case "LineString":
            yield _checked(tree.get("coordinates"), path)
        case "MultiLineString" | "Polygon":
            for line in tree.get("coordinates") or []:
                yield _checked(line, path)


def _checked(line: Any, path: Path) -> list[tuple[float, float]]:
    try:
        points = [(float(place[0]), float(place[1])) for place in line]
        if np.isfinite(points).all():
            return points
    except (TypeError, ValueError, IndexError, KeyError):
        pass
    raise DataError(f"{path}: a line must be pairs of numbers, got {str(line)[:60]}")
