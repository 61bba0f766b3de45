"""Wall times of a run, in a folder of their own: all else is the same bytes whenever it is run again."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from isma.contract import Policy
from isma.errors import RunError
from isma.evaluation.cell import chunk_ticks
from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Point
from isma.simulator import timing
from isma.simulator.params import Params, Shape
from isma.storage import write_atomically

DECISIONS = "times/decisions.csv"
_CELLS = "times/cells.jsonl"
_P50, _P99 = "decision_ms_p50", "decision_ms_p99"


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
    points: Sequence[Point], policies: Mapping[str, Policy], params: Sequence[Params], out: Path
) -> None:
    """Write how long a decision takes: measured once for each size of world, and not again.

    Raises RunError.
    """
    named, known = Keys(), _known(out / DECISIONS)
    sizes: dict[Shape, Point] = {}
    rows = []
    for point, made in zip(points, params, strict=True):
        sized = sizes.setdefault(made.shape, point).scenario
        for name, policy in policies.items():
            key = named.decision_time(sized, name)[:20]
            if key not in known:
                known[key] = timing.decision_ms(point.scenario, made, policy, chunk_ticks(made))
            p50, p99 = known[key]
            rows.append({**point.values, "policy": name, _P50: p50, _P99: p99, "key": key})
    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_atomically(out / DECISIONS, text.encode())


def _known(path: Path) -> dict[str, tuple[float, float]]:
    """What has been measured before, by key; nothing where it cannot be read."""
    try:
        frame = pd.read_csv(io.BytesIO(path.read_bytes()), dtype={"key": str})
        return {
            key: (float(p50), float(p99))
            for key, p50, p99 in zip(frame["key"], frame[_P50], frame[_P99], strict=True)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
