import warnings
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from helpers.fast_cases import slow_but_for
from helpers.small_environments import SMALL, options
from helpers.small_worlds import new_world

import isma
from isma.environments import ServerEnv
from isma.environments.quantities import reward_unit_s
from isma.environments.registration import identity
from isma.environments.setting import TRAINING_WORLDS
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.world.files import preset_names

LOCAL = {"offload_tenths": np.zeros(7, int), "cpu_share": np.zeros(7, np.float32)}


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        *(("isma/Paper-v0", SMALL), ("isma/World-v0", SMALL)),
        *(
            pytest.param(identity(name), {}, marks=pytest.mark.slow)
            for name in ("world", *preset_names())
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else ("small" if value else "whole"),
)
def test_every_id_passes_gymnasiums_checker(name: str, overrides: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(name, others="local", overrides=overrides).unwrapped)


def test_a_flat_one_passes_too_and_its_module_may_be_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("isma:isma/PaperMigration-v0", **options(flat=True)).unwrapped)


def test_everything_switched_on_is_shown() -> None:
    everything = {
        **SMALL,
        "migration.kind": "precopy",
        "queues.enabled": True,
        "radio.shared": True,
        "failures.enabled": True,
        "clock_range_hz": ["2 GHz", "20 GHz"],
        "observe_position": True,
        "visibility": "full",
    }
    env = ServerEnv("paper", others="local", overrides=everything)
    assert isinstance(env.observation_space, gymnasium.spaces.Dict)
    assert {"wait_s", "backlog_edge_cycles", "bandwidth_hz", "server_hz", "east_m", "host"} <= set(
        env.observation_space
    )
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    assert env.step(env.action_space.sample())[0] in env.observation_space


@pytest.mark.parametrize("flat", slow_but_for([True], [False, True]))
def test_stations_may_be_more_than_servers(flat: bool) -> None:
    """One server at three stations: where users are is told of all three."""
    env = ServerEnv("paper", flat=flat, others="local", overrides={**SMALL, "servers.count": 1})
    same = ServerEnv("paper", flat=flat, others="local", overrides=SMALL)
    env.reset(seed=1)
    observation = env.step(env.action_space.sample())[0]
    assert observation in env.observation_space
    if flat:  # All seven users are rows, each at one of the stations: its last three numbers.
        rows = observation[1:-3].reshape(7, -1)
        np.testing.assert_array_equal(rows[:, -3:].sum(axis=1), rows[:, 0])
        assert np.count_nonzero(rows[:, -3:].any(axis=0)) > 1
    else:
        assert env.observation_space["station"] == same.observation_space["station"]
        assert len(set(observation["station"].tolist())) > 1


def test_a_seed_is_the_world_of_that_seed_with_its_randomness() -> None:
    """With everybody local the learner's world is the one that `isma compare` simulates."""
    scenario = isma.load_scenario("paper", SMALL)
    params, key = build(scenario), jax.random.split(jax.random.key(7))[0]
    env = ServerEnv("paper", **options())
    _, info = env.reset(seed=7)
    assert info["world"] == 7
    first = round(info["time_s"] / scenario.time.tick_s)
    local = registry.get("local")
    memory = local.init(scenario, 7, 3, key)
    ticks = first + 5 * 20
    _, _, outcome = run_chunk(params, local, new_world(params, key), memory, key, ticks)
    for step in range(5):
        stay = {"server": np.zeros(7, int), **LOCAL}
        info = env.step(stay)[4]
        period = np.asarray(outcome.completion_time_s)[first + 20 * step : first + 20 * (step + 1)]
        assert info["world_mean_s"] == pytest.approx(np.nanmean(period), rel=1e-5)


def test_without_a_seed_worlds_come_from_those_for_training() -> None:
    env = ServerEnv("paper", **options())
    worlds = [env.reset(seed=3)[1]["world"], env.reset()[1]["world"], env.reset()[1]["world"]]
    assert worlds[0] == 3
    assert set(worlds[1:]) <= set(TRAINING_WORLDS)
    assert len(set(worlds)) == 3
    again = [env.reset(seed=3)[1]["world"], env.reset()[1]["world"]]
    assert again == worlds[:2]
    assert ServerEnv("paper", **options()).reset()[1]["world"] in TRAINING_WORLDS


def test_an_episode_lasts_as_long_as_whole_periods_fit() -> None:
    env = ServerEnv("paper", **options())
    _, info = env.reset(seed=4)
    steps, over = 0, False
    while not over:
        _, _, ended, over, info = env.step(env.action_space.sample())
        assert not ended
        steps += 1
    assert 20 - 2 < info["time_s"] <= 20
    assert steps in (9, 10)


def test_the_reward_is_minus_the_own_users_mean_in_units_of_a_middling_local_task() -> None:
    # 48·10⁹ cycles at 150 MHz.
    assert reward_unit_s(isma.load_scenario("paper")) == pytest.approx(320)
    env = ServerEnv("paper", **options())
    observation, _ = env.reset(seed=2)
    while not observation["own"].any():
        observation = env.step({"server": np.zeros(7, int), **LOCAL})[0]
    # Alone on their own CPUs: t = f^r / f^L, weighed by how often each has a task.
    own = observation["own"].astype(bool)
    local_s = observation["cycles"][own] / observation["local_hz"][own]
    _, reward, _, _, info = env.step({"server": np.zeros(7, int), **LOCAL})
    assert reward == pytest.approx(-info["mean_s"] / 320, rel=1e-5)
    assert info["mean_s"] == pytest.approx(
        np.average(local_s, weights=1 / observation["interval_s"][own]), rel=0.03
    )
    assert info["own_tasks"] == pytest.approx(np.sum(2 / observation["interval_s"][own]), rel=0.1)


def test_users_go_where_they_are_sent_and_nobody_left_is_no_merit() -> None:
    env = ServerEnv("paper", **options())
    env.reset(seed=2)
    away = {"server": np.full(7, 1), **LOCAL}
    for _ in range(2):  # By the second decision all users have come.
        env.step(away)
    observation, reward, _, _, info = env.step(away)
    assert not observation["own"].any()
    _, reward, _, _, info = env.step(away)
    assert info["own_tasks"] == 0
    assert reward == pytest.approx(-info["world_mean_s"] / env.reward_unit_s, rel=1e-5)


def test_a_share_of_nothing_still_ends() -> None:
    env = ServerEnv("paper", **options())
    env.reset(seed=2)
    action = {
        "server": np.zeros(7, int),
        "offload_tenths": np.full(7, 10),
        "cpu_share": np.zeros(7, np.float32),
    }
    assert np.isfinite(env.step(action)[1])
