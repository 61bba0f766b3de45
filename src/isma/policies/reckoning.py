"""What a server has to go by for one of its users: what each server would cost it, as far as it knows.

These are the numbers that `price` weighs. For other rules they say what their server could have known.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from isma.contract import Memory, Observation, Policy
from isma.planning.allocation import Offer, Split, at, joining, offers, split
from isma.planning.moves import own_pull
from isma.planning.pools import Pools
from isma.policies.base import believed_load, hop_delay_s, lasting_s
from isma.policies.dwelling import PRIOR_S, Lasting
from isma.policies.heard import Usual
from isma.policies.price import Price, Weighed, believed_price_s


class Reckoned(NamedTuple):
    """For each user what it would mean to be served by each server."""

    now_s: Float[Array, "users"]
    """Completion time of its tasks where it is, as all share that server now."""
    offload_ratio: Float[Array, "users servers"]
    """What it would offload there."""
    own_s: Float[Array, "users servers"]
    """Completion time of its tasks."""
    others_s: Float[Array, "users servers"]
    """What all other users of that server lose by it, a task each."""
    later_s: Float[Array, "users servers"]
    """What going there adds beyond the present moment; 0 at home, infinite where it is not thought about."""
    certain_s: Float[Array, "users servers"]
    """What of going there is saved whatever others do: hops."""
    load: Float[Array, "users servers"]
    """Sum of the shares that users of that server ask for, as last heard."""

    @property
    def cost_s(self) -> Float[Array, "users servers"]:
        """What is weighed: all of it together."""
        return self.own_s + self.others_s + self.later_s


def reckon(policy: Policy, memory: Memory, observation: Observation) -> Reckoned:
    """What the servers that decide know of each server, for each of their users.

    A move pays for as long as `price` takes it to; with other policies for a minute.
    """
    offer, host, users = (
        offers(observation),
        observation.host,
        jnp.arange(observation.host.shape[0]),
    )
    home = Pools(observation.pool(host), observation.num_pools)
    here = split(at(offer, host), home)
    row = jnp.minimum(home.pool, home.num_pools - 1)
    pull = jnp.sqrt(believed_price_s(observation, home, here, offer))[row]
    own = own_pull(at(offer, host), pull[users, host])
    joined = joining(offer, jnp.maximum(pull.at[users, host].add(-own), 0) ** 2)
    hop_s = hop_delay_s(observation, offer)
    everywhere = jnp.arange(pull.shape[1])
    judge, lasts, way, usual = _foreseen(policy, memory, observation, offer, here)
    certain_s = judge.certain_s(observation, hop_s, everywhere)
    usual = jax.tree.map(lambda part: part[row], usual)
    typical = jnp.mean(pull, axis=1)
    places = Weighed(*(observation, offer, everywhere[None], host, pull, typical, certain_s, usual))
    later_s = judge.later_s(places, lasts, way)
    return Reckoned(
        here.time_s,
        joined.offload_ratio,
        joined.time_s,
        joined.cost_s - joined.time_s,
        jnp.zeros_like(joined.time_s) if later_s is None else later_s,
        certain_s,
        believed_load(observation)[host],
    )


def _foreseen(
    policy: Policy, memory: Memory, observation: Observation, offer: Offer, here: Split
) -> tuple[Price, Lasting, PyTree, Usual | None]:
    """Who judges what comes later, how long gains last, what is foreseen, and what is usual."""
    if not isinstance(policy, Price):
        return Price(), Lasting.believed(lasting_s(observation, PRIOR_S)), None, None
    after = policy.looked(memory, observation, offer, here)
    lasts, way = policy.lasts(after, observation), policy.way(after, observation)
    return policy, lasts, way, policy.usual(after, observation)
