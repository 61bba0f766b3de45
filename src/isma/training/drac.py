"""Training of the recurrent actor-critic: experience of a batch of worlds, an improvement by PPO, in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from pydantic import dataclasses as pydantic_dataclasses

from isma.errors import RunError
from isma.model import vectors
from isma.model.actor_critic import ActorCritic
from isma.model.vectors import Scales
from isma.policies.learned.drac import Drac, DracFrame
from isma.training import workload
from isma.training.learner import Learner, Metrics, OnSteps
from isma.training.options import Rate, UserLearnerOptions, Weight
from isma.training.ppo import Ppo, PpoOptions, Sequences
from isma.training.record import TestKey, spread
from isma.training.user_experience import UserExperience, collect_users, mean_of
from isma.world.scenario import Scenario


@pydantic_dataclasses.dataclass(frozen=True)
class DracOptions(UserLearnerOptions, PpoOptions):
    """The network's width, and the amounts of experience and learning."""

    learning_rate: Rate = 3e-3
    clip_norm: Rate = 0.5
    entropy_weight: Weight = 0.01
    """Weight of the policy's entropy at first; it falls to zero over the training."""
    burden_weight: Weight = 1.0
    """Weight of the delay that a user causes to others beside its own."""


class DracState(eqx.Module):
    """All that the next round depends on."""

    network: ActorCritic
    optimiser: Any
    test_key: TestKey


@dataclass(frozen=True)
class DracLearner(Learner):
    """Trains the actor-critic on worlds spread over the scenarios."""

    frame: DracFrame
    options: DracOptions
    scales: Scales

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: DracOptions) -> "DracLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError for uneven minibatches."""
        rows = options.worlds * spread(scenarios, 1).shape.num_users
        if rows % options.minibatches:
            raise RunError(
                f"minibatches must divide worlds times users ({rows}), got {options.minibatches}"
            )
        frame = DracFrame(options.width)
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.epochs * self.options.minibatches

    def start(self, key: PRNGKeyArray) -> DracState:
        """Random weights."""
        network_key, test_key = jax.random.split(key)
        network = self.frame.make(network_key)
        return DracState(network, self.descent().first(network), jax.random.key_data(test_key))

    def advance(
        self, state: DracState, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[DracState, Metrics]:
        """Act by the policy's odds, and improve it on the experience."""
        live_key, fit_key = jax.random.split(key)
        experience = self._collect(state.network, True, live_key)
        weight = self.options.entropy_weight * (1 - number / self.rounds)
        network, optimiser, terms = self._ppo.improve(
            *(state.network, state.optimiser, self._sequences(experience)),
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
            tested = self._collect(network, False, jax.random.wrap_key_data(state.test_key))
            metrics["greedy_mean_s"] = mean_of(tested.own_s, tested.known)
        return DracState(network, optimiser, state.test_key), metrics

    def _collect(self, network: ActorCritic, explores: bool, key: PRNGKeyArray) -> UserExperience:
        policy = Drac(network, self.scales, jnp.asarray(explores))
        return collect_users(self.scenarios, policy, self.options.worlds, self.options.periods, key)

    def _sequences(self, experience: UserExperience) -> Sequences:
        cost_s = experience.own_s + self.options.burden_weight * experience.burden_s
        return Sequences(experience.turns, -cost_s / self._unit_s, experience.known)

    @property
    def _unit_s(self) -> float:
        """Unit of a reward: one step of the ratio, that is, a tenth of a mean local task."""
        tasks = [workload.mean_cycles(s) / np.mean(s.users.local_hz) for s in self.scenarios]
        return float(np.mean(tasks)) / 10

    @property
    def _ppo(self) -> Ppo:
        return Ppo(self.descent(), self.options)
