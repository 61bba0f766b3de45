"""Users who come and go."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers.fast_cases import slow_but_for
from helpers.simulators.by_hand import assert_times, followed, script, two_by_two
from helpers.small_worlds import SERVERS, USERS, tiny

from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, reset
from isma.world import files, sites, traces
from isma.world.scenario import Scenario
from isma.world.servers import time_shares
from isma.world.switches import Presence

VISITED = {"presence.enabled": True, "arrival_s": [2, 8], "stay_s": [1, 10]}


def test_a_visit_by_hand(double: None) -> None:
    """User 0 of `test_world_by_hand` leaves at slot 27, two slots after its third task.

    In tick 3 its share of server 1 is free, nobody decides for it, and it stands where it was at
    the end of tick 2, 750 m east. User 1 comes in tick 1 and has stood still until then, at 450 m:
    at slot 12 it is at 470 m, SNR 4.526935, R = 2.466480e6: 0.810872 + 4 + 4.666667 = 9.477539.
    """
    scenario, params, state = two_by_two(presence=Presence(enabled=True, arrival_s=(0, 9)))
    state = eqx.tree_at(lambda s: s.emission.leave_slot, state, jnp.array([27, 99], jnp.int32))
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (3.0, 7.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (8.0, 5.0)),
        ((1, 0), (0.9, 0.0), (0.5, 0.2), (4.0, 9.0)),
        ((0, 1), (0.1, 0.7), (1.0, 0.7), (2.0, 6.0)),
    )
    run = followed(scenario, params, state, script(*rows))
    assert_times(run, [[[1.680677], []], [[4.099897], [9.477539]], [[1.150121], [10]], [[], [10]]])
    assert [int(outcome.present) for *_, outcome in run] == [1, 2, 2, 1]
    np.testing.assert_allclose(run[2][0].placement.load, [0.2, 0.5])
    np.testing.assert_allclose(run[3][0].placement.load, [0.2, 0])
    np.testing.assert_allclose(run[3][0].motion.position_m[0], [750, 0], atol=1e-9)
    assert [int(outcome.migrations) for *_, outcome in run] == [0, 0, 1, 0]


@pytest.mark.parametrize(("stay", "mean_s"), [("uniform", 20.0), ("exponential", 30.0)])
def test_visits_are_drawn_as_asked(stay: str, mean_s: float) -> None:
    """700 of 1000 users come within a minute around the first station; the others as ever."""
    overrides = {
        "presence.enabled": True,
        "arrival_s": [100, 160],
        "stay_s": [10, 30],
        "stay": stay,
        "part": 0.7,
        "within_m": 40,
        "duration_s": 200,
        "users.count": 1000,
    }
    params = build(tiny(overrides))
    state = jax.jit(reset)(params, jax.random.key(0))
    first, leave = np.asarray(state.emission.first_slot), np.asarray(state.emission.leave_slot)
    assert np.all((first[:700] >= 100_000) & (first[:700] <= 160_000))
    assert first[:700].std() == pytest.approx(60_000 / np.sqrt(12), rel=0.1)
    assert np.all(first[700:] < 2000)
    assert np.all(leave[700:] == 2**31 - 1)
    stay_s = (leave[:700] - first[:700].astype(float)) / 1000
    assert stay_s.min() >= 10
    assert stay_s.mean() == pytest.approx(mean_s, rel=0.1)
    assert bool(stay_s.max() > 40) is (stay == "exponential")
    distance_m = np.hypot(*(np.asarray(state.motion.position_m) - params.site_m[0]).T)
    assert np.all(distance_m[:700] <= 40.001)
    assert np.median(distance_m[:700]) == pytest.approx(40 / np.sqrt(2), rel=0.1)
    assert np.median(distance_m[700:]) > 400


def followed_town(folder: Path) -> Scenario:
    """Two sites and three users along a trace of ten minutes, in ticks of 10 s."""
    (folder / "sites.csv").write_text("site_id,latitude,longitude\na,0,0\nb,0,0.01\n")
    fixes = {"a": (100, 350), "b": (-50, 200, 550, 700), "d": (0, 300, 600)}
    rows = [(who, 1e9 + t, 0.0, t * 1e-5) for who, times in fixes.items() for t in times]
    traces.write(pd.DataFrame(rows, columns=list(traces.COLUMNS)), folder / "trace.parquet")
    tree = {
        "time": {"duration_s": 600, "tick_s": 10},
        "sites": {"kind": "file", "file": str(folder / "sites.csv")},
        "backhaul": {"kind": "gabriel"},
        "servers": {"decision_period_s": 10},
        "mobility": {
            "kind": "trace",
            "file": str(folder / "trace.parquet"),
            "start": "2001-09-09T01:46:40Z",  # 10^9 s.
        },
        "presence": {"enabled": True, "kind": "trace"},
    }
    return files.validate(tree, "town")


def test_a_trace_says_who_is_there(tmp_path: Path) -> None:
    """a from 100 to 350 s, b until 200 s and again from 550 s, with the same tasks, d throughout.

    Ticks of 10 s: b and d in ticks 0 to 9, a too in 10 to 19, a and d in 20 to 34, d alone in 35 to
    54, and b is back in 55 to 59.
    """
    params = build(followed_town(tmp_path))
    assert params.shape.num_users == 4
    key = jax.random.key(0)
    state = jax.jit(reset)(params, key)
    first, leave = np.asarray(state.emission.first_slot), np.asarray(state.emission.leave_slot)
    last = 2**31 - 1
    assert leave.tolist() == [350_000, 200_000, last, last]
    assert first[[0, 2]].tolist() == [100_000, 550_000]
    assert np.all(first[[1, 3]] < 10_000)
    for drawn in (*jax.tree.leaves(state.requests), state.emission.interval_slots):
        assert drawn[1] == drawn[2]
    assert state.requests.cycles[0] != state.requests.cycles[1]
    policy = registry.get("local")
    memory = policy.init(tiny(), 4, 2, key)
    _, _, outcome = run_chunk(params, policy, state, memory, key, 60)
    expected = [2] * 10 + [3] * 10 + [2] * 15 + [1] * 20 + [2] * 5
    assert outcome.present.tolist() == expected
    emits = ~np.isnan(np.asarray(outcome.completion_time_s)).all(axis=2)
    assert emits[:, 0].tolist() == [10 <= tick < 35 for tick in range(60)]
    assert emits[:, 2].tolist() == [tick >= 55 for tick in range(60)]


def test_servers_stand_where_users_are_there(tmp_path: Path) -> None:
    """In the warm-up of a minute b and d are at site a; who is away is nowhere."""
    scenario = files.override(followed_town(tmp_path), {"servers.count": 1})
    part = time_shares(scenario, sites.layout(scenario.sites))
    np.testing.assert_allclose(part, [0.995, 0.005])


def steps(params: Params, name: str, ticks: int) -> list[tuple[State, np.ndarray]]:
    """Every state and its tick's completion times."""
    policy, key = registry.get(name), jax.random.key(1)
    state, memory = jax.jit(reset)(params, key), policy.init(tiny(), USERS, SERVERS, key)
    found = []
    for _ in range(ticks):
        state, memory, outcome = run_chunk(params, policy, state, memory, key, 1)
        found.append((state, np.asarray(outcome.completion_time_s[0])))
    return found


@pytest.mark.parametrize("name", slow_but_for(["random"], registry.RULES))
def test_who_is_not_there_asks_for_nothing(name: str) -> None:
    """No task, no share and no work; and loads are those of the users that are there."""
    params = build(tiny({**VISITED, "queues.enabled": True, "coverage_radius_m": 150}))
    tasks = np.zeros(USERS, int)
    for tick, (state, time_s) in enumerate(steps(params, name, 200)):
        begin, slots = tick * int(params.slots_per_tick), int(params.slots_per_tick)
        emission, placement = state.emission, state.placement
        first, leave = np.asarray(emission.first_slot), np.asarray(emission.leave_slot)
        there = (first < begin + slots) & (leave > begin)
        assert np.all(np.isnan(time_s[~there]))
        tasks += (~np.isnan(time_s)).sum(axis=1)
        request = np.asarray(placement.requested_share)
        assert np.all(request[~there] == 0)
        assert np.all(np.asarray(state.backlog.edge_cycles)[~there] == 0)
        load = np.bincount(placement.host, request, SERVERS)
        np.testing.assert_allclose(placement.load, load, atol=1e-5)
    visits = np.minimum(leave, 200 * slots) - first
    np.testing.assert_array_equal(tasks, -(-visits // np.asarray(emission.interval_slots)))
