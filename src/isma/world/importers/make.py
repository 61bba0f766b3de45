"""Scenarios made from data that people bring: a TOML file and the tables beside it."""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from scipy.spatial import KDTree

from isma.errors import DataError, RunError, ScenarioError, unknown
from isma.world import backhaul as network
from isma.world import files, scenario, sites, traces
from isma.world.importers import cabspotting, csv_traces, topology
from isma.world.importers.cells import agreement
from isma.world.importers.cleaning import Box, clean
from isma.world.importers.output import write_together

DURATION_S = 7200.0
"""How long a run along a trace is, unless told: two hours."""
WARMUP_S = 60.0
"""What is discarded at its beginning; a tenth of runs below ten minutes."""
TICK_S = 1.0
"""Tick and broadcast period along a trace, whose fixes are a minute apart."""
MAX_LINK_M = 6000.0
"""Longest Delaunay edge that is a link where no backhaul is given."""
RATE_BPS = 500e6
"""Rate of a hop (DRACM, arXiv 2012.08679)."""


class Kind(StrEnum):
    """What a scenario can be made from."""

    CABSPOTTING = "cabspotting"
    """San Francisco's cabs: a folder or tar archive of new_<cab>.txt."""
    CSV = "csv"
    """A trace in one CSV with identity, time, latitude and longitude."""
    GRAPHML = "graphml"
    """A topology whose nodes are the sites, users moving steadily."""
    NODE_LINK = "node-link"
    """The same from node-link JSON."""


class World(StrEnum):
    """What a scenario gets that is not in the data."""

    PAPER = "paper"
    """The fields of the preset `paper`."""
    FULL = "full"
    """Services, radio, queues, migration and latency as `full.toml` has them."""


@dataclass(frozen=True)
class ImportResult:
    """What an import made."""

    lines: tuple[str, ...]
    """What was read, dropped and chosen, as lines of text."""
    paths: tuple[Path, ...]
    """The files written, the scenario last."""


@dataclass(frozen=True)
class _Request:
    kind: Kind
    source: Path
    out: Path
    sites: Path | None
    backhaul: Path | None
    start: datetime | None
    duration_s: float | None
    columns: csv_traces.Columns | None
    cells: Path | None
    world: World

    @property
    def inputs(self) -> list[Path]:
        named = (self.source, self.sites, self.backhaul, self.cells)
        return [path for path in named if path is not None]

    def beside(self, ending: str) -> str:
        """The name of a file beside the scenario's."""
        return f"{self.out.stem}.{ending}"


@dataclass(frozen=True)
class _Draft:
    """A scenario in the making: its fields, the files beside it, and what there is to say."""

    tree: dict[str, Any]
    tables: dict[str, bytes]
    lines: list[str]


def import_scenario(
    kind: Kind | str,
    source: Path,
    out: Path,
    sites: Path | None = None,
    backhaul: Path | None = None,
    start: datetime | None = None,
    duration_s: float | None = None,
    columns: csv_traces.Columns | None = None,
    cells: Path | None = None,
    world: World | str = World.PAPER,
) -> ImportResult:
    """Make the scenario file `out` and the tables that it needs beside it, all of them or none.

    A trace (`cabspotting`, `csv`) needs a table of `sites`; its run starts at `start`, or with the
    window of the file through which most users have fixes. A topology (`graphml`, `node-link`)
    gives sites and backhaul itself. `cells`, a table of recorded cells, is compared with the trace.
    What is not in the data is as in the preset `paper`, or what `world` adds to it.
    Raises DataError, ScenarioError or RunError.
    """
    if kind not in list(Kind):
        raise ScenarioError(unknown("kind of import", kind, [known.value for known in Kind]))
    if world not in list(World):
        raise ScenarioError(unknown("world", world, [known.value for known in World]))
    given = (source, out, sites, backhaul, start, duration_s, columns, cells)
    asked = _Request(Kind(kind), *given, World(world))
    _checked(asked)
    topological = asked.kind in (Kind.GRAPHML, Kind.NODE_LINK)
    draft = _from_topology(asked) if topological else _from_trace(asked)
    return _written(draft, asked)


def _checked(asked: _Request) -> None:
    """Raise for what is given and cannot be used, or is needed and not given."""
    if asked.out.suffix != ".toml":
        raise RunError(f"{asked.out}: a scenario's file must be called NAME.toml")
    if asked.duration_s is not None and not asked.duration_s > 0:
        raise ScenarioError(f"duration_s must be positive, got {asked.duration_s:g}")
    if asked.start is not None and asked.start.tzinfo is None:
        raise ScenarioError(
            f"start must carry a time zone (2008-05-31T18:00:00Z), got {asked.start.isoformat()}"
        )
    if asked.kind in (Kind.GRAPHML, Kind.NODE_LINK):
        for name in ("sites", "backhaul", "start", "columns", "cells"):
            if getattr(asked, name) is not None:
                raise ScenarioError(
                    f"--{name} must not be given with {asked.kind}: its nodes are the sites, "
                    "its links the backhaul, and users follow no trace"
                )
    elif asked.sites is None:
        raise ScenarioError(
            f"--sites must be given with {asked.kind}: "
            "a CSV with columns site_id, latitude, longitude"
        )
    if asked.columns is not None and asked.kind is not Kind.CSV:
        raise ScenarioError(f"--columns must not be given with {asked.kind}: its columns are fixed")


def _from_trace(asked: _Request) -> _Draft:
    assert asked.sites is not None
    table = sites.read(asked.sites)
    layout = sites.from_table(table)
    linked = _backhaul(asked, asked.backhaul)
    lines = [f"{len(table.ids):,} sites", *_network_lines(linked, layout)]
    cabs = asked.kind is Kind.CABSPOTTING
    raw = cabspotting.read(asked.source) if cabs else csv_traces.read(asked.source, asked.columns)
    frame, report = clean(raw, Box.around(table), label=str(asked.source))
    lines += report.lines()
    if asked.cells is not None:
        lines += agreement(frame, layout, asked.cells).lines()
    duration_s = asked.duration_s or DURATION_S
    start, num_users = _window(frame, asked, duration_s)
    began = start.isoformat().replace("+00:00", "Z")
    chosen = "as asked" if asked.start else "the window through which most users have fixes"
    lines.append(f"{num_users:,} users from {began} for {duration_s:g} s: {chosen}")
    tree = _fields(asked.world, "san-francisco" if cabs else asked.out.stem, duration_s)
    tree["description"] = (
        f"{num_users:,} users of {asked.source.name} among {len(table.ids):,} real sites, "
        f"{duration_s:g} s from {began}"
    )
    tree["time"] |= {"warmup_s": _warmup_s(duration_s), "tick_s": TICK_S}
    tree["broadcast"] |= {"period_s": TICK_S}
    del tree["users"]["count"]
    trace_name = asked.beside("trace.parquet")
    tree["mobility"] = {"kind": "trace", "file": trace_name, "start": began}
    tables = {trace_name: traces.dumps(frame)}
    return _with_places(_Draft(tree, tables, lines), asked, table, linked)


def _from_topology(asked: _Request) -> _Draft:
    nodes = topology.sites_of(network.read_graph(asked.source), asked.source)
    layout = sites.from_table(nodes.table)
    linked = _backhaul(asked, asked.source)
    lines = [*topology.describe(nodes), *_network_lines(linked, layout)]
    tree = _fields(asked.world, asked.out.stem, asked.duration_s)
    tree["description"] = f"{len(layout.ids):,} sites at the nodes of {asked.source.name}"
    radius_m = tree["sites"]["coverage_radius_m"]
    if len(layout.ids) > 1:
        nearest_m = KDTree(layout.position_m).query(layout.position_m, k=2)[0][:, 1]
        lines.append(
            f"a site's nearest neighbour is {np.median(nearest_m) / 1000:.1f} km away (median)"
        )
        alone = int((nearest_m > 2 * radius_m).sum())
        if alone:
            lines.append(
                f"{alone:,} sites have no neighbour within reach: with sites.coverage_radius_m "
                f"{radius_m:g} their coverage touches no other, so users there never change station"
            )
    return _with_places(_Draft(tree, {}, lines), asked, nodes.table, linked)


def _fields(world: World, name: str, duration_s: float | None) -> dict[str, Any]:
    """What is not in the data: the fields of the preset `paper`, or what is added to them."""
    tree = files.load("paper").model_dump(mode="json", exclude_none=True)
    if world is World.FULL:
        text = (resources.files("isma.world.importers") / "full.toml").read_text()
        for section, fields in tomllib.loads(text).items():
            tree[section] = fields if section == "services" else tree[section] | fields
    tree["name"] = name
    if duration_s is not None:
        tree["time"] |= {"duration_s": duration_s, "warmup_s": _warmup_s(duration_s)}
    return tree


def _warmup_s(duration_s: float) -> float:
    return min(WARMUP_S, duration_s // 10)


def _window(frame: pd.DataFrame, asked: _Request, duration_s: float) -> tuple[datetime, int]:
    """When the run starts, and how many users have fixes throughout."""
    max_gap_s = scenario.Trace.model_fields["max_gap_s"].default
    best = traces.best_window(frame, duration_s, max_gap_s)
    if asked.start is None and best is not None:
        return best.start, best.num_users
    start = asked.start or datetime.fromtimestamp(float(traces.values(frame, "time_s").min()), UTC)
    users = traces.covering(frame, start.timestamp(), duration_s, max_gap_s)
    if users:
        return start.astimezone(UTC), len(users)
    said = traces.uncovered(frame, start.timestamp(), duration_s, max_gap_s, str(asked.source))
    if best is not None:
        begin = traces.utc_text(best.start.timestamp())
        raise ScenarioError(f"{said}; give --start {begin} ({best.num_users} users)")
    whole_s = traces.longest_s(frame, max_gap_s) // TICK_S * TICK_S
    if whole_s == 0:
        raise DataError(f"{said}; a user's fixes must follow each other sooner")
    raise DataError(f"{said}; give --duration {whole_s:g}, as long as any user is followed")


def _backhaul(asked: _Request, file: Path | None) -> scenario.Backhaul:
    if file is None:
        return scenario.Backhaul(kind="delaunay", rate_bps=RATE_BPS, max_link_m=MAX_LINK_M)
    return scenario.Backhaul(kind="file", rate_bps=RATE_BPS, file=file)


def _network_lines(linked: scenario.Backhaul, layout: sites.Layout) -> list[str]:
    """Check that the backhaul reaches every site, and say what it is like."""
    hops = network.hop_counts(linked, layout, 1.0)
    count = len(network.links(linked, layout, 1.0))
    lines = [f"backhaul: {count:,} links, {hops.mean():.1f} hops on average, {hops.max()} at most"]
    joining = [] if linked.kind == "file" else network.joining_links(linked, layout)
    if joining:
        ends = network.some(f"{layout.ids[a]} to {layout.ids[b]}" for a, b in joining)
        lines.append(f"{len(joining):,} links above {linked.max_link_m:g} m join the rest: {ends}")
    return lines


def _with_places(
    draft: _Draft, asked: _Request, table: sites.SiteTable, linked: scenario.Backhaul
) -> _Draft:
    """Add the sites and the backhaul, each with its file."""
    sites_name = asked.beside("sites.csv")
    tree, tables = dict(draft.tree), dict(draft.tables)
    radius_m = tree["sites"]["coverage_radius_m"]
    tree["sites"] = {"kind": "file", "file": sites_name, "coverage_radius_m": radius_m}
    tables[sites_name] = sites.dumps(table).encode()
    tree["backhaul"] = linked.model_dump(mode="json", exclude_unset=True)
    if linked.file is not None:
        name = asked.beside(f"backhaul{linked.file.suffix}")
        tree["backhaul"]["file"] = name
        tables[name] = linked.file.read_bytes()
    return _Draft(tree, tables, draft.lines)


def _written(draft: _Draft, asked: _Request) -> ImportResult:
    valid = files.validate(draft.tree, str(asked.out))
    fields = valid.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    comments = [
        "Made by isma scenario import.",
        *(_provenance(path) for path in asked.inputs),
        *draft.lines,
    ]
    head = "".join(f"# {' '.join(line.split())}\n" for line in comments)
    contents = draft.tables | {asked.out.name: f"{head}\n{tomli_w.dumps(fields)}".encode()}
    inputs = {path.resolve() for path in asked.inputs}
    for name in contents:
        if (asked.out.parent / name).resolve() in inputs:
            raise RunError(
                f"{asked.out.parent / name}: is read and would be written over; "
                "give the scenario another name"
            )
    paths = write_together(asked.out.parent, contents)
    return ImportResult(tuple(draft.lines), paths)


def _provenance(path: Path) -> str:
    if path.is_dir():
        return f"From the folder {path.name}."
    return f"From {path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}."
