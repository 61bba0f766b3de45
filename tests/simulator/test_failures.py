"""Servers that fail, and the users whom they leave alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.simulators.by_hand import assert_times, followed, script, two_by_two
from helpers.small_worlds import SERVERS, USERS, tiny

from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import NEVER, draw, reset
from isma.world.switches import Failures

FAILING = Failures(enabled=True, mean_between_s=10, mean_repair_s=2, detection_s=1, restart_s=0.5)
"""A server fails in a tick of 1 s with a chance of 1 - exp(-0.1) = 0.095."""


def test_a_failure_by_hand(double: None) -> None:
    """Server 0 fails in tick 2 with y = 0.9: repaired after ⌈2 · 2.303⌉ = 5 ticks, in tick 7.

    It hosts both users (`test_world_by_hand`, ticks 0 and 1), with granted shares of 0.571429 and
    0.428571, and decides nothing in tick 2. They notice after a tick, in tick 3, and turn to server
    1, at whose station they are; their services start again half a second later, at slot 35.

    Tick 2, user 0, slot 25, d = 300: 1.0 s of waiting, 0.277912 + 2 + 1.75: 5.027912
      User 1, slot 22, d = 530: SNR 3.559986, R = 2.189029e6: 1.3 + 0.913647 + 4 + 4.666667 = 10.880314
    Tick 3: server 1 decides for both, as newcomers. User 0, slot 35, d = 200, η = 0.9, half of 2 GHz:
      0.191471 + 0.9 = 1.091471. User 1, slot 32, d = 430, η = 1, share 0.4: SNR 5.408329,
      R = 2.679950e6: 0.3 + 0.746282 + 2.5 = 3.546282
    Server 1 hears in tick 3 what was sent in tick 2: of server 0 nothing, its news is of tick 1.
    """
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (3.0, 7.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (8.0, 5.0)),
        ((1, 1), (0.2, 0.2), (0.1, 0.1), (4.0, 9.0)),
        ((1, 1), (0.9, 1.0), (0.5, 0.4), (2.0, 6.0)),
    )
    failure = jnp.full((4, 2, 2), 0.5).at[2, 0].set(jnp.array([0.05, 0.9]))
    run = followed(*two_by_two(failures=FAILING), script(*rows), failure)
    assert_times(
        run,
        [
            [[1.680677], []],
            [[4.099897], [9.616210]],
            [[5.027912], [10.880314]],
            [[1.091471], [3.546282]],
        ],
    )
    assert [int(outcome.migrations) for *_, outcome in run] == [0, 0, 0, 0]
    assert [int(outcome.down_slots) for *_, outcome in run] == [0, 0, 20, 10]
    assert run[3][0].placement.host.tolist() == [1, 1]
    np.testing.assert_allclose(run[3][0].placement.load, [0, 0.9])
    assert run[3][0].outages.repair_tick.tolist() == [7, 0]
    assert run[2][0].placement.price_s.tolist() == [3, 5], "who is down sets no price"
    np.testing.assert_allclose(run[3][1].per_server["news_age_s"][1], [2, 0])


def test_a_repair_before_anyone_has_noticed(double: None) -> None:
    """As above, but noticed after 4 s and repaired after ⌈2 · 0.693⌉ = 2 ticks: all stay, from slot 45."""
    slow = FAILING.model_copy(update={"detection_s": 4.0})
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (3.0, 7.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (8.0, 5.0)),
        *[((0, 0), (1.0, 1.0), (0.8, 0.6), (4.0, 9.0))] * 3,
    )
    failure = jnp.full((5, 2, 2), 0.5).at[2, 0].set(jnp.array([0.05, 0.5]))
    run = followed(*two_by_two(failures=slow), script(*rows), failure)
    assert run[4][0].placement.host.tolist() == [0, 0]
    assert [int(outcome.down_slots) for *_, outcome in run] == [0, 0, 20, 20, 10]
    assert run[4][0].outages.lost_tick.tolist() == [NEVER, NEVER]


@pytest.mark.parametrize("name", slow_but_for(["random"], registry.RULES))
def test_nobody_is_served_where_nobody_is(name: str) -> None:
    """A task that comes while its host is down ends after the repair, or after its user has turned away.

    And a server that is down sends no news: what the others have heard is from before it failed.
    """
    scenario = tiny(
        {
            "failures.enabled": True,
            "mean_between_s": 4,
            "mean_repair_s": 2,
            "detection_s": 0.5,
            "restart_s": 0.2,
            "coverage_radius_m": 150,
        }
    )
    params, policy, key = build(scenario), registry.get(name), jax.random.key(5)
    state = jax.jit(reset)(params, key)
    memory = policy.init(scenario, USERS, SERVERS, key)
    failed = 0
    for tick in range(150):
        state, memory, outcome = run_chunk(params, policy, state, memory, key, 1)
        down = np.asarray(state.outages.repair_tick) > tick
        failed += int(down.sum())
        host, ratio = np.asarray(state.placement.host), np.asarray(state.placement.offload_ratio)
        born = np.asarray(state.emission.first_slot) < (tick + 1) * int(params.slots_per_tick)
        lost = born & down[host]
        up_slot = np.asarray(state.downtime.up_slot)
        assert np.all(up_slot[lost] >= (tick + 1) * int(params.slots_per_tick))
        assert np.all(np.asarray(state.heard.sent_tick)[:, down] < tick)
        time_s = np.asarray(outcome.completion_time_s[0])
        assert np.all(np.isfinite(time_s[~np.isnan(time_s)]))
        waits = lost & (ratio > 0)
        ends = tick * 0.1 + time_s[waits]
        assert np.all(np.isnan(ends) | (ends >= up_slot[waits, None] * 0.001 - 0.1))
    assert failed > 50


def test_servers_fail_as_often_as_asked() -> None:
    """Up for 20 s and down for 5 s on average: down for a fifth of the time, to what 64 servers show."""
    scenario = tiny(
        {
            "failures.enabled": True,
            "mean_between_s": 20,
            "mean_repair_s": 5,
            "sites.count": 64,
            "duration_s": 400,
        }
    )
    params, key = build(scenario), jax.random.key(0)
    assert draw(params, key, jnp.asarray(0)).failure is not None
    state = jax.jit(reset)(params, key)
    policy = registry.get("local")
    memory = policy.init(scenario, USERS, 64, key)
    down = []
    for tick in range(0, 4000, 20):
        state, memory, _ = run_chunk(params, policy, state, memory, key, 20)
        down.append(np.asarray(state.outages.repair_tick > tick + 19).mean())
    assert np.mean(down[20:]) == pytest.approx(0.2, abs=0.03)
