"""Policies that act at random, so that a latent model sees good and bad actions before it can plan."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.planning import action_code
from isma.planning.allocation import RATIOS
from isma.world.scenario import Scenario


class RandomCode(Policy):
    """Normal noise as actions, around a centre and with a spread that a server keeps for a while.

    Were every number drawn by itself, a server's mean reward would hardly differ between decisions,
    and all experience would lie far from any good action.
    """

    change: float = eqx.field(static=True, default=0.25)
    """Chance that a server draws a new centre and spread at a decision."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Draw the first centres and spreads."""
        return Memory(_drawn(num_servers, key), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Decode the noise."""
        users, servers = observation.host.shape[0], observation.acting.shape[0]
        change_key, draw_key, noise_key = jax.random.split(key, 3)
        changes = (randomness.uniform(change_key, (servers, 1)) < self.change) & observation.due[
            :, None
        ]
        choose = lambda new, old: jnp.where(changes, new, old)  # noqa: E731
        kept = jax.tree.map(choose, _drawn(servers, draw_key), memory.per_server)
        centre, spread = (rows[observation.host] for rows in kept)
        noise = randomness.normal(noise_key, (users, action_code.NUMBERS))
        alone = jax.vmap(lambda code: action_code.decode(code[None], jnp.ones(1, bool), servers))
        coded = jax.tree.map(lambda column: column[:, 0], alone(centre + spread * noise))
        return _action(observation, coded.server, coded.offload_ratio, coded.cpu_share), Memory(
            kept, None
        )


class Scattered(Policy):
    """Every user for itself: it stays or goes anywhere, mostly offloads all, and asks for some share.

    At each decision a server draws how many of its users leave, mostly few, and how much they ask
    for: the random actions of others hide the effect of one's own.
    """

    whole: float = eqx.field(static=True, default=0.75)
    """Part of the users that offload all of a task; the others any part of it."""
    shares: tuple[float, float] = eqx.field(static=True, default=(0.05, 0.7))
    """Ends of the range of a server's median share, drawn evenly on a logarithmic scale."""
    share_spread: float = eqx.field(static=True, default=0.8)
    """Standard deviation of the logarithm of its users' shares."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Draw the actions."""
        users, servers = observation.host.shape[0], observation.acting.shape[0]
        keys = jax.random.split(key, 7)
        leaving = randomness.uniform(keys[0], (servers,)) ** 3
        leaves = randomness.uniform(keys[1], (users,)) < leaving[observation.host]
        step = jnp.where(leaves, randomness.whole(keys[2], (users,), 0, servers), 0)
        last = len(RATIOS) - 1
        any_ratio = randomness.whole(keys[3], (users,), 0, last + 1) / last
        ratio = jnp.where((randomness.uniform(keys[4], (users,)) < self.whole), 1.0, any_ratio)
        low, high = self.shares
        median = low * (high / low) ** randomness.uniform(keys[5], (servers,))
        spread = jnp.exp(self.share_spread * randomness.normal(keys[6], (users,)))
        share = jnp.clip(median[observation.host] * spread, action_code.LEAST_SHARE, 1)
        return _action(observation, step, ratio, share), memory


def _action(
    observation: Observation,
    server: Int[Array, "users"],
    offload_ratio: Float[Array, "users"],
    cpu_share: Float[Array, "users"],
) -> Action:
    """Actions whose servers are counted from each user's host."""
    servers = observation.acting.shape[0]
    target = (observation.host + server) % servers
    return Action(target, offload_ratio, cpu_share, jnp.zeros(servers))


def _drawn(servers: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    """A centre, normal, and a spread, uniform up to 1, of each number of a code."""
    centre, spread = jax.random.split(key)
    shape = (servers, action_code.NUMBERS)
    return randomness.normal(centre, shape), randomness.uniform(spread, shape)
