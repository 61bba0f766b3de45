"""Confidence intervals: Student's t, paired wherever two policies met the same worlds."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

CONFIDENCE = 0.95


def interval(values: Float[np.ndarray, "units"]) -> tuple[float, float]:
    """The 95 % interval of the mean of independent units; NaN at both ends for fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    number = len(values)
    # Not from scipy.stats, which takes a second to import.
    half = stdtrit(number - 1, (1 + CONFIDENCE) / 2) * (np.std(values, ddof=1) / number**0.5)
    mean = float(np.mean(values))
    return mean - float(half), mean + float(half)


def paired_ratio(
    values: Float[np.ndarray, "units"], base: Float[np.ndarray, "units"]
) -> tuple[float, float, float]:
    """How far the mean of `values` is above that of `base`, as a ratio, with its 95 % interval.

    The interval is that of the linearised ratio of means (the delta method): what a unit adds to
    both cancels, and so does the spread of the base itself.
    """
    ratio = float(np.mean(values) / np.mean(base))
    low, high = interval((values - ratio * base) / np.mean(base))
    return ratio - 1, ratio - 1 + low, ratio - 1 + high


def percentile(
    histogram: Int[np.ndarray, "bins"],
    low_s: Float[np.ndarray, "bins"],
    high_s: Float[np.ndarray, "bins"],
    part: float,
) -> float:
    """The time below which a part of all tasks lies, interpolated geometrically within its bin."""
    total = np.cumsum(histogram)
    rank = part * total[-1]
    index = int(np.searchsorted(total, rank))
    before = total[index - 1] if index else 0
    within = (rank - before) / max(histogram[index], 1)
    return float(low_s[index] * (high_s[index] / low_s[index]) ** within)
