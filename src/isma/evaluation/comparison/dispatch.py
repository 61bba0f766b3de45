"""Comparison on an engine: its shards as jobs, submitted again where one is lost, and then its tables."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from isma.errors import IsmaError, RunError, short
from isma.evaluation import stored_results
from isma.evaluation.comparison import compare as comparing
from isma.evaluation.comparison.compare import CompareProgress, CompareStage, Report
from isma.evaluation.comparison.division import divided, result_keys
from isma.evaluation.comparison.engines import Engine, EngineChoice, Handle, Job, Work
from isma.evaluation.keys import Keys
from isma.evaluation.plan import Plan, plan_of
from isma.evaluation.shard import Shard
from isma.simulator.params import build

_POLL_S = 0.25
_TRIES = 3
"""How often a job may be lost without a new result."""


def compare(
    plan: Plan,
    out: Path,
    on_progress: Report = lambda progress: None,
    then: Callable[[Path], object] = lambda out: None,
    workers: int | None = None,
    engine: EngineChoice | None = None,
) -> Path:
    """Compare on an engine, and write the files that one process would have written.

    Without an engine it runs in threads of this process, as `isma.evaluation.comparison.compare`. Stored
    results are not computed again. Raises IsmaError.
    """
    if engine is None:
        return comparing.compare(plan, out, on_progress, then, workers)
    if plan.given:
        names = ", ".join(plan.given)
        raise RunError(f"engine {engine.name} takes policies by name, and {names} is an object")
    plan.refuse_taken(out)
    shards = _shards(plan, out, engine.jobs)
    lacking = shards.lacking_cells()
    if any(map(shards.lacking, shards.numbers)):
        with engine.opened(out) as opened, plan.claimed(out):
            run_all(opened, shards, workers, on_progress)
            remove_locks(out)

    def count_as_computed(at: CompareProgress) -> None:
        """Count results of the jobs as computed, and not as reused."""
        now = min(lacking, at.taken_up)
        on_progress(replace(at, computed=at.computed + now, taken_up=at.taken_up - now))

    return comparing.compare(plan, out, count_as_computed, then, workers)


@dataclass(frozen=True)
class ShardFiles:
    """Shards of a plan, and the files of their results."""

    plan: Plan
    out: Path
    files: Mapping[int, Sequence[Path]]
    """By the number of the shard."""

    @property
    def numbers(self) -> list[int]:
        """Numbers of all shards."""
        return sorted(self.files)

    def lacking(self, number: int) -> int:
        """Number of missing results of a shard."""
        return sum(not path.exists() for path in self.files[number])

    def lacking_cells(self) -> int:
        """Number of missing cells of all shards."""
        cells = [path for paths in self.files.values() for path in paths if path.suffix == ".npz"]
        return sum(not path.exists() for path in cells)

    def job(self, number: int, of: int, workers: int | None) -> Job:
        """The job that computes a shard."""
        here = os.getcwd()
        places = (here,) if here in sys.path else ()
        return Job(str(self.out.absolute()), f"{number}/{of}", self.plan.policies, workers, places)


def _shards(plan: Plan, out: Path, jobs: int | None) -> ShardFiles:
    """Shards of a plan: `jobs`, or one for each compiled program. Raises PolicyError for misfits."""
    points = plan.points()
    params = [build(point.scenario) for point in points]
    comparing.refuse_misfits(plan.made(), points, params)
    of = jobs or len(plan.policies) * len(dict.fromkeys(made.shape for made in params))
    division = divided(plan, points, lambda at: params[at].shape, of)
    keys = result_keys(plan, points, Keys())
    files: dict[int, list[Path]] = {number: [] for number in range(1, of + 1)}
    for cell, key in keys.cells.items():
        files[division.cells[cell]].append(stored_results.cell_path(out, key))
    for world, key in keys.bounds.items():
        files[division.bounds[world]].append(stored_results.value_path(out / "cells", key))
    return ShardFiles(plan, out, files)


def run_all(
    engine: Engine,
    shards: ShardFiles,
    workers: int | None,
    on_progress: Report,
    work: Work | None = None,
) -> None:
    """Compute all unfinished shards. Raises RunError where one makes no progress."""
    of, do = len(shards.numbers), work or run_job
    left = {number: shards.lacking(number) for number in shards.numbers}
    waiting: dict[int, Handle] = {}
    tries = dict.fromkeys(left, 0)
    total = sum(map(len, shards.files.values()))

    def submit(number: int) -> None:
        waiting[number] = engine.submit(do, shards.job(number, of, workers))

    for number in left:
        if left[number]:
            submit(number)
    while waiting:
        missing = sum(map(shards.lacking, waiting))
        on_progress(_progress(len(waiting), total - missing, total))
        time.sleep(_POLL_S)
        for number, handle in list(waiting.items()):
            if not handle.done():
                continue
            del waiting[number]
            lost = _lost(handle)
            lacks = shards.lacking(number)
            if lost is None and lacks:
                raise RunError(
                    f"the job of shard {number}/{of} is done, and {lacks} results are not in "
                    f"{shards.out}: workers must see that folder, and have this version of isma, "
                    "its libraries and device"
                )
            if lost is not None and lacks:
                tries[number] = tries[number] + 1 if lacks == left[number] else 0
                left[number] = lacks
                if tries[number] == _TRIES:
                    raise RunError(
                        f"the job of shard {number}/{of} was lost {_TRIES} times without a new result: "
                        f"{lost}"
                    )
                submit(number)


def _lost(handle: Handle) -> str | None:
    """Reason why a job was lost; None where it finished. Raises RunError for an error of the input."""
    try:
        mistake = handle.result()
    except Exception as error:  # An engine may raise anything when a worker is gone.
        return f"{type(error).__name__} {short(error, 200)}".strip()
    if mistake is not None:
        raise RunError(mistake)
    return None


def _progress(waiting: int, done: int, total: int) -> CompareProgress:
    label = f"{waiting} jobs" if waiting > 1 else "1 job"
    return CompareProgress(done, total, label, stage=CompareStage.RUN, part=done / total)


def run_job(job: Job) -> str | None:
    """Compute a shard in the run's folder; an error of the input in words, or None."""
    return in_shard(job, lambda plan, folder: comparing.compute(plan, folder, job.workers))


def in_shard(job: Job, compute: Callable[[Plan, Path], object]) -> str | None:
    """Compute a plan with its shard in the run's folder; an error of the input in words, or None.

    The folder is locked by the command that submitted the job, the shard by the job.
    """
    sys.path += [place for place in job.places if place not in sys.path]
    folder, shard = Path(job.folder), Shard.parse(job.shard)
    try:
        plan = replace(plan_of(folder), policies=job.policies, shard=shard)
        with FileLock(folder / _lock_name(f"{shard.number}-of-{shard.of}"), blocking=False):
            compute(plan, folder)
    except Timeout:
        return f"{folder}: shard {shard} is in use by another job: wait until that is done"
    except IsmaError as error:
        return str(error)
    return None


def remove_locks(out: Path) -> None:
    """Remove the locks of all shards from a folder that is held."""
    for lock in out.glob(_lock_name("*")):
        lock.unlink(missing_ok=True)


def _lock_name(shard: str) -> str:
    return f".shard-{shard}.lock"
