"""A comparison from end to end: its tables, and that nothing is lost or done twice."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.small_worlds import SERVERS, USERS, tiny

from isma.errors import PolicyError, RunError
from isma.evaluation import cell
from isma.evaluation.bounding import world_bound
from isma.evaluation.cell import Cell
from isma.evaluation.comparison import compare as comparing
from isma.evaluation.comparison import table_writer
from isma.evaluation.comparison.compare import CompareProgress, compare
from isma.evaluation.comparison.score import TIMES
from isma.evaluation.plan import Plan

ROOT = Path(__file__).parents[2]
POLICIES, SEEDS = ("nearest", "random"), (0, 1)
COLUMNS = {
    "seeds.csv": "policy seed mean_s task_mean_s migrations_per_user_hour overload_ratio "
    "deadline_miss_ratio bound_s",
    "users.parquet": "policy seed user mean_s tasks",
    "distribution.parquet": "policy low_s high_s tasks",
    "timeline.parquet": "policy seed time_s mean_s migrations handovers overload_ratio",
    "load.parquet": "policy server users requested_share granted_share",
    "snapshot.parquet": "policy user x_m y_m station host offload_ratio granted_share",
    "trail.parquet": "time_s user x_m y_m",
    "sites.csv": "server x_m y_m",
    "links.csv": "a b",
    "tasks.parquet": "policy seed time_s user station host offload_ratio granted_share "
    "completion_time_s deadline_s",
}


def plan_of(**changes: Any) -> Plan:
    given = {"scenario": tiny(), "policies": POLICIES, "seeds": SEEDS, "vary": {}}
    return Plan(**{**given, **changes})


def table(folder: Path, name: str) -> pd.DataFrame:
    path = folder / name
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, without what only a clock knows."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "times"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(plan_of(), tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def no_more_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Cell:
        raise AssertionError("this was finished already")

    monkeypatch.setattr(cell, "run", refuse)
    monkeypatch.setattr(world_bound, "world_bound_s", refuse)


def test_tables_have_their_columns(finished: Path) -> None:
    for name, columns in COLUMNS.items():
        assert set(columns.split()) <= set(table(finished, name).columns), name
    documented = (ROOT / "docs" / "run-folder.md").read_text()
    _, _, described = documented.partition("## Columns of `summary.csv`")
    names = re.findall(r"`([\w, ]+)`", "".join(re.findall(r"^\| (.*?) \|", described, re.M)))
    named = [name for text in names for name in text.split(", ")]
    assert list(table(finished, "summary.csv").columns) == named
    assert list(table(finished, "times/decisions.csv").columns) == ["policy", *TIMES]
    assert (finished / "config.toml").read_text() == plan_of().dumps()
    assert len((finished / "times" / "cells.jsonl").read_text().splitlines()) == 4


def test_tables_agree_with_each_other(finished: Path) -> None:
    summary, seeds, users = (
        table(finished, name) for name in ("summary.csv", "seeds.csv", "users.parquet")
    )
    assert list(summary["policy"]) == list(POLICIES)
    assert set(summary["unit"]) == {"seed"}
    for _, row in summary.iterrows():
        worlds = seeds[seeds["policy"] == row["policy"]]
        assert row["mean_s"] == pytest.approx(worlds["mean_s"].mean())
        assert row["mean_s_low"] < row["mean_s"] < row["mean_s_high"]
        assert row["bound_s"] == pytest.approx(worlds["bound_s"].mean())
        assert 0 < row["bound_s"] < row["mean_s"]
        assert row["above_bound_ratio"] == pytest.approx(row["mean_s"] / row["bound_s"] - 1)
        assert row["p50_s"] < row["p95_s"] < row["p99_s"]
        own = users[users["policy"] == row["policy"]]
        assert own["mean_s"].mean() == pytest.approx(row["mean_s"])
        assert np.average(own["mean_s"], weights=own["tasks"]) == pytest.approx(row["task_mean_s"])
    best = summary.sort_values("mean_s").iloc[0]
    assert best["policy"] == "nearest"
    assert (best["above_best_ratio"], best["above_best_high"]) == (0, 0)
    worst = summary.sort_values("mean_s").iloc[-1]
    assert worst["above_best_ratio"] == pytest.approx(worst["mean_s"] / best["mean_s"] - 1)


def test_histogram_timeline_and_tasks_tell_the_same_run(finished: Path) -> None:
    users, tasks = table(finished, "users.parquet"), table(finished, "distribution.parquet")
    line, sample = table(finished, "timeline.parquet"), table(finished, "tasks.parquet")
    seeds = table(finished, "seeds.csv")
    for name in POLICIES:
        own = tasks[tasks["policy"] == name]
        assert own["tasks"].sum() == users[users["policy"] == name]["tasks"].sum()
        middle = np.sqrt(own["low_s"] * own["high_s"])
        mean = np.average(middle, weights=own["tasks"])
        seen = table(finished, "summary.csv").set_index("policy").loc[name, "task_mean_s"]
        assert mean == pytest.approx(seen, rel=0.01)
    assert line.groupby(["policy", "seed"])["time_s"].max().eq(20).all()
    assert line["migrations"].sum() > 0
    assert (seeds["migrations_per_user_hour"] > 0).any()
    assert sample["host"].between(0, SERVERS - 1).all()
    assert sample["user"].between(0, USERS - 1).all()
    assert set(sample["policy"]) == set(POLICIES)


def test_the_same_command_again_does_nothing_again(finished: Path, no_more_runs: None) -> None:
    before = contents(finished)
    compare(plan_of(), finished)
    assert contents(finished) == before


def test_a_finished_run_is_opened_without_computing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copied(finished, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}

    def refuse(*_: object) -> None:
        raise AssertionError("this was finished already")

    for module, name in (
        (comparing, "build"),
        (comparing.Programs, "get"),
        (table_writer, "write_tables"),
    ):
        monkeypatch.setattr(module, name, refuse)
    heard: list[CompareProgress] = []
    compare(plan_of(), out, heard.append, refuse)
    assert (heard[-1].computed, heard[-1].taken_up) == (0, 4)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != ".lock"} == before
    for changed in ("summary.csv", "times/decisions.csv", "config.toml"):
        other = out / changed
        held = other.read_bytes()
        other.write_bytes(held + b"\n")
        with pytest.raises((AssertionError, RunError)):
            compare(plan_of(), out)
        other.write_bytes(held)
    with pytest.raises(AssertionError, match="finished already"):
        compare(plan_of(seeds=(0,)), out)


def test_another_folder_gets_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    assert contents(compare(plan_of(), tmp_path / "again")) == contents(finished)


def test_an_interrupted_run_keeps_what_is_finished(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"

    def interrupt(progress: CompareProgress) -> None:
        if len(list(out.glob("cells/*.npz"))) >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(plan_of(), out, interrupt)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*.npz")}
    assert 1 <= len(kept) < len(POLICIES) * len(SEEDS)
    assert not (out / "summary.csv").exists()
    assert not list(out.rglob("*.partial"))
    compare(plan_of(), out)
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())
    assert contents(out) == contents(finished)


def test_progress_only_grows_and_ends_at_the_end(tmp_path: Path) -> None:
    heard: list[CompareProgress] = []
    compare(plan_of(policies=("local",), seeds=(0,)), tmp_path / "run", heard.append)
    done = [progress.done_ticks for progress in heard]
    assert done == sorted(done)
    assert done[-1] == heard[-1].total_ticks == 200


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"no archive at all",
        lambda content: content[:400] + bytes(64) + content[464:],
        lambda content: content[:10] + bytes([content[10] ^ 1]) + content[11:],
    ],
    ids=["truncated", "empty", "garbage", "a hole", "a bit of the header"],
)
def test_damaged_cells_are_run_again(
    damage: Callable[[bytes], bytes],
    finished: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = copied(finished, tmp_path)
    hurt = [sorted(out.glob("cells/*.npz"))[0], sorted(out.glob("cells/*.json"))[0]]
    for path in hurt:
        path.write_bytes(damage(path.read_bytes()))
    compare(plan_of(), out)
    assert contents(out) == contents(finished)
    assert sorted(record.args[0] for record in caplog.records) == sorted(hurt)


def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("kind", ["npz", "json"])
def test_a_result_is_not_taken_for_another_one(
    kind: str, finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole files, under the names of others."""
    out = copied(finished, tmp_path)
    first, second = sorted(out.glob(f"cells/*.{kind}"))[:2]
    second.write_bytes(first.read_bytes())
    compare(plan_of(), out)
    assert contents(out) == contents(finished)
    assert [record.args[0] for record in caplog.records] == [second]


def test_a_digit_of_a_bound_is_not_changed_unnoticed(finished: Path, tmp_path: Path) -> None:
    out = copied(finished, tmp_path)
    path = sorted(out.glob("cells/*.json"))[0]
    told = json.loads(path.read_text())
    wrong = told["value"] * 2
    path.write_text(path.read_text().replace(str(told["value"]), str(wrong)))
    assert json.loads(path.read_text())["value"] == wrong
    compare(plan_of(), out)
    assert contents(out) == contents(finished)


def test_times_are_measured_once_and_not_changed_unnoticed(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = copied(finished, tmp_path)
    told = (out / "times" / "decisions.csv").read_bytes()
    (out / "times" / "decisions.csv").write_text("policy,decision_ms_p50\nnearest,1\n")
    compare(plan_of(), out)
    assert (out / "times" / "decisions.csv").read_bytes() == told
    hurt = sorted((out / "times").glob("*.json"))[0]
    hurt.write_text(re.sub(r"\d\.", "9.", hurt.read_text(), count=1))
    compare(plan_of(), out)
    assert [record.args[0] for record in caplog.records] == [hurt]


def last_of(plan: Plan, out: Path) -> tuple[int, int]:
    """Cells that were computed, and taken up."""
    heard: list[CompareProgress] = []
    compare(plan, out, heard.append)
    return heard[-1].computed, heard[-1].taken_up


def test_more_of_the_same_scenario_goes_on_in_the_folder(finished: Path, tmp_path: Path) -> None:
    """Seeds, policies and values: what is missing is run, and the tables are those of the last plan."""
    out = copied(finished, tmp_path)
    assert last_of(plan_of(seeds=(0, 1, 2)), out) == (2, 4)
    assert last_of(plan_of(seeds=(0, 1, 2), policies=("nearest", "random", "local")), out) == (3, 6)
    assert list(table(out, "summary.csv")["policy"]) == ["nearest", "random", "local"]
    varied = plan_of(policies=("local",), seeds=(0,), vary={"users.count": (USERS, USERS + 1)})
    assert last_of(varied, out) == (1, 1), "the point that is the scenario itself is known"
    assert (out / "config.toml").read_text() == varied.dumps()
    assert last_of(plan_of(), out) == (0, 4)
    held = contents(finished)
    assert {name: content for name, content in contents(out).items() if name in held} == held
    with pytest.raises(RunError, match=r"users\.count is 7 there and 9 here"):
        compare(plan_of(scenario=tiny({"users.count": 9})), out)


def test_a_scenarios_words_change_no_number(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "cells", tmp_path / "cells")
    told = tiny().model_copy(update={"name": "../../elsewhere", "description": "the same"})
    out = tmp_path / "run"
    compare(plan_of(scenario=told, policies=("local",), seeds=(0,)), out)
    (tmp_path / "cells").rename(out / "others")
    for path in (out / "others").iterdir():
        path.rename(out / "cells" / path.name)
    assert last_of(plan_of(scenario=told), out) == (0, 4)


@pytest.mark.parametrize("operation", ["write", "replace"])
def test_a_full_disk_is_told_in_one_line(
    operation: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `config.toml` nothing can be written; then there is room again."""
    out = tmp_path / "full"
    sync, replace = os.fsync, os.replace
    synced: list[int] = []

    def full_sync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 1:  # config.toml
            return sync(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_replace(source: Path, target: Path) -> None:
        if "config" in Path(target).name:
            return replace(source, target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if operation == "write":
            patch.setattr(os, "fsync", full_sync)
        else:
            patch.setattr(os, "replace", full_replace)
        with pytest.raises(RunError) as told:
            compare(plan_of(), out)
    assert "cannot be written: No space left on device" in str(told.value)
    assert "\n" not in str(told.value)
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {"config.toml", ".lock"}
    assert contents(compare(plan_of(), out)) == contents(finished)


BROKEN = """
import numpy as np
from isma.contract import Action
from isma.policies.rules.follow import Stay

class Broken(Stay):
    def act(self, memory, observation, key):
        made, memory = super().act(memory, observation, key)
        nothing = made.cpu_share * np.nan
        return Action(made.server, made.offload_ratio, nothing, made.price_s), memory
"""


def test_a_broken_policy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tasks have no time: they must not be dropped in silence."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "policy.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PolicyError, match="a task never finishes"):
        compare(plan_of(policies=("broken.policy:Broken",)), tmp_path / "run")


def test_varied_fields_are_columns_and_one_seed_counts_users(tmp_path: Path) -> None:
    plan = plan_of(policies=("local",), seeds=(0,), vary={"users.local_hz": ("100 MHz", "200 MHz")})
    out = compare(plan, tmp_path / "vary")
    summary = table(out, "summary.csv")
    assert list(summary["users.local_hz"]) == ["100 MHz", "200 MHz"]
    assert summary["mean_s"][0] == pytest.approx(2 * summary["mean_s"][1], rel=1e-5)
    assert set(summary["unit"]) == {"user"}
    assert (summary["mean_s_low"] < summary["mean_s"]).all()
    for name in ("seeds.csv", "users.parquet", "timeline.parquet", "load.parquet"):
        assert set(table(out, name)["users.local_hz"]) == {"100 MHz", "200 MHz"}
