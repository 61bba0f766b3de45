"""Reading of a trace's file: its fixes, and how they were interpreted, in words."""

from dataclasses import dataclass

import pandas as pd

from isma.errors import short
from isma.world.importers.times import MOST_FROM_MIDDLE_S, Moments


@dataclass(frozen=True)
class Reading:
    """A trace as it was read, before it is cleaned."""

    frame: pd.DataFrame
    """Columns user_id, time_s, latitude, longitude; its index is each row's line in the file."""
    understood: tuple[str, ...]
    """Which file, columns and unit of time were read, and how that was decided."""
    doubts: tuple[str, ...]
    """Doubts about that, each with the way out."""
    other_ids: str
    """Advice to name another column of identities; empty where there is none."""
    plain: bool = False
    """Whether its degrees are metres laid around 0 N 0 E: nowhere on Earth."""


def place_of(frame: pd.DataFrame, row: int) -> str:
    """Where a row of a trace stands: its line, or its file and line."""
    label, names = frame.index[row], frame.index.names
    parts = label if isinstance(label, tuple) else (label,)
    return " ".join(f"{name or 'row'} {part}" for name, part in zip(names, parts, strict=True))


def far_line(moments: Moments, shown: pd.Series) -> tuple[str, ...]:
    """Doubt about implausible times: their number, and the line of the first."""
    if not moments.far.any():
        return ()
    row = int(moments.far.argmax())
    years = MOST_FROM_MIDDLE_S / (365.25 * 86_400)
    return (
        f"{int(moments.far.sum()):,} times are more than {years:g} years from the middle one and "
        f"count as unreadable: {short(shown.iloc[row])!r} in {place_of(shown.to_frame(), row)}",
    )
