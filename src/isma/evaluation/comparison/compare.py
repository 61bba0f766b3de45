"""Compare policies: every policy in the same worlds, cell by cell, stopped and taken up without loss."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import jax

from isma.contract import Policy
from isma.errors import RunError
from isma.evaluation import cell, replay_recorder, stored_results
from isma.evaluation.bounding import world_bound
from isma.evaluation.cell import Cell
from isma.evaluation.comparison import finished, table_writer, wall_times
from isma.evaluation.comparison.division import BOUND, World, divided, result_keys
from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Plan, Point
from isma.policies.plain_python import policy_errors
from isma.programs import Programs
from isma.simulator.params import Params, Shape, build

_COMPILING, _REPORTING = 20.0, 5.0
"""Costs of compiling a policy and of the report, relative to the run of one cell."""


class _StopError(Exception):
    """Raised inside a cell when the comparison is being stopped."""


class CompareStage(StrEnum):
    """Kind of work that is being done."""

    COMPILE = "compile"
    RUN = "run"
    BOUND = "bound"
    REPORT = "report"


@dataclass(frozen=True)
class CompareProgress:
    """Where a comparison stands."""

    done_ticks: int
    total_ticks: int
    label: str
    computed: int = 0
    """Cells that have been run now."""
    taken_up: int = 0
    """Cells that the folder had already."""
    stage: CompareStage = CompareStage.RUN
    part: float = 0.0
    """Part of all work that is done, from 0 to 1; most of it is compiling."""


Report = Callable[[CompareProgress], None]


def compare(
    plan: Plan,
    out: Path,
    on_progress: Report = lambda progress: None,
    then: Callable[[Path], object] = lambda out: None,
    workers: int | None = None,
) -> Path:
    """Compute missing results of a plan into a folder, write all tables there, and return the folder.

    `then` is called with the folder while it is locked. `workers` is the number of threads that compile
    and run, by default as many as cores. A folder that holds the whole run is left as it is.

    Of a plan's shard only its own results are computed, and no tables are written: see `merge`.

    A folder of the same scenario is continued, with any policies, seeds and values; its tables become
    those of this plan. One with other content is refused, and so is one that another process is
    writing. Ctrl-C keeps every finished cell. Raises IsmaError.
    """
    plan.refuse_taken(out)  # Before a city is built, which takes time.
    if plan.shard is not None:
        refuse_whole_run(out)
    work = _Work(plan, out, plan.points(), on_progress, workers or cores())
    key = finished.run_key(work.named)
    if plan.is_kept(out) and plan.shard is None:
        with plan.claimed(out):
            if finished.is_finished(out, key):
                work.report_finished()
                return out
    work.refuse_misfits()
    with plan.claimed(out):
        cells, bounds = work.compute()
        if plan.shard is None:
            work.report("tables and figures", CompareStage.REPORT)
            work.write_tables(cells, bounds)
            then(out)
            finished.seal(out, key)
    work.report("")
    return out


def compute(plan: Plan, out: Path, workers: int | None = None) -> None:
    """Compute a plan's results in a folder that is held already; no tables. Raises IsmaError."""
    _Work(plan, out, plan.points(), lambda progress: None, workers or cores()).compute()


def refuse_misfits(
    policies: Mapping[str, Policy], points: Sequence[Point], params: Sequence[Params]
) -> None:
    """Initialise every policy in every world before anything is written. Raises PolicyError."""
    for point, made in zip(points, params, strict=True):
        for policy in policies.values():
            sizes = made.shape.num_users, made.shape.num_servers
            with policy_errors(policy):
                policy.init(point.scenario, *sizes, jax.random.key(0))


def refuse_whole_run(out: Path) -> None:
    """Refuse a folder whose tables are of more than a shard. Raises RunError."""
    if (out / "summary.csv").exists():
        raise RunError(f"{out} holds a whole run and not a shard; give another folder with --out")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def progress_words(standing: CompareProgress) -> tuple[str, float, float]:
    """Label of the present work, the part that is done, and the whole."""
    return f"{standing.stage} {standing.label}", standing.part, 1.0


class _Work:
    """The cells of a comparison, on a few threads (compiled programs run outside the interpreter)."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        points: list[Point],
        report: Report,
        workers: int,
    ) -> None:
        self._plan, self._out, self._points, self._workers = plan, out, points, workers
        self._programs, self._result_keys = Programs(), Keys(plan.given)
        self._report, self._lock, self._stop = report, threading.Lock(), threading.Event()
        self._params: dict[int, Params] = {}
        self._done, self._computed, self._taken_up = 0, 0, 0
        self._bounded: set[World] = set()
        self._compiled: dict[tuple[str, Shape], bool] = {}
        keys = result_keys(plan, points, self._result_keys)
        if plan.shard is not None:
            shape = lambda point: self.params(point).shape  # noqa: E731
            keys = keys.of_shard(plan.shard, divided(plan, points, shape, plan.shard.of))
        self._named, self._bound_named = keys.cells, keys.bounds
        self._keys = list(keys.cells)
        self.total_ticks = sum(points[key.point].scenario.time.num_ticks for key in self._keys)

    @property
    def named(self) -> dict[str, list[str]]:
        """Keys of the results, in their order."""
        return {"cells": list(self._named.values()), "bounds": list(self._bound_named.values())}

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return self._plan.made()

    def report_finished(self) -> None:
        """Report that the folder had all results already."""
        self._taken_up, self._done = len(self._keys), self.total_ticks
        self._bounded = set(self._bound_named)
        self.report("")

    def report(self, label: str, stage: CompareStage = CompareStage.RUN) -> None:
        """Report the present work, and the part of the whole that is done."""
        self._report(
            CompareProgress(
                self._done,
                self.total_ticks,
                label,
                self._computed,
                self._taken_up,
                stage,
                self._part_done(),
            )
        )

    def _part_done(self) -> float:
        cells, worlds = len(self._keys), len(self._bound_named)
        compiled = _COMPILING * sum(self._compiled.values())
        done = compiled + cells * self._done / max(self.total_ticks, 1) + len(self._bounded)
        return done / (_COMPILING * len(self._compiled) + cells + worlds + _REPORTING)

    def params(self, point: int) -> Params:
        """A point's arrays, built once; points that differ in numbers share a compiled program."""
        with self._lock:
            if point not in self._params:
                self._params[point] = build(self._points[point].scenario)
            return self._params[point]

    def refuse_misfits(self) -> None:
        """Initialise every policy in every world. Raises PolicyError."""
        params = [self.params(index) for index in range(len(self._points))]
        refuse_misfits(self._policies, self._points, params)

    def compute(self) -> tuple[dict[CellKey, Cell], dict[World, float]]:
        """Every cell and every bound, and times of decisions. Raises IsmaError."""
        self.compile()
        cells = self.run()
        bounds = self.bounds()
        self.report("timing decisions", CompareStage.REPORT)
        self.time_decisions()
        return cells, bounds

    def compile(self) -> None:
        """Compile every missing program, each once, in parallel."""
        asked: dict[tuple[str, Shape], CellKey] = {}
        worlds: dict[Shape, World] = {}
        for point, seed in self._bound_named:
            worlds.setdefault(self.params(point).shape, (point, seed))
        for key in self._keys:
            if not stored_results.cell_path(self._out, self._named[key]).exists():
                asked.setdefault(self._program(key), key)
        self._compiled = dict.fromkeys(asked, False)
        with ThreadPoolExecutor(self._workers) as pool:
            futures: list[Future] = [pool.submit(self._compile, key) for key in asked.values()]
            # A first bound, and so its programs.
            futures += [pool.submit(self._bound, *world) for world in worlds.values()]
            self._finish(futures)

    def _compile(self, key: CellKey) -> None:
        self._advance(0, key.policy, CompareStage.COMPILE)
        params, policy = self.params(key.point), self._policies[key.policy]
        runner = self._result_keys.runner(self._programs, key.policy)
        with policy_errors(policy):
            moment = runner.start(self._points[key.point].scenario, params, policy, key.seed)
            runner.program(params, policy, moment)
        self._compiled[self._program(key)] = True
        self._advance(0, key.policy, CompareStage.COMPILE)

    def run(self) -> dict[CellKey, Cell]:
        """Every cell, from its file or run now."""
        with ThreadPoolExecutor(self._workers) as pool:
            waiting = {key: pool.submit(self._one, key) for key in self._keys}
            self._finish(list(waiting.values()))
        return {key: future.result() for key, future in waiting.items()}

    def bounds(self) -> dict[World, float]:
        """The lower bound of every world."""
        with ThreadPoolExecutor(self._workers) as pool:
            waiting = {world: pool.submit(self._bound, *world) for world in self._bound_named}
            self._finish(list(waiting.values()))
        return {world: future.result() for world, future in waiting.items()}

    def time_decisions(self) -> None:
        """Measure times of decisions, and write the table; those of a shard are only stored.

        Raises RunError.
        """
        params = [self.params(index) for index in range(len(self._points))]
        measured = wall_times.measure(
            self._points,
            self._policies,
            params,
            {self._program(key) for key in self._keys},
            self._result_keys,
            self._programs,
            self._out,
        )
        if self._plan.shard is None:
            wall_times.write_decisions(self._points, self._policies, params, measured, self._out)

    def write_tables(self, cells: dict[CellKey, Cell], bounds: dict[World, float]) -> None:
        """Write all other tables. Raises RunError."""
        params = [self.params(index) for index in range(len(self._points))]
        table_writer.write_tables(
            self._plan, self._points, self._policies, params, cells, bounds, self._out
        )

    def _finish(self, futures: list[Future]) -> None:
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
        except BaseException:
            self._stop.set()
            for future in futures:
                future.cancel()
            raise

    def _one(self, key: CellKey) -> Cell:
        scenario, named = self._points[key.point].scenario, self._named[key]
        label, path = f"{key.policy}, seed {key.seed}", stored_results.cell_path(self._out, named)
        stored = stored_results.load_cell(path, named)
        if stored is not None:
            with self._lock:
                self._taken_up += 1
            self._advance(scenario.time.num_ticks, label)
            return stored
        began = time.perf_counter()
        params, policy = self.params(key.point), self._policies[key.policy]
        advance = lambda ticks: self._advance(ticks, label)  # noqa: E731
        runner = self._result_keys.runner(self._programs, key.policy)
        recorder = None
        with ExitStack() as stack:
            if key.point == 0 and key.seed == self._plan.seeds[0]:
                recorder = replay_recorder.recorder(self._out, scenario, params, key, policy)
                stack.enter_context(recorder)
            made = cell.run(scenario, params, policy, key.seed, advance, runner, recorder)
        wall_s = time.perf_counter() - began
        stored_results.save_cell(path, named, made)
        with self._lock:
            self._computed += 1
            wall_times.log_cell(
                self._out, self._points[key.point], key, len(made.user_tasks), wall_s
            )
        return made

    def _bound(self, point: int, seed: int) -> float:
        named = self._bound_named[point, seed]
        path = stored_results.value_path(self._out / "cells", named)
        value = stored_results.load_value(path, named)
        if value is None:
            value = world_bound.world_bound_s(
                self._points[point].scenario,
                self.params(point),
                seed,
                lambda: self._advance(0, f"seed {seed}", CompareStage.BOUND),
                self._result_keys.runner(self._programs, None, BOUND),
            )
            stored_results.save_value(path, named, value)
        with self._lock:
            self._bounded.add((point, seed))
        return float(value)

    def _program(self, key: CellKey) -> tuple[str, Shape]:
        """Points that differ in numbers alone share a compiled program."""
        return key.policy, self.params(key.point).shape

    def _advance(self, ticks: int, label: str, stage: CompareStage = CompareStage.RUN) -> None:
        if self._stop.is_set():
            raise _StopError
        with self._lock:
            self._done += ticks
            self.report(label, stage)
