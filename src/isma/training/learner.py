"""Learners: a training in rounds, each of which leaves a state; every trainable model has one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Array, Float, Key, PRNGKeyArray

from isma.errors import RunError
from isma.model import weights
from isma.model.vectors import Scales
from isma.model.weights import NetworkFrame
from isma.training.descent import Descent
from isma.world.scenario import Scenario

Metrics = Mapping[str, float | Float[Array, ""]]
OnSteps = Callable[[int], None]
"""Callback with the updates of a round that are done; it may raise to stop."""


@dataclass(frozen=True)
class Learner(ABC):
    """Training of a network in worlds of the scenarios: a state, advanced round by round.

    A state is a pytree whose `network` is trained.
    """

    frame: NetworkFrame
    scenarios: tuple[Scenario, ...]
    options: Any
    """Options of the training, LearnerOptions or more."""
    scales: Scales | None
    """Units of the network's inputs, where a checkpoint has to know them."""

    def for_steps(self, steps: int) -> "Learner":
        """Learner with `steps` updates in all, in whole rounds. Raises RunError."""
        if steps < 1:
            raise RunError(f"steps must be at least 1, got {steps}")
        rounds = -(-steps // self.steps_per_round)
        return replace(self, options=replace(self.options, rounds=rounds))

    @property
    def rounds(self) -> int:
        """Rounds of a whole training."""
        return self.options.rounds

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.updates

    @property
    def total_steps(self) -> int:
        """Updates of a whole training."""
        return self.rounds * self.steps_per_round

    def descent(self, cosine: bool = False) -> Descent:
        """The training's optimiser."""
        plan = self.options
        return Descent(plan.learning_rate, self.total_steps, plan.clip_norm, cosine)

    def tests_in(self, number: int) -> bool:
        """Whether round `number` ends with a test: the first, some between, and the last do."""
        return number % self.options.test_every == 0 or number == self.rounds - 1

    @abstractmethod
    def start(self, key: PRNGKeyArray) -> Any:
        """State before the first round."""

    @abstractmethod
    def advance(
        self, state: Any, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[Any, Metrics]:
        """State after round `number`, and the round's metrics."""

    def finish(self, state: Any, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the checkpoint that policies load, and return its path. Raises RunError."""
        path = out / f"{self.frame.kind}.safetensors"
        weights.save(path, self.frame, state.network, self.scales, about)
        return path


def in_blocks(
    keys: Key[Array, "updates"], size: int, on_steps: OnSteps
) -> Iterator[Key[Array, "block"]]:
    """Keys of a round's updates in blocks that run as one program, with a word after each."""
    for done in range(0, len(keys), size):
        yield keys[done : done + size]
        on_steps(min(done + size, len(keys)))
