"""Compare policies: every policy in the same worlds, cell by cell, stopped and taken up without loss."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import jax

from isma.contract import Policy
from isma.evaluation import cell, stored_results
from isma.evaluation.bounding import world_bound
from isma.evaluation.cell import Cell
from isma.evaluation.comparison import table_writer, wall_times
from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Plan, Point
from isma.policies.plain_python import telling
from isma.simulator.params import Params, Shape, build

_BOUND = "isma.evaluation.bounding.world_bound"
_WORKERS = 2
_COMPILING, _REPORTING = 20.0, 5.0
"""What compiling a policy and making the report weigh beside one cell that runs."""


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
) -> Path:
    """Run what is not yet in the folder, write all tables there, and give the folder back.

    `then` is done with the folder before another process may have it.

    A folder that holds the same scenario is gone on with, whatever policies, seeds and values it was
    run with; its tables become those of this plan. One that holds anything else is refused, and so is
    one that another process is writing. Ctrl-C keeps every finished cell. Raises IsmaError.
    """
    plan.refuse_taken(out)  # Told at once, not after a city has been laid out.
    policies = plan.made()
    points = plan.points()
    work = _Work(plan, out, points, policies, on_progress)
    work.refuse_misfits()
    with plan.claimed(out):
        cells = work.run()
        bounds = work.bounds()
        work.tell("timing decisions", CompareStage.REPORT)
        params = [work.params(index) for index in range(len(points))]
        wall_times.write_decisions(points, policies, params, out, plan.given)
        work.tell("tables and figures", CompareStage.REPORT)
        table_writer.write_tables(plan, points, policies, params, cells, bounds, out)
        then(out)
    work.tell("")
    return out


def told(standing: CompareProgress) -> tuple[str, float, float]:
    """Words for what is being done, how much is done, and how much there is."""
    return f"{standing.stage} {standing.label}", standing.part, 1.0


class _Work:
    """The cells of a comparison, on a few threads (compiled programs run outside the interpreter)."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        points: list[Point],
        policies: Mapping[str, Policy],
        report: Report,
    ) -> None:
        self._plan, self._out, self._points, self._policies = plan, out, points, policies
        self._report, self._lock, self._stop = report, threading.Lock(), threading.Event()
        self._params: dict[int, Params] = {}
        self._done, self._computed, self._taken_up = 0, 0, 0
        self._bounded = 0
        self._programs: dict[tuple[str, Shape], bool] = {}
        self._keys = list(plan.cells())
        named = Keys(plan.given)
        self._named = {
            key: named.cell(points[key.point].scenario, key.policy, key.seed) for key in self._keys
        }
        self._bound_named = {
            (key.point, key.seed): named.world(points[key.point].scenario, key.seed, _BOUND)
            for key in self._keys
        }
        self.total_ticks = sum(points[key.point].scenario.time.num_ticks for key in self._keys)

    def tell(self, label: str, stage: CompareStage = CompareStage.RUN) -> None:
        """Say what is being done, and how much of all is."""
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
        compiled = _COMPILING * sum(self._programs.values())
        done = compiled + cells * self._done / self.total_ticks + self._bounded
        return done / (_COMPILING * len(self._programs) + cells + worlds + _REPORTING)

    def params(self, point: int) -> Params:
        """A point's arrays, built once; points that differ in numbers share a compiled program."""
        with self._lock:
            if point not in self._params:
                self._params[point] = build(self._points[point].scenario)
            return self._params[point]

    def refuse_misfits(self) -> None:
        """Let every policy look at every world before anything is written. Raises PolicyError."""
        for number, point in enumerate(self._points):
            shape = self.params(number).shape
            for policy in self._policies.values():
                sizes = shape.num_users, shape.num_servers
                with telling(policy):
                    policy.init(point.scenario, *sizes, jax.random.key(0))

    def run(self) -> dict[CellKey, Cell]:
        """Every cell, from its file or run now."""
        for key in self._keys:
            if not stored_results.cell_path(self._out, self._named[key]).exists():
                self._programs[self._program(key)] = False
        with ThreadPoolExecutor(_WORKERS) as pool:
            waiting = {key: pool.submit(self._one, key) for key in self._keys}
            self._finish(list(waiting.values()))
        return {key: future.result() for key, future in waiting.items()}

    def bounds(self) -> dict[tuple[int, int], float]:
        """The lower bound of every world."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            waiting = {world: pool.submit(self._bound, *world) for world in self._bound_named}
            self._finish(list(waiting.values()))
        return {world: future.result() for world, future in waiting.items()}

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
        found = stored_results.load_cell(path, named)
        if found is not None:
            with self._lock:
                self._taken_up += 1
            self._advance(scenario.time.num_ticks, label)
            return found
        began, program = time.perf_counter(), self._program(key)
        if not self._programs.get(program):
            self._advance(0, key.policy, CompareStage.COMPILE)
        made = cell.run(
            scenario,
            self.params(key.point),
            self._policies[key.policy],
            key.seed,
            lambda ticks: self._ran(program, ticks, label),
        )
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
        found = stored_results.load_value(path, named)
        if found is None:
            found = world_bound.world_bound_s(
                self._points[point].scenario,
                self.params(point),
                seed,
                lambda: self._advance(0, f"seed {seed}", CompareStage.BOUND),
            )
            stored_results.save_value(path, named, found)
        with self._lock:
            self._bounded += 1
        return float(found)

    def _program(self, key: CellKey) -> tuple[str, Shape]:
        """Points that differ in numbers alone share a compiled program."""
        return key.policy, self.params(key.point).shape

    def _ran(self, program: tuple[str, Shape], ticks: int, label: str) -> None:
        self._programs[program] = True
        self._advance(ticks, label)

    def _advance(self, ticks: int, label: str, stage: CompareStage = CompareStage.RUN) -> None:
        if self._stop.is_set():
            raise _StopError
        with self._lock:
            self._done += ticks
            self.tell(label, stage)
