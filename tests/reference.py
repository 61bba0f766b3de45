"""A second simulator, in plain Python, written from `docs/simulation.md` alone.

It shares no line with the simulator of the package: loops over users and servers, floats and
`math`. It is slow, in double precision throughout, and there to disagree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True)
class User:
    """What is fixed for one user, and where it starts."""

    data_bits: float
    cycles: float
    local_hz: float
    deadline_s: float
    interval_slots: int
    first_slot: int
    start_m: Point
    heading_rad: float


@dataclass(frozen=True)
class Server:
    """One edge server and the base station at its site."""

    site_m: Point
    clock_hz: float
    period_ticks: int
    phase_ticks: int


@dataclass(frozen=True)
class Radio:
    """The uplink, in the decibels of the scenario."""

    bandwidth_hz: float
    power_dbm: float
    noise_dbm: float
    loss_at_1km_db: float
    loss_per_decade_db: float
    min_distance_m: float


@dataclass(frozen=True)
class Broadcast:
    """How the servers' news travels."""

    period_ticks: int
    delay_ticks: int
    loss_ratio: float
    literal: bool


@dataclass(frozen=True)
class World:
    """Everything that one seed and one scenario fix; `track_m[tick][user]` replaces steady motion.

    `track_m[k]` is the recorded position at the beginning of tick `k`, which is the end of `k - 1`.
    """

    users: tuple[User, ...]
    servers: tuple[Server, ...]
    hops: tuple[tuple[float, ...], ...]
    backhaul_bps: float
    radio: Radio
    broadcast: Broadcast
    coverage_m: float
    speed_mps: float
    turn_std_rad_per_sqrt_s: float
    slots_per_tick: int
    tick_s: float
    track_m: tuple[tuple[Point, ...], ...] | None = None


@dataclass(frozen=True)
class Draws:
    """A run's randomness: `turn[tick][user]` normal, `heard[tick][listener][server]` uniform."""

    turn: list[list[float]]
    heard: list[list[list[float]]] | None = None


@dataclass(frozen=True)
class Action:
    """What would be done with every user and every price, if its server decided now."""

    server: list[int]
    offload_ratio: list[float]
    cpu_share: list[float]
    price: list[float]


@dataclass(frozen=True)
class News:
    """What each listener holds of each server, `[listener][server]`."""

    remaining_hz: list[list[float]]
    price: list[list[float]]
    age_s: list[list[float]]


@dataclass(frozen=True)
class View:
    """The state at the beginning of a tick, after the broadcasts, from which everyone decides."""

    positions_m: list[Point]
    stations: list[int]
    hosts: list[int]
    news: News


@dataclass(frozen=True)
class Task:
    """One component task and how long it took."""

    user: int
    slot: int
    completion_s: float


@dataclass(frozen=True)
class Tick:
    """What one tick did; positions, stations, headings and hosts are those at its end."""

    tasks: list[Task]
    hosts: list[int]
    offload_ratios: list[float]
    requests: list[float]
    granted: list[float]
    loads: list[float]
    prices: list[float]
    acting: list[bool]
    newcomers: list[bool]
    deciding: list[bool]
    migrations: list[bool]
    handovers: list[bool]
    overloaded: list[bool]
    news: News
    positions_m: list[Point]
    stations: list[int]
    headings_rad: list[float]


@dataclass(frozen=True)
class Result:
    """A run, tick by tick."""

    ticks: list[Tick]


Rule = Callable[[int, View], Action]


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
    held: list[list[tuple[float, float, int]]]
    """`held[listener][server]`: remaining Hz, price, and the tick in which they were sent."""
    sent: dict[int, list[tuple[float, float]]] = field(default_factory=dict)


def simulate(world: World, draws: Draws, rule: Rule, num_ticks: int) -> Result:
    """Runs a world from its first tick, asking `rule` for the actions."""
    state = _initial(world)
    return Result([_tick(world, state, draws, rule, tick) for tick in range(num_ticks)])


def local(tick: int, view: View) -> Action:
    """The rule that offloads nothing, moves no service, asks for no share and for no price."""
    del tick
    zeros = [0.0] * len(view.hosts)
    return Action(list(view.hosts), zeros, zeros, [0.0] * len(view.news.price))


def nearest(world: World, point: Point) -> int:
    """The station nearest to a point, the first of equals."""
    distances = [math.dist(server.site_m, point) for server in world.servers]
    return distances.index(min(distances))


def completion_s(
    world: World, user: User, gain: float, hops: float, ratio: float, edge_hz: float
) -> float:
    """Equations (1)-(6) of the paper for one task; `edge_hz` is the user's part of its server."""
    local_s = user.cycles * (1.0 - ratio) / user.local_hz
    if ratio == 0.0:
        return local_s
    power_w = _watts(world.radio.power_dbm)
    noise_w = _watts(world.radio.noise_dbm)
    uplink_bps = world.radio.bandwidth_hz * math.log2(1.0 + power_w * gain / noise_w)
    moved_bits = user.data_bits * ratio
    edge_s = moved_bits / uplink_bps
    edge_s += moved_bits * hops / world.backhaul_bps
    edge_s += ratio * user.cycles / edge_hz
    return max(local_s, edge_s)


def channel_gain(radio: Radio, distance_m: float) -> float:
    """The fraction of the sent power that arrives."""
    distance_km = max(distance_m, radio.min_distance_m) / 1000.0
    loss_db = radio.loss_at_1km_db + radio.loss_per_decade_db * math.log10(distance_km)
    return 10.0 ** (-loss_db / 10.0)


def user_mean_s(result: Result, num_users: int, warm_up_slot: int) -> float:
    """Each user's mean over its tasks from a slot on, then the mean over users who had any."""
    times: list[list[float]] = [[] for _ in range(num_users)]
    for record in result.ticks:
        for task in record.tasks:
            if task.slot >= warm_up_slot:
                times[task.user].append(task.completion_s)
    means = [sum(of_user) / len(of_user) for of_user in times if of_user]
    return sum(means) / len(means)


def _watts(dbm: float) -> float:
    return 10.0 ** (dbm / 10.0) / 1000.0


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
        held=[list(idle) for _ in world.servers],
    )


def _tick(world: World, state: _State, draws: Draws, rule: Rule, tick: int) -> Tick:
    news = _broadcast(world, state, draws, tick)
    due = [(tick - one.phase_ticks) % one.period_ticks == 0 for one in world.servers]
    births = [user.first_slot // world.slots_per_tick for user in world.users]
    newcomers = [birth == tick for birth in births]
    acting = list(due)
    for host, new in zip(state.hosts, newcomers, strict=True):
        acting[host] = acting[host] or new

    deciding = [
        new or (birth < tick and due[host])
        for new, birth, host in zip(newcomers, births, state.hosts, strict=True)
    ]
    before = View(list(state.positions_m), list(state.stations), list(state.hosts), news)
    action = rule(tick, before)
    _act(state, deciding, [birth <= tick for birth in births], action)
    for server, acts in enumerate(acting):
        if acts:
            state.prices[server] = action.price[server]
    granted = [
        request / max(1.0, state.loads[host])
        for request, host in zip(state.requests, state.hosts, strict=True)
    ]
    migrations = [
        new != old and birth < tick
        for new, old, birth in zip(state.hosts, before.hosts, births, strict=True)
    ]
    ends = _move(world, state, draws, tick)
    tasks = _tasks(world, state, granted, ends, tick)
    state.positions_m = ends
    state.stations = [nearest(world, point) for point in ends]
    for i, birth in enumerate(births):
        if birth > tick:
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
        handovers=[a != b for a, b in zip(state.stations, before.stations, strict=True)],
        overloaded=[load > 1.0 + 1e-5 for load in state.loads],
        news=news,
        positions_m=ends,
        stations=list(state.stations),
        headings_rad=list(state.headings_rad),
    )


def _act(state: _State, deciding: list[bool], born: list[bool], action: Action) -> None:
    """Step 3: the action reaches those who decide, and the loads follow."""
    state.loads = [0.0 for _ in state.loads]
    for i in range(len(deciding)):
        if deciding[i]:
            state.hosts[i] = action.server[i]
            state.ratios[i] = action.offload_ratio[i]
            state.requests[i] = action.cpu_share[i]
        if born[i]:
            state.loads[state.hosts[i]] += state.requests[i]


def _broadcast(world: World, state: _State, draws: Draws, tick: int) -> News:
    """Step 1: sends, delivers, and tells what everyone then knows."""
    plan = world.broadcast
    present = [
        (_remaining_hz(one, load, plan.literal), price)
        for one, load, price in zip(world.servers, state.loads, state.prices, strict=True)
    ]
    if tick % plan.period_ticks == 0:
        state.sent[tick] = present
    sent_at = tick - plan.delay_ticks
    count = len(world.servers)
    if sent_at in state.sent:
        for listener in range(count):
            for server in range(count):
                lost = (
                    draws.heard is not None
                    and draws.heard[tick][listener][server] < plan.loss_ratio
                )
                if not lost:
                    state.held[listener][server] = (*state.sent[sent_at][server], sent_at)
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


def _move(world: World, state: _State, draws: Draws, tick: int) -> list[Point]:
    """Step 4: positions at the tick's end; turns the headings of a steady motion."""
    if world.track_m is not None:
        return list(world.track_m[tick + 1])
    ends = []
    for i, (x, y) in enumerate(state.positions_m):
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
        station, host = state.stations[i], state.hosts[i]
        edge_hz = world.servers[host].clock_hz * granted[i]
        for slot in range(begin, begin + world.slots_per_tick):
            if slot < user.first_slot or (slot - user.first_slot) % user.interval_slots != 0:
                continue
            along = (slot - begin) / world.slots_per_tick
            start, end = state.positions_m[i], ends[i]
            point = (
                start[0] + along * (end[0] - start[0]),
                start[1] + along * (end[1] - start[1]),
            )
            gain = channel_gain(world.radio, math.dist(world.servers[station].site_m, point))
            hops = world.hops[station][host]
            time_s = completion_s(world, user, gain, hops, state.ratios[i], edge_hz)
            tasks.append(Task(i, slot, time_s))
    return tasks
