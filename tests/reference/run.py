"""The ticks of the reference simulator, one by one."""

import math
from dataclasses import dataclass, field

from reference.failures import Outage, refuge, served_again, strike
from reference.moves import Journey, journey, up_slot
from reference.physics import band_hz, channel_gain, completion_s, nearest
from reference.queues import Line
from reference.world import (
    Action,
    Draws,
    News,
    Point,
    Result,
    Rule,
    Server,
    Task,
    Tick,
    View,
    World,
)


@dataclass
class _State:
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
    held: list[list[tuple[float, float, int]]]
    """`held[listener][server]`: remaining Hz, price, and the tick in which they were sent."""
    sent: dict[int, list[tuple[float, float] | None]] = field(default_factory=dict)


def simulate(world: World, draws: Draws, rule: Rule, num_ticks: int) -> Result:
    """Runs a world from its first tick, asking `rule` for the actions."""
    state = _initial(world)
    return Result([_tick(world, state, draws, rule, tick) for tick in range(num_ticks)])


def local(tick: int, view: View) -> Action:
    """The rule that offloads nothing, moves no service, asks for no share and for no price."""
    del tick
    zeros = [0.0] * len(view.hosts)
    return Action(list(view.hosts), zeros, zeros, [0.0] * len(view.news.price))


def user_mean_s(result: Result, num_users: int, warm_up_slot: int) -> float:
    """Each user's mean over its tasks from a slot on, then the mean over users who had any."""
    times: list[list[float]] = [[] for _ in range(num_users)]
    for record in result.ticks:
        for task in record.tasks:
            if task.slot >= warm_up_slot:
                times[task.user].append(task.completion_s)
    means = [sum(of_user) / len(of_user) for of_user in times if of_user]
    return sum(means) / len(means)


def _initial(world: World) -> _State:
    stations = [nearest(world, user.start_m) for user in world.users]
    idle = [(server.clock_hz, 0.0, 0) for server in world.servers]
    return _State(
        positions_m=[user.start_m for user in world.users],
        headings_rad=[user.heading_rad for user in world.users],
        stations=stations,
        hosts=list(stations),
        ratios=[0.0 for _ in world.users],
        requests=[0.0 for _ in world.users],
        loads=[0.0 for _ in world.servers],
        prices=[0.0 for _ in world.servers],
        up_slots=[0 for _ in world.users],
        journeys=[None for _ in world.users],
        local_lines=[Line() for _ in world.users],
        edge_lines=[Line() for _ in world.users],
        outage=Outage([0 for _ in world.servers], [None for _ in world.users]),
        held=[list(idle) for _ in world.servers],
    )


def _tick(world: World, state: _State, draws: Draws, rule: Rule, tick: int) -> Tick:
    births = [user.first_slot // world.slots_per_tick for user in world.users]
    born = [birth <= tick for birth in births]
    begin = tick * world.slots_per_tick
    left = [user.leave_slot <= begin for user in world.users]
    there = [now and not away for now, away in zip(born, left, strict=True)]
    migrations = [0 for _ in world.users]
    _forget(state, left)
    turned = _fail(world, state, draws, tick)
    up = [state.outage.up(server, tick) for server in range(len(world.servers))]
    _arrive(world, state, tick, migrations)
    _sum_loads(state, born)

    news = _broadcast(world, state, draws, tick)
    due = [
        alive and (tick - one.phase_ticks) % one.period_ticks == 0
        for one, alive in zip(world.servers, up, strict=True)
    ]
    newcomers = [
        (birth == tick or away) and up[host]
        for birth, away, host in zip(births, turned, state.hosts, strict=True)
    ]
    acting = list(due)
    for host, new in zip(state.hosts, newcomers, strict=True):
        acting[host] = acting[host] or new
    deciding = [
        newcomers[i]
        or (births[i] < tick and not left[i] and due[state.hosts[i]] and state.journeys[i] is None)
        for i in range(len(world.users))
    ]
    stations = list(state.stations)
    action = rule(tick, _view(world, state, begin, there, news))
    for i, decides in enumerate(deciding):
        if decides:
            _act(world, state, i, newcomers[i], action, tick, migrations)
    _lose(world, state, there, tick)
    _sum_loads(state, born)
    for server, acts in enumerate(acting):
        if acts:
            state.prices[server] = action.price[server]

    granted = [
        request / max(1.0, state.loads[host])
        for request, host in zip(state.requests, state.hosts, strict=True)
    ]
    ends = _move(world, state, draws, tick, there)
    tasks = _tasks(world, state, granted, ends, tick)
    state.positions_m = ends
    state.stations = [nearest(world, point) for point in ends]
    for i in range(len(world.users)):
        if not born[i]:
            state.hosts[i] = state.stations[i]
    return Tick(
        tasks=tasks,
        hosts=list(state.hosts),
        offload_ratios=list(state.ratios),
        requests=list(state.requests),
        granted=granted,
        loads=list(state.loads),
        prices=list(state.prices),
        acting=acting,
        newcomers=newcomers,
        deciding=deciding,
        migrations=migrations,
        handovers=[a != b for a, b in zip(state.stations, stations, strict=True)],
        overloaded=[load > 1.0 + 1e-5 for load in state.loads],
        news=news,
        positions_m=ends,
        stations=list(state.stations),
        headings_rad=list(state.headings_rad),
        up_slots=list(state.up_slots),
        local_cycles=[line.cycles for line in state.local_lines],
        edge_cycles=[line.cycles for line in state.edge_lines],
        down_slots=sum(min(max(0, up - begin), world.slots_per_tick) for up in state.up_slots),
        present=sum(there),
        up=up,
        turned=turned,
    )


def _view(world: World, state: _State, begin: int, there: list[bool], news: News) -> View:
    """Everything that might be seen at this moment."""
    return View(
        positions_m=list(state.positions_m),
        stations=list(state.stations),
        hosts=list(state.hosts),
        there=there,
        waits_s=[max(0, up - begin) * world.slot_s for up in state.up_slots],
        local_cycles=[line.cycles for line in state.local_lines],
        edge_cycles=[line.cycles for line in state.edge_lines],
        bands_hz=[
            band_hz(world.radio, i, state.stations, state.ratios) for i in range(len(world.users))
        ],
        news=news,
    )


def _fail(world: World, state: _State, draws: Draws, tick: int) -> list[bool]:
    """Before step 1: servers fail, and users of failed ones turn away."""
    turned = [False for _ in world.users]
    plan, outage = world.failures, state.outage
    if plan is None or draws.failure is None:
        return turned
    strike(plan, world.tick_s, outage, tick, draws.failure[tick])
    for i, since in enumerate(outage.lost_ticks):
        if since is None:
            continue
        if outage.up(state.hosts[i], tick):
            outage.lost_ticks[i] = None
            continue
        target = refuge(world, outage, state.stations[i], tick)
        if tick >= since + plan.detection_ticks and target is not None:
            outage.lost_ticks[i] = None
            turned[i] = True
            state.hosts[i], state.ratios[i], state.requests[i] = target, 0.0, 0.0
            restart = tick * world.slots_per_tick + plan.restart_slots
            state.up_slots[i] = max(state.up_slots[i], restart)
    return turned


def _lose(world: World, state: _State, there: list[bool], tick: int) -> None:
    """After step 3: services stand still whose host is down."""
    plan, outage = world.failures, state.outage
    if plan is None:
        return
    for i, host in enumerate(state.hosts):
        if not there[i] or outage.up(host, tick):
            continue
        since = outage.lost_ticks[i]
        if since is None:
            since = outage.lost_ticks[i] = tick
            state.journeys[i] = None
        elif tick < since + plan.detection_ticks:
            continue
        again = served_again(plan, outage, host, since, tick)
        restart = again * world.slots_per_tick + plan.restart_slots
        state.up_slots[i] = max(state.up_slots[i], restart)


def _forget(state: _State, left: list[bool]) -> None:
    """Before step 1: users that have left have nothing any more."""
    for i, away in enumerate(left):
        if away:
            state.ratios[i], state.requests[i], state.up_slots[i] = 0.0, 0.0, 0
            state.journeys[i] = None
            state.outage.lost_ticks[i] = None
            state.local_lines[i].cycles = state.edge_lines[i].cycles = 0.0


def _arrive(world: World, state: _State, tick: int, migrations: list[int]) -> None:
    """Before step 1: targets take over whose state has been copied."""
    for i, trip in enumerate(state.journeys):
        if trip is not None and trip.arrival_tick == tick:
            before = state.up_slots[i]
            state.up_slots[i] = up_slot(world, i, state.hosts[i], trip.target, tick, before)
            state.hosts[i], state.ratios[i], state.requests[i] = (
                trip.target,
                trip.ratio,
                trip.share,
            )
            state.journeys[i] = None
            migrations[i] += 1


def _act(
    world: World,
    state: _State,
    i: int,
    newcomer: bool,
    action: Action,
    tick: int,
    migrations: list[int],
) -> None:
    """Step 3 for one user: the action takes effect, or a journey begins."""
    target, ratio, share = action.server[i], action.offload_ratio[i], action.cpu_share[i]
    origin = state.hosts[i]
    if not newcomer and target != origin:
        state.journeys[i] = journey(world, i, origin, target, ratio, share, tick)
        if state.journeys[i] is not None:
            return
        state.up_slots[i] = up_slot(world, i, origin, target, tick, state.up_slots[i])
        migrations[i] += 1
    state.hosts[i], state.ratios[i], state.requests[i] = target, ratio, share


def _sum_loads(state: _State, born: list[bool]) -> None:
    """What is requested of each server, by those it hosts and by those that are on their way."""
    state.loads = [0.0 for _ in state.loads]
    for i, trip in enumerate(state.journeys):
        if born[i]:
            state.loads[state.hosts[i]] += state.requests[i]
        if trip is not None:
            state.loads[trip.target] += trip.share


def _broadcast(world: World, state: _State, draws: Draws, tick: int) -> News:
    """Step 1: sends, delivers, and tells what everyone then knows."""
    plan = world.broadcast
    present = [
        (_remaining_hz(one, load, plan.literal), price)
        for one, load, price in zip(world.servers, state.loads, state.prices, strict=True)
    ]
    if tick % plan.period_ticks == 0:
        state.sent[tick] = [
            one if state.outage.up(server, tick) else None for server, one in enumerate(present)
        ]
    sent_at = tick - plan.delay_ticks
    count = len(world.servers)
    if sent_at in state.sent:
        for listener in range(count):
            for server in range(count):
                lost = (
                    draws.heard is not None
                    and draws.heard[tick][listener][server] < plan.loss_ratio
                )
                message = state.sent[sent_at][server]
                if message is not None and not lost:
                    state.held[listener][server] = (*message, sent_at)
    remaining_hz, price, age_s = [], [], []
    for listener in range(count):
        known = list(state.held[listener])
        known[listener] = (*present[listener], tick)
        remaining_hz.append([entry[0] for entry in known])
        price.append([entry[1] for entry in known])
        age_s.append([(tick - entry[2]) * world.tick_s for entry in known])
    return News(remaining_hz, price, age_s)


def _remaining_hz(server: Server, load: float, literal: bool) -> float:
    if literal:
        return server.clock_hz * (1.0 - min(load, 1.0))
    return server.clock_hz / (1.0 + load)


def _move(world: World, state: _State, draws: Draws, tick: int, there: list[bool]) -> list[Point]:
    """Step 4: positions at the tick's end; turns the headings of a steady motion."""
    if world.track_m is not None:
        return list(world.track_m[tick + 1])
    ends = []
    for i, (x, y) in enumerate(state.positions_m):
        if world.visited and not there[i]:
            ends.append((x, y))
            continue
        turn_std = world.turn_std_rad_per_sqrt_s * math.sqrt(world.tick_s)
        heading = state.headings_rad[i] + turn_std * draws.turn[tick][i]
        travel_x, travel_y = math.cos(heading), math.sin(heading)
        x += world.speed_mps * world.tick_s * travel_x
        y += world.speed_mps * world.tick_s * travel_y
        site = world.servers[nearest(world, (x, y))].site_m
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


def _tasks(
    world: World, state: _State, granted: list[float], ends: list[Point], tick: int
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
                tasks.append(Task(i, slot, _task_s(world, state, i, slot, point, edge_hz)))
            if world.queued:
                state.local_lines[i].work_off(user.local_hz, world.slot_s)
                if slot >= state.up_slots[i]:
                    state.edge_lines[i].work_off(edge_hz, world.slot_s)
    return tasks


def _task_s(world: World, state: _State, i: int, slot: int, point: Point, edge_hz: float) -> float:
    """One task's completion time; where tasks queue, it joins both lines."""
    user, station, ratio = world.users[i], state.stations[i], state.ratios[i]
    local_cycles, edge_cycles = user.cycles * (1.0 - ratio), user.cycles * ratio
    if world.queued:
        local_cycles = state.local_lines[i].join(local_cycles) if ratio < 1.0 else 0.0
        edge_cycles = state.edge_lines[i].join(edge_cycles) if ratio > 0.0 else 0.0
    return completion_s(
        world,
        user,
        gain=channel_gain(world.radio, math.dist(world.servers[station].site_m, point)),
        band_hz=band_hz(world.radio, i, state.stations, state.ratios),
        hops=world.hops[station][state.hosts[i]],
        ratio=ratio,
        local_s=local_cycles / user.local_hz,
        edge_s=edge_cycles / edge_hz if ratio > 0.0 else 0.0,
        wait_s=max(0, state.up_slots[i] - slot) * world.slot_s,
    )
