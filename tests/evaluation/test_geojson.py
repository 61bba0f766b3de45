"""Sites, users and migrations as GeoJSON, by hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isma.errors import RunError, ScenarioError
from isma.evaluation import geojson
from isma.evaluation.report.figures import presence
from isma.world import files, traces

START = "2001-09-09T01:46:40Z"  # 10^9 s.
TOWN = f"""
[time]
duration_s = 600
[sites]
kind = "file"
file = "sites.csv"
[backhaul]
kind = "gabriel"
[mobility]
kind = "trace"
file = "trace.parquet"
start = "{START}"
[presence]
enabled = true
kind = "trace"
"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Two sites on the equator; a comes at 100 s and leaves at 350 s, b stays throughout."""
    (tmp_path / "sites.csv").write_text("site_id,latitude,longitude\nwest,0,0\neast,0,0.02\n")
    fixes = {"a": (100, 350), "b": (-50, 240, 530, 700)}
    rows = [(who, 1e9 + t, 0.0, t * 1e-5) for who, times in fixes.items() for t in times]
    traces.write(pd.DataFrame(rows, columns=list(traces.COLUMNS)), tmp_path / "trace.parquet")
    (tmp_path / "config.toml").write_text(TOWN)
    return tmp_path


def features(path: Path) -> list[dict[str, Any]]:
    tree = json.loads(path.read_text())
    assert tree["type"] == "FeatureCollection"
    return tree["features"]


def test_a_scenario_on_a_map(town: Path):
    """Longitude first; a is 100 s x 1e-5 degrees east where it comes, and 3.5e-3 where it leaves."""
    said, paths = geojson.export(town / "config.toml", town)
    assert [path.name for path in paths] == ["sites.geojson", "links.geojson", "users.geojson"]
    assert said == ["2 sites", "1 links", "2 users"]
    west, east = features(paths[0])
    assert west["properties"] == {"site": "west"}
    assert east["geometry"] == {"type": "Point", "coordinates": [0.02, 0.0]}
    assert features(paths[1])[0]["properties"] == {"from": "west", "to": "east"}
    a, b = features(paths[2])
    way = a["geometry"]["coordinates"]
    assert way[0] == pytest.approx([0.001, 0], abs=1e-6)
    assert way[-1] == pytest.approx([0.0035, 0], abs=1e-6)
    assert a["properties"] == {
        "user": "a",
        "from_s": 100.0,
        "to_s": 350.0,
        "from": "2001-09-09T01:48:20.000Z",
        "to": "2001-09-09T01:52:30.000Z",
    }
    assert (b["properties"]["from_s"], b["properties"]["to_s"]) == (0.0, 600.0)


def test_a_run_on_a_map(town: Path):
    """User 7's service is at server 0, then at 1: a line from west to east between those moments."""
    columns = ["policy", "seed", "time_s", "user", "station", "host"]
    rows = [
        ["price", 0, 100.0, 7, 0, 0],
        ["price", 0, 100.0, 7, 0, 0],
        ["price", 0, 200.0, 7, 1, 1],
        ["price", 0, 300.0, 7, 1, 1],
        ["price", 0, 100.0, 8, 0, 1],
        ["stay", 0, 300.0, 7, 1, 0],
    ]
    run = town / "run"
    run.mkdir()
    pd.DataFrame(rows, columns=columns).to_parquet(run / "tasks.parquet")
    trail = [[100.0, 7, 0.0, 0.0], [200.0, 7, 1000.0, 0.0], [200.0, 8, 0.0, 0.0]]
    pd.DataFrame(trail, columns=["time_s", "user", "x_m", "y_m"]).to_parquet(run / "trail.parquet")
    (run / "sites.csv").write_text("server,x_m,y_m\n0,-1113,0\n1,1113,0\n")
    with pytest.raises(RunError, match=r"must be a run's folder with a config.toml, got none"):
        geojson.export(run, town)
    for name in ("sites.csv", "trace.parquet"):
        (town / name).rename(run / f"c.{name}")
    text = TOWN.replace("sites.csv", "c.sites.csv").replace("trace.parquet", "c.trace.parquet")
    (run / "config.toml").write_text(text)
    _, paths = geojson.export(run, town)
    moved = features(town / "migrations.geojson")
    assert len(moved) == 1
    assert moved[0]["properties"] == {
        "policy": "price", "seed": 0, "user": 7, "after_s": 100.0, "by_s": 200.0, "from": "west",
        "to": "east",
    }  # fmt: skip
    assert moved[0]["geometry"]["coordinates"] == [[0.0, 0.0], [0.02, 0.0]]
    seven, eight = features(town / "users.geojson")
    assert seven["geometry"]["type"] == "LineString"
    # The frame's middle is at 0.01 degrees east, and a degree on the equator is 111,320 m.
    assert seven["geometry"]["coordinates"][1][0] == pytest.approx(0.01 + 1000 / 111_320, abs=1e-6)
    assert eight["geometry"]["type"] == "Point"
    assert len(paths) == 4


def test_what_is_nowhere_on_earth_is_on_no_map(tmp_path: Path):
    with pytest.raises(ScenarioError, match="its sites must be from a file to be on a map"):
        geojson.export("paper", tmp_path)
    with pytest.raises(ScenarioError, match=r'mobility.kind must be "trace" to draw'):
        presence.draw(files.load("paper"))


def test_who_is_there_is_drawn(town: Path):
    """b alone, then both from 100 to 350 s: (100 + 2 x 250 + 250) / 600 = 1.4 on average."""
    drawing = presence.draw(files.load(town / "config.toml"))
    (axes,) = drawing.canvas.axes
    assert axes.get_xlim() == (0, 10)
    steps = axes.patches[0].get_data()  # type: ignore[attr-defined]
    assert steps.values.tolist() == [1, 2, 1]
    assert steps.edges == pytest.approx([0, 100 / 60, 350 / 60, 10])
    assert any("1.4 on average" in text.get_text() for text in axes.texts)
