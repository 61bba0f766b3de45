"""How good anyone could be in a world whose whole future is known, and how close to it someone is."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from isma.bounds.whole_run import Effort, run_bound
from isma.contract import Policy
from isma.errors import ScenarioError
from isma.evaluation import cell, stored_results
from isma.evaluation.bounding import foresight_levels
from isma.evaluation.bounding.known_future import MOST_SERVERS, every_tick, known_future
from isma.evaluation.keys import Keys
from isma.evaluation.plan import Plan
from isma.simulator.params import Params, build
from isma.storage import write_atomically
from isma.world.scale import LARGE, is_large
from isma.world.scenario import Scenario

_EFFORT, _CITY_EFFORT = Effort(0, 60, 40), Effort(100, 10, 0)
"""In a city prices for free moves give nearly all of the bound, and those for paths take all the time."""

_BOUND = "isma.evaluation.bounding.known_future", "isma.bounds.whole_run"
_FORESIGHT = "isma.evaluation.bounding.foresight_levels", "isma.evaluation.cell"
"""Modules on which stored results of a world depend."""

OnPart = Callable[[str], None]


@dataclass(frozen=True)
class Reach:
    """Bounds of one world, and the means that are reached in it."""

    point: Mapping[str, Any]
    """Values of the varied fields."""
    seed: int
    bound_s: float
    """No policy's `mean_s` is below this one."""
    even_bound_s: float
    """The same if the tasks of each decision period came evenly spread over it; NaN if not asked for."""
    mean_s: Mapping[str, float]
    """Mean delay of each policy."""
    foresight_mean_s: Mapping[str, float]
    """Mean delay of references with foresight, by seconds of the future that they know."""
    wall_s: float
    """Time that both bounds took when they were computed; NaN where that is not known."""

    @property
    def best(self) -> str:
        """The policy with the least mean."""
        return min(self.mean_s, key=lambda name: self.mean_s[name])

    @property
    def best_s(self) -> float:
        """Least mean of the policies, in seconds."""
        return self.mean_s[self.best]

    @property
    def gap_ratio(self) -> float:
        """Duality gap: how far the best mean is above the bound."""
        return self.best_s / self.bound_s - 1


def closed(reaches: Sequence[Reach], foresight: str) -> float:
    """Part of the gap between the best policy's mean and the bound that a level closes, over worlds."""
    best = best_of(reaches)
    best_s, bound_s, level_s = (
        sum(value(reach) for reach in reaches)
        for value in (
            lambda reach: reach.mean_s[best],
            lambda reach: reach.bound_s,
            lambda reach: reach.foresight_mean_s[foresight],
        )
    )
    return (best_s - level_s) / (best_s - bound_s)


def best_of(reaches: Sequence[Reach]) -> str:
    """The policy with the least mean over worlds."""
    return min(reaches[0].mean_s, key=lambda name: sum(reach.mean_s[name] for reach in reaches))


class BoundPlan(Plan):
    """Worlds to bound, and policies to run in them."""

    def command(self) -> str:
        """The command that makes this run again, from its folder."""
        return "isma bound config.toml"


def reach_all(
    plan: BoundPlan, foresight_s: Sequence[float], out: Path | None, on_part: OnPart
) -> list[Reach]:
    """Every world of a plan at every point; with a folder, each is kept there and never run twice.

    Raises IsmaError.
    """
    if out is not None:
        plan.refuse_taken(out)
    worlds = Worlds(plan, foresight_s, out)
    with nullcontext() if out is None else plan.claimed(out):
        reaches = [worlds.reach(number, on_part) for number in range(len(worlds))]
        if out is not None:
            _write_table(reaches, out)
    return reaches


def _write_table(reaches: Sequence[Reach], folder: Path) -> None:
    """Write `bounds.csv`: a row for each world, a column for each policy and level. Raises RunError."""
    rows = [
        {
            **{**reach.point, "seed": reach.seed},
            **{"bound_s": reach.bound_s, "even_bound_s": reach.even_bound_s},
            **{"best": reach.best, "gap_ratio": reach.gap_ratio},
            **{f"{name}_mean_s": value for name, value in reach.mean_s.items()},
            **{f"foresight_{seen}_mean_s": value for seen, value in reach.foresight_mean_s.items()},
        }
        for reach in reaches
    ]
    write_atomically(folder / "bounds.csv", pd.DataFrame(rows).to_csv(index=False).encode())


def at_points(reaches: Sequence[Reach]) -> list[list[Reach]]:
    """The worlds of each point together."""
    by_point: dict[tuple, list[Reach]] = {}
    for reach in reaches:
        by_point.setdefault(tuple(map(str, reach.point.values())), []).append(reach)
    return list(by_point.values())


def _refuse_large(params: Params) -> None:
    """Refuse a city whose users cannot be followed along all servers. Raises ScenarioError."""
    users, stations = params.shape.num_users, params.shape.num_stations
    if is_large(users, stations):
        raise ScenarioError(
            f"isma bound follows every user past every station: there must be at most {LARGE:,} of "
            f"such pairs, got {users:,} users and {stations:,} stations; lower users.count, or see "
            "the bound of single decisions in isma compare"
        )


def _is_city(params: Params) -> bool:
    """Whether a bound takes minutes, for the number of servers."""
    return params.shape.num_servers > MOST_SERVERS


class _WorldKeys(NamedTuple):
    """Keys of a world's numbers."""

    bounds: Mapping[bool, str]
    """Of the bound, and of that of even tasks."""
    means: Mapping[str, str]
    """Of each policy's mean."""
    levels: Mapping[float, str]
    """Of references with foresight, by seconds."""


class Worlds:
    """The worlds of a plan, in the order of points and seeds.

    With a folder each number is kept there under its key. Raises IsmaError for a world that cannot be
    bounded.
    """

    def __init__(self, plan: Plan, foresight_s: Sequence[float], out: Path | None) -> None:
        self._policies, self._foresight_s, self._out = plan.made(), foresight_s, out
        self._keys, self._points = Keys(), plan.points()
        self._laid = [build(point.scenario) for point in self._points]
        for params in self._laid:
            _refuse_large(params)
        self._at = [(point, seed) for point in range(len(self._points)) for seed in plan.seeds]

    def __len__(self) -> int:
        """Number of worlds."""
        return len(self._at)

    def files(self, number: int, out: Path) -> list[Path]:
        """Files of a world's numbers in a folder."""
        keys = self._keys_of(number)
        named = [*keys.bounds.values(), *keys.means.values(), *keys.levels.values()]
        return [stored_results.value_path(out / "worlds", key) for key in named]

    def reach(self, number: int, on_part: OnPart) -> Reach:
        """Bound one world, and run policies and references with foresight in it. Raises IsmaError."""
        place, seed = self._at[number]
        point, params, keys = self._points[place], self._laid[place], self._keys_of(number)
        scenario, effort = point.scenario, _effort(params)
        report = lambda part: on_part(  # noqa: E731
            f"point {place + 1} of {len(self._points)}, seed {seed}: {part}"
        )

        def bound_s(evenly: bool) -> tuple[float, float]:
            report("bound of even tasks" if evenly else "bound")
            compute = lambda: run_bound_s(scenario, params, seed, evenly, effort)  # noqa: E731
            return self._timed(keys.bounds[evenly], compute)

        def mean_s(label: str, key: str, policy: Callable[[], Policy]) -> float:
            report(label)
            run = lambda: cell.run(scenario, params, policy(), seed, lambda _: None).mean_s  # noqa: E731
            return self._timed(key, run)[0]

        bounds = {evenly: bound_s(evenly) for evenly in keys.bounds}
        means = {
            name: mean_s(name, keys.means[name], lambda policy=policy: policy)
            for name, policy in self._policies.items()
        }
        ticks = cache(lambda: every_tick(scenario, params, seed))
        levels = {
            f"{seen_s:g}": mean_s(
                f"{seen_s:g} s of foresight",
                key,
                lambda seen_s=seen_s: foresight_levels.price_with_foresight(
                    scenario, ticks(), seen_s
                ),
            )
            for seen_s, key in keys.levels.items()
        }
        even_s = bounds[True][0] if True in bounds else math.nan
        wall_s = sum(wall_s for _, wall_s in bounds.values())
        return Reach(dict(point.values), seed, bounds[False][0], even_s, means, levels, wall_s)

    def _keys_of(self, number: int) -> "_WorldKeys":
        place, seed = self._at[number]
        scenario, params = self._points[place].scenario, self._laid[place]
        evenly = (False, True) if len(self._points) == 1 and not _is_city(params) else (False,)
        effort = _effort(params)._asdict()
        of_world = lambda *modules, **more: self._keys.world(scenario, seed, *modules, **more)  # noqa: E731
        return _WorldKeys(
            {even: of_world(*_BOUND, evenly=even, effort=effort) for even in evenly},
            {name: self._keys.cell(scenario, name, seed) for name in self._policies},
            {seen_s: of_world(*_FORESIGHT, seen_s=seen_s) for seen_s in self._foresight_s},
        )

    def _timed(self, key: str, compute: Callable[[], float]) -> tuple[float, float]:
        """A number and the time that it took, from the folder or computed now."""
        if self._out is None:
            return _stopped(compute)
        path = stored_results.value_path(self._out / "worlds", key)
        time_path = stored_results.value_path(self._out / "times", key)
        value = stored_results.load_value(path, key)
        if value is None:
            value, wall_s = _stopped(compute)
            stored_results.save_value(path, key, value)
            stored_results.save_value(time_path, key, wall_s)
        return float(value), float(stored_results.load_value(time_path, key) or math.nan)


def _stopped(compute: Callable[[], float]) -> tuple[float, float]:
    began = time.perf_counter()
    return compute(), time.perf_counter() - began


def _effort(params: Params) -> Effort:
    return _CITY_EFFORT if _is_city(params) else _EFFORT


def run_bound_s(
    scenario: Scenario,
    params: Params,
    seed: int,
    evenly: bool = False,
    effort: Effort | None = None,
) -> float:
    """No policy's mean is below this one in that world, in seconds (docs/method/bounds.md).

    `evenly` spreads the tasks of each decision period over it: no longer proven, but close, since
    no policy can divide a server anew for each task. `effort` is spent on the prices.
    """
    future = known_future(scenario, params, seed, evenly)
    if not float(future.counted):
        return float("nan")
    return float(run_bound(future, effort or _effort(params)).mean_s)
