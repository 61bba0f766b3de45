"""Scenarios made of small files: what is written, that it loads, and what is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from isma.errors import DataError, IsmaError, RunError, ScenarioError
from isma.simulator import params
from isma.world import backhaul, files, sites, traces
from isma.world.importers import csv_traces, output
from isma.world.importers.make import ImportResult, import_scenario

NOON_S = datetime(2020, 1, 1, 12, tzinfo=UTC).timestamp()
SITES = "cell_id,latitude,longitude\n1,0,0\n2,0,0.05\n3,0.05,0\n"


def cab_folder(folder: Path) -> Path:
    """Two cabs with a fix a minute for three hours, one an hour later, one with a jump."""
    place = folder / "cabs"
    place.mkdir()
    for name, begin_min in (("x", 0), ("y", 60)):
        fixes = [
            (9.0 if (name, minute) == ("x", 30) else 0.0, minute * 1e-4, minute)
            for minute in range(begin_min, begin_min + 181)
        ]
        lines = [f"{north} {east:.6f} 0 {NOON_S + 60 * m:.0f}" for north, east, m in fixes]
        (place / f"new_{name}.txt").write_text("\n".join(reversed(lines)) + "\n")
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with cabs and sites."""
    cab_folder(tmp_path)
    (tmp_path / "cells.csv").write_text(SITES)
    (tmp_path / "out").mkdir()
    return tmp_path


def make(data: Path, **given: object) -> ImportResult:
    asked = {"kind": "cabspotting", "source": data / "cabs", "out": data / "out" / "sf.toml"}
    return import_scenario(**{**asked, "sites": data / "cells.csv", **given})  # type: ignore[arg-type]


def test_cabs_and_towers_become_a_scenario(data: Path):
    result = make(data)
    assert [path.name for path in result.paths] == ["sf.trace.parquet", "sf.sites.csv", "sf.toml"]
    assert sorted(path.name for path in (data / "out").iterdir()) == sorted(
        path.name for path in result.paths
    )
    world, paper = files.load(data / "out" / "sf.toml"), files.load("paper")
    assert world.name == "san-francisco"
    assert world.time.duration_s == 7200
    assert (world.time.warmup_s, world.time.tick_s, world.broadcast.period_s) == (60, 1, 1)
    assert world.servers.decision_period_s == 2
    assert (world.tasks, world.radio, world.servers) == (paper.tasks, paper.radio, paper.servers)
    assert world.users.local_hz == (150e6, 150e6)
    assert (world.backhaul.kind, world.backhaul.max_link_m) == ("gabriel", 6000)
    assert world.backhaul.rate_bps == 500e6
    assert "\ncount" not in (data / "out" / "sf.toml").read_text()
    # Both cabs have fixes from 13:00 to 15:00 only.
    assert world.mobility.kind == "trace"
    assert (world.presence.enabled, world.presence.kind) == (True, "trace")
    assert world.mobility.start == datetime(2020, 1, 1, 13, tzinfo=UTC)
    layout = sites.layout(world.sites)
    moving = traces.trajectories(world.mobility, layout.projection, 7200.0, 1.0, None)
    assert moving.user_ids == ("x", "y")
    assert moving.position_m.shape == (7201, 2, 2)
    assert np.isfinite(moving.position_m).all()
    assert backhaul.hop_counts(world.backhaul, layout, 1.0).max() == 2


def test_the_report_says_what_was_done_and_stands_in_the_file(data: Path):
    lines = make(data).lines
    assert lines[0] == "3 sites"
    assert lines[1] == "backhaul: 2 links (gabriel graph), 0.9 hops on average, 2 at most"
    assert lines[2].startswith("read cabs: 2 cab files, 362 rows of latitude longitude occupancy")
    assert (
        lines[3] == "who moves: a cab for each file; time: UNIX seconds, by the size of the numbers"
    )
    assert lines[4] == "kept 361 of 362 fixes, 2 of 2 users"
    assert lines[5].startswith("dropped 1 out of range (-0.27..0.32 north")
    assert lines[5].endswith("; the first in file new_x.txt line 151)")
    # 1e-4 degrees of longitude a minute: 11 m in 60 s.
    assert lines[6] == (
        "from 2020-01-01T12:00:00Z to 2020-01-01T16:00:00Z (14,400 s), a fix every 60 s, "
        "median speed 0.19 m/s"
    )
    assert lines[7:] == (
        "2 users from 2020-01-01T13:00:00Z for 7200 s: when most are there",
        "there from the first to the last fix: 2 at the start, 0 come, 0 leave, 2 at the end; 2.0 on "
        "average, 2 to 2",
        f"there at each tenth of the run: {', '.join('2' * 11)}",
    )
    text = (data / "out" / "sf.toml").read_text()
    assert all(f"# {line}\n" in text for line in lines)
    assert "# From the folder cabs.\n# From cells.csv, sha256 " in text
    assert str(data) not in text


def test_the_import_says_who_is_in_and_out_over_time_and_why(data: Path):
    """Four hours and a half from 12:00, cabs away in gaps above ten minutes.

    x is there from minute 0 to 180 and y from 60 to 240. z comes at 30, is away from 40 to 250, and
    leaves at 260: two rows. w has a fix an hour, v one at 300 and one at 301. On average
    (180 + 180 + 10 + 10) / 270 = 1.41 users. A tenth is 27 minutes: x at 0, 27 and 54, x and y from 81
    to 162, y at 189 and 216, nobody at 243 and 270.
    """
    more = {
        "z": [30, 35, 40, 250, 255, 260],
        "w": range(0, 241, 60),
        "v": [300, 301],
    }
    for name, minutes in more.items():
        lines = [f"0.0 0.0 0 {NOON_S + 60 * minute:.0f}\n" for minute in minutes]
        (data / "cabs" / f"new_{name}.txt").write_text("".join(lines))
    start = datetime.fromtimestamp(NOON_S, UTC)
    result = make(data, start=start, duration_s=16_200.0, max_gap_s=600.0)
    at = next(row for row, line in enumerate(result.lines) if line.startswith("3 users from"))
    assert result.lines[at + 1 :] == (
        "there from the first to the last fix: 1 at the start, 3 come, 4 leave, 0 at the end; 1.4 on "
        "average, 0 to 2",
        "there at each tenth of the run: 1, 1, 1, 2, 2, 2, 2, 1, 1, 0, 0",
        "1 of them come back after a gap above 600 s, 1 times in all: each time a user of its own with "
        "the same tasks: z",
        "2 of 5 users are out: 1 have no fix in that window (v); 1 have no two fixes in it that "
        "follow each other within 600 s (w)",
    )
    world = files.load(data / "out" / "sf.toml")
    assert world.mobility.kind == "trace"
    assert world.mobility.max_gap_s == 600
    assert params.fit(world).num_users == 4


def test_only_users_with_fixes_throughout_can_be_asked_for(data: Path):
    result = make(data, users="throughout", start=datetime.fromtimestamp(NOON_S, UTC))
    world = files.load(data / "out" / "sf.toml")
    assert not world.presence.enabled
    assert result.lines[-1].startswith("1 of 2 users do not take part, having no fixes throughout")
    assert params.fit(world).num_users == 1


def test_a_jump_is_what_is_faster_than_asked(data: Path):
    """11 m a minute are 0.19 m/s: at 0.1 m/s no fix of a cab fits another, and nothing is left."""
    kept = make(data, max_speed_mps=0.2).lines[4]
    assert kept == "kept 361 of 362 fixes, 2 of 2 users"
    with pytest.raises(DataError, match=r"reached by a jump above 0\.1 m/s"):
        make(data, max_speed_mps=0.1)


def test_the_same_data_make_the_same_files(data: Path):
    first = [path.read_bytes() for path in make(data).paths]
    assert [path.read_bytes() for path in make(data).paths] == first


def test_start_duration_and_backhaul_may_be_given(data: Path):
    nx.write_graphml(nx.Graph([("1", "2"), ("2", "3")]), data / "line.graphml")
    start = datetime.fromisoformat("2020-01-01T14:30:00+01:00")
    result = make(data, start=start, duration_s=300.0, backhaul=data / "line.graphml")
    assert "sf.backhaul.graphml" in [path.name for path in result.paths]
    world = files.load(data / "out" / "sf.toml")
    assert (world.time.duration_s, world.time.warmup_s) == (300, 30)
    assert world.mobility.kind == "trace"
    assert world.mobility.start == start
    assert world.backhaul.file == data / "out" / "sf.backhaul.graphml"
    hops = backhaul.hop_counts(world.backhaul, sites.layout(world.sites), 1.0)
    assert hops.tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]


def test_recorded_cells_are_compared(data: Path):
    rows = "".join(f"{NOON_S + 60 * minute:.0f},1,2\n" for minute in range(60, 120))
    (data / "recorded.csv").write_text("unix_time,x,y\n" + rows)
    lines = make(data, cells=data / "recorded.csv").lines
    assert "nearest site is the recorded cell in 50.0% of 120 user-minutes of 2 users" in lines
    assert any(line.startswith("hand-overs per active user-hour: 0.00 recorded") for line in lines)


def test_a_csv_becomes_a_scenario(data: Path):
    rows = [f"{user},{NOON_S + 60 * m:.0f},0,{m * 1e-4}\n" for m in range(20) for user in "ab"]
    (data / "t.csv").write_text("who,time,lat,lon\n" + "".join(rows))
    columns = csv_traces.Columns(user_id="who")
    make(data, kind="csv", source=data / "t.csv", columns=columns, duration_s=600.0)
    world = files.load(data / "out" / "sf.toml")
    assert world.name == "sf"
    assert world.description.startswith(
        "2 users of t.csv among 3 real sites, 600 s from 2020-01-01"
    )


def test_everything_can_be_switched_on(data: Path):
    make(data, world="full")
    full = files.load(data / "out" / "sf.toml")
    make(data, world="paper")
    plain = files.load(data / "out" / "sf.toml")
    assert [service.name for service in full.services] == [
        "interactive-vision",
        "video-analytics",
        "batch",
    ]
    assert (full.radio.shared, full.queues.enabled, full.migration.kind) == (True, True, "cold")
    assert (full.radio.model, full.energy.enabled) == ("umi", True)
    assert (full.servers.clock_hz, full.latency.per_hop_s) == (128e9, 0.02)
    # The same noise density as JTORA's: five times the band, five times the noise.
    ratio = full.radio.noise_w / plain.radio.noise_w
    assert ratio == pytest.approx(full.radio.bandwidth_hz / plain.radio.bandwidth_hz, rel=0.01)
    assert (plain.services, plain.radio.shared, plain.queues.enabled) == ((), False, False)
    same = {"sites", "backhaul", "mobility", "time", "broadcast", "name", "description"}
    assert full.model_dump(include=same) == plain.model_dump(include=same)


@pytest.mark.parametrize("kind", ["graphml", "node-link"])
def test_a_topology_becomes_a_scenario(tmp_path: Path, kind: str):
    graph = nx.Graph([(0, 1), (1, 2), (2, 3)])
    places = {0: (0.0, 0.0), 1: (0.01, 0.0), 3: (0.5, 0.0)}  # node 2 is nowhere
    for node, (north, east) in places.items():
        graph.nodes[node].update({"Latitude": north, "Longitude": east})
    source = tmp_path / ("net.graphml" if kind == "graphml" else "net.json")
    if kind == "graphml":
        nx.write_graphml(graph, source)
    else:
        source.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    result = import_scenario(kind, source, tmp_path / "town.toml", duration_s=120.0)
    world, paper = files.load(tmp_path / "town.toml"), files.load("paper")
    layout = sites.layout(world.sites)
    assert layout.ids == ("0", "1", "3")
    hops = backhaul.hop_counts(world.backhaul, layout, 1.0)
    assert hops.tolist() == [[0, 1, 3], [1, 0, 2], [3, 2, 0]]
    assert (world.name, world.mobility, world.users) == ("town", paper.mobility, paper.users)
    assert world.time.duration_s == 120
    said = "\n".join(result.lines)
    assert "1 nodes without coordinates are no sites" in said
    assert "1 sites have no neighbour within reach" in said


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"kind": "cabspoting"}, ScenarioError, "did you mean 'cabspotting'"),
        ({"world": "fulll"}, ScenarioError, "unknown world 'fulll': did you mean 'full'"),
        ({"out": Path("sf")}, RunError, "must be called NAME.toml"),
        ({"sites": None}, ScenarioError, "--sites must be given with cabspotting"),
        ({"kind": "graphml"}, ScenarioError, "--sites must not be given with graphml"),
        ({"start": datetime(2020, 1, 1)}, ScenarioError, "start must carry a time zone"),
        (
            {"start": datetime(2020, 1, 1, tzinfo=UTC)},
            ScenarioError,
            "give --start 2020-01",
        ),
        ({"duration_s": 1e6}, ScenarioError, "(14400 s), got 1e+06 s from"),
        ({"duration_s": 1e6}, ScenarioError, "; give --duration 14400"),
        ({"duration_s": 1e6, "users": "throughout"}, DataError, "(14400 s)"),
        (
            {"duration_s": 1e6, "users": "throughout"},
            DataError,
            "give --duration 10800, as long as any user is followed",
        ),
        ({"users": "all"}, ScenarioError, "unknown choice of users 'all'"),
        ({"max_gap_s": 0.0}, ScenarioError, "max_gap_s must be positive"),
        ({"time_format": "%Y"}, ScenarioError, "--time-format must not be given with cabspotting"),
        ({"duration_s": -1.0}, ScenarioError, "duration_s must be positive"),
        ({"duration_s": 99.5}, ScenarioError, "duration_s must be a whole multiple of tick_s"),
        ({"columns": csv_traces.Columns()}, ScenarioError, "--columns must not be given"),
        ({"source": Path("none")}, DataError, "no such archive"),
        ({"out": Path("/nowhere/sf.toml")}, RunError, "no such folder"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(
    data: Path, given: dict[str, object], error: type[IsmaError], said: str
):
    with pytest.raises(error) as caught:
        make(data, **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((data / "out").iterdir()) == []


def test_an_input_is_not_written_over(data: Path):
    own = data / "out" / "sf.sites.csv"
    own.write_text(SITES)
    with pytest.raises(RunError, match=r"sf.sites.csv: is read and would be written over"):
        make(data, sites=own)
    assert own.read_text() == SITES


def test_an_interrupt_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "_move_in", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(data)
    assert list((data / "out").iterdir()) == []
