"""Full-information reference: the delay that decisions could reach if nothing were hidden."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import Offer, offers
from isma.planning.assignment import Improved, improve
from isma.policies.options import Count, Part, Positive, check_fields
from isma.policies.shared import nearest, refuse_large, shared_out
from isma.world.scenario import Scenario, Visibility

_PERTURBED = 3
"""Users that are sent somewhere at random in the perturbed copy of the plan."""


class FullInformation(Policy):
    """Myopic optimum with every user visible, on each server's own schedule: not a policy to run.

    All servers follow one plan for the whole city, which every decision improves by local search
    from its present state, from a perturbed copy, and at first from the nearest servers; a decision
    carries out the plan for the users that are due.
    """

    visibility: ClassVar[Visibility | None] = Visibility.FULL
    steps: Count = eqx.field(static=True, default=3)
    """Most improvements of the plan in one decision."""
    checks: Positive = eqx.field(static=True, default=4)
    """Moves, and as many swaps, that are judged exactly for each improvement."""
    margin: Part = eqx.field(static=True, default=0.01)
    """Part of their users' time that a change of the plan must save on the servers it concerns."""

    def __check_init__(self) -> None:
        """Refuse options out of their ranges."""
        check_fields("full-information", self)

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """No plan yet. Raises PolicyError in a city too large to look at all pairs of users."""
        refuse_large("full-information", num_users, num_servers)
        return Memory(None, jnp.full((num_users,), -1, jnp.int32))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Improve the plan, and carry out the part of it that is due."""
        everywhere = offers(observation)
        offer = everywhere.of()
        plan = jnp.where(memory.per_user >= 0, memory.per_user, nearest(observation))
        starts = jnp.stack([plan, _perturbed(plan, offer, key)])
        improved: Improved = jax.vmap(
            lambda start: improve(
                offer, start, observation.visible, self.steps, self.checks, self.margin
            )
        )(starts)
        servers = offer.transfer_s.shape[1]
        least_gain_s = _PERTURBED * self.margin * improved.total_s[0] * 2 / servers
        better = improved.total_s[1] < improved.total_s[0] - least_gain_s
        plan = jnp.where(better, improved.target[1], improved.target[0])
        target = jnp.where(observation.decides, plan, observation.host)
        action, _ = shared_out(observation, everywhere, target)
        return action, Memory(None, plan)


def _perturbed(plan: Int[Array, "users"], offer: Offer, key: PRNGKeyArray) -> Int[Array, "users"]:
    """Copy of a plan with some users sent elsewhere at random (iterated local search)."""
    users, servers = offer.transfer_s.shape
    user_key, server_key = jax.random.split(key)
    user = randomness.whole(user_key, (_PERTURBED,), 0, users)
    to = randomness.whole(server_key, (_PERTURBED,), 0, servers, plan.dtype)
    return plan.at[user].set(to)
