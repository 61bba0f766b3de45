"""The paper's planner: what a server remembers, for whom it decides, and what it refuses."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import (
    EVERYTHING,
    SERVERS,
    USERS,
    act,
    at_random,
    first_memory,
    new_world,
    tiny,
)
from helpers.untrained_policies import BUDGET, planner

from isma.errors import PolicyError
from isma.model import vectors
from isma.model.latent import Kind, LatentModel
from isma.model.layers import Dense, Mlp, identity
from isma.planning.cross_entropy import Budget
from isma.policies.learned.checkpoints import budget_of
from isma.policies.learned.cross_entropy_planner import Search
from isma.policies.learned.latent_planner import plan
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk

KEY = jax.random.key(0)


def test_only_acting_servers_remember_and_only_their_users_move() -> None:
    policy, observation = planner(Kind.RLSM), at_random(2)
    one = jnp.arange(SERVERS) == 1
    mine = observation.host == 1
    hidden = eqx.tree_at(
        lambda o: (o.acting, o.due, o.visible, o.decides), observation, (one, one, mine, mine)
    )
    # A memory of zeros stays at zero where nothing was done before: let all decide once.
    _, before = act(policy, first_memory(policy, observation), observation, jax.random.key(1))
    action, after = act(policy, before, hidden, KEY)
    changed = jax.tree.map(
        lambda a, b: np.any(np.asarray(a != b).reshape(SERVERS, -1), axis=1), before, after
    )
    for leaf in jax.tree.leaves(changed.per_server):
        assert not leaf[[0, 2]].any()
    assert all(leaf[1] for leaf in jax.tree.leaves(changed.per_server))
    ratios = np.asarray(after.per_server.action[1][:USERS])
    assert not ratios[mine.sum() :].any()
    np.testing.assert_allclose(
        np.sort(ratios[: mine.sum()]), np.sort(action.offload_ratio[mine]), atol=1e-6
    )


def test_a_newcomer_between_two_periods_is_decided_for_and_changes_no_memory() -> None:
    policy, observation = planner(Kind.RLSM), at_random(3)
    all_due = eqx.tree_at(lambda o: o.decides, observation, jnp.ones(USERS, bool))
    _, settled = act(policy, first_memory(policy, observation), all_due, KEY)
    newcomer = jnp.arange(USERS) == 4
    host = int(observation.host[4])
    asked = eqx.tree_at(
        lambda o: (o.acting, o.due, o.visible, o.decides),
        observation,
        (
            jnp.arange(SERVERS) == host,
            jnp.zeros(SERVERS, bool),
            observation.host == host,
            newcomer,
        ),
    )
    action, after = act(policy, settled, asked, jax.random.key(9))
    jax.tree.map(np.testing.assert_array_equal, settled.per_server, after.per_server)
    assert float(action.cpu_share[4]) > 0


def likes_offloading(model: LatentModel) -> LatentModel:
    """SLSM whose only memory is the sum of the offload ratios, and whose reward is that."""
    sizes = dataclasses.replace(model.sizes, latent=1)
    ratios = jnp.zeros(1 + model.sizes.action).at[1 : 1 + USERS].set(1)[:, None]
    head = lambda head, weight: dataclasses.replace(  # noqa: E731
        head,
        hidden=Mlp((Dense(weight, jnp.zeros(1)),), (identity,)),
        mean=Dense(jnp.full((1, 1), 0.1), jnp.zeros(1)),
        std=Dense(jnp.zeros((1, 1)), jnp.full(1, -20.0)),
    )
    reward = Mlp((Dense(jnp.ones((1, USERS)), jnp.zeros(USERS)),), (identity,))
    return dataclasses.replace(
        model, transition=head(model.transition, ratios), reward_model=reward, sizes=sizes
    )


def test_it_finds_what_its_model_rewards() -> None:
    """Own users are sent off wholly; the codes of others stay where chance leaves them."""
    made = planner(Kind.SLSM)
    model = likes_offloading(made.model)
    own = jnp.arange(USERS) < 4
    search = Search(Budget(300, 20, 1, 30))
    found = plan(search, made.frame, model, model.start(), own, jnp.ones(USERS), KEY)
    ratio_code = np.asarray(found.mean[0].reshape(USERS, 3)[:, 1])
    last_bin = 1.34  # Φ(1.34) = 10 / 11.
    assert np.all(ratio_code[:4] > last_bin)
    assert np.all(np.abs(ratio_code[4:]) < last_bin)


@pytest.mark.parametrize("world", slow_but_for(["everything"], ["paper", "everything"]))
def test_it_runs_in_a_world(world: str) -> None:
    policy, switches = planner(Kind.RLSM), EVERYTHING if world == "everything" else {}
    params = build(tiny(switches))
    memory = policy.init(tiny(), USERS, SERVERS, KEY)
    state, _, outcome = run_chunk(params, policy, new_world(params, KEY), memory, KEY, 60)
    times = np.asarray(outcome.completion_time_s)
    assert np.isfinite(times[~np.isnan(times)]).all()
    assert int(state.tick) == 60


def test_worlds_that_do_not_fit_are_refused() -> None:
    policy = planner(Kind.RLSM)
    with pytest.raises(PolicyError, match="for 7 users and 3 servers, and paper has 40 and 6"):
        policy.init(tiny(), 40, 6, KEY)
    with pytest.raises(PolicyError, match="visibility must be server"):
        policy.init(tiny({"visibility": "user"}), USERS, SERVERS, KEY)


def test_budgets_by_name() -> None:
    assert budget_of("paper").latent_steps == 2_211_000
    assert budget_of("12x1x2x3") == BUDGET
    for text in ("big", "1x2x3", "10x1x1x10"):
        with pytest.raises(PolicyError):
            budget_of(text)


def test_every_server_plans_with_its_own_model() -> None:
    policy = planner(Kind.RLSM, separate=True)
    same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), policy.model)
    observation = at_random(5)
    memory = first_memory(policy, observation)
    one = act(policy, memory, observation, KEY)[0]
    other = act(dataclasses.replace(policy, model=same), memory, observation, KEY)[0]
    differ = np.asarray(one.cpu_share != other.cpu_share)
    assert not differ[np.asarray(observation.host == 0)].any()
    assert differ[np.asarray(observation.host != 0)].any()
    assert vectors.action_size(USERS, SERVERS) == memory.per_server.action.shape[1]
