"""What changes in the reference's world from tick to tick."""

from dataclasses import dataclass, field

from reference.failures import Outage
from reference.moves import Journey
from reference.physics import closest_server, nearest
from reference.queues import Line
from reference.streets import Link
from reference.world import Point, World


@dataclass
class State:
    positions_m: list[Point]
    headings_rad: list[float]
    stations: list[int]
    hosts: list[int]
    ratios: list[float]
    requests: list[float]
    loads: list[float]
    prices: list[float]
    up_slots: list[int]
    journeys: list[Journey | None]
    local_lines: list[Line]
    edge_lines: list[Line]
    outage: Outage
    links: list[Link]
    held: list[list[tuple[float, float, int]]]
    """`held[listener][server]`: remaining Hz, price, and the tick in which they were sent."""
    sent: dict[int, list[tuple[float, float] | None]] = field(default_factory=dict)


def initial(world: World) -> State:
    stations = [nearest(world, user.start_m) for user in world.users]
    idle = [(server.clock_hz, 0.0, 0) for server in world.servers]
    return State(
        positions_m=[user.start_m for user in world.users],
        headings_rad=[user.heading_rad for user in world.users],
        stations=stations,
        hosts=[closest_server(world, station) for station in stations],
        ratios=[0.0 for _ in world.users],
        requests=[0.0 for _ in world.users],
        loads=[0.0 for _ in world.servers],
        prices=[0.0 for _ in world.servers],
        up_slots=[0 for _ in world.users],
        journeys=[None for _ in world.users],
        local_lines=[Line() for _ in world.users],
        edge_lines=[Line() for _ in world.users],
        links=[user.fading for user in world.users],
        outage=Outage([0 for _ in world.servers], [None for _ in world.users]),
        held=[list(idle) for _ in world.servers],
    )
