"""How many servers are enough: the fewest of those tried that keep a policy's p95 within a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import SERVERS


@dataclass(frozen=True)
class ServerNeed:
    """Policy's p95 at every number of servers, and which of them are enough."""

    policy: str
    limit_s: float
    p95_s: dict[int, float]
    """By number of servers, rising."""

    @property
    def fewest(self) -> int | None:
        """The smallest number whose p95 is within the limit; None where none is."""
        return next((number for number in self.p95_s if self._enough(number)), None)

    @property
    def fewer(self) -> int | None:
        """The next smaller number that was tried."""
        smaller = [number for number in self.p95_s if number < (self.fewest or 0)]
        return smaller[-1] if smaller else None

    @property
    def again_above(self) -> list[int]:
        """Larger numbers whose p95 is above the limit all the same."""
        least = self.fewest
        if least is None:
            return []
        return [number for number in self.p95_s if number > least and not self._enough(number)]

    @property
    def best(self) -> int:
        """The number with the least p95."""
        return min(self.p95_s, key=lambda number: self.p95_s[number])

    def _enough(self, number: int) -> bool:
        return self.p95_s[number] <= self.limit_s


def limit_s(run: Run) -> float | None:
    """The limit that a run was asked about, if it varies the number of servers."""
    limit = run.config["run"].get("p95_limit_s")
    return float(limit) if limit is not None and SERVERS in run.vary else None


def needs(run: Run) -> dict[float | str | None, list[ServerNeed]]:
    """Needs of all policies but references, the most frugal first; empty without a limit.

    By the other varied field's value, or None where servers alone are varied.
    """
    limit = limit_s(run)
    if limit is None:
        return {}
    place = run.vary.index(SERVERS)
    needed: dict[float | str | None, dict[str, dict[int, float]]] = {}
    for point in run.points:
        other = next((value for i, value in enumerate(point) if i != place), None)
        for row in run.ranked(point):
            by_number = needed.setdefault(other, {}).setdefault(row.policy, {})
            by_number[int(point[place])] = row.p95_s
    return {
        other: _ordered(
            [ServerNeed(name, limit, dict(sorted(p95.items()))) for name, p95 in by.items()]
        )
        for other, by in needed.items()
    }


def _ordered(needed: Sequence[ServerNeed]) -> list[ServerNeed]:
    """Those who need fewest servers first, and of equals the fastest there."""
    return sorted(
        needed,
        key=lambda need: (
            need.fewest is None,
            need.fewest or 0,
            need.p95_s[need.best if need.fewest is None else need.fewest],
        ),
    )
