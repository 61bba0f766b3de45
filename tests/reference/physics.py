"""What a single task, link or move takes."""

import math

from reference.streets import Link, loss_db
from reference.world import Point, Radio, User, World


def nearest(world: World, point: Point) -> int:
    """The station nearest to a point, the first of equals."""
    distances = [math.dist(station_m, point) for station_m in world.stations_m]
    return distances.index(min(distances))


def closest_server(world: World, station: int) -> int:
    """The server with the fewest hops from a station, the first of equals."""
    return world.hops[station].index(min(world.hops[station]))


def apart(world: World, origin: int, target: int) -> float:
    """Hops from one server to another."""
    return world.hops[world.servers[origin].home][target]


def uplink_s(world: World, user: User, gain: float, band_hz: float, ratio: float) -> float:
    """Equations (2) and (3) for the offloaded part of a task."""
    if ratio == 0.0:
        return 0.0
    noise_w = watts(world.radio.noise_dbm) * band_hz / world.radio.bandwidth_hz
    snr = watts(world.radio.power_dbm) * gain / noise_w
    return user.data_bits * ratio / (band_hz * math.log2(1.0 + snr))


def completion_s(
    world: World,
    user: User,
    upload_s: float,
    hops: float,
    ratio: float,
    local_s: float,
    edge_s: float,
    wait_s: float,
) -> float:
    """Equations (4) and (6) for one task, given its upload and both branches' processing time."""
    if ratio == 0.0:
        return local_s
    there_s = wait_s + upload_s + user.data_bits * ratio * hops / world.backhaul_bps
    if world.latency is not None:
        there_s += world.latency.task_s + world.latency.per_hop_s * hops
    return max(local_s, there_s + edge_s)


def band_hz(radio: Radio, user: int, stations: list[int], ratios: list[float]) -> float:
    """What a user has of its station's band, or would have if it offloaded."""
    if not radio.shared:
        return radio.bandwidth_hz
    rivals = 0
    for other, station in enumerate(stations):
        if other != user and station == stations[user] and ratios[other] > 0.0:
            rivals += 1
    return radio.bandwidth_hz / (rivals + 1)


def channel_gain(radio: Radio, distance_m: float, link: Link = (0.0, 0.0)) -> float:
    """The fraction of the sent power that arrives."""
    ground_m = max(distance_m, radio.min_distance_m)
    if radio.streets is not None:
        return 10.0 ** (-loss_db(radio.streets, link, ground_m) / 10.0)
    loss = radio.loss_at_1km_db + radio.loss_per_decade_db * math.log10(ground_m / 1000.0)
    return 10.0 ** (-loss / 10.0)


def move_s(world: World, user: User, hops: float) -> tuple[float, float]:
    """For how long a moving service still runs where it was, and for how long it is then down."""
    plan = world.migration
    assert plan is not None
    round_s = user.state_bits * hops / world.backhaul_bps
    shrink = plan.dirty_bps * hops / world.backhaul_bps
    ahead_s, bits = 0.0, user.state_bits
    if shrink < 0.999:
        for _ in range(plan.rounds):
            if bits <= plan.stop_bits:
                break
            ahead_s += round_s
            round_s *= shrink
            bits *= shrink
    return ahead_s, plan.downtime_s + user.downtime_per_hop_s * hops + round_s


def watts(dbm: float) -> float:
    """A power level as a power."""
    return 10.0 ** (dbm / 10.0) / 1000.0
