"""Training of servers as a team (`ippo`, `mappo`): PPO on the delay of all users, with shared weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import dataclasses as pydantic_dataclasses

from isma.model import vectors
from isma.model.team_actor_critic import TeamActorCritic
from isma.model.vectors import Scales
from isma.policies.learned.sequential import Turns
from isma.policies.learned.team import Team, TeamFrame, central_view
from isma.simulator.params import Params
from isma.simulator.state import State
from isma.simulator.step import everyone, observe
from isma.training.options import Positive
from isma.training.policy_gradient import PolicyGradientLearner, PolicyGradientOptions
from isma.training.ppo import Evaluate, Evaluated, Sequences
from isma.training.user_experience import UserExperience, collect_users
from isma.world.scenario import Scenario, Visibility


@pydantic_dataclasses.dataclass(frozen=True)
class TeamOptions(PolicyGradientOptions):
    """The network's width, and the amounts of experience and learning."""

    rounds: Positive = 60
    worlds: Positive = 16
    minibatches: Positive = 4
    width: Positive = 32


class TeamDecisions(eqx.Module):
    """Decisions about users, and the world in which each was taken."""

    turns: Turns
    central: Float[Array, "rows steps servers columns"] | None
    """Global view for a central critic; None for a critic that sees its server's view."""


@dataclass(frozen=True)
class TeamLearner(PolicyGradientLearner):
    """Trains one network for all servers: independent critics, or a central one by the frame's kind."""

    frame: TeamFrame
    options: TeamOptions

    @classmethod
    def make(cls, kind: str, scenarios: Sequence[Scenario], options: TeamOptions) -> "TeamLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError for uneven minibatches."""
        cls.check_minibatches(scenarios, options)
        frame = TeamFrame(kind, options.width)
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def collect(
        self, network: TeamActorCritic, explores: bool, key: PRNGKeyArray
    ) -> UserExperience:
        """Experience of this network, by its odds or without exploring."""
        policy = Team(network, self.scales, jnp.asarray(explores))
        view = jax.tree_util.Partial(_central, self.scales)
        return collect_users(
            *(self.scenarios, policy, self.options.worlds, self.options.periods, key), view
        )

    def sequences(self, experience: UserExperience) -> Sequences:
        """All decisions, each rewarded by minus the mean completion time of all users until the next."""
        everybody = experience.everybody
        assert everybody is not None  # asked for in `collect`
        central = everybody.view if self.frame.sees_all else None
        decisions = TeamDecisions(experience.turns, central)
        return Sequences(decisions, -everybody.mean_s / self.unit_s, experience.known)

    @property
    def evaluate(self) -> Evaluate:
        """One user at a time, given where the server's users before it were sent."""
        return evaluate


def evaluate(network: TeamActorCritic, decisions: TeamDecisions) -> Evaluated:
    """Odds, entropy and value of decisions."""
    turns = decisions.turns
    log = jax.nn.log_softmax(network.odds(turns.view, turns.asked))
    chosen = jnp.take_along_axis(log, turns.choice.server[..., None], axis=-1)[..., 0]
    entropy = -jnp.sum(jnp.exp(log) * log, axis=-1)
    return Evaluated(chosen, entropy, network.value(turns.view, decisions.central))


def _central(scales: Scales, params: Params, state: State) -> Float[Array, "servers columns"]:
    seen = observe(params, state, everyone(params, state), Visibility.FULL)
    return central_view(seen, scales, state.placement.load)
