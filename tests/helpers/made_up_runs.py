"""Run folders made up for the tests: plausible numbers, no simulation behind them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from scipy import stats
from scipy.spatial import Delaunay

PAPER: Mapping[str, float] = {
    "local": 307.0,
    "random": 36.0,
    "stay": 32.8,
    "nearest": 32.42,
    "threshold": 32.38,
    "greedy": 31.9,
    "price": 31.0,
    "full-information": 30.8,
}
"""Mean completion times, seconds, as a paper-like world gives them; the bound is 30.6 s."""

CITY: Mapping[str, float] = {
    "stay": 0.0726,
    "nearest": 0.0379,
    "threshold": 0.0385,
    "break-even": 0.0392,
    "mdp": 0.0369,
    "isma2": 0.0362,
    "full-information": 0.0359,
}
"""The same for a city of 209 servers in which a migration costs; the bound is 35 ms."""

MOVES = {"local": 0.0, "stay": 0.0, "random": 1500.0, "nearest": 55.0, "threshold": 38.0}
"""Migrations per user and hour; 42 for all others."""


@dataclass(frozen=True)
class World:
    """What a made-up run is to look like."""

    means_s: Mapping[str, float] = field(default_factory=lambda: dict(PAPER))
    bound_s: float = 30.6
    seeds: int = 8
    servers: int = 6
    users: int = 40
    between: float = 0.05
    """Standard deviation of a world's difficulty, relative."""
    noise: float = 0.0015
    """Standard deviation of a policy's own luck in a world, relative."""
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    unit: str = "seed"
    name: str = "paper"


def city(**changes: Any) -> World:
    """A city of 209 servers and 212 users on one trace."""
    defaults: dict[str, Any] = {
        "means_s": CITY,
        "bound_s": 0.035,
        "servers": 209,
        "users": 212,
        "seeds": 3,
        "name": "san-francisco",
    }
    return World(**(defaults | changes))


def write(folder: Path, world: World | None = None) -> Path:
    """Write a whole run folder for `world`; the same world gives the same bytes."""
    world = world or World()
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    seeds = _seeds(world, rng)
    users = _users(world, seeds, rng)
    seeds.to_csv(folder / "seeds.csv", index=False)
    users.to_parquet(folder / "users.parquet")
    _summary(world, seeds, users).to_csv(folder / "summary.csv", index=False)
    (folder / "times").mkdir(exist_ok=True)
    _decisions(world).to_csv(folder / "times" / "decisions.csv", index=False)
    _distribution(world).to_parquet(folder / "distribution.parquet")
    _timeline(world, rng).to_parquet(folder / "timeline.parquet")
    _load(world, rng).to_parquet(folder / "load.parquet")
    _places(world, folder, rng)
    (folder / "config.toml").write_text(tomli_w.dumps(_config(world)))
    return folder


def _points(world: World) -> list[dict[str, Any]]:
    values = itertools.product(*world.vary.values())
    return [dict(zip(world.vary, point, strict=True)) for point in values]


def _mean_s(world: World, policy: str, point: Mapping[str, Any]) -> float:
    """A policy's mean at a point: each moves its own way, so that winners change."""
    if policy == "full-information" and point:
        return 0.99 * min(_mean_s(world, p, point) for p in world.means_s if p != policy)
    mean_s = world.means_s[policy]
    for axis, (name, values) in enumerate(world.vary.items()):
        place = list(values).index(point[name]) / max(1, len(values) - 1)
        drift = {"greedy": -0.06, "price": 0.05, "nearest": 0.02, "mdp": -0.05, "isma2": 0.03}
        mean_s *= 1.15 - 0.15 * place + drift.get(policy, 0.0) * (place - 0.4) * (1 - 0.6 * axis)
    return mean_s


def _seeds(world: World, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    hard = 1 + world.between * rng.standard_normal(world.seeds)
    for point in _points(world):
        lowest = 0.98 * min(_mean_s(world, policy, point) for policy in world.means_s)
        bound_s = lowest if point else world.bound_s
        for policy in world.means_s:
            luck = 1 + world.noise * rng.standard_normal(world.seeds)
            for seed in range(world.seeds):
                mean_s = _mean_s(world, policy, point) * hard[seed] * luck[seed]
                rows.append(
                    {
                        **point,
                        "policy": policy,
                        "seed": seed,
                        "mean_s": mean_s,
                        "task_mean_s": 1.02 * mean_s,
                        "migrations_per_user_hour": MOVES.get(policy, 42.0),
                        "overload_ratio": 0.11 if policy in ("greedy", "random") else 0.002,
                        "deadline_miss_ratio": 0.004 if policy == "random" else 0.0,
                        "bound_s": bound_s * hard[seed],
                    }
                )
    return pd.DataFrame(rows)


def _users(world: World, seeds: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    spread = np.exp(0.5 * rng.standard_normal(world.users))
    spread /= spread.mean()
    parts = []
    for row in seeds.drop(columns=["task_mean_s", "bound_s"]).to_dict("records"):
        luck = 1 + world.noise * rng.standard_normal(world.users)
        keys = {k: row[k] for k in (*world.vary, "policy", "seed")}
        part = pd.DataFrame(
            {"user": np.arange(world.users), "mean_s": row["mean_s"] * spread * luck}
        )
        parts.append(part.assign(tasks=4800, **keys))
    return pd.concat(parts, ignore_index=True)


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _summary(world: World, seeds: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    rows = []
    source, unit = (users, "user") if world.unit == "user" else (seeds, "seed")
    for point in _points(world):
        keep = np.ones(len(source), bool)
        cells = np.ones(len(seeds), bool)
        for name, value in point.items():
            keep &= np.asarray(source[name]) == value
            cells &= np.asarray(seeds[name]) == value
        table: Any = source[keep]
        wide = table.pivot_table(index=unit, columns="policy", values="mean_s")
        able = [p for p in world.means_s if p != "full-information"]
        best = wide[able].mean().idxmin() if able else None
        for policy in world.means_s:
            own = seeds[cells & (np.asarray(seeds["policy"]) == policy)]
            rows.append(point | _row(world, policy, wide, best, own))
    return pd.DataFrame(rows)


def _row(world: World, policy: str, wide: Any, best: str | None, own: Any) -> dict[str, Any]:
    mean_s = float(wide[policy].mean())
    low, high = _interval(wide[policy].to_numpy())
    above = low_above = high_above = math.nan
    if best is not None:
        base = float(wide[best].mean())
        above = mean_s / base - 1
        low_above, high_above = (
            (0.0, 0.0)
            if best == policy
            else _interval((wide[policy] - wide[best]).to_numpy() / base)
        )
    bound_s = float(own["bound_s"].mean())
    return {
        "policy": policy,
        "reference": policy == "full-information",
        "mean_s": mean_s,
        "mean_s_low": low,
        "mean_s_high": high,
        "above_best_ratio": above,
        "above_best_low": low_above,
        "above_best_high": high_above,
        "task_mean_s": 1.02 * mean_s,
        "p50_s": 0.9 * mean_s,
        "p95_s": 2.1 * mean_s,
        "p99_s": 2.9 * mean_s,
        "deadline_miss_ratio": float(own["deadline_miss_ratio"].mean()),
        "migrations_per_user_hour": float(own["migrations_per_user_hour"].mean()),
        "handovers_per_user_hour": 55.0,
        "overload_ratio": float(own["overload_ratio"].mean()),
        "signalling_bytes_per_s": 0.0 if policy in ("local", "stay") else 960.0,
        "bound_s": bound_s,
        "above_bound_ratio": mean_s / bound_s - 1,
        "seeds": world.seeds,
        "unit": world.unit,
    }


def _decisions(world: World) -> pd.DataFrame:
    times = {"decision_ms_p50": 0.12, "decision_ms_p99": 0.31}
    return pd.DataFrame(
        [{**point, "policy": name, **times} for point in _points(world) for name in world.means_s]
    )


def _distribution(world: World) -> pd.DataFrame:
    edges = np.geomspace(min(world.means_s.values()) / 30, max(world.means_s.values()) * 4, 121)
    parts = []
    for point in _points(world):
        for policy in world.means_s:
            mean_s = _mean_s(world, policy, point)
            shape = 0.25 if policy == "local" else 0.45
            law = stats.lognorm(s=shape, scale=mean_s * math.exp(-(shape**2) / 2))
            tasks = np.round(2e6 * np.diff(law.cdf(edges)))
            part = pd.DataFrame({"low_s": edges[:-1], "high_s": edges[1:], "tasks": tasks})
            parts.append(part.assign(policy=policy, **point))
    return pd.concat(parts, ignore_index=True)


def _timeline(world: World, rng: np.random.Generator) -> pd.DataFrame:
    time_s = np.arange(10.0, 601.0, 10.0)
    parts = []
    for point in _points(world):
        for seed in range(world.seeds):
            wave = 1 + 0.03 * np.sin(time_s / 90 + seed)
            handovers = rng.poisson(55 * world.users * 10 / 3600, len(time_s))
            for policy in world.means_s:
                mean_s = _mean_s(world, policy, point) * wave
                moves = MOVES.get(policy, 42.0) * world.users * 10 / 3600
                part = pd.DataFrame(
                    {
                        "time_s": time_s,
                        "mean_s": mean_s * (1 + 0.005 * rng.standard_normal(len(time_s))),
                        "migrations": rng.poisson(moves, len(time_s)),
                        "handovers": handovers,
                        "overload_ratio": 0.01,
                    }
                )
                parts.append(part.assign(policy=policy, seed=seed, **point))
    return pd.concat(parts, ignore_index=True)


def _load(world: World, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    popular = rng.gamma(1.2, 1.0, world.servers)
    for point in _points(world):
        for policy in world.means_s:
            pull = np.ones(world.servers) if policy == "random" else popular
            pull = pull * np.exp(0.15 * rng.standard_normal(world.servers))
            users = world.users * pull / pull.sum()
            asked = np.zeros(world.servers) if policy == "local" else 1 - np.exp(-2 * users)
            asked *= 1.0 + 0.4 * (policy in ("greedy", "random"))
            part = pd.DataFrame(
                {
                    "server": np.arange(world.servers),
                    "users": users,
                    "requested_share": asked,
                    "granted_share": np.minimum(asked, 1.0),
                }
            )
            parts.append(part.assign(policy=policy, **point))
    return pd.concat(parts, ignore_index=True)


def _sites(world: World, rng: np.random.Generator) -> np.ndarray:
    if world.servers <= 7:
        turn = np.arange(world.servers - 1) * math.pi / 3
        ring = 1732 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return np.concatenate([np.zeros((1, 2)), ring])
    return np.array([1800.0, 2600.0]) * rng.standard_normal((world.servers, 2))


def _places(world: World, folder: Path, rng: np.random.Generator) -> None:
    sites = _sites(world, rng)
    table = pd.DataFrame({"server": range(world.servers), "x_m": sites[:, 0], "y_m": sites[:, 1]})
    table.to_csv(folder / "sites.csv", index=False)
    triangles = Delaunay(sites).simplices if world.servers > 2 else np.zeros((0, 3), int)
    pairs = {tuple(sorted((int(t[i]), int(t[i - 1])))) for t in triangles for i in range(3)}
    near = [(a, b) for a, b in sorted(pairs) if np.hypot(*(sites[a] - sites[b])) < 3000]
    pd.DataFrame(near, columns=["a", "b"]).to_csv(folder / "links.csv", index=False)
    place = sites[rng.integers(world.servers, size=world.users)]
    place = place + 550 * rng.standard_normal((world.users, 2))
    time_s = np.arange(0.0, 600.0, 5.0)
    heading = rng.uniform(0, 2 * math.pi, (world.users, 1)) + 0.1 * np.cumsum(
        rng.standard_normal((world.users, len(time_s))), axis=1
    )
    steps = 60 * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    path = place[:, None] - np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    trail = pd.DataFrame(
        {
            "time_s": np.tile(time_s, world.users),
            "user": np.repeat(np.arange(world.users), len(time_s)),
            "x_m": path[..., 0].ravel(),
            "y_m": path[..., 1].ravel(),
        }
    )
    trail.to_parquet(folder / "trail.parquet")
    far = np.hypot(*(place[:, None] - sites[None]).transpose(2, 0, 1)).argsort(axis=1)
    parts = []
    for policy in world.means_s:
        rank = 0 if policy == "nearest" else (rng.random(world.users) < 0.4).astype(int)
        host = far[np.arange(world.users), rank]
        offload = 0.0 if policy == "local" else 0.9
        part = pd.DataFrame({"user": range(world.users), "x_m": place[:, 0], "y_m": place[:, 1]})
        parts.append(
            part.assign(
                policy=policy,
                station=far[:, 0],
                host=host,
                offload_ratio=offload,
                granted_share=0.1,
            )
        )
    pd.concat(parts, ignore_index=True).to_parquet(folder / "snapshot.parquet")


def _config(world: World) -> dict[str, Any]:
    words = "".join(f" --vary {name}=…" for name in world.vary)
    trace = {"mobility": {"kind": "trace", "file": "cabs.parquet"}} if world.unit == "user" else {}
    return {
        **trace,
        "name": world.name,
        "description": "a made-up run for the tests",
        "time": {"duration_s": 600.0, "warmup_s": 60.0},
        "servers": {"clock_hz": 15.95e9, "decision_period_s": 4.0},
        "users": {"count": world.users, "local_hz": [150e6, 150e6]},
        "tasks": {"cycles": [6e9, 9e10]},
        "sites": {"kind": "hexagonal", "count": world.servers},
        "run": {
            "policies": list(world.means_s),
            "seeds": list(range(world.seeds)),
            "vary": {name: list(values) for name, values in world.vary.items()},
            "command": f"isma compare {world.name} --seeds {world.seeds}{words}",
        },
    }
