"""Folders that hold anything but the run that is asked for: refused before work, and left as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.small_worlds import tiny

from isma.errors import RunError
from isma.evaluation.bounding.run_bound import BoundPlan, reach_all
from isma.evaluation.comparison.compare import compare
from isma.evaluation.plan import Plan

POLICIES, SEEDS = ("nearest", "random"), (0, 1)


def plan_of(overrides: dict[str, Any] | None = None) -> Plan:
    return Plan(tiny(overrides or {}), POLICIES, SEEDS, {})


def claim(plan: Plan, out: Path) -> None:
    with plan.claimed(out):
        pass


def no_city(*_: object) -> None:
    raise AssertionError("the folder is looked at first")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda out: (out / "config.toml").write_text("other"), "holds another run"),
        (lambda out: (out / "config.toml").mkdir(), "cannot be used: Is a directory"),
        (
            lambda out: claim(plan_of({"duration_s": 7}), out),
            r"holds another run \(time.duration_s is 7.0 there and",
        ),
        (lambda out: (out / "notes.txt").write_text("mine"), "is not empty and holds no run"),
        (
            lambda out: (out.rmdir(), out.write_text("a file")),
            "taken is a file and no folder; give",
        ),
    ],
)
def test_folders_of_others_are_left_alone(
    prepare: Callable[[Path], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused before a city is laid out, which may take minutes."""
    out = tmp_path / "taken"
    out.mkdir()
    prepare(out)
    before = {path: path.read_bytes() for path in [out, *out.rglob("*")] if path.is_file()}
    monkeypatch.setattr("isma.evaluation.comparison.compare.build", no_city)
    monkeypatch.setattr("isma.evaluation.bounding.run_bound.build", no_city)
    with pytest.raises(RunError, match=said):
        compare(plan_of(), out)
    with pytest.raises(RunError, match=said):
        reach_all(BoundPlan(tiny(), POLICIES, SEEDS, {}), (), out, lambda part: None)
    after = {path: path.read_bytes() for path in [out, *out.rglob("*")] if path.is_file()}
    assert after == before


def test_a_folder_under_a_file_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("isma.evaluation.comparison.compare.build", no_city)
    with pytest.raises(RunError, match="file is a file and no folder"):
        compare(plan_of(), tmp_path / "file" / "run")
