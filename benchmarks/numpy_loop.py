"""The peer of the simulator's benchmark: the same work as a plain NumPy loop over ticks.

Vectorised over users, as one would write it without a compiler: steady motion, nearest station,
broadcasts of F, the servers that are due following the radio with best ratios and priced shares,
and every task of the tick at its own slot.
"""

from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from isma.planning.allocation import RATIOS
from isma.simulator.params import Params
from isma.simulator.state import State

_BISECTIONS = 12
_FILLS = 4


@dataclass
class NumpyWorld:
    """A world's arrays, copied from the compiled simulator's so that both do the same."""

    params: Params
    site_m: np.ndarray
    hops: np.ndarray
    nearest: np.ndarray
    """Of each station, the server."""
    clock_hz: np.ndarray
    period: np.ndarray
    phase: np.ndarray
    data_bits: np.ndarray
    cycles: np.ndarray
    local_hz: np.ndarray
    first_slot: np.ndarray
    interval: np.ndarray
    position_m: np.ndarray
    heading: np.ndarray
    station: np.ndarray
    host: np.ndarray
    ratio: np.ndarray
    request: np.ndarray
    granted: np.ndarray
    load: np.ndarray
    ticks: int = field(default=0, init=False)
    """Ticks simulated."""
    moves: int = field(default=0, init=False)
    """Services moved to another server."""

    @classmethod
    def of(cls, params: Params, state: State) -> "NumpyWorld":
        """NumPy copy of a world."""
        infrastructure, emission, placement = params.infrastructure, state.emission, state.placement
        arrays = (
            params.site_m,
            infrastructure.hops,
            infrastructure.nearest(jnp.arange(len(params.site_m))),
            infrastructure.server_hz,
            params.period_ticks,
            state.phase_ticks,
            state.requests.data_bits,
            state.requests.cycles,
            state.requests.local_hz,
            emission.first_slot,
            emission.interval_slots,
            state.motion.position_m,
            state.motion.heading_rad,
            state.station,
            placement.host,
            placement.offload_ratio,
            placement.requested_share,
            placement.granted_share,
            placement.load,
        )
        return cls(params, *(np.array(array) for array in arrays))


def run(world: NumpyWorld, num_ticks: int, seed: int) -> float:
    """Advance by `num_ticks` and return the mean completion time over all tasks, in seconds."""
    random, params = np.random.default_rng(seed), world.params
    slots, tick_s = int(params.slots_per_tick), float(params.tick_s)
    total, tasks = 0.0, 0
    news = world.clock_hz.copy()
    age = np.zeros(len(news))
    for tick in range(num_ticks):
        news, age = world.clock_hz / (1 + world.load), age * 0
        decide(world, tick, slots)
        before = world.position_m
        _move(world, random)
        time_s = _serve(world, before, tick * slots, slots)
        total, tasks = total + time_s.sum(), tasks + len(time_s)
        world.station = _nearest(world)
        unborn = world.first_slot >= (tick + 1) * slots
        world.host = np.where(unborn, world.nearest[world.station], world.host)
        age = age + tick_s
        world.ticks += 1
    return total / max(tasks, 1)


def _nearest(world: NumpyWorld) -> np.ndarray:
    offset = world.position_m[:, None] - world.site_m
    return np.argmin((offset**2).sum(-1), axis=1)


def _move(world: NumpyWorld, random: np.random.Generator) -> None:
    params = world.params
    heading = world.heading + float(params.turn_std_rad) * random.standard_normal(
        len(world.heading)
    )
    ahead = world.position_m + float(params.step_m) * np.stack(
        [np.cos(heading), np.sin(heading)], 1
    )
    squared = ((ahead[:, None] - world.site_m) ** 2).sum(-1)
    outward = ahead - world.site_m[squared.argmin(1)]
    distance = np.sqrt(squared.min(1))
    outside = distance > float(params.coverage_radius_m)
    normal = outward / np.maximum(distance, 1e-9)[:, None]
    mirrored = ahead - 2 * (distance - float(params.coverage_radius_m))[:, None] * normal
    world.position_m = np.where(outside[:, None], mirrored, ahead)
    turned = 2 * np.arctan2(normal[:, 1], normal[:, 0]) + np.pi - heading
    world.heading = np.where(outside, turned, heading)


def _rate_bps(world: NumpyWorld, position_m: np.ndarray, station: np.ndarray) -> np.ndarray:
    params, infrastructure = world.params, world.params.infrastructure
    squared = ((position_m - world.site_m[station]) ** 2).sum(-1)
    squared = np.maximum(squared, float(params.min_distance_m) ** 2)
    gain = float(params.gain_at_1m) * squared ** (-float(params.loss_exponent) / 2)
    ratio = float(infrastructure.power_w) * gain / float(infrastructure.noise_w)
    return float(infrastructure.bandwidth_hz) * np.log2(1 + ratio)


def _serve(world: NumpyWorld, before: np.ndarray, start: int, slots: int) -> np.ndarray:
    behind = np.maximum(start - world.first_slot, 0)
    passed = -(-behind // world.interval)
    numbers = passed[:, None] + np.arange(world.params.shape.tasks_per_tick)
    slot = world.first_slot[:, None] + numbers * world.interval[:, None]
    user, which = np.nonzero(slot < start + slots)
    part = ((slot[user, which] - start) / slots)[:, None]
    position = before[user] + (world.position_m - before)[user] * part
    rate = _rate_bps(world, position, world.station[user])
    ratio, host = world.ratio[user], world.host[user]
    bits = world.data_bits[user] * ratio
    hops = world.hops[world.station[user], host]
    backhaul = bits * hops / float(world.params.infrastructure.backhaul_rate_bps)
    work = world.cycles[user] * ratio / world.clock_hz[host]
    edge = np.where(ratio > 0, work / np.maximum(world.granted[user], 1e-12), 0)
    local = world.cycles[user] * (1 - ratio) / world.local_hz[user]
    return np.maximum(local, bits / rate + backhaul + edge)


def decide(world: NumpyWorld, tick: int, slots: int) -> None:
    """Let the servers that are due, or have a newcomer, decide by `nearest`."""
    due = (tick - world.phase) % world.period == 0
    newcomer = world.first_slot // slots == tick
    known = world.first_slot < (tick + 1) * slots
    acting = due.copy()
    acting[world.host[newcomer]] = True
    if not acting.any():
        return
    decides = newcomer | (known & due[world.host] & ~newcomer)
    seen = known & acting[world.host]
    target = np.where(decides, world.nearest[world.station], world.host)
    share, ratio = _split(world, target, seen)
    world.moves += int(np.count_nonzero(decides & ~newcomer & (target != world.host)))
    world.host = np.where(decides, target, world.host)
    world.ratio = np.where(decides, ratio, world.ratio)
    world.request = np.where(decides, share, world.request) * known
    world.load = np.bincount(world.host, world.request, len(world.load))
    world.granted = world.request / np.maximum(1, world.load[world.host])


def _split(
    world: NumpyWorld, target: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Priced shares and best ratios for all seen users, at their home's price."""
    servers = len(world.clock_hz)
    rate = _rate_bps(world, world.position_m, world.station)
    local = world.cycles / world.local_hz
    per_hop = world.hops[world.station, target] / float(
        world.params.infrastructure.backhaul_rate_bps
    )
    transfer, work = world.data_bits * (1 / rate + per_hop), world.cycles / world.clock_hz[target]
    stays = seen & (target == world.host)
    weight = stays.astype(float)
    high = np.maximum(np.bincount(world.host, np.sqrt(work) * weight, servers) ** 2, 1e-12)
    low = high * 1e-2
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        share, _ = _respond(local, transfer, work, middle[world.host])
        fits = np.bincount(world.host, share * weight, servers) <= 1
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    share, ratio = _respond(local, transfer, work, high[world.host])
    root_work = np.sqrt(ratio * work) * weight
    slack = (1 - ratio) * local - ratio * transfer
    most = np.where(slack > 0, ratio * work / np.maximum(slack, 1e-20), 1.0).clip(1e-6, 1) * weight
    level = 1 / np.maximum(np.bincount(world.host, root_work, servers), 1e-12)
    for _ in range(_FILLS):
        filled = np.minimum(root_work * level[world.host], most)
        slope = np.bincount(world.host, np.where(filled < most, root_work, 0), servers)
        spare = 1 - np.bincount(world.host, filled, servers)
        level = level + np.where(slope > 0, spare / np.maximum(slope, 1e-12), 0)
    return np.where(stays, np.minimum(root_work * level[world.host], most), share), ratio


def _respond(
    local: np.ndarray, transfer: np.ndarray, work: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    ratio = np.asarray(RATIOS[1:])[:, None]
    slack = (1 - ratio) * local - ratio * transfer
    enough = np.where(slack > 0, ratio * work / np.maximum(slack, 1e-20), 1.0)
    share = np.minimum(np.sqrt(ratio * work / price), enough).clip(1e-6, 1)
    time = np.maximum((1 - ratio) * local, ratio * transfer + ratio * work / share)
    cost = time + price * share
    best, users = cost.argmin(0), np.arange(len(local))
    stays = local <= cost[best, users]
    return np.where(stays, 0, share[best, users]), np.where(stays, 0, ratio[best, 0])
