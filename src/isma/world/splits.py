"""Which worlds are for learning, which for choosing options, and which are published (splits.toml)."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import resources

WINDOW = timedelta(hours=2)
"""Length of a window of recorded motion."""


class Purpose(StrEnum):
    """Purpose of a split."""

    TRAIN = "train"
    """Learning."""
    VALIDATION = "validation"
    """Choosing options, stopping early."""
    TEST = "test"
    """Published numbers."""


@dataclass(frozen=True)
class DataSplit:
    """The worlds of one purpose."""

    seeds: range
    """Worlds that are drawn."""
    archive: str
    """San Francisco: the archive of cabs."""
    starts: tuple[datetime, ...]
    """San Francisco: when its windows of two hours begin."""


def split(purpose: Purpose) -> DataSplit:
    """The worlds that are for this purpose; they have none in common with those of another."""
    text = (resources.files("isma.world") / "splits.toml").read_text()
    table = tomllib.loads(text)[purpose]
    first, last = table["seeds"]
    city = table["san-francisco"]
    return DataSplit(range(first, last + 1), city["archive"], tuple(city["starts"]))
