"""What is not in an environment's space, or of another type than its option, is refused in one line."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from helpers.small_environments import SMALL, options

from isma.environments import NetworkEnv, ServerEnv, VectorServerEnv
from isma.environments.checks import check_action
from isma.errors import OptionError

USERS, SERVERS = 7, 3


def good() -> dict[str, Any]:
    return {
        "server": np.zeros(USERS, int),
        "offload_tenths": np.full(USERS, 10),
        "cpu_share": np.full(USERS, 0.5, np.float32),
    }


def put(name: str, value: Any, dtype: Any = None) -> dict[str, Any]:
    """The good action with one number, or all, replaced."""
    action = good()
    if dtype is not None:
        action[name] = action[name].astype(dtype)
        action[name][3] = value
    else:
        action[name] = value
    return action


BAD = [
    (
        put("server", 99, int),
        r"action\['server'\] must be whole numbers from 0 to 2, got 99 at \[3\]",
    ),
    (put("server", -5, int), "from 0 to 2, got -5"),
    (put("server", 1.0, float), "must be whole numbers, got an array of float64"),
    (put("server", np.zeros(USERS, bool)), "must be whole numbers, got an array of bool"),
    (put("server", np.zeros(USERS + 1, int)), r"must have shape \(7,\), got \(8,\)"),
    (put("server", 0), r"must have shape \(7,\), got \(\)"),
    (put("server", None), "must be whole numbers, got None"),
    (put("server", [[1], [1, 2]]), "must be whole numbers, got"),
    (put("server", ["a"] * USERS), "must be whole numbers"),
    (put("offload_tenths", 11, int), "from 0 to 10, got 11"),
    (put("cpu_share", np.nan, np.float32), "must be numbers from 0 to 1, got nan"),
    (put("cpu_share", np.inf, float), "from 0 to 1, got inf"),
    (put("cpu_share", -0.1, float), "from 0 to 1, got -0.1"),
    ({**good(), "price": 3}, "unknown name 'price'"),
    ({"server": np.zeros(USERS, int)}, r"must have 'cpu_share', got \['server'\]"),
    (3, "must be a dictionary of cpu_share, offload_tenths, server, got 3"),
    (None, "must be a dictionary"),
]


@pytest.fixture(scope="module")
def env() -> ServerEnv:
    made = ServerEnv(**options())
    made.reset(seed=1)
    return made


@pytest.mark.parametrize(("action", "said"), BAD)
def test_an_action_that_is_not_in_the_space(env: ServerEnv, action: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said) as told:
        env.step(action)
    assert len(str(told.value)) < 500
    assert "\n" not in str(told.value)


def test_actions_of_the_space_are_taken(env: ServerEnv) -> None:
    env.action_space.seed(3)
    check_action(env.action_space, good())
    check_action(env.action_space, {name: value.tolist() for name, value in good().items()})
    for _ in range(20):
        check_action(env.action_space, env.action_space.sample())


def test_a_flat_action() -> None:
    space = ServerEnv(**options(flat=True)).action_space
    check_action(space, space.sample())
    for action in (np.full(space.shape, SERVERS), np.zeros(space.shape), np.zeros(1, int), "no"):
        with pytest.raises(OptionError):
            check_action(space, action)


def test_an_action_of_many_worlds() -> None:
    many = VectorServerEnv(3, **options())
    many.reset(seed=1)
    whole = many.action_space.sample()
    check_action(many.action_space, whole)
    whole["server"][2, 4] = 99
    with pytest.raises(OptionError, match=r"actions\['server'\] .* got 99 at \[2, 4\]"):
        many.step(whole)
    with pytest.raises(OptionError, match=r"must have shape \(3, 7\), got \(7,\)"):
        many.step(good())


def test_an_action_of_one_agent() -> None:
    network = NetworkEnv(overrides=SMALL)
    network.reset(seed=1)
    actions = {agent: good() for agent in network.agents}
    with pytest.raises(OptionError, match=r"server_1's action\['server'\] .* got -5"):
        network.step({**actions, "server_1": put("server", -5, int)})
    with pytest.raises(OptionError, match="unknown agent 'server_7'"):
        network.step({**actions, "server_7": good()})


TYPES = """
import isma
from isma.environments import NetworkEnv, ServerEnv, VectorServerEnv
from isma.errors import IsmaError

def tried(act, *given, **options):
    try:
        act(*given, **options)
        print("taken")
    except IsmaError as error:
        print(error)

small = {"users.count": 7, "sites.count": 3, "duration_s": 20, "warmup_s": 5}
for options in (
    {"flat": "false"}, {"flat": 1}, {"flat": True, "rows": 2.0}, {"server": 1.0}, {"server": "1"},
    {"others": None},
):
    tried(ServerEnv, overrides=small, **options)
one, many = ServerEnv(overrides=small), VectorServerEnv(1, overrides=small)
for seed in (1.5, "3", True, float("nan"), -1, 2**32):
    tried(one.reset, seed=seed)
    tried(many.reset, seed=seed)
tried(NetworkEnv(overrides=small).step, [0])
"""
"""As people run it: without the checks of types that tests put before them."""
SEED = "seed must be a whole number from 0 to 4294967295, got"
SEEDS = [f"{SEED} {seed}" for seed in ("1.5", "'3'", "True", "nan", "-1", "4294967296")]
SAID = [
    "flat must be True or False, got 'false'",
    "flat must be True or False, got 1",
    "rows must be a whole number from 1 to 7, got 2.0",
    "server must be a whole number from 0 to 2, got 1.0",
    "server must be a whole number from 0 to 2, got '1'",
    "others must be a policy's name, got None",
    *(said for seed in SEEDS for said in (seed, seed)),
    "step must be given a dictionary of an action for every agent, got [0]",
]


def test_what_is_of_another_type() -> None:
    told = subprocess.run(
        [sys.executable, "-c", TYPES], capture_output=True, text=True, timeout=600, check=False
    )
    assert told.stdout.splitlines() == SAID, told.stderr


def test_worlds_as_forks_are_refused_at_once() -> None:
    """They hung: JAX's threads are not there in a fork."""
    with pytest.raises(OptionError, match="leave vectorization_mode out") as told:
        gymnasium.make_vec("isma/World-v0", 2, vectorization_mode="async", overrides=SMALL)
    assert "spawn" in str(told.value)


SPAWNED = """
import gymnasium
import isma

if __name__ == "__main__":
    small = {"users.count": 7, "sites.count": 3, "duration_s": 20, "warmup_s": 5}
    worlds = gymnasium.make_vec(
        "isma:isma/World-v0", 2, vectorization_mode="async",
        vector_kwargs={"context": "spawn"}, overrides=small,
    )
    worlds.reset(seed=1)
    worlds.step(worlds.action_space.sample())
    worlds.close()
    print("done")
"""


@pytest.mark.slow
def test_worlds_as_processes_of_their_own_run(tmp_path: Any) -> None:
    script = tmp_path / "worlds.py"
    script.write_text(SPAWNED)
    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=600, check=False
    )
    assert told.stdout == "done\n", told.stderr
