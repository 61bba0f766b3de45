"""Wall times of a run, in a folder of their own: all else is the same bytes whenever it is run again."""

import json
from collections.abc import Callable, Mapping, Sequence
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
_CELLS = "times/cells.jsonl"


def log_cell(out: Path, point: Point, key: CellKey, users: int, wall_s: float) -> None:
    """Add a line on a cell that has been run. Raises RunError."""
    line = {
        "point": dict(point.values),
        "policy": key.policy,
        "seed": key.seed,
        "wall_s": wall_s,
        "user_steps_per_s": point.scenario.time.num_ticks * users / wall_s,
    }
    path = out / _CELLS
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as log:
            log.write(json.dumps(line, default=str) + "\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def write_decisions(
    points: Sequence[Point],
    policies: Mapping[str, Policy],
    params: Sequence[Params],
    named: Keys,
    programs: Programs,
    out: Path,
) -> None:
    """Write how long a decision takes: measured once for each size of world, and not again.

    Raises RunError.
    """
    measured: dict[str, dict[str, float]] = {}
    sizes: dict[Shape, Point] = {}
    rows = []
    for point, made in zip(points, params, strict=True):
        sized = sizes.setdefault(made.shape, point).scenario
        for name, policy in policies.items():
            key = named.decision_time(sized, name)
            if key not in measured:
                runner = named.runner(programs, name)
                ask = lambda policy=policy, point=point, made=made, runner=runner: (  # noqa: E731
                    timing.decision_ms(
                        point.scenario,
                        made,
                        policy,
                        chunk_ticks(made, point.scenario.time.num_ticks),
                        runner,
                    )
                )
                measured[key] = _measured(out, key, ask)
            rows.append({**point.values, "policy": name, **measured[key]})
    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_atomically(out / DECISIONS, text.encode())


def _measured(out: Path, key: str, ask: Callable[[], tuple[float, float]]) -> dict[str, float]:
    """The times of that key, from the folder or measured now."""
    path = stored_results.value_path(out / "times", key)
    found = stored_results.load_value(path, key)
    if found is None:
        found = dict(zip(TIMES, ask(), strict=True))
        stored_results.save_value(path, key, found)
    return found
