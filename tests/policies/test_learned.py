"""The checkpoints in the package: all there, whole, and for the preset that they are said to be for."""

import json

import jax
import pytest

from isma.model import checkpoint
from isma.model.latent import Kind
from isma.policies import registry
from isma.policies.learned import checkpoints
from isma.world import files

PAPER = files.load("paper")


@pytest.mark.parametrize("name", registry.LEARNED)
def test_every_learned_policy_is_ready_for_the_papers_world(name: str) -> None:
    policy = registry.get(name)
    memory = policy.init(PAPER, PAPER.users.count, 6, jax.random.key(0))
    for leaf in jax.tree.leaves(memory.per_server):
        assert leaf.shape[0] == 6
    for leaf in jax.tree.leaves(memory.per_user):
        assert leaf.shape[0] == PAPER.users.count


def test_isma2_tells_how_to_train_again() -> None:
    told = checkpoint.about(checkpoints.ISMA2)
    assert told["config"]["model"] == "isma2"
    assert len(told["config"]["scenarios"]) > 12
    assert told["metrics"]["step"] == told["config"]["steps"]


@pytest.mark.parametrize("name", [*Kind, "dqn", "drac", "ippo", "mappo"])
def test_a_sidecar_tells_how_to_train_again(name: str) -> None:
    told = checkpoint.about(checkpoints.SHIPPED / f"{name}.safetensors")
    assert told["config"]["model"] == name
    assert told["config"]["scenarios"][0].startswith('name = "paper"')
    assert told["metrics"]["step"] == told["config"]["steps"]
    assert {"isma", "seed", "sha256", "format"} <= set(told)
    assert json.dumps(told)
