"""Traces of SUMO: its floating car data, XML with the positions of all vehicles at each time step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError, short
from isma.world import inputs
from isma.world.importers.coordinates import DEGREES, METRES, Grid, Placed, placed
from isma.world.importers.reading import Reading

MOST_FIXES = 20_000_000
"""Fixes that one file may hold."""
_GEO = 'fcd-output.geo value="'
_MOVERS = ("vehicle", "person")


@dataclass
class _Seen:
    """Fixes as they come, column by column."""

    name: list[str] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    kind: list[bool] = field(default_factory=list)
    """Whether it is a person and no vehicle."""
    geo: bool | None = None
    """Whether the file says that x and y are degrees; None where it says nothing."""


def read(path: Path, net: Path | None = None, crs: str | None = None) -> Reading:
    """Read the output of `sumo --fcd-output`, packed or not: user_id, time_s, latitude, longitude.

    Whether x and y are degrees stands in the comment at the head, where SUMO puts its options. Else
    a projected file needs its network, whose `<location>` says where its origin lies. Raises DataError
    with the line, and ScenarioError where the units of x and y are ambiguous.
    """
    seen = _read(path)
    if not seen.name:
        raise DataError(
            f"{path}: must be SUMO's floating car data (--fcd-output), with vehicles in time steps, got none"
        )
    x, y = np.array(seen.x), np.array(seen.y)
    place = _placed(path, seen.geo, x, y, net, crs)
    persons, names = np.array(seen.kind), np.array(seen.name, dtype=object)
    both = persons.any() and not persons.all()
    if both:  # SUMO keeps their names apart.
        names[persons] = "person:" + names[persons]
    movers = "each vehicle" + (" and each person (person:ID)" if both else "")
    if persons.all():
        movers = "each person"
    frame = pd.DataFrame(
        {
            "user_id": names,
            "time_s": np.array(seen.time_s),
            "latitude": place.latitude,
            "longitude": place.longitude,
        },
        index=pd.Index(seen.line, name="line"),
    )
    steps = len(np.unique(frame["time_s"]))
    understood = (
        f"read {short(path.name)}: SUMO's floating car data, {steps:,} time steps, {len(frame):,} fixes",
        f"who moves: {movers}; {place.said}",
        "time: seconds of the simulation; its second 0 is written as 1970-01-01T00:00:00Z",
    )
    return Reading(frame, understood, (), "", place.plain)


def network_grid(net: Path) -> Grid | None:
    """Grid of a SUMO network by its `<location>`; None where it says that it has none. Raises DataError."""
    locations: list[Mapping[str, str]] = []

    def start(tag: str, given: Mapping[str, str], line: int) -> None:
        del line
        if tag == "location":
            locations.append(given)
            raise StopIteration

    parse(net, "SUMO network", start)
    if not locations:
        raise DataError(f"{net}: a SUMO network must have a <location>, got none")
    projection, offset = (
        locations[0].get("projParameter", "!"),
        locations[0].get("netOffset", "0,0"),
    )
    if projection in ("!", "-", ""):
        return None
    try:
        east, north = (float(part) for part in offset.split(","))
    except ValueError:
        raise DataError(f"{net}: netOffset must be two numbers, got {short(offset)!r}") from None
    try:
        return Grid.named(projection, (east, north))
    except ScenarioError:
        raise DataError(
            f"{net}: projParameter must be a projection, got {short(projection)!r}"
        ) from None


def _placed(
    path: Path, geo: bool | None, x: np.ndarray, y: np.ndarray, net: Path | None, crs: str | None
) -> Placed:
    if geo:
        if net is not None or crs not in (None, DEGREES):
            raise ScenarioError(
                f"{path}: says that x and y are degrees (fcd-output.geo); leave --net and --crs out"
            )
        place = placed(x, y, DEGREES, str(path))
        return place._replace(said="x is longitude, y latitude, as the file's head says")
    if net is not None:
        if crs is not None:
            raise ScenarioError(
                "--net and --crs must not be given together: both say what x and y are"
            )
        grid = network_grid(net)
        if grid is None:
            return placed(x, y, METRES, str(path))._replace(
                said=f"x and y are metres, for {short(net.name)} has no place on Earth: laid around 0 N 0 E"
            )
        place = grid.to_degrees(x, y)
        return place._replace(said=f"x and y are metres of {short(net.name)}, on {grid.name}")
    if crs is None and geo is False:
        raise ScenarioError(
            f"{path}: x and y are metres of a network (fcd-output.geo is off); give it (--net "
            "FILE.net.xml), or --crs metres if trace and sites are nowhere on Earth"
        )
    return placed(x, y, crs, str(path))


def _read(path: Path) -> _Seen:
    seen, now = _Seen(), [float("nan")]

    def start(tag: str, given: Mapping[str, str], line: int) -> None:
        if tag == "timestep":
            now[0] = _seconds(given.get("time", ""), f"{path}: line {line}")
        elif tag in _MOVERS:
            try:
                x, y, name = float(given["x"]), float(given["y"]), given["id"]
            except (KeyError, ValueError):
                raise DataError(
                    f"{path}: line {line}: a {tag} must have an id, and x and y that are numbers"
                ) from None
            if len(seen.name) == MOST_FIXES:
                raise DataError(
                    f"{path}: must hold at most {MOST_FIXES:,} fixes, got more; write fewer with SUMO's "
                    "--device.fcd.period"
                )
            seen.name.append(name)
            seen.time_s.append(now[0])
            seen.x.append(x)
            seen.y.append(y)
            seen.line.append(line)
            seen.kind.append(tag == "person")

    def comment(text: str) -> None:
        at = text.find(_GEO)
        if seen.geo is None and at >= 0:
            seen.geo = text[at + len(_GEO) :].startswith(("true", "1"))
        elif seen.geo is None and "<output>" in text and "fcd-output" in text:
            seen.geo = False  # SUMO writes every option that is not the default.

    parse(path, "trace", start, comment)
    return seen


def _seconds(text: str, label: str) -> float:
    """Seconds, or SUMO's days:hours:minutes:seconds."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 3, 4):
        raise DataError(
            f"{label}: time must be seconds or hours:minutes:seconds, got {short(text)!r}"
        )
    return sum(
        part * scale for part, scale in zip(reversed(parts), (1, 60, 3600, 86400), strict=False)
    )


def parse(
    path: Path,
    what: str,
    start: Callable[[str, Mapping[str, str], int], None],
    comment: Callable[[str], None] = lambda text: None,
) -> None:
    """Hand each element and comment of an XML file on; StopIteration ends it. Raises DataError."""
    parser: Any = expat.ParserCreate()

    def declared(*_: object) -> None:
        # A document type may define entities that grow without end, and no file of SUMO's has one.
        raise DataError(f"{path}: must have no document type (<!DOCTYPE>): take it out")

    parser.StartElementHandler = lambda tag, given: start(tag, given, parser.CurrentLineNumber)
    parser.CommentHandler = comment
    parser.StartDoctypeDeclHandler = declared
    with inputs.markup(path, what) as file:
        try:
            parser.ParseFile(file)
        except StopIteration:
            return
        except expat.ExpatError as error:
            raise DataError(
                f"{path}: line {error.lineno}: not XML, or cut short: {expat.errors.messages[error.code]}"
            ) from None
