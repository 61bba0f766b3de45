"""Precision of a ranking, and the number of seeds for a better one."""

import math
from collections.abc import Sequence

from isma.evaluation.comparison.score import Score

PRECISE = 0.005
"""Half the width of a paired interval that is aimed at, as a share of the mean."""
FEWEST_SEEDS = 3
"""From fewer seeds the spread of worlds is hardly known, and no number of seeds can be estimated."""
MOST_SEEDS = 256
"""Where adding seeds ends all the same."""
_FAR = 0.6


def widest(rows: Sequence[Score]) -> tuple[str, float] | None:
    """The policy with the widest paired interval, and half of that as a share; far ones do not matter."""
    halves = [
        ((row.above_best.high - row.above_best.low) / 2 / (1 + row.above_best.ratio), row.policy)
        for row in rows
        if row.above_best.ratio < _FAR
    ]
    positive = [found for found in halves if found[0] > 0]
    half, policy = max(positive, key=lambda found: found[0], default=(0.0, ""))
    return (policy, half) if positive else None


def needed(seeds: int, half: float, share: float = PRECISE) -> int:
    """Estimated number of seeds for a half-width of `share`, from that of `seeds` seeds."""
    return math.ceil(seeds * (half / share) ** 2)
