"""A decision looked into afterwards is the one that was taken, and what it says follows from its numbers."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.quick_reports import leave_out_figures
from helpers.small_worlds import new_world, tiny

from isma import api
from isma.errors import RunError
from isma.evaluation.explain.decision import of_world
from isma.evaluation.explain.explanation import Explanation, ServerCost
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.world.vary import Point

MOVING = {"migration.kind": "cold", "duration_s": 30, "warmup_s": 0}


def _followed(name: str, user: int, ticks: int) -> list[int]:
    """Where the user's service is after each tick of a plain run."""
    scenario = tiny(MOVING)
    params, policy = build(scenario), registry.get(name)
    key, memory_key = jax.random.split(jax.random.key(0))
    memory = policy.init(scenario, params.shape.num_users, params.shape.num_servers, memory_key)
    state, hosts = new_world(params, key), []
    for _ in range(ticks):
        state, memory, _ = run_chunk(params, policy, state, memory, key, 1)
        hosts.append(int(state.placement.host[user]))
    return hosts


@pytest.mark.slow
@pytest.mark.parametrize("name", ["price", pytest.param("nearest", marks=pytest.mark.slow)])
def test_what_is_said_is_what_was_done(name: str) -> None:
    scenario = tiny(MOVING)
    found = of_world(Point({}, scenario), name, registry.get(name), 1, 7.0, 0)
    assert found.time_s >= 7.0
    tick = round(found.time_s / scenario.time.tick_s)
    hosts = _followed(name, 1, tick + 1)
    assert (found.host, found.target) == (hosts[tick - 1], hosts[tick])
    assert [c.cost_s for c in found.choices] == sorted(c.cost_s for c in found.choices)
    assert found.at(found.host).later_s == 0
    if found.tasks:
        assert np.isfinite(found.mean_s)


def _explanation(best_s: float, target: int = 0, hop_saving_s: float = 0) -> Explanation:
    here = {"load": 0.5, "offload_ratio": 1, "own_s": 10, "others_s": 0, "later_s": 0}
    choice = ServerCost(server=0, hops=1, hop_saving_s=0, **here)
    other = replace(choice, server=1, hops=0, own_s=best_s, hop_saving_s=hop_saving_s)
    return Explanation(
        policy="price",
        user=3,
        time_s=12.0,
        station=1,
        host=0,
        target=target,
        offload_ratio=0.7,
        cpu_share=0.2,
        choices=tuple(sorted((choice, other), key=lambda one: one.cost_s)),
        now_s=10.0,
        margin=0.05,
        priced=True,
        stop_s=0.0,
        tasks=0,
        mean_s=float("nan"),
    )


@pytest.mark.parametrize(
    ("best_s", "target", "said"),
    [
        (11.0, 0, "No server looked cheaper."),
        (9.8, 0, "less than the 0.5 s that it must save: 5% of the user's time"),
        (8.0, 0, "enough to go. But"),
        (8.0, 1, "There a task costs 8 s, where it was 10 s: 20.0% less."),
    ],
)
def test_the_reason_follows_from_the_numbers(best_s: float, target: int, said: str) -> None:
    assert said in " ".join(_explanation(best_s, target).why)


def test_a_margin_is_asked_for_what_rests_on_prices() -> None:
    """Of a gain of 0.4 s nothing, a quarter or all is sure: 0.5 s, 0.375 s or nothing must be saved."""
    said = [" ".join(_explanation(9.6, hop_saving_s=sure).why) for sure in (0, 0.1, 0.4)]
    assert "less than the 0.5 s" in said[0]
    assert "enough to go" in said[1]
    assert "enough to go" in said[2]


def test_how_far_a_plan_counts_is_told() -> None:
    said = " ".join(replace(_explanation(8.0), weight=0.25).why)
    assert "The plan counts for 25% of what comes later" in said
    assert "forecasts of server 0 come true" in said
    assert "The plan counts" not in " ".join(_explanation(8.0).why)


def test_a_run_is_asked_from_its_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out_figures(monkeypatch)
    # The free moves and times of other comparisons share their programs, one tick that of the next.
    api.compare(tiny(), ["nearest"], 1, out=tmp_path / "run")
    found = api.explain(tmp_path / "run", user=0, time_s=0.1)
    assert (found.policy, found.user) == ("nearest", 0)
    assert not caplog.records
    for wrong, said in (
        ({"user": 99, "time_s": 1.0}, "--user must be 0 to"),
        ({"user": 0, "time_s": 1e6}, "--time must be within"),
        ({"user": 0, "time_s": 1.0, "policy": "neares"}, "did you mean 'nearest'"),
        ({"user": 0, "time_s": 1.0, "seed": 5}, "--seed must be one of the run's 0"),
        ({"user": 0, "time_s": 1.0, "point": 2}, "--point must be 1 to 1"),
    ):
        with pytest.raises(RunError, match=said):
            api.explain(tmp_path / "run", **wrong)
    with pytest.raises(RunError, match="must be a run's folder"):
        api.explain(tmp_path, user=0, time_s=1.0)
    for cell in (tmp_path / "run" / "cells").iterdir():
        cell.rename(cell.with_name(f"other-{cell.name}"))
    api.explain(tmp_path / "run", user=0, time_s=0.1)
    assert "made by other code" in caplog.text
