"""Recorded times at which users come: a table with a column time_s."""

import io

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError, short, some
from isma.world import inputs
from isma.world.switches import Presence

COLUMN = "time_s"
"""Seconds from the beginning of a run."""


def read(presence: Presence) -> Float[np.ndarray, "arrivals"]:
    """Arrival times of a scenario's table. Raises DataError."""
    path = presence.file
    assert path is not None  # validated: a table where arrivals are recorded
    text = inputs.decoded(inputs.content(path, "table of arrivals"), str(path))
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own kinds are among them.
        raise DataError(f"{path}: must be a CSV with a column {COLUMN}: {short(error)}") from None
    if COLUMN not in table:
        raise DataError(
            f"{path}: must have a column {COLUMN}, got {some(map(str, table.columns), 8)}"
        )
    time_s = np.asarray(pd.to_numeric(table[COLUMN], errors="coerce"), np.float64)
    wrong = np.flatnonzero(~(np.isfinite(time_s) & (time_s >= 0)))
    if len(wrong):
        shown = table[COLUMN].iloc[wrong[0]]
        raise DataError(
            f"{path} line {wrong[0] + 2}: {COLUMN} must be a time from 0 on, got {short(shown)!r}"
        )
    if not len(time_s):
        raise DataError(f"{path}: must hold at least one arrival, got none")
    return time_s


def dumps(time_s: Float[np.ndarray, "arrivals"]) -> bytes:
    """A table of arrivals, as `read` takes it."""
    frame = pd.DataFrame({COLUMN: np.round(time_s, 6)})
    return frame.to_csv(index=False, lineterminator="\n").encode()
