from typing import Any

import gymnasium
import pytest
from helpers.small_environments import SMALL

import isma
from isma.environments import ServerEnv
from isma.errors import IsmaError, OptionError, PolicyError, ScenarioError

WRONG: list[tuple[dict[str, Any], type[IsmaError], str]] = [
    ({"server": 6}, OptionError, "server must be a whole number from 0 to 5, got 6"),
    ({"server": -1}, OptionError, "from 0 to 5, got -1"),
    ({"others": "prize"}, PolicyError, "did you mean 'price'"),
    ({"overrides": {"sped_mps": 3}}, ScenarioError, "did you mean 'speed_mps'"),
    ({"overrides": {"users.count": -3}}, ScenarioError, "users.count must be greater than 0"),
    ({"overrides": {"visibility": "user"}}, ScenarioError, 'must be "server" or "full"'),
    (
        {"overrides": {"duration_s": 3, "warmup_s": 0}},
        ScenarioError,
        r"at least two decision periods \(4\)",
    ),
    ({"rows": 3}, OptionError, "rows must not be given without flat=True, got 3"),
    ({"flat": True, "rows": 41}, OptionError, r"from 1 to 40, got 41"),
    ({"scenario": "papper"}, ScenarioError, "did you mean 'paper'"),
]


@pytest.mark.parametrize(("options", "kind", "said"), WRONG)
def test_a_mistake_is_said_in_a_line(
    options: dict[str, Any], kind: type[IsmaError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        gymnasium.make("isma/Paper-v0", **options)


def test_a_seed_has_an_end() -> None:
    with pytest.raises(OptionError, match="seed must be a whole number from 0 to 4294967295"):
        ServerEnv("paper", overrides=SMALL).reset(seed=2**32)


def test_a_step_needs_a_reset() -> None:
    env = ServerEnv("paper", overrides=SMALL)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(env.action_space.sample())


def test_a_scenario_may_be_a_file_or_loaded(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[users]\ncount = 4\n[sites]\ncount = 3\n")
    for source in (path, str(path), isma.load_scenario(path)):
        env = gymnasium.make("isma/World-v0", scenario=source, overrides={"duration_s": 100})
        assert env.unwrapped.scenario.time.duration_s == 100
        assert env.action_space["server"].nvec.tolist() == [3] * 4
