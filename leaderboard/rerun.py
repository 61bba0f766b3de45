"""Rows run again: a policy in a sample of its worlds, and how far its table is from what came of it.

On a machine of the same kind, with the same versions, a world gives the same bytes. Elsewhere sums are
rounded in another order, and a decision that was nearly even may fall otherwise: `TOLERANCE` allows for that.
"""

import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from isma.errors import DataError, PolicyError, some
from isma.evaluation.comparison import compare as comparison
from isma.evaluation.comparison.tables import numbers
from isma.evaluation.conformance import suite
from isma.evaluation.conformance.rules import RuleOutcome
from isma.evaluation.plan import Plan
from isma.policies import registry
from isma.world.scenario import Visibility
from leaderboard.records import BOUND, MEASURES, Entry, Track

TOLERANCE = 0.01
"""Difference in a mean time between machines that is taken for rounding, as a ratio (docs/leaderboard.md)."""
BOUND_TOLERANCE = 1e-4
"""The same for a lower bound, which no decision changes."""
RATE_TOLERANCE = 0.1
"""The same for migrations, overload and missed deadlines, which few decisions make."""
_TOLERANCES = {"mean_s": TOLERANCE, "task_mean_s": TOLERANCE, BOUND: BOUND_TOLERANCE}
_FEW = {"migrations_per_user_hour": 5.0, "overload_ratio": 0.01, "deadline_miss_ratio": 0.01}
"""Differences of rates that are taken for rounding, however small the rate."""


class Agreement(StrEnum):
    """Agreement of a row with the run."""

    IDENTICAL = "identical"
    CLOSE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Checked:
    """One number of a table, and the one that came of the run."""

    seed: int
    column: str
    committed: float
    again: float

    @property
    def agreement(self) -> Agreement:
        """Whether they are equal to the last bit, or close enough for another machine."""
        difference = abs(self.committed - self.again)
        if difference == 0:
            return Agreement.IDENTICAL
        tolerance = _TOLERANCES.get(self.column, RATE_TOLERANCE)
        allowed = max(tolerance * abs(self.again), _FEW.get(self.column, 0.0))
        return Agreement.CLOSE if difference <= allowed else Agreement.DIFFERENT

    @property
    def ratio(self) -> float:
        """How far the committed number is above the other."""
        return self.committed / self.again - 1 if self.again else float(self.committed > 0)


def sample(track: Track, count: int) -> tuple[int, ...]:
    """Some of a track's worlds, drawn anew each time, so that nobody knows which rows are tried."""
    drawn = secrets.SystemRandom().sample(track.seeds, min(count, len(track.seeds)))
    return tuple(sorted(drawn))


def refuse_untyped(entry: Entry, typed: str | None) -> None:
    """Refuse an entry whose policy is anybody's code, unless that very policy was typed.

    Raises PolicyError.
    """
    policy = entry.about.policy
    if typed is not None and typed != policy:
        raise PolicyError(f"--policy must be that of the entry, {policy!r}, got {typed!r}")
    if typed is None:
        way_out = (
            "read its code, which runs with your rights and in no sandbox, then type --policy with "
            "that name"
        )
        registry.refuse_outside([policy], f"entry {entry.name}", way_out)


def run_again(
    entry: Entry,
    track: Track,
    seeds: Sequence[int],
    on_progress: Callable[[comparison.CompareProgress], None] = lambda progress: None,
) -> list[Checked]:
    """Run an entry's policy in these worlds, and set every result and bound beside the table's.

    Nothing stored is reused. Raises IsmaError; a reference is refused (PolicyError).
    """
    policy, strangers = entry.about.policy, set(seeds) - set(track.seeds)
    if strangers:
        raise DataError(
            f"worlds must be of the track ({some(map(str, track.seeds), 8)}), got {some(map(str, strangers))}"
        )
    if registry.get(policy).visibility is Visibility.FULL:
        raise PolicyError(f"policy {policy!r} sees what no policy may see: a reference has no row")
    with tempfile.TemporaryDirectory() as scratch:
        plan = Plan(track.scenario, (policy,), tuple(seeds), {})
        folder = comparison.compare(plan, Path(scratch) / "run", on_progress)
        again = pd.read_csv(folder / "seeds.csv")
    committed = {**entry.tables[track.name], BOUND: track.bound_s}
    return [
        Checked(seed, name, float(committed[name][track.seeds.index(seed)]), value)
        for name in (*MEASURES, BOUND)
        for seed, value in zip(seeds, numbers(again, name).tolist(), strict=True)
    ]


def broken_rules(entry: Entry, track: Track) -> list[str]:
    """Rules of the contract that a policy from outside breaks; ours are held to them by the tests."""
    if not registry.is_outside(entry.about.policy):
        return []
    verdicts = suite.check(registry.get(entry.about.policy), track.scenario)
    return [verdict.line for verdict in verdicts if verdict.outcome is RuleOutcome.BROKEN]
