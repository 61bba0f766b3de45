"""Policies of strangers: one that keeps to the contract, and some that do not, each in its own way."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import offers
from isma.planning.segment_sums import Pools
from isma.policies.plain_python import Decision, PlainPolicy, ServerView
from isma.policies.shared import shared_out
from isma.world.scenario import Visibility


def carried_out(observation: Observation, target, ratio=0.5, share=0.1) -> Action:
    """The same for every user."""
    same = jnp.ones_like(observation.gain)
    none = jnp.zeros_like(observation.infrastructure.server_hz)
    return Action(target, ratio * same, share * same, none)


class Honest(Policy):
    """Follows the radio, and shares out its CPU."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        action, _ = shared_out(observation, offers(observation), observation.station)
        return action, memory


class Counting(Policy):
    """Remembers what it may: each user's decisions, and each server's own users."""

    def init(self, scenario, num_users, num_servers, key) -> Memory:
        return Memory(jnp.zeros(num_servers), jnp.zeros(num_users, jnp.int32))

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        home = Pools(observation.pool(observation.host), observation.num_pools)
        users = home.sum(observation.visible.astype(float))
        stays = memory.per_user % 2 == 0
        target = jnp.where(stays, observation.host, observation.station)
        share = 1 / jnp.maximum(home.spread(users + memory.per_server), 1)
        action = carried_out(observation, target, share=jnp.minimum(share, 1))
        return action, Memory(users, memory.per_user + 1)


class Peeking(Policy):
    """Sends everybody to the server with the fewest users, which nobody has told it."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        servers = observation.acting.shape[0]
        users = Pools(observation.host, servers).sum(observation.visible.astype(float))
        target = jnp.full_like(observation.host, jnp.argmin(users))
        return carried_out(observation, target), memory


class Unseeing(Policy):
    """Takes rows of users that nobody sees for users."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        cycles = observation.requests.cycles
        share = jnp.minimum(cycles / (1 + jnp.sum(cycles)) + 0.01, 1)
        return carried_out(observation, observation.host, share=share), memory


class Overhearing(Policy):
    """Reads the news that server 0 has heard, wherever the user is hosted."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        left = jnp.argmax(observation.news.remaining_hz[0])
        share = 0.1 + 1e-9 * observation.news.remaining_hz[0, left] / 100
        return carried_out(observation, observation.host, share=jnp.clip(share, 0, 1)), memory


class NotANumber(Policy):
    """Divides by what may be zero."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        home = Pools(observation.host, observation.acting.shape[0])
        data = observation.requests.data_bits
        alone = home.spread(home.sum(data)) - data
        return carried_out(observation, observation.host, share=0 * data / (alone * 0)), memory


class WrongRatio(Policy):
    """Offloads a part that is not on the grid."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        return carried_out(observation, observation.host, ratio=0.55), memory


class WrongServer(Policy):
    """Counts servers from one."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        return carried_out(observation, observation.host + 1), memory


class NoShare(Policy):
    """Offloads without asking for any CPU."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        return carried_out(observation, observation.host, share=0.0), memory


class Misfiled(Policy):
    """Says that a row a server is a row a user."""

    def init(self, scenario, num_users, num_servers, key) -> Memory:
        return Memory(None, jnp.zeros(num_servers))

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        return carried_out(observation, observation.host), memory


class Growing(Policy):
    """Gives back another memory than it was given."""

    def init(self, scenario, num_users, num_servers, key) -> Memory:
        return Memory(None, jnp.zeros(num_users, jnp.int32))

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        return carried_out(observation, observation.host), Memory(None, memory.per_user + 0.5)


class Sharing(Policy):
    """Calls a table that all servers write and read the memory of each."""

    def init(self, scenario, num_users, num_servers, key) -> Memory:
        return Memory(jnp.zeros(num_servers), None)

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        emptiest = jnp.argmin(memory.per_server)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        users = home.sum(observation.visible.astype(float))
        target = jnp.full_like(observation.host, emptiest)
        return carried_out(observation, target), Memory(users, None)


_SEEN: list[float] = []


class Forgetful(Policy):
    """Remembers outside its memory, through a callback."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        def count(gain):
            _SEEN.append(float(np.sum(gain)))
            return np.float32(0.1 + 0.8 * (len(_SEEN) % 7) / 7)

        share = jax.pure_callback(count, jax.ShapeDtypeStruct((), jnp.float32), observation.gain)
        return carried_out(observation, observation.host, share=share), memory


class Chancy(Policy):
    """Draws what is random from somewhere else than the key, once, when it is compiled."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        share = np.random.default_rng().uniform(0.1, 0.9)
        return carried_out(observation, observation.host, share=share), memory


class Plainly(Policy):
    """Branches on a value that is not known while it is compiled."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        if observation.gain[0] > 0:
            return carried_out(observation, observation.host), memory
        return carried_out(observation, observation.station), memory


class Failing(Policy):
    """Raises while it is compiled."""

    def act(self, memory: Memory, observation: Observation, key: PRNGKeyArray):
        raise KeyError("no such thing")


class PlainlyFailing(PlainPolicy):
    """Raises while it runs, which no compiler sees before."""

    def decide(self, view: ServerView) -> Decision:
        return Decision(view.host, 1 / 0, 0.1)


class PlainlyChancy(PlainPolicy):
    """Draws what is random from a generator of its own."""

    def decide(self, view: ServerView) -> Decision:
        return Decision(view.host, 0.5, _CHANCE.uniform(0.1, 0.9, len(view.host)))


_CHANCE = np.random.default_rng()


class Reference(Peeking):
    """Peeks as well, but says so."""

    visibility: ClassVar[Visibility | None] = Visibility.FULL
