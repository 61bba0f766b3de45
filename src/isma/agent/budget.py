"""Rate limit of users' requests: a token bucket for each user, in a bounded number of buckets."""

import time
from collections import OrderedDict

_MOST_NAMES = 10_000


class Budget:
    """Token buckets of `per_s` tokens, refilled within a second."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, name: str) -> bool:
        """Take a token of that user; False if there is none."""
        now_s = time.monotonic()
        most = max(self._per_s, 1.0)
        left, then_s = self._left.pop(name, (most, now_s))
        left = min(left + (now_s - then_s) * self._per_s, most)
        self._left[name] = (max(left - 1, 0) if left >= 1 else left, now_s)
        if len(self._left) > _MOST_NAMES:
            self._left.popitem(last=False)
        return left >= 1
