"""Learned policies of a reproduction: the training that each needs, and how it is named in a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRICE_S = 30.0
"""Price on shares requested from other servers: ours, not the paper's (docs/decisions/0031)."""
PLANNERS = ("isma", "slsm", "dlsm")
"""The paper's algorithm and its two ablations."""
DQN, LITERAL = "dqn", "dqn:literal"
"""The two readings of the paper's DQN (docs/decisions/0032)."""


@dataclass(frozen=True)
class ModelTraining:
    """A model to be trained, and its folder."""

    name: str
    """Folder of the training."""
    model: str
    """As `isma train` knows it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options in addition to those of the scale."""


@dataclass(frozen=True)
class Contender:
    """A policy that decides with a trained model."""

    name: str
    """Name in tables: the policy's name with its distinguishing options."""
    training: ModelTraining
    option: str = "checkpoint"
    """The policy's option that takes the weights."""

    def spec(self, checkpoint: Path, budget: str) -> str:
        """The policy as it is typed, with these weights and, if it plans, this budget."""
        plans = self.name.split(":")[0] in PLANNERS
        return f"{self.name}:{self.option}={checkpoint}" + (f":budget={budget}" if plans else "")


def priced(planner: str) -> str:
    """A planner's name when it pays for shares requested from other servers."""
    return f"{planner}:remote_price_s={PRICE_S:g}"


_MODELS = {
    name: ModelTraining(model, model)
    for name, model in zip(PLANNERS, ("rlsm", "slsm", "dlsm"), strict=True)
}
CONTENDERS = (
    *(Contender(name, training) for name, training in _MODELS.items()),
    *(Contender(priced(name), training) for name, training in _MODELS.items()),
    Contender(DQN, ModelTraining("dqn", "dqn")),
    Contender(
        LITERAL, ModelTraining("dqn-literal", "dqn", {"literal": True}), "literal_checkpoint"
    ),
    Contender("drac", ModelTraining("drac", "drac")),
)
"""The paper's policies, the planners with a price, and a stronger learned one."""
