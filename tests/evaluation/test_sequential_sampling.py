"""Seeds until a comparison is precise: how many are added, and when it ends."""

from pathlib import Path

import pytest
from helpers.small_worlds import tiny
from test_findings import score

from isma.errors import RunError
from isma.evaluation.comparison import sequential_sampling
from isma.evaluation.comparison.precision import needed, widest
from isma.evaluation.plan import Plan


def plan_of(**changes: object) -> Plan:
    given = {"scenario": tiny(), "policies": ("local", "stay"), "seeds": (4,), "vary": {}}
    return Plan(**{**given, **changes})


class _Run:
    """A run whose interval narrows with the root of the number of seeds."""

    points = ((),)

    def __init__(self, seeds: int) -> None:
        self._half = 0.02 * (3 / seeds) ** 0.5

    def ranked(self, point: tuple) -> list:
        return [score("a", 30.0, (0.0, 0.0, 0.0)), score("b", 30.0, (0.0, -self._half, self._half))]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        sequential_sampling.dispatch, "compare", lambda plan, *_: found.append(plan.seeds)
    )
    monkeypatch.setattr(sequential_sampling.Run, "load", lambda out: _Run(len(found[-1])))
    return found


def test_seeds_are_added_until_it_is_precise(ran: list[tuple[int, ...]], tmp_path: Path) -> None:
    """±2 % with 3 seeds: ±1 % takes 12, of which a first guess dares 6."""
    sequential_sampling.compare_until(plan_of(), tmp_path, 0.01)
    assert ran == [(4, 5, 6), tuple(range(4, 10)), tuple(range(4, 16))]
    assert needed(3, 0.02, 0.01) == 12


def test_it_ends_all_the_same(ran: list[tuple[int, ...]], tmp_path: Path) -> None:
    sequential_sampling.compare_until(plan_of(), tmp_path, 1e-6)
    assert len(ran[-1]) == sequential_sampling.MOST_SEEDS
    assert len(set(ran)) == len(ran)


def test_what_is_precise_is_not_run_again(ran: list[tuple[int, ...]], tmp_path: Path) -> None:
    sequential_sampling.compare_until(plan_of(seeds=tuple(range(9))), tmp_path, 0.5)
    assert ran == [tuple(range(9))]


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf")])
def test_shares_that_are_none(share: float, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--until must be a share above 0"):
        sequential_sampling.compare_until(plan_of(), tmp_path, share)


def test_the_widest_of_all_points_counts_and_far_ones_do_not() -> None:
    rows = [score("a", 1.0, (0.0, -0.1, 0.1)), score("a", 1.0, (0.0, -0.01, 0.01))]
    assert widest(rows) == ("a", pytest.approx(0.1))
    assert widest([score("b", 1.0, (0.7, 0.1, 1.3))]) is None
