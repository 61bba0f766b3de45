"""Shards of a comparison: parts that are computed apart, on as many machines, and put together again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from isma.errors import RunError, given

MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One of several parts of a comparison, numbered from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/n`, as 2/8. Raises RunError."""
        form = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        number, of = (int(form[1]), int(form[2])) if form else (0, 0)
        if not 1 <= number <= of <= MOST_SHARDS:
            raise RunError(
                f"a shard must be i/n, as 2/8, with i from 1 to n and n at most {MOST_SHARDS:,}, "
                f"got {given(text)}"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def owners(weights: Sequence[int], of: int) -> list[int]:
    """Number of the shard, from 1, that has each result: stretches of about equal weight."""
    total, before, shards = sum(weights), 0, []
    for weight in weights:
        shards.append(of * (2 * before + weight) // (2 * total) + 1)
        before += weight
    return shards
