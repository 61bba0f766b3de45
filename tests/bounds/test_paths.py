"""The cheapest path over time against every path, where stops add up as the simulator has it."""

from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for

from isma.bounds.future import Future, Stops
from isma.bounds.paths import path_costs

STEPS, PLACES, SLOT_S = 5, 3, 0.1
STEP_SLOTS = 10
LOCAL_S = 3.0


def future(stop_slots: np.ndarray, between: np.ndarray) -> Future:
    """One user with a task in the middle of each step of 1 s."""
    begin = np.arange(STEPS) * STEP_SLOTS
    until = begin[:, None] + stop_slots
    step = np.arange(STEPS)[:, None]
    touched = np.searchsorted(begin, until, "left") - step
    whole = np.searchsorted(np.append(begin, STEPS * STEP_SLOTS), until, "right") - 1 - step
    stops = Stops(
        stop_slots=jnp.asarray(stop_slots[None], jnp.int32),
        whole=jnp.asarray(np.maximum(whole, 1)[None, :, None], jnp.int32),
        touched=jnp.asarray(touched[None, :, None], jnp.int32),
        of_pair=jnp.asarray(between[None, None], jnp.int32),
        start_slot=jnp.asarray(begin[None], jnp.int32),
        offset_slots=jnp.full((1, STEPS, 1), STEP_SLOTS / 2),
        slot_s=jnp.asarray(SLOT_S),
        most_steps=max(1, int(touched.max())),
    )
    each = jnp.full((1, STEPS, 1), 1 / STEPS)
    return Future(
        weight=each,
        length=each[..., 0],
        block=jnp.zeros((1, STEPS), jnp.int32),
        uplink_s=each,
        hops=jnp.zeros((1, STEPS, 1, PLACES)),
        places=jnp.arange(PLACES)[None, None],
        cycles=jnp.ones(1),
        local_s=jnp.array([LOCAL_S]),
        hop_s=jnp.zeros(1),
        server_hz=jnp.ones(PLACES),
        latency=None,
        stops=stops,
        elsewhere=None,
        num_blocks=1,
    )


def by_trying_all(cost_s: np.ndarray, stop_slots: np.ndarray, between: np.ndarray) -> float:
    """A task waits until the service runs, or is done locally; a stop begins where the last one ends."""
    best = np.inf
    for path in product(range(PLACES), repeat=STEPS):
        up, total = 0, 0.0
        for step, place in enumerate(path):
            start = step * STEP_SLOTS
            if step and place != path[step - 1]:
                up = max(up, start) + stop_slots[between[path[step - 1], place]]
            wait_s = max(up - start - STEP_SLOTS / 2, 0) * SLOT_S
            total += min(LOCAL_S, cost_s[step, place] + wait_s) / STEPS
        best = min(best, total)
    return best


def found(cost_s: np.ndarray, stop_slots: np.ndarray, between: np.ndarray) -> float:
    """The path's cost, when a wait costs what it lasts, up to the local time."""
    known = future(stop_slots, between)
    steepness = 1 / (LOCAL_S - cost_s.min(axis=1))
    costs = jnp.asarray(cost_s[None, :, None] / STEPS, jnp.float32)
    reached = path_costs(known, costs, jnp.asarray(steepness[None, :, None], jnp.float32), None)
    return float(reached[0])


BETWEEN = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])


@pytest.mark.parametrize("longest_slots", slow_but_for([20], [0, 20, 5, 45]))
def test_never_above_the_best_path_and_close_below_it(longest_slots: int) -> None:
    rng = np.random.default_rng(longest_slots)
    gaps = []
    for _ in range(40):
        cost_s = rng.uniform(0.1, 2.5, (STEPS, PLACES))
        one = int(rng.integers(0, longest_slots + 1))
        stop_slots = np.array([0, one, int(rng.integers(one, 2 * one + 1))])
        best = by_trying_all(cost_s, stop_slots, BETWEEN)
        gaps.append(1 - found(cost_s, stop_slots, BETWEEN) / best)
    assert min(gaps) >= -1e-5
    assert np.median(gaps) < 0.03
    if longest_slots == 0:
        assert max(gaps) < 1e-5


def test_by_hand() -> None:
    """0.2 s at the one place, then 2 s there and 0.2 s at the other from the third step on.

    Moving at the third step stops the service for 1 s: that task waits 0.5 s. 0.2 + 0.2 + 0.7 + 0.2 +
    0.2 over 5 tasks.
    """
    cost_s = np.full((STEPS, PLACES), 2.0)
    cost_s[:2, 0] = cost_s[2:, 1] = 0.2
    stops = np.array([0, 10, 20])
    assert found(cost_s, stops, BETWEEN) == pytest.approx(1.5 / 5, rel=1e-5)
    assert by_trying_all(cost_s, stops, BETWEEN) == pytest.approx(1.5 / 5, rel=1e-5)


def test_an_idle_server_does_not_make_waiting_free() -> None:
    """As by hand, but the line's slope says nothing; the wait of 0.5 s is longer than the 0.2 s."""
    cost_s = np.full((STEPS, PLACES), 2.0)
    cost_s[:2, 0] = cost_s[2:, 1] = 0.2
    reached = path_costs(
        future(np.array([0, 10, 20]), BETWEEN),
        jnp.asarray(cost_s[None, :, None] / STEPS, jnp.float32),
        jnp.zeros((1, STEPS, 1)),
        None,
    )
    assert float(reached[0]) == pytest.approx((4 * 0.2 + 0.5) / 5, rel=1e-5)
