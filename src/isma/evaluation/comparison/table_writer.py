"""The tables of a run's folder (docs/run-folder.md), made from its cells."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from isma.contract import Policy
from isma.evaluation.cell import BINS_PER_DECADE, DECADES, NUM_BINS, Cell
from isma.evaluation.comparison.summary import Standing, summary_rows
from isma.evaluation.plan import CellKey, Plan, Point
from isma.simulator.params import Params
from isma.storage import write_atomically
from isma.world import backhaul
from isma.world.scenario import Visibility
from isma.world.servers import network

_TASK_SAMPLE = 100_000
_EDGES_S = 10 ** (DECADES[0] + np.arange(NUM_BINS + 1) / BINS_PER_DECADE)
_TASK_COLUMNS = (
    "time_s",
    "user",
    "station",
    "host",
    "offload_ratio",
    "granted_share",
    "completion_time_s",
    "deadline_s",
)

Cells = Mapping[CellKey, Cell]


def write_tables(
    plan: Plan,
    points: Sequence[Point],
    policies: Mapping[str, Policy],
    params: Sequence[Params],
    cells: Cells,
    bounds: Mapping[tuple[int, int], float],
    out: Path,
) -> None:
    """Write every table, each whole or not at all. Raises RunError."""
    references = {name for name, policy in policies.items() if policy.visibility is Visibility.FULL}
    rows: list[dict] = []
    for index, point in enumerate(points):
        standing = Standing(
            scenario=point.scenario,
            cells={key: made for key, made in cells.items() if key.point == index},
            bounds={seed: value for (place, seed), value in bounds.items() if place == index},
            references=references,
            message_bytes={
                name: _message_bytes(plan, point, params[index], p) for name, p in policies.items()
            },
            edges_s=_EDGES_S,
        )
        rows += [{**point.values, **row} for row in summary_rows(standing)]
    _csv(out / "summary.csv", pd.DataFrame(rows))
    _csv(out / "seeds.csv", _seeds(points, cells, bounds))
    _parquet(out / "users.parquet", _users(points, cells))
    _parquet(out / "distribution.parquet", _distribution(points, cells))
    _parquet(out / "timeline.parquet", _timeline(points, cells))
    _parquet(out / "load.parquet", _load(points, cells))
    _parquet(out / "tasks.parquet", _tasks(points, cells))
    _map(plan, points[0], cells, out)


def _message_bytes(plan: Plan, point: Point, params: Params, policy: Policy) -> tuple[float, float]:
    """Bytes of one broadcast (sender, time, F, and a price if any) and of the data that migrates with a user.

    With a service go its user's id and request (five numbers) and the policy's memory of it.
    """
    shape = params.shape
    memory = policy.init(
        point.scenario, shape.num_users, shape.num_servers, jax.random.key(plan.seeds[0])
    )
    remembered = (
        sum(jnp.asarray(leaf).nbytes for leaf in jax.tree.leaves(memory.per_user)) / shape.num_users
    )
    return 4 + 8 + 4 * (1 + policy.publishes_price), 4 + 5 * 4 + remembered


def _seeds(
    points: Sequence[Point], cells: Cells, bounds: Mapping[tuple[int, int], float]
) -> pd.DataFrame:
    rows = []
    for key, made in cells.items():
        time = points[key.point].scenario.time
        hours = (time.duration_s - time.warmup_s) / 3600
        ticks = time.num_ticks - time.warmup_ticks
        rows.append(
            {
                **points[key.point].values,
                "policy": key.policy,
                "seed": key.seed,
                "mean_s": made.mean_s,
                "task_mean_s": made.task_mean_s,
                "migrations_per_user_hour": made.migrations / float(made.mean_users) / hours,
                "overload_ratio": made.overloaded / (ticks * len(made.server_users)),
                "deadline_miss_ratio": made.missed.sum() / made.user_tasks.sum(),
                "bound_s": bounds[key.point, key.seed],
            }
        )
    return pd.DataFrame(rows)


def _users(points: Sequence[Point], cells: Cells) -> pd.DataFrame:
    return _stacked(
        points,
        cells,
        lambda key, made: {
            "seed": key.seed,
            "user": np.arange(len(made.user_tasks)),
            "mean_s": made.user_mean_s,
            "tasks": made.user_tasks,
        },
    )


def _distribution(points: Sequence[Point], cells: Cells) -> pd.DataFrame:
    totals: dict[tuple[int, str], np.ndarray] = {}
    for key, made in cells.items():
        place = (key.point, key.policy)
        totals[place] = totals.get(place, 0) + made.histogram
    frames = []
    for (point, policy), tasks in totals.items():
        occupied = tasks > 0
        frame = {
            "low_s": _EDGES_S[:-1][occupied],
            "high_s": _EDGES_S[1:][occupied],
            "tasks": tasks[occupied],
        }
        frames.append(pd.DataFrame({**points[point].values, "policy": policy, **frame}))
    return pd.concat(frames, ignore_index=True)


def _timeline(points: Sequence[Point], cells: Cells) -> pd.DataFrame:
    return _stacked(
        points,
        cells,
        lambda key, made: {
            "seed": key.seed,
            "time_s": made.chunk_end_s,
            "mean_s": made.chunk_mean_s,
            "migrations": made.chunk_migrations,
            "handovers": made.chunk_handovers,
            "overload_ratio": made.chunk_overloaded,
        },
    )


def _load(points: Sequence[Point], cells: Cells) -> pd.DataFrame:
    frame = _stacked(
        points,
        cells,
        lambda key, made: {
            "server": np.arange(len(made.server_users)),
            "users": made.server_users,
            "requested_share": made.server_requested,
            "granted_share": made.server_granted,
        },
    )
    by = [*points[0].values, "policy", "server"]
    return pd.DataFrame(frame.groupby(by, sort=False, as_index=False).mean())


def _tasks(points: Sequence[Point], cells: Cells) -> pd.DataFrame:
    sampled = sum(len(made.task_sample) for made in cells.values())
    every = max(1, -(-sampled // _TASK_SAMPLE))
    frame = _stacked(
        points,
        cells,
        lambda key, made: {
            "seed": key.seed,
            **dict(zip(_TASK_COLUMNS, made.task_sample[::every].T, strict=True)),
        },
    )
    whole = ["user", "station", "host"]
    return frame.astype(dict.fromkeys(whole, "int32"))


def _map(plan: Plan, point: Point, cells: Cells, out: Path) -> None:
    """Stations, servers and links, and where users were: the first seed of the first point."""
    laid = network(point.scenario)
    layout = laid.layout
    place = dict(zip(("x_m", "y_m"), layout.position_m.T, strict=True))
    server = pd.Series(pd.NA, np.arange(len(layout.ids)), "Int64")
    server[laid.home] = np.arange(len(laid.home))
    _csv(
        out / "sites.csv",
        pd.DataFrame({"server": server, **place, "site_id": layout.ids}),
    )
    links = backhaul.links(point.scenario.backhaul, layout, point.scenario.sites.coverage_radius_m)
    _csv(out / "links.csv", pd.DataFrame(links, columns=["a", "b"]))
    shown = {
        key: made for key, made in cells.items() if key.point == 0 and key.seed == plan.seeds[0]
    }
    snapshots = [
        pd.DataFrame(
            {
                "policy": key.policy,
                "user": made.shown,
                "x_m": made.position_m[-1, :, 0],
                "y_m": made.position_m[-1, :, 1],
                "station": made.station[made.shown],
                "host": made.host[made.shown],
                "offload_ratio": made.offload_ratio[made.shown],
                "granted_share": made.granted_share[made.shown],
            }
        )
        for key, made in shown.items()
    ]
    snapshot = pd.concat(snapshots, ignore_index=True)
    there = np.isfinite(np.asarray(snapshot["x_m"], np.float64))
    # Without users at the end, the table still names the policies.
    _parquet(out / "snapshot.parquet", snapshot.loc[there] if there.any() else snapshot)
    first = next(iter(shown.values()))
    moments, users, _ = first.position_m.shape
    trail = {
        "time_s": np.repeat(first.moment_s, users),
        "user": np.tile(first.shown, moments),
        "x_m": first.position_m[..., 0].ravel(),
        "y_m": first.position_m[..., 1].ravel(),
    }
    _parquet(out / "trail.parquet", pd.DataFrame(trail).dropna())


def _stacked(
    points: Sequence[Point], cells: Cells, columns: Callable[[CellKey, Cell], dict[str, Any]]
) -> pd.DataFrame:
    frames = [
        pd.DataFrame({**points[key.point].values, "policy": key.policy, **columns(key, made)})
        for key, made in cells.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _csv(path: Path, frame: pd.DataFrame) -> None:
    write_atomically(path, frame.to_csv(index=False, lineterminator="\n").encode())


def _parquet(path: Path, frame: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())
