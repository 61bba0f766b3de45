"""The price of a move as a decision maker sees it."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exhaustive_search import of_a_stop_s2
from helpers.small_worlds import line, network, seen
from hypothesis import given
from hypothesis import strategies as st

from isma.contract import Infrastructure, MigrationCost, Observation
from isma.planning.migration import (
    OffloadGain,
    added_s2,
    charge_s,
    delay_s2,
    downtime_s,
    mean_wait_s,
    move_between,
    one_hop_delay_s2,
)
from isma.world.switches import Migrating


def costly(kind: Migrating) -> Infrastructure:
    """Three servers in a row at 1 Mbit/s a hop; 0.5 s for any move, changes at 0.1 Mbit/s."""
    cost = MigrationCost(*(jnp.asarray(value) for value in (0.5, 1e5, 1e4, 2.0)), kind=kind)
    where = lambda n: n.migration  # noqa: E731
    return eqx.tree_at(where, network([1e9] * 3, line(3)), cost, is_leaf=lambda leaf: leaf is None)


def moving(
    infrastructure: Infrastructure, size: int = 3, local_s: Sequence[float] = (100.0, 100.0)
) -> Observation:
    """Users of 1 and 2 Mbit and of 1 and 0 s a hop, at servers 0 and 1; the third is out of sight."""
    return eqx.tree_at(
        lambda o: (o.requests.state_bits, o.requests.downtime_per_hop_s),
        seen(infrastructure, host=[0, 1], size=size, local_s=list(local_s)),
        (jnp.array([1e6, 2e6, 0.0]), jnp.array([1.0, 0.0, 0.0])),
    )


def test_a_free_move_takes_no_time() -> None:
    assert not downtime_s(seen(network([1e9] * 3, line(3)), host=[0, 1, 2])).any()


def test_cold_by_hand() -> None:
    """0.5 + 1 s a hop + 1 s a hop for 1 Mbit; 0.5 + 2 s a hop for 2 Mbit; nothing to stay."""
    found = downtime_s(moving(costly(Migrating.COLD)))
    np.testing.assert_allclose(found, [[0, 2.5, 4.5], [2.5, 0, 2.5], [0, 0, 0]], rtol=1e-5)


def test_pre_copy_by_hand() -> None:
    """λ is 0.1 over one hop and 0.2 over two; two rounds are not enough for 10 kbit, but the most.

    User 0: 0.5 + 1 + 1 · 0.01 over one hop, 0.5 + 2 + 2 · 0.04 over two. User 1: 0.5 + 2 · 0.01.
    """
    found = downtime_s(moving(costly(Migrating.PRECOPY)))
    expected = [[0, 1.51, 2.58], [0.52, 0, 0.52], [0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_delay_by_hand() -> None:
    """Stops of 2.5, 4.5 and 2.5 s delay tasks by D² / 2 = 3.125, 10.125 and 3.125 s².

    Who still waits 2 s waits those through every second of the new stop as well.
    """
    observation = moving(costly(Migrating.COLD))
    expected = np.array([[0, 3.125, 10.125], [3.125, 0, 3.125], [0, 0, 0]])
    np.testing.assert_allclose(delay_s2(observation), expected, rtol=1e-5)
    np.testing.assert_allclose(one_hop_delay_s2(observation)[:2], [3.125, 3.125], rtol=1e-5)
    waiting = eqx.tree_at(lambda o: o.wait_s, observation, jnp.array([2.0, 0.0, 0.0]))
    expected[0] += [0, 5, 9]
    np.testing.assert_allclose(delay_s2(waiting), expected, rtol=1e-5)


@given(
    st.floats(0, 20),
    st.floats(0, 10),
    st.floats(0, 8),
    st.floats(0.5, 5).map(lambda s: round(s, 2)),
)
def test_of_a_stop_each_period_is_waited_for_or_done_alone(
    stop_s: float, wait_s: float, sooner_s: float, period_s: float
) -> None:
    """Whichever is sooner, where it is known by how much the service does a task sooner."""
    observation = moving(costly(Migrating.COLD))
    observation = eqx.tree_at(
        lambda o: o.infrastructure.decision_period_s, observation, jnp.full(3, period_s)
    )
    found = added_s2(
        observation,
        *(jnp.full((3, 1), value) for value in (stop_s, wait_s)),
        OffloadGain(jnp.full((4, 3), sooner_s), jnp.array([0.5, 1.5, 4.0, 9.0])),
    )
    assert found.shape == (3, 1)

    whole_s2, old_s2 = (
        of_a_stop_s2(lasts_s, sooner_s, period_s) for lasts_s in (wait_s + stop_s, wait_s)
    )
    expected = whole_s2 - old_s2
    np.testing.assert_allclose(found, np.full((3, 1), expected), rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("passed_s", [0.0, 2.0, 5.0])
def test_what_a_stop_costs_is_averaged_while_it_lasts(passed_s: float) -> None:
    """As moment by moment, over stops within a segment, through several and beyond the last."""
    end_s, rng = np.array([2.0, 5.0, 10.0]), np.random.default_rng(6)
    value, stop_s = rng.uniform(0.1, 2, (3, 2)), np.array([[1.0, 2.5], [6.0, 30.0]])
    gain = OffloadGain(jnp.asarray(value), jnp.asarray(end_s - passed_s))
    found = gain.mean_s(jnp.asarray(stop_s))
    for user, place in itertools.product(range(2), repeat=2):
        moments_s = passed_s + (np.arange(20000) + 0.5) / 20000 * stop_s[user, place]
        segment = np.minimum(np.searchsorted(end_s, moments_s), 2)
        expected = value[segment, user].mean()
        assert found[user, place] == pytest.approx(expected, rel=1e-3)


def test_who_can_do_its_tasks_alone_need_not_wait() -> None:
    """In periods of 2 s stops of 2.5 and 4.5 s are 2 and 3 periods alone, 0.5 s a task: 2 and 3 s².

    With 2 s to wait already the stops end after 4.5 and 6.5 s: 3 and 4 s², beside 8.125 and 19.125 by
    waiting. Who needs 100 s alone waits. Copied ahead there is no such choice.
    """
    quick = moving(costly(Migrating.COLD), local_s=[0.5, 100.0])
    np.testing.assert_allclose(delay_s2(quick)[:2], [[0, 2, 3], [3.125, 0, 3.125]], rtol=1e-5)
    waiting = eqx.tree_at(lambda o: o.wait_s, quick, jnp.array([2.0, 0.0, 0.0]))
    np.testing.assert_allclose(delay_s2(waiting)[0], [0, 3, 4], rtol=1e-5)
    ahead = delay_s2(moving(costly(Migrating.PRECOPY), local_s=[0.01, 0.01]))
    np.testing.assert_allclose(ahead[0], [0, 1.51**2 / 2, 2.58**2 / 2], rtol=1e-5)


@given(wait_s=st.floats(0, 10), period_s=st.floats(0.1, 10))
def test_mean_wait_by_counting(wait_s: float, period_s: float) -> None:
    moment_s = (np.arange(2000) + 0.5) / 2000 * period_s
    expected = np.maximum(wait_s - moment_s, 0).mean()
    found = float(mean_wait_s(jnp.asarray([wait_s]), jnp.asarray([period_s]))[0])
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_the_tasks_of_a_stop_by_counting() -> None:
    """A task every 10 ms, the first of them at once, each delayed by what is left of the stop."""
    left_s = np.maximum(2.5 - 0.01 * np.arange(1000), 0)
    found = float(delay_s2(moving(costly(Migrating.COLD)))[0, 1])
    assert found == pytest.approx(0.01 * left_s.sum(), rel=0.01)


def test_a_newcomers_first_move_is_free() -> None:
    """Server 0 acts without being due: its users that decide are newcomers."""
    observation = moving(costly(Migrating.COLD))
    early = eqx.tree_at(lambda o: o.due, observation, jnp.array([False, True, True]))
    found = delay_s2(early)
    assert not found[0].any()
    assert found[1, 0] > 0


def test_a_charge_is_spread_over_the_time_that_is_left() -> None:
    """Cold: 3.125 s² over 10 s. Pre-copy: 1.1 s go by while state is sent, then 0.5 + 1 + 0.01 s."""
    lasts_s = jnp.full((3, 1), 10.0)
    cold = charge_s(moving(costly(Migrating.COLD)), lasts_s)
    ahead = charge_s(moving(costly(Migrating.PRECOPY)), lasts_s)
    assert cold is not None
    assert ahead is not None
    assert float(cold[0, 1]) == pytest.approx(0.3125, rel=1e-5)
    assert float(ahead[0, 1]) == pytest.approx(1.51**2 / 2 / 8.9, rel=1e-5)
    assert charge_s(seen(network([1e9] * 3, line(3)), host=[0]), jnp.ones((7, 1))) is None


@pytest.mark.parametrize("kind", [Migrating.COLD, Migrating.PRECOPY])
@given(
    state_bits=st.floats(1e4, 1e9),
    hops=st.integers(1, 30),
    dirty_bps=st.floats(1e3, 4e8),
    stop_bits=st.floats(1e3, 1e8),
    most_rounds=st.integers(1, 20),
)
def test_bits_in_are_bits_out(
    kind: Migrating,
    state_bits: float,
    hops: int,
    dirty_bps: float,
    stop_bits: float,
    most_rounds: int,
) -> None:
    """What is sent is the state and what changed while it was copied; and all of it takes its time."""
    rate_bps = 1e8
    cost = MigrationCost(
        *(jnp.asarray(float(v)) for v in (0.5, dirty_bps, stop_bits, most_rounds)), kind=kind
    )
    move = move_between(cost, *(jnp.asarray(float(v)) for v in (rate_bps, state_bits, 1.5, hops)))
    ahead_s, stop_s, sent_bits = (float(part) for part in move)
    assert sent_bits == pytest.approx(state_bits + dirty_bps * ahead_s, rel=1e-4)
    sending_s = ahead_s + stop_s - (0.5 + 1.5 * hops)
    assert sending_s == pytest.approx(sent_bits * hops / rate_bps, rel=1e-4, abs=1e-4)
    if kind is Migrating.COLD:
        assert ahead_s == 0
