"""Users move, their tasks are served, and their radios hand over."""

import math

from reference.physics import band_hz, channel_gain, completion_s, nearest, uplink_s, watts
from reference.state import State
from reference.streets import moved
from reference.world import Draws, Point, Task, World


def move(world: World, state: State, draws: Draws, tick: int, there: list[bool]) -> list[Point]:
    """Step 4: positions at the tick's end; turns the headings of a steady motion."""
    if world.track_m is not None:
        return list(world.track_m[tick + 1])
    ends = []
    for i, (x, y) in enumerate(state.positions_m):
        if world.visited and not there[i]:
            ends.append((x, y))
            continue
        if world.road_m is not None:
            end, state.headings_rad[i] = _drive(
                world.road_m, x, state.headings_rad[i], world.speed_mps * world.tick_s
            )
            ends.append((end, y))
            continue
        turn_std = world.turn_std_rad_per_sqrt_s * math.sqrt(world.tick_s)
        heading = state.headings_rad[i] + turn_std * draws.turn[tick][i]
        travel_x, travel_y = math.cos(heading), math.sin(heading)
        x += world.speed_mps * world.tick_s * travel_x
        y += world.speed_mps * world.tick_s * travel_y
        site = world.stations_m[nearest(world, (x, y))]
        distance = math.dist(site, (x, y))
        if distance > world.coverage_m:
            normal_x, normal_y = (x - site[0]) / distance, (y - site[1]) / distance
            x -= 2.0 * (distance - world.coverage_m) * normal_x
            y -= 2.0 * (distance - world.coverage_m) * normal_y
            outward = travel_x * normal_x + travel_y * normal_y
            travel_x -= 2.0 * outward * normal_x
            travel_y -= 2.0 * outward * normal_y
            heading = math.atan2(travel_y, travel_x)
        state.headings_rad[i] = heading
        ends.append((x, y))
    return ends


def _drive(
    road_m: tuple[float, float], x: float, heading: float, step_m: float
) -> tuple[float, float]:
    """Along a road, and back at its ends."""
    west, east = road_m
    x += step_m if heading == 0.0 else -step_m
    if x > east:
        return 2.0 * east - x, math.pi
    if x < west:
        return 2.0 * west - x, 0.0
    return x, heading


def tasks(
    world: World, state: State, granted: list[float], ends: list[Point], tick: int
) -> list[Task]:
    """Step 5: every task of the tick, each at its own slot."""
    tasks = []
    begin = tick * world.slots_per_tick
    for i, user in enumerate(world.users):
        edge_hz = world.servers[state.hosts[i]].clock_hz * granted[i]
        for slot in range(begin, begin + world.slots_per_tick):
            comes = user.first_slot <= slot < user.leave_slot
            if comes and (slot - user.first_slot) % user.interval_slots == 0:
                along = (slot - begin) / world.slots_per_tick
                start, end = state.positions_m[i], ends[i]
                point = (
                    start[0] + along * (end[0] - start[0]),
                    start[1] + along * (end[1] - start[1]),
                )
                tasks.append(_task(world, state, i, slot, point, edge_hz))
            if world.queued:
                state.local_lines[i].work_off(user.local_hz, world.slot_s)
                if slot >= state.up_slots[i]:
                    state.edge_lines[i].work_off(edge_hz, world.slot_s)
    return tasks


def hand_over(world: World, state: State, draws: Draws, ends: list[Point], tick: int) -> None:
    """Step 6: stations, and what becomes of the links to them."""
    stations = [nearest(world, point) for point in ends]
    if draws.fading is not None:
        for i, fresh in enumerate(draws.fading[tick]):
            if stations[i] != state.stations[i]:
                state.links[i] = fresh
                continue
            begin, site = state.positions_m[i], world.stations_m[state.stations[i]]
            ground_m = max(math.dist(site, begin), world.radio.min_distance_m)
            way_m = math.dist(begin, ends[i])
            state.links[i] = moved(state.links[i], ground_m, way_m, fresh)
    state.positions_m, state.stations = ends, stations


def link_gain(world: World, state: State, i: int, point: Point) -> float:
    site = world.stations_m[state.stations[i]]
    return channel_gain(world.radio, math.dist(site, point), state.links[i])


def _task(world: World, state: State, i: int, slot: int, point: Point, edge_hz: float) -> Task:
    """One task; where tasks queue, it joins both lines."""
    user, ratio = world.users[i], state.ratios[i]
    own_cycles, edge_cycles = user.cycles * (1.0 - ratio), user.cycles * ratio
    upload_s = uplink_s(
        world,
        user,
        link_gain(world, state, i, point),
        band_hz(world.radio, i, state.stations, state.ratios),
        ratio,
    )
    energy_j = world.kappa_j_per_hz2 * user.local_hz**2 * own_cycles
    energy_j += watts(world.radio.power_dbm) * upload_s
    local_cycles = own_cycles
    if world.queued:
        local_cycles = state.local_lines[i].join(own_cycles) if ratio < 1.0 else 0.0
        edge_cycles = state.edge_lines[i].join(edge_cycles) if ratio > 0.0 else 0.0
    time_s = completion_s(
        world,
        user,
        upload_s=upload_s,
        hops=world.hops[state.stations[i]][state.hosts[i]],
        ratio=ratio,
        local_s=local_cycles / user.local_hz,
        edge_s=edge_cycles / edge_hz if ratio > 0.0 else 0.0,
        wait_s=max(0, state.up_slots[i] - slot) * world.slot_s,
    )
    return Task(i, slot, time_s, energy_j)
