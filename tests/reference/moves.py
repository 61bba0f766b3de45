"""Services that move: who is down until when, and whose state is being copied ahead."""

import math
from dataclasses import dataclass

from reference.physics import apart, move_s
from reference.world import World


@dataclass(frozen=True)
class Journey:
    """A pre-copied move under way."""

    target: int
    ratio: float
    share: float
    arrival_tick: int


def journey(
    world: World, user: int, origin: int, target: int, ratio: float, share: float, tick: int
) -> Journey | None:
    """The journey that a decision begins, or None where the service moves at once."""
    if world.migration is None or target == origin:
        return None
    ahead_s, _ = move_s(world, world.users[user], apart(world, origin, target))
    if ahead_s == 0.0:
        return None
    ticks = max(1, math.ceil(ahead_s / world.tick_s - 1e-3))
    return Journey(target, ratio, share, tick + ticks)


def up_slot(world: World, user: int, origin: int, target: int, tick: int, before: int) -> int:
    """The slot from which a service runs again that moves now."""
    if world.migration is None:
        return before
    _, down_s = move_s(world, world.users[user], apart(world, origin, target))
    return max(before, tick * world.slots_per_tick) + round(down_s / world.slot_s)
