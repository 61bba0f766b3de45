"""Ski rental: pay for the distance until that has cost as much as a move, then move."""

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import offers
from isma.planning.migration import delay_s2
from isma.policies.shared import excess_s, nearest, shared_out, to_one
from isma.world.scenario import Scenario


class BreakEven(Policy):
    """Follows the radio once the excess paid since the last move equals the price of moving.

    The break-even rule of ski rental (Karlin et al., Competitive Snoopy Caching, Algorithmica 3,
    1988): for any trajectory it pays at most twice as much as the best single move in hindsight. The
    excess is the delay of tasks on the path to the host beyond that to the server nearest to the station.
    """

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Per user: the excess paid since its last move, in s²."""
        return Memory(None, jnp.zeros(num_users))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Add the excess of the last period, and send users that have paid enough to the nearest server."""
        offer, host, near = offers(observation), observation.host, nearest(observation)
        excess = excess_s(observation, offer)
        period_s = observation.infrastructure.decision_period_s[host]
        paid_s2 = memory.per_user + excess * period_s
        price_s2 = to_one(observation, delay_s2, near)
        goes = observation.decides & (excess > 0) & (paid_s2 >= price_s2)
        owed_s2 = jnp.where(goes, 0, paid_s2)
        action, _ = shared_out(observation, offer, jnp.where(goes, near, host))
        return action, Memory(None, jnp.where(observation.decides, owed_s2, memory.per_user))
