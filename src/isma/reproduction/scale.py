"""How much of the paper's effort a reproduction spends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Everything that is less than the paper's, and can be."""

    name: str
    points: tuple[int, ...]
    """Which of a figure's six x values."""
    seeds: int
    """Worlds that every policy meets at every x."""
    duration_s: float
    warmup_s: float
    budget: str
    """The planner's budget, as policies take it."""
    steps: Mapping[str, int]
    """Updates of each model's training."""
    options: Mapping[str, Mapping[str, Any]]
    """Options of each model's training."""
    planner_budgets: tuple[str, ...]
    """Budgets of learned and known models in closed loop (isma.reproduction.planner)."""
    budgets: Mapping[str, int]
    """Budgets of the planner that are set against each other, and the states that each meets."""
    note: str
    """Purpose of the scale."""

    @property
    def world(self) -> dict[str, Any]:
        """Fields of a scenario that it sets."""
        return {"time.duration_s": self.duration_s, "time.warmup_s": self.warmup_s}


_LATENT = ("rlsm", "slsm", "dlsm")
_FEW = {
    "random_worlds": 6,
    "scattered_worlds": 6,
    "planned_worlds": 2,
    "test_worlds": 2,
    "test_every": 100,
    "periods": 8,
    "length": 4,
}
_TINY = {
    **dict.fromkeys(_LATENT, _FEW),
    "dqn": {"updates": 20, "worlds": 4, "periods": 3},
    "drac": {"epochs": 1, "minibatches": 4, "worlds": 4, "periods": 3},
}
_EACH_OF_24 = {"random_worlds": 24, "scattered_worlds": 96, "test_worlds": 24}
"""The figures have 24 x values: each is in five of a round's explored worlds, and tested once."""
_ONE_STEP = ("32x10x0x4", "100x10x0x10", "200x10x0x20", "400x25x0x40", "1000x20x0x100")
_BUDGETS = ("16x1x10x4", "64x4x10x8", "200x10x10x20", "400x25x10x40")

SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            points=(0, 5),
            seeds=2,
            duration_s=30.0,
            warmup_s=14.0,
            budget="16x1x2x4",
            steps={**dict.fromkeys(_LATENT, 20), "dqn": 20, "drac": 4},
            options=_TINY,
            planner_budgets=("8x1x0x3", "16x1x0x4"),
            budgets={"8x1x2x3": 2, "16x1x2x4": 2},
            note="shows that everything runs; its figures mean nothing",
        ),
        Scale(
            name="reduced",
            points=(0, 1, 2, 3, 4, 5),
            seeds=5,
            duration_s=300.0,
            warmup_s=60.0,
            budget="default",
            steps={**dict.fromkeys(_LATENT, 27_000), "dqn": 12_000, "drac": 1920},
            options=dict.fromkeys(_LATENT, _EACH_OF_24),
            planner_budgets=_ONE_STEP,
            budgets=dict.fromkeys([*_BUDGETS, "paper"], 64),
            note="for two cores and some hours",
        ),
        Scale(
            name="full",
            points=(0, 1, 2, 3, 4, 5),
            seeds=8,
            duration_s=600.0,
            warmup_s=60.0,
            budget="paper",
            steps={**dict.fromkeys(_LATENT, 90_000), "dqn": 24000, "drac": 3840},
            options=dict.fromkeys(_LATENT, _EACH_OF_24),
            planner_budgets=(*_ONE_STEP, "paper"),
            budgets=dict.fromkeys([*_BUDGETS, "paper"], 64),
            note="the paper's x values, run length and budget; for a GPU",
        ),
    )
}
