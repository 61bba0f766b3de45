"""Training of DQN (Mnih et al., Nature 2015): ε-greedy experience, a replay buffer, Q-learning from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from pydantic import dataclasses as pydantic_dataclasses

from isma.model import vectors
from isma.model.layers import Mlp
from isma.model.vectors import Scales
from isma.planning import action_grid
from isma.policies.learned.dqn import Dqn, DqnFrame, network_input
from isma.training import workload
from isma.training.learner import Learner, Metrics, OnSteps, in_blocks
from isma.training.options import Part, Positive, UserLearnerOptions
from isma.training.q_learning import QLearning
from isma.training.record import TestKey, spread
from isma.training.replay import Replay, Steps
from isma.training.user_experience import UserExperience, collect_users, mean_of
from isma.world.scenario import Scenario

_BLOCK = 50
"""Updates that run as one program."""


@pydantic_dataclasses.dataclass(frozen=True)
class DqnOptions(UserLearnerOptions):
    """The network's width, and the amounts of experience and learning."""

    kept_rounds: Positive = 8
    """Rounds that the replay holds."""
    updates: Positive = 200
    """Updates in each round; after them the target network is renewed."""
    batch: Positive = 512
    """Transitions in an update."""
    explore_last: Part = 0.05
    """ε at the end."""
    explore_fall: Part = 0.5
    """Part of the training over which ε falls from 1 to that."""
    literal: bool = False
    """Whether requests are decided on by themselves, for the reward that the latent models learn
    from: one number for all users of a round (docs/decisions/0032)."""
    discount: Part = 0.5
    """γ, for each decision."""
    width: Positive = 128


class DqnState(eqx.Module):
    """All that the next round depends on."""

    network: Mlp
    """The network; at the beginning of a round it is also the target network of its updates."""
    optimiser: Any
    kept: Replay
    test_key: TestKey


@dataclass(frozen=True)
class DqnLearner(Learner):
    """Trains DQN on worlds spread over the scenarios."""

    frame: DqnFrame
    options: DqnOptions
    scales: Scales
    num_users: int

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: DqnOptions) -> "DqnLearner":
        """A learner for worlds with these scenarios' servers. Raises ScenarioError."""
        shape = spread(scenarios, 1).shape
        frame = DqnFrame(shape.num_servers, options.width, options.literal)
        scales = vectors.scales(scenarios)
        return cls(frame, tuple(scenarios), options, scales, shape.num_users)

    def start(self, key: PRNGKeyArray) -> DqnState:
        """Random weights and nothing kept."""
        network_key, test_key = jax.random.split(key)
        network, plan = self.frame.make(network_key), self.options
        like = Steps.blank(plan.worlds * self.num_users, plan.periods, self.frame.inputs)
        kept = Replay.blank(plan.kept_rounds, like)
        optimiser = self.descent().first(network)
        return DqnState(network, optimiser, kept, jax.random.key_data(test_key))

    def advance(
        self, state: DqnState, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[DqnState, Metrics]:
        """Act, keep the experience, and learn from all that is kept."""
        plan = self.options
        live_key, fit_key = jax.random.split(key)
        experience = self._collect(state.network, self._explore(number), live_key)
        kept = state.kept.add(jax.tree.map(lambda leaf: leaf[None], self._steps(experience)))
        network, optimiser, loss = state.network, state.optimiser, jnp.zeros(())
        for keys in in_blocks(jax.random.split(fit_key, plan.updates), _BLOCK, on_steps):
            network, optimiser, loss = self._learning.updates(
                network, state.network, optimiser, kept, keys
            )
        metrics: dict[str, Any] = {
            "explored_mean_s": mean_of(experience.own_s, experience.known),
            "explore": self._explore(number),
            "loss": loss,
        }
        if self.tests_in(number):
            tested = self._collect(network, 0.0, jax.random.wrap_key_data(state.test_key))
            metrics["greedy_mean_s"] = mean_of(tested.own_s, tested.known)
        return DqnState(network, optimiser, kept, state.test_key), metrics

    def _explore(self, number: int) -> float:
        plan = self.options
        falling = max(1.0, plan.explore_fall * plan.rounds)
        return max(plan.explore_last, 1 - (1 - plan.explore_last) * number / falling)

    def _collect(self, network: Mlp, explore: float, key: PRNGKeyArray) -> UserExperience:
        policy = Dqn(
            network, self.scales, jnp.asarray(explore), self.frame.num_servers, self.frame.literal
        )
        return collect_users(self.scenarios, policy, self.options.worlds, self.options.periods, key)

    def _steps(self, experience: UserExperience) -> Steps:
        """Minus the user's own time as reward, 1 being that of a wholly local task.

        The literal reading has the mean of max(0, 1 − t / T) over the users of a round.
        """
        turns = experience.turns
        reward = -experience.own_s / experience.local_s[:, None]
        if self.options.literal:
            each = jnp.maximum(0, 1 - experience.own_s / self.reward_s)
            reward = experience.mean_of_round(each, self.options.worlds)
        return Steps(
            network_input(turns.view, turns.asked, self.options.literal),
            action_grid.number_of(turns.choice),
            reward,
            experience.known,
        )

    @property
    def reward_s(self) -> float:
        """Completion time whose reward is 0 in the literal reading."""
        return workload.reward_s(self.scenarios, self.num_users, self.frame.num_servers)

    @property
    def _learning(self) -> QLearning:
        plan = self.options
        return QLearning(self.descent(), plan.batch, plan.discount)
