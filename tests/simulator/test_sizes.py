"""What cannot be run is refused by arithmetic: `isma scenario check` says so too, and is cheap."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from isma.errors import DataError, IsmaError, ScenarioError
from isma.simulator.params import build, fit
from isma.world import limits
from isma.world.files import load, preset_names


@pytest.mark.parametrize(
    ("preset", "overrides", "said"),
    [
        ("paper", {"users.count": 10**9}, "users must be at most 2,000,000, got 1,000,000,000"),
        ("paper", {"sites.count": 10**9}, "stations must be at most 5,000, got 1,000,000,000"),
        ("paper", {"sites.count": 5001, "servers": 3}, "stations must be at most 5,000"),
        (
            "paper",
            {"tick_s": 60, "decision_period_s": 60, "slot_s": 1e-6, "tasks.interval_s": 1e-6},
            "tasks of a user in a tick must be at most 10,000, got 60,000,000",
        ),
        ("paper", {"users.count": 2 * 10**6, "duration_s": 10**6}, "users × ticks must be at most"),
    ],
)
def test_what_no_machine_could_run(preset: str, overrides: dict[str, Any], said: str) -> None:
    scenario = load(preset, overrides)
    tracemalloc.start()
    try:
        for act in (fit, build):
            with pytest.raises(ScenarioError) as told:
                act(scenario)
            assert said in str(told.value)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_what_this_machine_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_memory_bytes", lambda: 1e8)
    with pytest.raises(
        ScenarioError, match=r"must fit in memory \(0.1 GB here\), and 100,000 users"
    ):
        fit(load("metropolis"))
    assert fit(load("paper")).num_users == 40


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_fit_with_the_sizes_that_it_runs_with(preset: str) -> None:
    scenario = load(preset)
    tracemalloc.start()
    shape = fit(scenario)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A table of all users and all stations in single precision would be 4 bytes for each pair.
    assert most < max(20_000_000, 4 * shape.num_users * shape.num_stations / 4)
    if preset != "metropolis":
        assert shape == build(scenario).shape


@pytest.mark.parametrize("section", ["sites", "backhaul", "mobility"])
def test_a_pipe_is_no_table(section: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sites.csv").write_text(
        "site_id,latitude,longitude\na,37.7,-122.4\nb,37.8,-122.4\n"
    )
    fields = {
        "sites": {"kind": "file", "file": "sites.csv"},
        "backhaul": {"kind": "gabriel"},
        "mobility": {"kind": "steady"},
    }
    kinds = {"sites": "file", "backhaul": "file", "mobility": "trace"}
    for device in ("pipe", "/dev/zero", "/dev/stdin"):
        fields[section] = {"kind": kinds[section], "file": device}
        text = "".join(
            f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in one.items())
            for name, one in fields.items()
        )
        (tmp_path / "mine.toml").write_text(text + "[users]\ncount = 3\n")
        with pytest.raises(DataError, match=r"must be a plain file|no such trace"):
            fit(load(tmp_path / "mine.toml"))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "pipe"])
def test_a_pipe_is_no_scenario(device: str, tmp_path: Path) -> None:
    if device == "pipe":
        device = str(tmp_path / "pipe")
        os.mkfifo(device)
    with pytest.raises(IsmaError, match="must be a plain file"):
        load(device)
