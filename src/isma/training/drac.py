"""Training of the recurrent actor-critic: PPO on users' own delay and the delay that they cause to others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import dataclasses as pydantic_dataclasses

from isma.model import vectors
from isma.model.actor_critic import ActorCritic, Judged
from isma.planning.action_grid import Choice
from isma.policies.learned.drac import Drac, DracFrame
from isma.policies.learned.sequential import Turns
from isma.training.options import Weight
from isma.training.policy_gradient import PolicyGradientLearner, PolicyGradientOptions
from isma.training.ppo import Evaluate, Evaluated, Sequences
from isma.training.user_experience import UserExperience, collect_users
from isma.world.scenario import Scenario


@pydantic_dataclasses.dataclass(frozen=True)
class DracOptions(PolicyGradientOptions):
    """The network's width, and the amounts of experience and learning."""

    burden_weight: Weight = 1.0
    """Weight of the delay that a user causes to others, relative to its own."""


@dataclass(frozen=True)
class DracLearner(PolicyGradientLearner):
    """Trains the actor-critic on worlds spread over the scenarios."""

    options: DracOptions

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: DracOptions) -> "DracLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError for uneven minibatches."""
        cls.check_minibatches(scenarios, options)
        frame = DracFrame(options.width)
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def collect(self, network: ActorCritic, explores: bool, key: PRNGKeyArray) -> UserExperience:
        """Experience of this network, by its odds or without exploring."""
        policy = Drac(network, self.scales, jnp.asarray(explores))
        return collect_users(self.scenarios, policy, self.options.worlds, self.options.periods, key)

    def sequences(self, experience: UserExperience) -> Sequences:
        """Each user's decisions, rewarded by minus its own delay and the delay that it caused."""
        cost_s = experience.own_s + self.options.burden_weight * experience.burden_s
        return Sequences(experience.turns, -cost_s / self.unit_s, experience.known)

    @property
    def evaluate(self) -> Evaluate:
        """With the memory that the users had then."""
        return evaluate


def evaluate(network: ActorCritic, turns: Turns) -> Evaluated:
    """Odds, entropy and value of decisions, with the memory that the users had then."""
    odds = along(network, turns)
    return Evaluated(*log_odds_of(odds, turns.choice), odds.value)


def along(network: ActorCritic, turns: Turns) -> Judged:
    """Odds and values along sequences, with the memory that the users had then."""

    def one(memory: Any, view: Any):
        memory = network.remember(memory, view)
        return memory, memory.hidden[-1]

    views = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), turns.view)
    rows = turns.choice.server.shape[0]
    _, remembered = jax.lax.scan(one, network.start((rows,)), views)
    return network.judge(jnp.moveaxis(remembered, 0, 1), turns.view, turns.asked)


def log_odds_of(
    odds: Judged, choice: Choice
) -> tuple[Float[Array, "*rows"], Float[Array, "*rows"]]:
    """Log-probability of a choice; entropy of the policy, given the chosen server."""
    ratio, share = odds.at(choice.server)
    log_odds, entropy = 0.0, 0.0
    for logits, picked in (
        (odds.server, choice.server),
        (ratio, choice.ratio),
        (share, choice.share),
    ):
        log = jax.nn.log_softmax(logits)
        log_odds += jnp.take_along_axis(log, picked[..., None], axis=-1)[..., 0]
        entropy -= jnp.sum(jnp.exp(log) * log, axis=-1)
    return jnp.asarray(log_odds), jnp.asarray(entropy)
