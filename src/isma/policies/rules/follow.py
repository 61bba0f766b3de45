"""Rules that look at the radio alone: stay, follow, follow when it is worth two hops."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import offers
from isma.policies.options import Positive, check_fields
from isma.policies.shared import detour, nearest, shared_out


class Stay(Policy):
    """Never migrates: a service stays where its user first asked."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Share out every server among the users it has."""
        return shared_out(observation, offers(observation), observation.host)[0], memory


class Nearest(Policy):
    """Follows the radio: a service moves to the server nearest to its user's base station."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Send every user to the server nearest to its station."""
        target = nearest(observation)
        return shared_out(observation, offers(observation), target)[0], memory


class Threshold(Policy):
    """Follows the radio with hysteresis: moves once another server is some hops nearer to the user."""

    hops: Positive = eqx.field(static=True, default=2)
    """Distance, in backhaul hops beyond that of the nearest server, from which a service follows."""

    def __check_init__(self) -> None:
        """Refuse a distance at which the rule is another one."""
        check_fields("threshold", self)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Send the users that have come too far to the server nearest to their station."""
        distance = detour(observation)
        target: Int[Array, "users"] = jnp.where(
            distance >= self.hops, nearest(observation), observation.host
        )
        return shared_out(observation, offers(observation), target)[0], memory
