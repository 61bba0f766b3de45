"""How good anyone could be in a world whose whole future is known, and how close to it someone is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isma.bounds.whole_run import first_prices_s, run_bound
from isma.evaluation import cell
from isma.evaluation.future import known_future
from isma.policies import registry
from isma.simulator.params import Params
from isma.world.scenario import Scenario

FEASIBLE = ("price", "full-information")
"""Policies that say what can be reached."""
_FREE_STEPS, _STEPS = 60, 40


@dataclass(frozen=True)
class Reach:
    """What the bounds of one world are, and what is reached in it."""

    seed: int
    bound_s: float
    """No policy's `mean_s` is below this one."""
    even_bound_s: float
    """The same if the tasks of each decision period came evenly spread over it."""
    best_s: float
    """The least mean of the policies that were run."""
    best: str
    """The policy that reached it."""
    wall_s: float
    """Time that both bounds took."""

    @property
    def gap_ratio(self) -> float:
        """Duality gap: how far the best mean is above the bound."""
        return self.best_s / self.bound_s - 1


def reach(
    scenario: Scenario,
    params: Params,
    seed: int,
    policies: Sequence[str] = FEASIBLE,
    on_part: Callable[[str], None] = lambda part: None,
) -> Reach:
    """Bound one world, and run policies in it. Raises PolicyError."""
    began = time.perf_counter()
    on_part(f"bound, seed {seed}")
    bound_s = run_bound_s(scenario, params, seed)
    on_part(f"bound of even tasks, seed {seed}")
    even_bound_s = run_bound_s(scenario, params, seed, evenly=True)
    wall_s = time.perf_counter() - began
    means = {}
    for name in policies:
        on_part(f"{name}, seed {seed}")
        means[name] = cell.run(scenario, params, registry.get(name), seed, lambda _: None).mean_s
    best = min(means, key=lambda name: means[name])
    return Reach(seed, bound_s, even_bound_s, means[best], best, wall_s)


def run_bound_s(
    scenario: Scenario,
    params: Params,
    seed: int,
    evenly: bool = False,
    steps: tuple[int, int] = (_FREE_STEPS, _STEPS),
) -> float:
    """No policy's mean is below this one in that world, in seconds (docs/bounds.md).

    `evenly` spreads the tasks of each decision period over it: no longer proven, but close, since
    nobody can share a server out anew for each task. `steps` improve the prices, with free moves and
    with those that cost.
    """
    future = known_future(scenario, params, seed, evenly)
    if not float(future.counted):
        return float("nan")
    return float(run_bound(future, first_prices_s(future), *steps).mean_s)
