"""Sums over the users of a server: the dense way and the way by segments are one."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.planning import segment_sums
from isma.planning.segment_sums import Pools

USERS, POOLS = 9, 4


@pytest.fixture(params=["dense", "segments"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_sums, "_DENSE_ENTRIES", 10**6 if request.param == "dense" else 0)


def some(seed: int) -> tuple[Pools, np.ndarray, np.ndarray]:
    """Pools of which one is surely empty, users that belong to none, and values with ties."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, POOLS + 1, USERS)
    pool[pool == 1] = 0
    return Pools(jnp.asarray(pool, jnp.int32), POOLS), pool, rng.integers(-3, 4, USERS) * 1.0


def test_by_hand(way: None) -> None:
    group = Pools(jnp.array([2, 0, 2, 3]), 3)
    value = jnp.array([1.0, 10.0, 5.0, 100.0])
    np.testing.assert_array_equal(group.sum(value), [10, 0, 6])
    np.testing.assert_array_equal(group.max(value), [10, -np.inf, 5])
    np.testing.assert_array_equal(group.spread(jnp.array([7.0, 8.0, 9.0]), -1), [9, 7, 9, -1])
    np.testing.assert_array_equal(group.winner(value), [False, True, True, False])


def test_the_first_among_equals_wins_and_nobody_at_minus_infinity(way: None) -> None:
    group = Pools(jnp.array([0, 0, 0, 1, 1]), 2)
    value = jnp.array([2.0, 5.0, 5.0, -jnp.inf, -jnp.inf])
    np.testing.assert_array_equal(group.winner(value), [False, True, False, False, False])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_both_ways_are_a_plain_loop(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for entries in (10**6, 0):
            patch.setattr(segment_sums, "_DENSE_ENTRIES", entries)
            group, pool, value = some(seed)
            members = [np.flatnonzero(pool == p) for p in range(POOLS)]
            given = jnp.asarray(value)
            np.testing.assert_allclose(group.sum(given), [value[m].sum() for m in members])
            np.testing.assert_allclose(
                group.max(given), [value[m].max() if len(m) else -np.inf for m in members]
            )
            wins = np.zeros(USERS, bool)
            for m in members:
                if len(m):
                    wins[m[np.argmax(value[m])]] = True
            np.testing.assert_array_equal(group.winner(given), wins)


def test_further_axes_are_kept(way: None) -> None:
    group, pool, _ = some(3)
    table = np.random.default_rng(0).normal(size=(USERS, 2))
    expected = [table[pool == p].sum(axis=0) for p in range(POOLS)]
    np.testing.assert_allclose(group.sum(jnp.asarray(table)), expected, rtol=1e-5, atol=1e-6)
    spread = group.spread(jnp.asarray(expected), 5.0)
    rows = [expected[p] if p < POOLS else [5, 5] for p in pool]
    np.testing.assert_allclose(spread, rows, rtol=1e-5)
