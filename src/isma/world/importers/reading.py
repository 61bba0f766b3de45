"""Reading of a trace's file: its fixes, and in words how they were understood."""

from dataclasses import dataclass

import pandas as pd

from isma.errors import short
from isma.world.importers.times import MOST_FROM_MIDDLE_S, Moments


@dataclass(frozen=True)
class Reading:
    """A trace as it was read, before it is cleaned."""

    frame: pd.DataFrame
    """Columns user_id, time_s, latitude, longitude; its index says where each row stands."""
    understood: tuple[str, ...]
    """Which file, columns and unit of time were read, and how that was decided."""
    odd: tuple[str, ...]
    """What makes that doubtful, each with the way out."""
    who_else: str
    """How to name another column for who moves; empty where there is none."""
    plain: bool = False
    """Whether its degrees are metres laid around 0 N 0 E: nowhere on Earth."""


def place_of(frame: pd.DataFrame, row: int) -> str:
    """Where a row of a trace stands: its line, or its file and line."""
    label, names = frame.index[row], frame.index.names
    parts = label if isinstance(label, tuple) else (label,)
    return " ".join(f"{name or 'row'} {part}" for name, part in zip(names, parts, strict=True))


def far_line(moments: Moments, shown: pd.Series) -> tuple[str, ...]:
    """Say of moments that cannot be true how many there are, and where the first stands."""
    if not moments.far.any():
        return ()
    row = int(moments.far.argmax())
    years = MOST_FROM_MIDDLE_S / (365.25 * 86_400)
    return (
        f"{int(moments.far.sum()):,} times are more than {years:g} years from the middle one and "
        f"count as unreadable: {short(shown.iloc[row])!r} in {place_of(shown.to_frame(), row)}",
    )
