"""Sequential sampling: seeds are added until a comparison is precise, or up to a limit."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from isma.errors import RunError
from isma.evaluation.comparison import dispatch
from isma.evaluation.comparison.compare import Report
from isma.evaluation.comparison.engines import EngineChoice
from isma.evaluation.comparison.precision import FEWEST_SEEDS, MOST_SEEDS, needed, widest
from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import Plan
from isma.world.motion import Trace

_MOST_AT_ONCE = 2.0
"""Greatest growth of the number of worlds in a step, since the first estimates are from few worlds."""


def compare_until(
    plan: Plan,
    out: Path,
    share: float,
    on_progress: Report = lambda progress: None,
    then: Callable[[Path], object] = lambda out: None,
    workers: int | None = None,
    engine: EngineChoice | None = None,
) -> Path:
    """Compare with more and more seeds until paired half-widths are at most `share` of the mean.

    Those of every policy that is not far behind count, and `MOST_SEEDS` is the limit. Stopping as soon
    as intervals are narrow favours those that are narrow by chance: they cover the truth a little less
    often than 95 % of times. Raises IsmaError.
    """
    if not (math.isfinite(share) and share > 0):
        raise RunError(f"--until must be a share above 0, as 0.5%, got {share:g}")
    if isinstance(plan.scenario.mobility, Trace):
        raise RunError(
            "--until adds worlds, and all of them are the same trace here, whose intervals are over "
            "users: run a longer window or more users"
        )
    plan = _with(plan, FEWEST_SEEDS)
    while True:
        dispatch.compare(plan, out, on_progress, then, workers, engine)
        run = Run.load(out)
        half = widest([row for point in run.points for row in run.ranked(point)])
        seeds = len(plan.seeds)
        if half is None or half[1] <= share or seeds >= MOST_SEEDS:
            return out
        wanted = min(needed(seeds, half[1], share), math.ceil(_MOST_AT_ONCE * seeds), MOST_SEEDS)
        plan = _with(plan, max(wanted, seeds + 1))


def _with(plan: Plan, number: int) -> Plan:
    """Plan with at least `number` seeds, the next ones added."""
    following = max(plan.seeds) + 1
    more = max(0, number - len(plan.seeds))
    return replace(plan, seeds=(*plan.seeds, *range(following, following + more)))
