import gymnasium
import numpy as np
import pytest
from helpers.small_environments import SMALL

import isma
from isma.environments import NetworkEnv
from isma.errors import OptionError

GROUND = (255, 255, 254)


def test_a_picture_shows_users_in_the_colours_of_their_servers() -> None:
    env = isma.parallel_env("paper", SMALL)
    env.render_mode = "rgb_array"
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.render()
    env.reset(seed=3)
    first = env.render()
    assert first.shape == (480, 480, 3)
    assert first.dtype == np.uint8
    assert tuple(first[0, 0]) == GROUND
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)):
        assert (first == colour).all(axis=-1).sum() > 50
    for _ in range(20):
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    assert (env.render() != first).any(axis=-1).sum() > 100


def test_a_mode_that_is_none_is_refused_and_none_draws_nothing() -> None:
    with pytest.raises(OptionError, match="render_mode must be rgb_array, or None, got 'human'"):
        NetworkEnv("paper", overrides=SMALL, render_mode="human")
    env = NetworkEnv("paper", overrides=SMALL)
    env.reset(seed=0)
    assert env.render() is None
