"""Scenarios made from users' data: a TOML file and its tables."""

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from scipy.spatial import KDTree

from isma.errors import RunError, ScenarioError, short, some
from isma.world import arrivals, files, scenario, sites, traces
from isma.world import backhaul as network
from isma.world.importers import request_traces, site_tables, summary, topology, window
from isma.world.importers.cells import agreement
from isma.world.importers.cleaning import EARTH, MAX_SPEED_MPS, Box, clean
from isma.world.importers.csv_traces import Columns
from isma.world.importers.output import write_together
from isma.world.importers.request import (
    Drawn,
    ImportedWorld,
    ImportKind,
    Request,
    TraceUsers,
    check,
    one_of,
)
from isma.world.importers.request_traces import Session
from isma.world.importers.trace_kinds import read_trace
from isma.world.importers.window import TICK_S
from isma.world.switches import Attendance, Migrating, Migration

WARMUP_S = 60.0
"""Warm-up; a tenth of the run below ten minutes."""
MAX_LINK_M = 6000.0
"""Longest edge that is a link where no backhaul is given."""
RATE_BPS = 500e6
"""Rate of a hop (DRACM, arXiv 2012.08679)."""


@dataclass(frozen=True)
class ImportResult:
    """Result of an import."""

    lines: tuple[str, ...]
    """Report of the data read, dropped and chosen, as lines of text."""
    paths: tuple[Path, ...]
    """The files written, the scenario last."""

    @property
    def file(self) -> Path:
        """The scenario."""
        return self.paths[-1]


@dataclass(frozen=True)
class _Draft:
    """A scenario before it is written: its fields, its tables by ending, and the report."""

    tree: dict[str, Any]
    tables: dict[str, bytes]
    lines: list[str]


def import_scenario(
    kind: ImportKind | str,
    source: Path,
    out: Path,
    sites: Path | None = None,
    backhaul: Path | str | None = None,
    start: datetime | None = None,
    duration_s: float | None = None,
    columns: Columns | None = None,
    cells: Path | None = None,
    world: ImportedWorld | str = ImportedWorld.PAPER,
    *,
    time_unit: str | None = None,
    migration: str | None = None,
    services: Sequence[str] = (),
    users: TraceUsers | str = TraceUsers.PRESENT,
    max_gap_s: float | None = None,
    max_speed_mps: float | None = None,
    time_format: str | None = None,
    time_zone: str | None = None,
    crs: str | None = None,
    net: Path | None = None,
    session: Session | None = None,
) -> ImportResult:
    """Make the scenario file `out` and the tables that it needs in the same folder, all of them or none.

    A trace needs a table of `sites`, or `hexagonal:DISTANCE` for a lattice; its run starts at `start`,
    or with the window in which most `users` are there (or have fixes throughout). Gaps above `max_gap_s`
    are absences, fixes reached faster than at `max_speed_mps` are dropped. A topology (`graphml`,
    `node-link`) gives sites and backhaul itself, a table of `sites` alone gives those. A trace of `requests`
    gives users' arrivals and tasks, with a `session` for each user. Recorded `cells` are compared with the
    trace. Fields that are not in the data are as in the preset `paper`, or as
    `world` adds to it, with `services` and `migration`. Raises DataError, ScenarioError or RunError.
    """
    request = Request(
        one_of(ImportKind, kind, "kind of import"),
        source,
        out,
        sites,
        Drawn(backhaul) if backhaul in list(Drawn) else Path(backhaul) if backhaul else None,
        start,
        duration_s,
        columns,
        cells,
        one_of(ImportedWorld, world, "world"),
        time_unit,
        one_of(Migrating, migration, "kind of migration") if migration else None,
        tuple(services),
        one_of(TraceUsers, users, "choice of users"),
        max_gap_s,
        max_speed_mps,
        time_format,
        time_zone,
        crs,
        net,
        session,
    )
    check(request)
    return _written(_draft(request), request)


def _draft(request: Request) -> _Draft:
    if request.is_topology:
        return _from_topology(request)
    if request.kind is ImportKind.SITES:
        return _from_sites(request)
    if request.kind is ImportKind.REQUESTS:
        return _from_requests(request)
    return _from_trace(request)


def _from_trace(request: Request) -> _Draft:
    assert request.sites is not None
    spacing_m = request.spacing_m
    site_places = None if spacing_m is not None else site_tables.read(request.sites, request.crs)
    reading = read_trace(request)
    if site_places is not None and site_places.plain != reading.plain:
        plain, other = ("sites", "trace") if site_places.plain else ("trace", "sites")
        raise ScenarioError(
            f"sites and trace must both be on Earth or both on one plane, got {plain} in plain metres and "
            f"{other} in degrees; say of which grid x and y are (--crs EPSG:32632)"
        )
    box = EARTH if site_places is None else Box.around(site_places.table)
    frame, report = clean(
        reading.frame,
        box,
        request.max_speed_mps or MAX_SPEED_MPS,
        label=str(request.source),
        other_ids=reading.other_ids,
    )
    if site_places is None:
        assert spacing_m is not None
        site_places = site_tables.lattice(frame, spacing_m, reading.plain)
    table, layout = site_places.table, sites.from_table(site_places.table)
    linked = _backhaul_of(request)
    lines = [*site_places.lines, *_network_lines(linked, layout)]
    lines += summary.understood(frame, report, reading)
    if request.cells is not None:
        lines += agreement(frame, layout, request.cells).lines()
    part = window.chosen(frame, request)
    began, duration_s = traces.utc_text(part.start.timestamp()), part.duration_s
    summary.check_size(part.rows, len(table.ids))
    traces.check_samples(duration_s / TICK_S, part.rows)
    lines += part.lines
    cabs = request.kind is ImportKind.CABSPOTTING
    tree = _fields(request, "san-francisco" if cabs else request.out.stem, duration_s)
    kind = "real" if spacing_m is None else "made-up"
    tree["description"] = (
        f"{part.num_users:,} users of {short(request.source.name)} among {len(table.ids):,} {kind} sites, "
        f"{duration_s:g} s from {began}"
    )
    tree["time"] |= {"warmup_s": _warmup_s(duration_s), "tick_s": TICK_S}
    tree["broadcast"] |= {"period_s": TICK_S}
    del tree["users"]["count"]
    gap = {} if request.max_gap_s is None else {"max_gap_s": request.max_gap_s}
    tree["mobility"] = {"kind": "trace", "file": "trace.parquet", "start": began, **gap}
    if request.users is TraceUsers.PRESENT:
        tree["presence"] = {"enabled": True, "kind": Attendance.TRACE.value}
    tables = {"trace.parquet": traces.dumps(frame)}
    return _with_places(_Draft(tree, tables, lines), table, linked)


def _from_topology(request: Request) -> _Draft:
    nodes = topology.sites_of(network.read_graph(request.source), request.source, request.crs)
    layout = sites.from_table(nodes.table)
    linked = _backhaul(request.source)
    lines = [
        f"read {short(request.source.name)}: {request.kind}",
        *topology.describe(nodes),
        *_network_lines(linked, layout),
    ]
    where = f"at the nodes of {short(request.source.name)}"
    return _without_trace(request, nodes.table, linked, lines, where)


def _from_sites(request: Request) -> _Draft:
    site_places = site_tables.read(request.source, request.crs)
    linked = _backhaul_of(request)
    lines = [
        f"read {short(request.source.name)}: {request.kind}",
        *site_places.lines,
        *_network_lines(linked, sites.from_table(site_places.table)),
    ]
    return _without_trace(
        request, site_places.table, linked, lines, f"of {short(request.source.name)}"
    )


def _from_requests(request: Request) -> _Draft:
    """A scenario whose users come and ask as a trace of requests says."""
    session = request.session or Session()
    tree = _fields(request, request.out.stem, request.duration_s)
    time, trace = scenario.Time(**tree["time"]), request_traces.read(request.source, request.times)
    part, began = request_traces.window(trace, request.start, time.duration_s)
    asked = request_traces.fields(part, session, time.duration_s, time.slot_s)
    tree.pop("tasks", None)
    tree |= {**asked, "users": tree["users"] | asked["users"]}
    tree["time"]["warmup_s"] = max(time.warmup_s, float(math.ceil(session.duration_s)))
    tree["description"] = (
        f"{len(part.time_s):,} requests of {short(request.source.name)}, {time.duration_s:g} s from {began}"
    )
    tables, lines = {"arrivals.csv": arrivals.dumps(part.time_s)}, list(trace.lines)
    draft, stations = _Draft(tree, tables, lines), tree["sites"].get("count", 0)
    if request.sites is not None:
        places = site_tables.read(request.sites, request.crs)
        linked = _backhaul_of(request)
        lines += [*places.lines, *_network_lines(linked, sites.from_table(places.table))]
        draft, stations = _with_places(draft, places.table, linked), len(places.table.ids)
    clock_hz = np.mean(scenario.Servers(**tree["servers"]).clock_hz) * stations
    lines += request_traces.described(part, session, tree, float(clock_hz), began)
    return draft


def _without_trace(
    request: Request,
    table: sites.SiteTable,
    linked: scenario.Backhaul,
    lines: list[str],
    where: str,
) -> _Draft:
    """A scenario of sites among which users move as in the preset `paper`."""
    layout = sites.from_table(table)
    tree = _fields(request, request.out.stem, request.duration_s)
    summary.check_size(tree["users"]["count"], len(layout.ids))
    tree["description"] = f"{len(layout.ids):,} sites {where}"
    radius_m = tree["sites"]["coverage_radius_m"]
    if len(layout.ids) > 1:
        nearest_m = KDTree(layout.position_m).query(layout.position_m, k=2)[0][:, 1]
        lines.append(
            f"a site's nearest neighbour is {np.median(nearest_m) / 1000:.3g} km away (median)"
        )
        alone = int((nearest_m > 2 * radius_m).sum())
        if alone:
            lines.append(
                f"odd: {alone:,} sites have no neighbour within reach: with sites.coverage_radius_m "
                f"{radius_m:g} their coverage touches no other, so users there never change station"
            )
    return _with_places(_Draft(tree, {}, lines), table, linked)


def _fields(request: Request, name: str, duration_s: float | None) -> dict[str, Any]:
    """Fields that are not in the data: those of the preset `paper`, and requested ones."""
    tree = files.load("paper").model_dump(mode="json", exclude_unset=True)
    if request.world is ImportedWorld.FULL:
        text = (resources.files("isma.world.importers") / "full.toml").read_text()
        for section, fields in tomllib.loads(text).items():
            tree[section] = fields if section == "services" else tree.get(section, {}) | fields
        for field in ("loss_at_1km_db", "loss_per_decade_db"):  # Street canyons have their own.
            del tree["radio"][field]
    if request.services:
        tree["services"] = [{"use": name} for name in request.services]
    if "services" in tree:
        del tree["tasks"]
    if request.migration is Migrating.FREE:
        tree["migration"] = {"kind": request.migration.value}
    elif request.migration is not None:
        tree["migration"] = {
            **{name: getattr(Migration(), name) for name in ("state_bits", "downtime_per_hop_s")},
            **tree.get("migration", {}),
            "kind": request.migration.value,
        }
    tree["name"] = name
    if duration_s is not None:
        tree["time"] |= {"duration_s": duration_s, "warmup_s": _warmup_s(duration_s)}
    return tree


def _warmup_s(duration_s: float) -> float:
    return min(WARMUP_S, duration_s // 10)


def _backhaul_of(request: Request) -> scenario.Backhaul:
    """The requested backhaul, drawn between the sites where no file gives it."""
    if isinstance(request.backhaul, Path):
        return _backhaul(request.backhaul)
    return _backhaul(None, request.backhaul or Drawn.GABRIEL)


def _backhaul(file: Path | None, drawn: Drawn = Drawn.GABRIEL) -> scenario.Backhaul:
    if file is None:
        return scenario.Backhaul(kind=drawn.value, rate_bps=RATE_BPS, max_link_m=MAX_LINK_M)
    return scenario.Backhaul(kind="file", rate_bps=RATE_BPS, file=file)


def _network_lines(linked: scenario.Backhaul, layout: sites.Layout) -> list[str]:
    """Report of the backhaul; checks that it reaches every site."""
    hops = network.hop_counts(linked, layout, 1.0)
    count = len(network.links(linked, layout, 1.0))
    of = short(linked.file.name) if linked.file else f"{linked.kind} graph"
    lines = [
        f"backhaul: {count:,} links ({of}), {hops.mean():.1f} hops on average, {hops.max()} at most"
    ]
    joining = network.joining_links(linked, layout)
    if joining:
        ends = some(f"{layout.ids[a]} to {layout.ids[b]}" for a, b in joining)
        lines.append(f"{len(joining):,} links above {linked.max_link_m:g} m join the rest: {ends}")
    return lines


def _with_places(draft: _Draft, table: sites.SiteTable, linked: scenario.Backhaul) -> _Draft:
    """Add the sites and the backhaul, each with its table."""
    tree, tables = dict(draft.tree), dict(draft.tables)
    radius_m = tree["sites"]["coverage_radius_m"]
    tree["sites"] = {"kind": "file", "file": "sites.csv", "coverage_radius_m": radius_m}
    tables["sites.csv"] = sites.dumps(table).encode()
    tree["backhaul"] = linked.model_dump(mode="json", exclude_unset=True)
    if linked.file is not None:
        ending = f"backhaul{linked.file.suffix}"
        tree["backhaul"]["file"] = ending
        tables[ending] = linked.file.read_bytes()
    return _Draft(tree, tables, draft.lines)


def _written(draft: _Draft, request: Request) -> ImportResult:
    inputs = {path.resolve() for path in request.inputs}
    for name in (request.out.name, *(f"{request.out.stem}.{ending}" for ending in draft.tables)):
        if (request.out.parent / name).resolve() in inputs:
            raise RunError(
                f"{request.out.parent / name}: is read and would be written over; "
                "give the scenario another name"
            )
    comments = [
        "Made by isma scenario import.",
        *(_provenance(path) for path in request.inputs),
        *draft.lines,
    ]
    head = "".join(f"# {_comment(line)}\n" for line in comments)

    digests = {
        ending: hashlib.sha256(content).hexdigest() for ending, content in draft.tables.items()
    }

    def text(names: Mapping[str, str]) -> str:
        """The scenario's file, its tables under these names."""
        named = {
            section: fields | {"file": names[fields["file"]], "sha256": digests[fields["file"]]}
            if isinstance(fields, dict) and "file" in fields
            else fields
            for section, fields in draft.tree.items()
        }
        valid = files.validate(named, str(request.out))
        fields = valid.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return f"{head}\n{tomli_w.dumps(fields)}"

    paths = write_together(request.out, draft.tables, text, request.inputs)
    return ImportResult(tuple(draft.lines), paths)


def _comment(line: str) -> str:
    """A line of text as TOML takes it in a comment."""
    return "".join(sign if sign.isprintable() else " " for sign in line)


def _provenance(path: Path) -> str:
    if path.is_dir():
        return f"From the folder {short(path.name, 200)}."
    with path.open("rb") as file:
        return f"From {short(path.name, 200)}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}."
