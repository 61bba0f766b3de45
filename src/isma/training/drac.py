"""Training of the recurrent actor-critic: live in a batch of worlds, improve, forget, in turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.errors import RunError
from isma.model import vectors, weights
from isma.model.actor_critic import ActorCritic
from isma.model.vectors import Scales
from isma.policies.learned.drac import Drac, DracFrame
from isma.training import workload
from isma.training.collect import spread
from isma.training.lived import Lived, TestKey, live_in, mean_of
from isma.training.options import at_least, not_negative, positive, rounds_for, within
from isma.training.ppo import Ppo, Sequences
from isma.training.session import Metrics
from isma.world.scenario import Scenario


@dataclass(frozen=True)
class DracOptions:
    """The network's width, and how much is lived and learned."""

    rounds: int = 60
    """Rounds of living and learning."""
    worlds: int = 64
    """Worlds in each round, forgotten after it."""
    periods: int = 16
    """Decisions about each user that are learned from."""
    test_every: int = 10
    """Rounds from one test of the likeliest actions to the next."""
    epochs: int = 4
    """Times that each decision is learned from."""
    minibatches: int = 8
    """Updates in an epoch."""
    learning_rate: float = 3e-3
    """Step size of Adam at first; it falls to zero over the training."""
    clip_ratio: float = 0.2
    """How far the odds of an action may move in a round."""
    clip_norm: float = 0.5
    """Largest norm of a gradient."""
    value_weight: float = 0.5
    """Weight of the critic's error in the loss."""
    entropy_weight: float = 0.01
    """Weight of the policy's entropy at first; it falls to zero over the training."""
    discount: float = 0.0
    """γ, for each decision."""
    trace: float = 0.9
    """λ of generalised advantages; it matters only with a discount."""
    burden_weight: float = 1.0
    """How much what a user costs the others counts beside its own time."""
    width: int = 64
    """Units of every layer, and of a user's memory."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        at_least(self, 1, "rounds", "worlds", "test_every", "epochs", "minibatches", "width")
        at_least(self, 2, "periods")
        positive(self, "learning_rate", "clip_norm")
        not_negative(self, "value_weight", "entropy_weight", "burden_weight")
        within(self, 0, 1, "discount", "trace", "clip_ratio")


class DracState(eqx.Module):
    """All that the next round depends on."""

    network: ActorCritic
    optimiser: Any
    test_key: TestKey


@dataclass(frozen=True)
class DracLearner:
    """Trains the actor-critic on worlds spread over the scenarios."""

    frame: DracFrame
    scenarios: tuple[Scenario, ...]
    options: DracOptions
    scales: Scales

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: DracOptions) -> "DracLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError for uneven minibatches."""
        rows = options.worlds * spread(scenarios, 1).params.shape.num_users
        if rows % options.minibatches:
            raise RunError(
                f"minibatches must divide worlds times users ({rows}), got {options.minibatches}"
            )
        frame = DracFrame(options.width)
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def for_steps(self, steps: int) -> "DracLearner":
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
        return self.options.epochs * self.options.minibatches

    def start(self, key: PRNGKeyArray) -> DracState:
        """Random weights."""
        network_key, test_key = jax.random.split(key)
        network = self.frame.make(network_key)
        return DracState(network, self._ppo.first(network), jax.random.key_data(test_key))

    def advance(
        self, state: DracState, number: int, key: PRNGKeyArray, on_steps: Callable[[int], None]
    ) -> tuple[DracState, Metrics]:
        """Act by the odds, and improve on what came of it."""
        live_key, fit_key = jax.random.split(key)
        lived = self._live(state.network, True, live_key)
        weight = self.options.entropy_weight * (1 - number / self.rounds)
        network, optimiser, terms = self._ppo.improve(
            state.network, state.optimiser, self._sequences(lived), jnp.asarray(weight), fit_key
        )
        on_steps(self.steps_per_round)
        metrics = {
            "explored_mean_s": mean_of(lived.own_s, lived.known),
            "explored_burden_s": mean_of(lived.burden_s, lived.known),
            **terms._asdict(),
        }
        if number % self.options.test_every == 0 or number == self.rounds - 1:
            tested = self._live(network, False, jax.random.wrap_key_data(state.test_key))
            metrics["greedy_mean_s"] = mean_of(tested.own_s, tested.known)
        after = DracState(network, optimiser, state.test_key)
        return after, {name: float(value) for name, value in metrics.items()}

    def finish(self, state: DracState, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the weights for the policy that acts by them."""
        path = out / f"{self.frame.kind}.safetensors"
        weights.save(path, self.frame, state.network, self.scales, about)
        return path

    def _live(self, network: ActorCritic, explores: bool, key: PRNGKeyArray) -> Lived:
        policy = Drac(network, self.scales, jnp.asarray(explores))
        return live_in(self.scenarios, policy, self.options.worlds, self.options.periods, key)

    def _sequences(self, lived: Lived) -> Sequences:
        cost_s = lived.own_s + self.options.burden_weight * lived.burden_s
        return Sequences(lived.turns, -cost_s / self._unit_s, lived.known)

    @property
    def _unit_s(self) -> float:
        """Unit of a reward: one step of the ratio, that is, a tenth of a mean local task."""
        tasks = [workload.mean_cycles(s) / np.mean(s.users.local_hz) for s in self.scenarios]
        return float(np.mean(tasks)) / 10

    @property
    def _ppo(self) -> Ppo:
        plan = self.options
        return Ppo(
            *(plan.epochs, plan.minibatches, plan.learning_rate),
            total_updates=self.rounds * self.steps_per_round,
            clip_ratio=plan.clip_ratio,
            clip_norm=plan.clip_norm,
            value_weight=plan.value_weight,
            discount=plan.discount,
            trace=plan.trace,
        )
