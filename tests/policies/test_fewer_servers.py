"""Every policy where some stations have no server: rules by hand, and actions that are sound."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import (
    SERVERS,
    USERS,
    act,
    at_random,
    costing,
    decide,
    line,
    network,
    seen,
    tiny,
)

from isma.contract import Memory, Observation, Policy
from isma.errors import PolicyError
from isma.planning.allocation import offers
from isma.planning.migration import downtime_s
from isma.policies import registry
from isma.policies.shared import detour, excess_s, hop_delay_s
from isma.simulator.params import build
from isma.world.scenario import Visibility

SLOW = 1e6
HOPS = np.array(line(4))[:, [0, 3]].tolist()
"""Four stations in a row, with servers 0 and 1 beside the first and the last."""
ENDS = network([1e9, 1e9], HOPS, home=[0, 3])
FEW = {"sites.count": 7, "servers.count": SERVERS}
INFRASTRUCTURE = {
    kind: build(tiny({**FEW, "migration.kind": kind})).infrastructure for kind in ("free", "cold")
}
LEARNED = ("dqn", "drac", "ippo", "mappo", *untrained_policies.PLANNERS)
POLICIES = (*registry.RULES, *LEARNED)


def policy_named(name: str) -> Policy:
    return untrained_policies.named(name) if name in LEARNED else registry.get(name)


def targets(name: str, observation: Observation) -> list[int]:
    found = decide(registry.get(name), observation).server
    return np.asarray(found)[np.flatnonzero(observation.visible)].tolist()


def test_hops_by_hand() -> None:
    """A user two hops from one end and one from the other; a move goes over all three."""
    observation = seen(ENDS, host=[0, 1, 0, 1], station=[2, 2, 0, 1], local_s=SLOW)
    assert observation.home.tolist() == [0, 3]
    assert ENDS.between.tolist() == [[0, 3], [3, 0]]
    assert detour(observation)[:4].tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(excess_s(observation, offers(observation))[:4], [1, 0, 0, 1])
    np.testing.assert_allclose(hop_delay_s(observation, offers(observation))[:4], 1)
    moving = costing(observation)
    requests = replace(moving.requests, downtime_per_hop_s=jnp.ones(USERS))
    stop_s = downtime_s(replace(moving, requests=requests))
    np.testing.assert_allclose(stop_s[:2], [[0, 3], [3, 0]])


def test_the_radio_leads_to_the_nearest_server() -> None:
    """Stations 1 and 2 have none of their own. `threshold` waits for two hops more than need be."""
    observation = seen(ENDS, host=[1, 1, 0, 0], station=[1, 2, 2, 3], local_s=SLOW)
    assert targets("nearest", observation) == [0, 1, 1, 1]
    assert targets("threshold", observation) == [1, 1, 0, 1]
    assert targets("threshold:hops=1", observation) == [0, 1, 1, 1]
    for name in ("break-even", "mdp", "cell-mdp"):
        assert targets(name, observation) == [0, 1, 1, 1], name


def test_break_even_pays_for_the_way_beyond_the_nearest() -> None:
    """User 0, two hops from its host, pays one hop: 1 s a task, 2 s² in a period, and a stop of 3 s
    costs 4.5 s²: the third time. User 1 is as near as can be, and pays nothing.
    """
    observation = costing(seen(ENDS, [0, 1], [2, 2], local_s=SLOW), downtime_s=3.0)
    memory, found = Memory(None, jnp.zeros(USERS)), []
    for _ in range(3):
        action, memory = act(registry.get("break-even"), memory, observation, jax.random.key(0))
        found.append(action.server[:2].tolist())
    assert found == [[0, 1], [0, 1], [1, 1]]


def moment(policy: Policy, kind: str, seed: int) -> Observation:
    """At random, with users at any of seven stations and three servers somewhere among them."""
    found = at_random(seed, policy.visibility or Visibility.SERVER)
    stations = np.random.default_rng(seed).integers(0, 7, USERS)
    return replace(
        found,
        infrastructure=INFRASTRUCTURE[kind],
        station=jnp.asarray(stations, jnp.int32),
    )


@pytest.mark.parametrize("kind", slow_but_for(["cold"], INFRASTRUCTURE))
@pytest.mark.parametrize("name", slow_but_for(["price", "isma", "dqn"], POLICIES))
def test_every_policy_decides_soundly(name: str, kind: str) -> None:
    policy, met = policy_named(name), set()
    scenario = tiny({**FEW, "migration.kind": kind})
    memory = policy.init(scenario, USERS, SERVERS, jax.random.key(0))
    for seed in range(4):
        observation = moment(policy, kind, seed)
        action, after = act(policy, memory, observation, jax.random.key(seed))
        server, ratio, share = map(
            np.asarray, (action.server, action.offload_ratio, action.cpu_share)
        )
        assert np.all((server >= 0) & (server < SERVERS))
        assert np.all((ratio >= 0) & (ratio <= 1))
        assert np.all((share >= 0) & (share <= 1))
        takes = np.asarray(observation.decides)
        assert np.all(share[takes & (ratio > 0)] > 0)
        assert jax.tree.structure(after) == jax.tree.structure(memory)
        met |= set(server[takes].tolist())
    assert len(met) > 1 or name in LEARNED


def test_a_models_size_is_that_of_servers() -> None:
    """Seven stations with three servers are three servers to a network that was made for three."""
    for name in ("isma", "dqn"):
        with pytest.raises(PolicyError, match="servers"):
            policy_named(name).init(tiny(FEW), USERS, 7, jax.random.key(0))
        policy_named(name).init(tiny(FEW), USERS, SERVERS, jax.random.key(0))
