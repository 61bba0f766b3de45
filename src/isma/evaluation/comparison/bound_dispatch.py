"""Bounds on an engine: worlds as jobs, and then the table that one process would have written."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from isma.errors import RunError
from isma.evaluation.bounding import run_bound
from isma.evaluation.bounding.run_bound import BoundPlan, OnPart, Reach, Worlds
from isma.evaluation.comparison.dispatch import ShardFiles, in_shard, remove_locks, run_all
from isma.evaluation.comparison.engines import EngineChoice, Job
from isma.evaluation.plan import Plan
from isma.evaluation.shard import owners


def reach_all(
    plan: BoundPlan,
    foresight_s: Sequence[float],
    out: Path | None,
    on_part: OnPart,
    engine: EngineChoice | None = None,
) -> list[Reach]:
    """Every world of a plan at every point, each a job of the engine, or `jobs` stretches of them.

    Without an engine as `isma.evaluation.bounding.run_bound.reach_all`. What the folder has already is not
    computed again. Raises IsmaError.
    """
    if engine is None:
        return run_bound.reach_all(plan, foresight_s, out, on_part)
    if out is None:
        raise RunError(f"engine {engine.name} needs a folder for its jobs' results: add --out")
    plan.refuse_taken(out)
    worlds = Worlds(plan, foresight_s, out)
    of = engine.jobs or len(worlds)
    files: dict[int, list[Path]] = {number: [] for number in range(1, of + 1)}
    for world, shard in enumerate(owners([1] * len(worlds), of)):
        files[shard] += worlds.files(world, out)
    shards = ShardFiles(plan, out, files)
    if any(map(shards.lacking, shards.numbers)):
        work = partial(run_job, foresight_s=tuple(foresight_s))
        with engine.opened(out) as opened, plan.claimed(out):
            run_all(opened, shards, None, lambda at: on_part(f"{at.label}, {at.part:.0%}"), work)
            remove_locks(out)
    return run_bound.reach_all(plan, foresight_s, out, on_part)


def run_job(job: Job, foresight_s: tuple[float, ...]) -> str | None:
    """Bound a shard's worlds in the run's folder; an error of the input in words, or None."""

    def compute(plan: Plan, folder: Path) -> None:
        assert plan.shard is not None
        worlds = Worlds(plan, foresight_s, folder)
        for world, shard in enumerate(owners([1] * len(worlds), plan.shard.of)):
            if shard == plan.shard.number:
                worlds.reach(world, lambda part: None)

    return in_shard(job, compute)
