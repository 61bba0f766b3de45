"""How good any decision could be at one moment: the dual bound by one price per server.

For prices λ ≥ 0, Σ_i min over servers, ratios and shares of (t_i + λ φ) − Σ_l λ_l is never above
the least total time that any assignment whose shares fit can reach (weak duality; the ratios' grid
is inside the minimum). Without queues or migration costs no action reaches into the future, so the
mean of these bounds over time is a bound for a whole run.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from isma.planning.allocation import Offer, respond

_STEPS = 500
_FIRST_BLUR = 0.1
_LAST_BLUR = 1e-4
_GAIN = 0.3


def decision_bound_s(offer: Offer, counted: Bool[Array, "users"]) -> Float[Array, ""]:
    """Lower bound of the mean completion time over the `counted` users, in seconds.

    The best prices differ so little that a user's cheapest server flips at each step. So users
    first spread over servers by a softmin whose temperature (a part of the mean cost) falls as the
    prices follow the demand. The value is always that of the exact dual, and the best one counts:
    stopping early costs tightness, never validity.
    """
    work = jnp.where(counted[:, None], jnp.sqrt(offer.work_s), 0)
    servers = offer.work_s.shape[1]
    start = jnp.log(jnp.maximum((jnp.sum(work, axis=0) / servers) ** 2, 1e-9))
    number = jnp.maximum(jnp.sum(counted), 1)

    def improve(step: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        log_price, best = carry
        blur = _FIRST_BLUR * (_LAST_BLUR / _FIRST_BLUR) ** (step / _STEPS)
        value, demand = _dual(offer, counted, jnp.exp(log_price), blur)
        size = _GAIN * jnp.minimum(1.0, 10 * blur)
        log_price = log_price + size * jnp.log(jnp.clip(demand, 0.1, 10.0))
        return log_price, jnp.maximum(best, value)

    _, best = jax.lax.fori_loop(0, _STEPS, improve, (start, jnp.zeros_like(start[0])))
    return best / number


def _dual(
    offer: Offer, counted: Bool[Array, "users"], price_s: Float[Array, "servers"], blur: Array
) -> tuple[Float[Array, ""], Float[Array, "servers"]]:
    """The dual function, and the share demanded of each server when users spread by softmin."""
    taken = respond(offer, price_s)
    cheapest = jnp.min(taken.cost_s, axis=1, keepdims=True)
    value = jnp.sum(jnp.where(counted, cheapest[:, 0], 0)) - jnp.sum(price_s)
    likely = jax.nn.softmax(-(taken.cost_s - cheapest) / (blur * jnp.mean(cheapest)), axis=1)
    return value, jnp.sum(jnp.where(counted[:, None], likely * taken.cpu_share, 0), axis=0)
