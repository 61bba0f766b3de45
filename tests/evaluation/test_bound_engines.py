"""`isma bound` on an engine: every world once, and the table that one process writes."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from evaluation.test_engines import HereAndNow
from helpers.small_worlds import tiny

import isma
from isma.errors import RunError
from isma.evaluation.bounding import run_bound
from isma.evaluation.bounding.run_bound import BoundPlan
from isma.evaluation.comparison import bound_dispatch, dispatch, engines
from isma.evaluation.comparison.engines import EngineChoice

PLAN = BoundPlan(tiny(), ("local", "nearest"), (0, 1, 2), {"servers.clock_hz": (1e9, 2e9)})
WORLDS = 6


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Bounds and means that are no simulation: each call is noted."""
    noted: list[float] = []

    def value(scenario: Any, params: Any, *rest: Any) -> float:
        noted.append(scenario.servers.clock_hz)
        return math.pi * len(str(rest[0])) / scenario.servers.clock_hz * 1e9

    run = lambda *asked: SimpleNamespace(mean_s=2 + value(*asked))  # noqa: E731
    monkeypatch.setattr(run_bound, "run_bound_s", value)
    monkeypatch.setattr(run_bound.cell, "run", run)
    monkeypatch.setattr(dispatch, "_POLL_S", 0.0)
    return noted


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> HereAndNow:
    """An engine of this process, under the name `here`."""
    here = HereAndNow()
    monkeypatch.setitem(engines.ENGINES, "here", engines.EngineKind(lambda out: here, "os", "none"))
    return here


@pytest.mark.parametrize(("jobs", "submitted"), [(None, WORLDS), (2, 2), (4, 4), (9, WORLDS)])
def test_every_world_is_bounded_once(
    tmp_path: Path, calls: list[float], engine: HereAndNow, jobs: int | None, submitted: int
) -> None:
    alone = run_bound.reach_all(PLAN, (), tmp_path / "alone", lambda part: None)
    each = len(calls)
    chosen = EngineChoice("here", {}, jobs)
    shared = bound_dispatch.reach_all(PLAN, (), tmp_path / "jobs", lambda part: None, chosen)
    assert len(engine.jobs) == submitted
    assert len(calls) == 2 * each
    assert [reach.bound_s for reach in shared] == [reach.bound_s for reach in alone]
    tables = [(tmp_path / name / "bounds.csv").read_bytes() for name in ("alone", "jobs")]
    assert tables[0] == tables[1]
    assert not list((tmp_path / "jobs").glob(".shard*"))


def test_what_is_there_is_not_computed_again(
    tmp_path: Path, calls: list[float], engine: HereAndNow
) -> None:
    run_bound.reach_all(PLAN, (), tmp_path, lambda part: None)
    world = next((tmp_path / "worlds").iterdir())
    world.unlink()
    before = len(calls)
    chosen = EngineChoice("here", {}, None)
    bound_dispatch.reach_all(PLAN, (), tmp_path, lambda part: None, chosen)
    assert len(engine.jobs) == 1
    assert len(calls) == before + 1


def test_an_engine_needs_a_folder() -> None:
    with pytest.raises(RunError, match=r"engine processes needs a folder .* add --out"):
        isma.bound(tiny(), engine="processes")


@pytest.mark.slow
def test_processes_write_the_files_of_one(tmp_path: Path) -> None:
    asked = {"scenario": tiny(), "seeds": 2, "policies": "local", "foresight_s": (2,)}
    isma.bound(**asked, out=tmp_path / "alone")
    isma.bound(**asked, out=tmp_path / "jobs", engine="processes:at_once=2")
    for name in ("bounds.csv", "config.toml"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "jobs" / name).read_bytes()
