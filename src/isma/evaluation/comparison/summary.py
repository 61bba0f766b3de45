"""`summary.csv`: a row per policy, with paired intervals wherever policies are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from isma.evaluation.cell import Cell
from isma.evaluation.plan import CellKey
from isma.evaluation.statistics import interval, paired_ratio, percentile
from isma.world.motion import Trace
from isma.world.scenario import Scenario
from isma.world.switches import Migrating


@dataclass(frozen=True)
class Standing:
    """Sources of one point's rows."""

    scenario: Scenario
    cells: Mapping[CellKey, Cell]
    bounds: Mapping[int, float]
    references: set[str]
    message_bytes: Mapping[str, tuple[float, float]]
    """Bytes of one broadcast, and of the data that travels with one migration, by policy."""
    edges_s: Float[np.ndarray, "edges"]

    def of(self, policy: str) -> list[Cell]:
        """A policy's cells in the order of their seeds."""
        return [
            made
            for key, made in sorted(self.cells.items(), key=lambda item: item[0].seed)
            if key.policy == policy
        ]

    @property
    def by_user(self) -> bool:
        """Whether intervals are over users: seeds that share one trace are not independent worlds."""
        seeds = {key.seed for key in self.cells}
        return isinstance(self.scenario.mobility, Trace) or len(seeds) == 1

    def units(self, policy: str) -> Float[np.ndarray, "units"]:
        """A policy's mean in every unit of the intervals."""
        cells = self.of(policy)
        if self.by_user:
            had_tasks = np.any([made.user_tasks > 0 for made in cells], axis=0)
            return np.nanmean([made.user_mean_s[had_tasks] for made in cells], axis=0)
        return np.array([made.mean_s for made in cells])


def summary_rows(standing: Standing) -> list[dict[str, Any]]:
    """The rows of one point, in the order of the policies."""
    names = list(dict.fromkeys(key.policy for key in standing.cells))
    means = {name: float(np.mean(standing.units(name))) for name in names}
    own = [name for name in names if name not in standing.references] or names
    best = min(own, key=lambda name: means[name])
    return [_row(standing, name, standing.units(best)) for name in names]


def _row(standing: Standing, policy: str, best: Float[np.ndarray, "units"]) -> dict[str, Any]:
    cells, units = standing.of(policy), standing.units(policy)
    mean_s = float(np.mean(units))
    low, high = interval(units)
    above, above_low, above_high = paired_ratio(units, best)
    tasks = sum(made.user_tasks.sum() for made in cells)
    histogram = np.sum([made.histogram for made in cells], axis=0)
    bins = (standing.edges_s[:-1], standing.edges_s[1:])
    p50, p95, p99 = (percentile(histogram, *bins, part) for part in (0.5, 0.95, 0.99))
    bound_s = float(np.mean([standing.bounds[seed] for seed in standing.bounds]))
    return {
        "policy": policy,
        "reference": policy in standing.references,
        "mean_s": mean_s,
        "mean_s_low": low,
        "mean_s_high": high,
        "above_best_ratio": above,
        "above_best_low": above_low,
        "above_best_high": above_high,
        "task_mean_s": float(sum(made.user_time_s.sum() for made in cells) / tasks),
        "p50_s": p50,
        "p95_s": p95,
        "p99_s": p99,
        "deadline_miss_ratio": float(sum(made.missed.sum() for made in cells) / tasks),
        **_rates(standing, policy),
        "bound_s": bound_s,
        "above_bound_ratio": mean_s / bound_s - 1,
        "seeds": len(cells),
        "unit": "user" if standing.by_user else "seed",
        **_beyond(standing, policy),
    }


def _rates(standing: Standing, policy: str) -> dict[str, float]:
    time, cells = standing.scenario.time, standing.of(policy)
    span_s, ticks = time.duration_s - time.warmup_s, time.num_ticks - time.warmup_ticks
    users = float(np.mean([made.mean_users for made in cells]))
    servers = len(cells[0].server_users)
    migrations = float(np.mean([made.migrations for made in cells]))
    handovers = float(np.mean([made.handovers for made in cells]))
    overloaded = float(np.mean([made.overloaded for made in cells]))
    broadcast_bytes, carried_bytes = standing.message_bytes[policy]
    period_s = max(standing.scenario.broadcast.period_s, time.tick_s)
    received = servers * (servers - 1) / period_s
    return {
        "migrations_per_user_hour": migrations / users / span_s * 3600,
        "handovers_per_user_hour": handovers / users / span_s * 3600,
        "overload_ratio": overloaded / (ticks * servers),
        "signalling_bytes_per_s": broadcast_bytes * received + carried_bytes * migrations / span_s,
    }


def _beyond(standing: Standing, policy: str) -> dict[str, float]:
    """Columns of features beyond the paper that are switched on, and of policies that forecast."""
    scenario, cells = standing.scenario, standing.of(policy)
    time, users = scenario.time, float(np.mean([made.mean_users for made in cells]))
    hours = (time.duration_s - time.warmup_s) / 3600
    row: dict[str, float] = {}
    if scenario.migration.kind is not Migrating.FREE or scenario.failures.enabled:
        down_s = float(np.mean([made.down_slots for made in cells])) * time.slot_s
        row["downtime_s_per_user_hour"] = down_s / users / hours
    tasks = sum(made.user_tasks.sum() for made in cells)
    if scenario.queues.enabled:
        row["unfinished_ratio"] = float(sum(made.unfinished for made in cells) / tasks)
    weight = float(np.mean([made.forecast_weight for made in cells]))
    if not np.isnan(weight):
        row["forecast_weight"] = weight
    if scenario.energy.enabled:
        row["energy_j_per_task"] = float(sum(made.energy_j for made in cells) / tasks)
    return row
