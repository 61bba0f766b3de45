from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from helpers.small_environments import options

import isma  # noqa: F401  # registers the ids
from isma.environments import ServerEnv, VectorServerEnv
from isma.errors import OptionError

WORLDS = 3


def same(ours: Any, theirs: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "flat", "others"),
    [
        (AutoresetMode.NEXT_STEP, False, "local"),
        pytest.param(AutoresetMode.SAME_STEP, True, "nearest", marks=pytest.mark.slow),
        pytest.param(AutoresetMode.NEXT_STEP, False, "nearest", marks=pytest.mark.slow),
    ],
)
def test_each_world_goes_as_it_would_alone(mode: AutoresetMode, flat: bool, others: str) -> None:
    """Through the end of episodes, beside Gymnasium's own loop over single environments."""
    ours = gymnasium.make_vec(
        "isma/Paper-v0",
        num_envs=WORLDS,
        autoreset_mode=mode.value,
        **options(flat=flat, others=others),
    )
    assert isinstance(ours, VectorServerEnv)
    assert ours.metadata["autoreset_mode"] is mode
    alone = [lambda: ServerEnv("paper", **options(flat=flat, others=others))] * WORLDS
    theirs = SyncVectorEnv(alone, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    begun, expected = ours.reset(seed=5), theirs.reset(seed=5)
    same(begun[0], expected[0])
    ours.action_space.seed(1)
    over = 0
    for _ in range(13):
        action = ours.action_space.sample()
        got, wanted = ours.step(action), theirs.step(action)
        same(got[:4], wanted[:4])
        assert got[0] in ours.observation_space
        over += got[3].sum()
        for name in ("world", "time_s", "mean_s", "own_tasks"):
            mask = wanted[4].get(f"_{name}", np.zeros(WORLDS, bool))
            np.testing.assert_array_equal(got[4][f"_{name}"], mask)
            if mask.any():
                np.testing.assert_allclose(got[4][name][mask], wanted[4][name][mask], rtol=1e-5)
        if mode is AutoresetMode.SAME_STEP and got[3].any():
            same(list(got[4]["final_obs"]), list(wanted[4]["final_obs"]))
            last = got[4]["final_info"]["mean_s"]
            np.testing.assert_allclose(
                last[got[3]], wanted[4]["final_info"]["mean_s"][got[3]], 1e-5
            )
    assert over == WORLDS


def test_worlds_are_begun_anew_by_hand_where_that_is_asked_for() -> None:
    env = VectorServerEnv(WORLDS, "paper", **options(autoreset_mode="Disabled"))
    _, info = env.reset(seed=[4, 9, 2])
    np.testing.assert_array_equal(info["world"], [4, 9, 2])
    over = np.zeros(WORLDS, bool)
    while not over.any():
        _, _, _, over, info = env.step(env.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset_mask"):
        env.step(env.action_space.sample())
    before = info["time_s"]
    _, info = env.reset(seed=[None, 8, None], options={"reset_mask": over})
    np.testing.assert_array_equal(info["time_s"][~over], before[~over])
    assert (info["time_s"][over] < 2).all()
    assert info["world"][1] == (8 if over[1] else 9)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(OptionError, match="num_envs must be a whole number of 1 or more, got 0"):
        VectorServerEnv(0)
    with pytest.raises(OptionError, match="NextStep, SameStep, Disabled, got 'later'"):
        VectorServerEnv(2, autoreset_mode="later")
    env = VectorServerEnv(WORLDS, "paper", **options())
    with pytest.raises(OptionError, match="one entry for each of 3 worlds, got 2"):
        env.reset(seed=[1, 2])
    with pytest.raises(OptionError, match="seed must be a whole number from 0"):
        env.reset(seed=2**32 - 2)
    with pytest.raises(OptionError, match="reset_mask must be an array of 3 booleans"):
        env.reset(options={"reset_mask": [True]})
