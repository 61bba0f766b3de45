"""Compare policies: every policy in the same worlds, cell by cell, stopped and taken up without loss."""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jax

from isma.contract import Policy
from isma.errors import RunError
from isma.evaluation import bound, cell, output
from isma.evaluation.cell import Cell
from isma.evaluation.plan import CellKey, Plan, Point
from isma.policies.mistakes import telling
from isma.simulator import timing
from isma.simulator.params import Params, Shape, build
from isma.storage import claim, write_atomically

_WORKERS = 2


class _StopError(Exception):
    """Raised inside a cell when the comparison is being stopped."""


@dataclass(frozen=True)
class Progress:
    """Where a comparison stands."""

    done_ticks: int
    total_ticks: int
    label: str


Report = Callable[[Progress], None]


def compare(plan: Plan, out: Path, on_progress: Report = lambda progress: None) -> Path:
    """Run what is not yet in the folder, write all tables there, and give the folder back.

    A folder that holds another run is refused. Ctrl-C keeps every finished cell, and the same call
    goes on from there. Raises IsmaError.
    """
    policies = plan.made()
    points = plan.points()
    work = _Work(plan, out, points, policies, on_progress)
    work.refuse_misfits()
    _claim(plan, out)
    cells = work.run()
    bounds = work.bounds()
    on_progress(Progress(work.total_ticks, work.total_ticks, "timing decisions"))
    params = [work.params(index) for index in range(len(points))]
    timings = _timings(points, policies, params)
    output.write_tables(plan, points, policies, params, cells, bounds, timings, out)
    return out


def _claim(plan: Plan, out: Path) -> None:
    """Take the folder. One that holds the same run under another limit keeps its cells."""
    path, limit = out / "config.toml", re.compile(r"^p95_limit_s = .*\n", re.MULTILINE)
    with suppress(OSError, UnicodeDecodeError):
        held = path.read_text()
        if limit.sub("", held) == plan.without_limit().dumps() and held != plan.dumps():
            write_atomically(path, plan.dumps().encode())
    claim(out, "config.toml", plan.dumps(), "run")


def _timings(
    points: Sequence[Point], policies: Mapping[str, Policy], params: Sequence[Params]
) -> list[dict[str, tuple[float, float]]]:
    """Decision times at every point, measured once for each size of world."""
    known: dict[Shape, dict[str, tuple[float, float]]] = {}
    for point, made in zip(points, params, strict=True):
        if made.shape not in known:
            known[made.shape] = {
                name: timing.decision_ms(point.scenario, made, policy, cell.chunk_ticks(made))
                for name, policy in policies.items()
            }
    return [known[made.shape] for made in params]


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
        self._done = 0
        self._digest = plan.digest()
        self._keys = list(plan.cells())
        self.total_ticks = sum(points[key.point].scenario.time.num_ticks for key in self._keys)

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
        with ThreadPoolExecutor(_WORKERS) as pool:
            waiting = {key: pool.submit(self._one, key) for key in self._keys}
            self._finish(list(waiting.values()))
        return {key: future.result() for key, future in waiting.items()}

    def bounds(self) -> dict[tuple[int, int], float]:
        """The lower bound of every world."""
        worlds = sorted({(key.point, key.seed) for key in self._keys})
        with ThreadPoolExecutor(_WORKERS) as pool:
            waiting = {world: pool.submit(self._bound, *world) for world in worlds}
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

    def _path(self, key: CellKey) -> Path:
        name = f"{self._digest}-{key.point}-{key.policy}-{key.seed}".replace("/", "_").replace(
            ":", "_"
        )
        return self._out / "cells" / f"{name}.npz"

    def _one(self, key: CellKey) -> Cell:
        scenario = self._points[key.point].scenario
        found = Cell.load(self._path(key))
        if found is not None:
            self._advance(scenario.time.num_ticks, f"{key.policy}, seed {key.seed}")
            return found
        made = cell.run(
            scenario,
            self.params(key.point),
            self._policies[key.policy],
            key.seed,
            lambda ticks: self._advance(ticks, f"{key.policy}, seed {key.seed}"),
        )
        made.save(self._path(key))
        self._log(key, made)
        return made

    def _bound(self, point: int, seed: int) -> float:
        path = self._out / "cells" / f"{self._digest}-{point}-bound-{seed}.json"
        with suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads(path.read_text())["bound_s"])
        value = bound.world_bound_s(
            self._points[point].scenario,
            self.params(point),
            seed,
            lambda: self._advance(0, f"bound, seed {seed}"),
        )
        write_atomically(path, json.dumps({"bound_s": value}).encode())
        return value

    def _advance(self, ticks: int, label: str) -> None:
        if self._stop.is_set():
            raise _StopError
        with self._lock:
            self._done += ticks
            self._report(Progress(self._done, self.total_ticks, label))

    def _log(self, key: CellKey, made: Cell) -> None:
        ticks, users = self._points[key.point].scenario.time.num_ticks, len(made.user_tasks)
        line = {
            "point": dict(self._points[key.point].values),
            "policy": key.policy,
            "seed": key.seed,
            "mean_s": made.mean_s,
            "wall_s": float(made.wall_s),
            "user_steps_per_s": ticks * users / float(made.wall_s),
        }
        with self._lock:
            try:
                with (self._out / "metrics.jsonl").open("a") as log:
                    log.write(json.dumps(line, default=str) + "\n")
            except OSError as error:
                raise RunError(
                    f"{self._out / 'metrics.jsonl'}: cannot be written: {error.strerror}"
                ) from None
