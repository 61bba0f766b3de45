"""The simulator against a second one that was written from the specification alone."""

from dataclasses import replace
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from helpers.fast_cases import slow_but_for
from helpers.simulators import by_hand
from helpers.simulators.agreement import (
    assert_close,
    assert_same_run,
    assert_same_tick,
    assert_same_times,
    compact,
)
from helpers.simulators.random_worlds import (
    CASES,
    NUM_TICKS,
    Case,
    make_draws,
    make_params,
    make_scenario,
    make_script,
)
from helpers.simulators.side_by_side import plain, run_simulator, world_of
from helpers.small_worlds import new_world
from jaxtyping import Array, Float, PyTree

from isma.contract import Memory
from isma.policies.rules.follow import Nearest
from isma.policies.rules.local_random import Local
from isma.simulator import params as parameters
from isma.simulator.params import Params
from isma.simulator.rollout import run_chunk
from isma.simulator.state import Draws, State, draw, reset
from isma.simulator.step import TickOutcome, step
from isma.world.files import load
from isma.world.scenario import Scenario
from isma.world.switches import Propagation


def beyond(case: Case, results: list[reference.Result]) -> dict[str, bool]:
    """Whether what a case switches on has made a difference."""
    ticks = [tick for result in results for tick in result.ticks]
    happened: dict[str, bool] = {}
    if case.on & {"cold", "precopy"}:
        happened["downtime"] = any(tick.down_slots for tick in ticks)
    if "failures" in case.on:
        happened["a failure"] = not all(up for tick in ticks for up in tick.up)
        happened["a refuge"] = case.servers == 1 or any(any(tick.turned) for tick in ticks)
    if "presence" in case.on:
        present = [tick.present for tick in ticks]
        happened["coming"] = any(b > a for a, b in pairwise(present))
        happened["going"] = any(b < a for a, b in pairwise(present))
    if "queues" in case.on:
        left = [cycles for tick in ticks for cycles in (*tick.local_cycles, *tick.edge_cycles)]
        happened["waiting"], happened["idle"] = any(left), not all(left)
    return happened


_FAST = (
    "late_and_lossy",
    "traced",
    "one_for_all",
    "all_few",
    "all_cold_road",
)
"""News, traces, one server for all, and everything at once. Where one of these fails, the slow ones, a switch
at a time, say which."""


@pytest.mark.parametrize("name", slow_but_for(_FAST, CASES))
def test_scripted_worlds_agree(name: str, double: None) -> None:
    case = CASES[name]
    results = []
    for seed in range(6):
        rng = np.random.default_rng([seed, len(name)])
        scenario = make_scenario(case, rng)
        params = make_params(case, scenario, rng)
        state = new_world(params, jax.random.key(seed))
        script, draws = make_script(case, rng, NUM_TICKS), make_draws(case, rng, NUM_TICKS)
        world = world_of(scenario, params, state)
        results.append(assert_same_run(world, script, draws, params, state))
    ticks = [tick for result in results for tick in result.ticks]
    happened = {
        "newcomer after the first tick": any(
            any(t.newcomers) for r in results for t in r.ticks[1:]
        ),
        "task": any(tick.tasks for tick in ticks),
        "overload": any(any(tick.overloaded) for tick in ticks),
        "migration": any(any(tick.migrations) for tick in ticks),
        "handover": any(any(tick.handovers) for tick in ticks),
        **beyond(case, results),
    }
    rare = {"overload", "migration", "handover"} if case.servers == 1 else set()
    assert all(happened[event] for event in happened.keys() - rare), happened


@pytest.mark.parametrize("name", ["all_precopy", "all_cold_road", "all_few"])
def test_all_is_all(name: str) -> None:
    """No switch is left out: a new one must come to these worlds too."""
    made, paper = make_scenario(CASES[name], np.random.default_rng(0)), load("paper")
    off = {
        field for field in Scenario.model_fields if getattr(made, field) == getattr(paper, field)
    }
    assert off <= {"visibility", "observe_position"}
    assert made.radio.shared
    assert made.radio.model is Propagation.UMI
    assert made.servers.clock_range_hz is not None


def test_world_by_hand(double: None) -> None:
    """A tick is 1 s of 10 slots; server 0 is due at ticks 0 and 2, server 1 at 1 and 3.

    Loss 120 dB at 1 km, 20 dB a decade, 0.1 W, 1e-13 W: SNR = (1000 / d)²,
    R = 1e6 log2(1 + SNR). A hop takes 1 s a Mbit; two hops from station 1 to server 0, one back.

    User 0 (1e6 bit, 1e9 cycles, 1e8 Hz; tasks at slots 5, 15, ...) walks from x = 450 to the
    right, 100 m a tick; at 550 m it is nearer to station 1 (1000, 0).
    User 1 (2e6 bit, 2e9 cycles, 2e8 Hz; tasks at slots 12, 22, ...) walks from (1000, 450) up to
    550; at 650 it would be 50 m past the border, so it stands at 550 again, and goes down.

    Tick 0: user 0 is new; server 0 takes it, η = 1, share 0.8.
      d = 500, SNR 4, R = 2.321928e6: t = 0.430677 + 0 + 1 / 0.8 = 1.680677
    Tick 1: user 1 is new; server 1 sends it to server 0 (no migration), η = 1, share 0.6.
      Load 1.4: granted 0.8 / 1.4 = 0.571429 and 0.6 / 1.4 = 0.428571.
      User 0, now at station 1, d = 400, SNR 6.25, R = 2.857981e6:
        t = 0.349897 + 2 + 1 / 0.571429 = 4.099897
      User 1, d = 550, SNR 3.305785, R = 2.106276e6:
        t = 2 / 2.106276 + 2 · 2 + 2 / 0.428571 = 0.949543 + 4 + 4.666667 = 9.616210
    Tick 2: server 0 moves user 0 to server 1, η = 0.9, share 0.5; user 1 stays with η = 0, 0.2.
      User 0, d = 300, SNR 11.111111, R = 3.598260e6:
        t = max(1, 0.9 / 3.598260 + 0 + 0.9 / (2 · 0.5)) = 0.250121 + 0.9 = 1.150121
      User 1: 2e9 / 2e8 = 10
    Tick 3: server 1 gives user 0 η = 0.1, share 1: 0.9 · 10 = 9. User 1's host is not due: 10.

    A broadcast takes a tick. Server 1 hears at tick 1 that server 0 was idle at tick 0; at tick
    3 that at the beginning of tick 2 its load was 1.4: F = 1e9 / 2.4, price 3. Server 0 hears at
    tick 2 that server 1 was idle at tick 1, at price 0 (it asked 5 only in that tick).
    """
    scenario, params, state = by_hand.two_by_two()
    script = by_hand.script(
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (3.0, 7.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (8.0, 5.0)),
        ((1, 0), (0.9, 0.0), (0.5, 0.2), (4.0, 9.0)),
        ((1, 1), (0.1, 0.7), (1.0, 0.7), (2.0, 6.0)),
    )
    draws = [Draws(jnp.ones(2), None, jax.random.key(0))] * 4
    result = assert_same_run(world_of(scenario, params, state), script, draws, params, state)
    run = run_simulator(params, state, script, draws)
    assert_by_hand(result, run)


def assert_by_hand(result: reference.Result, run: list[tuple[State, Memory, TickOutcome]]) -> None:
    """The figures worked out in `test_world_by_hand`."""
    times = [[[1.680677], []], [[4.099897], [9.616210]], [[1.150121], [10]], [[9], [10]]]
    for tick, (_, _, outcome) in enumerate(run):
        for user, expected in enumerate(times[tick]):
            found = [task.completion_s for task in result.ticks[tick].tasks if task.user == user]
            assert found == pytest.approx(expected, abs=1e-6)
            assert compact(outcome.completion_time_s)[user] == pytest.approx(expected, abs=1e-6)
    assert [int(outcome.migrations) for *_, outcome in run] == [0, 0, 1, 0]
    assert [int(outcome.handovers) for *_, outcome in run] == [1, 0, 0, 0]
    assert [int(outcome.overloaded) for *_, outcome in run] == [0, 1, 0, 0]
    states = [state for state, *_ in run]
    np.testing.assert_allclose(
        [state.placement.load for state in states], [[0.8, 0], [1.4, 0], [0.2, 0.5], [0.2, 1]]
    )
    assert [s.placement.price_s.tolist() for s in states] == [[3, 0], [3, 5], [4, 5], [4, 6]]
    heights_m = [float(s.motion.position_m[1, 1]) for s in states]
    assert heights_m == pytest.approx([550, 550, 450, 350])
    seen = [memory.per_server for _, memory, _ in run]
    np.testing.assert_allclose(seen[1]["news_hz"][1], [1e9, 2e9])
    np.testing.assert_allclose(seen[3]["news_hz"][1], [1e9 / 2.4, 2e9 / 1.5])
    np.testing.assert_allclose(seen[3]["news_price_s"][1], [3, 5])
    np.testing.assert_allclose(seen[3]["news_age_s"][1], [1, 0])
    np.testing.assert_allclose(seen[2]["news_hz"][0], [1e9 / 2.4, 2e9])
    np.testing.assert_allclose(seen[2]["news_price_s"][0], [3, 0])


def test_new_worlds_are_drawn_as_specified() -> None:
    """Two discs of radius R whose centres are √3 R apart share 0.1812 R² of 6.1020 R²: 2.97 %.

    Drawing a disc first and a point in it would put 5.77 % of the users there.
    """
    case = replace(CASES["pair"], users=4)
    scenario = make_scenario(case, np.random.default_rng(0))
    params = parameters.build(scenario)
    keys = jax.random.split(jax.random.key(0), 1000)
    states = eqx.filter_jit(jax.vmap(reset, in_axes=(None, 0)))(params, keys)
    emission, requests = states.emission, states.requests
    for drawn, low, high in (
        (emission.first_slot, 0, max(params.period_ticks) * params.slots_per_tick - 1),
        (emission.interval_slots, params.interval_slots[0], params.interval_slots[1]),
        (states.phase_ticks[:, 0], 0, params.period_ticks[0] - 1),
        (states.phase_ticks[:, 1], 0, params.period_ticks[1] - 1),
    ):
        values, counts = np.unique(drawn, return_counts=True)
        np.testing.assert_array_equal(values, np.arange(low, high + 1))
        expected = drawn.size / len(values)
        np.testing.assert_allclose(counts, expected, atol=5 * np.sqrt(expected))
    np.testing.assert_allclose(requests.deadline_s, requests.cycles / requests.local_hz, 1e-6)

    offset_m = np.asarray(states.motion.position_m)[:, :, None] - np.asarray(params.site_m)
    inside = np.hypot(*np.moveaxis(offset_m, -1, 0)) <= params.coverage_radius_m * (1 + 1e-6)
    assert inside.any(axis=-1).all()
    both, count = inside.all(axis=-1).mean(), inside[..., 0].size
    assert both == pytest.approx(0.0297, abs=4 * np.sqrt(0.0297 / count))


def test_clocks_are_drawn_anew_in_each_world() -> None:
    params = parameters.build(load("paper", {"clock_range_hz": ["2 GHz", "6 GHz"]}))
    keys = jax.random.split(jax.random.key(0), 500)
    clock_hz = eqx.filter_jit(jax.vmap(reset, in_axes=(None, 0)))(params, keys).server_hz
    assert clock_hz.shape == (500, 6)
    assert float(clock_hz.min()) >= 2e9
    assert float(clock_hz.max()) <= 6e9
    assert float(clock_hz.mean()) == pytest.approx(4e9, rel=0.03)
    assert float(clock_hz.std(axis=0).min()) == pytest.approx(4e9 / np.sqrt(12), rel=0.1)


def test_local_rule_agrees_over_rollouts(double: None) -> None:
    case = CASES["late_and_lossy"]
    rng = np.random.default_rng(0)
    scenario = make_scenario(case, rng)
    params = make_params(case, scenario, rng)
    state, key = new_world(params, jax.random.key(1)), jax.random.key(2)
    half, memory = NUM_TICKS // 2, Memory.none()
    middle, memory, first = run_chunk(params, Local(), state, memory, key, half)
    end, _, second = run_chunk(params, Local(), middle, memory, key, half)
    outcome = jax.tree.map(lambda *parts: np.concatenate(parts), first, second)
    draws = [draw(params, key, jnp.asarray(tick, jnp.int32)) for tick in range(NUM_TICKS)]
    world = world_of(scenario, params, state)
    result = reference.simulate(world, plain(draws), reference.local, NUM_TICKS)
    times_s = np.asarray(outcome.completion_time_s)
    for tick, expected in enumerate(result.ticks):
        assert_same_times(expected.tasks, case.users, times_s[tick])
    handovers = [sum(tick.handovers) for tick in result.ticks]
    assert_close("handovers", outcome.handovers, handovers)
    assert_close("migrations", outcome.migrations, np.zeros(NUM_TICKS))
    last = jax.tree.map(lambda leaf: leaf[-1], outcome)
    assert_same_tick(result.ticks[-1], jax.tree.map(np.asarray, end), last)
    mean_s = np.nanmean(np.nanmean(times_s, axis=(0, 2)))
    assert_close("mean", mean_s, reference.user_mean_s(result, case.users, 0))


def mean_time_s(params: Params, state: State, draws: Draws) -> Float[Array, ""]:
    """The paper's objective (7) over one run of the nearest server."""

    @eqx.filter_jit
    def run(params: Params, state: State, draws: Draws) -> Float[Array, "ticks users tasks"]:
        def one(carry: PyTree, drawn: Draws) -> tuple[PyTree, Array]:
            state, memory, outcome = step(params, Nearest(), *carry, drawn)
            return (state, memory), outcome.completion_time_s

        return jax.lax.scan(one, (state, Memory.none()), draws)[1]

    return jnp.nanmean(jnp.nanmean(run(params, state, draws), axis=(0, 2)))


@pytest.mark.slow
def test_single_precision_is_enough() -> None:
    """The same world and draws; a user at a cell's border may be attached otherwise.

    Each time, test_precision.py compares the means of both in a smaller world.
    """
    params = parameters.build(load("paper"))
    state = new_world(params, jax.random.key(0))
    ticks = jnp.arange(600, dtype=jnp.int32)
    drawn = eqx.filter_jit(jax.vmap(draw, in_axes=(None, None, 0)))
    draws = drawn(params, jax.random.key(1), ticks)
    single = mean_time_s(params, state, draws)
    assert single.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf  # noqa: E731
        twice = mean_time_s(*jax.tree.map(wide, (params, state, draws)))
        assert twice.dtype == jnp.float64
    assert float(single) == pytest.approx(float(twice), rel=1e-3)
