"""isma2: `price` where nothing is foreseen, and otherwise where its model says that users will be."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.small_worlds import (
    act,
    at_random,
    costing,
    decide,
    first_memory,
    line,
    network,
    seen,
    tiny,
)
from jaxtyping import Array, Float

from isma.contract import Memory, Observation, Policy
from isma.errors import PolicyError
from isma.policies import registry
from isma.policies.pricing.dwell_time import GainDuration
from isma.policies.pricing.forecast_plan import Planned
from isma.policies.pricing.mobility_forecast import (
    Expected,
    MobilityForecast,
    Persistence,
    gain_midway,
)
from isma.policies.pricing.policy import Price
from isma.policies.pricing.price_history import LongRunPrice
from isma.policies.pricing.valuation import Forecast
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.world.scenario import Scenario

COSTLY = {"migration.kind": "cold", "migration.downtime_s": 0.5, "latency.per_hop_s": 0.1}


def hosts(scenario: Scenario, policy: Policy | str, ticks: int = 100) -> np.ndarray:
    made = registry.get(policy) if isinstance(policy, str) else policy
    params, key = build(scenario), jax.random.key(3)
    shape = params.shape
    memory = made.init(scenario, shape.num_users, shape.num_servers, key)
    state, _, _ = run_chunk(params, made, jax.jit(reset)(params, key), memory, key, ticks)
    return np.asarray(state.placement.host)


def test_where_moves_are_free_there_is_nothing_to_foresee() -> None:
    planned, priced = registry.get("isma2"), registry.get("price")
    assert planned.init(tiny(), 7, 3, jax.random.key(0)) == Memory.none()
    moved = 0
    for seed in range(20):
        observation = at_random(seed)
        one, other = (decide(policy, observation, seed) for policy in (planned, priced))
        jax.tree.map(np.testing.assert_array_equal, one, other)
        moved += int(np.sum(one.server != observation.host))
    assert moved > 0


@pytest.mark.slow
def test_runs_in_which_moves_are_free_are_those_of_price() -> None:
    np.testing.assert_array_equal(hosts(tiny(), "isma2"), hosts(tiny(), "price"))


@pytest.mark.slow
def test_nothing_beyond_the_next_decision_needs_no_plan() -> None:
    np.testing.assert_array_equal(
        hosts(tiny(COSTLY), "isma2:stay_s=0"), hosts(tiny(COSTLY), "price:stay_s=0")
    )


def test_users_that_decide_for_themselves_are_not_pooled() -> None:
    alone = tiny({**COSTLY, "visibility": "user"})
    memory = registry.get("isma2").init(alone, 7, 3, jax.random.key(0))
    assert memory.per_server is None
    assert memory.per_user.state is None


@pytest.mark.slow
def test_a_forecast_that_nothing_bears_out_decides_nothing() -> None:
    np.testing.assert_array_equal(
        hosts(tiny(COSTLY), "isma2:doubt_hops2=1000000"), hosts(tiny(COSTLY), "price")
    )


@pytest.mark.slow
@pytest.mark.parametrize(("users", "servers"), [(5, 3), (60, 30)])
def test_one_checkpoint_serves_any_numbers(users: int, servers: int) -> None:
    larger = tiny({**COSTLY, "users.count": users, "sites.count": servers})
    found = hosts(larger, "isma2", ticks=60)
    assert found.shape == (users,)
    assert found.max() < servers


class Given(MobilityForecast):
    """Users will be so many hops from each server, and have so many times their gain, by segment."""

    far: Float[Array, "segments servers"]
    times: Float[Array, "segments"]

    def of_rows(self, row: Array) -> MobilityForecast:
        return self

    def expect(self, observation: Observation, server: Array, segments: int) -> Expected:
        gain = self.times[:segments, None] * observation.gain
        return Expected(self.far[:segments][:, server], gain)


class Expecting(Planned):
    """A plan by a forecast that is given."""

    mobility: MobilityForecast = eqx.field(default_factory=Persistence)
    gap_s: float | None = None
    """What sets loads apart lasts so long, and a service stays for ever."""
    deviation: Float[Array, "servers"] | None = None
    """Lasting deviations of √λ."""

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        found = super().forecast(memory, observation)._replace(mobility=self.mobility)
        if self.gap_s is not None:
            for_ever_s = jnp.full(observation.host.shape, 1e6)
            gap_s = jnp.full_like(for_ever_s, self.gap_s)
            found = found._replace(duration=GainDuration(for_ever_s, for_ever_s, gap_s))
        if self.deviation is not None:
            rows = (len(self.deviation), 1)
            lasting = jnp.any(self.deviation != 0) * jnp.ones(rows[0])
            long_run = LongRunPrice(jnp.tile(self.deviation, rows), lasting)
            found = found._replace(long_run=long_run)
        return found


def knowing(way: list[list[float]], gain: tuple[float, ...] = (1.0,) * 6) -> Price:
    """Whose users will be so far from each server, segment by segment."""
    mobility = Given(jnp.asarray(way), jnp.asarray(gain))
    return Price(valuation=Expecting(mobility=mobility, segments=len(way)), spread=0.0)


AWAY, THERE = [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]
"""Hops of a user near the first server of three in a row, and near the last."""


@pytest.mark.parametrize(
    ("way", "goes_to"),
    [
        ([AWAY] * 6, 0),  # It is at home for good.
        ([THERE] * 6, 2),  # It drives off at once.
        ([THERE] + [AWAY] * 5, 0),  # It is back in 2 s: not worth two stops.
        ([AWAY] + [THERE] * 5, 0),  # It drives off in 2 s: then is soon enough.
    ],
)
def test_it_goes_where_its_user_will_be(way: list[list[float]], goes_to: int) -> None:
    """A hop costs 1 s here, and a move 3 s² of delay."""
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [0]), downtime_s=6**0.5)
    assert int(decide(knowing(way), observation).server[0]) == goes_to


def test_a_plan_knows_that_a_service_can_move_again() -> None:
    """Longer than a move pays for, a server on the way is better than the last one at once."""
    between = [1.0, 0.0, 1.0]
    policy = knowing([between] * 4 + [THERE] * 2)
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [1]), downtime_s=1.0)
    assert int(decide(policy, observation).server[0]) == 1


@pytest.mark.parametrize(
    ("gain", "goes_to"),
    [
        ((1.0,) * 6, 2),
        ((1.0, *(1e-9,) * 5), 0),  # From then on it does its tasks alone, wherever its service is.
        ((*(1.0,) * 5, 1e-9), 0),  # So it does once the plan has ended.
    ],
)
def test_who_will_be_out_of_reach_needs_no_service_nearby(
    gain: tuple[float, ...], goes_to: int
) -> None:
    """Two hops of 1 s are saved in the minute of the plan and in that after it."""
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=17.0)
    assert int(decide(knowing([THERE] * 6, gain), observation).server[0]) == goes_to


def test_a_channel_is_forecast_midway() -> None:
    """Two segments: half of the second change comes on top of the first."""
    found = gain_midway(jnp.asarray([1e-9]), jnp.asarray([[0.2], [-1.0]]))
    np.testing.assert_allclose(found[:, 0], 1e-9 * np.exp([0.1, 0.2 - 0.5]), rtol=1e-5)


@pytest.mark.parametrize("option", ["segments=0", "segments=7", "paths=0", "prices=2", "model=3"])
def test_what_cannot_be_planned_is_refused(option: str) -> None:
    with pytest.raises(PolicyError, match=option.split("=")[0]):
        registry.get(f"isma2:{option}")


@pytest.mark.slow
@pytest.mark.parametrize(("cost_s2", "goes_to"), [(110.0, 2), (140.0, 0)])
def test_what_is_gained_lasts_beyond_the_plan(cost_s2: float, goes_to: int) -> None:
    """Two hops of 1 s for the 2 s of the plan, and then for the minute in which a user stays."""
    observation = costing(
        seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=(2 * cost_s2) ** 0.5
    )
    assert int(decide(knowing([THERE]), observation).server[0]) == goes_to


@pytest.mark.slow
@pytest.mark.parametrize(("gap_s", "moves"), [(1.0, 0), (1e4, 1)])
def test_a_fuller_server_is_left_if_it_stays_fuller(gap_s: float, moves: int) -> None:
    """Two users share a server beside an idle one: a stop of 20 s pays only if they would for long."""
    two = seen(network([1e9] * 2, line(2)), [0, 0], [0, 0], work_s=20.0)
    observation = costing(two, downtime_s=20.0)
    action = decide(Price(valuation=Expecting(gap_s=gap_s), spread=0.0), observation)
    assert int(jnp.sum(action.server[:2] == 1)) == moves


@pytest.mark.slow
@pytest.mark.parametrize(("part", "goes_to"), [(0.0, 1), (1.0, 0)])
def test_a_server_that_is_full_again_soon_is_not_gone_to(part: float, goes_to: int) -> None:
    """A hop is saved there for ever; what it is like just now is over in a second."""
    observation = costing(seen(network([1e9] * 2, line(2)), [0], [1]), downtime_s=1.0)
    valuation = Expecting(gap_s=1.0, deviation=part * jnp.asarray([-5.0, 5.0]))
    policy = Price(valuation=valuation, spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


def test_what_is_heard_at_a_decision_is_remembered() -> None:
    """Four decisions, 2 s apart: what is known is of the 6 s since the first."""
    policy, observation = untrained_policies.isma2(), costing(at_random(0))
    memory = first_memory(policy, observation)
    for number in range(4):
        later = replace(observation, slot=jnp.asarray(2000 * number, jnp.int32))
        _, memory = act(policy, memory, later, jax.random.key(0))
    heard = memory.per_server.prices
    np.testing.assert_allclose(heard.known_s, 6, rtol=1e-5)
    np.testing.assert_allclose(heard.mean, np.sqrt(observation.news.price_s), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["isma2", "isma2:model=0"])
def test_servers_remember_what_they_heard(policy: str) -> None:
    scenario, made, key = tiny(COSTLY), registry.get(policy), jax.random.key(3)
    params = build(scenario)
    shape = params.shape
    memory = made.init(scenario, shape.num_users, shape.num_servers, key)
    _, after, _ = run_chunk(params, made, jax.jit(reset)(params, key), memory, key, 60)
    heard = after.per_server.prices
    assert float(heard.known_s.min()) > 3  # Of the six seconds, from the first hearing on.
    assert float(heard.mean.max()) > 0
