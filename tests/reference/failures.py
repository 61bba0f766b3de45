"""Servers that fail, and their users."""

import math
from dataclasses import dataclass

from reference.world import Failures, World


@dataclass
class Outage:
    """Who is down, and who has noticed."""

    repair_ticks: list[int]
    lost_ticks: list[int | None]

    def up(self, server: int, tick: int) -> bool:
        return tick >= self.repair_ticks[server]


def strike(
    plan: Failures, tick_s: float, outage: Outage, tick: int, draws: list[tuple[float, float]]
) -> None:
    """Servers fail, or not, in this tick."""
    for server, (x, y) in enumerate(draws):
        if outage.up(server, tick) and x < 1.0 - math.exp(-tick_s / plan.mean_between_s):
            mean_ticks = plan.mean_repair_s / tick_s
            outage.repair_ticks[server] = tick + max(1, math.ceil(-mean_ticks * math.log(1.0 - y)))


def refuge(world: World, outage: Outage, station: int, tick: int) -> int | None:
    """The server that is up and fewest hops away."""
    alive = [server for server in range(len(world.servers)) if outage.up(server, tick)]
    return min(alive, key=lambda server: (world.hops[station][server], server), default=None)


def served_again(plan: Failures, outage: Outage, host: int, lost_tick: int, tick: int) -> int:
    """The tick in which a lost user's service will start, as it looks now."""
    away = lost_tick + plan.detection_ticks
    if tick >= away:
        away = min(outage.repair_ticks)
    return min(outage.repair_ticks[host], away)
