"""Our policies in DRACM's test: one user, the others' load as one more at its server, and known prices.

The user's work takes a seconds on a whole server, and others' work W before it another W / f. At price λ
our policies expect a + 2 √(λ a): so √λ = W / (2 f √a). A server knows the price of its own CPU from the
users that it hosts: one with a' = λ seconds of work stands for all others there. The contract cannot express
that data crosses the fibre once and not hop by hop: decisions leave it out (0.08 s of 7 s a slot), costs do
not.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from benchmarks.published.as_observation import moment, network
from benchmarks.published.dracm_instance import Instance, Parameters
from benchmarks.published.dracm_rules import Image
from isma.contract import Memory, Observation, Policy
from isma.policies import registry
from isma.world import files

SLOT_S = 60.0
"""Length of a slot, which the test does not state. Its loads are independent from slot to slot, as `isma2`
takes prices to be over twice its `price_decay_s`."""
_LEAST_S = 1e-9


class Slots(NamedTuple):
    """What a trace brings in each slot."""

    number: Int[Array, "*slots"]
    station: Int[Array, "*slots"]
    load_s: Float[Array, "*slots servers"]
    """Others' work at each server, in seconds."""
    hop_move_s: Float[Array, "*slots"]
    image_s: Float[Array, "*slots"]


def placement(
    one: Instance, test: Parameters, name: str, image: Image, slot_s: float = SLOT_S
) -> np.ndarray:
    """Servers that a policy chooses, traces × slots; each trace is a world of its own."""
    policy = registry.get(name)
    typical = float(np.mean(test.move_s_per_hop)), slot_s, float(one.work.mean() / test.server_rate)
    numbers = tuple(jnp.asarray(value) for value in typical)
    moving = jnp.asarray(image is Image.MOVING, float)
    places = []
    for trace in range(len(one.station)):
        slots = Slots(
            jnp.arange(one.station.shape[1], dtype=jnp.int32),
            jnp.asarray(one.station[trace], jnp.int32),
            jnp.asarray(one.load[trace] / test.server_rate),
            jnp.asarray(one.hop_move_s[trace]),
            jnp.asarray(one.image_s[trace]) * moving,
        )
        hops = jnp.asarray(one.hops, float)
        places.append(_play(policy, slots, hops, test.hop_s, numbers, jax.random.key(trace)))
    return np.array(places)


@eqx.filter_jit
def _play(
    policy: Policy,
    slots: Slots,
    hops: Float[Array, "servers servers"],
    hop_s: float,
    numbers: tuple[Array, ...],
    key: PRNGKeyArray,
) -> Int[Array, "slots"]:
    """Servers of one trace."""
    scenario = files.load("paper", {"migration.kind": "cold"})
    start, turns = jax.random.split(key)
    memory = policy.init(scenario, 2, len(hops), start)

    def step(
        carry: tuple[Memory, Array], of_slot: tuple[Slots, PRNGKeyArray]
    ) -> tuple[tuple[Memory, Array], Array]:
        (memory, host), (slot, turn) = carry, of_slot
        action, memory = policy.act(memory, seen(slot, host, hops, hop_s, *numbers), turn)
        host = action.server[0].astype(jnp.int32)
        return (memory, host), host

    keys = jax.random.split(turns, len(slots.number))
    return jax.lax.scan(step, (memory, slots.station[0]), (slots, keys))[1]


def seen(
    slot: Slots,
    host: Int[Array, ""],
    hops: Float[Array, "servers servers"],
    hop_s: float,
    mean_move_s: Float[Array, ""],
    slot_s: Float[Array, ""],
    work_s: Float[Array, ""],
) -> Observation:
    """Observation of one slot: the user, and one who stands for the others at its server."""
    move_s = slot.hop_move_s * hops + slot.image_s * (hops > 0)
    price_s = (slot.load_s / (2 * jnp.sqrt(work_s))) ** 2
    return moment(
        network(hops, hop_s, move_s, mean_move_s, slot_s),
        mean_move_s,
        slot.number,
        station=jnp.stack([slot.station, host]),
        host=jnp.stack([host, host]),
        work_s=jnp.stack([work_s, jnp.maximum(price_s[host], _LEAST_S)]),
        decides=jnp.array([True, False]),
        price_s=price_s,
    )
