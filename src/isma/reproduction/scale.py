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
    note: str
    """What it is for."""

    @property
    def world(self) -> dict[str, Any]:
        """Fields of a scenario that it sets."""
        return {"time.duration_s": self.duration_s, "time.warmup_s": self.warmup_s}


_TINY = {"random_worlds": 6, "planned_worlds": 1, "held_out_worlds": 6, "periods": 8, "length": 4}
_LATENT = ("rlsm", "slsm", "dlsm")

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
            steps={**dict.fromkeys(_LATENT, 20), "dqn": 20},
            options=dict.fromkeys(_LATENT, _TINY),
            note="shows that everything runs; its figures mean nothing",
        ),
        Scale(
            name="reduced",
            points=(0, 2, 5),
            seeds=4,
            duration_s=144.0,
            warmup_s=24.0,
            budget="default",
            steps={"rlsm": 1600, "slsm": 2400, "dlsm": 1600, "dqn": 1600},
            options={},
            note="for two cores and two and a half hours",
        ),
        Scale(
            name="full",
            points=(0, 1, 2, 3, 4, 5),
            seeds=8,
            duration_s=600.0,
            warmup_s=60.0,
            budget="paper",
            steps={"rlsm": 12000, "slsm": 12000, "dlsm": 12000, "dqn": 12000},
            options={},
            note="the paper's x values, run length and budget; for a GPU",
        ),
    )
}
