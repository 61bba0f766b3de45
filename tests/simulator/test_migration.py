"""Migrations that cost, and latency, in the worlds of `by_hand`.

Server 0 decides at even ticks, server 1 at odd ones; a tick is 1 s of 10 slots. Without switches
(`test_world_by_hand`) user 0 takes 1.680677 s in tick 0, at server 0, and 1.150121 s in tick 2,
when server 0 has moved it to server 1, where it is attached. A hop takes 1 s a Mbit; one hop from
server 0 to 1, two back. User 0 has 2 Mbit of state and stops for 0.5 s a hop.
"""

import jax
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.simulators.by_hand import Run, assert_times, followed, script, two_by_two
from helpers.small_worlds import USERS, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.contract import Memory
from isma.planning.migration import cost_of, move_between
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.world.switches import Latency, Migrating, Migration

START = (
    ((0, 1), (1.0, 0.5), (0.8, 0.5), (0.0, 0.0)),
    ((1, 0), (0.3, 1.0), (0.1, 0.6), (0.0, 0.0)),
    ((1, 0), (0.9, 0.0), (0.5, 0.2), (0.0, 0.0)),
)
"""Tick 0: user 0 is new at server 0. Tick 1: user 1 is new. Tick 2: server 0 sends user 0 to 1."""
STAY_AT_0 = ((0, 0), (0.0, 0.0), (0.1, 0.1), (0.0, 0.0))
KINDS = [Migrating.COLD, Migrating.PRECOPY]


def waits(run: Run) -> list[float]:
    """Seconds from each tick's end until user 0's service runs."""
    return [
        max(0, int(state.downtime.up_slot[0]) - 10 * (tick + 1)) / 10
        for tick, (state, *_) in enumerate(run)
    ]


def test_a_cold_move_by_hand(double: None) -> None:
    """Downtime from server 0 to 1: 0.3 + 0.5 · 1 + 2 Mbit · 1 hop = 2.8 s, from slot 20 to 48.

    Tick 2, slot 25: 2.3 s of waiting and 1.150121 s as without cost. Its share counts at once.
    Tick 3: server 1, whose clock is 2 GHz, sends it back with η = 1 and half of server 0: two hops,
      0.3 + 1 + 4 = 5.3 s more, from slot 48 to 101. At slot 35 it stands 200 m from station 1:
      SNR 25, R = 4.700440e6, t = 6.6 + 0.212746 + 2 hops · 1 Mbit + 1 / 0.5 = 10.812746
    Tick 4, server 0 keeps it as it is. Slot 45, 100 m: SNR 100, R = 6.658211e6,
      t = 5.6 + 0.150190 + 2 + 2 = 9.750190
    User 1 has a local task in tick 2 and after: 10 s, and never waits.
    """
    cold = Migration(kind=Migrating.COLD, downtime_s=0.3)
    world = two_by_two(migration=cold)
    back = ((0, 1), (1.0, 0.3), (0.5, 0.7), (0.0, 0.0))
    keep = ((0, 0), (1.0, 0.0), (0.5, 0.2), (0.0, 0.0))
    run = followed(*world, script(*START, back, keep))
    assert_times(
        run,
        [
            [[1.680677], []],
            [[4.099897], [9.616210]],
            [[3.450121], [10]],
            [[10.812746], [10]],
            [[9.750190], [10]],
        ],
    )
    assert [int(outcome.migrations) for *_, outcome in run] == [0, 0, 1, 1, 0]
    assert waits(run) == pytest.approx([0, 0, 1.8, 6.1, 5.1])
    assert [int(outcome.down_slots) for *_, outcome in run] == [0, 0, 10, 10, 10]
    np.testing.assert_allclose(run[2][0].placement.load, [0.2, 0.5])
    seen = [memory.per_user["wait_s"] for _, memory, _ in run]
    assert seen[3][0] == pytest.approx(1.8)


def test_a_pre_copied_move_by_hand(double: None) -> None:
    """Changes at 0.25 Mbit/s over a link of 1 Mbit/s: each round is a quarter of the one before.

    From 2 Mbit to at most 0.1: 2, 0.5, 0.125, so three rounds while it runs, 2 + 0.5 + 0.125 s =
    2.625 s, rounded up to 3 ticks; then 0.03125 s for the last one: down for 0.83125 s, 8 slots.
    Decided in tick 2, it arrives in tick 5, slot 50, and runs again from slot 58.

    Ticks 2 to 4: user 0 stays at server 0 as it was, η = 1, share 0.8 (user 1 has 0.2 there), two
      hops from its station: d = 300, SNR 11.1, R = 3.598260e6: 0.277912 + 2 + 1 / 0.8 = 3.527912;
      d = 200, SNR 25, R = 4.700440e6: 3.462746; d = 100, SNR 100, R = 6.658211e6: 3.400190
      Server 1's load is 0.5 from tick 2 on. Server 0 may not decide for it in tick 4.
    Tick 5: server 1 is due, and sets η = 0.5, share 0.25. At slot 55 it stands at the station:
      10 m count, SNR 1e4, R = 13.287856e6; wait 0.3: max(5, 0.3 + 0.037628 + 0.5 / 0.5) = 5
    Tick 6, slot 65: no wait.
    """
    precopy = Migration(
        kind=Migrating.PRECOPY, downtime_s=0.3, dirty_bps=0.25e6, stop_bits=0.1e6, most_rounds=5
    )
    refused = ((1, 0), (0.1, 0.0), (0.1, 0.2), (0.0, 0.0))
    at_1 = ((1, 1), (0.5, 0.0), (0.25, 0.2), (0.0, 0.0))
    rows = (*START, refused, refused, at_1, ((0, 0), (0.0, 0.0), (0.0, 0.2), (0.0, 0.0)))
    run = followed(*two_by_two(migration=precopy), script(*rows))
    times = [[1.680677], [4.099897], [3.527912], [3.462746], [3.400190], [5.0], [5.0]]
    user_1 = [[], [9.616210], [10], [10], [10], [10], [10]]
    assert_times(run, [list(pair) for pair in zip(times, user_1, strict=True)])
    assert [int(outcome.migrations) for *_, outcome in run] == [0, 0, 0, 0, 0, 1, 0]
    assert [int(outcome.down_slots) for *_, outcome in run] == [0, 0, 0, 0, 0, 8, 0]
    assert [int(state.placement.host[0]) for state, *_ in run] == [0, 0, 0, 0, 0, 1, 1]
    loads = [state.placement.load.tolist() for state, *_ in run]
    np.testing.assert_allclose(loads[2:5], [[1.0, 0.5]] * 3)
    np.testing.assert_allclose(loads[5], [0.2, 0.25])


def test_copying_ahead_of_faster_changes_is_no_use(double: None) -> None:
    """Changes at the link's own rate: as cold, 0.3 + 0.5 + 2 s from slot 20 on."""
    hopeless = Migration(
        kind=Migrating.PRECOPY, downtime_s=0.3, dirty_bps=1e6, stop_bits=1, most_rounds=5
    )
    run = followed(*two_by_two(migration=hopeless), script(*START))
    assert waits(run) == pytest.approx([0, 0, 1.8])


def test_latency_by_hand(double: None) -> None:
    """0.05 s and 0.2 s a hop on top of `test_world_by_hand`, for what is offloaded alone.

    User 0: no hop in tick 0, two in tick 1, none in tick 2. User 1: two in tick 1, then local.
    """
    run = followed(*two_by_two(latency=Latency(task_s=0.05, per_hop_s=0.2)), script(*START))
    assert_times(run, [[[1.730677], []], [[4.549897], [10.066210]], [[1.200121], [10]]])


@settings(max_examples=60)
@given(
    st.floats(1e4, 1e9),
    st.integers(1, 30),
    st.floats(1e3, 4e8),
    st.floats(1e3, 1e8),
    st.integers(1, 20),
    st.sampled_from(KINDS),
)
def test_what_a_move_takes(
    state_bits: float, hops: int, dirty_bps: float, stop_bits: float, most: int, kind: Migrating
) -> None:
    """Against the rounds one by one; and copying ahead never stops a service for longer."""
    ahead = {"dirty_bps": dirty_bps, "stop_bits": stop_bits, "most_rounds": most}
    copies = ahead if kind is Migrating.PRECOPY else {}
    cost = cost_of(Migration(kind=kind, downtime_s=0.25, **copies))
    assert cost is not None
    rate_bps = 5e8
    column = lambda value: np.full(1, value, np.float32)  # noqa: E731
    found = move_between(
        cost,
        jax.numpy.asarray(rate_bps),
        *(jax.numpy.asarray(column(value)) for value in (state_bits, 1.5, hops)),
    )
    sent, left, ahead_s = 0.0, state_bits, 0.0
    shrink = dirty_bps * hops / rate_bps
    rounds = most if kind is Migrating.PRECOPY and shrink < 0.999 else 0
    for _ in range(rounds):
        if left <= stop_bits:
            break
        sent, ahead_s, left = sent + left, ahead_s + left * hops / rate_bps, left * shrink
    whole_s = state_bits * hops / rate_bps
    cold_s = 0.25 + 1.5 * hops + whole_s
    borderline = any(abs(state_bits * shrink**k / stop_bits - 1) < 1e-3 for k in range(most + 1))
    if not borderline:
        stop_s = 0.25 + 1.5 * hops + left * hops / rate_bps
        assert float(found.stop_s[0]) == pytest.approx(stop_s, rel=1e-3)
        assert float(found.ahead_s[0]) == pytest.approx(ahead_s, rel=2e-2, abs=1e-6)
        assert float(found.sent_bits[0]) == pytest.approx(sent + left, rel=2e-2)
    assert float(found.stop_s[0]) <= cold_s * (1 + 1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", slow_but_for(["nearest"], ["nearest", "random", "price:stay_s=1000"])
)
def test_downtime_adds_up(kind: Migrating, name: str) -> None:
    """What services stood still, and have yet to, is what their moves have cost; and nobody waits else."""
    rounds = {"most_rounds": 3} if kind == "precopy" else {}
    scenario = tiny({"migration.kind": kind, "coverage_radius_m": 150, **rounds})
    params, policy, key = build(scenario), registry.get(name), jax.random.key(3)
    state = jax.jit(reset)(params, key)
    memory = policy.init(scenario, USERS, 3, key) if name != "nearest" else Memory.none()
    slots = int(params.slots_per_tick)
    imposed = stood = 0
    for tick in range(120):
        before = np.asarray(state.placement.host)
        up = np.maximum(np.asarray(state.downtime.up_slot), tick * slots)
        state, memory, outcome = run_chunk(params, policy, state, memory, key, 1)
        longer = np.asarray(state.downtime.up_slot) - up
        moved = np.asarray(state.placement.host) != before
        assert np.all(longer[~moved] <= 0), "who has not moved is not stopped"
        imposed += int(np.maximum(longer, 0).sum())
        stood += int(outcome.down_slots[0])
    left = np.maximum(np.asarray(state.downtime.up_slot) - 120 * slots, 0).sum()
    assert imposed > 0
    assert stood + left == imposed
