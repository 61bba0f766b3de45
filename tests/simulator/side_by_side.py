"""Random small worlds, told to the simulator and to the reference in the terms of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import reference
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.contract import Action, Backlog, Memory, Observation, Policy
from isma.simulator import params as parameters
from isma.simulator.params import Params
from isma.simulator.state import Draws, State, reset
from isma.simulator.step import Outcome, step
from isma.world import scenario as described
from isma.world.scenario import Remaining, Scenario
from isma.world.switches import Failures, Latency, Migrating, Migration, Presence, Queues, Stay

NUM_TICKS = 50
one_step = eqx.filter_jit(step)
new_world = eqx.filter_jit(reset)


class Scripted(Policy):
    """Does what a table says for this tick and notes down what it was shown.

    Rows are the servers that decide, so that it matters which of them decides for a user.
    """

    server: Int[Array, "servers users"]
    offload_ratio: Float[Array, "servers users"]
    cpu_share: Float[Array, "servers users"]
    price_s: Float[Array, "servers"]

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        mine = (observation.host, jnp.arange(observation.host.shape[0]))
        action = Action(
            self.server[mine], self.offload_ratio[mine], self.cpu_share[mine], self.price_s
        )
        seen_by_servers = {
            "news_hz": observation.news.remaining_hz,
            "news_price_s": observation.news.price_s,
            "news_age_s": observation.news.age_s,
            "times_acted": memory.per_server["times_acted"] + 1,
        }
        nothing = jnp.zeros_like(observation.gain)
        backlog = observation.backlog or Backlog(nothing, nothing)
        seen_of_users = {
            "local_cycles": backlog.local_cycles,
            "edge_cycles": backlog.edge_cycles,
            "band_hz": nothing if observation.bandwidth_hz is None else observation.bandwidth_hz,
            "gain": observation.gain,
            "station": observation.station,
            "host": observation.host,
            "wait_s": observation.wait_s,
            "times_decided": memory.per_user["times_decided"] + observation.decides,
        }
        return action, Memory(seen_by_servers, seen_of_users)


def nothing_seen(num_servers: int, num_users: int) -> Memory:
    square, users = jnp.zeros((num_servers, num_servers)), jnp.zeros(num_users)
    whole = jnp.zeros(num_users, jnp.int32)
    return Memory(
        {
            "news_hz": square,
            "news_price_s": square,
            "news_age_s": square,
            "times_acted": jnp.zeros(num_servers, jnp.int32),
        },
        {
            "local_cycles": users,
            "edge_cycles": users,
            "band_hz": users,
            "gain": users,
            "station": whole,
            "host": whole,
            "wait_s": users,
            "times_decided": whole,
        },
    )


@dataclass(frozen=True)
class Case:
    """What one compilation fixes; numbers vary within it."""

    servers: int
    users: int
    tasks_per_tick: int = 1
    delay_ticks: tuple[int, ...] = (0,)
    lossy: bool = False
    literal: bool = False
    traced: bool = False
    on: frozenset[str] = frozenset()
    """What is switched on beyond the paper."""


ALL = frozenset({"precopy", "latency", "queues", "shared", "presence", "failures"})
CASES = {
    "alone": Case(1, 1, 2),
    "pair": Case(2, 2, 1, delay_ticks=(1,)),
    "late": Case(3, 4, 3, delay_ticks=(2, 3)),
    "lossy": Case(4, 6, 2, lossy=True, literal=True),
    "late_and_lossy": Case(3, 5, 1, delay_ticks=(1,), lossy=True),
    "traced": Case(4, 5, 5, delay_ticks=(4, 5, 6, 7), traced=True),
    "cold": Case(3, 5, 2, on=frozenset({"cold"})),
    "precopy": Case(3, 5, 2, on=frozenset({"precopy"})),
    "latency": Case(3, 4, 2, on=frozenset({"latency"})),
    "queues": Case(3, 5, 3, on=frozenset({"queues"})),
    "cold_queues": Case(3, 5, 2, on=frozenset({"queues", "cold"})),
    "shared": Case(2, 6, 2, on=frozenset({"shared"})),
    "presence": Case(3, 8, 2, on=frozenset({"presence"})),
    "failures": Case(3, 6, 2, delay_ticks=(1, 2, 3), on=frozenset({"failures"})),
    "alone_failing": Case(1, 3, 2, on=frozenset({"failures", "queues"})),
    "all": Case(4, 6, 3, delay_ticks=(1,), lossy=True, on=ALL),
}


def make_scenario(case: Case, rng: np.random.Generator) -> Scenario:
    """Random numbers around a case: radii are small and speeds high, so that users bounce."""
    slot_s = float(rng.choice([0.001, 0.01]))
    shortest_slots = int(rng.integers(3, 12))
    slots_per_tick = case.tasks_per_tick * shortest_slots
    longest_slots = shortest_slots * int(rng.integers(1, 5))
    tick_s = slots_per_tick * slot_s
    radius_m = float(rng.uniform(100, 1000))
    delay_ticks = int(rng.choice(case.delay_ticks))
    delay_s = max(0.0, (delay_ticks - rng.uniform(0, 0.9)) * tick_s)
    rate_bps = rng.uniform(1e7, 1e9)
    return Scenario(
        time=described.Time(duration_s=200 * tick_s, warmup_s=0, tick_s=tick_s, slot_s=slot_s),
        sites=described.Sites(count=case.servers, coverage_radius_m=radius_m),
        backhaul=described.Backhaul(rate_bps=rate_bps),
        servers=described.Servers(
            clock_hz=tuple(rng.uniform(1e9, 2e10, case.servers)),
            decision_period_s=tuple(rng.integers(1, 9, case.servers) * tick_s),
        ),
        users=described.Users(count=case.users, local_hz=(1e8, 2e10)),
        tasks=described.Tasks(
            interval_s=(shortest_slots * slot_s, longest_slots * slot_s),
            cycles=(1e6, 2e9) if "queues" in case.on else (1e9, 9e10),
        ),
        radio=described.Radio(
            bandwidth_hz=rng.uniform(1e6, 4e7),
            power_w=f"{rng.uniform(10, 30)} dBm",
            noise_w=f"{rng.uniform(-120, -90)} dBm",
            loss_at_1km_db=rng.uniform(110, 145),
            loss_per_decade_db=rng.uniform(20, 45),
            min_distance_m=rng.uniform(1, radius_m / 2),
            shared="shared" in case.on,
        ),
        mobility=described.Steady(
            speed_mps=rng.uniform(0.05, 0.4) * radius_m / tick_s,
            turn_std_rad_per_sqrt_s=rng.uniform(0, 1) / np.sqrt(tick_s),
        ),
        broadcast=described.Broadcast(
            period_s=int(rng.integers(1, 5)) * tick_s,
            delay_s=delay_s,
            loss_ratio=rng.uniform(0.2, 0.8) if case.lossy else 0.0,
            remaining=Remaining.LITERAL if case.literal else Remaining.NEWCOMER,
        ),
        **make_switches(case, rng, tick_s, rate_bps),
    )


def make_switches(
    case: Case, rng: np.random.Generator, tick_s: float, rate_bps: float
) -> dict[str, Any]:
    """What the case switches on: moves take some ticks, and some of them cannot be copied ahead."""
    some_ticks = lambda most: float(rng.uniform(0, most)) * tick_s  # noqa: E731
    switches: dict[str, Any] = {"queues": Queues(enabled="queues" in case.on)}
    if "failures" in case.on:
        switches["failures"] = Failures(
            enabled=True,
            mean_between_s=10 * tick_s,
            mean_repair_s=rng.uniform(1, 8) * tick_s,
            detection_s=some_ticks(4),
            restart_s=some_ticks(2),
        )
    if "presence" in case.on:
        switches["presence"] = Presence(
            enabled=True,
            part=0.7,
            arrival_s=(0, 20 * tick_s),
            stay_s=(tick_s, 20 * tick_s),
            stay=Stay(rng.choice(list(Stay))),
            within_m=rng.uniform(1, 50),
        )
    if "latency" in case.on:
        switches["latency"] = Latency(task_s=some_ticks(2), per_hop_s=some_ticks(2))
    for kind in case.on & {"cold", "precopy"}:
        switches["migration"] = Migration(
            kind=Migrating(kind),
            state_bits=(0.1 * rate_bps * tick_s, 3 * rate_bps * tick_s),
            downtime_s=some_ticks(1),
            downtime_per_hop_s=(0, some_ticks(2)),
            dirty_bps=rate_bps * rng.uniform(0.05, 0.4),
            stop_bits=rate_bps * tick_s * rng.uniform(0.01, 0.5),
            most_rounds=int(rng.integers(1, 6)),
        )
    return switches


def make_params(case: Case, scenario: Scenario, rng: np.random.Generator) -> Params:
    """The scenario's arrays, with hops that depend on the direction, on uneven ground."""
    params, radius_m = parameters.build(scenario), scenario.sites.coverage_radius_m
    hops = rng.integers(1, 6, (case.servers, case.servers)) * (1 - np.eye(case.servers))
    site_m = params.site_m + rng.uniform(-radius_m / 2, radius_m / 2, (case.servers, 2))
    params = eqx.tree_at(
        lambda p: (p.infrastructure.hops, p.site_m), params, (jnp.asarray(hops), site_m)
    )
    if case.traced:
        track_m = rng.uniform(-2 * radius_m, 2 * radius_m, (NUM_TICKS + 1, case.users, 2))
        params = eqx.tree_at(
            lambda p: p.track_m, params, jnp.asarray(track_m), is_leaf=lambda leaf: leaf is None
        )
    return params


def world_of(scenario: Scenario, params: Params, state: State) -> reference.World:
    """The same world for the reference, in the scenario's own units."""
    tick_s, slot_s = scenario.time.tick_s, scenario.time.slot_s
    period_ticks = np.round(np.asarray(params.infrastructure.decision_period_s) / tick_s)
    radio, motion, plan = scenario.radio, scenario.mobility, scenario.broadcast
    requests, emission = state.requests, state.emission
    track_m = None if params.track_m is None else np.asarray(params.track_m).tolist()
    user_columns = (
        requests.data_bits,
        requests.cycles,
        requests.local_hz,
        requests.deadline_s,
        emission.interval_slots,
        emission.first_slot,
        state.motion.position_m,
        state.motion.heading_rad,
        requests.state_bits,
        requests.downtime_per_hop_s,
        np.full(len(requests.cycles), np.inf)
        if emission.leave_slot is None
        else emission.leave_slot,
    )
    server_columns = (
        params.site_m,
        params.infrastructure.server_hz,
        period_ticks.astype(int),
        state.phase_ticks,
    )
    return reference.World(
        users=tuple(reference.User(*row) for row in rows(user_columns)),
        servers=tuple(reference.Server(*row) for row in rows(server_columns)),
        hops=np.asarray(params.infrastructure.hops).tolist(),
        backhaul_bps=scenario.backhaul.rate_bps,
        radio=reference.Radio(
            radio.bandwidth_hz,
            10 * np.log10(radio.power_w / 0.001),
            10 * np.log10(radio.noise_w / 0.001),
            radio.loss_at_1km_db,
            radio.loss_per_decade_db,
            radio.min_distance_m,
            radio.shared,
        ),
        broadcast=reference.Broadcast(
            round(plan.period_s / tick_s),
            int(np.ceil(plan.delay_s / tick_s - 1e-9)),
            plan.loss_ratio,
            plan.remaining is Remaining.LITERAL,
        ),
        coverage_m=scenario.sites.coverage_radius_m,
        speed_mps=motion.speed_mps,
        turn_std_rad_per_sqrt_s=motion.turn_std_rad_per_sqrt_s,
        slots_per_tick=round(tick_s / slot_s),
        tick_s=tick_s,
        track_m=track_m,
        **switches_of(scenario),
    )


def switches_of(scenario: Scenario) -> dict[str, Any]:
    """What is switched on, as the reference has it."""
    latency, migration = scenario.latency, scenario.migration
    switches: dict[str, Any] = {
        "queued": scenario.queues.enabled,
        "visited": scenario.presence.enabled,
    }
    failures, time = scenario.failures, scenario.time
    if failures.enabled:
        switches["failures"] = reference.Failures(
            failures.mean_between_s,
            failures.mean_repair_s,
            max(1, int(np.ceil(failures.detection_s / time.tick_s - 1e-9))),
            round(failures.restart_s / time.slot_s),
        )
    if latency.on:
        switches["latency"] = reference.Latency(latency.task_s, latency.per_hop_s)
    if migration.kind is not Migrating.FREE:
        rounds = migration.most_rounds if migration.kind is Migrating.PRECOPY else 0
        switches["migration"] = reference.Migration(
            migration.downtime_s, migration.dirty_bps, migration.stop_bits, rounds
        )
    return switches


def rows(columns: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    return zip(*(np.asarray(column).tolist() for column in columns), strict=True)


def make_script(case: Case, rng: np.random.Generator, num_ticks: int) -> list[Scripted]:
    size = (num_ticks, case.servers, case.users)
    columns = (
        rng.integers(0, case.servers, size, np.int32),
        rng.integers(0, 11, size) / 10,
        rng.uniform(0.05, 0.9, size),
        rng.uniform(0, 10, size[:2]),
    )
    return [
        Scripted(*(jnp.asarray(column[tick]) for column in columns)) for tick in range(num_ticks)
    ]


def make_draws(case: Case, rng: np.random.Generator, num_ticks: int) -> list[Draws]:
    turn = rng.standard_normal((num_ticks, case.users))
    heard = rng.uniform(size=(num_ticks, case.servers, case.servers))
    failure = rng.uniform(size=(num_ticks, case.servers, 2))
    key = jax.random.key(0)
    return [
        Draws(
            jnp.asarray(turn[k]),
            jnp.asarray(heard[k]) if case.lossy else None,
            key,
            jnp.asarray(failure[k]) if "failures" in case.on else None,
        )
        for k in range(num_ticks)
    ]


def run_simulator(
    params: Params, state: State, script: list[Scripted], draws: list[Draws]
) -> list[tuple[State, Memory, Outcome]]:
    memory = nothing_seen(params.shape.num_servers, params.shape.num_users)
    run = []
    for policy, drawn in zip(script, draws, strict=True):
        state, memory, outcome = one_step(params, policy, state, memory, drawn)
        run.append(jax.tree.map(np.asarray, (state, memory, outcome)))
    return run


def run_reference(
    world: reference.World, script: list[Scripted], draws: list[Draws]
) -> tuple[reference.Result, list[reference.View]]:
    """Also returns what every tick's decision could see."""
    views: list[reference.View] = []

    def rule(tick: int, view: reference.View) -> reference.Action:
        views.append(view)
        mine = (np.asarray(view.hosts), np.arange(len(view.hosts)))
        table = jax.tree.map(np.asarray, script[tick])
        columns = (table.server, table.offload_ratio, table.cpu_share)
        return reference.Action(*(c[mine].tolist() for c in columns), table.price_s.tolist())

    return reference.simulate(world, plain(draws), rule, len(script)), views


def plain(draws: list[Draws]) -> reference.Draws:
    heard = [np.asarray(one.heard).tolist() for one in draws if one.heard is not None]
    failure = [np.asarray(one.failure).tolist() for one in draws if one.failure is not None]
    turn = [np.asarray(one.turn).tolist() for one in draws]
    return reference.Draws(turn, heard or None, failure or None)
