"""The ticks of the reference simulator, one by one."""

from dataclasses import dataclass
from typing import Any

from reference.failures import refuge, served_again, strike
from reference.moves import journey, up_slot
from reference.news import broadcast, view
from reference.physics import closest_server
from reference.serving import hand_over, move, tasks
from reference.state import State, initial
from reference.world import (
    Action,
    Draws,
    Result,
    Rule,
    Tick,
    View,
    World,
)


def simulate(world: World, draws: Draws, rule: Rule, num_ticks: int) -> Result:
    """Runs a world from its first tick, asking `rule` for the actions."""
    state = initial(world)
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


@dataclass(frozen=True)
class _Deciding:
    acting: list[bool]
    newcomers: list[bool]
    users: list[bool]


def _tick(world: World, state: State, draws: Draws, rule: Rule, tick: int) -> Tick:
    before = list(state.stations)
    begin = tick * world.slots_per_tick
    births = [user.first_slot // world.slots_per_tick for user in world.users]
    born = [birth <= tick for birth in births]
    left = [user.leave_slot <= begin for user in world.users]
    there = [now and not away for now, away in zip(born, left, strict=True)]
    migrations = [0 for _ in world.users]

    _forget(state, left)
    turned = _fail(world, state, draws, tick)
    up = [state.outage.up(server, tick) for server in range(len(world.servers))]
    _arrive(world, state, tick, migrations)
    _sum_loads(state, born)
    news = broadcast(world, state, draws, tick)
    deciding = _who_decides(world, state, births, left, turned, up, tick)
    action = rule(tick, view(world, state, begin, there, news))
    for i, decides in enumerate(deciding.users):
        if decides:
            _act(world, state, i, deciding.newcomers[i], action, tick, migrations)
    for server, acts in enumerate(deciding.acting):
        if acts:
            state.prices[server] = action.price[server]
    _lose(world, state, there, tick)
    _sum_loads(state, born)

    granted = [
        request / max(1.0, state.loads[host])
        for request, host in zip(state.requests, state.hosts, strict=True)
    ]
    ends = move(world, state, draws, tick, there)
    done = tasks(world, state, granted, ends, tick)
    hand_over(world, state, draws, ends, tick)
    for i in range(len(world.users)):
        if not born[i]:
            state.hosts[i] = closest_server(world, state.stations[i])
    return Tick(
        **_left_behind(state),
        tasks=done,
        granted=granted,
        acting=deciding.acting,
        newcomers=deciding.newcomers,
        deciding=deciding.users,
        migrations=migrations,
        handovers=[a != b for a, b in zip(state.stations, before, strict=True)],
        news=news,
        down_slots=sum(min(max(0, slot - begin), world.slots_per_tick) for slot in state.up_slots),
        present=sum(there),
        up=up,
        turned=turned,
    )


def _left_behind(state: State) -> dict[str, Any]:
    """What of a tick's record is the state at its end."""
    return {
        "hosts": list(state.hosts),
        "offload_ratios": list(state.ratios),
        "requests": list(state.requests),
        "loads": list(state.loads),
        "overloaded": [load > 1.0 + 1e-5 for load in state.loads],
        "prices": list(state.prices),
        "positions_m": list(state.positions_m),
        "stations": list(state.stations),
        "headings_rad": list(state.headings_rad),
        "up_slots": list(state.up_slots),
        "local_cycles": [line.cycles for line in state.local_lines],
        "edge_cycles": [line.cycles for line in state.edge_lines],
        "fading": list(state.links),
    }


def _who_decides(
    world: World,
    state: State,
    births: list[int],
    left: list[bool],
    turned: list[bool],
    up: list[bool],
    tick: int,
) -> _Deciding:
    """Step 2."""
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
    users = [
        newcomers[i]
        or (births[i] < tick and not left[i] and due[state.hosts[i]] and state.journeys[i] is None)
        for i in range(len(world.users))
    ]
    return _Deciding(acting, newcomers, users)


def _fail(world: World, state: State, draws: Draws, tick: int) -> list[bool]:
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


def _lose(world: World, state: State, there: list[bool], tick: int) -> None:
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


def _forget(state: State, left: list[bool]) -> None:
    """Before step 1: users that have left have nothing any more."""
    for i, away in enumerate(left):
        if away:
            state.ratios[i], state.requests[i], state.up_slots[i] = 0.0, 0.0, 0
            state.journeys[i] = None
            state.outage.lost_ticks[i] = None
            state.local_lines[i].cycles = state.edge_lines[i].cycles = 0.0


def _arrive(world: World, state: State, tick: int, migrations: list[int]) -> None:
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
    state: State,
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


def _sum_loads(state: State, born: list[bool]) -> None:
    """What is requested of each server, by those it hosts and by those that are on their way."""
    state.loads = [0.0 for _ in state.loads]
    for i, trip in enumerate(state.journeys):
        if born[i]:
            state.loads[state.hosts[i]] += state.requests[i]
        if trip is not None:
            state.loads[trip.target] += trip.share
