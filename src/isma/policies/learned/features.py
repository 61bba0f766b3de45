"""View of a host of each of its users, as the learned policies' networks read it.

All of it is in the host's sight: the user's request and station, the host's other users, and F of
every server as the host last received it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from isma.contract import Observation
from isma.model import vectors
from isma.model.situation import Situation
from isma.model.vectors import Scales
from isma.planning.allocation import offers
from isma.planning.segment_sums import Pools
from isma.policies.shared import believed_load, nearest

REQUEST_COLUMNS = 5
USER_COLUMNS = 2 * REQUEST_COLUMNS + 1
SERVER_COLUMNS = 8
_MANY_USERS = 10.0
_MUCH_LOAD = 10.0


def request_size(servers: int) -> int:
    """Length of a row of `request_alone`."""
    return REQUEST_COLUMNS + 3 * servers


def request_alone(observation: Observation, scales: Scales) -> Float[Array, "users columns"]:
    """T_i, the server nearest to it, the host that decides, and F; nothing of any other user."""
    servers = observation.acting.shape[0]
    return jnp.concatenate(
        [
            jnp.stack(vectors.request_columns(observation, scales), axis=1),
            jax.nn.one_hot(nearest(observation), servers),
            jax.nn.one_hot(observation.host, servers),
            vectors.remaining(observation, scales)[observation.host],
        ],
        axis=1,
    )


def situation(observation: Observation, scales: Scales) -> Situation:
    """T_i with the mean of the host's users and their number; each server by F, clock and distance."""
    request = jnp.stack(vectors.request_columns(observation, scales), axis=1)
    home = Pools(observation.pool(observation.host), observation.num_pools)
    number = home.sum(jnp.ones_like(observation.gain))
    mean = home.sum(request) / jnp.maximum(number, 1)[:, None]
    user = [request, home.spread(mean), home.spread(number)[:, None] / _MANY_USERS]
    return Situation(jnp.concatenate(user, axis=1), _servers(observation, scales))


def _servers(
    observation: Observation, scales: Scales
) -> Float[Array, "users servers server_columns"]:
    servers = observation.acting.shape[0]
    infrastructure = observation.infrastructure
    load = jnp.maximum(believed_load(observation), 0)[observation.host]
    hops = infrastructure.hops / jnp.maximum(jnp.max(infrastructure.hops), 1)
    offer = offers(observation).of()
    step_s = jnp.maximum(0.1 * offer.local_s, 1e-9)
    columns = [
        jax.nn.one_hot(nearest(observation), servers),
        jax.nn.one_hot(observation.host, servers),
        offer.transfer_s / (offer.transfer_s + step_s),
        offer.work_s / (offer.work_s + 0.1 * step_s),
        hops[observation.station],
        vectors.remaining(observation, scales)[observation.host],
        jnp.log1p(load) / jnp.log1p(_MUCH_LOAD),
        jnp.broadcast_to(infrastructure.server_hz / scales.server_hz, load.shape),
    ]
    return jnp.stack(columns, axis=2)
