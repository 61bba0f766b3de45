"""Agents of PyTorch's libraries, where those are installed: odds as theirs, from memory and from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_environments import SMALL

from isma import agents
from isma.errors import PolicyError
from isma.policies import registry
from isma.world import files

SERVERS, ROWS = 3, 6
SCENARIO = files.load("paper", SMALL)


def seen(agent: agents.FlatAgent, number: int = 4) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.random((number, agent.coding.numbers)).astype(np.float32)


@pytest.mark.slow
def test_a_model_of_stable_baselines3_decides_by_its_own_odds(tmp_path: Path) -> None:
    library = pytest.importorskip("stable_baselines3", reason="pip install '.[rl]'")
    worlds = agents.sb3_worlds(2, SCENARIO, others="local", server=None, reward="world")
    model = library.PPO("MlpPolicy", worlds, n_steps=4, batch_size=8, device="cpu", seed=1)
    model.learn(8)
    agent = agents.from_sb3(model, SCENARIO)
    found = agent.answer(seen(agent))
    assert found.shape == (4, ROWS, SERVERS)
    likeliest, _ = model.predict(seen(agent), deterministic=True)
    np.testing.assert_array_equal(found.argmax(axis=-1), likeliest)
    path = tmp_path / "ppo.zip"
    model.save(path)
    scenario = tmp_path / "small.toml"
    scenario.write_text(files.dumps(SCENARIO))
    named = f"isma.agents:StableBaselines3:model={path}:scenario={scenario}"
    again: Any = registry.get(named)
    np.testing.assert_allclose(again.answer(seen(agent)), found, atol=1e-6)
    assert registry.identity(named)["files"]["model"]
    path.write_bytes(b"no model")
    with pytest.raises(PolicyError, match="cannot be read as a model of PPO"):
        registry.get(named)


@pytest.mark.slow
def test_a_module_of_pytorch_gives_odds_or_servers() -> None:
    torch = pytest.importorskip("torch", reason="pip install '.[rl]'")
    size = agents.from_callable(lambda seen: np.zeros((len(seen), ROWS), int), SCENARIO)
    module = torch.nn.Linear(size.coding.numbers, ROWS * SERVERS)
    agent = agents.from_torchrl(module, SCENARIO)
    assert agent.gives_odds
    found = agent.answer(seen(agent))
    expected = module(torch.as_tensor(seen(agent))).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(PolicyError, match="a module of PyTorch is needed, got a int"):
        agents.from_torchrl(3, SCENARIO)


@pytest.mark.slow
def test_a_module_of_torchrl_is_read_by_its_keys() -> None:
    torch = pytest.importorskip("torch", reason="pip install '.[rl]'")
    nn = pytest.importorskip("tensordict.nn", reason="pip install torchrl")
    size = agents.from_callable(lambda seen: np.zeros((len(seen), ROWS), int), SCENARIO)
    linear = torch.nn.Linear(size.coding.numbers, ROWS * SERVERS)
    module = nn.TensorDictModule(linear, in_keys=["observation"], out_keys=["logits"])
    agent = agents.from_torchrl(module, SCENARIO)
    expected = linear(torch.as_tensor(seen(agent))).detach().numpy()
    np.testing.assert_allclose(agent.answer(seen(agent)), expected, atol=1e-6)
    other = nn.TensorDictModule(linear, in_keys=["pixels"], out_keys=["logits"])
    with pytest.raises(PolicyError, match="must read 'observation' alone"):
        agents.from_torchrl(other, SCENARIO)
