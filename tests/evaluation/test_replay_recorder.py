"""Recording of a run: it agrees with the run's tables, costs no byte of them, and can be made again."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from helpers.small_worlds import EVERYTHING, SERVERS, USERS, tiny

from isma.evaluation import cell, replay_recorder
from isma.evaluation.comparison.compare import compare
from isma.evaluation.plan import CellKey, Plan
from isma.policies import registry
from isma.replay_format import ABSENT, STOPPED, ReplayFile
from isma.simulator.params import build
from isma.watch import run_replays
from isma.world.scenario import Scenario

POLICIES = ("nearest", "random")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan(tiny(), POLICIES, (0,), {})
    return compare(plan, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def replays(run: Path) -> dict[str, ReplayFile]:
    return {replay.header["policy"]: replay for replay in run_replays.recorded(run)}


def timeline(run: Path, policy: str) -> pd.DataFrame:
    table = pd.read_parquet(run / "timeline.parquet")
    return table[table.policy == policy]


@pytest.mark.parametrize("policy", POLICIES)
def test_intervals_of_the_tables_are_those_of_the_replay(
    run: Path, replays: dict[str, ReplayFile], policy: str
) -> None:
    table, replay = timeline(run, policy), replays[policy]
    frame_s = replay.header["frame_s"]
    last = np.rint(table.time_s / frame_s).astype(int).to_numpy()
    for column in ("migrations", "handovers"):
        sums = np.concatenate([[0], np.cumsum(replay.sums(column))])
        assert np.diff(sums[np.concatenate([[0], last])]).tolist() == table[column].tolist()
    time_s, tasks = (
        np.add.reduceat(replay.sums(name), np.concatenate([[0], last[:-1]]))
        for name in ("time_s", "tasks")
    )
    assert time_s / tasks == pytest.approx(table.mean_s.to_numpy(), rel=1e-6)


def test_migrations_are_each_there(replays: dict[str, ReplayFile]) -> None:
    for replay in replays.values():
        host = replay.column("host").astype(int)
        tick, user, source, target = (
            replay.column(name)[0].astype(int) for name in ("tick", "user", "source", "target")
        )
        assert replay.sums("migrations").sum() == len(tick)
        every = round(replay.header["frame_s"] / replay.header["tick_s"])
        assert every == 1
        assert np.all(source != target)
        assert host[tick, user].tolist() == target.tolist()
        assert host[tick - 1, user].tolist() == source.tolist()
    assert len(replays["random"].column("tick")[0]) > 0


def test_loads_are_those_of_the_tables(run: Path, replays: dict[str, ReplayFile]) -> None:
    """`load.parquet` is the mean over intervals' ends after the warm-up."""
    table = pd.read_parquet(run / "load.parquet")
    for policy, replay in replays.items():
        end_s = timeline(run, policy).time_s.to_numpy()
        ends = np.rint(end_s[end_s > replay.header["warmup_s"]] / replay.header["frame_s"])
        load = replay.column("load")[ends.astype(int) - 1].mean(0)
        told = table[table.policy == policy].requested_share.to_numpy()
        assert load == pytest.approx(told, abs=1e-4)
        assert len(told) == SERVERS


def test_users_delays_and_places(run: Path, replays: dict[str, ReplayFile]) -> None:
    users = pd.read_parquet(run / "users.parquet")
    for policy, replay in replays.items():
        warm = round(replay.header["warmup_s"] / replay.header["frame_s"])
        tasks = replay.column("tasks")[warm:]
        mean_s = (tasks * replay.column("delay_s")[warm:]).sum(0) / tasks.sum(0)
        told = users[users.policy == policy]
        assert tasks.sum(0).tolist() == told.tasks.tolist()
        assert mean_s == pytest.approx(told.mean_s.to_numpy(), rel=1.2e-3)
    snapshot = pd.read_parquet(run / "snapshot.parquet")
    last = snapshot[snapshot.policy == "nearest"]
    assert replays["nearest"].column("x_m")[-1] == pytest.approx(last.x_m.to_numpy(), abs=0.051)
    assert replays["nearest"].column("y_m")[-1] == pytest.approx(last.y_m.to_numpy(), abs=0.051)
    assert replays["nearest"].column("host")[-1].tolist() == last.host.tolist()


def test_what_is_missing_is_run_again_to_the_byte(run: Path) -> None:
    path = replay_recorder.replay_path(run, "random", 0)
    before = path.read_bytes()
    path.unlink()
    assert len(run_replays.recorded(run)) == 1
    assert len(run_replays.all_of(run)) == 2
    assert path.read_bytes() == before


def test_a_run_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    scenario = tiny()
    params, policy = build(scenario), registry.get("nearest")
    recorder = replay_recorder.recorder(
        tmp_path, scenario, params, CellKey(0, "nearest", 0), policy
    )

    def stop(ticks: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), recorder:
        cell.run(scenario, params, policy, 0, stop, recorder=recorder)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def everything() -> Scenario:
    return tiny(EVERYTHING)


@pytest.fixture(scope="module")
def all_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[cell.Cell, ReplayFile]:
    scenario, out = everything(), tmp_path_factory.mktemp("replays")
    params, policy = build(scenario), registry.get("nearest")
    with replay_recorder.recorder(out, scenario, params, CellKey(0, "nearest", 2), policy) as made:
        found = cell.run(scenario, params, policy, 2, lambda ticks: None, recorder=made)
    return found, ReplayFile.load(replay_recorder.replay_path(out, "nearest", 2))


def test_users_who_come_and_go_and_servers_that_fail(all_on: tuple[cell.Cell, ReplayFile]) -> None:
    found, replay = all_on
    state, up = replay.column("state"), replay.column("up")
    assert {ABSENT, STOPPED} <= set(state.ravel().tolist())
    assert set(up.ravel().tolist()) == {0, 1}
    assert replay.sums("migrations").sum() == found.chunk_migrations.sum()
    assert replay.column("tick").size == found.chunk_migrations.sum()
    # Only those who are there have tasks.
    assert not np.any(replay.column("tasks")[state == ABSENT])
    assert state.shape[1] == USERS


def test_recording_changes_no_number(all_on: tuple[cell.Cell, ReplayFile]) -> None:
    scenario = everything()
    alone = cell.run(scenario, build(scenario), registry.get("nearest"), 2, lambda ticks: None)
    same = jax.tree.map(
        lambda a, b: np.array_equal(a, b, equal_nan=True), vars(alone), vars(all_on[0])
    )
    assert all(same.values())
