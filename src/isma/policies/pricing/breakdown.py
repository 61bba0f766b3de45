"""Breakdown of a decision: the numbers that decided, for each user and server.

For policies without prices they are the numbers that the deciding server could have known.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from isma.contract import Memory, Observation, Policy
from isma.planning.allocation import joining
from isma.planning.moves import without_own
from isma.policies.pricing.candidates import all_servers
from isma.policies.pricing.policy import Price
from isma.policies.pricing.valuation import Myopic
from isma.policies.shared import believed_load


class Breakdown(NamedTuple):
    """Delay of each user's tasks if it were served by each server, part by part."""

    now_s: Float[Array, "users"]
    """Completion time of its tasks where it is, as all share that server now."""
    offload_ratio: Float[Array, "users servers"]
    """Offload ratio there."""
    own_s: Float[Array, "users servers"]
    """Completion time of its tasks."""
    others_s: Float[Array, "users servers"]
    """Delay added to all other users of that server, a task each."""
    later_s: Float[Array, "users servers"]
    """Added cost beyond the present moment; 0 at home, infinite where it is not planned with."""
    hop_saving_s: Float[Array, "users servers"]
    """Part of the gain that rests on no price: fewer hops."""
    load: Float[Array, "users servers"]
    """Sum of the shares requested from that server, as of its last broadcast."""
    weight: Float[Array, "users"] | None = None
    """Weight of the plan in `later_s`, for the users of each host; None without a forecast."""

    @property
    def cost_s(self) -> Float[Array, "users servers"]:
        """Total that is compared."""
        return self.own_s + self.others_s + self.later_s


def break_down(policy: Policy, memory: Memory, observation: Observation) -> Breakdown:
    """Candidates as the policy weighs them, for each user that decides.

    With a policy that has no prices a move pays for a minute.
    """
    priced = policy if isinstance(policy, Price) else Price(valuation=Myopic(learn_dwell=False))
    known = memory if priced is policy else Memory.none()
    now, _ = priced.situation(known, observation)
    candidates = all_servers(now.observation, now.offer, now.home, now.root_price)
    joined = joining(
        candidates.offer, without_own(candidates.offer, candidates.home, candidates.root_price) ** 2
    )
    later_s = priced.valuation.added_cost_s(candidates, now.forecast)
    saving_s = jnp.zeros_like(joined.time_s) if priced.margin_on_hops else candidates.hop_saving_s
    return Breakdown(
        now.here.time_s,
        joined.offload_ratio,
        joined.time_s,
        joined.cost_s - joined.time_s,
        jnp.zeros_like(joined.time_s) if later_s is None else later_s,
        saving_s,
        believed_load(observation)[observation.host],
        now.forecast.weight,
    )
