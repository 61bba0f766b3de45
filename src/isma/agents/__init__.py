"""Agents of other libraries as policies, and our worlds for their learners (docs/environments.md)."""

from isma.agents.flat_agent import FlatAgent, from_callable
from isma.agents.stable_baselines3 import StableBaselines3, from_sb3, sb3_worlds
from isma.agents.torchrl import from_torchrl

__all__ = [
    "FlatAgent",
    "StableBaselines3",
    "from_callable",
    "from_sb3",
    "from_torchrl",
    "sb3_worlds",
]
