"""Sample of a run's course, of bounded size for any duration and number of users."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MOST_SHOWN = 2000
"""Most users whose positions and tasks are kept; of more, a random sample of that size."""
_MOST_MOMENTS = 256
_MOST_INTERVALS = 4096
_SEED = 0


def shown_users(num_users: int) -> Int[np.ndarray, "shown"]:
    """The users whose places and tasks are kept, rising: all, or a draw that is always the same."""
    return drawn_users(num_users, MOST_SHOWN)


def drawn_users(num_users: int, most: int) -> Int[np.ndarray, "shown"]:
    """All users, or a sample of `most`, rising; the draw is always the same."""
    if num_users <= most:
        return np.arange(num_users)
    return np.sort(np.random.default_rng(_SEED).choice(num_users, most, replace=False))


@dataclass(frozen=True)
class SampledMoment:
    """Sample of one moment."""

    time_s: float
    position_m: Float[np.ndarray, "shown 2"]
    tasks: Float[np.ndarray, "sample 8"]


class CourseSample:
    """Moments evenly over a run: where there are too many every other one goes."""

    def __init__(self) -> None:
        self._kept: list[SampledMoment] = []
        self._every, self._seen = 1, 0
        self._last: SampledMoment | None = None

    def add(self, moment: SampledMoment) -> None:
        """Keep a moment, or drop it."""
        self._last, self._seen = moment, self._seen + 1
        if self._seen % self._every:
            return
        self._kept.append(moment)
        if len(self._kept) >= _MOST_MOMENTS:
            # The last of each pair stays, so that the kept moments remain evenly spaced.
            self._kept, self._every = self._kept[1::2], 2 * self._every

    def all(self) -> list[SampledMoment]:
        """The moments that are kept, and the last one of all."""
        if self._last is None or (self._kept and self._kept[-1] is self._last):
            return self._kept
        return [*self._kept, self._last]


class Course:
    """Sums over intervals of a run; where there are too many, neighbours become one."""

    def __init__(self, columns: int) -> None:
        self._end_s: list[float] = []
        self._sums: list[np.ndarray] = []
        self._every, self._parts, self._open = 1, 0, np.zeros(columns)

    def add(self, end_s: float, sums: Float[np.ndarray, "columns"]) -> None:
        """Add a part of the run that ends then."""
        if self._parts % self._every == 0:
            self._end_s.append(end_s)
            self._sums.append(np.asarray(sums, float))
        else:
            self._end_s[-1], self._sums[-1] = end_s, self._sums[-1] + sums
        self._parts += 1
        if len(self._sums) >= _MOST_INTERVALS and self._parts % self._every == 0:
            pairs = zip(self._sums[::2], self._sums[1::2], strict=True)
            self._sums, self._end_s = [a + b for a, b in pairs], self._end_s[1::2]
            self._every *= 2

    def intervals(self) -> tuple[Float[np.ndarray, "intervals"], Float[np.ndarray, "intervals c"]]:
        """When each interval ends, and its sums."""
        return np.array(self._end_s), np.array(self._sums)
