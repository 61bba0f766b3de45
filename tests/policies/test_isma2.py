"""isma2: `price` where nothing is foreseen, and otherwise where its model says that users will be."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from worlds import USERS, costing, decide, line, network, seen, tiny

from isma.contract import Memory, Observation
from isma.errors import PolicyError
from isma.model.outlook import Normal, Ways
from isma.policies import registry
from isma.policies.beside import Load
from isma.policies.dwelling import Lasting
from isma.policies.heard import Heard, Usual
from isma.policies.isma2 import Isma2, UserBelief
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.world.scenario import Scenario

COSTLY = {"migration.kind": "cold", "migration.downtime_s": 0.5, "latency.per_hop_s": 0.1}


def hosts(scenario: Scenario, policy: Isma2 | str, ticks: int = 100) -> np.ndarray:
    made = registry.get(policy) if isinstance(policy, str) else policy
    params, key = build(scenario), jax.random.key(3)
    shape = params.shape
    memory = made.init(scenario, shape.num_users, shape.num_servers, key)
    state, _, _ = run_chunk(params, made, jax.jit(reset)(params, key), memory, key, ticks)
    return np.asarray(state.placement.host)


def test_where_moves_are_free_there_is_nothing_to_foresee() -> None:
    assert registry.get("isma2").init(tiny(), 7, 3, jax.random.key(0)) == Memory.none()
    np.testing.assert_array_equal(hosts(tiny(), "isma2"), hosts(tiny(), "price"))


def test_nothing_beyond_the_next_decision_needs_no_plan() -> None:
    np.testing.assert_array_equal(
        hosts(tiny(COSTLY), "isma2:stay_s=0"), hosts(tiny(COSTLY), "price:stay_s=0")
    )


def test_users_that_decide_for_themselves_are_not_pooled() -> None:
    alone = tiny({**COSTLY, "visibility": "user"})
    memory = registry.get("isma2").init(alone, 7, 3, jax.random.key(0))
    assert not isinstance(memory.per_user, UserBelief)


@pytest.mark.parametrize(("users", "servers"), [(5, 3), (60, 30)])
def test_one_checkpoint_serves_any_numbers(users: int, servers: int) -> None:
    larger = tiny({**COSTLY, "users.count": users, "sites.count": servers})
    found = hosts(larger, "isma2", ticks=60)
    assert found.shape == (users,)
    assert found.max() < servers


class Knowing(Isma2):
    """Users will be so many hops from each server, segment by segment."""

    hops: Float[Array, "segments paths users places"] = eqx.field(kw_only=True)

    def _hops_ahead(self, observation: Observation, server: Array, way: None, ways: None) -> Array:
        return jnp.take_along_axis(self.hops, server[None, None], axis=3)


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
    policy = Knowing(hops=jnp.asarray(way)[:, None, None, :], spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


def test_a_plan_knows_that_a_service_can_move_again() -> None:
    """Longer than a move pays for, a server on the way is better than the last one at once."""
    between = [1.0, 0.0, 1.0]
    way = jnp.asarray([between] * 4 + [THERE] * 2)[:, None, None, :]
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [1]), downtime_s=1.0)
    assert int(decide(Knowing(hops=way, spread=0.0), observation).server[0]) == 1


class Timing(Knowing):
    """A task is done so much sooner by the service than alone, segment by segment."""

    sooner_s: Float[Array, "segments"] = eqx.field(kw_only=True)

    def _sooner_s(self, observation: Observation, load: Load, gain: Array) -> Array:
        return jnp.broadcast_to(self.sooner_s[:, None, None], gain.shape)


@pytest.mark.parametrize(
    ("sooner_s", "goes_to"),
    [
        ((50.0,) * 6, 2),  # The sooner the better.
        ((50.0, *(1.0,) * 5), 0),  # Better in 2 s, when tasks take long anyway.
        ((1.0, *(8.0,) * 5), 2),  # Now or never: 42 s² now, and 50 from then on.
    ],
)
def test_a_service_stops_when_that_costs_least(sooner_s: tuple[float, ...], goes_to: int) -> None:
    """Two hops of 1 s are saved by a stop of 10 s, which is 50 s² where it is waited for."""
    way = jnp.asarray([THERE] * 6)[:, None, None, :]
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=10.0)
    policy = Timing(hops=way, sooner_s=jnp.asarray(sooner_s), spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


@pytest.mark.parametrize(
    ("first_s", "then_s", "goes_to"),
    [
        (3.5, 3.5, 2),  # A stop of 100 s costs 346 s².
        (4.0, 4.0, 0),  # 394 s².
        (1.0, 4.0, 0),  # It outlasts the 2 s in which it would cost little: 388 s².
        (20.0, 3.0, 0),  # 330 s², but 297 two seconds later.
    ],
)
def test_a_stop_costs_what_comes_later_while_it_lasts(
    first_s: float, then_s: float, goes_to: int
) -> None:
    """Two hops of 1 s for the 126 s of the plan and a minute are 372 s²."""
    way = jnp.asarray([THERE] * 6)[:, None, None, :]
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=100.0)
    policy = Timing(hops=way, sooner_s=jnp.asarray([first_s, *(then_s,) * 5]), spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


class Fading(Knowing):
    """Each user's channel gain will be so many times that of now, segment by segment."""

    gain: Float[Array, "segments"] = eqx.field(kw_only=True)

    def _gain_ahead(self, observation: Observation, ways: None) -> Array:
        return self.gain[:, None, None] * observation.gain


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
    way = jnp.asarray([THERE] * 6)[:, None, None, :]
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=17.0)
    policy = Fading(hops=way, gain=jnp.asarray(gain), spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


def test_a_channel_is_foretold_midway_in_each_future() -> None:
    """Two futures of two segments: what was drawn in them adds up."""
    drawn = jnp.asarray([[0.2, -1.0], [-0.4, 3.0]])[:, :, None] * jnp.ones(USERS)
    nothing = jnp.zeros_like(drawn)
    ways = Ways(nothing, nothing, Normal(nothing, nothing), drawn, nothing[..., None])
    observation = replace(seen(network([1e9], [[0.0]]), [0]), gain=jnp.full(USERS, 1e-9))
    found = Isma2(segments=2)._gain_ahead(observation, ways)
    expected = 1e-9 * np.exp([[0.1, -0.2], [0.2 - 0.5, -0.4 + 1.5]])
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-5)


@pytest.mark.parametrize("option", ["segments=0", "segments=7", "paths=0", "prices=2", "model=3"])
def test_what_cannot_be_planned_is_refused(option: str) -> None:
    with pytest.raises(PolicyError, match=option.split("=")[0]):
        registry.get(f"isma2:{option}")


@pytest.mark.parametrize(("cost_s2", "goes_to"), [(110.0, 2), (140.0, 0)])
def test_what_is_gained_lasts_beyond_the_plan(cost_s2: float, goes_to: int) -> None:
    """Two hops of 1 s for the 2 s of the plan, and then for the minute in which a user stays."""
    observation = costing(
        seen(network([1e9] * 3, line(3)), [0], [2]), downtime_s=(2 * cost_s2) ** 0.5
    )
    policy = Knowing(hops=jnp.asarray([THERE])[:, None, None, :], segments=1, spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


class Believing(Isma2):
    """What sets loads apart lasts so long, and a service stays for ever."""

    gap_s: float = eqx.field(kw_only=True)

    def lasts(self, memory: Memory, observation: Observation) -> Lasting:
        for_ever_s = jnp.full(observation.host.shape, 1e6)
        return Lasting(for_ever_s, for_ever_s, jnp.full_like(for_ever_s, self.gap_s))


@pytest.mark.parametrize(("gap_s", "moves"), [(1.0, 0), (1e4, 1)])
def test_a_fuller_server_is_left_if_it_stays_fuller(gap_s: float, moves: int) -> None:
    """Two users share a server beside an idle one: a stop of 20 s pays only if they would for long."""
    two = seen(network([1e9] * 2, line(2)), [0, 0], [0, 0], work_s=20.0)
    observation = costing(two, downtime_s=20.0)
    action = decide(Believing(gap_s=gap_s, spread=0.0), observation)
    assert int(jnp.sum(action.server[:2] == 1)) == moves


class Remembering(Believing):
    """The last server was full whenever it was heard of, and is empty now."""

    part: float = eqx.field(kw_only=True)

    def usual(self, memory: Memory, observation: Observation) -> Usual:
        apart = jnp.tile(jnp.asarray([-5.0, 5.0]), (2, 1))
        return Usual(self.part * apart, jnp.full(2, self.part))


@pytest.mark.parametrize(("part", "goes_to"), [(0.0, 1), (1.0, 0)])
def test_a_server_that_is_full_again_soon_is_not_gone_to(part: float, goes_to: int) -> None:
    """A hop is saved there for ever; what it is like just now is over in a second."""
    observation = costing(seen(network([1e9] * 2, line(2)), [0], [1]), downtime_s=1.0)
    policy = Remembering(gap_s=1.0, part=part, spread=0.0)
    assert int(decide(policy, observation).server[0]) == goes_to


@pytest.mark.parametrize("policy", ["isma2", "isma2:model=0"])
def test_servers_remember_what_they_heard(policy: str) -> None:
    scenario, made, key = tiny(COSTLY), registry.get(policy), jax.random.key(3)
    params = build(scenario)
    shape = params.shape
    memory = made.init(scenario, shape.num_users, shape.num_servers, key)
    _, after, _ = run_chunk(params, made, jax.jit(reset)(params, key), memory, key, 60)
    heard = after.per_server if isinstance(after.per_server, Heard) else after.per_server.heard
    assert float(heard.known_s.min()) > 3  # Of the six seconds, from the first hearing on.
    assert float(heard.mean.max()) > 0
