"""The future of a run, from the simulator: the input of its bound."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

from isma.bounds.future import Future, Stops
from isma.bounds.places import every_server, nearest_servers
from isma.contract import Memory
from isma.planning.allocation import uplink_rate_bps
from isma.planning.migration import move_between
from isma.policies.rules.local_random import Local
from isma.simulator.params import Params
from isma.simulator.serve import emitted_in, gain_at, slots
from isma.simulator.state import State, active, draw, network, reset
from isma.simulator.step import step
from isma.world.scenario import Scenario
from isma.world.switches import Migrating

MOST_SERVERS = 17
"""Servers up to which each is a place for every user."""
MOST_NEAR = 40
"""Near servers of a user that are places of their own, where there are more; the others are elsewhere."""
_FARTHEST = 8
"""Hops beyond which elsewhere counts as no farther."""
_STAGE_STEPS = 60
_MOST_CLASSES = 9
_MOST_STEPS = 128
_LONGEST = 1e9
"""Slots of a stop, so that they fit their type."""
_AFTER = 2**31 - 1


Table = Array | np.ndarray


class Ticks(NamedTuple):
    """Events of each tick that no decision changes."""

    tasks: Num[Table, "ticks users"]
    """How many come."""
    uplink_s: Float[Table, "ticks users"]
    """Sum of the times to send all of each one's data over the whole band."""
    offset_slots: Num[Table, "ticks users"]
    """Sum of their slots, from the tick's beginning."""
    station: Int[Table, "ticks users"]
    there: Bool[Table, "ticks users"]
    """Users that have come and have not left."""
    begin_uplink_s: Float[Table, "ticks users"]
    """Time to send all data of a task that arrives at the tick's beginning."""


@dataclass(frozen=True)
class Cut:
    """How the ticks that count are cut into steps."""

    begin_tick: Int[np.ndarray, "begun"]
    """First tick of each step, from the warm-up's end."""
    num_ticks: int

    def sum(self, value: Table) -> np.ndarray:
        """Sums over each step's ticks."""
        return np.add.reduceat(np.asarray(value), self.begin_tick, axis=0)

    @property
    def ticks(self) -> Int[np.ndarray, "begun"]:
        """Ticks of each step."""
        return np.diff(self.begin_tick, append=self.num_ticks)

    @property
    def into_step(self) -> Int[np.ndarray, "ticks"]:
        """Ticks of its step that come before each tick."""
        return np.arange(self.num_ticks) - np.repeat(self.begin_tick, self.ticks)


def known_future(scenario: Scenario, params: Params, seed: int, evenly: bool = False) -> Future:
    """The future of a seed's world: the one in which `isma compare` runs policies.

    With `evenly`, the tasks of each decision period come evenly spread over it.
    """
    time, state = scenario.time, _reset(params, _key(seed))
    ticks = Ticks(*(part[time.warmup_ticks :] for part in every_tick(scenario, params, seed)))
    if evenly:
        ticks = _spread(ticks, int(np.max(params.period_ticks)), time.slots_per_tick)
    begins = _changes(params, state, time.warmup_ticks, time.num_ticks)
    few = params.shape.num_servers <= MOST_SERVERS
    if not few:
        begins[:] = True
    return _future(params, state, ticks, Cut(np.flatnonzero(begins), len(begins)), few)


def every_tick(scenario: Scenario, params: Params, seed: int) -> Ticks:
    """Events of each tick of a seed's world, from its beginning."""
    key = _key(seed)
    ticks = _ticks(params, _reset(params, key), key, scenario.time.num_ticks)
    return Ticks(*(np.asarray(part) for part in ticks))


def _key(seed: int) -> PRNGKeyArray:
    """The world's key, as a cell of a comparison splits it off."""
    return jax.random.split(jax.random.key(seed))[0]


_reset = jax.jit(reset)


@partial(jax.jit, static_argnums=3)
def _ticks(params: Params, state: State, key: PRNGKeyArray, num_ticks: int) -> Ticks:
    def one(state: State, tick: Int[Array, ""]) -> tuple[State, Ticks]:
        after, _, _ = step(params, Local(), state, Memory.none(), draw(params, key, tick))
        slot = slots(params, state.emission, state.tick)
        emitted = emitted_in(params, state, slot)
        uplink = lambda gain: (  # noqa: E731
            state.requests.data_bits[:, None] / uplink_rate_bps(params.infrastructure, gain, None)
        )
        uplink_s = uplink(gain_at(params, state, after.motion, slot))
        offset = slot - state.tick * params.slots_per_tick
        total = lambda value: jnp.sum(jnp.where(emitted, value, 0), axis=1)  # noqa: E731
        count = jnp.sum(emitted, axis=1, dtype=jnp.int32)
        there = active(params, state)
        begin_s = uplink(gain_at(params, state, after.motion, (slot - offset)[:, :1]))[:, 0]
        return after, Ticks(count, total(uplink_s), total(offset), state.station, there, begin_s)

    return jax.lax.scan(one, state, jnp.arange(num_ticks, dtype=jnp.int32))[1]


def _spread(ticks: Ticks, period_ticks: int, slots_per_tick: int) -> Ticks:
    """Ticks with each period's tasks spread over those in which their user is there."""
    begins = np.arange(0, len(ticks.tasks), period_ticks)
    times = np.diff(begins, append=len(ticks.tasks))
    tasks, room = (np.add.reduceat(part, begins, axis=0) for part in (ticks.tasks, ticks.there))
    rate = np.repeat(tasks / np.maximum(room, 1), times, axis=0)
    count = np.where(ticks.there, rate, 0)
    return ticks._replace(
        tasks=count,
        uplink_s=count * np.asarray(ticks.begin_uplink_s),
        offset_slots=count * slots_per_tick / 2,
    )


def _changes(
    params: Params, state: State, first_tick: int, num_ticks: int
) -> Bool[np.ndarray, "ticks"]:
    """Ticks in which any placement can change: a decision, a newcomer, a departure.

    Services that are copied ahead arrive in any tick, and servers fail in any.
    """
    migration, tick = params.infrastructure.migration, np.arange(first_tick, num_ticks)
    if params.faults is not None or (migration is not None and migration.kind is Migrating.PRECOPY):
        return np.ones(len(tick), bool)
    period, phase = np.asarray(params.period_ticks), np.asarray(state.phase_ticks)
    change = np.any((tick[:, None] - phase) % period == 0, axis=1)
    change[0] = True
    slots_per_tick, emission = int(params.slots_per_tick), state.emission
    comes = np.asarray(emission.first_slot) // slots_per_tick
    change |= np.isin(tick, comes)
    if emission.leave_slot is not None:
        change |= np.isin(tick, -(-np.asarray(emission.leave_slot, np.int64) // slots_per_tick))
    return change


def _future(params: Params, state: State, ticks: Ticks, cut: Cut, few: bool) -> Future:
    requests, infrastructure = state.requests, network(params, state)
    station = np.asarray(ticks.station)
    count = cut.sum(ticks.tasks)
    each = np.where(count > 0, count, 1)
    slots_per_tick = int(params.slots_per_tick)
    late_slots = (cut.into_step * slots_per_tick)[:, None] * ticks.tasks + ticks.offset_slots
    staged = lambda value, filler=0: _staged(np.asarray(value), filler)  # noqa: E731
    hop_s = requests.data_bits / infrastructure.backhaul_rate_bps
    if few:
        listed = every_server(infrastructure.between, _mean_hops(infrastructure.hops, ticks, cut))
    else:
        listed = nearest_servers(
            infrastructure,
            hop_s,
            requests.cycles,
            jnp.asarray(_staged(station, station[-1]), jnp.int32),
            min(MOST_NEAR, params.shape.num_servers - 1),
            min(_FARTHEST, int(np.max(infrastructure.hops))),
        )
    begin_slot = np.asarray(cut.begin_tick, np.int64) * slots_per_tick
    blocks = cut.begin_tick // int(np.max(params.period_ticks))
    stops = _stops(params, state, begin_slot, cut.num_ticks * slots_per_tick)
    real = lambda value: jnp.asarray(value, params.tick_s.dtype)  # noqa: E731
    return Future(
        weight=real(staged(count / np.where(count.any(0), count.sum(0), 1))),
        length=real(staged(cut.ticks / cut.num_ticks)),
        block=jnp.asarray(staged(blocks, blocks[-1]), jnp.int32),
        uplink_s=real(staged(cut.sum(ticks.uplink_s) / each)),
        hops=listed.hops,
        places=listed.places,
        cycles=requests.cycles,
        local_s=requests.cycles / requests.local_hz,
        hop_s=hop_s,
        server_hz=infrastructure.server_hz,
        latency=infrastructure.latency,
        stops=None
        if stops is None
        else Stops(
            stop_slots=jnp.asarray(stops.slots, jnp.int32),
            whole=jnp.asarray(staged(stops.whole, 1), jnp.int32),
            touched=jnp.asarray(staged(stops.touched), jnp.int32),
            of_pair=jnp.minimum(listed.between, stops.slots.shape[1] - 1).astype(jnp.int32),
            start_slot=jnp.asarray(staged(begin_slot, _AFTER), jnp.int32),
            offset_slots=real(staged(cut.sum(late_slots) / each)),
            slot_s=params.slot_s,
            most_steps=stops.most_steps,
        ),
        elsewhere=listed.elsewhere,
        num_blocks=int(blocks[-1]) + 1,
    )


def _mean_hops(
    hops: Float[Array, "stations servers"], ticks: Ticks, cut: Cut
) -> Float[Array, "stages steps users servers"]:
    """Hops of each step's tasks to every server, on average."""
    weighed = np.asarray(hops)[ticks.station] * ticks.tasks[..., None]
    count = cut.sum(ticks.tasks)[..., None]
    count = np.where(count > 0, count, 1)
    return jnp.asarray(_staged(cut.sum(weighed) / count, 0), hops.dtype)


class _Stopping(NamedTuple):
    slots: Int[np.ndarray, "users classes"]
    whole: Int[np.ndarray, "begun users classes"]
    touched: Int[np.ndarray, "begun users classes"]
    most_steps: int


def _stops(
    params: Params, state: State, begin_slot: Int[np.ndarray, "begun"], end_slot: int
) -> _Stopping | None:
    """How long moves stop services; a service that a failure moves may only have to start again."""
    cost, requests = params.infrastructure.migration, state.requests
    if cost is None:
        return None
    hops = jnp.arange(int(np.max(params.infrastructure.hops)) + 1, dtype=params.tick_s.dtype)
    move = move_between(
        cost,
        params.infrastructure.backhaul_rate_bps,
        requests.state_bits[:, None],
        requests.downtime_per_hop_s[:, None],
        hops,
    )
    slots = np.asarray(jnp.round(jnp.minimum(move.stop_s / params.slot_s, _LONGEST)), np.int64)
    if params.faults is not None:
        slots = np.minimum(slots, int(params.faults.restart_slots))
    # The last class stands for all longer paths, and with pre-copy a longer path may have a shorter stop.
    slots = np.minimum.accumulate(slots[:, ::-1], axis=1)[:, ::-1][:, :_MOST_CLASSES]
    step = np.arange(len(begin_slot))[:, None, None]
    until = begin_slot[:, None, None] + slots
    touched = np.searchsorted(begin_slot, until, "left") - step
    whole = np.searchsorted(np.append(begin_slot, end_slot), until, "right") - 1 - step
    most = int(np.clip(touched.max(), 1, _MOST_STEPS))
    return _Stopping(slots, np.clip(whole, 1, most), np.minimum(touched, most), most)


def _staged(value: np.ndarray, filler: float | Table) -> np.ndarray:
    """Steps in stages of equal length; the last one is padded."""
    missing = -len(value) % _STAGE_STEPS
    filled = np.concatenate(
        [value, np.full((missing, *value.shape[1:]), np.asarray(filler), value.dtype)]
    )
    return filled.reshape(-1, _STAGE_STEPS, *value.shape[1:])
