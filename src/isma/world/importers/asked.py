"""Request to an import, and whether its parts can be had together."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from isma.errors import RunError, ScenarioError, short, unknown
from isma.world import services
from isma.world.importers.csv_traces import Columns
from isma.world.switches import Migrating

_Member = TypeVar("_Member", bound=StrEnum)


class ImportKind(StrEnum):
    """Sources that a scenario can be made from."""

    CABSPOTTING = "cabspotting"
    """San Francisco's cabs: a folder or tar archive of new_<cab>.txt."""
    CSV = "csv"
    """A trace in one CSV with identity, time, latitude and longitude."""
    GRAPHML = "graphml"
    """A topology whose nodes are the sites, users moving steadily."""
    NODE_LINK = "node-link"
    """The same from node-link JSON."""


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


@dataclass(frozen=True)
class Request:
    """An import as it is asked for."""

    kind: ImportKind
    source: Path
    out: Path
    sites: Path | None = None
    backhaul: Path | Drawn | None = None
    start: datetime | None = None
    duration_s: float | None = None
    columns: Columns | None = None
    cells: Path | None = None
    world: ImportedWorld = ImportedWorld.PAPER
    time_unit: str | None = None
    migration: Migrating | None = None
    services: tuple[str, ...] = ()

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""
        named = (self.source, self.sites, self.backhaul, self.cells)
        return [path for path in named if isinstance(path, Path)]

    @property
    def is_topology(self) -> bool:
        """Whether the source is a network and no trace."""
        return self.kind in (ImportKind.GRAPHML, ImportKind.NODE_LINK)


def one_of(enum: type[_Member], name: str, what: str) -> _Member:
    """A member of an enumeration by its name. Raises ScenarioError with the nearest."""
    if name not in list(enum):
        raise ScenarioError(unknown(what, short(name), [known.value for known in enum]))
    return enum(name)


def check(asked: Request) -> None:
    """Raise for what is given and cannot be used, or is needed and not given."""
    if asked.out.suffix != ".toml":
        raise RunError(f"{asked.out}: a scenario's file must be called NAME.toml")
    if not asked.out.name.isprintable():
        raise RunError(
            f"a scenario's file must be called by printable text, got {short(ascii(asked.out.name))}"
        )
    if asked.duration_s is not None and not asked.duration_s > 0:
        raise ScenarioError(f"duration_s must be positive, got {asked.duration_s:g}")
    if asked.start is not None:
        _check_start(asked.start)
    for name in asked.services:
        if name not in services.class_names():
            raise ScenarioError(unknown("class of services", short(name), services.class_names()))
    if asked.is_topology:
        for name in ("sites", "backhaul", "start", "columns", "cells", "time_unit"):
            if getattr(asked, name) is not None:
                raise ScenarioError(
                    f"--{name.replace('_', '-')} must not be given with {asked.kind}: its nodes are "
                    "the sites, its links the backhaul, and users follow no trace"
                )
    elif asked.sites is None:
        raise ScenarioError(
            f"--sites must be given with {asked.kind}: "
            "a CSV with columns site_id, latitude, longitude"
        )
    if asked.columns is not None and asked.kind is not ImportKind.CSV:
        raise ScenarioError(f"--columns must not be given with {asked.kind}: its columns are fixed")


def _check_start(start: datetime) -> None:
    if start.tzinfo is None:
        raise ScenarioError(
            f"start must carry a time zone (2008-05-31T18:00:00Z), got {start.isoformat()}"
        )
    if not 1900 <= start.year < 2200:
        raise ScenarioError(f"start must lie in the years 1900 to 2199, got {start.isoformat()}")
