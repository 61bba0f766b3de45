"""Decisions one request at a time: each server takes its users in turn, all servers at once."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from isma.contract import Action, Memory, Observation, Policy
from isma.model.situation import Asked
from isma.planning import action_grid
from isma.planning.action_grid import Choice

Choose = Callable[[Int[Array, ""], Asked, PRNGKeyArray], Choice]
"""Chooses for a user, given what its decision maker has chosen so far."""


class Turns(eqx.Module):
    """Inputs and choice of each user's last decision."""

    view: PyTree
    """Features of the user, in the policy's own form."""
    asked: Asked
    choice: Choice


class TakesTurns(Policy):
    """Decides for one user after another, on a grid of actions."""

    @abstractmethod
    def nothing_seen(self, num_users: int, num_servers: int) -> PyTree:
        """A view's shape, all zero."""

    @abstractmethod
    def decide(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Turns, Memory]:
        """Choose for all users that decide; other rows are meaningless, and their memory is unchanged."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Decide, and carry it out."""
        turns, memory = self.decide(memory, observation, key)
        return self.carry_out(observation, turns.choice), memory

    def carry_out(self, observation: Observation, choice: Choice) -> Action:
        """The choices as an action."""
        return as_action(observation, choice)


def as_action(observation: Observation, choice: Choice) -> Action:
    """The choices as an action; users that do not decide would stay and keep to themselves."""
    coded = action_grid.coded(choice)
    takes = observation.decides
    return Action(
        server=jnp.where(takes, coded.server, observation.host),
        offload_ratio=jnp.where(takes, coded.offload_ratio, 0),
        cpu_share=jnp.where(takes, coded.cpu_share, 0),
        price_s=jnp.zeros_like(observation.infrastructure.server_hz),
    )


def take_turns(observation: Observation, choose: Choose, key: PRNGKeyArray) -> tuple[Asked, Choice]:
    """Choose for the users that decide, in the order of their rows; the requests before each, and choices.

    A choice touches only the sums of its own decision maker, so that servers do not wait for each
    other: the order matters within a server alone.
    """
    users, servers = observation.host.shape[0], observation.acting.shape[0]
    maker = observation.pool(observation.host)
    shares = jnp.asarray(action_grid.SHARES)
    keys = jax.random.split(key, users)
    # Only users that decide have a turn: few do in one tick.
    order = jnp.argsort(~observation.decides, stable=True)

    def turn(number: Int[Array, ""], so_far: tuple[Asked, Asked, Choice]):
        sums, before, choices = so_far
        user = order[number]
        mine = jax.tree.map(lambda rows: rows[maker[user]], sums)
        choice = choose(user, mine, keys[user])
        at = (maker[user], choice.server)
        sums = Asked(sums.share.at[at].add(shares[choice.share]), sums.users.at[at].add(1))
        put = lambda rows, row: rows.at[user].set(row)  # noqa: E731
        return sums, jax.tree.map(put, before, mine), jax.tree.map(put, choices, choice)

    none = jnp.zeros(users, jnp.int32)
    start = (
        Asked.nothing(observation.num_pools, servers),
        Asked.nothing(users, servers),
        Choice(none, none, none),
    )
    _, before, choices = jax.lax.fori_loop(0, jnp.sum(observation.decides), turn, start)
    return before, choices
