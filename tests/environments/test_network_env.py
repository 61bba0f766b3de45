import jax
import numpy as np
import pytest
from helpers.small_environments import SMALL
from pettingzoo.test import parallel_api_test, parallel_seed_test

import isma
from isma.environments import NetworkEnv
from isma.errors import OptionError


@pytest.mark.parametrize("flat", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_passes_pettingzoos_checks(flat: bool) -> None:
    make = lambda: isma.parallel_env("paper", SMALL, flat=flat)  # noqa: E731
    parallel_api_test(make(), num_cycles=250)
    parallel_seed_test(make, num_cycles=40)


def test_only_those_that_act_decide_and_only_for_their_own() -> None:
    """Whatever the others say, the world goes on as it did."""
    one, other = (isma.parallel_env("paper", SMALL) for _ in range(2))
    seen, infos = one.reset(seed=6)
    other.reset(seed=6)
    acted = 0
    for _ in range(60):
        said = {agent: one.action_space(agent).sample() for agent in one.agents}
        noise = {agent: other.action_space(agent).sample() for agent in one.agents}
        heard = {}
        for agent in one.agents:
            decides = seen[agent]["decides"].astype(bool)
            assert not decides[~seen[agent]["own"].astype(bool)].any()
            assert infos[agent]["acts"] or not decides.any()
            acted += decides.any()
            heard[agent] = {
                name: np.where(decides, said[agent][name], noise[agent][name])
                for name in said[agent]
            }
        seen, rewards, _, _, infos = one.step(said)
        again, rewarded, _, _, _ = other.step(heard)
        assert rewards == pytest.approx(rewarded)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), seen, again)
    assert acted > 3


def test_all_see_the_same_world_as_one_learner_does() -> None:
    agents, _ = isma.parallel_env("paper", SMALL).reset(seed=3)
    own = np.stack([agent["own"] for agent in agents.values()])
    assert own.sum(axis=0).max() <= 1
    env = NetworkEnv("paper", overrides=SMALL)
    worlds = [env.reset(seed=3)[1]["server_0"]["world"], env.reset()[1]["server_0"]["world"]]
    assert worlds[0] == 3
    assert worlds[1] != 3


def test_an_action_is_needed_from_everyone() -> None:
    env = isma.parallel_env("paper", SMALL)
    env.reset(seed=0)
    with pytest.raises(OptionError, match="for every agent, none for server_0"):
        env.step({})
