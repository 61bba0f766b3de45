"""k-medoids against all there are: never worse by one exchange, and nearly always the best."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from isma.world.medoids import cost, medoids

LINE = np.abs(np.arange(5.0)[:, None] - np.arange(5.0))
"""Five points in a row."""


def some(seed: int, points: int) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n"]]:
    """Points on a plane, and what each counts."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 1, (points, 2))
    return np.hypot(*(place[:, None] - place).transpose(2, 0, 1)), rng.exponential(1, points)


def least(distance: np.ndarray, weight: np.ndarray, count: int) -> float:
    every = itertools.combinations(range(len(weight)), count)
    return min(cost(distance, weight, np.array(chosen)) for chosen in every)


@pytest.mark.parametrize(
    ("weight", "count", "chosen", "paid"),
    [
        # The middle of all, and the weighted median.
        ([1, 1, 1, 1, 1], 1, [2], 6),
        ([1, 1, 1, 5, 1], 1, [3], 3 + 2 + 1 + 1),
        # Two: from both ends and the middle to their neighbours; 2 + 1 + 1 for 0 and 3.
        ([1, 2, 1, 2, 1], 2, [1, 3], 3),
        ([9, 0, 0, 0, 9], 2, [0, 4], 0),
        ([1, 1, 1, 1, 1], 5, [0, 1, 2, 3, 4], 0),
    ],
)
def test_on_a_line_by_hand(weight: list[int], count: int, chosen: list[int], paid: float) -> None:
    found = medoids(LINE, np.array(weight, float), count)
    assert found.tolist() == chosen
    assert cost(LINE, np.array(weight, float), found) == paid


@given(st.integers(0, 2**31 - 1), st.integers(2, 9), st.data())
def test_no_exchange_of_one_is_cheaper(seed: int, points: int, data: st.DataObject) -> None:
    distance, weight = some(seed, points)
    count = data.draw(st.integers(1, points))
    found = medoids(distance, weight, count)
    assert len(set(found.tolist())) == count
    assert found.tolist() == sorted(found.tolist())
    paid = cost(distance, weight, found)
    for leaves, comes in itertools.product(found, range(points)):
        others = found[found != leaves]
        if comes not in found:
            assert cost(distance, weight, np.append(others, comes)) >= paid - 1e-9
    assert paid >= least(distance, weight, count) - 1e-9


def test_nearly_always_it_is_the_best_there_is() -> None:
    above = []
    for seed in range(120):
        distance, weight = some(seed, 10)
        count = 2 + seed % 4
        found = cost(distance, weight, medoids(distance, weight, count))
        above.append(found / least(distance, weight, count) - 1)
    assert np.mean(np.array(above) < 1e-9) > 0.9
    assert np.mean(above) < 0.01
    assert max(above) < 0.25


def test_equals_and_points_that_do_not_count_are_no_trouble() -> None:
    distance = np.ones((6, 6)) - np.eye(6)
    assert medoids(distance, np.ones(6), 3).tolist() == [0, 1, 2]
    assert len(set(medoids(distance, np.zeros(6), 4).tolist())) == 4
    assert medoids(np.zeros((3, 3)), np.ones(3), 2).tolist() == [0, 1]
    assert medoids(np.zeros((1, 1)), np.ones(1), 1).tolist() == [0]
