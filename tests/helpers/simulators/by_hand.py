"""Two users and two servers in round numbers, for worlds that are worked out by hand."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from helpers.simulators.agreement import assert_same_run, compact
from helpers.simulators.scripted_policy import Scripted
from helpers.simulators.side_by_side import run_simulator, world_of
from helpers.small_worlds import new_world
from isma.contract import Memory
from isma.simulator import params as parameters
from isma.simulator.params import Params
from isma.simulator.state import Draws, State
from isma.simulator.step import TickOutcome
from isma.world import scenario as described
from isma.world.scenario import Scenario

RADIO = described.Radio(
    bandwidth_hz=1e6,
    power_w="20 dBm",
    noise_w="-100 dBm",
    loss_at_1km_db=120,
    loss_per_decade_db=20,
)


def two_by_two(**switches: Any) -> tuple[Scenario, Params, State]:
    """Two users and two servers; `test_world_by_hand` says how they fare with nothing switched on.

    Their services have 2 and 1 Mbit of state and stop for 0.5 and 0.25 s a hop, where that counts.
    """
    scenario = Scenario(
        time=described.Time(duration_s=10, warmup_s=0, tick_s=1, slot_s=0.1),
        sites=described.Sites(count=2, coverage_radius_m=600),
        backhaul=described.Backhaul(rate_bps=1e6),
        servers=described.Servers(clock_hz=(1e9, 2e9), decision_period_s=2),
        users=described.Users(count=2),
        tasks=described.Tasks(interval_s=(1, 1)),
        mobility=described.Steady(speed_mps=100, turn_std_rad_per_sqrt_s=0),
        broadcast=described.Broadcast(period_s=1, delay_s=1),
        **{"radio": RADIO, **switches},
    )
    params = eqx.tree_at(
        lambda p: (p.site_m, p.infrastructure.hops),
        parameters.build(scenario),
        (jnp.array([[0.0, 0.0], [1000.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])),
    )
    state = eqx.tree_at(
        lambda s: (
            *(s.requests.data_bits, s.requests.cycles, s.requests.local_hz),
            *(s.emission.first_slot, s.phase_ticks, s.motion.position_m, s.motion.heading_rad),
            *(s.station, s.placement.host),
        ),
        new_world(params, jax.random.key(0)),
        (
            *(jnp.array([1e6, 2e6]), jnp.array([1e9, 2e9]), jnp.array([1e8, 2e8])),
            *(jnp.array([5, 12]), jnp.array([0, 1])),
            *(jnp.array([[450.0, 0.0], [1000.0, 450.0]]), jnp.array([0.0, jnp.pi / 2])),
            *(jnp.array([0, 1], jnp.int32), jnp.array([0, 1], jnp.int32)),
        ),
    )
    if params.infrastructure.migration is not None:
        state = eqx.tree_at(
            lambda s: (s.requests.state_bits, s.requests.downtime_per_hop_s),
            state,
            (jnp.array([2e6, 1e6]), jnp.array([0.5, 0.25])),
        )
    return scenario, params, state


def script(*rows: tuple[tuple[float, ...], ...]) -> list[Scripted]:
    """Each row: servers, ratios and shares of both users, then both prices."""
    both = lambda values, kind=float: jnp.array([values, values], kind)  # noqa: E731
    return [
        Scripted(both(server, jnp.int32), both(ratio), both(share), jnp.array(price))
        for server, ratio, share, price in rows
    ]


Run = list[tuple[State, Memory, TickOutcome]]


def followed(
    scenario: Scenario,
    params: Params,
    state: State,
    script: list[Scripted],
    failure: Array | None = None,
    fading: Array | None = None,
) -> Run:
    """Every tick of both simulators, which must agree."""
    of_tick = lambda draws, tick: None if draws is None else draws[tick]  # noqa: E731
    drawn = [
        Draws(jnp.ones(2), None, jax.random.key(0), of_tick(failure, tick), of_tick(fading, tick))
        for tick in range(len(script))
    ]
    assert_same_run(world_of(scenario, params, state), script, drawn, params, state)
    return run_simulator(params, state, script, drawn)


def times_s(run: Run) -> list[list[list[float]]]:
    """Completion times in each tick of each user."""
    return [compact(outcome.completion_time_s) for _, _, outcome in run]


def assert_times(run: Run, expected: list[list[list[float]]]) -> None:
    """The completion times worked out by hand."""
    found = times_s(run)
    assert len(found) == len(expected)
    for tick, (rows, by_hand) in enumerate(zip(found, expected, strict=True)):
        for user in range(2):
            assert rows[user] == pytest.approx(by_hand[user], abs=1e-5), (tick, user)
