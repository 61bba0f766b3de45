"""The known future of a run, as far as no decision can change it: tasks, links, hops, stops.

Time is cut into *steps*, between whose beginnings no placement can change, and steps into *stages*,
for each of which a user has a list of places: servers and, where they are many, one more that
stands for all others.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import HopLatency


class Remap(eqx.Module):
    """Successors of a user's places when a stage ends."""

    position: Int[Array, "stages users places"]
    """Index of each place in the next stage's list; the last one, elsewhere, if it is missing there."""
    fresh: Bool[Array, "stages users places"]
    """Which of the next stage's places this stage counts as elsewhere."""


class FarServers(eqx.Module):
    """The servers that are no places of their own: at each number of hops the one with the least price."""

    station: Int[Array, "stages steps users"]
    hops: Int[Array, "stations servers"]
    """Clipped at `most_hops`."""
    remap: Remap
    most_hops: int = eqx.field(static=True)


class Stops(eqx.Module):
    """Costs of moving: how long a service stops, by classes of hops."""

    stop_slots: Int[Array, "users classes"]
    """Least time for which a move of a class stops a user's service."""
    whole: Int[Array, "stages steps users classes"]
    """Steps that are over when the service runs again, at least 1."""
    touched: Int[Array, "stages steps users classes"]
    """Steps at whose beginning it does not run yet; 0 where a move takes no time."""
    of_pair: Int[Array, "stages users places places"]
    """Class of a move from one place (row) to another."""
    start_slot: Int[Array, "stages steps"]
    offset_slots: Float[Array, "stages steps users"]
    """Mean slot of a step's tasks, from the step's beginning."""
    slot_s: Float[Array, ""]
    most_steps: int = eqx.field(static=True)
    """No stop is longer than this many steps; longer ones have been shortened."""


class Future(eqx.Module):
    """All that a bound of a whole run needs to know. Steps that fill up the last stage are empty."""

    weight: Float[Array, "stages steps users"]
    """Part of a user's tasks that come in a step; they sum to 1 for each user that has any."""
    length: Float[Array, "stages steps"]
    """Part of the time that counts; they sum to 1."""
    block: Int[Array, "stages steps"]
    """Which block of time, with prices of its own, a step belongs to."""
    uplink_s: Float[Array, "stages steps users"]
    """Mean time to send all data of one of the step's tasks over the whole band."""
    hops: Float[Array, "stages steps users places"]
    """Mean hops from its station to a place; to elsewhere, the fewest."""
    places: Int[Array, "stages users places"]
    """Servers; the number of servers stands for elsewhere."""
    cycles: Float[Array, "users"]
    local_s: Float[Array, "users"]
    """Time of a task done wholly by the user itself."""
    hop_s: Float[Array, "users"]
    """Time to send all data of a task over one hop."""
    server_hz: Float[Array, "servers"]
    latency: HopLatency | None
    stops: Stops | None
    """None where moves are free."""
    elsewhere: FarServers | None
    """None where every server is a place of its own."""
    num_blocks: int = eqx.field(static=True)

    @property
    def counted(self) -> Float[Array, ""]:
        """Users that have a task that counts."""
        return jnp.sum(jnp.sum(self.weight, axis=(0, 1)) > 0, dtype=self.weight.dtype)
