"""Base of the trainings by PPO: experience of a batch of worlds, then an improvement, in turn."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree
from pydantic import dataclasses as pydantic_dataclasses

from isma.errors import RunError
from isma.model.vectors import Scales
from isma.training import workload
from isma.training.learner import Learner, Metrics, OnSteps
from isma.training.options import Rate, UserLearnerOptions, Weight
from isma.training.ppo import Evaluate, Ppo, PpoOptions, Sequences
from isma.training.record import TestKey, spread
from isma.training.user_experience import UserExperience, mean_of
from isma.world.scenario import Scenario


@pydantic_dataclasses.dataclass(frozen=True)
class PolicyGradientOptions(UserLearnerOptions, PpoOptions):
    """The network's width, and the amounts of experience and learning."""

    learning_rate: Rate = 3e-3
    clip_norm: Rate = 0.5
    entropy_weight: Weight = 0.01
    """Weight of the policy's entropy at first; it falls to zero over the training."""


class PolicyGradientState(eqx.Module):
    """All that the next round depends on."""

    network: PyTree
    optimiser: Any
    test_key: TestKey


@dataclass(frozen=True)
class PolicyGradientLearner(Learner):
    """Trains an actor-critic on worlds spread over the scenarios."""

    options: PolicyGradientOptions
    scales: Scales

    @staticmethod
    def check_minibatches(scenarios: Sequence[Scenario], options: PolicyGradientOptions) -> None:
        """Refuse minibatches of unequal sizes. Raises RunError, ScenarioError."""
        rows = options.worlds * spread(scenarios, 1).shape.num_users
        if rows % options.minibatches:
            raise RunError(
                f"minibatches must divide worlds times users ({rows}), got {options.minibatches}"
            )

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.epochs * self.options.minibatches

    @property
    @abstractmethod
    def evaluate(self) -> Evaluate:
        """How the network judges decisions."""

    @abstractmethod
    def collect(self, network: Any, explores: bool, key: PRNGKeyArray) -> UserExperience:
        """Experience of this network, by its odds or without exploring."""

    @abstractmethod
    def sequences(self, experience: UserExperience) -> Sequences:
        """Decisions with their rewards."""

    def start(self, key: PRNGKeyArray) -> PolicyGradientState:
        """Random weights."""
        network_key, test_key = jax.random.split(key)
        network = self.frame.make(network_key)
        first = self.descent().first(network)
        return PolicyGradientState(network, first, jax.random.key_data(test_key))

    def advance(
        self, state: PolicyGradientState, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[PolicyGradientState, Metrics]:
        """Act by the policy's odds, and improve it on the experience."""
        live_key, fit_key = jax.random.split(key)
        experience = self.collect(state.network, True, live_key)
        weight = self.options.entropy_weight * (1 - number / self.rounds)
        network, optimiser, terms = Ppo(self.descent(), self.options, self.evaluate).improve(
            *(state.network, state.optimiser, self.sequences(experience)),
            entropy_weight=jnp.asarray(weight),
            key=fit_key,
        )
        on_steps(self.steps_per_round)
        metrics: dict[str, Any] = {
            "explored_mean_s": mean_of(experience.own_s, experience.known),
            "explored_burden_s": mean_of(experience.burden_s, experience.known),
            **terms._asdict(),
        }
        if self.tests_in(number):
            tested = self.collect(network, False, jax.random.wrap_key_data(state.test_key))
            metrics["greedy_mean_s"] = mean_of(tested.own_s, tested.known)
        return PolicyGradientState(network, optimiser, state.test_key), metrics

    @property
    def unit_s(self) -> float:
        """Unit of a reward: one step of the ratio, that is, a tenth of a mean local task."""
        tasks = [workload.mean_cycles(s) / np.mean(s.users.local_hz) for s in self.scenarios]
        return float(np.mean(tasks)) / 10
