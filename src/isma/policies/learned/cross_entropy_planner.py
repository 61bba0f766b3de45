"""Cross-entropy planning by one server for its own users (section III.B), with any model of the rewards."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from isma import randomness
from isma.contract import Action, Observation, Policy
from isma.errors import PolicyError
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.planning.cross_entropy import Budget, Searched, search
from isma.policies.options import Duration, Part
from isma.when import when
from isma.world.scenario import Scenario, Visibility

Imagine = Callable[[Any, Coded, PRNGKeyArray], tuple[Any, Float[Array, "candidates"]]]
"""One step of many futures: their states and actions to their next states and rewards (9), in seconds."""


class Exploration(eqx.Module):
    """Normal noise on a plan's code, to collect experience around it.

    Few servers explore at once, and few users leave their plan's server: the random actions of others
    hide the effect of one's own.
    """

    servers: float = eqx.field(static=True, default=0.25)
    """Chance that a server moves all its users' ratios and shares far."""
    users: float = eqx.field(static=True, default=0.05)
    """Chance that a user's server is moved far."""
    far_std: float = eqx.field(static=True, default=1.2)
    near_std: float = eqx.field(static=True, default=0.1)

    def add(self, code: Float[Array, "rows 3"], key: PRNGKeyArray) -> Float[Array, "rows 3"]:
        """The code of one server's users with noise."""
        server_key, user_key, noise_key = jax.random.split(key, 3)
        explores = randomness.uniform(server_key) < self.servers
        leaves = randomness.uniform(user_key, (code.shape[0],)) < self.users
        amount = jnp.broadcast_to(explores, leaves.shape)
        far = jnp.stack([leaves, amount, amount], axis=1)
        std = jnp.where(far, self.far_std, self.near_std)
        return code + std * randomness.normal(noise_key, code.shape)


class Search(eqx.Module):
    """Everything that a search has besides a model."""

    budget: Budget
    discount: Part = eqx.field(static=True, default=0.99)
    """γ of equation (9)."""
    remote_price_s: Duration = eqx.field(static=True, default=0.0)
    """Delay, in seconds, charged for a whole CPU requested from another server, on the mean over own
    users; 0 is the paper's."""
    exploration: Exploration | None = None

    def plan(
        self,
        imagine: Imagine,
        start: PyTree,
        own: Bool[Array, "rows"],
        num_servers: int,
        key: PRNGKeyArray,
    ) -> Searched:
        """Search the actions of a server's own users by the rewards that `imagine` foresees."""
        budget = self.budget
        rows = (budget.candidates, own.shape[0], action_code.NUMBERS)

        def score(
            codes: Float[Array, "candidates steps numbers"], key: PRNGKeyArray
        ) -> Float[Array, "candidates"]:
            def one(so_far: tuple[PyTree, Array], step: tuple[Array, Array, PRNGKeyArray]):
                state, total = so_far
                code, weight, drawn = step
                action = action_code.decode(code.reshape(rows), own, num_servers)
                state, reward = imagine(state, action, drawn)
                paid = self.remote_price_s * _remote_share(action, own)
                return (state, total + weight * (reward - paid)), None

            weights = self.discount ** jnp.arange(budget.steps)
            steps = (jnp.moveaxis(codes, 1, 0), weights, jax.random.split(key, budget.steps))
            # The first step is apart: all candidates start from one state, which spares products.
            first = jax.tree.map(lambda leaf: leaf[0], steps)
            later = jax.tree.map(lambda leaf: leaf[1:], steps)
            so_far, _ = one((start, jnp.zeros(budget.candidates)), first)
            return jax.lax.scan(one, so_far, later)[0][1]

        return search(score, rows[1] * rows[2], budget, key)

    def first_action(
        self, found: Searched, own: Bool[Array, "rows"], num_servers: int, key: PRNGKeyArray
    ) -> Coded:
        """The first action of the best distribution's mean, with noise while exploring."""
        code = found.mean[0].reshape(own.shape[0], action_code.NUMBERS)
        if self.exploration is not None:
            code = self.exploration.add(code, key)
        return action_code.decode(code, own, num_servers)


class Decided(NamedTuple):
    """One server's memory and actions after a decision."""

    memory: PyTree
    action: Coded


class Planner(Policy):
    """A policy in which every acting server searches actions for all its users at once."""

    search: Search

    @abstractmethod
    def decide(self, before: Decided, seen: PyTree, shared: PyTree) -> Decided:
        """One server's decision; may read nothing traced but its arguments."""

    def decide_each(
        self, observation: Observation, memory: PyTree, seen: PyTree, shared: PyTree
    ) -> Decided:
        """Every acting server's decision; the others' memory stays.

        Leaves of `memory` and `seen` have a leading axis of servers, those of `shared` none.
        """
        shape = (observation.acting.shape[0], observation.host.shape[0])
        nothing = Coded(jnp.zeros(shape, jnp.int32), jnp.zeros(shape), jnp.zeros(shape))

        def one(acting: Array, before: Decided, seen: PyTree, shared: PyTree) -> Decided:
            return when(acting, self.decide, before, seen, shared)

        each = jax.vmap(one, in_axes=(0, 0, 0, None))
        return each(observation.acting, Decided(memory, nothing), seen, shared)

    def as_action(
        self, observation: Observation, action: Coded, user: Int[Array, "servers rows"]
    ) -> Action:
        """The rows of each user's own host, whose servers are counted from it."""
        servers, users = user.shape
        row = jnp.argsort(user, axis=1)
        at = (observation.host, row[observation.host, jnp.arange(users)])
        mine = jax.tree.map(lambda column: column[at], action)
        target = (observation.host + mine.server) % servers
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(target, mine.offload_ratio, mine.cpu_share, no_price)


def refuse_alone(scenario: Scenario) -> None:
    """Refuse worlds in which every user decides alone. Raises PolicyError."""
    if scenario.visibility is Visibility.USER:
        raise PolicyError(
            "this policy plans for a server's users together: visibility must be server, got user"
        )


def _remote_share(action: Coded, own: Bool[Array, "rows"]) -> Float[Array, "candidates"]:
    """Mean over own users of the share requested from other servers."""
    share = jnp.where(action.server != 0, action.cpu_share, 0)
    return jnp.sum(share, axis=-1) / jnp.maximum(jnp.sum(own), 1)
