"""DQN, the paper's baseline, extended to several users: one request at a time (section IV.B).

In two readings (docs/decisions/0032): by default a request is decided on given the earlier choices of
its server in the round; in the literal one it is decided on by itself.
"""

from dataclasses import dataclass, field
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma import randomness
from isma.contract import Memory, Observation
from isma.errors import PolicyError
from isma.model import weights
from isma.model.layers import Mlp, identity
from isma.model.situation import Asked
from isma.model.vectors import Scales
from isma.planning import action_grid
from isma.planning.action_grid import Choice
from isma.policies.learned import features
from isma.policies.learned.sequential import TakesTurns, Turns, take_turns
from isma.world.scenario import Scenario


@dataclass(frozen=True)
class DqnFrame:
    """Numbers that a network's weights are read with."""

    num_servers: int
    width: int
    """Units of the hidden layers."""
    literal: bool = False
    """Whether a request is decided on without the earlier choices of the round."""

    kind: str = field(default="dqn", init=False)

    @property
    def inputs(self) -> int:
        """Length of the network's input."""
        round_size = 0 if self.literal else 2 * self.num_servers
        return features.request_size(self.num_servers) + round_size

    def make(self, key: PRNGKeyArray) -> Mlp:
        """A network with random weights and two hidden layers."""
        widths = (self.inputs, self.width, self.width, action_grid.grid_size(self.num_servers))
        return Mlp.make(key, widths, (jax.nn.relu, jax.nn.relu, identity))


class Dqn(TakesTurns):
    """Takes the action of greatest Q-value: one value for each server, ratio and share."""

    network: Mlp
    scales: Scales
    explore: Float[Array, ""]
    """Chance of a random action, ε; 0 but in training."""
    num_servers: int = eqx.field(static=True)
    literal: bool = eqx.field(static=True, default=False)
    """Whether a request is decided on without the earlier choices of the round."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """It remembers nothing. Raises PolicyError for a world with other servers than trained on."""
        if num_servers != self.num_servers:
            raise PolicyError(
                f"this network is for {self.num_servers} servers, and {scenario.name} has "
                f"{num_servers}: train one there with isma train dqn"
            )
        return Memory.none()

    def nothing_seen(self, num_users: int, num_servers: int) -> Float[Array, "users columns"]:
        """A request by itself."""
        return jnp.zeros((num_users, features.request_size(num_servers)))

    def decide(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Turns, Memory]:
        """Take the best action, or with probability ε a random one."""
        view = features.request_alone(observation, self.scales)

        def choose(user: Int[Array, ""], asked: Asked, key: PRNGKeyArray) -> Choice:
            value = self.network(network_input(view[user], asked, self.literal))
            if_key, which_key = jax.random.split(key)
            anything = randomness.whole(which_key, (), 0, value.shape[0])
            explores = randomness.uniform(if_key) < self.explore
            best = jnp.argmax(value).astype(anything.dtype)
            return action_grid.choice_of(jnp.where(explores, anything, best))

        asked, choice = take_turns(observation, choose, key)
        return Turns(view, asked, choice), memory


def network_input(
    view: Float[Array, "*rows columns"], asked: Asked, literal: bool
) -> Float[Array, "*rows inputs"]:
    """The request, and unless `literal` the choices so far in its round."""
    return view if literal else jnp.concatenate([view, *asked.scaled], axis=-1)


def load(checkpoint: Path) -> Dqn:
    """The trained policy in that file. Raises CheckpointError."""
    frame, network, scales = weights.load(checkpoint, "dqn", DqnFrame)
    return Dqn(network, scales, jnp.zeros(()), frame.num_servers, frame.literal)
