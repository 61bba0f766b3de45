"""How good any decision could be at one moment: the dual bound by one price per server.

For prices λ ≥ 0, Σ_i min over servers, ratios and shares of (t_i + λ φ) − Σ_l λ_l is never above
the least total time that any assignment whose shares fit can reach (weak duality; the ratios' grid
is inside the minimum). What an action costs in the future is never negative, so the mean of these
bounds over time is a bound for a whole run.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from isma.planning.allocation import Offer, respond

_FIRST_BLUR = 0.1
_LAST_BLUR = 1e-4
_GAIN = 0.3


Weight = Float[Array, "users"] | Bool[Array, "users"]
"""How much each user counts in the mean: 0, or false, not at all."""


class Bound(NamedTuple):
    """A lower bound and the prices that prove it."""

    mean_s: Float[Array, ""]
    """No decision reaches a mean completion time below this one, in seconds."""
    price_s: Float[Array, "servers"]


def first_prices_s(offer: Offer, weight: Weight) -> Float[Array, "servers"]:
    """Prices to start from: those at which the users spread evenly over the servers."""
    work = jnp.sqrt(weight[:, None] * offer.work_s)
    return jnp.maximum((jnp.sum(work, axis=0) / offer.work_s.shape[1]) ** 2, 1e-9)


def decision_bound(
    offer: Offer,
    weight: Weight,
    price_s: Float[Array, "servers"],
    steps: int,
    first_blur: float = _FIRST_BLUR,
) -> Bound:
    """Lower bound of the mean completion time, weighted by `weight`, from prices to start with.

    The best prices differ so little that a user's cheapest server flips at each step. So users
    first spread over servers by a softmin whose temperature (a part of the mean cost) falls as the
    prices follow the demand. The value is always that of the exact dual, and the best one counts:
    stopping early costs tightness, never validity.
    """

    def improve(step: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        log_price, best, best_log_price = carry
        blur = first_blur * (_LAST_BLUR / first_blur) ** (step / steps)
        value, demand = _dual(offer, weight, jnp.exp(log_price), blur)
        best_log_price = jnp.where(value > best, log_price, best_log_price)
        size = _GAIN * jnp.minimum(1.0, 10 * blur)
        log_price = log_price + size * jnp.log(jnp.clip(demand, 0.1, 10.0))
        return log_price, jnp.maximum(best, value), best_log_price

    start = jnp.log(price_s)
    _, best, log_price = jax.lax.fori_loop(
        0, steps, improve, (start, jnp.zeros_like(start[0]), start)
    )
    total = jnp.sum(weight)
    return Bound(best / jnp.where(total > 0, total, 1), jnp.exp(log_price))


def _dual(
    offer: Offer, weight: Weight, price_s: Float[Array, "servers"], blur: Array
) -> tuple[Float[Array, ""], Float[Array, "servers"]]:
    """The dual function, and the share demanded of each server when users spread by softmin."""
    # w t + λ φ is least where t + (λ / w) φ is.
    taken = respond(offer, price_s / jnp.where(weight > 0, weight, 1)[:, None])
    cheapest = jnp.min(taken.cost_s, axis=1, keepdims=True)
    value = jnp.sum(weight * cheapest[:, 0]) - jnp.sum(price_s)
    likely = jax.nn.softmax(-(taken.cost_s - cheapest) / (blur * jnp.mean(cheapest)), axis=1)
    return value, jnp.sum(jnp.where(weight[:, None] > 0, likely * taken.cpu_share, 0), axis=0)
