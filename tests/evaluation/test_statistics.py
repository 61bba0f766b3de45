"""Intervals and percentiles against a textbook, scipy and the numbers themselves."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from isma.evaluation.statistics import interval, paired_ratio, percentile

SLEEP_A = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_B = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
"""Hours of sleep gained by two drugs: Student's own example (Biometrika 6, 1908)."""
numbers = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


def test_students_sleep() -> None:
    """Known: the mean difference is 1.58 h, and its 95 % interval goes from 0.70 to 2.46 h."""
    low, high = interval(SLEEP_B - SLEEP_A)
    assert (round(low, 4), round(high, 4)) == (0.7001, 2.4599)


@given(numbers)
def test_intervals_are_scipys(values: list[float]) -> None:
    sample = np.array(values)
    assume(stats.sem(sample) > 0)
    expected = stats.t.interval(0.95, len(sample) - 1, np.mean(sample), stats.sem(sample))
    np.testing.assert_allclose(interval(sample), expected, rtol=1e-9, atol=1e-9)


def test_one_world_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interval(np.array([3.0])))


def test_pairing_by_hand() -> None:
    """A tenth more in every world is a tenth more for certain, however much the worlds differ."""
    base = np.array([12.0, 20.0, 28.0])
    assert paired_ratio(1.1 * base, base) == pytest.approx((0.1, 0.1, 0.1))
    assert paired_ratio(base, base) == (0, 0, 0)


def test_chance_alone_is_covered_as_promised() -> None:
    """Worlds that differ by half, a policy that is 5 % slower but for 3 % of noise in each."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        base = rng.uniform(10, 30, 6)
        _, low, high = paired_ratio(base * rng.normal(1.05, 0.03, 6), base)
        inside += low <= 0.05 <= high
    assert 0.93 < inside / 2000 < 0.97


def test_pairing_takes_out_what_worlds_have_in_common() -> None:
    base = np.random.default_rng(1).uniform(10, 30, 6)
    other = base * np.array([1.04, 1.05, 1.06, 1.05, 1.04, 1.06])
    _, low, high = paired_ratio(other, base)
    assert high - low < 0.03
    _, low, high = paired_ratio(other[::-1], base)
    assert high - low > 0.3, "worlds that are mixed up are not paired"


def test_percentiles_by_hand() -> None:
    """Four tasks from 1 to 10 s, six from 10 to 100 s. The median is the sixth of ten, one after four:
    a sixth of the way up the second bin, 10 · 10^(1/6).
    """
    tasks, low, high = np.array([4, 6]), np.array([1.0, 10.0]), np.array([10.0, 100.0])
    assert percentile(tasks, low, high, 0.5) == pytest.approx(10 * 10 ** (1 / 6))
    assert percentile(tasks, low, high, 0.4) == pytest.approx(10)
    assert percentile(tasks, low, high, 1.0) == pytest.approx(100)
    assert percentile(tasks, low, high, 0.1) == pytest.approx(10**0.25)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.95, 0.99])
def test_percentiles_are_right_to_a_bin(part: float) -> None:
    """Of 100,000 log-normal times, in 200 bins a decade."""
    times = np.random.default_rng(0).lognormal(2, 1, 100_000)
    edges = 10 ** np.linspace(-3, 5, 1601)
    tasks, _ = np.histogram(times, edges)
    found = percentile(tasks, edges[:-1], edges[1:], part)
    assert found == pytest.approx(np.quantile(times, part), rel=10 ** (1 / 200) - 1)
