"""Training of DQN (Mnih et al., Nature 2015): act with some chance, keep, learn from what is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from isma.model import vectors, weights
from isma.model.layers import Mlp
from isma.model.vectors import Scales
from isma.planning import action_grid
from isma.policies.learned.dqn import Dqn, DqnFrame, network_input
from isma.training import workload
from isma.training.collect import spread
from isma.training.lived import Lived, TestKey, live_in, mean_of, mean_of_round
from isma.training.options import at_least, positive, rounds_for, within
from isma.training.q_learning import QLearning
from isma.training.ring import Ring, Steps
from isma.training.session import Metrics
from isma.world.scenario import Scenario

_BLOCK = 50
"""Updates that run as one program, between two words on progress."""


@dataclass(frozen=True)
class DqnOptions:
    """The network's width, and how much is lived and learned."""

    rounds: int = 60
    """Rounds of living and learning."""
    worlds: int = 64
    """Worlds in each round."""
    periods: int = 16
    """Decisions about each user that are kept of a world."""
    test_every: int = 10
    """Rounds from one test without exploring to the next."""
    kept_rounds: int = 8
    """Rounds that the replay holds."""
    updates: int = 200
    """Updates in each round; after them the target network is renewed."""
    batch: int = 512
    """Transitions in an update."""
    learning_rate: float = 1e-3
    """Step size of Adam at first; it falls to zero over the training."""
    clip_norm: float = 10.0
    """Largest norm of a gradient."""
    discount: float = 0.5
    """γ, for each decision."""
    explore_last: float = 0.05
    """ε at the end."""
    explore_fall: float = 0.5
    """Part of the training over which ε falls from 1 to that."""
    width: int = 128
    """Units of the hidden layers."""
    literal: bool = False
    """Whether requests are decided on by themselves, for the reward that the latent models learn
    from: one number for all users of a round (docs/decisions/0032)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        at_least(
            self, 1, "rounds", "worlds", "test_every", "kept_rounds", "updates", "batch", "width"
        )
        at_least(self, 2, "periods")
        positive(self, "learning_rate", "clip_norm")
        within(self, 0, 1, "discount", "explore_last", "explore_fall")


class DqnState(eqx.Module):
    """All that the next round depends on."""

    network: Mlp
    """At the beginning of a round also the target network of its updates."""
    optimiser: Any
    kept: Ring
    test_key: TestKey


@dataclass(frozen=True)
class DqnLearner:
    """Trains DQN on worlds spread over the scenarios."""

    frame: DqnFrame
    num_users: int
    scenarios: tuple[Scenario, ...]
    options: DqnOptions
    scales: Scales

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: DqnOptions) -> "DqnLearner":
        """A learner for worlds with these scenarios' servers. Raises ScenarioError."""
        shape = spread(scenarios, 1).params.shape
        frame = DqnFrame(shape.num_servers, options.width, options.literal)
        return cls(frame, shape.num_users, tuple(scenarios), options, vectors.scales(scenarios))

    def for_steps(self, steps: int) -> "DqnLearner":
        """Learner with so many updates in all, in whole rounds. Raises RunError."""
        rounds = rounds_for(steps, self.steps_per_round)
        return replace(self, options=replace(self.options, rounds=rounds))

    @property
    def rounds(self) -> int:
        """Rounds of a whole training."""
        return self.options.rounds

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.updates

    def start(self, key: PRNGKeyArray) -> DqnState:
        """Random weights and nothing kept."""
        network_key, test_key = jax.random.split(key)
        network, plan = self.frame.make(network_key), self.options
        rows = plan.worlds * self.num_users
        kept = Ring.blank(plan.kept_rounds, rows, plan.periods, self.frame.inputs)
        optimiser = self._learning.first(network)
        return DqnState(network, optimiser, kept, jax.random.key_data(test_key))

    def advance(
        self, state: DqnState, number: int, key: PRNGKeyArray, on_steps: Callable[[int], None]
    ) -> tuple[DqnState, Metrics]:
        """Act, keep what came of it, and learn from all that is kept."""
        plan = self.options
        live_key, fit_key = jax.random.split(key)
        lived = self._live(state.network, self._explore(number), live_key)
        kept = state.kept.add(self._steps(lived))
        network, optimiser, loss = state.network, state.optimiser, jnp.zeros(())
        keys = jax.random.split(fit_key, plan.updates)
        for done in range(0, plan.updates, _BLOCK):
            some = keys[done : done + _BLOCK]
            network, optimiser, loss = self._learning.updates(
                network, state.network, optimiser, kept, some
            )
            on_steps(min(done + _BLOCK, plan.updates))
        metrics = {
            "explored_mean_s": mean_of(lived.own_s, lived.known),
            "explore": self._explore(number),
            "loss": loss,
        }
        if number % plan.test_every == 0 or number == self.rounds - 1:
            tested = self._live(network, 0.0, jax.random.wrap_key_data(state.test_key))
            metrics["greedy_mean_s"] = mean_of(tested.own_s, tested.known)
        after = DqnState(network, optimiser, kept, state.test_key)
        return after, {name: float(value) for name, value in metrics.items()}

    def finish(self, state: DqnState, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the weights for the policy that acts by them."""
        path = out / f"{self.frame.kind}.safetensors"
        weights.save(path, self.frame, state.network, self.scales, about)
        return path

    def _explore(self, number: int) -> float:
        plan = self.options
        falling = max(1.0, plan.explore_fall * plan.rounds)
        return max(plan.explore_last, 1 - (1 - plan.explore_last) * number / falling)

    def _live(self, network: Mlp, explore: float, key: PRNGKeyArray) -> Lived:
        policy = Dqn(
            network, self.scales, jnp.asarray(explore), self.frame.num_servers, self.frame.literal
        )
        return live_in(self.scenarios, policy, self.options.worlds, self.options.periods, key)

    def _steps(self, lived: Lived) -> Steps:
        """Minus the user's own time as reward, 1 being that of a wholly local task.

        The literal reading has the mean of max(0, 1 − t / T) over the users of a round.
        """
        turns = lived.turns
        reward = -lived.own_s / lived.local_s[:, None]
        if self.options.literal:
            each = jnp.maximum(0, 1 - lived.own_s / self.reward_s)
            reward = mean_of_round(each, lived, self.options.worlds)
        return Steps(
            network_input(turns.view, turns.asked, self.options.literal),
            action_grid.number_of(turns.choice),
            reward,
            lived.known,
        )

    @property
    def reward_s(self) -> float:
        """Completion time whose reward is 0 in the literal reading."""
        return workload.reward_s(self.scenarios, self.num_users, self.frame.num_servers)

    @property
    def _learning(self) -> QLearning:
        plan = self.options
        total = plan.rounds * plan.updates
        return QLearning(plan.batch, plan.learning_rate, total, plan.clip_norm, plan.discount)
