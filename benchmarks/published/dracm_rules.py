"""Rules and optima of DRACM's test: where the service is in each slot, and what that costs.

A placement is an array, traces × slots, of the server that serves each slot. All start in the user's cell.
"""

from enum import Enum

import numpy as np

from benchmarks.published.dracm_instance import Instance, Parameters, hops_of, transfer_s

_BATCH = 60
"""Draws of a slot by which the future is averaged."""


class Image(Enum):
    """When the transfer of a service's image is charged."""

    ALWAYS = "in every slot"
    """As its evaluation does, also to a service that stays."""
    MOVING = "only when moving"


def move_s(hops: np.ndarray, hop_s: np.ndarray, image_s: np.ndarray, image: Image) -> np.ndarray:
    """Time that a migration over so many hops adds to the tasks of its slot; shapes must broadcast."""
    return hops * hop_s + image_s * (np.ones_like(hops) if image is Image.ALWAYS else hops > 0)


def cost_s(one: Instance, placement: np.ndarray, image: Image, lag: int = 1) -> np.ndarray:
    """Delay of each trace, summed over its slots, in seconds.

    Hops of a migration count from the server of `lag` slots ago: 1, or 2 as the environment's reward does.
    """
    trace, slot = np.arange(len(placement))[:, None], np.arange(placement.shape[1])
    start = np.repeat(one.station[:, :1], lag, axis=1)
    before = np.concatenate([start, placement], axis=1)[:, : placement.shape[1]]
    moving = move_s(one.hops[before, placement], one.hop_move_s, one.image_s, image)
    return (one.delay_s[trace, slot, placement] + moving).sum(axis=1)


def optimum_s(one: Instance, image: Image, start: np.ndarray | None = None) -> np.ndarray:
    """Least cost of each trace if all draws are known beforehand, by dynamic programming."""
    traces, slots, servers = one.delay_s.shape
    later = np.zeros((traces, servers))
    for slot in reversed(range(slots)):
        later = _over(one.delay_s[:, slot] + later, one, slot, image).min(axis=2)
    start = one.station[:, 0] if start is None else start
    return later[np.arange(traces), start]


def paid_optimum_s(one: Instance) -> np.ndarray:
    """Least cost of each trace by the environment's own reward, in which hops count from two slots ago.

    Slots of even and of odd number then have nothing to do with each other: two optima.
    """
    per_slot = ("station", "delay_s", "load", "work", "hop_move_s", "image_s")
    halves = [
        one._replace(**{name: getattr(one, name)[:, parity::2] for name in per_slot})
        for parity in (0, 1)
    ]
    return sum(
        (optimum_s(half, Image.ALWAYS, one.station[:, 0]) for half in halves),
        np.zeros(len(one.station)),
    )


def never(one: Instance) -> np.ndarray:
    """The service stays in the cell in which its user was first."""
    return np.repeat(one.station[:, :1], one.station.shape[1], axis=1)


def always(one: Instance) -> np.ndarray:
    """The service follows its user from cell to cell."""
    return one.station


def myopic(one: Instance, image: Image, later_s: np.ndarray | None = None) -> np.ndarray:
    """Least delay of the slot, all loads and costs of that slot known; plus `later_s`, if it is given.

    `later_s` (slots × traces × servers) is the expected cost after the slot.
    """
    traces, slots, _ = one.delay_s.shape
    place, host = np.zeros((traces, slots), int), one.station[:, 0]
    for slot in range(slots):
        here = one.hops[host]
        cost = one.delay_s[:, slot] + move_s(
            here, one.hop_move_s[:, slot, None], one.image_s[:, slot, None], image
        )
        host = np.argmin(cost if later_s is None else cost + later_s[slot], axis=1)
        place[:, slot] = host
    return place


def expected_later_s(one: Instance, test: Parameters, image: Image, seed: int) -> np.ndarray:
    """Expected cost after each slot under the best policy that cannot know draws before they are made.

    slots × traces × servers. It knows their distributions and each user's whole path. The expectation is a
    mean over draws of another seed, by backward induction.
    """
    traces, slots, servers = one.delay_s.shape
    generator = np.random.default_rng(seed)
    mean_mbit = max(1.0, test.user_tasks) * sum(test.data_bits) / 2 / 1024**2
    path_s = transfer_s(hops_of(test)[one.station], mean_mbit, test)
    later = np.zeros((slots, traces, servers))
    for slot in reversed(range(1, slots)):
        load_s = _loads(generator, test) / test.server_rate
        hop_s = generator.uniform(*test.move_s_per_hop, (_BATCH, 1, 1))
        image_s = generator.uniform(*test.image_mb, (_BATCH, 1, 1)) * 8 / test.fibre_mbps
        moving = move_s(one.hops, hop_s, image_s, image)
        for trace in range(traces):
            there = load_s + path_s[trace, slot] + later[slot, trace]
            later[slot - 1, trace] = (moving + there[:, None, :]).min(axis=2).mean(axis=0)
    return later


def _over(there: np.ndarray, one: Instance, slot: int, image: Image) -> np.ndarray:
    """Cost from every server to every server: traces × servers × servers."""
    hop_s, image_s = (part[:, slot, None, None] for part in (one.hop_move_s, one.image_s))
    return move_s(one.hops, hop_s, image_s, image) + there[:, None, :]


def _loads(generator: np.random.Generator, test: Parameters) -> np.ndarray:
    """Loads of the servers in a batch of slots, batch × servers, in 2³⁰ cycles."""
    number = generator.poisson(test.server_tasks, (_BATCH, len(test.server_tasks)))
    size = (*number.shape, int(number.max()))
    work = generator.uniform(*test.data_bits, size) * generator.uniform(*test.cycles_per_bit, size)
    return np.where(np.arange(size[2]) < number[..., None], work, 0).sum(axis=2) / 1024**3
