"""A recurrent actor-critic under partial observation, as DRACM (arXiv 2012.08679) has it."""

from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.contract import Memory, Observation
from isma.model import weights
from isma.model.actor_critic import ActorCritic, ActorCriticSizes
from isma.model.situation import Asked, Situation
from isma.model.vectors import Scales
from isma.planning.action_grid import SHARES, Choice
from isma.planning.allocation import RATIOS
from isma.policies.learned import features
from isma.policies.learned.sequential import TakesTurns, Turns, take_turns
from isma.world.scenario import Scenario


@dataclass(frozen=True)
class DracFrame:
    """Numbers that a network's weights are read with."""

    width: int
    """Units of every layer, and of a user's memory."""

    kind: str = field(default="drac", init=False)

    def make(self, key: PRNGKeyArray) -> ActorCritic:
        """A network with random weights."""
        columns = (features.USER_COLUMNS, features.SERVER_COLUMNS)
        return ActorCritic.make(
            ActorCriticSizes(*columns, len(RATIOS), len(SHARES), self.width), key
        )


class Drac(TakesTurns):
    """Recurrent actor-critic: a memory of each user from decision to decision, and a policy given it.

    Its weights are the same for all users and servers: it runs with any number of either.
    """

    network: ActorCritic
    scales: Scales
    explores: Bool[Array, ""]
    """Whether actions are sampled, as in training; else the likeliest is taken."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nothing decided yet; the memory of a user travels with its service."""
        return Memory(None, self.network.start((num_users,)))

    def nothing_seen(self, num_users: int, num_servers: int) -> Situation:
        """A situation of each user, all zero."""
        return Situation(
            jnp.zeros((num_users, features.USER_COLUMNS)),
            jnp.zeros((num_users, num_servers, features.SERVER_COLUMNS)),
        )

    def decide(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Turns, Memory]:
        """Update the memory with the observation, then choose server, ratio and share."""
        view = features.situation(observation, self.scales)
        takes = observation.decides[:, None]
        remembered = jax.tree.map(
            lambda new, old: jnp.where(takes, new, old),
            self.network.remember(memory.per_user, view),
            memory.per_user,
        )

        def choose(user: Int[Array, ""], asked: Asked, key: PRNGKeyArray) -> Choice:
            seen = jax.tree.map(lambda rows: rows[user], view)
            odds = self.network.judge(remembered.hidden[-1][user], seen, asked)
            keys = jax.random.split(key, 3)
            server = self._pick(odds.server, keys[0])
            ratio, share = odds.at(server)
            return Choice(server, self._pick(ratio, keys[1]), self._pick(share, keys[2]))

        asked, choice = take_turns(observation, choose, key)
        return Turns(view, asked, choice), Memory(None, remembered)

    def _pick(self, logits: Float[Array, "options"], key: PRNGKeyArray) -> Int[Array, ""]:
        drawn, likeliest = (
            jax.random.categorical(key, logits.astype(jnp.float32)),
            jnp.argmax(logits),
        )
        return jnp.where(self.explores, drawn, likeliest).astype(jnp.int32)


def load(checkpoint: Path) -> Drac:
    """The trained policy in that file. Raises CheckpointError."""
    _, network, scales = weights.load(checkpoint, "drac", DracFrame)
    return Drac(network, scales, jnp.asarray(False))
