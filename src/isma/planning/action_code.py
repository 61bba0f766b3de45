"""Real vectors as actions: what a search over a normal distribution means (docs/readings.md).

Each of a user's three numbers z stands for u = Φ(z): servers and offload ratios are bins of equal
probability, the share is 0.01 + 0.99 u, so that Normal(0, I) starts uniform over all actions.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import RATIOS

_LEAST_SHARE = 0.01
NUMBERS = 3
"""Numbers of a user in an action: server, offload ratio, share."""


class Coded(eqx.Module):
    """The action that a code stands for."""

    server: Int[Array, "*rows users"]
    offload_ratio: Float[Array, "*rows users"]
    cpu_share: Float[Array, "*rows users"]


def decode(code: Float[Array, "*rows users 3"], num_servers: int) -> Coded:
    """The action of a code."""
    u = jax.scipy.special.ndtr(code)
    last = len(RATIOS) - 1
    return Coded(
        server=jnp.minimum((u[..., 0] * num_servers).astype(jnp.int32), num_servers - 1),
        offload_ratio=jnp.minimum(jnp.floor(u[..., 1] * len(RATIOS)), last) / last,
        cpu_share=_LEAST_SHARE + (1 - _LEAST_SHARE) * u[..., 2],
    )


def model_input(
    action: Coded, own: Bool[Array, "... users"], num_servers: int
) -> Float[Array, "*rows action"]:
    """The action as a model reads it: each number in [0, 1], and zero for users of other servers."""
    server = action.server / max(num_servers - 1, 1)
    columns = [server, action.offload_ratio, action.cpu_share]
    return jnp.concatenate([jnp.where(own, column, 0) for column in columns], axis=-1)
