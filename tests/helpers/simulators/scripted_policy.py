"""A policy that does what a table says and notes down what it is shown."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.contract import Action, Backlog, Memory, Observation, Policy


class Scripted(Policy):
    """Does what a table says for this tick and notes down what it was shown.

    Rows are the servers that decide, so that it matters which of them decides for a user.
    """

    server: Int[Array, "servers users"]
    offload_ratio: Float[Array, "servers users"]
    cpu_share: Float[Array, "servers users"]
    price_s: Float[Array, "servers"]

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        mine = (observation.host, jnp.arange(observation.host.shape[0]))
        action = Action(
            self.server[mine], self.offload_ratio[mine], self.cpu_share[mine], self.price_s
        )
        seen_by_servers = {
            "news_hz": observation.news.remaining_hz,
            "news_price_s": observation.news.price_s,
            "news_age_s": observation.news.age_s,
            "times_acted": memory.per_server["times_acted"] + 1,
        }
        nothing = jnp.zeros_like(observation.gain)
        backlog = observation.backlog or Backlog(nothing, nothing)
        seen_of_users = {
            "local_cycles": backlog.local_cycles,
            "edge_cycles": backlog.edge_cycles,
            "band_hz": nothing if observation.bandwidth_hz is None else observation.bandwidth_hz,
            "gain": observation.gain,
            "station": observation.station,
            "host": observation.host,
            "wait_s": observation.wait_s,
            "times_decided": memory.per_user["times_decided"] + observation.decides,
        }
        return action, Memory(seen_by_servers, seen_of_users)


def nothing_seen(num_servers: int, num_users: int) -> Memory:
    square, users = jnp.zeros((num_servers, num_servers)), jnp.zeros(num_users)
    whole = jnp.zeros(num_users, jnp.int32)
    return Memory(
        {
            "news_hz": square,
            "news_price_s": square,
            "news_age_s": square,
            "times_acted": jnp.zeros(num_servers, jnp.int32),
        },
        {
            "local_cycles": users,
            "edge_cycles": users,
            "band_hz": users,
            "gain": users,
            "station": whole,
            "host": whole,
            "wait_s": users,
            "times_decided": whole,
        },
    )
