"""Tasks that wait for one another: by hand, and with nothing lost.

The worlds are those of `by_hand`: a tick is 1 s of 10 slots, server 0 of 1 GHz decides at even
ticks, server 1 of 2 GHz at odd ones. User 0 has tasks of 1e9 cycles at slots 5, 15, ... and a CPU
of 1e8 Hz, user 1 tasks of 2e9 at slots 12, 22, ... and 2e8 Hz.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.simulators.by_hand import Run, assert_times, followed, script, times_s, two_by_two
from helpers.simulators.fixed_policy import some_action
from helpers.small_worlds import USERS, new_world, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.contract import Memory
from isma.evaluation import cell
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.queues import queue
from isma.simulator.rollout import run_chunk
from isma.world.switches import Migrating, Migration, Queues

ROWS = (
    ((0, 1), (1.0, 0.5), (0.8, 0.5), (0.0, 0.0)),
    ((1, 0), (0.3, 1.0), (0.1, 0.6), (0.0, 0.0)),
    ((1, 0), (0.9, 0.0), (0.5, 0.2), (0.0, 0.0)),
    ((1, 1), (0.1, 0.7), (1.0, 0.7), (0.0, 0.0)),
)


def lines(run: Run) -> list[list[float]]:
    """Local lines of both users, then edge lines, in 1e9 cycles at each tick's end."""
    backlogs = [state.backlog for state, *_ in run]
    return [[*np.asarray(b.local_cycles) / 1e9, *np.asarray(b.edge_cycles) / 1e9] for b in backlogs]


def test_queues_by_hand(double: None) -> None:
    """The world of `test_world_by_hand`, where nothing lies ahead of a user's first task.

    Tick 0: user 0 has 0.8 GHz of server 0; of its task 0.6e9 cycles are left after half a second.
    Tick 1: it has 0.571429 GHz. Half a second later 0.314286e9 lie ahead:
        0.349897 + 2 + 1.314286 / 0.571429 = 4.649897;       1.028571e9 are left.
      User 1: 9.616210, nothing ahead; 2e9 - 0.8 s · 0.428571 GHz = 1.657143e9 are left.
    Tick 2: user 0 takes its line along to server 1, 1 GHz. 0.528571e9 ahead, and 0.9e9 of its own:
        max(1, 0.250121 + 1.428571) = 1.678692;              0.928571e9 left, and 0.05e9 at home.
      User 1: 10 s at home, 1.84e9 left there; its old line goes on at 0.2 GHz: 1.457143e9.
    Tick 3: user 0 has 2 GHz: both lines have run empty by slot 35. 0.9e9 at home: 9 s.
        0.85e9 left at home, 0.1e9 - 0.5 s · 2 GHz: nothing at the server.
      User 1: 1.8e9 ahead at home: 3.8e9 / 2e8 = 19 s; 3.64e9 left, 1.257143e9 at the server.
    """
    run = followed(*two_by_two(queues=Queues(enabled=True)), script(*ROWS))
    assert_times(
        run,
        [
            [[1.680677], []],
            [[4.649897], [9.616210]],
            [[1.678692], [10]],
            [[9], [19]],
        ],
    )
    expected = [
        [0, 0, 0.6, 0],
        [0, 0, 1.028571, 1.657143],
        [0.05, 1.84, 0.928571, 1.457143],
        [0.85, 3.64, 0, 1.257143],
    ]
    np.testing.assert_allclose(lines(run), expected, atol=1e-6)


def test_a_line_stands_still_with_its_service(double: None) -> None:
    """A cold move over one hop: 0.3 + 0.5 + 2 s, from slot 20 to 48 (test_migration).

    In tick 2 nothing is worked off: 2.3 + 0.250121 + 1.028571 + 0.9 = 4.478692, 1.928571e9 left.
    Tick 3, 2 GHz: at slot 35 another 0.1e9 joins and would take 2.3 s; home is empty and takes 9.
    Tick 4: from slot 48 on the service runs, for 0.2 s: of 2.128571e9 it works off 0.4e9. Home has
      0.85e9 - 0.05e9 ahead at slot 45: 1.7e9 / 1e8 = 17 s.
    """
    cold = Migration(kind=Migrating.COLD, downtime_s=0.3)
    rows = (*ROWS, ((0, 0), (0.0, 0.7), (0.1, 0.3), (0.0, 0.0)))
    run = followed(*two_by_two(queues=Queues(enabled=True), migration=cold), script(*rows))
    edge = [row[2] for row in lines(run)]
    np.testing.assert_allclose(edge[2:], [1.928571, 2.028571, 1.728571], atol=1e-6)
    user_0 = [tick[0][0] for tick in times_s(run)]
    assert user_0[2:] == pytest.approx([4.478692, 9, 17], abs=1e-5)


def test_the_contract_shows_the_lines(double: None) -> None:
    """As they stand at the beginning of the tick, to the servers that act."""
    run = followed(*two_by_two(queues=Queues(enabled=True)), script(*ROWS))
    seen = run[2][1].per_user
    assert seen["local_cycles"].tolist() == pytest.approx([0, 0])
    assert seen["edge_cycles"].tolist() == pytest.approx([1.028571e9, 1.657143e9], rel=1e-5)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.floats(0.1, 3))
def test_a_line_is_a_loop(seed: int, count: int, load: float) -> None:
    """The closed form against one task after the other, some ticks busy and some idle."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 1, 5))
    speed, work, backlog = 4.0, load, rng.choice([0.0, rng.uniform(0, 5)])
    emitted = np.arange(5) < count
    left, now, ahead = backlog, 0.0, []
    for moment in times[:count]:
        left = max(0.0, left - speed * (moment - now))
        ahead.append(left)
        left, now = left + work, moment
    left = max(0.0, left - speed * (1 - now))
    row = lambda value: jnp.asarray(np.asarray(value)[None], jnp.float32)  # noqa: E731
    found = queue(
        row(backlog), row(work), jnp.asarray(emitted[None]), row(speed * times), row(speed)
    )
    np.testing.assert_allclose(found.ahead_cycles[0, :count], ahead, atol=1e-5)
    np.testing.assert_allclose(found.left_cycles, [left], atol=1e-5)


QUEUED = build(
    tiny({"queues.enabled": True, "data_bits": 1, "cycles": [1e7, 4e8], "local_hz": [1e9, 4e9]})
)
"""Almost no data, so that completion times are those of the lines."""


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_no_cycle_is_lost(ratio: float, seed: int) -> None:
    """What the completion times leave undone at a moment is what then stands in line.

    A task that is done at time e and has w cycles on a CPU of r Hz is worked on from e - w / r on.
    """
    key, num_ticks = jax.random.key(seed), 60
    some = some_action(np.random.default_rng(seed))
    policy = replace(some, offload_ratio=jnp.full_like(some.offload_ratio, ratio))
    start = new_world(QUEUED, key)
    state, _, outcome = run_chunk(QUEUED, policy, start, Memory.none(), key, num_ticks)
    share_hz = QUEUED.infrastructure.server_hz[policy.server] * policy.cpu_share
    speed_hz = np.asarray(share_hz if ratio else state.requests.local_hz, float)
    backlog = state.backlog.edge_cycles if ratio else state.backlog.local_cycles
    for user in range(USERS):
        time_s = np.asarray(outcome.completion_time_s, float)[:, user].ravel()
        time_s = time_s[~np.isnan(time_s)]
        first, interval = (int(part[user]) for part in jax.tree.leaves(state.emission))
        begin_s = (first + interval * np.arange(len(time_s))) * float(QUEUED.slot_s)
        late_s = begin_s + time_s - num_ticks * float(QUEUED.tick_s)
        undone = np.clip(late_s * speed_hz[user], 0, float(state.requests.cycles[user])).sum()
        assert float(backlog[user]) == pytest.approx(undone, rel=1e-3, abs=1e5)


def test_unfinished_tasks_are_counted() -> None:
    """Nobody offloads; the CPU does half of what comes: half of the tasks of a run without warm-up.

    Tasks come from the first decision period on, up to 2 s of 20; a CPU that does half of the work
    has done half of the tasks when the run ends, up to one.
    """
    scenario = tiny(
        {
            "queues.enabled": True,
            "warmup_s": 0,
            "interval_s": 0.1,
            "cycles": 2e8,
            "local_hz": 1e9,
            "servers.decision_period_s": 0.1,
        }
    )
    made = cell.run(scenario, build(scenario), registry.get("local"), 0, lambda ticks: None)
    assert int(made.user_tasks.sum()) == 200 * USERS
    assert int(made.unfinished) == pytest.approx(100 * USERS, abs=USERS)
