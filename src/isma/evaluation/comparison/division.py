"""Results of a comparison: their keys, and which shard computes each.

The division depends on the plan alone. Results of one compiled program stand next to each other, and a
shard is a stretch of them: so each program is compiled in as few shards as may be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Plan, Point
from isma.evaluation.shard import Shard, owners
from isma.simulator.params import Shape

BOUND = "isma.evaluation.bounding.world_bound"
World = tuple[int, int]
"""A point and a seed."""


@dataclass(frozen=True)
class ResultKeys:
    """Keys of a comparison's results, in their order."""

    cells: Mapping[CellKey, str]
    bounds: Mapping[World, str]
    """Of every world's lower bound."""

    @property
    def all(self) -> list[str]:
        """Keys of all results."""
        return [*self.cells.values(), *self.bounds.values()]

    def of_shard(self, shard: Shard, division: "Division") -> "ResultKeys":
        """Keys of a shard's results."""
        return ResultKeys(
            {one: key for one, key in self.cells.items() if division.cells[one] == shard.number},
            {one: key for one, key in self.bounds.items() if division.bounds[one] == shard.number},
        )


def result_keys(plan: Plan, points: Sequence[Point], keys: Keys) -> ResultKeys:
    """Keys of all results of a plan. Raises PolicyError."""
    cells, bounds = {}, {}
    for one in plan.cells():
        scenario, world = points[one.point].scenario, (one.point, one.seed)
        cells[one] = keys.cell(scenario, one.policy, one.seed)
        if world not in bounds:
            bounds[world] = keys.world(scenario, one.seed, BOUND)
    return ResultKeys(cells, bounds)


@dataclass(frozen=True)
class Division:
    """Numbers of the shards, from 1, that compute each cell and each world's bound."""

    cells: Mapping[CellKey, int]
    bounds: Mapping[World, int]


def divided(
    plan: Plan, points: Sequence[Point], shape: Callable[[int], Shape], of: int
) -> Division:
    """Division of a plan into `of` shards; `shape` is that of a point by its index."""
    first: dict[Shape, int] = {}
    like = [first.setdefault(shape(index), index) for index in range(len(points))]
    size = [
        point.scenario.time.num_ticks * shape(index).num_users for index, point in enumerate(points)
    ]

    def shared(items: list[Any], point_of: Callable[[Any], int]) -> dict[Any, int]:
        return dict(zip(items, owners([size[point_of(one)] for one in items], of), strict=True))

    cells, policies = list(plan.cells()), list(plan.policies)
    worlds = list(dict.fromkeys((one.point, one.seed) for one in cells))
    cells.sort(key=lambda one: (policies.index(one.policy), like[one.point]))
    worlds.sort(key=lambda world: like[world[0]])
    return Division(shared(cells, lambda one: one.point), shared(worlds, lambda world: world[0]))
