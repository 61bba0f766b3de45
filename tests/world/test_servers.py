"""Which stations get a server: hop tables by hand, and where users are taken to be."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from isma.errors import ScenarioError
from isma.simulator.params import build
from isma.world import files, sites, traces
from isma.world.scenario import Scenario
from isma.world.servers import network, time_shares

START = 1_000_000.0
"""UNIX time at which the run on a trace begins."""
ROAD: dict[str, Any] = {"sites.kind": "line", "sites.count": 5}


def road(**changes: Any) -> Scenario:
    """Five stations in a row, along which users drive: those at the ends have half as many."""
    return files.load("highway", {**ROAD, **{k.replace("_", "."): v for k, v in changes.items()}})


@pytest.fixture
def city(tmp_path: Path) -> Scenario:
    """Sites 0, 11 and 22 km to the north; a is at the last before the run, b at the middle during it."""
    rows = "x,37.0,-122\ny,37.1,-122\nz,37.2,-122\n"
    (tmp_path / "sites.csv").write_text("site_id,latitude,longitude\n" + rows)
    fixes = [("a", START - 100, 37.2), ("a", START - 10, 37.2)]
    fixes += [("b", START, 37.1), ("b", START + 30, 37.1), ("b", START + 60, 37.0)]
    table = [(user, time_s, latitude, -122.0) for user, time_s, latitude in fixes]
    traces.write(pd.DataFrame(table, columns=list(traces.COLUMNS)), tmp_path / "trace.parquet")
    tree = {
        "time": {"duration_s": 60, "warmup_s": 20},
        "sites": {"kind": "file", "file": str(tmp_path / "sites.csv")},
        "backhaul": {"kind": "delaunay", "max_link_m": "30 km"},
        "servers": {"count": 1},
        "mobility": {
            "kind": "trace",
            "file": str(tmp_path / "trace.parquet"),
            "start": "1970-01-12T13:46:40Z",
            "max_gap_s": 90,
        },
    }
    return files.validate(tree, "city")


def test_two_servers_on_a_road_by_hand() -> None:
    """Beside stations 1 and 3: half a hop on average; beside 0 and 3 it would be 5/8."""
    laid = network(road(servers=2))
    assert laid.home.tolist() == [1, 3]
    assert laid.hops.tolist() == [[1, 3], [0, 2], [1, 1], [2, 0], [3, 1]]
    assert laid.nearest.tolist() == [0, 0, 0, 1, 1]
    assert laid.between.tolist() == [[0, 2], [2, 0]]
    params = build(road(servers=2))
    assert (params.shape.num_stations, params.shape.num_servers) == (5, 2)
    net = params.infrastructure
    assert net.hops.tolist() == laid.hops.tolist()
    assert net.between.tolist() == laid.between.tolist()
    assert net.nearest(jnp.array([4, 2, 0])).tolist() == [1, 0, 0]
    assert net.detour(jnp.array([4, 2])).tolist() == [[2, 0], [0, 0]]


def test_one_server_stands_in_the_middle() -> None:
    assert network(road(servers=1)).home.tolist() == [2]


@pytest.mark.parametrize("name", ["paper", "campus", "highway", "stadium"])
def test_a_server_at_each_station_is_what_it_was(name: str) -> None:
    """Nothing is chosen then, and the program has no trace of it; as many as stations are all."""
    plain = build(files.load(name)).infrastructure
    assert (plain.home, plain.closest) == (None, None)
    np.testing.assert_array_equal(np.diag(plain.hops), np.zeros(len(plain.hops)))
    every = build(files.load(name, {"servers": len(plain.hops)})).infrastructure
    assert every.home is None
    np.testing.assert_array_equal(every.hops, plain.hops)


def test_a_value_for_each_server_goes_by_their_number() -> None:
    params = build(files.load("highway", {**ROAD, "clock_hz": ["1 GHz", "2 GHz"], "servers": 2}))
    assert params.infrastructure.server_hz.tolist() == [1e9, 2e9]
    with pytest.raises(ScenarioError, match="one value or one for each of 3 servers, got 2"):
        build(files.load("highway", {**ROAD, "clock_hz": ["1 GHz", "2 GHz"], "servers": 3}))


def test_users_are_looked_for_where_they_drive() -> None:
    scenario = road()
    part = time_shares(scenario, sites.layout(scenario.sites))
    assert part.sum() == pytest.approx(1)
    np.testing.assert_allclose(part, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], atol=0.03)


def test_a_crowd_counts_where_it_appears() -> None:
    """Three quarters of the stadium's users are visitors at the first of seven stations."""
    scenario = files.load("stadium")
    part = time_shares(scenario, sites.layout(scenario.sites))
    assert part[0] > scenario.presence.part * 0.9
    assert part[1:].max() < 0.1
    assert network(files.override(scenario, {"servers": 1})).home.tolist() == [0]


def test_on_a_trace_the_past_counts_and_nothing_that_is_to_come(city: Scenario) -> None:
    assert network(city).home.tolist() == [2]


def test_without_a_past_the_warm_up_counts(city: Scenario) -> None:
    """Nobody is seen before the run; in its first 20 s b is in the middle."""
    mobility = {"kind": "trace", "file": city.mobility.file, "start": "1970-01-12T13:45:00Z"}
    early = files.validate(
        {
            **city.model_dump(),
            "time": {"duration_s": 80, "warmup_s": 20},
            "mobility": {**mobility, "max_gap_s": 95},
        },
        "early",
    )
    assert network(early).home.tolist() == [2]
    part = time_shares(early, sites.layout(early.sites))
    assert part.tolist() == pytest.approx([0.01 / 3, 0.01 / 3, 0.99 + 0.01 / 3])


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "servers.count must be greater than 0, got 0"),
        (-3, "servers.count must be greater than 0, got -3"),
        (2.5, "servers.count must be a valid integer"),
        (7, "servers.count must be at most sites.count (6), got 7"),
    ],
)
def test_numbers_that_cannot_be(count: float, said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        files.load("paper", {"servers": count})
    assert said in str(told.value)


def test_more_servers_than_real_sites(city: Scenario) -> None:
    with pytest.raises(ScenarioError, match=r"at most the number of stations \(3\), got 4"):
        network(files.override(city, {"servers": 4}))


def test_a_section_stands_for_how_many() -> None:
    assert files.full_name("servers") == "servers.count"
    assert files.full_name("users") == "users.count"
    assert files.load("paper", {"servers": 3, "users": 4}).users.count == 4
