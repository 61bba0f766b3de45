"""One world told to both simulators in the terms of each, and both run on the same randomness."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
import reference

from helpers.simulators.scripted_policy import Scripted, nothing_seen
from isma.contract import Memory
from isma.simulator.params import Params
from isma.simulator.state import Draws, State, network
from isma.simulator.step import TickOutcome, step
from isma.world import scenario as described
from isma.world.scenario import Remaining, Scenario
from isma.world.switches import (
    Migrating,
    Propagation,
)

one_step = eqx.filter_jit(step)


def world_of(scenario: Scenario, params: Params, state: State) -> reference.World:
    """The same world for the reference, in the scenario's own units."""
    tick_s, slot_s = scenario.time.tick_s, scenario.time.slot_s
    period_ticks = np.round(np.asarray(params.infrastructure.decision_period_s) / tick_s)
    radio, motion, plan = scenario.radio, scenario.mobility, scenario.broadcast
    track_m = None if params.track_m is None else np.asarray(params.track_m).tolist()
    server_columns = (
        home_of(params),
        network(params, state).server_hz,
        period_ticks.astype(int),
        state.phase_ticks,
    )
    return reference.World(
        users=tuple(reference.User(*row) for row in rows(user_columns(state))),
        stations_m=tuple(map(tuple, np.asarray(params.site_m).tolist())),
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
            streets_of(radio),
        ),
        broadcast=reference.Broadcast(
            round(plan.period_s / tick_s),
            int(np.ceil(plan.delay_s / tick_s - 1e-9)),
            plan.loss_ratio,
            plan.remaining is Remaining.LITERAL,
        ),
        coverage_m=scenario.sites.coverage_radius_m,
        speed_mps=motion.speed_mps,
        turn_std_rad_per_sqrt_s=getattr(motion, "turn_std_rad_per_sqrt_s", 0.0),
        slots_per_tick=round(tick_s / slot_s),
        tick_s=tick_s,
        track_m=track_m,
        road_m=None if params.road is None else tuple(np.asarray(params.road.ends_m).tolist()),
        **switches_of(scenario),
    )


def home_of(params: Params) -> np.ndarray:
    """The station of each server."""
    home = params.infrastructure.home
    return np.arange(params.shape.num_servers) if home is None else np.asarray(home)


def user_columns(state: State) -> tuple:
    requests, emission = state.requests, state.emission
    return (
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
        np.zeros((len(requests.cycles), 2))
        if state.fading is None
        else np.stack([state.fading.shadow, state.fading.sight], axis=1),
    )


def streets_of(radio: described.Radio) -> reference.Streets | None:
    if radio.model is not Propagation.UMI:
        return None
    return reference.Streets(radio.carrier_hz / 1e9, radio.station_height_m, radio.user_height_m)


def switches_of(scenario: Scenario) -> dict[str, Any]:
    """What is switched on, as the reference has it."""
    latency, migration = scenario.latency, scenario.migration
    switches: dict[str, Any] = {
        "queued": scenario.queues.enabled,
        "visited": scenario.presence.enabled,
        "kappa_j_per_hz2": scenario.energy.kappa_j_per_hz2,
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


def run_simulator(
    params: Params, state: State, script: list[Scripted], draws: list[Draws]
) -> list[tuple[State, Memory, TickOutcome]]:
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
    fading = [np.asarray(one.fading).tolist() for one in draws if one.fading is not None]
    return reference.Draws(turn, heard or None, failure or None, fading or None)
