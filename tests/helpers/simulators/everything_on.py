"""Small worlds with everything switched on, run under any action at all, and laid out for ledgers."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from helpers.small_worlds import EVERYTHING, SERVERS, tiny
from isma.contract import Action, Memory, Observation, Policy
from isma.simulator.params import Params, build
from isma.simulator.state import NEVER, State, draw, reset
from isma.simulator.step import TickOutcome, step
from isma.world.scenario import Scenario

NUM_TICKS = 120
BUSY: dict[str, Any] = {
    **EVERYTHING,
    "coverage_radius_m": 150,
    "data_bits": ["1 KB", "200 KB"],
    "cycles": [1e7, 4e8],
    "local_hz": ["1 GHz", "4 GHz"],
    "downtime_per_hop_s": [0, 0.5],
}
"""Some lines are empty and some are not; moves take some ticks; users are handed over every now and then."""


class Anything(Policy):
    """Any server, ratio and share, by chance."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        where, part, share = jax.random.split(key, 3)
        users, servers = observation.host.shape, observation.acting.shape[0]
        return (
            Action(
                jax.random.randint(where, users, 0, servers, jnp.int32),
                jax.random.randint(part, users, 0, 11) / 10.0,
                jax.random.uniform(share, users, observation.gain.dtype, 0.01, 1),
                jnp.zeros_like(observation.infrastructure.server_hz),
            ),
            memory,
        )


class Run(NamedTuple):
    """A run in double precision; states and outcomes are NumPy's, with a leading axis of ticks."""

    params: Params
    before: State
    after: State
    outcome: TickOutcome

    @property
    def slots(self) -> int:
        """In a tick."""
        return int(self.params.slots_per_tick)

    @property
    def start_slot(self) -> np.ndarray:
        """Of each tick, as a column beside the users."""
        return np.arange(NUM_TICKS)[:, None] * self.slots

    @property
    def gone(self) -> np.ndarray:
        """Users that had left when the tick began."""
        return self.after.emission.leave_slot <= self.start_slot

    @property
    def settled(self) -> np.ndarray:
        """Users that were born before the tick."""
        return self.after.emission.first_slot < self.start_slot

    @property
    def up(self) -> np.ndarray:
        """Servers that are up in the tick."""
        return self.after.outages.repair_tick <= np.arange(NUM_TICKS)[:, None]

    @property
    def turned(self) -> np.ndarray:
        """Users that turn away from a host that has been down for long enough."""
        host, lost_tick = self.before.placement.host, self.before.outages.lost_tick
        noticed = np.arange(NUM_TICKS)[:, None] >= lost_tick + int(
            self.params.faults.detection_ticks
        )
        down = ~np.take_along_axis(self.up, host, axis=1)
        return (
            (lost_tick != NEVER) & noticed & down & self.up.any(axis=1, keepdims=True) & ~self.gone
        )

    @property
    def arrived(self) -> np.ndarray:
        """Users whose pre-copied move is over."""
        moves = self.before.downtime.moves
        if moves is None:
            return np.zeros(self.settled.shape, bool)
        return (moves.arrival_tick == np.arange(NUM_TICKS)[:, None]) & ~self.gone

    @property
    def migrated(self) -> np.ndarray:
        """Users whose running service has another host than before."""
        changed = self.after.placement.host != self.before.placement.host
        return changed & self.settled & ~self.turned

    @property
    def slot_of_tasks(self) -> np.ndarray:
        """Slots of the tick's tasks, in columns; those that do not come are NaN."""
        first, interval = self.after.emission.first_slot, self.after.emission.interval_slots
        passed = np.ceil(np.maximum(self.start_slot - first, 0) / interval)
        number = passed[..., None] + np.arange(self.params.shape.tasks_per_tick)
        slot = first[..., None] + number * interval[..., None]
        last = np.minimum(self.start_slot + self.slots, self.after.emission.leave_slot)
        return np.where(slot < last[..., None], slot, np.nan)


def scenario_of(kind: str, **numbers: float) -> Scenario:
    """Everything on, with services that move in this way; only numbers may be given.

    `few` is cold, with twice as many stations as servers.
    """
    few = {"sites.count": 2 * SERVERS, "servers.count": SERVERS} if kind == "few" else {}
    kind = "cold" if kind == "few" else kind
    return tiny({**BUSY, "migration.kind": kind, **few, **numbers})


def run(kind: str, seed: int, **numbers: float) -> Run:
    """A world in which anything may be decided."""
    with jax.enable_x64(True):
        params = build(scenario_of(kind, **numbers))
        found = _followed(params, jax.random.key(seed))
        return Run(params, *jax.tree.map(np.asarray, found))


@eqx.filter_jit
def _followed(params: Params, key: PRNGKeyArray) -> tuple[State, State, TickOutcome]:
    world_key, run_key = jax.random.split(key)
    policy = Anything()

    def one(carry: tuple[State, Memory], tick: jax.Array) -> tuple[tuple, tuple]:
        before, memory = carry
        drawn = draw(params, run_key, tick)
        after, memory, outcome = step(params, policy, before, memory, drawn)
        return (after, memory), (before, after, outcome)

    start = (reset(params, world_key), Memory.none())
    return jax.lax.scan(one, start, jnp.arange(NUM_TICKS, dtype=jnp.int32))[1]
