"""The bound of a whole run: below every run that can be tried, under each switch and all of them."""

from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import EVERYTHING, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Int, PRNGKeyArray

from isma.bounds.whole_run import Effort, dual_s, first_prices_s
from isma.contract import Action, Memory, Observation, Policy
from isma.evaluation import cell
from isma.evaluation.bounding import known_future as future
from isma.evaluation.bounding.known_future import known_future
from isma.evaluation.bounding.run_bound import run_bound_s
from isma.planning.allocation import Offer, offers, split
from isma.planning.segment_sums import Pools
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import rollout
from isma.simulator.state import reset
from isma.world.scenario import Visibility

DECISIONS, USERS, SERVERS = 4, 3, 2
SMALL: dict[str, Any] = {
    "users.count": USERS,
    "sites.count": SERVERS,
    "coverage_radius_m": 100,
    "duration_s": 2,
    "warmup_s": 0,
    "decision_period_s": 0.5,
}
MOVING = {"state_bits": [1e5, 1e7], "downtime_per_hop_s": [0.1, 0.5]}
SWITCHES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cold": {"migration.kind": "cold", **MOVING},
    "precopy": {"migration.kind": "precopy", **MOVING},
    "few": {"sites.count": 5, "servers.count": SERVERS, "migration.kind": "cold", **MOVING},
    "latency": {"latency.task_s": 0.1, "latency.per_hop_s": 5.0},
    "queues": {"queues.enabled": True, "cycles": [1e7, 4e8], "local_hz": ["1 GHz", "4 GHz"]},
    "shared": {"radio.shared": True},
    "umi": {"radio.model": "umi"},
    "presence": {"presence.enabled": True, "arrival_s": [0, 1], "stay_s": [0.5, 2]},
    "failures": {"failures.enabled": True, "mean_between_s": 2, "mean_repair_s": 0.5},
    "clocks": {"clock_range_hz": ["2 GHz", "20 GHz"]},
    "all": {**EVERYTHING, **MOVING, "arrival_s": [0, 1], "stay_s": [0.5, 2]},
}
SEQUENCES = np.array(list(product(range(SERVERS), repeat=DECISIONS * USERS)), np.int32)


class Sequence(Policy):
    """Hosts given for each user's decisions, one after another; each server shared out as is best."""

    visibility = Visibility.FULL
    host: Int[Array, "decisions users"]

    def init(self, scenario: Any, num_users: int, num_servers: int, key: PRNGKeyArray) -> Memory:
        return Memory(None, jnp.zeros(num_users, jnp.int32))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        number, users = memory.per_user, jnp.arange(observation.host.shape[0])
        given = self.host[jnp.minimum(number, self.host.shape[0] - 1), users]
        target = jnp.where(observation.decides, given, observation.host)
        servers = observation.acting.shape[0]
        pool = jnp.where(observation.visible, target, servers)
        shared = split(eqx.filter_jit(_at)(observation, target), Pools(pool, servers))
        nothing = jnp.zeros_like(observation.infrastructure.server_hz)
        action = Action(target, shared.offload_ratio, shared.cpu_share, nothing)
        return action, Memory(None, number + observation.decides)


def _at(observation: Observation, target: Int[Array, "users"]) -> Offer:
    return offers(observation).at(target)


@eqx.filter_jit
def means_s(params: Any, key: PRNGKeyArray, hosts: Int[Array, "runs decisions users"]) -> Array:
    """The mean of every sequence's run, as `Cell.mean_s` has it."""

    def one(host: Int[Array, "decisions users"]) -> Array:
        policy = Sequence(host)
        memory = policy.init(None, USERS, SERVERS, key)
        _, _, outcome = rollout(params, policy, reset(params, key), memory, key, 20)
        time_s = outcome.completion_time_s
        return jnp.nanmean(jnp.nanmean(time_s, axis=(0, 2)))

    return jax.lax.map(one, hosts, batch_size=256)


@pytest.mark.slow
@pytest.mark.parametrize("switch", slow_but_for(["cold"], SWITCHES))
def test_below_every_run_of_four_decisions(switch: str) -> None:
    """3 users on 2 servers: 4096 sequences of hosts, each server shared out as is best then."""
    scenario = tiny({**SMALL, **SWITCHES[switch]})
    params = build(scenario)
    hosts = jnp.asarray(SEQUENCES.reshape(-1, DECISIONS, USERS))
    compared = 0
    for seed in range(2):
        bound_s = run_bound_s(scenario, params, seed, effort=Effort(0, 60, 30))
        if np.isnan(bound_s):
            continue
        compared += 1
        key = jax.random.split(jax.random.key(seed))[0]
        best_s = float(np.nanmin(means_s(params, key, hosts)))
        assert bound_s <= best_s * (1 + 1e-5)
        if switch != "all":  # There tasks of minutes wait for one another, of which no bound knows.
            assert bound_s > 0.3 * best_s, "a bound that says nothing"
    assert compared


def test_any_prices_prove_a_bound() -> None:
    scenario = tiny({**SMALL, **SWITCHES["cold"]})
    params = build(scenario)
    known = known_future(scenario, params, 0)
    rng = np.random.default_rng(0)
    start = first_prices_s(known)
    key = jax.random.split(jax.random.key(0))[0]
    hosts = jnp.asarray(SEQUENCES.reshape(-1, DECISIONS, USERS))
    best_s = float(np.min(means_s(params, key, hosts)))
    for spread in (0.1, 1.0, 3.0):
        price_s = start * jnp.asarray(10 ** rng.uniform(-spread, spread, start.shape), start.dtype)
        assert float(dual_s(known, price_s)) <= best_s * (1 + 1e-5)
    assert float(dual_s(known, 0 * start)) > 0


ON: dict[str, dict[str, Any]] = {
    "cold": {"migration.kind": "cold"},
    "latency": {"latency.per_hop_s": 0.5},
    "queues": {"queues.enabled": True},
    "shared": {"radio.shared": True},
    "failures": {"failures.enabled": True, "mean_between_s": 10, "mean_repair_s": 4},
}
POLICIES = ("local", "random", "stay", "nearest", "price", "full-information")


@pytest.mark.slow
@settings(max_examples=6)
@given(st.integers(0, 2**31 - 1), st.sets(st.sampled_from(sorted(ON))), st.sampled_from(POLICIES))
def test_below_every_policy(seed: int, on: set[str], name: str) -> None:
    scenario = tiny(
        {"duration_s": 10, "warmup_s": 3} | {k: v for s in on for k, v in ON[s].items()}
    )
    params = build(scenario)
    bound_s = run_bound_s(scenario, params, seed, effort=Effort(0, 30, 10))
    assert bound_s <= cell.run(
        scenario, params, registry.get(name), seed, lambda _: None
    ).mean_s * (1 + 1e-5)


def test_moves_that_cost_and_latency_raise_the_bound() -> None:
    """At the same prices: what costs more can only be more."""
    params = {name: build(tiny({**SMALL, **SWITCHES[name]})) for name in ("nothing", "cold")}
    free, costly = (
        known_future(tiny({**SMALL, **SWITCHES[name]}), params[name], 0) for name in params
    )
    price_s = first_prices_s(free)
    assert float(dual_s(costly, price_s)) >= float(dual_s(free, price_s)) * (1 - 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["nothing", "cold", "few"])
def test_elsewhere_stands_for_all_other_servers(
    switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one server by name and the others as elsewhere the bound is lower, and still says something."""
    few = {"sites.count": 5, "servers.count": 3} if switch == "few" else {}
    scenario = tiny({"duration_s": 10, "warmup_s": 3, **SWITCHES[switch], **few})
    params = build(scenario)
    whole_s = run_bound_s(scenario, params, 0, effort=Effort(0, 40, 20))
    monkeypatch.setattr(future, "MOST_SERVERS", 2)
    monkeypatch.setattr(future, "MOST_NEAR", 1)
    part_s = run_bound_s(scenario, params, 0, effort=Effort(20, 20, 20))
    assert 0.3 * whole_s < part_s <= whole_s * (1 + 1e-3)
    for name in ("stay", "nearest", "price"):
        run = cell.run(scenario, params, registry.get(name), 0, lambda _: None)
        assert part_s <= run.mean_s


def test_what_is_beyond_the_farthest_counts_as_no_farther(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same prices: else all servers that are farther would be none, and the bound too high."""
    scenario = tiny(SMALL)
    params = build(scenario)
    monkeypatch.setattr(future, "MOST_SERVERS", 1)
    monkeypatch.setattr(future, "MOST_NEAR", 1)
    exact = known_future(scenario, params, 0)
    monkeypatch.setattr(future, "_FARTHEST", 0)
    nearer = known_future(scenario, params, 0)
    assert nearer.elsewhere is not None
    assert nearer.elsewhere.most_hops == 0
    price_s = first_prices_s(exact)
    for cheap in (0, 1):
        price = price_s.at[:, cheap].multiply(1e-3)
        assert float(dual_s(nearer, price)) <= float(dual_s(exact, price)) + 1e-4
