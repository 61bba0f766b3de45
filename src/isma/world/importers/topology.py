"""Sites from a topology's nodes: Latitude and Longitude, pos = [lon, lat], or x and y of a grid."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from isma.errors import DataError, ScenarioError, short, some
from isma.world.importers.coordinates import placed
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, SiteTable, checked

SPREAD_DEG = 0.001
"""Radius, in degrees of latitude (some 110 m), of the circle for nodes of one place."""


@dataclass(frozen=True)
class PlacedNodes:
    """The nodes of a topology that can be sites."""

    table: SiteTable
    """A site for each node with coordinates, its id the node's."""
    moved: tuple[str, ...]
    """Nodes that shared their place with others and were set on a small circle around it."""
    transit: tuple[str, ...]
    """Nodes without coordinates: no sites, but traffic still passes through them."""
    said: str = ""
    """Interpretation of x and y, where nodes have them and no degrees."""


def sites_of(graph: nx.Graph, path: Path, crs: str | None = None) -> PlacedNodes:
    """Make sites of a topology's nodes with coordinates. Raises DataError when there are none.

    Without degrees, x and y count: of the grid that `crs` or the graph's own `crs` names, as OSMnx
    writes it. Raises ScenarioError where it is not clear whether they are degrees or metres.

    Coordinates of published topologies are rounded (to a kilometre, say), so nodes of one town may
    share them; sites may not, so such nodes are set apart on a circle of `SPREAD_DEG`.
    """
    found = {
        node: _degrees(values, f"{path}: node {short(node)}")
        for node, values in graph.nodes(data=True)
    }
    known = {node: place for node, place in found.items() if place is not None}
    said = ""
    if not known:
        known, said = _on_grid(graph, path, crs)
    elif crs is not None:
        raise ScenarioError(f"--crs is for x and y, the nodes of {path} have degrees: leave it out")
    if not known:
        attributes = sorted({str(name) for _, values in graph.nodes(data=True) for name in values})
        raise DataError(
            f"{path}: nodes must carry Latitude and Longitude, pos = [lon, lat], or x and y; "
            f"their attributes are {some(attributes) or 'none'}"
        )
    sharing = Counter(known.values())
    turn = Counter[tuple[float, float]]()
    latitude, longitude, moved = [], [], []
    for node, (north, east) in known.items():
        count = sharing[north, east]
        if count > 1:
            angle = 2 * math.pi * turn[north, east] / count
            turn[north, east] += 1
            moved.append(node)
            across = max(math.cos(math.radians(north)), 1e-3)
            north, east = (
                north + SPREAD_DEG * math.sin(angle),
                east + SPREAD_DEG * math.cos(angle) / across,
            )
        latitude.append(north)
        longitude.append(east)
    table = checked(
        list(known), latitude, longitude, [f"{path}: node {short(node)}" for node in known]
    )
    return PlacedNodes(
        table, tuple(moved), tuple(node for node in found if node not in known), said
    )


def _on_grid(
    graph: nx.Graph, path: Path, crs: str | None
) -> tuple[dict[str, tuple[float, float]], str]:
    """Degrees of the nodes with x and y, and the interpretation of these."""
    found = {}
    for node, values in graph.nodes(data=True):
        x, y = values.get("x"), values.get("y")
        if x is not None and y is not None:
            label = f"{path}: node {short(node)}"
            found[node] = (_number(x, label, "x"), _number(y, label, "y"))
    if not found:
        return {}, ""
    own = graph.graph.get("crs")
    x, y = np.array(list(found.values()), dtype=np.float64).T
    if crs is None and isinstance(own, str) and own.casefold() in ("epsg:4326", "degrees"):
        place = placed(x, y, "degrees", str(path))
        said = f"x is longitude, y latitude, as its crs {short(own)} says"
    else:
        place = placed(x, y, crs or (own if isinstance(own, str) else None), str(path))
        said = place.said
    pairs = zip(place.latitude.tolist(), place.longitude.tolist(), strict=True)
    return dict(zip(found, pairs, strict=True)), said


def describe(nodes: PlacedNodes) -> list[str]:
    """Report of the nodes, as lines of text."""
    lines = [f"{len(nodes.table.ids):,} sites from the topology's nodes"]
    if nodes.said:
        lines[0] += f"; {nodes.said}"
    if nodes.moved:
        lines.append(
            f"{len(nodes.moved):,} nodes share a place and were set on a circle of "
            f"{SPREAD_DEG:g} degrees around it: {some(nodes.moved)}"
        )
    if nodes.transit:
        lines.append(
            f"{len(nodes.transit):,} nodes without coordinates are no sites, traffic passes "
            f"through them: {some(nodes.transit)}"
        )
    return lines


def _degrees(values: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    """Latitude and longitude of a node; None where it has none."""
    if values.get("pos") is not None:
        pos = values["pos"]
        if not isinstance(pos, list | tuple) or len(pos) != 2:
            raise DataError(f"{where}: pos must be [longitude, latitude], got {short(repr(pos))}")
        return _number(pos[1], where, "latitude"), _number(pos[0], where, "longitude")
    folded = {str(name).casefold(): value for name, value in values.items()}
    north = next((folded[name] for name in LATITUDE_NAMES if name in folded), None)
    east = next((folded[name] for name in LONGITUDE_NAMES if name in folded), None)
    if north is None or east is None:
        return None
    return _number(north, where, "latitude"), _number(east, where, "longitude")


def _number(value: object, where: str, what: str) -> float:
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"{where}: {what} must be a number of degrees, got {short(repr(value))}"
        ) from None
