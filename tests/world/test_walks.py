"""Sample walks: how often users change stations, and what of a trace may be seen."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isma.errors import ScenarioError
from isma.world import files, traces
from isma.world.mobility import NOWHERE
from isma.world.scenario import Scenario
from isma.world.walks import walks

START = 1_000_000.0
"""UNIX time at which the run on a trace begins."""


@pytest.fixture
def city(tmp_path: Path) -> Scenario:
    """Two sites 11 km apart; a goes from one to the other before the run, b is there only during it."""
    (tmp_path / "sites.csv").write_text("site_id,latitude,longitude\nx,37.0,-122\ny,37.1,-122\n")
    before = [("a", START - 100, 37.0), ("a", START - 50, 37.1), ("a", START - 10, 37.1)]
    during = [("a", START + 200, 37.0), ("b", START, 37.0), ("b", START + 200, 37.0)]
    rows = [(user, time_s, latitude, -122.0) for user, time_s, latitude in before + during]
    traces.write(pd.DataFrame(rows, columns=list(traces.COLUMNS)), tmp_path / "trace.parquet")
    tree = {
        "sites": {"kind": "file", "file": str(tmp_path / "sites.csv")},
        "backhaul": {"kind": "delaunay"},
        "mobility": {
            "kind": "trace",
            "file": str(tmp_path / "trace.parquet"),
            "start": "1970-01-12T13:46:40Z",
            "max_gap_s": 60,
        },
    }
    return files.validate(tree, "city")


def test_users_who_move_as_the_scenario_says() -> None:
    """At 120 km/h among cells with neighbours 1732 m apart somebody changes each minute or so."""
    scenario = files.load("paper")
    found = walks(scenario, 2.0)
    assert found.min() >= 0
    assert found.max() == 5
    changes = np.mean(found[1:] != found[:-1]) / 2.0
    assert 1 / 120 < changes < 1 / 30
    slow = walks(files.override(scenario, {"speed_mps": 1.0}), 2.0)
    assert np.mean(slow[1:] != slow[:-1]) < changes / 10
    np.testing.assert_array_equal(found, walks(scenario, 2.0))


def test_users_on_a_road_pass_every_station() -> None:
    """1732 / 2 m between stations at 120 km/h: a station in 26 s."""
    found = walks(files.load("highway"), 2.0)
    assert set(np.unique(found)) == set(range(12))
    assert np.mean(found[1:] != found[:-1]) == pytest.approx(2 / 26, rel=0.15)
    assert np.abs(np.diff(found, axis=0)).max() == 1


def test_of_its_own_trace_only_the_past_is_seen(city: Scenario) -> None:
    """Of b nothing; of a the way from one site to the other, until it has no fix beyond."""
    found = walks(city, 10.0)
    assert found.shape == (9, 1)
    np.testing.assert_array_equal(found[:, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1])


def test_another_trace_is_seen_whole_but_for_its_gaps(city: Scenario, tmp_path: Path) -> None:
    """Of a nothing after its last fix before a gap of 210 s; of b nothing, whose gap is 200 s."""
    found = walks(city, 50.0, tmp_path / "trace.parquet")
    assert found.shape == (6, 2)
    np.testing.assert_array_equal(found[:, 0], [0, 1, NOWHERE, NOWHERE, NOWHERE, NOWHERE])
    np.testing.assert_array_equal(found[:, 1], [NOWHERE] * 6)


def test_no_past_is_no_walk(city: Scenario) -> None:
    early = files.override(city, {"mobility.start": "1970-01-12T13:45:00Z"})
    assert walks(early, 10.0).size == 0


def test_a_trace_needs_sites_on_earth(tmp_path: Path, city: Scenario) -> None:
    with pytest.raises(ScenarioError, match="sites"):
        walks(files.load("paper"), 2.0, tmp_path / "trace.parquet")
