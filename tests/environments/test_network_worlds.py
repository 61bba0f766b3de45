"""Many worlds as pure functions: the same worlds as the PettingZoo environment's, tick by tick."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_environments import SMALL

import isma
from isma.environments import NetworkWorlds
from isma.errors import OptionError

WORLDS, TICKS = 2, 25
SEED = 7


def test_every_world_is_that_of_the_environment_for_one() -> None:
    many, one = (
        NetworkWorlds("paper", overrides=SMALL),
        isma.parallel_env("paper", SMALL, flat=True),
    )
    shape = (TICKS, WORLDS, many.num_agents, *many.action_space.shape)
    told = np.random.default_rng(0).integers(0, many.num_agents, shape)
    state, observation, acts = many.reset(many.seeds(SEED, WORLDS))
    seen, infos = one.reset(seed=SEED + 1)
    decided = 0
    for actions in told:
        for number, agent in enumerate(one.possible_agents):
            np.testing.assert_allclose(observation[1, number], seen[agent], atol=1e-5)
            assert bool(acts[1, number]) == infos[agent]["acts"]
            assert many.observation_space.contains(np.asarray(observation[1, number]))
            decided += infos[agent]["acts"]
        state, found = many.step(state, actions)
        observation, acts = found.observation, found.acts
        seen, rewards, _, over, infos = one.step(
            dict(zip(one.possible_agents, actions[1], strict=True))
        )
        np.testing.assert_allclose(found.reward[1], list(rewards.values()), rtol=1e-5)
        assert bool(found.over[1]) == over["server_0"]
    assert decided > 5
    assert not np.allclose(observation[0], observation[1])


def test_it_runs_inside_a_program_until_all_are_over() -> None:
    many = NetworkWorlds("paper", overrides={**SMALL, "duration_s": 2, "warmup_s": 0})
    start, _, _ = many.reset([3, 4])
    nothing = jnp.zeros((2, many.num_agents, *many.action_space.shape), jnp.int32)

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda state, _: many.step(state, nothing), state, None, length=20)

    after, found = run(start)
    assert after.state.tick.tolist() == [20, 20]
    assert found.over.sum(axis=0).tolist() == [1, 1]
    assert found.over[-1].all()
    assert int(found.own_tasks.sum()) > 0
    assert float(found.world_mean_s.max()) > 0


def test_odd_seeds_are_refused() -> None:
    many = NetworkWorlds("paper", overrides=SMALL)
    with pytest.raises(OptionError, match="num_worlds must be at least 1, got 0"):
        many.seeds(0, 0)
    with pytest.raises(OptionError, match="seed must be a whole number"):
        many.seeds(-1, 2)
