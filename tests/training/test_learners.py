"""Learners from end to end: they find what is best, go on exactly, and hand over what they learned."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import new_world, tiny

from isma.contract import Policy
from isma.errors import RunError
from isma.policies.learned import dqn, drac, team
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.training import models, session
from isma.training.dqn import DqnLearner, DqnOptions
from isma.training.drac import DracLearner, DracOptions
from isma.training.learner import Learner
from isma.training.session import Progress
from isma.training.team import TeamLearner, TeamOptions

SMALL = {"periods": 5, "width": 16}
DQN = DqnOptions(
    **SMALL, rounds=8, worlds=32, updates=200, batch=128, learning_rate=5e-3, discount=0.0
)
DRAC = DracOptions(**SMALL, rounds=8, worlds=8, minibatches=4, learning_rate=1e-2)
TEAM = TeamOptions(**SMALL, rounds=8, worlds=8, minibatches=4, learning_rate=1e-2)
UNEVEN = tiny(
    {"users.count": 4, "sites.count": 2, "clock_hz": [1e9, 1e12], "data_bits": 8.0, "tick_s": 0.5}
)
"""Server 1 does in a blink what takes minutes anywhere else, and data are next to nothing."""


def learner(kind: str, **changes: object) -> Learner:
    if kind == "dqn":
        return DqnLearner.make([UNEVEN], replace(DQN, **changes))
    if kind == "drac":
        return DracLearner.make([UNEVEN], replace(DRAC, **changes))
    return TeamLearner.make(kind, [UNEVEN], replace(TEAM, **changes))


LOAD = {
    "dqn": dqn.load,
    "drac": drac.load,
    **{kind: partial(team.load, kind) for kind in ("ippo", "mappo")},
}
every_kind = pytest.mark.parametrize("kind", slow_but_for(["drac"], LOAD))


def run(policy: Policy) -> tuple[np.ndarray, np.ndarray, float]:
    """Hosts and ratios after ten seconds of a world that nothing was learned in; the mean time since."""
    params, key = build(UNEVEN), jax.random.key(77)
    memory = policy.init(UNEVEN, 4, 2, key)
    state, memory, _ = run_chunk(params, policy, new_world(params, key), memory, key, 20)
    state, _, outcome = run_chunk(params, policy, state, memory, key, 20)
    placement = state.placement
    mean_s = float(np.nanmean(np.asarray(outcome.completion_time_s)))
    return np.asarray(placement.host), np.asarray(placement.offload_ratio), mean_s


@pytest.mark.slow
@every_kind
def test_it_learns_what_is_best_by_hand(kind: str, tmp_path: Path) -> None:
    """Everything to server 1: at most 0.1 s of work there, where a tenth alone takes 4 to 60 s.

    Four users that ask for 0.1 and 1 in the worst way wait 0.09 s · 3.1 / 0.1 = 2.8 s.
    """
    path = session.run(learner(kind), {"kind": kind}, 0, tmp_path / kind)
    host, ratio, mean_s = run(LOAD[kind](path))
    np.testing.assert_array_equal(host, [1, 1, 1, 1])
    np.testing.assert_allclose(ratio, [1, 1, 1, 1])
    assert mean_s < 2.8
    lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["explored_mean_s"] > 60
    assert lines[-1]["greedy_mean_s"] < 2.8
    assert lines[-1]["explored_mean_s"] < 0.5 * lines[0]["explored_mean_s"]


class _KilledError(Exception):
    pass


@every_kind
def test_one_that_is_stopped_ends_with_the_same_bytes(kind: str, tmp_path: Path) -> None:
    """Stopped in the second of three rounds; another seed ends elsewhere."""
    made = learner(kind, rounds=3)

    def stop(standing: Progress) -> None:
        if standing.done_steps > made.steps_per_round:
            raise _KilledError

    whole = session.run(made, {}, 0, tmp_path / "whole").read_bytes()
    with pytest.raises(_KilledError):
        session.run(made, {}, 0, tmp_path / "stopped", stop)
    assert len((tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()) == 1
    assert session.run(made, {}, 0, tmp_path / "stopped").read_bytes() == whole
    assert session.run(made, {}, 0, tmp_path / "again").read_bytes() == whole
    assert session.run(made, {}, 1, tmp_path / "other").read_bytes() != whole


@every_kind
def test_steps_are_whole_rounds(kind: str) -> None:
    made = learner(kind)
    longer = made.for_steps(2 * made.steps_per_round + 1)
    assert (longer.rounds, longer.steps_per_round) == (3, made.steps_per_round)
    with pytest.raises(RunError, match="steps must be at least 1, got 0"):
        made.for_steps(0)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("dqn", {"batch": 0}, "batch must be at least 1, got 0"),
        ("dqn", {"periods": 1}, "periods must be at least 2, got 1"),
        ("dqn", {"explore_last": 1.5}, "explore_last must be at most 1, got 1.5"),
        ("drac", {"worlds": 0}, "worlds must be at least 1, got 0"),
        ("drac", {"discount": -0.1}, "discount must be at least 0, got -0.1"),
    ],
)
def test_options_that_cannot_be_trained(kind: str, changes: dict, said: str) -> None:
    with pytest.raises(RunError, match=said):
        models.learner(kind, [UNEVEN], None, changes)


def test_minibatches_are_even() -> None:
    with pytest.raises(RunError, match=r"must divide worlds times users \(32\), got 5"):
        learner("drac", minibatches=5)
