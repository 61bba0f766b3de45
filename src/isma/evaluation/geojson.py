"""Sites, users and migrations as GeoJSON (RFC 7946), for maps of other programs."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import RunError, ScenarioError, short
from isma.storage import write_atomically
from isma.world import backhaul, files, traces
from isma.world import sites as layouts
from isma.world.motion import Trace
from isma.world.scenario import Scenario
from isma.world.sites import Layout, Projection

_DIGITS = 7
"""Of a degree: a centimetre."""
_MOST_MOMENTS = 500
"""Points of a user's trajectory."""
_RUN_TABLES = ("trail.parquet", "tasks.parquet")

Feature = dict[str, Any]


def export(source: Path | str, folder: Path) -> tuple[list[str], list[Path]]:
    """Write sites.geojson and links.geojson, users.geojson and, of a run, migrations.geojson.

    `source` is a scenario, of whose trace users are taken, or the folder of a run, of whose first
    policy and seed they are. Returns a report in lines, and the files. Raises ScenarioError for
    a world that is nowhere on Earth.
    """
    run = Path(source)
    of_run = run.is_dir()
    if of_run and not (run / "config.toml").is_file():
        raise RunError(f"{run}: must be a run's folder with a config.toml, got none")
    scenario = files.load(run / "config.toml" if of_run else source, varied=_varied(run, of_run))
    layout = layouts.layout(scenario.sites)
    projection = layout.projection
    if projection is None:
        raise ScenarioError(
            f"{short(source)}: its sites must be from a file to be on a map, got sites.kind "
            f'"{scenario.sites.kind}", which is nowhere on Earth'
        )
    layers: dict[str, list[Feature]] = {
        "sites": _sites(layout),
        "links": _links(scenario, layout, projection),
    }
    said = []
    if of_run:
        tables = {name: _table(run, name) for name in _RUN_TABLES}
        layers["users"] = list(_trails(tables["trail.parquet"], projection))
        layers["migrations"] = list(_migrations(tables["tasks.parquet"], run, layout))
        said.append(
            "migrations are those that show between sampled moments of the run; summary.csv counts all"
        )
    elif isinstance(scenario.mobility, Trace):
        layers["users"] = list(_trajectories(scenario, scenario.mobility, projection))
    else:
        said.append("users move by rule, and are somewhere only in a run: export its folder")
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder to write to; make it first")
    paths = []
    for name, features in layers.items():
        path = folder / f"{name}.geojson"
        text = json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False)
        write_atomically(path, text.encode())
        paths.append(path)
        said.append(f"{len(features):,} {name}")
    return said, paths


def _varied(run: Path, of_run: bool) -> tuple[str, ...]:
    """Fields that a run varies, which its file may set in vain."""
    table = files.run_table(run / "config.toml") if of_run else None
    return tuple(table.get("vary", {})) if table else ()


def _table(run: Path, name: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(run / name)
    except (OSError, ValueError) as error:
        raise RunError(f"{run / name}: cannot be read: {short(error, 120)}") from None


def _sites(layout: Layout) -> list[Feature]:
    assert layout.projection is not None
    points = _degrees(layout.position_m, layout.projection)
    return [
        _feature("Point", point, {"site": name})
        for name, point in zip(layout.ids, points, strict=True)
    ]


def _links(scenario: Scenario, layout: Layout, projection: Projection) -> list[Feature]:
    points = _degrees(layout.position_m, projection)
    pairs = backhaul.links(scenario.backhaul, layout, scenario.sites.coverage_radius_m)
    return [
        _feature("LineString", [points[a], points[b]], {"from": layout.ids[a], "to": layout.ids[b]})
        for a, b in pairs
    ]


def _trajectories(scenario: Scenario, trace: Trace, projection: Projection) -> Iterator[Feature]:
    """Trajectories of a trace's users while they are present."""
    duration_s = scenario.time.duration_s
    every_s = max(scenario.time.tick_s, duration_s / _MOST_MOMENTS)
    recorded = traces.trajectories(
        trace,
        projection,
        duration_s,
        every_s,
        scenario.users.count,
        throughout=not scenario.presence.by_trace,
    )
    time_s = np.arange(len(recorded.position_m)) * every_s
    start = trace.start
    for row, user in enumerate(recorded.user_ids):
        come_s, leave_s = np.clip(recorded.there_s[row], 0, duration_s)
        there = (time_s > come_s) & (time_s < leave_s)
        # Before it comes and after it has left a user is held where it does.
        place_m = recorded.position_m[np.concatenate([[True], there[1:-1], [True]]), row]
        about: dict[str, Any] = {"user": user, "from_s": float(come_s), "to_s": float(leave_s)}
        if start is not None:
            about["from"], about["to"] = (_moment(start, end) for end in (come_s, leave_s))
        yield _feature("LineString", _degrees(place_m, projection), about)


def _moment(start: datetime, after_s: float) -> str:
    moment = (start + timedelta(seconds=float(after_s))).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trails(trail: pd.DataFrame, projection: Projection) -> Iterator[Feature]:
    for user, rows in trail.sort_values(["user", "time_s"]).groupby("user"):
        points = _degrees(rows[["x_m", "y_m"]].to_numpy(np.float64), projection)
        about = {"user": int(str(user)), "time_s": rows["time_s"].tolist()}
        if len(points) == 1:
            yield _feature("Point", points[0], about)
        else:
            yield _feature("LineString", points, about)


def _migrations(tasks: pd.DataFrame, run: Path, layout: Layout) -> Iterator[Feature]:
    """Changes of a user's host from one sampled moment to the next."""
    assert layout.projection is not None
    points = _degrees(layout.position_m, layout.projection)
    station = _station_of_server(run)
    order = [name for name in tasks.columns if name in ("policy", "seed", "user")]
    others = [name for name in tasks.columns if name not in _TASK_COLUMNS]
    moved = tasks.drop_duplicates([*others, *order, "time_s"], keep="last").sort_values("time_s")
    for _, rows in moved.groupby([*others, *order], sort=True):
        host, time_s = np.asarray(rows["host"], np.int64), rows["time_s"].tolist()
        for at in np.flatnonzero(np.diff(host)).tolist():
            a, b = station[int(host[at])], station[int(host[at + 1])]
            about: dict[str, Any] = {name: _plain(rows[name].iloc[0]) for name in [*others, *order]}
            about |= {"after_s": time_s[at], "by_s": time_s[at + 1]}
            about |= {"from": layout.ids[a], "to": layout.ids[b]}
            yield _feature("LineString", [points[a], points[b]], about)


_TASK_COLUMNS = {
    "policy", "seed", "time_s", "user", "station", "host", "offload_ratio", "granted_share",
    "completion_time_s", "deadline_s",
}  # fmt: skip


def _station_of_server(run: Path) -> Mapping[int, int]:
    server = np.asarray(pd.read_csv(run / "sites.csv")["server"], np.float64)
    return {int(server[row]): int(row) for row in np.flatnonzero(np.isfinite(server))}


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value


def _degrees(
    position_m: Float[np.ndarray, "points 2"], projection: Projection
) -> list[list[float]]:
    latitude, longitude = projection.to_degrees(position_m)
    return np.stack([longitude, latitude], axis=-1).round(_DIGITS).tolist()


def _feature(kind: str, coordinates: Any, about: dict[str, Any]) -> Feature:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": about}
