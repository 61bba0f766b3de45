"""Real vectors as actions: the meaning of a search over a normal distribution (docs/method/readings.md).

Each of a user's three numbers z stands for u = Φ(z). The server is one of L arcs of equal
probability on the circle of u, the server that decides in the middle: z = 0 stays. Offload ratios
are bins of equal probability, the share is 0.01 + 0.99 u, so that Normal(0, I) starts uniform over
all actions.

Servers are counted from the one that decides: 0 is itself, 1 the next one by index, and so on round.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import RATIOS

LEAST_SHARE = 0.01
NUMBERS = 3
"""Numbers of a user in an action: server, offload ratio, share."""


class Coded(eqx.Module):
    """Actions of one server's own users, a row each; other rows ask for nothing."""

    server: Int[Array, "*batch rows"]
    """Counted from the server that decides."""
    offload_ratio: Float[Array, "*batch rows"]
    cpu_share: Float[Array, "*batch rows"]

    def of(self, own: Bool[Array, "rows"]) -> "Coded":
        """These requests without those of other rows."""
        mine = lambda value: jnp.where(own, value, 0)  # noqa: E731
        return Coded(self.server, mine(self.offload_ratio), mine(self.cpu_share))


def decode(
    code: Float[Array, "*batch rows 3"], own: Bool[Array, "rows"], num_servers: int
) -> Coded:
    """The actions of a code."""
    u = jax.scipy.special.ndtr(code)
    last = len(RATIOS) - 1
    arc = jnp.floor(u[..., 0] * num_servers + 0.5).astype(jnp.int32) - num_servers // 2
    ratio = jnp.minimum(jnp.floor(u[..., 1] * len(RATIOS)), last) / last
    share = LEAST_SHARE + (1 - LEAST_SHARE) * u[..., 2]
    return Coded(arc % num_servers, ratio, share).of(own)


def model_input(action: Coded, num_servers: int) -> Float[Array, "*batch action"]:
    """The actions as a model reads them: each row's ratio, then its share in its server's column."""
    at = jax.nn.one_hot(action.server, num_servers)
    columns = action.cpu_share[..., None] * at
    flat = columns.reshape(*columns.shape[:-2], -1)
    return jnp.concatenate([action.offload_ratio, flat], axis=-1)
