"""Request of an import, and validation of its options."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from isma.errors import RunError, ScenarioError, short, unknown
from isma.world import services
from isma.world.importers import dates
from isma.world.importers.csv_traces import Columns
from isma.world.importers.dates import TimeRule
from isma.world.importers.request_traces import Session
from isma.world.importers.site_tables import spacing_of
from isma.world.switches import Migrating

_Member = TypeVar("_Member", bound=StrEnum)


class ImportKind(StrEnum):
    """Sources that a scenario can be made from."""

    CABSPOTTING = "cabspotting"
    """San Francisco's cabs: a folder or tar archive of new_<cab>.txt."""
    CSV = "csv"
    """A trace in one CSV with identity, time, and latitude and longitude, or x and y."""
    GEOLIFE = "geolife"
    """Geolife's folder: one of .plt files for each user."""
    NS2 = "ns2"
    """Movements of ns-2: setdest commands."""
    PORTO = "porto"
    """Porto's taxis: a row for each trip."""
    SUMO = "sumo"
    """A SUMO configuration, which is run."""
    SUMO_FCD = "sumo-fcd"
    """SUMO's floating car data."""
    T_DRIVE = "t-drive"
    """T-Drive's taxis: a headerless file for each."""
    GRAPHML = "graphml"
    """A topology whose nodes are the sites, users moving steadily."""
    NODE_LINK = "node-link"
    """The same from node-link JSON."""
    SITES = "sites"
    """A table of sites alone, users moving steadily."""
    REQUESTS = "requests"
    """A trace of requests with their tokens: users' arrivals and tasks, users moving steadily."""


_OF_TRACES = (
    "sites", "backhaul", "start", "columns", "cells", "time_unit", "max_gap_s", "max_speed_mps",
)  # fmt: skip
"""Parts of a request that only a trace has."""

_ONLY_OF: dict[str, tuple[ImportKind, ...]] = {
    "columns": (ImportKind.CSV,),
    "time_unit": (ImportKind.CSV, ImportKind.CABSPOTTING, ImportKind.REQUESTS),
    "time_format": (ImportKind.CSV, ImportKind.REQUESTS),
    "time_zone": (ImportKind.CSV, ImportKind.T_DRIVE, ImportKind.REQUESTS),
    "crs": (
        ImportKind.CSV,
        ImportKind.SUMO_FCD,
        ImportKind.GRAPHML,
        ImportKind.NODE_LINK,
        ImportKind.SITES,
        ImportKind.REQUESTS,
    ),
    "session": (ImportKind.REQUESTS,),
    "net": (ImportKind.SUMO_FCD,),
}
"""Parts of a request that only some kinds of source have."""


class ImportedWorld(StrEnum):
    """Parts of a scenario that are not in the data."""

    PAPER = "paper"
    """The fields of the preset `paper`."""
    FULL = "full"
    """Services, radio, queues, migration and latency as `full.toml` has them."""


class Drawn(StrEnum):
    """Backhauls that are drawn between sites where none is given."""

    GABRIEL = "gabriel"
    """Edges of the Gabriel graph."""
    DELAUNAY = "delaunay"
    """Edges of the Delaunay triangulation, as San Francisco's published numbers have it."""


class TraceUsers(StrEnum):
    """Users of a trace that take part in a run."""

    PRESENT = "present"
    """All that are there at some time, each while it has fixes."""
    THROUGHOUT = "throughout"
    """Those that have fixes through the whole run."""


@dataclass(frozen=True)
class Request:
    """Options of an import."""

    kind: ImportKind
    source: Path
    out: Path
    sites: Path | None = None
    """A table of sites; or hexagonal:DISTANCE, a lattice."""
    backhaul: Path | Drawn | None = None
    start: datetime | None = None
    duration_s: float | None = None
    columns: Columns | None = None
    cells: Path | None = None
    world: ImportedWorld = ImportedWorld.PAPER
    time_unit: str | None = None
    migration: Migrating | None = None
    services: tuple[str, ...] = ()
    users: TraceUsers = TraceUsers.PRESENT
    max_gap_s: float | None = None
    max_speed_mps: float | None = None
    time_format: str | None = None
    time_zone: str | None = None
    crs: str | None = None
    net: Path | None = None
    session: Session | None = None
    """Assumptions of a trace of requests, where any is given."""

    @property
    def times(self) -> TimeRule:
        """Format of times, as far as it is given."""
        return TimeRule(self.time_unit, self.time_format, self.time_zone)

    @property
    def spacing_m(self) -> float | None:
        """Metres between sites of a lattice, where one is requested in place of a table."""
        return None if self.sites is None else spacing_of(str(self.sites))

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""
        table = None if self.spacing_m else self.sites
        named = (self.source, table, self.backhaul, self.cells, self.net)
        return [path for path in named if isinstance(path, Path)]

    @property
    def is_topology(self) -> bool:
        """Whether the source is a network and no trace."""
        return self.kind in (ImportKind.GRAPHML, ImportKind.NODE_LINK)


def one_of(enum: type[_Member], name: str, what: str) -> _Member:
    """A member of an enumeration by its name. Raises ScenarioError with the nearest."""
    if name not in list(enum):
        raise ScenarioError(unknown(what, short(name), [member.value for member in enum]))
    return enum(name)


def check(request: Request) -> None:
    """Raise for options that are given and cannot be used, or are needed and missing."""
    if request.out.suffix != ".toml":
        raise RunError(f"{request.out}: a scenario's file must be called NAME.toml")
    if not request.out.name.isprintable():
        raise RunError(
            f"a scenario's file must be called by printable text, got {short(ascii(request.out.name))}"
        )
    if request.duration_s is not None and not request.duration_s > 0:
        raise ScenarioError(f"duration_s must be positive, got {request.duration_s:g}")
    for name in ("max_gap_s", "max_speed_mps"):
        value = getattr(request, name)
        if value is not None and not 0 < value < math.inf:
            raise ScenarioError(f"{name} must be positive, got {value:g}")
    if request.start is not None:
        _check_start(request.start)
    for name in request.services:
        if name not in services.class_names():
            raise ScenarioError(unknown("class of services", short(name), services.class_names()))
    if request.is_topology or request.kind is ImportKind.SITES:
        for name in _OF_TRACES:
            if name == "backhaul" and request.kind is ImportKind.SITES:
                continue
            if getattr(request, name) is not None:
                option = name.removesuffix("_s").removesuffix("_mps").replace("_", "-")
                places = "its nodes are the sites, its links the backhaul"
                if request.kind is ImportKind.SITES:
                    places = "it is the table of sites"
                raise ScenarioError(
                    f"--{option} must not be given with {request.kind}: {places}, and users follow no trace"
                )
    elif request.kind is ImportKind.REQUESTS:
        _check_requests(request)
    elif request.sites is None:
        raise ScenarioError(
            f"--sites must be given with {request.kind}: a CSV with columns site_id, latitude, longitude, "
            "or hexagonal:500m for made-up ones where users pass"
        )
    for name, kinds in _ONLY_OF.items():
        if getattr(request, name) is not None and request.kind not in kinds:
            raise ScenarioError(
                f"--{name.replace('_', '-')} must not be given with {request.kind}: "
                f"it is for {', '.join(kinds)}"
            )
    dates.check(request.times)
    spacing = request.spacing_m
    if spacing is not None and request.cells is not None:
        raise ScenarioError("--cells must not be given with made-up sites: nobody was served there")


def _check_requests(request: Request) -> None:
    for name in ("columns", "cells", "max_gap_s", "max_speed_mps", "services"):
        if getattr(request, name):
            option = name.removesuffix("_s").removesuffix("_mps").replace("_", "-")
            raise ScenarioError(
                f"--{option} must not be given with {request.kind}: it says who asks for what and when, and "
                "not where"
            )
    if request.backhaul is not None and request.sites is None:
        raise ScenarioError("--backhaul must be given with --sites alone, between which it runs")
    if request.spacing_m is not None:
        raise ScenarioError(
            "--sites must be a table with requests: without one the stations are those of the preset paper"
        )
    session = request.session or Session()
    for what, value in (
        ("--session", session.duration_s),
        ("--session-requests", session.requests),
        ("--cycles-per-token", session.cycles_per_token),
    ):
        if not 0 < value < math.inf:
            raise ScenarioError(f"{what} must be above 0, got {value:g}")


def _check_start(start: datetime) -> None:
    if start.tzinfo is None:
        raise ScenarioError(
            f"start must carry a time zone (2008-05-31T18:00:00Z), got {start.isoformat()}"
        )
    if not 1900 <= start.year < 2200:
        raise ScenarioError(f"start must lie in the years 1900 to 2199, got {start.isoformat()}")
