"""Contenders of a reproduction: each spec is a policy with the weights that were trained for it."""

from pathlib import Path

import pytest

from isma.contract import Policy
from isma.policies import registry
from isma.policies.learned.checkpoints import SHIPPED
from isma.policies.learned.dqn import Dqn
from isma.policies.learned.latent_planner import LatentPlanner
from isma.reproduction.contenders import CONTENDERS, Contender


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.name)
def test_a_contender_takes_the_weights_of_its_training(
    contender: Contender, tmp_path: Path
) -> None:
    name = contender.training.name
    for suffix in ("safetensors", "json"):
        (tmp_path / f"{name}.{suffix}").write_bytes((SHIPPED / f"{name}.{suffix}").read_bytes())
    policy = registry.get(contender.spec(tmp_path / f"{name}.safetensors", "8x1x0x4"))
    assert isinstance(policy, Policy)
    if isinstance(policy, Dqn):
        assert policy.literal is (name == "dqn-literal")
    if isinstance(policy, LatentPlanner):
        assert policy.search.budget.candidates == 8
        assert policy.search.remote_price_s == (30 if "price" in contender.name else 0)
