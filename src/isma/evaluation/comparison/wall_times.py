"""Wall times of a run, in a folder of their own: all else is the same bytes whenever it is run again."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from isma.contract import Policy
from isma.errors import RunError
from isma.evaluation import stored_results
from isma.evaluation.cell import chunk_ticks
from isma.evaluation.comparison.score import TIMES
from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Point
from isma.programs import Programs
from isma.simulator import timing
from isma.simulator.params import Params, Shape
from isma.storage import write_atomically

DECISIONS = "times/decisions.csv"
CELLS = "times/cells.jsonl"
"""Log of the cells that were run."""
Program = tuple[str, Shape]
"""A policy and the size of its world, which share a compiled program."""


def log_cell(out: Path, point: Point, key: CellKey, users: int, wall_s: float) -> None:
    """Add a line on a cell that has been run. Raises RunError."""
    line = {
        "point": dict(point.values),
        "policy": key.policy,
        "seed": key.seed,
        "wall_s": wall_s,
        "user_steps_per_s": point.scenario.time.num_ticks * users / wall_s,
    }
    path = out / CELLS
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as log:
            log.write(json.dumps(line, default=str) + "\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def measure(
    points: Sequence[Point],
    policies: Mapping[str, Policy],
    params: Sequence[Params],
    asked: Collection[Program],
    named: Keys,
    programs: Programs,
    out: Path,
) -> dict[Program, dict[str, float]]:
    """How long a decision takes in each of these programs: measured once in a folder, and not again.

    Raises RunError.
    """
    measured: dict[Program, dict[str, float]] = {}
    for (program, key), (point, made) in decision_keys(points, policies, params, named).items():
        if program not in asked:
            continue
        policy, runner = policies[program[0]], named.runner(programs, program[0])
        chunk = chunk_ticks(made, point.scenario.time.num_ticks)
        ask = partial(timing.decision_ms, point.scenario, made, policy, chunk, runner)
        measured[program] = _measured(out, key, ask)
    return measured


def decision_keys(
    points: Sequence[Point], policies: Iterable[str], params: Sequence[Params], named: Keys
) -> dict[tuple[Program, str], tuple[Point, Params]]:
    """Programs with the keys of their decision times, and the first point that each is run at.

    Raises PolicyError.
    """
    sizes: dict[Shape, tuple[Point, Params]] = {}
    for point, made in zip(points, params, strict=True):
        sizes.setdefault(made.shape, (point, made))
    return {
        ((name, shape), named.decision_time(first[0].scenario, name)): first
        for shape, first in sizes.items()
        for name in policies
    }


def write_decisions(
    points: Sequence[Point],
    policies: Iterable[str],
    params: Sequence[Params],
    measured: Mapping[Program, Mapping[str, float]],
    out: Path,
) -> None:
    """Write how long a decision takes, by point and policy. Raises RunError."""
    rows = [
        {**point.values, "policy": name, **measured[name, made.shape]}
        for point, made in zip(points, params, strict=True)
        for name in policies
    ]
    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_atomically(out / DECISIONS, text.encode())


def _measured(out: Path, key: str, ask: Callable[[], tuple[float, float]]) -> dict[str, float]:
    """The times of that key, from the folder or measured now."""
    path = stored_results.value_path(out / "times", key)
    times = stored_results.load_value(path, key)
    if times is None:
        times = dict(zip(TIMES, ask(), strict=True))
        stored_results.save_value(path, key, times)
    return times
