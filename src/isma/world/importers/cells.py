"""A check of cleaned fixes against the cells that really served the users, minute by minute."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from isma.errors import DataError, ScenarioError, short, some
from isma.world import inputs
from isma.world.sites import Layout
from isma.world.traces import values

SLOT_COLUMN = "unix_time"
"""The column of the slots' times; every other column is a user."""
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Agreement:
    """Agreement of the nearest site of a trace with the recorded cell."""

    slots: int
    """Compared pairs of user and slot."""
    users: int
    """Users with at least one of them."""
    same_ratio: float
    """Share in which the nearest site is the recorded cell."""
    active_hours: float
    """User-hours between consecutive compared slots: the denominator of both rates."""
    recorded_handovers_per_hour: float
    """Changes of the recorded cell per active user-hour."""
    trace_handovers_per_hour: float
    """Changes of the trace's nearest site per active user-hour, over the same slots."""

    def lines(self) -> list[str]:
        """The comparison as lines of text."""
        return [
            f"nearest site is the recorded cell in {self.same_ratio:.1%} of {self.slots:,} "
            f"user-minutes of {self.users:,} users",
            f"hand-overs per active user-hour: {self.recorded_handovers_per_hour:.2f} recorded, "
            f"{self.trace_handovers_per_hour:.2f} by the trace ({self.active_hours:,.0f} hours)",
        ]


def agreement(
    frame: pd.DataFrame,
    layout: Layout,
    cells_path: Path,
    offset_s: float = 60.0,
    max_gap_s: float = 300.0,
) -> Agreement:
    """Compare a clean trace's nearest sites with a table of serving cells (0: not active).

    A user's slot is compared when a cell is recorded and the trace, read `offset_s` after the
    slot's time, has a position between two fixes at most `max_gap_s` apart. Raises DataError.
    """
    if layout.projection is None:
        raise ScenarioError('sites.kind must be "file" to compare with recorded cells')
    slot_s, recorded = _read(cells_path, layout)
    fixes_of_user = {name: fixes for name, fixes in frame.groupby("user_id") if name in recorded}
    if not fixes_of_user:
        raise DataError(
            f"{cells_path}: its users must be those of the trace, none is; they are "
            f"{some(map(str, recorded))}, the trace's {some(map(str, frame['user_id'].unique()))}"
        )
    nearest = KDTree(layout.position_m)
    pairs = []
    for name, fixes in fixes_of_user.items():
        cell = np.asarray(recorded[name])
        known, position_m = _at(fixes, layout, slot_s + offset_s, max_gap_s)
        compared = np.flatnonzero((cell >= 0) & known)
        site = nearest.query(position_m[compared])[1]
        pairs.append(np.stack([compared, cell[compared], site], axis=-1))
    return _compared(pairs, slot_s, cells_path)


def _compared(
    pairs: list[Int[np.ndarray, "_ 3"]], slot_s: Float[np.ndarray, "times"], path: Path
) -> Agreement:
    """Count over users' triples of slot, recorded site and nearest site."""
    total = sum(len(pair) for pair in pairs)
    if total == 0:
        raise DataError(
            f"{path}: must record cells while the trace has fixes, no minute is in both"
        )
    same = sum(int((pair[:, 1] == pair[:, 2]).sum()) for pair in pairs)
    follows = [np.diff(pair[:, 0]) == 1 for pair in pairs]
    hours = (
        sum(
            float(np.diff(slot_s[pair[:, 0]])[step].sum())
            for pair, step in zip(pairs, follows, strict=True)
        )
        / _HOUR_S
    )
    changes = [
        sum(
            int(((np.diff(pair[:, column]) != 0) & step).sum())
            for pair, step in zip(pairs, follows, strict=True)
        )
        for column in (1, 2)
    ]
    rates = [count / hours if hours else 0.0 for count in changes]
    users = sum(len(pair) > 0 for pair in pairs)
    return Agreement(total, users, same / total, hours, rates[0], rates[1])


def _at(
    fixes: pd.DataFrame, layout: Layout, time_s: Float[np.ndarray, "times"], max_gap_s: float
) -> tuple[Bool[np.ndarray, "times"], Float[np.ndarray, "times 2"]]:
    """Whether a user's place is known at each time, and where it then is."""
    assert layout.projection is not None
    fix_s = values(fixes, "time_s")
    fix_m = layout.projection.to_metres(values(fixes, "latitude"), values(fixes, "longitude"))
    after = np.clip(np.searchsorted(fix_s, time_s), 1, len(fix_s) - 1)
    known = (
        (time_s >= fix_s[0])
        & (time_s <= fix_s[-1])
        & (fix_s[after] - fix_s[after - 1] <= max_gap_s)
    )
    return known, np.stack([np.interp(time_s, fix_s, fix_m[:, axis]) for axis in range(2)], axis=-1)


def _read(path: Path, layout: Layout) -> tuple[Float[np.ndarray, "times"], pd.DataFrame]:
    """Slots' times, and for each user the index of the recorded site, -1 where it is 0."""
    try:
        with inputs.table(path, "table of cells") as (file, _):
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise DataError(
            f"{path}: a table of cells must be a whole CSV file: {short(error, 200)}"
        ) from None
    if SLOT_COLUMN not in table.columns or table.shape[1] < 2 or table.empty:
        raise DataError(
            f"{path}: must have a column {SLOT_COLUMN} and one for each user, and rows; "
            f"its columns are {some(map(str, table.columns))}, its rows {len(table)}"
        )
    slot_s = np.asarray(pd.to_numeric(table.pop(SLOT_COLUMN), errors="coerce"), dtype=np.float64)
    if not np.isfinite(slot_s).all():
        row = int((~np.isfinite(slot_s)).argmax())
        raise DataError(f"{path}: line {row + 2}: {SLOT_COLUMN} must be UNIX seconds")
    codes, cells = pd.factorize(np.asarray(table, dtype=object).ravel())
    index = {name: site for site, name in enumerate(layout.ids)} | {"0": -1, "": -1}
    unknown = [str(cell) for cell in cells if cell not in index]
    if unknown:
        raise DataError(
            f"{path}: recorded cells must be sites (0: not active), got {some(unknown)}"
        )
    site = np.array([index[cell] for cell in cells])[codes].reshape(table.shape)
    order = np.argsort(slot_s, kind="stable")
    return slot_s[order], pd.DataFrame(site[order], columns=table.columns)
